"""Manual containment below the commands: real clients, the emulator at the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from clients import connect
from incident.case_file.index import CaseFileIndex, CaseSummary
from incident.decision.process import Process
from incident.decision.request import Request
from incident.model import Change
from incident.policy.resolve import Steps
from incident.response.approvals import approval_request, containment_request
from incident.response.finish_run import record_logged
from incident.response.pipeline import Proposal, propose, respond
from tests.support.environment import ResponderEnvironment
from wiring import build_process

OPERATOR_EMAIL = "ops@example.com"


@dataclass(frozen=True, slots=True)
class CommandLineUser:
    """A person at the command line.

    Attributes:
        process: What holds for what they do, and what they reach.
        name: Their account.
    """

    process: Process
    name: str

    async def case_summary(self, incident: str) -> CaseSummary:
        """The case file that they look at."""
        return await CaseFileIndex(self.process.store).get(incident)

    async def propose_approval(self, incident: str) -> Proposal:
        """What approving would write."""
        case = await self.case_summary(incident)
        return await propose(self.process, await approval_request(self.process, case, self.name))

    async def propose_containment(self, incident: str, steps: Steps = ()) -> Proposal:
        """What a manual containment would write."""
        case = await self.case_summary(incident)
        request = await containment_request(self.process, case, self.name, steps)
        return await propose(self.process, request)

    async def approve(self, incident: str, confirmed: tuple[Change, ...] | None = None) -> Any:
        """Approve without being asked, or what was confirmed; the outcome."""
        case = await self.case_summary(incident)
        request = await approval_request(self.process, case, self.name)
        return await self._apply(replace(request, confirmed=confirmed))

    async def contain(
        self, incident: str, steps: Steps = (), confirmed: tuple[Change, ...] | None = None
    ) -> Any:
        """Contain manually without a question, or what was confirmed; the outcome."""
        case = await self.case_summary(incident)
        request = await containment_request(self.process, case, self.name, steps)
        return await self._apply(replace(request, confirmed=confirmed))

    async def _apply(self, request: Request) -> Any:
        response = await respond(self.process, request)
        await record_logged(self.process.store, response)
        return response.outcome


@asynccontextmanager
async def command_line_user(
    env: ResponderEnvironment, name: str = OPERATOR_EMAIL
) -> AsyncIterator[CommandLineUser]:
    """A user of the command line, at the environment's time."""
    clients = await connect(env.settings)
    try:
        yield CommandLineUser(build_process(env.settings, clients, by_person=True), name)
    finally:
        await clients.close()
