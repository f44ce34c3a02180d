"""Terminal page of an outcome: complete, and its text is escaped."""

from __future__ import annotations

import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from commands.console import print_page
from commands.outcome_page import outcome_page, status_style
from incident.model import Json, Status
from incident.report.terminal import (
    escape_unprintable,
    escape_unprintable_json,
    escape_unprintable_lines,
)
from tests.support.environment import policy_yaml, responder_environment
from tests.support.model import repeatable

HOSTILE = "\x1b[31mred\x1b]0;title\x07 \u202egnp.exe\u2066 [bold]x[/bold] \x7f\x9b2J \u2028next\r"
TEXTS = st.text(max_size=40) | st.just(HOSTILE)
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
KEYS = (
    *("status", "incident", "finding", "workload", "rule", "mode", "decision", "assessment"),
    *("detected", "changes", "gaps", "links", "drains_until", "containment"),
)


def rendered(outcome: Any, width: int = 200) -> str:
    """What a terminal gets, without colours."""
    output = io.StringIO()
    Console(file=output, width=width, color_system=None).print(outcome_page(outcome), crop=False)
    return output.getvalue()


def invisible_characters(text: str) -> set[str]:
    """The characters that a reader does not see, but for the ends of lines."""
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return {char for char in text if unicodedata.category(char) in hidden} - {"\n"}


def with_hostile_suffix(value: Any) -> Any:
    """The same value with hostile text at the end of each of its texts."""
    if isinstance(value, dict):
        return {key: with_hostile_suffix(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_hostile_suffix(item) for item in value]
    return f"{value}{HOSTILE}" if isinstance(value, str) else value


async def test_a_page_shows_everything_and_escapes_hostile_text(tmp_path: Path) -> None:
    """What was found, decided and planned; and hostile text shows as what it is."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("dry-run")) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
    reported = rendered(outcome)
    for text in (
        *("PLANNED", outcome["incident"], outcome["workload"]["resource_name"]),
        *outcome["decision"]["reasons"],
        *("-   scalingMode: AUTOMATIC", "+   scalingMode: MANUAL", "validated"),
        *(outcome["detected"]["sha256"], outcome["links"]["virustotal"]),
        "2. Contain it, if the plan is right",
        "What runs goes on reading secrets and calling out.",
    ):
        assert text in reported.replace("\n", ""), text
    lines = rendered(outcome, 80).splitlines()
    for step in outcome["assessment"]["plan"]["people"]:
        for line in (step["command"] or step["link"] or "").splitlines():
            assert line in lines, step
    for whole in (outcome["detected"]["digest"], outcome["links"]["report"]):
        assert [line for line in lines if line.endswith(f" {whole}")], whole
    hostile = rendered(with_hostile_suffix(outcome))
    assert invisible_characters(hostile) == set()
    assert "\\x1b[31mred" in hostile
    assert "[bold]x[/bold]" in hostile


@pytest.mark.parametrize("terminal", [True, False])
def test_a_command_is_a_line_of_its_own_however_long(
    capsys: pytest.CaptureFixture[str], *, terminal: bool
) -> None:
    """At a terminal as in a pipe. At a terminal all else fits; a pipe gets whole paragraphs."""
    command = f"gcloud run {'x' * 100} --filter='a b' {'y' * 200}"
    step: Any = {"title": "Stop it", "text": "look " * 40, "why": "first", "command": command}
    plan = {"plan": {"people": [step, {**step, "command": None, "link": "https://" + "l" * 99}]}}
    gaps = [{"collector": name, "reason": "refused " * 20} for name in ("related-findings", "logs")]
    decision = {"reasons": [gaps[0]["reason"]]}
    outcome: Any = {"status": "held", "assessment": plan, "gaps": gaps, "decision": decision}
    console = Console(width=80, force_terminal=terminal, color_system=None)
    print_page(console, outcome_page(outcome))
    lines = capsys.readouterr().out.splitlines()
    assert lines.count(command) == 1
    long = [line for line in lines if len(line.rstrip()) > 80]
    if terminal:
        assert long == [command, "https://" + "l" * 99]
    else:
        assert f"  because     · {gaps[0]['reason'].rstrip()}" in long
    assert terminal or not [line for line in lines if line.endswith(" ")]
    assert "  1. Stop it" in (line.rstrip() for line in lines)
    assert sum("· related-findings: see the decision" in line for line in lines) == 1


@repeatable
@given(outcome=st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, VALUES)))
def test_any_outcome_can_be_shown(outcome: Any) -> None:
    """Also one of another version, or one that somebody has tampered with."""
    assert invisible_characters(rendered(outcome)) == set()


@repeatable
@given(value=VALUES)
def test_json_for_a_terminal_reads_back_as_it_was(value: Json) -> None:
    """Escaping what is invisible changes no value."""
    text = escape_unprintable_json(value)
    assert invisible_characters(text) == set()
    assert json.loads(text) == value


@pytest.mark.parametrize("text", ["", "plain", "größer als 3 µs", "日本語"])
def test_what_can_be_read_stays_as_it_is(text: str) -> None:
    """Letters of any language are no trick."""
    assert escape_unprintable(text) == escape_unprintable_lines(text) == text
    assert escape_unprintable_lines(f"{text}\n{text}") == f"{text}\n{text}"


def test_every_status_has_its_style_and_meaning() -> None:
    """One that nobody knows is urgent rather than quiet."""
    for status in Status:
        assert len(rendered({"status": status.value}).split("  ")[1]) > 5
    assert status_style("no such status") == status_style(Status.FAILED) == "bold red"
    assert status_style("open") == "yellow"
