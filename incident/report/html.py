"""HTML report of an incident: one self-contained file, no scripts. Pure.

It is made of the stored outcome and evidence, which are redacted. The same case file gives the
same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from incident.model import ChangeKind, ChangeState, Json, JsonObject
from incident.model.decision import DRIFT_PREFIX
from incident.model.durations import format_milliseconds
from incident.model.json_text import parse_time
from incident.report.activity import COLLECTOR_PREFIX, activity_entries, timings
from incident.report.exposure_picture import exposure_columns
from incident.report.html_template import is_page, report_template
from incident.report.pictures import exposure_picture, timeline_picture
from incident.report.terminal import diff_lines
from incident.report.timeline import timeline

_MOST_LOGS = 200
_MOST_ROWS = 100
_HEADLINES = {
    "contained": "Stopped. The workload was contained, and read back stopped.",
    "already-contained": "Stopped before us. Somebody else had stopped the workload.",
    "restricted": "Access is cut, but what runs goes on running.",
    "planned": "Dry run. Nothing was written; this is what enforcing would do.",
    "awaiting-approval": "Waiting for a person. Nothing is written until the plan is approved.",
    "expired": "The plan expired without approval. Nothing was written.",
    "held": "Held for a person. Nothing was written.",
    "unverified": "Written, but not seen in effect. Somebody must look now.",
    "failed": "Could not be done. Somebody must look now.",
    "released": "Released. The containment was taken back.",
}
_TONES = {
    "contained": "good",
    "already-contained": "good",
    "released": "calm",
    "planned": "calm",
    "held": "warn",
    "restricted": "warn",
    "awaiting-approval": "warn",
    "expired": "warn",
}
_NO_ASSESSMENT: Mapping[str, Any] = {
    **dict.fromkeys(("summary", "confidence"), ""),
    **dict.fromkeys(("reasons", "techniques", "reach", "related", "look_at"), ()),
    "plan": {"people": ()},
}
_WORKLOAD_FIELDS = (
    *("kind", "name", "project", "location", "revision", "execution"),
    *("function", "other_regions"),
)
_EVIDENCE_TABLES = ("access", "audit-log", "executions", "revisions")
_TIMELINE_SOURCES = ("related-findings", "audit-log", "revisions", "executions", "logs")
_GAP_SECTIONS = (*_EVIDENCE_TABLES, "related-findings", "logs")
_SEE_VERDICT = "as the verdict at the top says"
_FINDING_DEFAULTS: Mapping[str, Any] = dict.fromkeys(
    ("category", "severity", "detector", "event_time")
)
_DETECTED_DEFAULTS: Mapping[str, Any] = {
    **dict.fromkeys(("binary_path", "process", "pid", "parent_pid", "user_id", "script")),
    **dict.fromkeys(("file", "sha256", "hash_is_partial", "container", "image", "digest")),
    **dict.fromkeys(("user_id_claimed", "virustotal", "connection", "arguments_truncated")),
    **dict.fromkeys(("arguments", "parents", "libraries", "urls", "source_properties"), ()),
}
_STAGE_TEXTS = {
    "read": "Read finding, policy, settings",
    "decide": "Decide",
    "contain": "Write and read back, or rehearse it",
    "evidence": "Wait for evidence",
    "total": "All of it",
}
#: Statuses whose verdict quotes the decision's first reason, and those that quote a write's error.
_REASON_STATUSES = frozenset({"held", "failed", "expired", "released", "already-contained"})
_ERROR_STATUSES = frozenset({"failed", "unverified", "restricted"})
_WRITTEN_STATES = (ChangeState.APPLIED, ChangeState.VERIFIED, ChangeState.UNVERIFIED)


@dataclass(frozen=True, slots=True)
class CaseFileContents:
    """The contents of a case file.

    Attributes:
        outcome: The outcome.
        evidence: Evidence by its collector, ``logs`` as a list of entries; all of it redacted.
        records: The records, in order.
        digests: SHA-256 of each object in hex, by its path in the case file, or in the store
            for objects of the containment.
        containment: Records of the containment that the outcome names, in order.
        updated_at: When the outcome was updated; None for a first outcome.
    """

    outcome: JsonObject
    evidence: Mapping[str, Json]
    records: Sequence[JsonObject]
    digests: Mapping[str, str]
    containment: Sequence[JsonObject] = ()
    updated_at: datetime | None = None


def render_html(case: CaseFileContents) -> str:
    """The report as HTML 5."""
    outcome: Mapping[str, Any] = case.outcome
    status = str(outcome.get("status"))
    assessment = {**_NO_ASSESSMENT, **(outcome.get("assessment") or {})}
    workload = {**dict.fromkeys(_WORKLOAD_FIELDS), **(outcome.get("workload") or {})}
    detected = {**_DETECTED_DEFAULTS, **(outcome.get("detected") or {})}
    gaps = [each for each in outcome.get("gaps") or () if isinstance(each, Mapping)]
    unread = {str(gap.get("collector")) for gap in gaps} - case.evidence.keys()
    main_reason, tone = _main_reason(status, outcome), _TONES.get(status, "bad")
    tasks = assessment["plan"].get("people") or ()
    steps = activity_entries(case.outcome, case.records, case.containment, case.updated_at, unread)
    events = timeline(case.outcome, case.evidence, steps)
    return report_template().render(
        outcome=outcome,
        status=status,
        headline=_headline(status, outcome),
        written_states=_WRITTEN_STATES,
        tone="warn" if workload["other_regions"] and tone == "good" else tone,
        assessment=assessment,
        tasks=tasks,
        workload=workload,
        events=events,
        missing_sources=[name for name in _TIMELINE_SOURCES if name in unread],
        lanes=tuple(dict.fromkeys(event.lane for event in events)),
        timeline=timeline_picture(events),
        stages=_stages(case.outcome),
        exposure=exposure_picture(exposure_columns(workload, detected, assessment["reach"], gaps)),
        detected=detected,
        finding={**_FINDING_DEFAULTS, **(outcome.get("finding") or {})},
        main_reason=main_reason,
        decision_reasons=without_main_reason(
            (outcome.get("decision") or {}).get("reasons") or (), main_reason
        ),
        gaps=tuple(grouped_gaps(gaps, main_reason)),
        missing=missing_evidence(
            case.evidence, gaps, _GAP_SECTIONS, has_workload=bool(workload["name"])
        ),
        cancelled=_cancelled(outcome),
        contained_at=_contained_at(case),
        changes=[_change_with_diff(change) for change in outcome.get("changes") or ()],
        links=[(name, link) for name, link in _links(outcome) if is_page(link)],
        evidence={name: _rows(case.evidence.get(name)) for name in _EVIDENCE_TABLES},
        log_count=len(_rows(case.evidence.get("logs"), most=10**9)),
        logs=_rows(case.evidence.get("logs"), most=_MOST_LOGS),
        digests=case.digests,
    )


def _headline(status: str, outcome: Mapping[str, Any]) -> str:
    if status == "unverified" and _is_reverted(outcome):
        return "Undone since. What was contained may run again: somebody must look now."
    workload = outcome.get("workload") or {}
    ended = workload.get("execution_ended")
    if status == "already-contained" and ended:
        return f"Over before the responder looked: {ended}, by itself. Nobody stopped it."
    if status == "already-contained" and workload.get("kind") == "job":
        return "Over before the responder looked: nothing of the job ran any more."
    return _HEADLINES.get(status, status)


def _main_reason(status: str, outcome: Mapping[str, Any]) -> str:
    """The reason for the status: an error of a write, else the decision's first reason."""
    reasons = (outcome.get("decision") or {}).get("reasons") or ("",)
    if status in _ERROR_STATUSES and not _is_reverted(outcome):
        errors = [str(each["error"]) for each in outcome.get("changes") or () if each.get("error")]
        if errors:
            return errors[0]
    undone = status == "unverified" and _is_reverted(outcome)
    return str(reasons[0]) if status in _REASON_STATUSES or undone else ""


def _is_reverted(outcome: Mapping[str, Any]) -> bool:
    errors = (str(change.get("error")) for change in outcome.get("changes") or ())
    return any(error.startswith(DRIFT_PREFIX) for error in errors)


def _stages(outcome: JsonObject) -> list[tuple[str, str, float]]:
    """Name, duration and share of the longest (0 to 1) of each stage."""
    known = timings(outcome)
    longest = max(known.values(), default=0.0) or 1.0
    return [
        (
            _STAGE_TEXTS.get(name)
            or f"Read {name.removeprefix(COLLECTOR_PREFIX).replace('-', ' ')}",
            format_milliseconds(ms),
            ms / longest,
        )
        for name, ms in known.items()
    ]


def _cancelled(outcome: Mapping[str, Any]) -> dict[str, str]:
    """State of the cancellation of each execution, by short name."""
    return {
        str(change.get("target")).rpartition("/")[2]: str(change.get("state"))
        for change in outcome.get("changes") or ()
        if change.get("kind") == ChangeKind.CANCELLATION
        and change.get("state") in list(_WRITTEN_STATES)
    }


def _contained_at(case: CaseFileContents) -> datetime | None:
    """Time of the first write to the workload."""
    kinds = {"written", "verified", "contained"}
    times = (
        parse_time(record.get("recorded_at"))
        for record in (*case.containment, *case.records)
        if record.get("kind") in kinds
    )
    return min((at for at in times if at), default=None)


def _change_with_diff(change: Mapping[str, Any]) -> Mapping[str, Any]:
    before, after = change.get("before") or {}, change.get("after") or {}
    return {**change, "diff": tuple(diff_lines(before, after))}


def _links(outcome: Mapping[str, Any]) -> list[tuple[str, object]]:
    links = outcome.get("links") or {}
    named = [
        ("The finding in Security Command Center", links.get("console")),
        ("The workload in Cloud Run", links.get("workload")),
        ("The file on VirusTotal", links.get("virustotal")),
    ]
    return [*named, *((f"MITRE ATT&CK: {url}", url) for url in links.get("mitre") or ())]


def _rows(value: Any, most: int = _MOST_ROWS) -> list[Any]:
    """The objects of a piece of evidence, up to a number."""
    if isinstance(value, Mapping):
        return [value]
    return [each for each in value or () if isinstance(each, Mapping)][:most]


def grouped_gaps(gaps: Sequence[JsonObject], main_reason: str) -> Iterator[tuple[str, str]]:
    """Collector and reason of each gap; a repeated reason refers to its first place.

    Args:
        gaps: The outcome's gaps.
        main_reason: The reason in the verdict; may be empty.
    """
    explained = {main_reason: _SEE_VERDICT} if main_reason else {}
    for gap in gaps:
        collector, reason = str(gap.get("collector")), str(gap.get("reason"))
        yield collector, explained.setdefault(reason, reason)
        if explained[reason] == reason:
            explained[reason] = f"for the same reason as {collector}"


def without_main_reason(reasons: Iterable[object], main_reason: str) -> list[object]:
    """The decision's reasons; the one in the verdict becomes a reference to it."""
    return [_SEE_VERDICT if reason == main_reason else reason for reason in reasons]


def missing_evidence(
    evidence: Mapping[str, Json],
    gaps: Sequence[JsonObject],
    collectors: Iterable[str],
    *,
    has_workload: bool,
) -> dict[str, str]:
    """The reason why each piece of evidence is missing; empty for what is there.

    Args:
        evidence: Evidence by its collector.
        gaps: The outcome's gaps.
        collectors: The collectors that the report shows.
        has_workload: Whether the finding names a workload.
    """
    reasons = {str(gap.get("collector")): str(gap.get("reason")) for gap in gaps}
    unread = (
        "it was not read"
        if has_workload
        else "the finding names no Cloud Run workload to read it of"
    )
    return {
        name: "" if isinstance(evidence.get(name), list | Mapping) else reasons.get(name, unread)
        for name in collectors
    }
