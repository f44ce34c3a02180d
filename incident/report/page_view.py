"""What the page of an incident shows, as typed values; the template only lays them out. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from incident.model import (
    ChangeState,
    Confidence,
    ExposureTopic,
    Json,
    JsonObject,
    Kind,
    Lookup,
    PlaybookTask,
    Status,
    Technique,
)
from incident.model.durations import format_milliseconds
from incident.model.json_text import parse_time
from incident.model.outcome import Detected, Outcome, ReportedAssessment
from incident.report.activity import ActivityEntry, activity_entries, timings
from incident.report.evidence_tables import (
    DescribedRow,
    Table,
    affected_revision,
    affected_tables,
    evidence_tables,
    log_table,
    process_rows,
)
from incident.report.exposure_columns import (
    ExposureColumn,
    command_line,
    exposure_columns,
    short_name,
)
from incident.report.indicators import Indicator, indicators
from incident.report.log_lines import decisive_lines, log_lines
from incident.report.page_words import duration_between, stamp, what_happened
from incident.report.status_texts import (
    RunState,
    Tone,
    elsewhere_text,
    is_reverted,
    status_text,
)
from incident.report.terminal import diff_lines
from incident.report.timeline import TimelineEvent, attack_timeline

#: Statuses whose verdict quotes the decision's first reason, and those that quote a write's error.
_REASON_STATUSES = frozenset({Status.HELD, Status.FAILED, Status.EXPIRED, Status.RELEASED})
_ERROR_STATUSES = frozenset({Status.FAILED, Status.UNVERIFIED, Status.RESTRICTED})
_STOPPED_KINDS = ("verified", "contained")
_NEXT_ACTIONS = 3
_READ, _DISABLES = "Read ", "disable-service-account"
_LONGEST_COMMAND = 110
_SEVERE = frozenset({"CRITICAL", "HIGH"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict at the top.

    Attributes:
        status: The status, as a word or two.
        state: Whether the workload runs.
        since: Since when, or when that was seen.
        elsewhere: Where the same code still runs; empty where nothing is known of it.
        tone: How urgent it looks.
        meaning: What was done, in a sentence.
        reason: Why; empty where the assessment says it.
        notes: What else has to be known at once.
    """

    status: str
    state: RunState
    since: str
    elsewhere: str
    tone: Tone
    meaning: str
    reason: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chip:
    """A label with a value in one or two words."""

    label: str
    value: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class ChangeView:
    """A change as a diff.

    Attributes:
        title: The action and its state.
        target: What is written to, and which fields.
        irreversible: Whether nothing takes it back.
        error: Why it failed; empty if it did not.
        diff: Its lines: ``-`` before, ``+`` after, else unchanged.
    """

    title: str
    target: str
    irreversible: bool
    error: str
    diff: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Action:
    """One of the next actions: the task, its first sentence, its command where that is short."""

    task: PlaybookTask
    text: str
    command: str


@dataclass(frozen=True, slots=True)
class OwnSteps:
    """The steps of the responder and of operators: one line, and all of them."""

    summary: str
    entries: tuple[ActivityEntry, ...]


@dataclass(frozen=True, slots=True)
class PageView:
    """Everything that the page shows, in its order."""

    outcome: Outcome
    printed_id: str
    title: str
    verdict: Verdict
    chips: tuple[Chip, ...]
    facts: tuple[DescribedRow, ...]
    indicators: tuple[Indicator, ...]
    actions: tuple[Action, ...]
    event_day: str
    events: tuple[TimelineEvent, ...]
    missing_sources: tuple[str, ...]
    own_steps: OwnSteps
    exposure: tuple[ExposureColumn, ...]
    changes: tuple[ChangeView, ...]
    affected: tuple[Table, ...]
    decisive: Table
    tasks: tuple[PlaybookTask, ...]
    reasons: tuple[str, ...]
    gaps: tuple[tuple[str, str], ...]
    process: tuple[DescribedRow, ...]
    techniques: tuple[Technique, ...]
    tables: tuple[Table, ...]
    stages: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CaseFileContents:
    """The contents of a case file.

    Attributes:
        outcome: The outcome.
        evidence: Evidence by its collector, ``logs`` as a list of entries; all of it redacted.
        records: The records, in order.
        containment: Records of the containment that the outcome names, in order.
        updated_at: When the outcome was updated; None for a first outcome.
    """

    outcome: Outcome
    evidence: Mapping[str, Json]
    records: Sequence[JsonObject]
    containment: Sequence[JsonObject] = ()
    updated_at: datetime | None = None


_TIMELINE_SOURCES = ("related-findings", "audit-log", "revisions", "executions", "logs")


def page_view(case: CaseFileContents) -> PageView:
    """What the page of a case shows."""
    outcome, evidence = case.outcome, case.evidence
    assessment = outcome.assessment or ReportedAssessment()
    unread = {gap.collector for gap in outcome.gaps} - evidence.keys()
    event_time = outcome.finding.event_time if outcome.finding else None
    lines = log_lines(evidence.get("logs"))
    known = indicators(outcome, ())
    decisive = decisive_lines(lines, event_time, [each.value for each in known])
    other_lines = [line for line in lines if line not in decisive]
    reason = main_reason(outcome)
    tasks = assessment.playbook.people
    return PageView(
        outcome=outcome,
        printed_id=re.sub(r"[^0-9A-Za-z-]", "", outcome.incident or "none"),
        title=f"{_subject(outcome)}: {what_happened(outcome)}",
        verdict=_verdict(case, reason),
        chips=tuple(_chips(outcome, assessment)),
        facts=tuple(_facts(case, assessment)),
        indicators=indicators(outcome, decisive),
        actions=tuple(_action(task) for task in tasks[:_NEXT_ACTIONS]),
        event_day=f"{event_time:%Y-%m-%d}" if event_time else "",
        events=attack_timeline(outcome, evidence, decisive),
        missing_sources=tuple(name for name in _TIMELINE_SOURCES if name in unread),
        own_steps=_own_steps(case, unread),
        exposure=exposure_columns(outcome),
        changes=tuple(_change_views(outcome)),
        affected=affected_tables(outcome),
        decisive=log_table(decisive, "decisive"),
        tasks=tasks,
        reasons=tuple(_reasons(outcome, assessment, reason)),
        gaps=tuple(grouped_gaps(outcome, reason)),
        process=tuple(process_rows(outcome)),
        techniques=assessment.techniques,
        tables=evidence_tables(outcome, evidence, other_lines, _stopped_at(case)),
        stages=tuple(_stages(outcome)),
        links=tuple(_links(outcome)),
    )


def main_reason(outcome: Outcome) -> str:
    """The reason for the status: an error of a write, else the decision's first reason."""
    reasons, reverted = outcome.decision.reasons or ("",), is_reverted(outcome)
    if outcome.status in _ERROR_STATUSES and not reverted:
        errors = [change.error for change in outcome.changes if change.error]
        if errors:
            return errors[0]
    quoted = outcome.status in _REASON_STATUSES or (
        outcome.status is Status.UNVERIFIED and reverted
    )
    return reasons[0] if quoted else ""


def grouped_gaps(outcome: Outcome, reason: str) -> Iterator[tuple[str, str]]:
    """Collectors and reason of each gap; those of one reason are one entry.

    Args:
        outcome: The outcome.
        reason: The reason in the verdict; its gaps only refer to it.
    """
    by_reason: dict[str, list[str]] = {}
    for gap in outcome.gaps:
        by_reason.setdefault(gap.reason, []).append(gap.collector)
    for text, collectors in by_reason.items():
        yield ", ".join(collectors), "the reason at the top" if text == reason else text


def _subject(outcome: Outcome) -> str:
    return outcome.workload.name if outcome.workload else "Unknown workload"


def _place(outcome: Outcome) -> str:
    workload = outcome.workload
    if workload is None:
        return "The finding names no Cloud Run workload"
    parts = (workload.kind.label, workload.project, workload.location)
    return f"{workload.name} ({', '.join(parts)})"


def _verdict(case: CaseFileContents, reason: str) -> Verdict:
    outcome = case.outcome
    text = status_text(outcome)
    return Verdict(
        status=outcome.status.value.replace("-", " ").upper(),
        state=text.state,
        since=_since(case) if text.state else "",
        elsewhere=elsewhere_text(outcome),
        tone=text.tone,
        meaning=text.meaning,
        reason=reason,
        notes=tuple(_notes(outcome)),
    )


def _since(case: CaseFileContents) -> str:
    """Since when it runs or not, where records say so; else when that was seen last."""
    status = case.outcome.status
    stopped = _stopped_at(case)
    if status is Status.CONTAINED and stopped:
        return f"since {stamp(stopped)}"
    times = {record.get("kind"): at for at, record in _timed((*case.records, *case.containment))}
    if status is Status.RELEASED and "released" in times:
        return f"since {stamp(times['released'])}"
    seen = case.updated_at or max(times.values(), default=None)
    if seen is None and case.outcome.finding:
        seen = case.outcome.finding.event_time
    return f"as of {stamp(seen)}" if seen else ""


def _timed(records: Iterable[JsonObject]) -> Iterator[tuple[datetime, JsonObject]]:
    return ((at, record) for record in records if (at := parse_time(record.get("recorded_at"))))


def _stopped_at(case: CaseFileContents) -> datetime | None:
    """When the workload was read back as contained first."""
    found = (
        at
        for at, record in _timed((*case.containment, *case.records))
        if record.get("kind") in _STOPPED_KINDS
    )
    return min(found, default=None)


def _notes(outcome: Outcome) -> Iterator[str]:
    workload, status = outcome.workload, outcome.status
    if status is Status.AWAITING_APPROVAL and outcome.approval_expires:
        yield f"The plan expires {stamp(outcome.approval_expires)}. The role `approver` approves."
    if status is Status.CONTAINED and outcome.drains_until:
        yield f"Requests in flight end by {stamp(outcome.drains_until)}."
    if status in (Status.CONTAINED, Status.RESTRICTED) and outcome.starts_until:
        yield f"It can be started until {stamp(outcome.starts_until)}: IAM changes take time."
    if workload and workload.function:
        yield f"It is the Cloud Run function {workload.function}: deploying it lifts a containment."


def _chips(outcome: Outcome, assessment: ReportedAssessment) -> Iterator[Chip]:
    severity = (outcome.finding.severity if outcome.finding else None) or "not given"
    yield Chip("Severity", severity, Tone.BAD if severity in _SEVERE else Tone.WARN)
    if outcome.assessment is None:
        return
    confidence = assessment.confidence
    sure = confidence is Confidence.HIGH
    yield Chip("Confidence", confidence.value if confidence else "none", _tone(serious=sure))
    if outcome.workload is None:
        return
    exposure, open_wide = _exposure(outcome.workload.kind, assessment)
    yield Chip("Exposure", exposure, _tone(serious=open_wide))
    for topic, label in (
        (ExposureTopic.IDENTITY, "Identity"),
        (ExposureTopic.SECRETS, "Secrets in reach"),
    ):
        facts = [fact for fact in assessment.exposure if fact.topic is topic]
        names = list(dict.fromkeys(short_name(name) for fact in facts for name in fact.names))
        accounts = ", ".join(name.partition("@")[0] for name in names)
        value = str(len(names)) if topic is ExposureTopic.SECRETS else accounts
        if not all(fact.known for fact in facts) or not facts:
            value, names = "not known", [""]
        elif topic is ExposureTopic.IDENTITY and _account_is_disabled(outcome):
            value, names = f"{value}, disabled", []
        yield Chip(label, value or "none", _tone(serious=bool(names)))


def _account_is_disabled(outcome: Outcome) -> bool:
    """Whether the responder disabled the runtime account."""
    return outcome.status is not Status.RELEASED and any(
        _DISABLES in change.action.split("+") and change.state is ChangeState.VERIFIED
        for change in outcome.changes
    )


def _tone(*, serious: bool) -> Tone:
    return Tone.WARN if serious else Tone.CALM


def _exposure(kind: Kind, assessment: ReportedAssessment) -> tuple[str, bool]:
    """Who reaches it, in a few words; and whether that is anybody."""
    entry, callers = (
        [fact for fact in assessment.exposure if fact.topic is topic]
        for topic in (ExposureTopic.ENTRY_POINT, ExposureTopic.CALLERS)
    )
    if not all(fact.known for fact in (*entry, *callers)) or not entry:
        return "not known", True
    anybody = any(fact.serious for fact in callers)
    if kind not in (Kind.SERVICE, Kind.INSTANCE):
        return ("anybody may start it" if anybody else "no requests"), anybody
    if any(fact.serious for fact in entry):
        return f"internet, {'no authentication' if anybody else 'authenticated'}", anybody
    return "internal", False


def _facts(case: CaseFileContents, assessment: ReportedAssessment) -> Iterator[DescribedRow]:
    """Five facts: what, how known, process, where, when."""
    outcome = case.outcome
    detected, finding = outcome.detected or Detected(), outcome.finding
    category = (finding.category if finding else None) or "category not known"
    yield DescribedRow("What", assessment.summary or category)
    if detected.file or detected.sha256:
        yield DescribedRow("File", _file_text(detected))
    if detected.binary_path or detected.process:
        yield DescribedRow("Process", command_line(detected))
    yield DescribedRow("Where", ", ".join(filter(None, (_place(outcome), *_within(outcome)))))
    yield DescribedRow("When", _when(case))


def _file_text(detected: Detected) -> str:
    """VirusTotal's verdict, else the file's path."""
    known = detected.reputation
    if known and known.lookup is Lookup.KNOWN and known.engines:
        label = f": {known.label}" if known.label else ""
        return f"{known.malicious} of {known.engines} engines malicious{label}"
    file = detected.file or "not named"
    return f"{file} (unknown to VirusTotal)" if known and known.lookup is Lookup.UNKNOWN else file


def _within(outcome: Outcome) -> Iterator[str]:
    workload, detected = outcome.workload, outcome.detected
    if workload and workload.execution:
        yield f"execution {workload.execution}"
    if workload and workload.kind is not Kind.JOB:
        revision = affected_revision(outcome)
        yield f"revision {revision}" if revision else ""
    if detected and detected.container:
        yield f"container {detected.container}"


def _when(case: CaseFileContents) -> str:
    event = case.outcome.finding.event_time if case.outcome.finding else None
    if event is None:
        return "not known"
    stopped = _stopped_at(case) if case.outcome.status is Status.CONTAINED else None
    took = f"; contained {duration_between(event, stopped)} later" if stopped else ""
    return f"detected {stamp(event)}{took}"


def _action(task: PlaybookTask) -> Action:
    first = (task.command or "").partition("\n")[0]
    sentence, dot, _ = task.text.partition(". ")
    return Action(
        task, f"{sentence}." if dot else sentence, first if len(first) <= _LONGEST_COMMAND else ""
    )


def _own_steps(case: CaseFileContents, unread: set[str]) -> OwnSteps:
    entries = activity_entries(
        case.outcome, case.records, case.containment, case.updated_at, unread
    )
    if not entries:
        return OwnSteps("", ())
    first, last = entries[0].at, max(entry.at for entry in entries)
    steps = tuple(_with_reads_in_one(entries))
    status = case.outcome.status.value.replace("-", " ")
    summary = f"Responder: {status}, {len(steps)} steps in {duration_between(first, last)}"
    return OwnSteps(summary, steps)


def _with_reads_in_one(entries: Sequence[ActivityEntry]) -> Iterator[ActivityEntry]:
    """The steps; what was read side by side is one of them."""
    for (_, is_read), several in groupby(
        entries, lambda each: (each.at, each.text.startswith(_READ))
    ):
        first, *others = several
        if is_read and others:
            names = (each.text.removeprefix(_READ) for each in others)
            first = replace(first, text=", ".join((first.text, *names)))
            others = []
        yield from (first, *others)


def _change_views(outcome: Outcome) -> Iterator[ChangeView]:
    written = (ChangeState.APPLIED, ChangeState.VERIFIED, ChangeState.UNVERIFIED)
    for change in outcome.changes:
        released = outcome.status is Status.RELEASED and change.reversible
        state = "released since" if released and change.state in written else change.state.value
        fields = f", fields {', '.join(change.mask)}" if change.mask else ""
        yield ChangeView(
            title=f"{change.action}: {state}",
            target=f"{change.target}{fields}",
            irreversible=not change.reversible,
            error=change.error or "",
            diff=tuple(diff_lines(change.before, change.after)),
        )


def _reasons(outcome: Outcome, assessment: ReportedAssessment, reason: str) -> Iterator[str]:
    """Why it was assessed and decided so; without what stands elsewhere on the page."""
    sha256 = outcome.detected.sha256 if outcome.detected else None
    confirmed = any("Security Command Center" in text for text in outcome.decision.reasons)
    for each in assessment.reasons:
        repeated = confirmed and each.evidence == "security-center"
        if not repeated and not (sha256 and sha256 in each.text):
            yield f"{each.text} ({each.evidence})"
    for text in outcome.decision.reasons:
        if text != reason:
            yield f"{text} (decision)"


def _stages(outcome: Outcome) -> Iterator[tuple[str, str]]:
    for name, milliseconds in timings(outcome).items():
        yield name.replace("/", ": ").replace("-", " "), format_milliseconds(milliseconds)


def _links(outcome: Outcome) -> Iterator[tuple[str, str]]:
    links = outcome.links
    named = (
        ("Finding in Security Command Center", links.console),
        ("Workload in Cloud Run", links.workload),
        ("File on VirusTotal", links.virustotal),
    )
    yield from ((name, link) for name, link in named if link and link.startswith("https://"))
