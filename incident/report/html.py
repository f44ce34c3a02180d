"""The case as a page for people: one self-contained file, without script or outside request. Pure.

Made of the outcome and the evidence as they are stored, so that nothing stands in it that was
not redacted, and the same case file always makes the same page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from incident.model import ChangeKind, ChangeState, Json, JsonObject, TaskPurpose
from incident.model.decision import DRIFT_PREFIX
from incident.model.durations import format_milliseconds, parse_time
from incident.playbook.task_order import plan_sections, triage_index
from incident.report.activity import COLLECTOR_PREFIX, activity_entries, timings
from incident.report.exposure_picture import exposure_columns
from incident.report.gaps import grouped_gaps, missing_evidence, without_main_reason
from incident.report.pictures import FONT_SIZE, exposure_picture, timeline_picture
from incident.report.terminal import diff_lines, escape_unprintable
from incident.report.timeline import timeline

_LONGEST = 600
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
    "plan": {"automatic": (), "people": ()},
}
_WORKLOAD_FIELDS = ("kind", "name", "project", "location", "revision", "execution")
_EVIDENCE_TABLES = ("access", "audit-log", "executions", "revisions")
_TIMELINE_SOURCES = ("related-findings", "audit-log", "revisions", "executions", "logs")
_GAP_SECTIONS = (*_EVIDENCE_TABLES, "related-findings", "logs")
_FINDING_DEFAULTS: Mapping[str, Any] = dict.fromkeys(
    ("category", "severity", "detector", "event_time")
)
_DETECTED_DEFAULTS: Mapping[str, Any] = {
    **dict.fromkeys(("binary_path", "process", "pid", "parent_pid", "user_id", "script")),
    **dict.fromkeys(("file", "sha256", "hash_is_partial", "container", "image", "digest")),
    **dict.fromkeys(("user_id_claimed", "virustotal", "connection", "arguments_truncated")),
    **dict.fromkeys(("arguments", "parents", "libraries", "urls"), ()),
}
_STAGE_TEXTS = {
    "read": "Read finding, policy, settings",
    "decide": "Decide",
    "contain": "Write and read back, or rehearse it",
    "evidence": "Wait for evidence",
    "total": "All of it",
}
#: Of these the first reason is what a reader has to know first; of the others an error of a write.
_REASON_STATUSES = frozenset({"held", "failed", "expired", "released", "already-contained"})
_ERROR_STATUSES = frozenset({"failed", "unverified", "restricted"})
#: A sentence of ours that begins so gets a capital. Anything else may be a name.
_SENTENCE_STARTS = re.compile(
    r"(?:all|an?|another|anybody|approved|as|at|buckets|by|callers|cannot|contained|defaults|each"
    r"|everybody|execution|file|from|how|if|in|internal|its?|named|no|nobody|not|nothing|of|on|only"
    r"|other|perhaps|related|released|revision|since|some|taken|the|these|they|this|those|what|when"
    r"|where|whether|which|who|whoever|why|with) "
)
_WRITTEN_STATES = (ChangeState.APPLIED, ChangeState.VERIFIED, ChangeState.UNVERIFIED)
_FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class CaseFileContents:
    """A case file as it is stored.

    Attributes:
        outcome: The outcome.
        evidence: Evidence by its collector, ``logs`` as a list of entries; all of it redacted.
        records: The records, in order.
        digests: SHA-256 of each object in hex, by its path in the case file, or in the store
            where it is of the containment.
        containment: The records of the containment that the outcome names, in order.
        updated_at: When the incident was carried on to this outcome; None for a first one.
    """

    outcome: JsonObject
    evidence: Mapping[str, Json]
    records: Sequence[JsonObject]
    digests: Mapping[str, str]
    containment: Sequence[JsonObject] = ()
    updated_at: datetime | None = None


def render_html(case: CaseFileContents) -> str:
    """The page, as HTML 5."""
    outcome: Mapping[str, Any] = case.outcome
    status = str(outcome.get("status"))
    assessment = {**_NO_ASSESSMENT, **(outcome.get("assessment") or {})}
    workload = {**dict.fromkeys(_WORKLOAD_FIELDS), **(outcome.get("workload") or {})}
    detected = {**_DETECTED_DEFAULTS, **(outcome.get("detected") or {})}
    gaps = [each for each in outcome.get("gaps") or () if isinstance(each, Mapping)]
    missing = {str(gap.get("collector")) for gap in gaps} - case.evidence.keys()
    main_reason = _main_reason(status, outcome)
    groups = plan_sections(assessment["plan"].get("people") or ())
    steps = activity_entries(case.outcome, case.records, case.containment, case.updated_at, missing)
    events = timeline(case.outcome, case.evidence, steps)
    return _template().render(
        outcome=outcome,
        status=status,
        headline=_headline(status, outcome),
        written=_WRITTEN_STATES,
        tone=_TONES.get(status, "bad"),
        assessment=assessment,
        plan=assessment["plan"],
        groups=groups,
        waits=bool(groups) and groups[0].tasks[0][1].get("part") == TaskPurpose.WAIT,
        look_before=triage_index(status, groups),
        workload=workload,
        events=events,
        undrawn=[name for name in _TIMELINE_SOURCES if name in missing],
        lanes=tuple(dict.fromkeys(event.lane for event in events)),
        rows=timeline_picture(events),
        letters=FONT_SIZE,
        stages=_stages(case.outcome),
        boxes=exposure_picture(exposure_columns(workload, detected, assessment["reach"], gaps)),
        detected=detected,
        finding={**_FINDING_DEFAULTS, **(outcome.get("finding") or {})},
        because=main_reason,
        decided=without_main_reason(
            (outcome.get("decision") or {}).get("reasons") or (), main_reason
        ),
        gaps=tuple(grouped_gaps(gaps, main_reason)),
        unknown=missing_evidence(
            case.evidence, gaps, _GAP_SECTIONS, has_workload=bool(workload["name"])
        ),
        cancelled=_cancelled(outcome),
        contained_at=_contained_at(case),
        changes=[_change_with_diff(change) for change in outcome.get("changes") or ()],
        links=[(name, link) for name, link in _links(outcome) if _is_page(link)],
        evidence={name: _rows(case.evidence.get(name)) for name in _EVIDENCE_TABLES},
        log_count=len(_rows(case.evidence.get("logs"), most=10**9)),
        logs=_rows(case.evidence.get("logs"), most=_MOST_LOGS),
        digests=case.digests,
    )


def page_text(text: str) -> str:
    """A text as the page shows it: what is invisible as an escape, cut to a length."""
    left = len(text) - _LONGEST
    cut = escape_unprintable(text[:_LONGEST])
    return f"{cut}… ({left} more characters; the case file has them)" if left > 0 else cut


def _finalize(value: object) -> object:
    """Every value that the template prints goes through here, before it is escaped."""
    if isinstance(value, Markup):
        return value
    return page_text(value) if isinstance(value, str) else value


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = lambda at: f"{at:%H:%M:%S}"
    environment.filters["day"] = lambda at: f"{at:%Y-%m-%d}"
    environment.filters["stamp"] = _stamp
    environment.filters["duration"] = format_milliseconds
    environment.filters["sentence"] = _sentence
    environment.tests["page"] = _is_page
    return environment.get_template("report.html.j2")


def _headline(status: str, outcome: Mapping[str, Any]) -> str:
    if status == "unverified" and _is_reverted(outcome):
        return "Undone since. What was contained may run again: somebody must look now."
    return _HEADLINES.get(status, status)


def _main_reason(status: str, outcome: Mapping[str, Any]) -> str:
    """Why it came to this, in a line: what went wrong with a write, else what decided."""
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
    """Each stage in words, how long it took, and its share of the longest, from 0 to 1."""
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
    """How far the cancellation of each execution came, by its short name."""
    return {
        str(change.get("target")).rpartition("/")[2]: str(change.get("state"))
        for change in outcome.get("changes") or ()
        if change.get("kind") == ChangeKind.CANCELLATION
        and change.get("state") in list(_WRITTEN_STATES)
    }


def _contained_at(case: CaseFileContents) -> datetime | None:
    """When we first wrote to the workload, by the records."""
    kinds = {"written", "verified", "contained"}
    times = (
        parse_time(record.get("recorded_at"))
        for record in (*case.containment, *case.records)
        if record.get("kind") in kinds
    )
    return min((at for at in times if at), default=None)


def _sentence(text: object) -> str:
    """A text of ours with a capital at its beginning, unless that may be a name."""
    sentence = str(text)
    return sentence[:1].upper() + sentence[1:] if _SENTENCE_STARTS.match(sentence) else sentence


def _stamp(value: object) -> str:
    """A time as the evidence spells it, at a length for people."""
    text = str(value or "")
    return text.replace("T", " ").partition(".")[0].removesuffix("Z") if text else "unknown"


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


def _is_page(link: object) -> bool:
    """Whether a link may be followed: a page, never a script or a file."""
    return isinstance(link, str) and link.startswith("https://")


def _rows(value: Any, most: int = _MOST_ROWS) -> list[Any]:
    """The objects of a piece of evidence, at most so many."""
    if isinstance(value, Mapping):
        return [value]
    return [each for each in value or () if isinstance(each, Mapping)][:most]
