"""Publish an outcome, first or later: report, SCC, topic, chat room, and its record.

The steps are independent of one another and go side by side: the chat room is notified while SCC
does not answer. A first outcome is published once, however many runs it takes: what was done is on
record, and the record ``done`` comes last. A later outcome, such as a release, is not retried but
by its own trigger: its record comes last as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import datetime

from incident.case_file.case_file import CaseFile, publish_outcome
from incident.case_file.containments import released_by
from incident.case_file.paths import DONE_NUMBER
from incident.decision.process import Process
from incident.model import Finding, IncidentError, JsonObject, Retry
from incident.model.json_text import time_text
from incident.model.outcome import Outcome
from incident.redaction.redactor import Redactor
from incident.report.chat_body import chat_body
from incident.report.ocsf import topic_message
from incident.report.outcome_updates import has_active_containment, released_outcome
from incident.report.write_report import try_to_write_report
from incident.response.duplicates import answer_duplicate
from incident.response.finding_update import finding_update, send_update
from incident.response.playbook import with_current_plan
from incident.response.response import Response

#: Gaps that need no person now.
_QUIET_GAPS = frozenset({"webhook", "annotation"})


async def publish(  # noqa: PLR0913 - what is published, and what is known of it
    process: Process,
    case: CaseFile,
    outcome: Outcome,
    redactor: Redactor,
    *,
    listed: Finding | None = None,
    alarm: bool = False,
    contained_at: datetime | None = None,
    annotating: Awaitable[str | None] | None = None,
    once: bool = False,
) -> Response:
    """Publish an outcome and record it. Of an incident that is done, it is a later outcome.

    Args:
        process: What holds for this process.
        case: The incident's case file as read. Records that others write since take precedence
            over a later outcome.
        outcome: The outcome; a first one is recorded as ``concluded``.
        redactor: Redacts errors; knows all secrets read so far.
        listed: The finding as SCC listed it in this run; what it already has is not written again.
        alarm: Whether a person must act now.
        contained_at: When the containment was verified.
        annotating: The annotation of the workload, which goes on meanwhile; its result says why
            it is missing.
        once: Of a later outcome: whether one record is enough when several processes record it.

    Returns:
        The response, whose outcome has gaps for what failed.

    Raises:
        Retry: A service or the store does not answer. A redelivery does what is missing of a first
            outcome; nothing is recorded of a later one.
    """
    later = case.has_record("done")
    publication = _Publication(process, case, redactor, listed, later=later)
    if later:
        outcome, report_problem = await publication.renew(outcome)
    else:
        outcome, report_problem = await _unless_released(process, outcome), None
    steps: dict[str, Awaitable[str | None]] = {
        "report": _done(report_problem) if later else publication.write_report(outcome),
        "annotation": annotating or _done(None),
        "write-back": publication.update_finding(outcome),
        "announcement": publication.announce(outcome),
        "webhook": publication.notify_chat(outcome),
    }
    answers = await asyncio.gather(*steps.values(), return_exceptions=True)
    gaps: dict[str, str] = {}
    for name, answer in zip(steps, answers, strict=True):
        if isinstance(answer, BaseException):
            raise answer
        if answer:
            gaps[name] = redactor.text(answer)
            outcome = outcome.with_gap(name, gaps[name])
    response = Response(
        outcome,
        alarm=alarm or bool(gaps.keys() - _QUIET_GAPS),
        warning="webhook" in gaps,
        case_file=case.folder,
        contained_at=contained_at,
    )
    if later:
        await _record_later_outcome(case, outcome, once=once)
        return response
    done = await case.finish(outcome)
    if done is None:
        fresh = await case.reload()
        return await answer_duplicate(fresh, fresh.done or outcome, process)
    return replace(response, logged_record=case.logged_record(done))


@dataclass(frozen=True, slots=True)
class _Publication:
    """The steps of publishing; each returns why it cannot succeed, or None.

    Attributes:
        process: What holds for this process.
        case: The incident's case file.
        redactor: Redacts what a record says of a failure.
        listed: The finding as SCC listed it in this run.
        later: Whether it is a later outcome: its steps are done again, whatever is on record.
    """

    process: Process
    case: CaseFile
    redactor: Redactor
    listed: Finding | None
    later: bool

    async def renew(self, outcome: Outcome) -> tuple[Outcome, str | None]:
        """A later outcome with its plan filled in again and a report of its own, or why not."""
        outcome = await with_current_plan(outcome, self.process.policy, self.redactor)
        store, folder, now = self.process.store, self.case.folder, self.process.clock()
        path, problem = await try_to_write_report(store, folder, outcome, now)
        if path is None:
            return outcome, problem
        page = f"{outcome.links.case_file}/{path.removeprefix(f'{folder}/')}"
        return replace(outcome, links=replace(outcome.links, report=page)), None

    async def write_report(self, outcome: Outcome) -> str | None:
        """Write the report of a first outcome, once."""
        if self.case.has_record("report-written"):
            return None
        store, folder, began_at = self.process.store, self.case.folder, self.process.clock()
        path, problem = await try_to_write_report(store, folder, outcome)
        if path:
            await self._record("report-written", None, {"report": path}, began_at)
        return problem or None

    async def update_finding(self, outcome: Outcome) -> str | None:
        """Update the finding in Security Command Center."""
        case, listed = self.case, None if self.later else self.listed
        written = case.has_record("written-back")
        name = case.finding or (self.listed.filed_name if self.listed else None)
        update = finding_update(outcome, name, correction=self.later and written)
        if update is None or (written and not self.later):
            return None
        if not self.later and (refused := case.refusal_reason("not-written-back")):
            return refused
        began_at = self.process.clock()
        try:
            reason = await send_update(self.process.security_center, update, listed)
        except Retry as error:
            if not self.later:
                raise
            reason = str(error)  # nothing retries it
        reason = self.redactor.text(reason) if reason else None
        await self._record(
            "not-written-back" if reason else "written-back", reason, update.to_json(), began_at
        )
        return reason

    async def announce(self, outcome: Outcome) -> str | None:
        """Publish the outcome on the topic."""
        topic = self.process.topic
        if topic is None or (self.case.has_record("published") and not self.later):
            return None
        began_at = self.process.clock()
        message = topic_message(outcome, topic.format, began_at)
        reason = await publish_outcome(topic, outcome, message)
        kind = "not-published" if reason else "published"
        await self._record(kind, None, {"topic": topic.name}, began_at)
        return reason

    async def notify_chat(self, outcome: Outcome) -> str | None:
        """Send the message to the chat room.

        A failure is recorded and not retried, so that redeliveries for other reasons do not flood
        the room.
        """
        room = self.process.webhook
        if room is None or (self.case.has_record("notified") and not self.later):
            return None
        if not self.later and (refused := self.case.refusal_reason("not-notified")):
            return refused
        reason, began_at = None, self.process.clock()
        try:
            await room.send(chat_body(outcome, room.style))
        except IncidentError as error:
            reason = self.redactor.text(str(error))
        kind = "not-notified" if reason else "notified"
        await self._record(kind, reason, {"host": room.name}, began_at)
        return reason

    async def _record(
        self, kind: str, reason: str | None, body: JsonObject, began_at: datetime
    ) -> None:
        """Record a step of a first outcome; of a later one, what SCC was sent."""
        body = {**body, "began_at": time_text(began_at)}
        if reason:
            body = {**body, "reason": reason}
        if not self.later:
            await self.case.add_record(kind, body)
        elif kind.endswith("written-back"):
            await self.case.add_later_record(kind, body)


async def _done(problem: str | None) -> str | None:
    return problem


async def _unless_released(process: Process, outcome: Outcome) -> Outcome:
    """The outcome, changed to ``released`` if its containment was released meanwhile.

    A release is recorded before it updates the incidents that it finds concluded; a run
    records its outcome before it checks for a release. So one of the two sees the other.
    """
    by = await released_by(process.store, outcome.containment)
    if by is None or not has_active_containment(outcome):
        return outcome
    return released_outcome(outcome, by)


async def _record_later_outcome(case: CaseFile, outcome: Outcome, *, once: bool) -> None:
    """Record a later outcome under its status, after the records that it takes into account."""
    last = max((record.number for record in case.known_records), default=DONE_NUMBER)
    last = max(last, DONE_NUMBER)
    body = {"outcome": outcome.to_json()}
    if once:
        await case.journal.create(last + 1, outcome.status.value, body)
    else:
        await case.journal.append(last, outcome.status.value, body)
