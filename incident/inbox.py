"""Deliveries: parses and routes each, and lets those of one incident share one run."""

from __future__ import annotations

import asyncio

from incident.model import Finding, GiveUp, Malformed, Retry, Route, Verdict
from incident.notification import parse
from incident.outcome import duplicate, malformed
from incident.record import quarantine
from incident.respond import Answer, Incident, Outside, Standing, ignored


class Inbox:
    """Takes messages and answers each with what became of it."""

    def __init__(self, standing: Standing, outside: Outside) -> None:
        self._standing = standing
        self._outside = outside
        self._running: dict[str, asyncio.Task[Answer]] = {}

    async def receive(self, data: bytes) -> Answer:
        """Answer one delivery, from the bytes of its message.

        Raises:
            Retry: Time, or somebody who mends the store, may heal it: the delivery is not to
                be acknowledged.
        """
        try:
            return await self._receive(data)
        except GiveUp as error:
            # Nothing could be recorded, so nothing may be acknowledged.
            raise Retry(str(error)) from error

    async def refuse(self, data: bytes, reason: str) -> Answer:
        """Quarantine a message that nobody can read.

        Raises:
            Retry: The store does not answer.
        """
        redactor = self._standing.redactor()
        digest, path = await quarantine(self._outside.store, data, reason, redactor)
        return Answer(malformed(digest, reason, f"{self._standing.store_url}/{path}"), alarm=True)

    async def _receive(self, data: bytes) -> Answer:
        try:
            notification = parse(data)
        except Malformed as error:
            return await self.refuse(data, str(error))
        route = self._standing.route(notification)
        if route.verdict is Verdict.IGNORE:
            finding = notification.finding
            return ignored(finding, finding.incident_id, route, self._standing)
        return await self._share(notification.finding, route)

    async def _share(self, claim: Finding, route: Route) -> Answer:
        incident = claim.incident_id
        running = self._running.get(incident)
        if running:
            return Answer(duplicate((await asyncio.shield(running)).outcome))
        run = Incident(claim, route, self._standing, self._outside).respond()
        task = self._running[incident] = asyncio.ensure_future(run)
        task.add_done_callback(lambda _: self._running.pop(incident, None))
        return await asyncio.shield(task)
