"""Render the result of a run for a terminal.

Pure: nothing is printed here. Texts of an incident are the attacker's choice, so that none of
them is ever read as markup, and none reaches a terminal with its control characters.
"""

from __future__ import annotations

import datetime as dt
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

from emulator.cli.change_lines import line_diff
from emulator.cli.terminal_text import BULLET, clean, command_lines, section
from emulator.runner.run_result import RunResult
from emulator.services.gate import Write

_DIFF_LINES = 26
_LIST_LINES = 10
_STATUSES = {
    "planned": ("cyan", "Dry run, nothing written. Enforcing would do this."),
    "contained": ("green", "Contained and verified: the workload is stopped."),
    "already-contained": ("green", "The workload was stopped before; nothing was written."),
    "restricted": ("yellow", "Access is restricted and verified; the workload is still running."),
    "awaiting-approval": ("magenta", "Nothing is written until a person approves the plan."),
    "held": ("yellow", "Held for a person; nothing was written."),
    "ignored": ("blue", "Out of scope; nothing was done."),
    "duplicate": ("blue", "This event was answered before; nothing was done again."),
    "released": ("blue", "The containment was undone."),
    "expired": ("yellow", "Nobody approved in time; nothing was written."),
    "malformed": ("red", "Not a notification: quarantined, and not delivered again."),
    "unverified": ("red", "Written, but not confirmed stopped. Check it now."),
    "failed": ("red", "Containment FAILED. The workload is still running."),
}
_RETRY = ("yellow", "Not acknowledged: the message comes again.")
_STATES = {
    "planned": "planned; nothing was written",
    "validated": "validated by the API with validate_only; nothing was written",
    "not-validated": "not validated; nothing was written",
    "applied": "written, not read back yet",
    "verified": "written, and read back in effect",
    "unverified": "written, but not seen in effect",
    "failed": "failed",
}
_DETECTED = (
    ("binary", "binary_path"),
    ("arguments", "arguments"),
    ("file", "file"),
    ("SHA-256", "sha256"),
    ("URL", "urls"),
    ("container", "container"),
    ("image", "image"),
    ("digest", "digest"),
)
_LINKS = (("VirusTotal", "virustotal"), ("report", "report"), ("case file", "case_file"))
_DIFF_STYLES = {"-": "red", "+": "green", " ": "dim"}


def render_report(result: RunResult) -> RenderableType:
    """The whole result, from what matters most to where the rest is found.

    To be printed with ``crop=False``: commands and addresses are lines of their own, as long as
    they are, so that a person can take them as they stand.
    """
    outcome = main_outcome(result.outcomes)
    return Group(
        *_failure_panel(result),
        _headline(result, outcome),
        *(_outcome_sections(outcome) if outcome else ()),
        *section("Run", _run_rows(result, outcome)),
        *command_lines(_next_commands(result, outcome)),
    )


def main_outcome(outcomes: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    """The outcome that says most: the first one that is more than a duplicate's."""
    present = [outcome for outcome in outcomes if outcome]
    more = [outcome for outcome in present if outcome.get("status") != "duplicate"]
    return next(iter(more or present), None)


def _failure_panel(result: RunResult) -> Iterator[RenderableType]:
    if not result.failures:
        return
    lines = [*result.failures, *result.errors[-_LIST_LINES:]]
    text = Text("\n".join(clean(line) for line in lines))
    yield Panel(text, title="the function failed", border_style="red", title_align="left")


def _headline(result: RunResult, outcome: Mapping[str, Any] | None) -> RenderableType:
    status = clean(outcome.get("status", "?")) if outcome else "retry"
    if not outcome and not any(delivery.asks_retry for delivery in result.deliveries):
        status = "no outcome"
    style, meaning = _STATUSES.get(status, _RETRY if status == "retry" else ("red", ""))
    simulated = ("SIMULATED", "bold reverse")
    lines = [Text.assemble((status.upper(), f"bold {style}"), "  ", simulated, f"  {meaning}")]
    if not outcome:
        lines += [Text(clean(logged.message)) for logged in result.logged_outcomes[-1:]]
    elif workload := _workload_text(outcome.get("workload")):
        lines.append(Text(workload, style="bold"))
    return Panel(Group(*lines), border_style=style)


def _outcome_sections(outcome: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The sections that come out of the outcome."""
    yield from section("Detected", _detected_rows(outcome))
    yield from section("Decision", _decision_rows(outcome))
    for number, change in enumerate(_objects(outcome.get("changes")), start=1):
        yield from section(f"Change {number}", _change_rows(change, outcome.get("workload")))
        yield Padding(_diff_text(change), (0, 0, 0, 4))
    yield from section("Gaps", _gap_rows(outcome.get("gaps")))


def _detected_rows(outcome: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    finding, detected = _object(outcome.get("finding")), _object(outcome.get("detected"))
    severity = f" ({finding['severity']})" if finding.get("severity") else ""
    if finding.get("category"):
        yield "category", f"{finding['category']}{severity}"
    notes = {
        "sha256": " (of its beginning only)" if detected.get("hash_is_partial") else "",
        "arguments": " … (cut off)" if detected.get("arguments_truncated") else "",
    }
    if finding.get("event_time"):
        yield "at", _time(finding["event_time"])
    for label, key in _DETECTED:
        if detected.get(key) and not (
            key == "file" and detected[key] == detected.get("binary_path")
        ):
            yield label, _value(detected[key]) + notes.get(key, "")


def _decision_rows(outcome: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    decision, assessment = _object(outcome.get("decision")), _object(outcome.get("assessment"))
    if decision.get("verdict"):
        applied = [f"{key} {outcome[key]}" for key in ("mode", "rule") if outcome.get(key)]
        yield "verdict", ", ".join((str(decision["verdict"]), *applied))
    for index, reason in enumerate(_text_lines(decision.get("reasons"))):
        yield "" if index else "because", f"{BULLET}{reason}"
    if assessment.get("confidence"):
        summary = assessment.get("summary", "")
        yield "confidence", f"{assessment['confidence']}: {summary}"
    for reason in _text_lines(assessment.get("reasons")):
        yield "", f"{BULLET}{reason}"
    serious_points = [p for p in _objects(assessment.get("reach")) if p.get("serious")]
    for index, point in enumerate(serious_points):
        text = str(point.get("text"))
        names = ", ".join(name for name in map(str, point.get("names") or ()) if name not in text)
        yield "" if index else "exposure", f"{BULLET}{text}{': ' if names else ''}{names}"
    techniques = [f"{t.get('id')} {t.get('name')}" for t in _objects(assessment.get("techniques"))]
    if techniques:
        yield "ATT&CK", ", ".join(techniques)
    for index, text in enumerate(_text_lines(assessment.get("look_at"))):
        yield "" if index else "look at", f"{BULLET}{text}"


def _change_rows(change: Mapping[str, Any], workload: object) -> Iterator[tuple[str, str]]:
    state, target = str(change.get("state", "")), str(change.get("target", ""))
    yield "action", str(change.get("action", ""))
    if target != _object(workload).get("resource_name"):
        yield "target", target
    yield "mask", ", ".join(map(str, change.get("mask") or ()))
    yield "state", _STATES.get(state, state)
    if change.get("error"):
        yield "error", str(change["error"])


def _gap_rows(gaps: object) -> Iterator[tuple[str, str]]:
    for gap in _objects(gaps):
        yield str(gap.get("collector", "")), str(gap.get("reason", ""))


def _diff_text(change: Mapping[str, Any]) -> Text:
    lines = line_diff(change.get("before"), change.get("after"))
    text = Text("\n").join(
        Text(f"{sign} {clean(line)}", style=_DIFF_STYLES[sign])
        for sign, line in lines[:_DIFF_LINES]
    )
    if len(lines) > _DIFF_LINES:
        text.append(f"\n  … {len(lines) - _DIFF_LINES} more lines in the case file", style="dim")
    return text


def _run_rows(result: RunResult, outcome: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    if len(result.deliveries) > 1:
        counts = Counter(str(o.get("status")) if o else "retry" for o in result.outcomes)
        yield "deliveries", f"{len(result.deliveries)}: {_counts_text(counts)}"
    if result.renotifications:
        renotified = [
            one.logged_outcome.outcome if one.logged_outcome else None
            for one in result.renotifications
        ]
        counts = Counter(str(o.get("status")) if o else "retry" for o in renotified)
        yield (
            "re-notified",
            f"{len(renotified)}, of our own writes to the finding: {_counts_text(counts)}",
        )
    written = _counts_text(Counter(map(_write_result, result.writes))) or "none"
    yield "calls", f"{len(result.calls)} to the emulated APIs; writes: {written}"
    timings = _object(outcome.get("timings_ms")) if outcome else {}
    if timings:
        stages = {stage: ms for stage, ms in timings.items() if "/" not in stage}
        yield "took", ", ".join(f"{stage} {_milliseconds(ms)}" for stage, ms in stages.items())
    if outcome and outcome.get("drains_until"):
        yield "drains by", _time(outcome["drains_until"])
    links = _object(outcome.get("links")) if outcome else {}
    yield from ((label, _value(links[key])) for label, key in _LINKS if links.get(key))
    if not str(links.get("case_file") or "").startswith(result.store.as_uri()):
        yield "store", str(result.store)


def _write_result(write: Write) -> str:
    if write.code != "OK":
        return f"refused with {write.code}"
    return "validate_only" if write.validate_only else "carried out"


def _next_commands(
    result: RunResult, outcome: Mapping[str, Any] | None
) -> Iterator[tuple[str, str]]:
    status = str(outcome.get("status")) if outcome else ""
    mode = ("--mode", result.mode) if result.mode else ()
    if status in {"planned", "awaiting-approval"}:
        yield "To do it:", shlex.join((*result.command, "--mode", "enforce"))
    elif status == "contained" and len(result.deliveries) == 1:
        yield "To repeat it:", shlex.join((*result.command, *mode, "--deliveries", "20"))
    yield "To see all of it:", shlex.join((*result.command, *mode, "--json"))


def _workload_text(workload: object) -> str:
    if isinstance(workload, str):
        return clean(workload)
    parts = _object(workload)
    project = parts.get("project_id") or parts.get("project") or parts.get("project_number")
    part = parts.get("revision") or parts.get("execution")
    named = [f"{parts.get('kind', '')} {parts.get('name', '')}".strip(), part, project]
    return clean(" · ".join(str(p) for p in (*named, parts.get("location")) if p))


def _text_lines(values: object) -> list[str]:
    """The entries of a list as lines, whether they are texts or objects with a text inside."""
    items = values if isinstance(values, list | tuple) else []
    lines = [_item_text(item) for item in items]
    more = len(lines) - _LIST_LINES
    return lines if more <= 0 else [*lines[:_LIST_LINES], f"… {more} more in the case file"]


def _item_text(item: object) -> str:
    if not isinstance(item, dict):
        return str(item)
    return str(item.get("text") or item.get("reason") or item)


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(shlex.quote(str(item)) for item in value)
    return str(value)


def _time(value: object) -> str:
    """A time as people read it; anything else as it is."""
    try:
        moment = dt.datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(values: object) -> list[Mapping[str, Any]]:
    items = values if isinstance(values, list | tuple) else []
    return [item for item in items if isinstance(item, dict)]


def _counts_text(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} \N{MULTIPLICATION SIGN}{count}" for name, count in counts.items())


def _milliseconds(value: object) -> str:
    return f"{value:.0f} ms" if isinstance(value, int | float) else str(value)
