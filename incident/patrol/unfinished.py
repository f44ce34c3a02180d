"""Incidents that nobody is at any more: whose deliveries ran out, and plans nobody approved."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from incident.case_file.case_file import DONE_NUMBER, CaseFile
from incident.case_file.index import CaseSummary
from incident.case_file.journal import SCHEMA_VERSION, Record
from incident.case_file.manifest import manifest_number
from incident.case_file.manifest_chain import try_extend_manifest_chain
from incident.model import (
    Denied,
    GiveUp,
    IncidentError,
    Json,
    JsonObject,
    Notification,
    Retry,
    Status,
    Verdict,
    Workload,
)
from incident.model.json_text import json_string, workload_json
from incident.patrol.context import PatrolContext
from incident.patrol.walk import INCIDENTS, WalkedFolder
from incident.policy.resolve import Policy
from incident.response.apply import apply_proposal
from incident.response.approvals import APPROVED, expire_approval, is_stale
from incident.response.conclude import Concluder
from incident.response.context import DeliveryResult
from incident.response.duplicates import is_outcome_listed, repeated_result
from incident.response.incident import IncidentRun
from incident.response.propose import propose_finishing
from incident.response.reopen import reopen_claim

#: Between two deliveries lie at most the back-off of 600 s and an ack deadline of 600 s that
#: ran out: who is silent for longer gets no delivery any more.
INACTIVITY_LIMIT = timedelta(minutes=20)
#: A case that stays unfinished is taken up ever more seldom: its records must not pile up.
_INACTIVITY_GROWTH = 0.5
#: Events and the records about them may be told by clocks that differ.
_CLOCK_TOLERANCE = timedelta(days=7)
#: Whoever has recorded an outcome lists it right after; longer nobody is at it.
_LISTING_GRACE = timedelta(minutes=5)
_OUTCOME_KINDS = frozenset({"done", *(status.value for status in Status)})
_RECORD_NAME = re.compile(r"(\d{4,9})-([a-z-]+)\.json")


@dataclass(frozen=True, slots=True)
class UnfinishedIncident:
    """What a patrol did about a case file.

    Attributes:
        incident: The incident's id.
        result: What it came to; None where it is not finished.
        note: Why it is not finished; empty where it is.
    """

    incident: str
    result: DeliveryResult | None
    note: str = ""


class IncidentFinisher:
    """Finishes incidents, one at a time."""

    def __init__(self, context: PatrolContext) -> None:
        """Finish incidents for one round."""
        self._context = context
        self._process_context = context.process_context
        self._ports = context.ports
        self._records = context.records

    def needs_visit(self, folder: WalkedFolder) -> bool:
        """Whether a case file's names alone say that there may be something to do."""
        kinds = _record_kinds(folder)
        if not kinds:
            return False
        if "done" not in kinds.values() or self._manifests_missing(folder):
            return True
        policy = self._context.policy
        # Nothing came after it but a person's yes, of which nothing may have come.
        may_wait = kinds[max(kinds)] in ("done", APPROVED) and folder.section == INCIDENTS
        return may_wait and isinstance(policy, Policy) and self._plan_may_wait(folder, policy)

    async def finish(self, folder: WalkedFolder) -> UnfinishedIncident | None:
        """What became of one case file; None where there is nothing to do.

        Raises:
            Retry: Time may heal it; the next patrol looks again.
            GiveUp: A record cannot be read.
        """
        incident = folder.folder.rstrip("/").rpartition("/")[2]
        if "done" in _record_kinds(folder).values():
            unlogged = (
                await self._list_objects(incident, folder)
                if self._manifests_missing(folder)
                else None
            )
            return unlogged or await self._expire(incident, folder)
        summary = await self._read_summary(incident, folder.folder)
        if not is_inactive(summary.records, self._records.clock()) or summary.outcome is not None:
            return None
        if folder.section != INCIDENTS and await self._superseded(incident):
            return None
        try:
            return UnfinishedIncident(incident, await self._resume(summary))
        except IncidentError as error:
            return self._unfinished_incident(incident, error)

    def _plan_may_wait(self, folder: WalkedFolder, policy: Policy) -> bool:
        """Whether a plan about this event may still wait; the id tells the event's date."""
        day = folder.folder.split("/")[1][:8]
        return day >= f"{oldest_waiting_event(policy, self._records.clock()):%Y%m%d}"

    def _manifests_missing(self, folder: WalkedFolder) -> bool:
        """Whether a run may have died before it listed what it wrote, as names tell.

        To each outcome that is on record belong two manifests: one before it was told, and one
        after it was recorded. Long after the event nothing new is to be expected any more.
        """
        day = folder.folder.split("/")[1][:8]
        outcomes = [
            at
            for at, kind in _record_kinds(folder).items()
            if at >= DONE_NUMBER and kind in _OUTCOME_KINDS
        ]
        links = [path for path in folder.paths if manifest_number(path.removeprefix(folder.folder))]
        recent = day >= f"{self._records.clock() - _CLOCK_TOLERANCE:%Y%m%d}"
        return recent and len(links) < 2 * len(outcomes)

    async def _list_objects(self, incident: str, folder: WalkedFolder) -> UnfinishedIncident | None:
        """List what a run left unlisted that nobody is at any more.

        Returns:
            The outcome, where nobody is known to have heard of it.
        """
        summary = await self._read_summary(incident, folder.folder)
        threshold = self._records.clock() - _LISTING_GRACE
        if not summary.outcome or summary.records[-1].recorded_at >= threshold:
            return None
        case_file = CaseFile(self._context.journal(summary.folder), summary.records)
        was_logged, done = await is_outcome_listed(case_file), case_file.done
        await try_extend_manifest_chain(
            self._records.store, summary.folder, summary.outcome.get("containment")
        )
        return (
            None
            if was_logged or not done
            else UnfinishedIncident(incident, repeated_result(case_file, done))
        )

    async def _expire(self, incident: str, folder: WalkedFolder) -> UnfinishedIncident | None:
        """End a plan that waited too long."""
        policy = self._context.policy
        if not isinstance(policy, Policy):
            return None
        path = f"{folder.folder}{DONE_NUMBER:04d}-done.json"
        if b'"awaiting-approval"' not in (await self._records.store.read(path) or b""):
            return None
        summary = await self._read_summary(incident, folder.folder)
        if not is_stale(summary, policy, self._records.clock()):
            return None
        redactor = self._process_context.redactor()
        outcome = await expire_approval(summary, policy, self._records, self._ports, redactor)
        if outcome is None:
            outcome = await self._finish_approval(summary)
        return (
            UnfinishedIncident(incident, DeliveryResult(outcome, alarm=True)) if outcome else None
        )

    async def _finish_approval(self, summary: CaseSummary) -> JsonObject | None:
        """Tell what an approval did that was interrupted; nothing is written to the workload."""
        proposal = await propose_finishing(summary, self._process_context, self._ports, "patrol")
        return await apply_proposal(proposal) if proposal else None

    async def _resume(self, summary: CaseSummary) -> DeliveryResult:
        """The ordinary road, from SCC's record of the finding; a settled outcome is just told."""
        case_file = CaseFile(self._context.journal(summary.folder), summary.records)
        conclusion = Concluder(summary.incident, self._process_context, self._ports)
        redactor = self._process_context.redactor()
        if case_file.concluded:
            settled = DeliveryResult(case_file.concluded, alarm=case_file.alarm)
            return await conclusion.publish_outcome(case_file, settled, None, redactor)
        try:
            claim = await reopen_claim(summary, self._ports.security_center)
        except (Retry, Denied):
            raise
        except GiveUp as error:
            return await self._close_incident(case_file, summary, str(error))
        # It was not muted when it was taken up, and what its write began is to be finished.
        claim = replace(claim, mute="")
        route = self._process_context.route(Notification(claim, deleted=False))
        result = await IncidentRun(claim, route, self._process_context, self._ports).respond()
        if result.outcome.get("status") == Status.IGNORED:
            # By now it is none of our business; but work on it had begun, so it has an end.
            await case_file.finish(result.outcome)
            await try_extend_manifest_chain(self._records.store, case_file.folder)
        return result

    async def _close_incident(
        self, case_file: CaseFile, summary: CaseSummary, reason: str
    ) -> DeliveryResult:
        """End an incident that nobody can take up again, with what its records say."""
        reason = self._context.redact(reason)
        outcome = closing_outcome(
            summary, reason, f"{self._process_context.store_url}/{summary.folder}"
        )
        conclusion = Concluder(summary.incident, self._process_context, self._ports)
        stored = await case_file.conclude(outcome, alarm=True)
        settled = DeliveryResult(stored, alarm=True)
        return await conclusion.publish_outcome(
            case_file, settled, None, self._process_context.redactor()
        )

    async def _superseded(self, incident: str) -> bool:
        """Whether a rehearsal was overtaken by the same incident in earnest."""
        return bool(await self._records.store.list(f"{INCIDENTS}/{incident}/"))

    async def _read_summary(self, incident: str, folder: str) -> CaseSummary:
        journal = self._context.journal(folder.rstrip("/"))
        return CaseSummary(incident, journal.folder, await journal.records())

    def _unfinished_incident(self, incident: str, error: IncidentError) -> UnfinishedIncident:
        return UnfinishedIncident(incident, None, self._context.redact(error))


def oldest_waiting_event(policy: Policy, now: datetime) -> datetime:
    """No plan about an older event still waits: it was expired, or too old to be made."""
    longest_wait = policy.approval_expires + policy.guards.max_finding_age
    return now - longest_wait - _CLOCK_TOLERANCE


def is_inactive(records: Sequence[Record], now: datetime) -> bool:
    """Whether nobody has been at an incident for long enough; with each try it takes longer."""
    if not records:
        return False
    moments = [record.recorded_at for record in records]
    limit = max(INACTIVITY_LIMIT, (max(moments) - min(moments)) * _INACTIVITY_GROWTH)
    return now - max(moments) > limit


def _record_kinds(folder: WalkedFolder) -> dict[int, str]:
    """The records of a case file, by number, as their names tell; evidence lies deeper."""
    names = (path.removeprefix(folder.folder) for path in folder.paths)
    found = filter(None, map(_RECORD_NAME.fullmatch, names))
    return {int(match[1]): match[2] for match in found}


def closing_outcome(summary: CaseSummary, reason: str, case_file: str) -> dict[str, Json]:
    """The outcome of an incident that ran out of deliveries and cannot be taken up again.

    Where a containment was recorded, the status is what it was; anything else has failed.
    """
    first: JsonObject = summary.records[0].body
    contained = next((r.body for r in reversed(summary.records) if r.kind == "contained"), None)
    containment: JsonObject = contained or {}
    unknown: dict[str, Json] = dict.fromkeys(
        ("responder", "rule", "mode", "assessment", "detected", "drains_until")
    )
    changes = containment.get("changes")
    return {
        "schema_version": SCHEMA_VERSION,
        "incident": summary.incident,
        **unknown,
        "status": containment.get("status") or Status.FAILED.value,
        "finding": {"name": first.get("finding"), "event_time": first.get("event_time")},
        "workload": _workload_json(first.get("workload")),
        "decision": {"verdict": Verdict.HOLD.value, "reasons": [reason]},
        "changes": changes if isinstance(changes, list) else [],
        "containment": containment.get("containment"),
        "gaps": [{"collector": "security-center", "reason": reason}],
        "timings_ms": {},
        "links": {"case_file": case_file},
    }


def _workload_json(resource_name: Json) -> Mapping[str, Json] | None:
    """The workload of a resource name, as an outcome has it."""
    workload = Workload.from_resource_name(json_string(resource_name))
    if workload is None:
        return None
    return {**workload_json(workload), "revision": None, "execution": None}
