"""Incidents that nobody is at any more: whose deliveries ran out, and plans nobody approved."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from incident.case_file.case_file import DONE, CaseFile
from incident.case_file.index import Case
from incident.case_file.journal import SCHEMA_VERSION, Record
from incident.case_file.manifest import number
from incident.case_file.manifest_chain import close
from incident.case_file.walk import INCIDENTS, Stop
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
)
from incident.patrol.context import Beat
from incident.policy.resolve import Policy
from incident.response.apply import carry_out
from incident.response.approvals import APPROVED, expire, stale
from incident.response.conclude import Conclusion
from incident.response.context import Answer
from incident.response.duplicates import is_listed, retold
from incident.response.incident import Incident
from incident.response.propose import propose_finishing
from incident.response.reopen import reopen

#: Between two deliveries lie at most the back-off of 600 s and an ack deadline of 600 s that
#: ran out: who is silent for longer gets no delivery any more.
PATIENCE = timedelta(minutes=20)
#: A case that stays unfinished is taken up ever more seldom: its records must not pile up.
_GROWTH = 0.5
#: Events and the records about them may be told by clocks that differ.
_SLACK = timedelta(days=7)
#: Whoever has recorded an outcome lists it right after; longer nobody is at it.
_AT_WORK = timedelta(minutes=5)
_OUTCOMES = frozenset({"done", *(status.value for status in Status)})
_RECORD = re.compile(r"(\d{4,9})-([a-z-]+)\.json")
_RESOURCE = re.compile(
    r"projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/(?P<kinds>[^/]+)/(?P<name>[^/]+)"
)
_KINDS = {"services": "service", "jobs": "job", "workerPools": "worker-pool"}


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a patrol did about a case file.

    Attributes:
        incident: The incident's id.
        answer: What it came to; None where it is not finished.
        note: Why it is not finished; empty where it is.
    """

    incident: str
    answer: Answer | None
    note: str = ""


class Leftovers:
    """Finishes incidents, one at a time."""

    def __init__(self, beat: Beat) -> None:
        """Finish incidents for one round."""
        self._beat = beat
        self._standing = beat.standing
        self._outside = beat.outside
        self._books = beat.books

    def wanted(self, stop: Stop) -> bool:
        """Whether a case file's names alone say that there may be something to do."""
        kinds = _records(stop)
        if not kinds:
            return False
        if "done" not in kinds.values() or self._unlisted(stop):
            return True
        policy = self._beat.policy
        # Nothing came after it but a person's yes, of which nothing may have come.
        waits = kinds[max(kinds)] in ("done", APPROVED) and stop.section == INCIDENTS
        return waits and isinstance(policy, Policy) and self._recent(stop, policy)

    async def finish(self, stop: Stop) -> Leftover | None:
        """What became of one case file; None where there is nothing to do.

        Raises:
            Retry: Time may heal it; the next patrol looks again.
            GiveUp: A record cannot be read.
        """
        incident = stop.folder.rstrip("/").rpartition("/")[2]
        if "done" in _records(stop).values():
            untold = await self._list(incident, stop) if self._unlisted(stop) else None
            return untold or await self._expire(incident, stop)
        case = await self._case(incident, stop.folder)
        if not silent(case.records, self._books.clock()) or case.outcome is not None:
            return None
        if stop.section != INCIDENTS and await self._moot(incident):
            return None
        try:
            return Leftover(incident, await self._take_up(case))
        except IncidentError as error:
            return self._unfinished(incident, error)

    def _recent(self, stop: Stop, policy: Policy) -> bool:
        """Whether a plan about this event may still wait; the id tells the event's date."""
        day = stop.folder.split("/")[1][:8]
        return day >= f"{oldest_event(policy, self._books.clock()):%Y%m%d}"

    def _unlisted(self, stop: Stop) -> bool:
        """Whether a run may have died before it listed what it wrote, as names tell.

        To each outcome that is on record belong two manifests: one before it was told, and one
        after it was recorded. Long after the event nothing new is to be expected any more.
        """
        day = stop.folder.split("/")[1][:8]
        outcomes = [at for at, kind in _records(stop).items() if at >= DONE and kind in _OUTCOMES]
        links = [path for path in stop.paths if number(path.removeprefix(stop.folder))]
        recent = day >= f"{self._books.clock() - _SLACK:%Y%m%d}"
        return recent and len(links) < 2 * len(outcomes)

    async def _list(self, incident: str, stop: Stop) -> Leftover | None:
        """List what a run left unlisted that nobody is at any more.

        Returns:
            The outcome, where nobody is known to have heard of it.
        """
        case = await self._case(incident, stop.folder)
        late = self._books.clock() - _AT_WORK
        if not case.outcome or case.records[-1].recorded_at >= late:
            return None
        file = CaseFile(self._beat.journal(case.folder), case.records)
        was_told, done = await is_listed(file), file.done
        await close(self._books.store, case.folder, case.outcome.get("containment"))
        return None if was_told or not done else Leftover(incident, retold(file, done))

    async def _expire(self, incident: str, stop: Stop) -> Leftover | None:
        """End a plan that waited too long."""
        policy = self._beat.policy
        if not isinstance(policy, Policy):
            return None
        path = f"{stop.folder}{DONE:04d}-done.json"
        if b'"awaiting-approval"' not in (await self._books.store.read(path) or b""):
            return None
        case = await self._case(incident, stop.folder)
        if not stale(case, policy, self._books.clock()):
            return None
        hide = self._standing.redactor()
        outcome = await expire(case, policy, self._books, self._outside, hide)
        if outcome is None:
            outcome = await self._finish_approval(case)
        return Leftover(incident, Answer(outcome, alarm=True)) if outcome else None

    async def _finish_approval(self, case: Case) -> JsonObject | None:
        """Tell what an approval did that was interrupted; nothing is written to the workload."""
        proposal = await propose_finishing(case, self._standing, self._outside, "patrol")
        return await carry_out(proposal) if proposal else None

    async def _take_up(self, case: Case) -> Answer:
        """The ordinary road, from SCC's record of the finding; a settled outcome is just told."""
        file = CaseFile(self._beat.journal(case.folder), case.records)
        conclusion = Conclusion(case.incident, self._standing, self._outside)
        hide = self._standing.redactor()
        if file.concluded:
            settled = Answer(file.concluded, alarm=file.alarm)
            return await conclusion.tell(file, settled, None, hide)
        try:
            claim = await reopen(case, self._outside.security_center)
        except (Retry, Denied):
            raise
        except GiveUp as error:
            return await self._close(file, case, str(error))
        # It was not muted when it was taken up, and what its write began is to be finished.
        claim = replace(claim, mute="")
        route = self._standing.route(Notification(claim, deleted=False))
        answer = await Incident(claim, route, self._standing, self._outside).respond()
        if answer.outcome.get("status") == Status.IGNORED:
            # By now it is none of our business; but work on it had begun, so it has an end.
            await file.finish(answer.outcome)
            await close(self._books.store, file.folder)
        return answer

    async def _close(self, file: CaseFile, case: Case, reason: str) -> Answer:
        """End an incident that nobody can take up again, with what its records say."""
        reason = self._beat.harmless(reason)
        outcome = closed(case, reason, f"{self._standing.store_url}/{case.folder}")
        conclusion = Conclusion(case.incident, self._standing, self._outside)
        told = await file.conclude(outcome, alarm=True)
        settled = Answer(told, alarm=True)
        return await conclusion.tell(file, settled, None, self._standing.redactor())

    async def _moot(self, incident: str) -> bool:
        """Whether a rehearsal was overtaken by the same incident in earnest."""
        return bool(await self._books.store.list(f"{INCIDENTS}/{incident}/"))

    async def _case(self, incident: str, folder: str) -> Case:
        journal = self._beat.journal(folder.rstrip("/"))
        return Case(incident, journal.folder, await journal.records())

    def _unfinished(self, incident: str, error: IncidentError) -> Leftover:
        return Leftover(incident, None, self._beat.harmless(error))


def oldest_event(policy: Policy, now: datetime) -> datetime:
    """No plan about an older event still waits: it was expired, or too old to be made."""
    waits = policy.approval_expires + policy.guards.max_finding_age
    return now - waits - _SLACK


def silent(records: Sequence[Record], now: datetime) -> bool:
    """Whether nobody has been at an incident for long enough; with each try it takes longer."""
    if not records:
        return False
    moments = [record.recorded_at for record in records]
    patience = max(PATIENCE, (max(moments) - min(moments)) * _GROWTH)
    return now - max(moments) > patience


def _records(stop: Stop) -> dict[int, str]:
    """The records of a case file, by number, as their names tell; evidence lies deeper."""
    names = (path.removeprefix(stop.folder) for path in stop.paths)
    found = filter(None, map(_RECORD.fullmatch, names))
    return {int(match[1]): match[2] for match in found}


def closed(case: Case, reason: str, case_file: str) -> dict[str, Json]:
    """The outcome of an incident that ran out of deliveries and cannot be taken up again.

    Where a containment was recorded, the status is what it was; anything else has failed.
    """
    first: JsonObject = case.records[0].body
    contained = next((r.body for r in reversed(case.records) if r.kind == "contained"), None)
    made: JsonObject = contained or {}
    unknown: dict[str, Json] = dict.fromkeys(
        ("responder", "rule", "mode", "assessment", "detected", "drains_until")
    )
    changes = made.get("changes")
    return {
        "schema_version": SCHEMA_VERSION,
        "incident": case.incident,
        **unknown,
        "status": made.get("status") or Status.FAILED.value,
        "finding": {"name": first.get("finding"), "event_time": first.get("event_time")},
        "workload": _workload(first.get("workload")),
        "decision": {"verdict": Verdict.HOLD.value, "reasons": [reason]},
        "changes": changes if isinstance(changes, list) else [],
        "containment": made.get("containment"),
        "gaps": [{"collector": "security-center", "reason": reason}],
        "timings_ms": {},
        "links": {"case_file": case_file},
    }


def _workload(name: Json) -> Mapping[str, Json] | None:
    """The workload of a resource name, as an outcome tells it."""
    match = _RESOURCE.fullmatch(str(name))
    if match is None or match["kinds"] not in _KINDS:
        return None
    return {
        "kind": _KINDS[match["kinds"]],
        "project": match["project"],
        "project_number": match["project"] if match["project"].isdigit() else None,
        "location": match["location"],
        "name": match["name"],
        "revision": None,
        "execution": None,
        "resource_name": name,
    }
