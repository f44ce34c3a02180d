"""The case as a page for people: one self-contained file, without script or outside request. Pure.

Made of the outcome and the evidence as they are stored, so that nothing stands in it that was
not redacted, and the same case file always makes the same page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from incident.drawing import bars, boxes, rows
from incident.model import Json, JsonObject
from incident.texts import diff_lines, visible
from incident.timeline import timeline

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
_WORKLOAD = ("kind", "name", "project", "location", "revision", "execution")
_EVIDENCE = ("access", "audit-log", "executions", "revisions")
_FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class CaseObjects:
    """A case file as it is stored.

    Attributes:
        outcome: The outcome.
        evidence: Evidence by its collector, ``logs`` as a list of entries; all of it redacted.
        records: The records, in order.
        digests: SHA-256 of each object in hex, by its path in the case file.
    """

    outcome: JsonObject
    evidence: Mapping[str, Json]
    records: Sequence[JsonObject]
    digests: Mapping[str, str]


def render(case: CaseObjects) -> str:
    """The page, as HTML 5."""
    outcome: Mapping[str, Any] = case.outcome
    status = str(outcome.get("status"))
    assessment = {**_NO_ASSESSMENT, **(outcome.get("assessment") or {})}
    workload = {**dict.fromkeys(_WORKLOAD), **(outcome.get("workload") or {})}
    events = timeline(case.outcome, case.evidence, case.records)
    return _template().render(
        outcome=outcome,
        status=status,
        headline=_HEADLINES.get(status, status),
        tone=_TONES.get(status, "bad"),
        assessment=assessment,
        plan=assessment["plan"],
        workload=workload,
        events=events,
        rows=rows(events),
        bars=bars(outcome.get("timings_ms")),
        boxes=boxes(str(workload["name"] or "unknown"), assessment["reach"]),
        changes=[_with_diff(change) for change in outcome.get("changes") or ()],
        links=[(name, link) for name, link in _links(outcome) if _is_page(link)],
        evidence={name: _rows(case.evidence.get(name)) for name in _EVIDENCE},
        log_count=len(_rows(case.evidence.get("logs"), most=10**9)),
        logs=_rows(case.evidence.get("logs"), most=_MOST_LOGS),
        digests=case.digests,
    )


def shown(text: str) -> str:
    """A text as the page shows it: what is invisible as an escape, cut to a length."""
    left = len(text) - _LONGEST
    cut = visible(text[:_LONGEST])
    return f"{cut}… ({left} more characters; the case file has them)" if left > 0 else cut


def _finalized(value: object) -> object:
    """Every value that the template prints goes through here, before it is escaped."""
    if isinstance(value, Markup):
        return value
    return shown(value) if isinstance(value, str) else value


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = lambda at: f"{at:%H:%M:%S}"
    environment.filters["day"] = lambda at: f"{at:%Y-%m-%d}"
    environment.filters["stamp"] = _stamp
    environment.tests["page"] = _is_page
    return environment.get_template("report.html.j2")


def _stamp(value: object) -> str:
    """A time as the evidence spells it, at a length for people."""
    text = str(value or "")
    return text.replace("T", " ").partition(".")[0].removesuffix("Z") if text else "unknown"


def _with_diff(change: Mapping[str, Any]) -> Mapping[str, Any]:
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
