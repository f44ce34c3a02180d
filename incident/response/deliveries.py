"""Handle deliveries: parse, route, and share one run between deliveries of one incident."""

from __future__ import annotations

import asyncio

from incident.case_file.case_file import quarantine_message
from incident.decision.context import ProcessContext
from incident.model import Finding, GiveUp, Malformed, Retry, Route, Status, Verdict
from incident.notification.parse import parse_notification
from incident.report.outcome import duplicate_outcome, malformed_outcome
from incident.response.conclude import ignored_result
from incident.response.context import DeliveryResult, LogOutcome, Ports, log_nothing
from incident.response.incident import IncidentRun


class RetryDelivery(Retry):
    """The delivery must not be acknowledged; carries the names for its log line.

    Attributes:
        incident: The incident's id.
        finding: The finding's name.
        workload: The workload's resource name, if there is one.
        urgent: Whether a person has to fix something before a redelivery can succeed.
    """

    def __init__(self, reason: str, claim: Finding | None, *, urgent: bool) -> None:
        super().__init__(reason)
        self.incident = claim.incident_id if claim else None
        self.finding = claim.name if claim else None
        self.workload = claim.workload.resource_name if claim and claim.workload else None
        self.urgent = urgent


class DeliveryHandler:
    """Handles Pub/Sub messages."""

    def __init__(self, context: ProcessContext, ports: Ports) -> None:
        self._context = context
        self._ports = ports
        self._running: dict[tuple[str, str], asyncio.Task[DeliveryResult]] = {}

    async def receive(self, data: bytes, log_outcome: LogOutcome = log_nothing) -> DeliveryResult:
        """Handle one delivery.

        Args:
            data: The message's bytes.
            log_outcome: Logs an outcome that this delivery recorded, before the manifest is
                written. If it was not called, the caller has to log the result.

        Raises:
            RetryDelivery: A transient fault, or a store that has to be fixed: do not acknowledge.
        """
        try:
            notification = parse_notification(data)
        except Malformed as error:
            return await self.quarantine(data, str(error))
        finding = notification.finding
        route = self._context.route(notification)
        if route.verdict is Verdict.IGNORE:
            return ignored_result(finding, finding.incident_id, route, self._context)
        try:
            return await self._join_or_start(finding, route, log_outcome)
        except (Retry, GiveUp) as error:
            # After a GiveUp nothing could be recorded, so the delivery is not acknowledged.
            urgent = isinstance(error, GiveUp)
            # The incident's run has redacted the error already.
            raise RetryDelivery(str(error), finding, urgent=urgent) from error

    async def quarantine(self, data: bytes, reason: str) -> DeliveryResult:
        """Quarantine a malformed message.

        Raises:
            RetryDelivery: The store does not accept it.
        """
        redactor = self._context.redactor()
        reason = redactor.text(reason)
        try:
            digest, path = await quarantine_message(self._ports.store, data, reason, redactor)
        except (Retry, GiveUp) as error:
            urgent = isinstance(error, GiveUp)
            raise RetryDelivery(redactor.text(str(error)), None, urgent=urgent) from error
        return DeliveryResult(
            malformed_outcome(digest, reason, f"{self._context.store_url}/{path}"), alarm=True
        )

    async def _join_or_start(
        self, claim: Finding, route: Route, log_outcome: LogOutcome
    ) -> DeliveryResult:
        incident = (claim.incident_id, claim.source_parent)
        running = self._running.get(incident)
        if running:
            result = await asyncio.shield(running)
            ignoring = result.outcome["status"] == Status.IGNORED
            return result if ignoring else DeliveryResult(duplicate_outcome(result.outcome))
        response = IncidentRun(claim, route, self._context, self._ports, log_outcome).respond()
        task = self._running[incident] = asyncio.ensure_future(response)
        task.add_done_callback(lambda _: self._running.pop(incident, None))
        return await asyncio.shield(task)
