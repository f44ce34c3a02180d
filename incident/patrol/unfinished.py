"""Resume abandoned incidents; expire approvals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from incident.case_file.case_file import CaseFile
from incident.case_file.index import CaseSummary
from incident.case_file.journal import Record
from incident.case_file.paths import (
    DONE_NUMBER,
    INCIDENTS,
    RecordName,
    case_file_folder,
    event_day,
    parse_record_name,
)
from incident.decision.request import Trigger
from incident.model import (
    Denied,
    Gap,
    GiveUp,
    IncidentError,
    JsonObject,
    Notification,
    Retry,
    Status,
    Verdict,
    Workload,
)
from incident.model.json_text import json_string, parse_time
from incident.model.outcome import (
    Links,
    Outcome,
    ReportedDecision,
    ReportedFinding,
    ReportedWorkload,
)
from incident.patrol.context import PatrolContext
from incident.patrol.walk import WalkedFolder
from incident.policy.resolve import Policy
from incident.response.approvals import expire_approval, finishing_request, is_stale, request_about
from incident.response.duplicates import repeated_result
from incident.response.pipeline import respond
from incident.response.publish import publish
from incident.response.records import APPROVED
from incident.response.refusals import RequestRefused
from incident.response.response import Response

#: Two deliveries are at most a back-off of 600 s and an expired ack deadline of 600 s apart:
#: an incident that is inactive for longer gets no more deliveries.
INACTIVITY_LIMIT = timedelta(minutes=20)
#: An incident that stays unfinished is resumed ever more rarely: its records must not pile up.
_INACTIVITY_GROWTH = 0.5
#: Events and their records may have times of different clocks.
_CLOCK_TOLERANCE = timedelta(days=7)
#: A run logs its outcome right after recording it; after this time it must have crashed.
_LOGGING_GRACE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class UnfinishedIncident:
    """The result of finishing one case file.

    Attributes:
        incident: The incident's id.
        result: The result of the incident; None if it is not finished.
        note: Why it is not finished; empty where it is.
        case_file: Path of an unfinished one's case file.
        manifest_sha256: Digest of the manifest of what was created for an unfinished one.
    """

    incident: str
    result: Response | None
    note: str = ""
    case_file: str | None = None
    manifest_sha256: str | None = None


class IncidentFinisher:
    """Finishes incidents, one at a time."""

    def __init__(self, context: PatrolContext) -> None:
        """Finish incidents for one round."""
        self._context = context
        self._process = context.process

    def needs_visit(self, folder: WalkedFolder) -> bool:
        """Whether a case file may need work, by the names in it."""
        names = _record_names(folder)
        if not names:
            return False
        if not _has_kind(names, "done") or self._may_be_unlogged(folder):
            return True
        policy = self._context.policy
        # Nothing came after it but a person's approval, which may have been interrupted.
        newest = max(name for name in names if name.kind != "logged")
        may_wait = newest.kind in ("done", APPROVED) and folder.section == INCIDENTS
        return may_wait and isinstance(policy, Policy) and self._plan_may_wait(folder, policy)

    async def finish(self, folder: WalkedFolder) -> UnfinishedIncident | None:
        """Finish one case file; None if there is nothing to do.

        Raises:
            Retry: Transient; the next round tries again.
            GiveUp: A record cannot be read.
        """
        incident = _incident_of(folder)
        if _has_kind(_record_names(folder), "done"):
            unlogged = (
                await self._unlogged_outcome(incident, folder)
                if self._may_be_unlogged(folder)
                else None
            )
            return unlogged or await self._expire(incident, folder)
        summary = await self._read_summary(incident, folder.folder)
        if not is_inactive(summary.records, self._process.clock()) or summary.outcome is not None:
            return None
        if folder.section != INCIDENTS and await self._superseded(incident):
            return None
        try:
            return UnfinishedIncident(incident, await self._resume(summary))
        except IncidentError as error:
            return self._unfinished_incident(incident, error)

    def _plan_may_wait(self, folder: WalkedFolder, policy: Policy) -> bool:
        """Whether a plan about this event may still wait, by the date in the incident's id."""
        oldest = oldest_waiting_event(policy, self._process.clock())
        return event_day(_incident_of(folder)) >= f"{oldest:%Y%m%d}"

    def _may_be_unlogged(self, folder: WalkedFolder) -> bool:
        """Whether a run may have crashed before it logged a recent incident's outcome."""
        oldest = self._process.clock() - _CLOCK_TOLERANCE
        recent = event_day(_incident_of(folder)) >= f"{oldest:%Y%m%d}"
        return recent and not _has_kind(_record_names(folder), "logged")

    async def _unlogged_outcome(
        self, incident: str, folder: WalkedFolder
    ) -> UnfinishedIncident | None:
        """The outcome that is to be logged again; None while its run may still log it."""
        summary = await self._read_summary(incident, folder.folder)
        case_file = CaseFile(self._process.journal(summary.folder), summary.records)
        threshold = self._process.clock() - _LOGGING_GRACE
        if not case_file.done or summary.records[-1].recorded_at >= threshold:
            return None
        return UnfinishedIncident(incident, repeated_result(case_file, case_file.done))

    async def _expire(self, incident: str, folder: WalkedFolder) -> UnfinishedIncident | None:
        """End a plan that waited too long."""
        policy = self._context.policy
        if not isinstance(policy, Policy):
            return None
        journal = self._process.journal(folder.folder.rstrip("/"))
        done = await journal.record(DONE_NUMBER, "done")
        first = done.outcome if done else None
        if first is None or first.status is not Status.AWAITING_APPROVAL:
            return None
        summary = await self._read_summary(incident, folder.folder)
        if not is_stale(summary, policy, self._process.clock()):
            return None
        response = await expire_approval(self._process, summary, policy)
        if response is None:
            response = await self._finish_approval(summary)
        return UnfinishedIncident(incident, replace(response, alarm=True)) if response else None

    async def _finish_approval(self, summary: CaseSummary) -> Response | None:
        """Conclude an interrupted approval; nothing is written to the workload."""
        request = await finishing_request(self._process, summary, "patrol")
        try:
            return await respond(self._process, request)
        except RequestRefused:
            return None

    async def _resume(self, summary: CaseSummary) -> Response:
        """Run the incident again from SCC's record; a recorded outcome is only published."""
        process, redactor = self._process, self._process.redactor()
        case_file = CaseFile(process.journal(summary.folder), summary.records)
        if case_file.concluded:
            alarm = case_file.alarm
            return await publish(process, case_file, case_file.concluded, redactor, alarm=alarm)
        try:
            request = await request_about(process, summary, Trigger.DELIVERY, None)
        except (Retry, Denied):
            raise
        except GiveUp as error:
            reason = self._context.redact(error)
            case_url = f"{process.store_url}/{summary.folder}"
            outcome = closing_outcome(summary, reason, case_url)
            outcome = replace(outcome, simulated=process.simulated or None)
            outcome = await case_file.conclude(outcome, alarm=True)
            return await publish(process, case_file, outcome, redactor, alarm=True)
        # It was not muted when it was begun, and an open write must be finished.
        finding = replace(request.finding, mute="")
        route = process.route(Notification(finding, deleted=False))
        result = await respond(process, replace(request, finding=finding, route=route))
        if result.outcome.status is Status.IGNORED:
            # It is out of scope by now, but work had begun, so it gets an outcome.
            done = await case_file.finish(result.outcome)
            logged_record = case_file.logged_record(done) if done else None
            return replace(result, case_file=case_file.folder, logged_record=logged_record)
        return result

    async def _superseded(self, incident: str) -> bool:
        """Whether the same incident was enforced after this dry run."""
        return bool(await self._process.store.list(f"{case_file_folder(INCIDENTS, incident)}/"))

    async def _read_summary(self, incident: str, folder: str) -> CaseSummary:
        journal = self._process.journal(folder.rstrip("/"))
        return CaseSummary(incident, journal.folder, await journal.records())

    def _unfinished_incident(self, incident: str, error: IncidentError) -> UnfinishedIncident:
        return UnfinishedIncident(incident, None, self._context.redact(error))


def oldest_waiting_event(policy: Policy, now: datetime) -> datetime:
    """The oldest event whose plan may still wait; older ones expired or were never planned."""
    longest_wait = policy.approval_lifetime + policy.guards.max_finding_age
    return now - longest_wait - _CLOCK_TOLERANCE


def is_inactive(records: Sequence[Record], now: datetime) -> bool:
    """Whether an incident had no activity for long enough; each resumption takes longer."""
    if not records:
        return False
    moments = [record.recorded_at for record in records]
    limit = max(INACTIVITY_LIMIT, (max(moments) - min(moments)) * _INACTIVITY_GROWTH)
    return now - max(moments) > limit


def _incident_of(folder: WalkedFolder) -> str:
    """The incident whose case file a folder is; the folder may have any other name as well."""
    return folder.folder.rstrip("/").rpartition("/")[2]


def _record_names(folder: WalkedFolder) -> list[RecordName]:
    """The numbers and kinds of a case file's records; evidence lies deeper."""
    names = (path.removeprefix(folder.folder) for path in folder.paths)
    return [name for name in map(parse_record_name, names) if name]


def _has_kind(names: Iterable[RecordName], kind: str) -> bool:
    return any(name.kind == kind for name in names)


def closing_outcome(summary: CaseSummary, reason: str, case_file: str) -> Outcome:
    """The outcome of an incident that ran out of deliveries and cannot be reopened.

    Where a containment was recorded, the status is what it was; anything else has failed.
    """
    first: JsonObject = summary.records[0].body
    contained = next((r.body for r in reversed(summary.records) if r.kind == "contained"), None)
    recorded = {**contained, "gaps": []} if contained else {"status": Status.FAILED.value}
    workload = Workload.from_resource_name(json_string(first.get("workload")))
    before = Outcome.from_json(recorded)
    return Outcome(
        status=before.status,
        incident=summary.incident,
        finding=ReportedFinding(
            name=json_string(first.get("finding")), event_time=parse_time(first.get("event_time"))
        ),
        workload=ReportedWorkload.of(workload) if workload else None,
        decision=ReportedDecision(Verdict.HOLD, (reason,)),
        changes=before.changes,
        containment=before.containment,
        gaps=(Gap("security-center", reason),),
        links=Links(case_file=case_file),
    )
