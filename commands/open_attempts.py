"""Work of a person on an incident that was begun and has no recorded result, for list and show."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from incident.case_file.index import CaseSummary
from incident.case_file.journal import ObjectStore
from incident.case_file.paths import (
    DRILLS,
    RecordName,
    containments_folder,
    parse_containment_path,
    parse_record_name,
)
from incident.model import Json, Status
from incident.model.concurrency import gather_all
from incident.model.json_text import time_text
from incident.response.records import APPROVED

_RELEASE_ENDS = frozenset({"released", "release-cancelled"})


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """A command that was begun and has no recorded result: it runs, or was interrupted.

    Attributes:
        command: ``approve``, ``contain``, ``release`` or ``drill``.
        by: Who began it; None if unknown.
        since: When it was begun; None if unknown.
        may_be_changed: Whether a write to the workload may have been sent.
    """

    command: str
    by: str | None = None
    since: datetime | None = None
    may_be_changed: bool = False

    @property
    def text(self) -> str:
        """The attempt in one line."""
        by = f" by {self.by}" if self.by else ""
        since = f" at {self.since:%Y-%m-%d %H:%M:%S} UTC" if self.since else ""
        changed = (
            "The workload may be changed" if self.may_be_changed else "Nothing was written yet"
        )
        return f"`{self.command}` was begun{by}{since} and has no result: {changed}"

    @property
    def json(self) -> dict[str, Json]:
        """The same for scripts."""
        return {
            "command": self.command,
            "by": self.by,
            "since": time_text(self.since),
            "workload_may_be_changed": self.may_be_changed,
        }


async def find_open_attempts(
    cases: Collection[CaseSummary], store: ObjectStore
) -> dict[str, OpenAttempt]:
    """The open attempts of some incidents, by case file.

    Reads names of records only, and of workloads that a write may have been sent to.

    Raises:
        Retry: The store does not answer.
        GiveUp: The store refuses.
    """
    begun = {case.folder: _attempt_in_case_file(case) for case in cases}
    relevant = [case for case in cases if begun[case.folder] or _has_containment(case)]
    folders = {
        case.folder: containments_folder(case.workload) for case in relevant if case.workload
    }
    names = sorted(set(folders.values()))
    lists = await gather_all(*(store.list(f"{name}/") for name in names))
    kinds = {name: _newest_kinds(paths) for name, paths in zip(names, lists, strict=True)}
    found: dict[str, OpenAttempt] = {}
    for case in relevant:
        records = kinds.get(folders.get(case.folder, ""), [])
        attempt = begun[case.folder]
        if attempt:
            attempt = OpenAttempt(attempt.command, attempt.by, attempt.since, _holds(records))
        elif _release_open(records):
            attempt = OpenAttempt("release", may_be_changed=True)
        if attempt:
            found[case.folder] = attempt
    return found


def _attempt_in_case_file(case: CaseSummary) -> OpenAttempt | None:
    """The approval that is newer than the newest outcome, or the drill that did not end."""
    outcomes = [record.number for record in case.records if "outcome" in record.body]
    newest = max(outcomes, default=0)
    for record in reversed(case.records):
        if record.kind == APPROVED and record.number > newest:
            waits = case.status == Status.AWAITING_APPROVAL
            command = "approve" if waits else "contain"
            return OpenAttempt(command, str(record.body.get("by")), record.recorded_at)
    if case.folder.startswith(f"{DRILLS}/") and case.records and not outcomes:
        first = case.records[0]
        return OpenAttempt("drill", str(first.body.get("by")), first.recorded_at)
    return None


def _has_containment(case: CaseSummary) -> bool:
    outcome = case.latest_outcome
    contained = outcome is not None and outcome.containment is not None
    return contained and case.status != Status.RELEASED


def _newest_kinds(paths: Iterable[str]) -> list[str]:
    """The kinds of the records of a workload's newest containment, in order."""
    found: dict[int, list[RecordName]] = {}
    for path in paths:
        containment = parse_containment_path(path)
        record = parse_record_name(containment.name) if containment else None
        if containment and record:
            found.setdefault(containment.number, []).append(record)
    return [record.kind for record in sorted(found[max(found)])] if found else []


def _holds(kinds: Collection[str]) -> bool:
    """Whether a write may have been sent that is not released."""
    attempts = [kind for kind in kinds if kind in ("snapshot", "abandoned", "written")]
    sent = "written" in attempts or attempts[-1:] == ["snapshot"]
    return sent and "released" not in kinds


def _release_open(kinds: Iterable[str]) -> bool:
    states = [kind for kind in kinds if kind == "release-started" or kind in _RELEASE_ENDS]
    return states[-1:] == ["release-started"]
