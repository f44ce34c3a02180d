"""Deliveries: parses and routes each, and lets those of one incident share one run."""

from __future__ import annotations

import asyncio

from incident.case_file.case_file import quarantine
from incident.decision.context import Standing
from incident.model import Finding, GiveUp, Malformed, Retry, Route, Status, Verdict
from incident.notification.parse import parse
from incident.report.outcome import duplicate, malformed
from incident.response.conclude import ignored
from incident.response.context import Answer, Outside, Say, unheard
from incident.response.incident import Incident


class Unfinished(Retry):
    """A delivery that is to come again, with the names that its log line needs.

    Attributes:
        incident: The incident's id.
        finding: The finding's name.
        workload: The workload's resource name, where it has one.
        urgent: Whether time alone will not heal it: somebody has to mend something.
    """

    def __init__(self, reason: str, claim: Finding | None, *, urgent: bool) -> None:
        super().__init__(reason)
        self.incident = claim.incident_id if claim else None
        self.finding = claim.name if claim else None
        self.workload = claim.workload.resource_name if claim and claim.workload else None
        self.urgent = urgent


class Inbox:
    """Takes messages and answers each with what became of it."""

    def __init__(self, standing: Standing, outside: Outside) -> None:
        self._standing = standing
        self._outside = outside
        self._running: dict[tuple[str, str], asyncio.Task[Answer]] = {}

    async def receive(self, data: bytes, say: Say = unheard) -> Answer:
        """Answer one delivery, from the bytes of its message.

        Args:
            data: The message.
            say: Puts an outcome that this delivery has put on record into the log, before its
                case file is sealed. Whatever it was not called with is for the caller to tell.

        Raises:
            Unfinished: Time, or somebody who mends the store, may heal it: the delivery is not
                to be acknowledged.
        """
        try:
            notification = parse(data)
        except Malformed as error:
            return await self.refuse(data, str(error))
        finding = notification.finding
        route = self._standing.route(notification)
        if route.verdict is Verdict.IGNORE:
            return ignored(finding, finding.incident_id, route, self._standing)
        try:
            return await self._share(finding, route, say)
        except (Retry, GiveUp) as error:
            # After a GiveUp nothing could be recorded, so nothing may be acknowledged.
            urgent = isinstance(error, GiveUp)
            # The incident has redacted it, with all that it knew.
            raise Unfinished(str(error), finding, urgent=urgent) from error

    async def refuse(self, data: bytes, reason: str) -> Answer:
        """Quarantine a message that nobody can read.

        Raises:
            Unfinished: The store does not take it.
        """
        redactor = self._standing.redactor()
        reason = redactor.text(reason)
        try:
            digest, path = await quarantine(self._outside.store, data, reason, redactor)
        except (Retry, GiveUp) as error:
            urgent = isinstance(error, GiveUp)
            raise Unfinished(redactor.text(str(error)), None, urgent=urgent) from error
        return Answer(malformed(digest, reason, f"{self._standing.store_url}/{path}"), alarm=True)

    async def _share(self, claim: Finding, route: Route, say: Say) -> Answer:
        incident = (claim.incident_id, claim.source_parent)
        running = self._running.get(incident)
        if running:
            answer = await asyncio.shield(running)
            ignoring = answer.outcome["status"] == Status.IGNORED
            return answer if ignoring else Answer(duplicate(answer.outcome))
        run = Incident(claim, route, self._standing, self._outside, say).respond()
        task = self._running[incident] = asyncio.ensure_future(run)
        task.add_done_callback(lambda _: self._running.pop(incident, None))
        return await asyncio.shield(task)
