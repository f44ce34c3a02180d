"""Handle deliveries: parse, route, and share one run between deliveries of one incident."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from incident.case_file.case_file import quarantine_message
from incident.case_file.manifest import RecordingStore, try_write_manifest
from incident.case_file.paths import parse_case_file_path
from incident.decision.process import Process
from incident.decision.request import Request, Trigger
from incident.model import (
    Evidence,
    Finding,
    GiveUp,
    Inconsistent,
    Malformed,
    Retry,
    Status,
    Verdict,
)
from incident.notification.parse import parse_notification
from incident.report.outcome import malformed_outcome
from incident.report.outcome_updates import duplicate_outcome
from incident.response.conclude import ignored_response
from incident.response.duplicates import LoggedCases, answer_if_done
from incident.response.finish_run import record_logged, with_manifest
from incident.response.pipeline import respond
from incident.response.response import Response


class RetryDelivery(Retry):
    """The delivery must not be acknowledged; carries the names for its log line.

    Attributes:
        incident: The incident's id.
        finding: The finding's name.
        workload: The workload's resource name, where it has one.
        case_file: Path of the case file that the run wrote to, if it wrote to any.
        manifest_sha256: Digest of the run's manifest, where it could be written.
        urgent: Whether time alone will not heal it: somebody has to repair something.
    """

    def __init__(
        self,
        reason: str,
        claim: Finding | None,
        *,
        urgent: bool,
        case_file: str | None = None,
        manifest_sha256: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.case_file = case_file
        self.manifest_sha256 = manifest_sha256
        self.incident = claim.incident_id if claim else None
        self.finding = claim.name if claim else None
        self.workload = claim.workload.resource_name if claim and claim.workload else None
        self.urgent = urgent


class DeliveryHandler:
    """The trigger of Pub/Sub deliveries; the deliveries of one incident share one run."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._running: dict[tuple[str, str], asyncio.Task[Response]] = {}
        self._logged = LoggedCases()

    async def receive(self, data: bytes) -> Response:
        """Answer one delivery, from the bytes of its message.

        The caller logs the result, and then calls :meth:`record_logged`.

        Raises:
            RetryDelivery: Time, or a repair of the store, may heal it: the delivery is not to be
                acknowledged.
        """
        try:
            notification = parse_notification(data)
        except Malformed as error:
            return await self.quarantine(data, str(error))
        finding, route = notification.finding, self._process.route(notification)
        request = Request(Trigger.DELIVERY, finding, route)
        if route.verdict is Verdict.IGNORE:
            return ignored_response(self._process, finding, request, route)
        incident = (finding.incident_id, finding.source_parent)
        if running := self._running.get(incident):
            result = await asyncio.shield(running)
            ignoring = result.outcome.status is Status.IGNORED
            return result if ignoring else Response(duplicate_outcome(result.outcome))
        task = self._running[incident] = asyncio.ensure_future(self._run(request))
        task.add_done_callback(lambda _: self._running.pop(incident, None))
        return await asyncio.shield(task)

    async def record_logged(self, result: Response) -> None:
        """Record that a result was logged."""
        if result.logged_record and result.case_file:
            self._logged.add(result.case_file)
        await record_logged(self._process.store, result)

    async def quarantine(self, data: bytes, reason: str) -> Response:
        """Quarantine a malformed message.

        Raises:
            RetryDelivery: The store does not accept it.
        """
        redactor = self._process.redactor()
        reason = redactor.text(reason)
        try:
            digest, path = await quarantine_message(self._process.store, data, reason, redactor)
        except (Retry, GiveUp) as error:
            urgent = isinstance(error, GiveUp | Inconsistent)
            raise RetryDelivery(redactor.text(str(error)), None, urgent=urgent) from error
        case_file = f"{self._process.store_url}/{path}"
        outcome = malformed_outcome(digest, reason, case_file, simulated=self._process.simulated)
        return Response(outcome, alarm=True)

    async def _run(self, request: Request) -> Response:
        """The answer of an incident that is done, or one run with the manifest of what it created.

        Raises:
            RetryDelivery: It is not finished.
        """
        claim, store = request.finding, RecordingStore(self._process.store)
        process = replace(self._process, store=store)
        try:
            result = await answer_if_done(claim, process, self._logged)
            result = result or await respond(process, request)
        except (Retry, GiveUp) as error:
            parsed = (parse_case_file_path(path) for path in store.created)
            folder = next((found.folder for found in parsed if found), None)
            sha256 = (await try_write_manifest(store, folder))[0] if folder else None
            # After a GiveUp nothing could be recorded, so nothing may be acknowledged.
            urgent = isinstance(error, GiveUp | Inconsistent)
            # The run has redacted its error, with all that it knew; others are redacted here.
            reason = process.redactor(Evidence(claim)).text(str(error))
            raise RetryDelivery(
                reason, claim, urgent=urgent, case_file=folder, manifest_sha256=sha256
            ) from error
        return await with_manifest(store, result, process.redactor())
