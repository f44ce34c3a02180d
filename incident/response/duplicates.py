"""Answer a delivery of an incident that is done: a duplicate, or an outcome to be logged again.

A delivery asks the store for that before it asks Google for anything: our own marks and external
system on a finding come back as two more notifications of it.
"""

from __future__ import annotations

from datetime import timedelta

from incident.case_file.case_file import CaseFile
from incident.case_file.paths import DONE_NUMBER, INCIDENTS, case_file_folder, record_path
from incident.decision.process import Process
from incident.model import Finding
from incident.model.outcome import Outcome
from incident.model.retrying import Backoff
from incident.report.outcome_updates import duplicate_outcome
from incident.response.finding_update import has_incident_mark
from incident.response.response import Response

_POLL = Backoff(first_s=0.2, longest_s=0.3, factor=1.1)
#: Gaps that make an outcome one that a person must look at.
_ALARM_GAPS = frozenset({"report", "write-back", "announcement"})


class LoggedCases:
    """The case files whose outcome this process has logged, the newest ones, by path."""

    def __init__(self, most: int = 10_000) -> None:
        """Remember so many."""
        self._most = most
        self._folders: dict[str, None] = {}

    def add(self, folder: str) -> None:
        """Remember one; the oldest makes room."""
        self._folders[folder] = None
        if len(self._folders) > self._most:
            del self._folders[next(iter(self._folders))]

    def __contains__(self, folder: str) -> bool:
        return folder in self._folders


async def answer_if_done(claim: Finding, process: Process, logged: LoggedCases) -> Response | None:
    """The answer to a delivery of an incident that is done; None where it is not.

    One object is read, and a second where another process has logged the outcome. A notification
    that shows this incident's own mark was caused by the run that published the outcome: it waits
    until that run is done.

    Raises:
        Retry: The store does not answer.
        GiveUp: A record cannot be read.
    """
    folder, store = case_file_folder(INCIDENTS, claim.incident_id), process.store
    done = await process.journal(folder).record(DONE_NUMBER, "done")
    if done is None and not has_incident_mark(claim):
        return None
    outcome = done.outcome if done else None
    if outcome and (
        folder in logged or await store.read(record_path(folder, DONE_NUMBER, "logged")) is not None
    ):
        return Response(duplicate_outcome(outcome), case_file=folder)
    case = await process.case_file(folder)
    if not case.done and await case.wait_for_peer(process.peer_wait):
        case = await case.reload()
    return await answer_duplicate(case, case.done, process) if case.done else None


async def answer_duplicate(case: CaseFile, done: Outcome, process: Process) -> Response:
    """The answer to a delivery of an incident that is done.

    Args:
        case: The case file, with the record of the outcome.
        done: The outcome.
        process: What holds for every incident.

    Returns:
        A duplicate where the outcome was logged, else the outcome, to be logged.

    Raises:
        Retry: The store does not answer.
    """
    if await _was_logged(case, process.peer_wait):
        return Response(duplicate_outcome(done), case_file=case.folder)
    return repeated_result(case, done)


def repeated_result(case: CaseFile, done: Outcome) -> Response:
    """The result of the run that recorded the outcome, with the same severity."""
    missing = {gap.collector for gap in done.gaps}
    return Response(
        done,
        alarm=case.alarm or bool(missing & _ALARM_GAPS),
        warning="webhook" in missing,
        contained_at=case.contained_at,
        case_file=case.folder,
        logged_record=case.logged_record(),
    )


async def _was_logged(case: CaseFile, peer_wait: timedelta) -> bool:
    """Whether the outcome was logged. A run that recorded it just now is waited for."""
    if case.has_record("logged"):
        return True
    clock = case.journal.clock
    recorded_at = next((r.recorded_at for r in case.known_records if r.kind == "done"), clock())
    left_s = (peer_wait - max(clock() - recorded_at, timedelta(0))).total_seconds()

    async def logged() -> bool:
        return (await case.reload()).has_record("logged")

    return left_s > 0 and await _POLL.poll(logged, left_s)
