"""What people see of a run."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from emulator.cli.change_lines import line_diff
from emulator.cli.run_report import render_report
from emulator.cli.terminal_text import clean
from emulator.runner.function_process import LoggedOutcome
from emulator.runner.run_result import RunResult, in_delivery_order
from emulator.services.gate import Call, Write
from emulator.services.pubsub.push import Delivery
from tests.support.constants import SERVICE, SHA256, UPDATE_SERVICE

CHANGE = {
    "action": "scale-to-zero",
    "target": SERVICE,
    "mask": ["scaling", "traffic"],
    "before": {
        "scaling": {"scalingMode": "AUTOMATIC", "minInstanceCount": 1, "maxInstanceCount": 20},
        "traffic": [
            {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100},
            {"revision": "storefront-00006-abc", "tag": "known-good"},
        ],
    },
    "after": {
        "scaling": {"scalingMode": "MANUAL", "manualInstanceCount": 0},
        "traffic": [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}],
    },
    "state": "validated",
    "error": None,
}
OUTCOME: dict[str, Any] = {
    "status": "planned",
    "finding": {
        "category": "Execution: Modified Malicious Binary Executed",
        "severity": "CRITICAL",
        "event_time": "2026-10-02T08:14:07.318Z",
    },
    "workload": {"kind": "service", "name": "storefront", "project": "example-shop-prod"},
    "rule": "defaults",
    "mode": "dry-run",
    "decision": {"verdict": "contain", "reasons": ["the finding is confirmed"]},
    "assessment": {
        "summary": "A binary of the image was changed and executed.",
        "confidence": "high",
        "reasons": [{"text": "the detector names it", "evidence": "finding"}],
        "techniques": [{"id": "T1105", "name": "Ingress Tool Transfer"}],
    },
    "detected": {
        "binary_path": "/usr/local/bin/healthcheck",
        "arguments": ["healthcheck", "--url", "stratum+tcp://pool.example.net:3333"],
        "sha256": SHA256,
        "image": "europe-west1-docker.pkg.dev/example-shop-prod/web/storefront:2026-09-28",
    },
    "changes": [CHANGE],
    "gaps": [{"collector": "logs", "reason": "no answer within 10 s"}],
    "timings_ms": {"read": 61.2, "decide": 0.4},
    "links": {"case_file": "file:///tmp/store/dry-runs/20261002-abc"},
}


def result_with(*outcomes: dict[str, Any] | None, **changes: Any) -> RunResult:
    """A result with these outcomes, all of them answered as promised."""
    result = RunResult(
        logged_outcomes=tuple(
            LoggedOutcome(outcome, "cannot read SCC: UNAVAILABLE") for outcome in outcomes
        ),
        deliveries=tuple(Delivery(200 if outcome else 503) for outcome in outcomes),
        calls=(Call("/google.cloud.run.v2.Services/GetService", 10.0123),),
        writes=(Write(UPDATE_SERVICE, {}, ["scaling"], validate_only=True, at=10.1, code="OK"),),
        world={},
        sent_at=10.0,
        store=Path("/tmp/store"),  # noqa: S108 - only shown
        errors=(),
        exited_early=False,
        command=("python", "-m", "emulator", "run", "finding.json"),
        mode=None,
    )
    return replace(result, **changes)


def printed_report(result: RunResult, width: int = 80, **console: Any) -> str:
    """The report as it is printed at a width."""
    out = io.StringIO()
    given = {"file": out, "width": width, "highlight": False, "emoji": False, **console}
    Console(**given).print(render_report(result), crop=False)
    return out.getvalue()


def overlong_lines(lines: list[str], width: int) -> list[str]:
    """The lines longer than that which could have been broken: not one word, no command."""
    long = [line for line in lines if len(line.rstrip()) > width]
    return [line for line in long if " " in line[14:].rstrip() and line[:1] == " "]


def test_the_status_comes_first_and_everything_fits_a_screen() -> None:
    """The headline says what became of it; the sample takes no more than 60 lines of 80."""
    lines = printed_report(result_with(OUTCOME)).splitlines()

    assert "PLANNED" in lines[1]
    assert "storefront" in lines[2]
    assert len(lines) <= 60
    assert not overlong_lines(lines, 80)


def test_a_diff_shows_what_goes_and_what_comes() -> None:
    """Fields that go have a minus, fields that come a plus, and the rest neither."""
    text = printed_report(result_with(OUTCOME))

    assert "-   scalingMode: AUTOMATIC" in text
    assert "+   scalingMode: MANUAL" in text
    assert "-   - revision: storefront-00006-abc, tag: known-good" in text
    assert "    - type: LATEST, percent: 100" in text
    assert "validate_only; nothing was written" in text


def test_a_plan_shows_the_command_that_enforces_it() -> None:
    """What to do next is a command that can be copied."""
    command = "python -m emulator run finding.json --mode enforce"

    assert command in printed_report(result_with(OUTCOME))
    assert command not in printed_report(result_with({**OUTCOME, "status": "held"}))


def test_a_library_and_what_to_check_are_shown() -> None:
    """The file is named where it is not the binary itself, so that the hash is not taken for its.

    The addresses and the list for a person stand with it.
    """
    detected = {**OUTCOME["detected"], "file": "/tmp/x.so", "urls": ["http://x.example/"]}  # noqa: S108
    reach = [
        {"text": "it runs as a@x.example", "names": ["a@x.example"], "serious": True},
        {"text": "rotate these secrets", "names": ["db-password"], "serious": True},
    ]
    to_check = ["the entry point", "the parent"]
    assessment = {**OUTCOME["assessment"], "look_at": to_check, "reach": reach}
    lines = printed_report(result_with({**OUTCOME, "detected": detected, "assessment": assessment}))
    for text in ("file        /tmp/x.so", "http://x.example/", "· the entry point", "· the parent"):
        assert text in lines
    assert "· it runs as a@x.example\n" in re.sub(" +\n", "\n", lines)
    assert "· rotate these secrets: db-password" in lines
    same = {**OUTCOME["detected"], "file": OUTCOME["detected"]["binary_path"]}
    assert "  file  " not in printed_report(result_with({**OUTCOME, "detected": same}))


@pytest.mark.parametrize(
    "hostile",
    ["\x1b[31mred", "\x1b]8;;https://example.com\x07", "a\rb", "\u202eexe.txt", "\x9b2J", "a\nb"],
)
def test_text_of_a_finding_cannot_control_the_terminal(hostile: str) -> None:
    """Control and bidirectional characters show as escapes, wherever they stand."""
    outcome = with_suffix_everywhere(OUTCOME, hostile)

    text = printed_report(result_with(outcome, outcome), force_terminal=True, color_system=None)

    assert not {char for char in hostile if char in "\x1b\x07\x9b\r\u202e"} & set(text)
    assert clean(hostile).splitlines() == [clean(hostile)]


def test_text_of_a_finding_is_never_markup() -> None:
    """Markup of rich and emoji codes stand there as they were written."""
    outcome = {**OUTCOME, "decision": {"reasons": ["[bold red]x[/] :smile: [link=https://a]b"]}}

    assert "[bold red]x[/] :smile: [link=https://a]b" in printed_report(result_with(outcome))


def test_long_text_is_cut_and_says_so() -> None:
    """A text of a finding cannot fill the screen."""
    outcome = {**OUTCOME, "detected": {"binary_path": "/x" * 5000}}

    text = printed_report(result_with(outcome))

    assert "9700 more" in text
    assert len(text.splitlines()) < 60


def test_several_deliveries_are_summed_up() -> None:
    """Of twenty deliveries the first is reported, and all are counted."""
    duplicate = {**OUTCOME, "status": "duplicate", "changes": []}
    contained = {**OUTCOME, "status": "contained"}

    text = printed_report(result_with(duplicate, contained, *[duplicate] * 18))

    assert "CONTAINED" in text
    assert "20: duplicate \N{MULTIPLICATION SIGN}19, contained \N{MULTIPLICATION SIGN}1" in text


def test_the_next_command_keeps_the_mode() -> None:
    """Who enforced once is shown how to do that again, not how to plan."""
    result = result_with({**OUTCOME, "status": "contained"}, mode="enforce")

    assert "finding.json --mode enforce --json" in printed_report(result)
    assert "finding.json --mode enforce --deliveries 20" in printed_report(result)


def test_writes_are_counted_by_result() -> None:
    """What was only validated, carried out or refused is counted apart."""
    writes = [
        Write(UPDATE_SERVICE, {}, [], validate_only=validate_only, at=0.0, code=code)
        for validate_only, code in ((True, "OK"), (False, "OK"), (False, "ABORTED"))
    ]

    text = printed_report(result_with(OUTCOME, writes=tuple(writes)), width=120)

    one = "\N{MULTIPLICATION SIGN}1"
    assert f"validate_only {one}, carried out {one}, refused with ABORTED {one}" in text


def test_a_retry_says_why() -> None:
    """Where nothing came of a delivery, the function's own words stand in its place."""
    text = printed_report(result_with(None))

    assert "RETRY" in text
    assert "cannot read SCC: UNAVAILABLE" in text


def test_a_failure_comes_before_everything_else() -> None:
    """What the function did not do as promised stands at the top, with its last words."""
    result = result_with(
        OUTCOME, deliveries=(Delivery(500),), errors=("RuntimeError: boom\x1b[2J",)
    )

    lines = printed_report(result).splitlines()

    assert "the function failed" in lines[0]
    assert "HTTP 500" in lines[1]
    assert r"RuntimeError: boom\x1b[2J" in lines[2]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_any_width_is_kept(width: int) -> None:
    """No line is longer than the terminal is wide, but for what must not be broken."""
    assert not overlong_lines(printed_report(result_with(OUTCOME), width).splitlines(), width)


def test_what_is_to_be_pasted_is_not_broken() -> None:
    """Commands are lines of their own, however long; so are digests, addresses and paths."""
    long = result_with(
        {**OUTCOME, "links": {"report": f"file:///{'r' * 90}"}},
        command=("python", "-m", "emulator", "run", f"{'a path ' * 60}.json"),
    )
    lines = printed_report(long, 40).splitlines()
    command = f"python -m emulator run '{'a path ' * 60}.json'"
    assert f"{command} --mode enforce" in lines
    assert f"{command} --json" in lines
    for word in (OUTCOME["detected"]["sha256"], f"file:///{'r' * 90}"):
        assert [line for line in lines if line.endswith(f" {word}")], word


@pytest.mark.parametrize("shape", [None, 3, "x", [], [None], {}, {"a": [1, {"b": None}]}])
def test_an_outcome_of_another_shape_is_shown_all_the_same(shape: Any) -> None:
    """Whatever a later version of the product puts into an outcome breaks nothing."""
    for key in OUTCOME:
        assert printed_report(result_with({**OUTCOME, key: shape}))


def test_a_field_that_is_new_or_gone_is_a_whole_line() -> None:
    """Nothing before means nothing but additions."""
    assert line_diff({}, {"ingress": "INGRESS_TRAFFIC_ALL"}) == [("+", "ingress: ALL")]
    assert line_diff({"tags": []}, None) == [("-", "tags: []")]
    assert line_diff({"on": True}, {"on": False}) == [("-", "on: true"), ("+", "on: false")]


def test_retries_are_shown_with_their_delivery() -> None:
    """Of two deliveries that end together, the lines may come in another order."""
    logged = (LoggedOutcome(None, "again"), LoggedOutcome(OUTCOME, "planned"))

    assert in_delivery_order(logged, (Delivery(200), Delivery(503))) == (logged[1], logged[0])
    assert in_delivery_order(logged, (Delivery(200), Delivery(200))) == logged
    assert in_delivery_order(logged[:1], (Delivery(200), Delivery(503))) == logged[:1]


def test_fewer_outcomes_than_deliveries_are_a_failure() -> None:
    """The function must log one outcome for every delivery; a missing answer is reported."""
    result = result_with(OUTCOME, deliveries=(Delivery(204), Delivery(None)), exited_early=True)

    assert result.failures == (
        "deliveries that failed: 1 of 2 (no answer)",
        "deliveries without an outcome in the log: 1 of 2",
        "the function's process ended before it was asked to",
    )


def test_times_are_counted_from_the_first_delivery() -> None:
    """Times of calls are printed in milliseconds, to a tenth."""
    printed = result_with(OUTCOME).to_json()

    assert printed["calls"] == [
        {"method": "/google.cloud.run.v2.Services/GetService", "at_ms": 12.3}
    ]
    assert list(printed) == [
        *("outcomes", "deliveries", "calls", "writes", "world", "renotifications"),
    ]


def with_suffix_everywhere(value: Any, text: str) -> Any:
    """A JSON value with a text appended to every text and key in it."""
    if isinstance(value, dict):
        return {key: with_suffix_everywhere(item, text) for key, item in value.items()} | {
            text: text
        }
    if isinstance(value, list):
        return [with_suffix_everywhere(item, text) for item in value] + [text]
    return f"{value}{text}" if isinstance(value, str) else value
