"""`list`: what can be read is listed, whatever else lies in the store."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from commands import cli
from commands.help_text import EXAMPLES, environment_rows
from commands.list_cases import list_
from incident.model import Kind, Status, Verdict
from incident.model.json_text import parse_time
from incident.model.outcome import Outcome, ReportedDecision, ReportedFinding, ReportedWorkload
from tests.support.environment import ResponderEnvironment, responder_environment

OTHER_INCIDENT = "incidents/20261002-6255b37a8b00"
RECORD = {"schema_version": 1, "kind": "done", "recorded_at": "2026-10-02T08:00:00Z", "run": "x"}
UNREADABLE_RECORDS = {
    "no JSON": b"garbage",
    "no record": b"[]",
    "no status": json.dumps({**RECORD, "outcome": {"workload": None}}).encode(),
    "half a workload": json.dumps(
        {**RECORD, "outcome": {"status": "held", "workload": {"project": "p"}}}
    ).encode(),
    "no time": json.dumps({**RECORD, "recorded_at": "0001-01-01T00:00:00+14:00"}).encode(),
}


async def list_output(env: ResponderEnvironment, *arguments: str) -> Result:
    """What it prints. It needs the store alone, and no process."""
    environment = {"RESPONDER_STORE": env.settings.store}
    return await asyncio.to_thread(CliRunner().invoke, list_, arguments, env=environment)


def write_object(env: ResponderEnvironment, path: str, data: bytes) -> None:
    """Write into the store."""
    there = env.folder / "store" / path
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_bytes(data)


async def test_unreadable_records_are_listed_last(tmp_path: Path) -> None:
    """One line on standard error, in JSON one object; and the exit status says so."""
    async with responder_environment(tmp_path) as env:
        incident = str((await env.deliver()).outcome.incident)
        fine = await list_output(env)
        assert (fine.exit_code, fine.stderr) == (0, "")
        for number, data in enumerate(UNREADABLE_RECORDS.values()):
            write_object(env, f"{OTHER_INCIDENT[:-1]}{number}/1000-done.json", data)
        write_object(env, "incidents/1\x1b[31m.json", b"x")
        found = await list_output(env)
        assert found.exit_code == 1
        assert found.stdout == fine.stdout
        (line,) = found.stderr.splitlines()
        assert line.startswith(
            f"Error: cannot read {len(UNREADABLE_RECORDS) + 1} of what is there: "
        )
        assert "1\\x1b[31m.json: a control character" in line
        assert line.endswith("; and 1 more")
        found = await list_output(env, "--json", "--status", "contained")
        assert [row["incident"] for row in json.loads(found.stdout)] == [incident]
        reported = {each["path"]: each["reason"] for each in json.loads(found.stderr)["unreadable"]}
        names = [f"{OTHER_INCIDENT[:-1]}{number}" for number in range(len(UNREADABLE_RECORDS))]
        assert [*reported] == ["incidents/1\\x1b[31m.json", *names]
        assert "not a JSON object" in reported[names[0]]
        assert "its status is not readable" in reported[names[2]]
        assert found.exit_code == 1


def write_case(env_folder: Path, incident: str, root: str = "incidents", **given: Any) -> None:
    """A case file with the record of an outcome, as a run leaves it."""
    outcome = Outcome(
        status=Status(given.pop("status", "held")),
        incident=incident,
        finding=ReportedFinding(
            category=given.pop("category", "Execution: Modified Malicious Binary Executed"),
            severity=given.pop("severity", "CRITICAL"),
            event_time=parse_time(given.pop("event_time", "2026-10-02T08:14:07Z")),
        ),
        workload=ReportedWorkload(
            kind=Kind.SERVICE,
            project=given.pop("project", "example-shop-prod"),
            project_number="210987654321",
            location="europe-west1",
            name=given.pop("name", "storefront"),
            resource_name="projects/p/locations/europe-west1/services/storefront",
        ),
        decision=ReportedDecision(Verdict.HOLD, (given.pop("reason", "policy names no rule"),)),
    )
    path = env_folder / "store" / root / incident / "1000-done.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**RECORD, "outcome": {**outcome.to_json(), **given}}))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with six incidents of four days; one is unconfirmed."""
    write_case(tmp_path, "20261002-aaaaaaaaaaaa", status="contained")
    write_case(tmp_path, "20261002-aaaaaaaaaabb", severity="HIGH", project="other")
    hour = "2026-10-04T10:01:00Z"
    write_case(tmp_path, "20261004-bbbbbbbbbbbb", event_time=hour, category="Reverse Shell")
    write_case(
        tmp_path, "20261004-cccccccccccc", event_time="2026-10-04T11:30:00Z", status="failed"
    )
    write_case(tmp_path, "20261001-dddddddddddd-12345678", "claims", severity="LOW")
    write_case(tmp_path, "20261001-eeeeeeeeeeee", reason="why " * 40 + "\x1b[31m", name="n" * 49)
    quarantine = {"sha256": "ab" * 32, "size": 7, "error": "not JSON \x1b[1m", "excerpt": "a\nb"}
    (tmp_path / "store" / "quarantine").mkdir()
    (tmp_path / "store" / "quarantine" / f"{'ab' * 32}.json").write_text(json.dumps(quarantine))
    return tmp_path / "store"


def run(store: Path, *arguments: str, **environment: str) -> Result:
    """Run a command two days after the first incident, at noon."""
    addresses = json.dumps({"grpc": "127.0.0.1:1", "http": "127.0.0.1:1"})
    clock = {"RESPONDER_EMULATOR": addresses, "RESPONDER_NOW": "2026-10-04T12:00:00Z"}
    given = {"RESPONDER_STORE": str(store), **clock, **environment}
    return CliRunner().invoke(cli, arguments, env=given, catch_exceptions=False)


def listed(store: Path, *options: str) -> list[str]:
    """Beginnings of the ids that are listed."""
    result = run(store, "list", *options, "--format=json")
    assert result.exit_code == 0, result.output
    return [row["incident"][9:13] for row in json.loads(result.stdout)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ["cccc", "bbbb", "aaaa", "aaaa", "eeee", "dddd"]),
        (("--limit", "2"), ["cccc", "bbbb"]),
        (("--since", "2h"), ["cccc", "bbbb"]),
        (("--since", "1 h"), ["cccc"]),
        (("--since", "2d"), ["cccc", "bbbb"]),
        (("--since", "2026-10-03"), ["cccc", "bbbb"]),
        (("--since", "2026-10-04T13:00:00+02:00"), ["cccc"]),
        (("--status", "failed", "--status", "contained"), ["cccc", "aaaa"]),
        (("--severity", "high", "--severity", "LOW"), ["aaaa", "dddd"]),
        (("--category", "reverse"), ["bbbb"]),
        (("--project", "other"), ["aaaa"]),
        (("--unconfirmed",), ["dddd"]),
        (("--project", "other", "--severity", "CRITICAL"), []),
    ],
)
def test_list_filters_and_limits(
    store: Path, options: tuple[str, ...], expected: list[str]
) -> None:
    """By time, status, severity, type and project, all of them at once."""
    assert listed(store, *options) == expected


def test_a_pipe_gets_one_whole_line_an_incident(store: Path) -> None:
    """With all columns, and nothing cut or wrapped, whatever COLUMNS says."""
    result = run(store, "list", COLUMNS="40")
    head, *lines, total = result.stdout.splitlines()
    assert head.split() == [
        "incident",
        "age",
        "severity",
        "status",
        "workload",
        "category",
        "reason",
    ]
    assert len(lines) == 6
    assert lines[0].split()[:6] == ["20261004-cccccccccccc", "30", "min", "CRITICAL", "failed",
                                    "storefront"]  # fmt: skip
    (long,) = [line for line in lines if "eeee" in line]
    assert long.endswith("why " * 40 + "\\x1b[31m")
    assert f"{'n' * 49} (example-shop-prod)" in long
    assert [line for line in lines if "held, unconfirmed" in line] == [
        line for line in lines if "20261001-dddddddddddd-12345678" in line
    ]
    assert total == f"6 incidents in {store.as_uri()}"
    limited = run(store, "list", "--limit", "2").stdout
    assert limited.endswith(f"2 of 6 incidents in {store.as_uri()}\n")


@pytest.mark.parametrize("width", [60, 80, 200])
def test_at_a_terminal_ids_and_texts_stay_whole(store: Path, width: int) -> None:
    """Narrow ones have a block for each incident, wide ones a row."""
    shown = run(store, "list", COLUMNS=str(width), FORCE_COLOR="1", TERM="xterm").stdout
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    ids = [line.split()[0] for line in lines if line.startswith("2026")]
    assert len(ids) == 6
    assert all(re.fullmatch(r"\d{8}-[0-9a-f]{12}(-[0-9a-f]{8})?", each) for each in ids)
    assert max(len(line.rstrip()) for line in lines[:-1]) <= width
    words = " ".join(" ".join(lines).split())
    assert "why why why" in words
    assert "…" not in words


def test_ids_may_be_given_by_their_beginning(store: Path) -> None:
    """One that several begin with is refused, with the commands that show them."""
    assert "20261004-bbbbbbbbbbbb" in run(store, "show", "20261004-b").stdout
    assert "does not confirm" in run(store, "show", "20261001-dddddddddddd").stdout
    result = run(store, "show", "20261002")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "  cloud-run-responder show 20261002-aaaaaaaaaaaa\n" in result.stderr
    assert run(store, "show", "20261005").exit_code == 1


def test_quarantined_messages_are_listed_and_shown(store: Path) -> None:
    """By digest or the beginning of it; their text is escaped."""
    result = run(store, "list", "--quarantined")
    assert result.stdout == (
        f"abababababab  7 bytes  not JSON \\x1b[1m\n1 quarantined message in {store.as_uri()}\n"
    )
    for asked in ("abababababab", "ab" * 32):
        shown = run(store, "show", asked).stdout
        assert "MALFORMED" in shown
        assert "ab" * 32 in shown
        assert "    a\n    b\n" in shown
    assert (
        json.loads(run(store, "show", "abababab", "--json").stdout)["error"] == "not JSON \x1b[1m"
    )
    assert run(store, "show", "cdcdcdcdcd").exit_code == 1


async def test_show_is_one_screen_and_the_rest_on_request(tmp_path: Path) -> None:
    """The summary says what happened, whether it runs, and what to do next."""
    async with responder_environment(tmp_path) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        store = env.folder / "store"
        summary = await asyncio.to_thread(run, store, "show", outcome["incident"])
        plan = await asyncio.to_thread(run, store, "show", outcome["incident"], "--plan")
        everything = await asyncio.to_thread(run, store, "show", outcome["incident"], "--all")
        evidence = await asyncio.to_thread(run, store, "show", outcome["incident"], "--evidence")
    lines = summary.stdout.splitlines()
    assert lines.pop(0).startswith("SIMULATED")
    assert lines[0] == "CONTAINED  storefront (service, example-shop-prod, europe-west1)"
    assert lines[1] == "STOPPED. Contained and verified: nothing of it runs."
    assert "2026-10-02 08:14:07 UTC (2 d ago)" in summary.stdout
    assert "Execution: Modified Malicious Binary Executed, CRITICAL" in summary.stdout
    assert f"  cloud-run-responder show {outcome['incident']} --plan" in lines
    assert len(lines) <= 30
    sections = ("To do", "Decision", "Assessment", "Records")
    shown = {
        name: [title for title in sections if f"\n{title}\n" in result.stdout]
        for name, result in (("plan", plan), ("evidence", evidence), ("all", everything))
    }
    assert shown == {
        "plan": ["To do"],
        "evidence": ["Assessment"],
        "all": ["To do", "Decision", "Assessment", "Records"],
    }


def test_what_is_not_readable_of_an_outcome_is_named(tmp_path: Path) -> None:
    """The rest is shown, by list as well."""
    incident = "20261002-aaaaaaaaaaaa"
    write_case(tmp_path, incident, detected={"pid": "seven"}, gaps="none")
    store = tmp_path / "store"
    shown = run(store, "show", incident)
    assert shown.exit_code == 0
    assert "Not readable in the stored outcome: detected/" in " ".join(shown.stdout.split())
    assert json.loads(run(store, "show", incident, "--json").stdout)["unreadable"][-1] == "gaps"
    assert "storefront" in run(store, "list").stdout


def test_every_command_has_examples_that_parse() -> None:
    """In its help, under the installed name."""
    for path, lines in EXAMPLES.items():
        names = path.split()
        group: click.Command = cli
        for name in names:
            assert isinstance(group, click.Group)
            group = group.commands[name]
        text = CliRunner().invoke(cli, [*names, "--help"], terminal_width=60).stdout
        assert lines
        for line in lines:
            assert f"  cloud-run-responder {line}\n" in text
    leaves = {name for name, each in cli.commands.items() if not isinstance(each, click.Group)}
    assert leaves <= set(EXAMPLES)


def test_help_lists_the_environment_and_completion() -> None:
    """Every variable that is read, with its meaning."""
    text = CliRunner().invoke(cli, ["--help"]).stdout
    for name, meaning, _ in environment_rows():
        assert name in text
        assert meaning.split()[0] in text
    assert "_CLOUD_RUN_RESPONDER_COMPLETE=bash_source" in text
    assert re.fullmatch(
        r"cloud-run-responder, version \S.*\n", CliRunner().invoke(cli, ["--version"]).stdout
    )


@pytest.mark.parametrize(
    "option", [("--json",), ("--format=json",), ("--format", "json", "--json")]
)
def test_json_has_two_spellings(store: Path, option: tuple[str, ...]) -> None:
    """Both print the same."""
    assert len(json.loads(run(store, "list", *option).stdout)) == 6
