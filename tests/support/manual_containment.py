"""What a person does by hand, beneath the commands: real clients, the emulator at the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from clients import connect
from incident.case_file.index import Case, Cases
from incident.decision.context import Standing
from incident.decision.guards import Attendance
from incident.policy.resolve import Steps
from incident.response.apply import carry_out
from incident.response.context import Outside
from incident.response.propose import Proposal, propose_approval, propose_containment
from tests.support.environment import Road
from wiring import outside_of, standing_of

ME = "ops@example.com"


@dataclass(frozen=True, slots=True)
class Person:
    """A person at the command line.

    Attributes:
        standing: What holds for what they do.
        outside: What they reach.
        name: Their account.
    """

    standing: Standing
    outside: Outside
    name: str

    async def case(self, incident: str) -> Case:
        """The case file that they look at."""
        return await Cases(self.outside.store).one(incident)

    async def asked(self, incident: str) -> Proposal:
        """What approving would write."""
        case = await self.case(incident)
        return await propose_approval(case, self.standing, self.outside, self.name)

    async def planned(self, incident: str, steps: Steps = ()) -> Proposal:
        """What containing by hand would write."""
        case = await self.case(incident)
        return await propose_containment(case, self.standing, self.outside, self.name, steps)

    async def approve(self, incident: str) -> Any:
        """Approve without being asked; the outcome."""
        return await carry_out(await self.asked(incident))

    async def contain(self, incident: str, steps: Steps = ()) -> Any:
        """Contain by hand without being asked; the outcome."""
        return await carry_out(await self.planned(incident, steps))


@asynccontextmanager
async def person(way: Road, name: str = ME) -> AsyncIterator[Person]:
    """Somebody at the command line, at the time that it is on the road."""
    clients = await connect(way.settings)
    try:
        standing = standing_of(way.settings, Attendance(name, person=True))
        yield Person(standing, outside_of(clients), name)
    finally:
        await clients.close()
