"""Manual containment below the commands: real clients, the emulator at the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from clients import connect
from incident.case_file.index import CaseFileIndex, CaseSummary
from incident.decision.context import ProcessContext
from incident.decision.guards import Operator
from incident.policy.resolve import Steps
from incident.response.apply import apply_proposal
from incident.response.context import Ports
from incident.response.propose import Proposal, propose_approval, propose_containment
from tests.support.environment import ResponderEnvironment
from wiring import build_context, build_ports

OPERATOR_EMAIL = "ops@example.com"


@dataclass(frozen=True, slots=True)
class CommandLineUser:
    """A person at the command line.

    Attributes:
        context: What holds for what they do.
        ports: What they reach.
        name: Their account.
    """

    context: ProcessContext
    ports: Ports
    name: str

    async def case_summary(self, incident: str) -> CaseSummary:
        """The case file that they look at."""
        return await CaseFileIndex(self.ports.store).get(incident)

    async def propose_approval(self, incident: str) -> Proposal:
        """What approving would write."""
        case = await self.case_summary(incident)
        return await propose_approval(case, self.context, self.ports, self.name)

    async def propose_containment(self, incident: str, steps: Steps = ()) -> Proposal:
        """What a manual containment would write."""
        case = await self.case_summary(incident)
        return await propose_containment(case, self.context, self.ports, self.name, steps)

    async def approve(self, incident: str) -> Any:
        """Approve without being asked; the outcome."""
        return await apply_proposal(await self.propose_approval(incident))

    async def contain(self, incident: str, steps: Steps = ()) -> Any:
        """Contain manually without a question; the outcome."""
        return await apply_proposal(await self.propose_containment(incident, steps))


@asynccontextmanager
async def command_line_user(
    env: ResponderEnvironment, name: str = OPERATOR_EMAIL
) -> AsyncIterator[CommandLineUser]:
    """A user of the command line, at the environment's time."""
    clients = await connect(env.settings)
    try:
        context = build_context(env.settings, Operator(name, is_person=True))
        yield CommandLineUser(context, build_ports(clients), name)
    finally:
        await clients.close()
