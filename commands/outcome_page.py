"""Render an outcome as a terminal page, with rich. Pure.

An attacker chose much of an outcome's text: it is never parsed as markup, and unprintable
characters are escaped.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from commands.wrapped_rows import BULLET, LABEL_WIDTH, WrappedRows, WrappedText
from incident.model import Json, JsonObject, Status, json_object, json_objects
from incident.model.json_text import parse_time
from incident.model.outcome import Outcome
from incident.report.status_texts import elsewhere_text, status_text
from incident.report.terminal import diff_lines, escape_unprintable

_STYLES = {
    Status.CONTAINED: "green",
    Status.ALREADY_CONTAINED: "green",
    Status.PLANNED: "cyan",
    Status.HELD: "yellow",
    Status.AWAITING_APPROVAL: "magenta",
    Status.RELEASED: "blue",
    Status.IGNORED: "blue",
    Status.DUPLICATE: "blue",
    Status.EXPIRED: "yellow",
}
_OPEN_STYLE = ("open", "yellow")
_URGENT = "bold red"
_DETECTED = {
    "binary": "binary_path",
    "arguments": "arguments",
    "SHA-256": "sha256",
    "container": "container",
    "image": "image",
    "digest": "digest",
}
_DIFF_STYLES = {"-": "red", "+": "green"}

#: The first line about an outcome of the emulator.
SIMULATED_LINE = WrappedText(
    "SIMULATED: an emulator run; nothing of Google Cloud was read or changed", style="bold reverse"
)
PLAN_PARTS = frozenset({"plan"})
EVIDENCE_PARTS = frozenset({"detected", "assessment", "gaps", "links"})
ALL_PARTS = PLAN_PARTS | EVIDENCE_PARTS | {"decision", "changes"}

LabelledRows = Iterator[tuple[str, str]]


def status_style(status: str) -> str:
    """Style of a status; an unknown status is urgent."""
    known = {str(each): style for each, style in _STYLES.items()}
    return dict((_OPEN_STYLE,)).get(status) or known.get(status, _URGENT)


def outcome_page(outcome: JsonObject, parts: frozenset[str] = ALL_PARTS) -> RenderableType:
    """Render the outcome, most important part first.

    Print it with ``crop=False``: commands and addresses are unwrapped lines, so that they can be
    copied.

    Args:
        outcome: The outcome as JSON.
        parts: Which parts, besides the headline.
    """
    assessment = json_object(outcome.get("assessment"))
    found: list[tuple[str, Iterable[RenderableType]]] = [
        ("detected", _section("Detected", _detected(outcome))),
        ("decision", _section("Decision", _decision(outcome))),
        ("assessment", _section("Assessment", _assessment(assessment))),
        ("changes", _changes(outcome)),
        ("plan", _plan(assessment)),
        ("gaps", _section("Gaps", _gaps(outcome))),
        ("links", _links_section(outcome)),
    ]
    return Group(
        *_headline(outcome), *(each for name, part in found if name in parts for each in part)
    )


def _changes(outcome: JsonObject) -> Iterator[RenderableType]:
    for number, change in enumerate(json_objects(outcome.get("changes")), start=1):
        yield from _section(f"Change {number}", _change(change))
        yield Padding(_diff(change), (0, 0, 0, 4))


def _headline(outcome: JsonObject) -> Iterator[RenderableType]:
    status = _text(outcome.get("status"))
    workload, incident = json_object(outcome.get("workload")), _text(outcome.get("incident"))
    shown = escape_unprintable(_meaning(outcome))
    if outcome.get("simulated"):
        yield SIMULATED_LINE
    yield Text.assemble((escape_unprintable(status.upper()), status_style(status)), f"  {shown}")
    if incident:
        yield Text(escape_unprintable(f"incident {incident}"))
    if workload:
        part = workload.get("revision") or workload.get("execution")
        within = f", {_text(part)}" if part else ""
        where = ", ".join(_text(workload.get(key)) for key in ("kind", "project", "location"))
        yield _unbroken(f"{_text(workload.get('name'))} ({where}){within}", "bold")


def _meaning(outcome: JsonObject) -> str:
    """Whether it runs, and what was done; empty for what is no outcome."""
    try:
        known = Outcome.from_json(outcome)
    except ValueError:
        return ""
    return " ".join(filter(None, (status_text(known).sentence, elsewhere_text(known))))


def _detected(outcome: JsonObject) -> LabelledRows:
    finding, detected = json_object(outcome.get("finding")), json_object(outcome.get("detected"))
    notes = {
        "sha256": " (of its beginning only)" if detected.get("hash_is_partial") else "",
        "arguments": " … (cut off)" if detected.get("arguments_truncated") else "",
    }
    yield "category", _text(finding.get("category"))
    yield "severity", _text(finding.get("severity"))
    yield "at", _time(finding.get("event_time"))
    for label, key in _DETECTED.items():
        if detected.get(key):
            yield label, _text(detected[key]) + notes.get(key, "")
    for named in json_objects(detected.get("source_properties")):
        yield _text(named.get("name")), f"{_text(named.get('text'))} (from sourceProperties only)"


def _decision(outcome: JsonObject) -> LabelledRows:
    decision = json_object(outcome.get("decision"))
    applied = [f"{key} {_text(outcome[key])}" for key in ("mode", "rule") if outcome.get(key)]
    yield "verdict", ", ".join((_text(decision.get("verdict")), *applied))
    yield from _bulleted_rows("because", decision.get("reasons"))


def _assessment(assessment: JsonObject) -> LabelledRows:
    yield "summary", _text(assessment.get("summary"))
    yield "confidence", _text(assessment.get("confidence"))
    yield from _bulleted_rows("because", assessment.get("reasons"))
    for at, point in enumerate(json_objects(assessment.get("reach"))):
        text = _text(point.get("text"))
        names = ", ".join(name for name in _texts(point.get("names")) if name not in text)
        line = f"{text}: {names}" if names else text
        yield "" if at else "exposure", f"{BULLET}{line}"
    techniques = json_objects(assessment.get("techniques"))
    yield "ATT&CK", ", ".join(f"{_text(t.get('id'))} {_text(t.get('name'))}" for t in techniques)


def _plan(assessment: JsonObject) -> Iterator[RenderableType]:
    """Tasks for people, in order, each with its commands."""
    tasks = json_objects(json_object(assessment.get("plan")).get("people"))
    if tasks:
        yield _title("To do")
    for number, task in enumerate(tasks, start=1):
        yield from _task(number, task)


def _task(number: int, task: JsonObject) -> Iterator[RenderableType]:
    yield Padding(
        Text(f"{number}. {escape_unprintable(_text(task.get('title')))}", "bold"), (1, 0, 0, 2)
    )
    yield _indented(f"{_text(task.get('text'))} {_text(task.get('why'))}")
    # The link is shown only if there is no command.
    yield from map(_unbroken, (_text(task.get("command")) or _text(task.get("link"))).splitlines())
    for detail in json_objects(task.get("details")):
        yield _indented(_text(detail.get("text")))
        yield from map(_unbroken, _text(detail.get("command")).splitlines())


def _indented(text: str) -> WrappedText:
    return WrappedText(text, indent=5, hanging=5)


def _unbroken(text: str, style: str = "") -> Text:
    """An unwrapped line, for commands and addresses."""
    return Text(escape_unprintable(text), style=style, no_wrap=True, overflow="ignore")


def _change(change: JsonObject) -> LabelledRows:
    yield "action", _text(change.get("action"))
    yield "target", _text(change.get("target"))
    yield "mask", ", ".join(_texts(change.get("mask")))
    yield "state", _text(change.get("state"))
    if change.get("reversible") is False:
        yield "release", "cannot be undone"
    yield "error", _text(change.get("error"))


def _gaps(outcome: JsonObject) -> LabelledRows:
    """Missing evidence with reasons; a reason of the decision is not repeated."""
    decided = _texts(json_object(outcome.get("decision")).get("reasons"))
    for gap in json_objects(outcome.get("gaps")):
        reason = _text(gap.get("reason"))
        explanation = "see the decision" if reason in decided else reason
        yield "", f"{BULLET}{_text(gap.get('collector'))}: {explanation}"


def _links_section(outcome: JsonObject) -> Iterator[RenderableType]:
    """Links, one per line."""
    found = [_unbroken_row(label, value) for label, value in _links(outcome) if value]
    if found:
        yield _title("More")
    yield from found


def _links(outcome: JsonObject) -> LabelledRows:
    yield "expires", _time(outcome.get("approval_expires"))
    yield "drains by", _time(outcome.get("drains_until"))
    yield "containment", _text(outcome.get("containment"))
    for name, link in json_object(outcome.get("links")).items():
        for each in _texts(link) if isinstance(link, list) else (_text(link),):
            yield name.replace("_", " "), each


def _diff(change: JsonObject) -> Text:
    lines = diff_lines(json_object(change.get("before")), json_object(change.get("after")))
    shown = (
        Text(escape_unprintable(line), style=_DIFF_STYLES.get(line[:1], "dim")) for line in lines
    )
    return Text("\n").join(shown)


def _title(text: str) -> Padding:
    return Padding(Text(escape_unprintable(text), style="bold"), (1, 0, 0, 0))


def _section(title: str, rows: Iterable[tuple[str, str]]) -> list[RenderableType]:
    """A titled list of labels and values; empty if no row has a value."""
    filled = [(label, value) for label, value in rows if value]
    return [_title(title), WrappedRows(filled)] if filled else []


def _unbroken_row(label: str, value: str) -> Text:
    """A label and an unwrapped value."""
    cells = (f"  {escape_unprintable(label):<{LABEL_WIDTH}} ", "dim"), escape_unprintable(value)
    return Text.assemble(*cells, no_wrap=True, overflow="ignore")


def _bulleted_rows(label: str, reasons: Json) -> LabelledRows:
    """Reasons, one a line: texts, or objects with a text inside."""
    for at, reason in enumerate(reasons if isinstance(reasons, list) else ()):
        text = reason.get("text") if isinstance(reason, dict) else reason
        yield "" if at else label, f"{BULLET}{_text(text)}"


def _text(value: Any) -> str:
    """A value in one line; a list as a shell would take it."""
    if isinstance(value, list | tuple):
        return shlex.join(map(str, value))
    return "" if value is None else str(value)


def _texts(values: Json) -> list[str]:
    return [_text(value) for value in values] if isinstance(values, list | tuple) else []


def _time(value: Json) -> str:
    """A time as people read it; anything else as it is."""
    moment = parse_time(value)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else _text(value)
