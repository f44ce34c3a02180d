"""The commands take a finding from a file or standard input, and ask which of several."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands import cli
from emulator.cli.run import run_command
from tests.finding_input.test_reading import FINDING, FORMS, OTHER, RESULT, UNUSABLE, as_json
from tests.support.constants import REPOSITORY
from tests.support.terminal import open_terminal

POLICY = str(REPOSITORY / "deploy" / "policy.yaml")
ID = FINDING["name"].rpartition("/")[2]


def check(*options: str, data: bytes | None = None) -> Result:
    """Run ``policy check`` on a finding."""
    arguments = ("policy", "check", POLICY, "--finding", *options)
    return CliRunner().invoke(cli, arguments, input=data)


@pytest.mark.parametrize("form", FORMS)
def test_policy_check_takes_every_form_from_standard_input(form: str) -> None:
    """As a shell pipes it."""
    result = check("-", data=FORMS[form])
    assert result.exit_code == 0, result.stderr
    assert "defaults: yes" in result.stdout


def test_of_several_findings_one_is_chosen_by_id(tmp_path: Path) -> None:
    """Without it they are listed, with exit status 2; with an unknown one as well."""
    file = tmp_path / "findings.json"
    second = {**OTHER, "finding": {**OTHER["finding"], "category": "Impact: \x1b[31m Miner"}}
    file.write_bytes(as_json([RESULT, second]))
    result = check(str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{file} has 2 findings:" in result.stderr
    assert f"  {ID}  2026-10-02 08:14:07 UTC  {FINDING['category']}  storefront" in result.stderr
    assert "Choose one with --finding-id ID." in result.stderr
    assert "\x1b" not in result.stderr
    assert "not among" in check(str(file), "--finding-id", ID[:-4] + "00").stdout
    assert "is among" in check(str(file), "--finding-id", ID).stdout
    result = check(str(file), "--finding-id", "f00")
    assert (result.exit_code, "begins with f00" in result.stderr) == (2, True)


def test_of_several_events_of_one_finding_the_latest_is_taken(tmp_path: Path) -> None:
    """As Security Command Center has it now."""
    later = {**FINDING, "eventTime": "2026-10-03T08:14:07Z", "category": "Later"}
    file = tmp_path / "findings.json"
    file.write_bytes(as_json([{**RESULT, "finding": later}, RESULT]))
    assert '"Later" is not among' in check(str(file)).stdout


def test_at_a_terminal_a_person_is_asked(tmp_path: Path) -> None:
    """The question lists them with numbers; the answer is what is checked."""
    file = tmp_path / "findings.json"
    file.write_bytes(as_json([{**OTHER, "finding": {**OTHER["finding"], "category": "X"}}, RESULT]))
    with open_terminal() as screen:
        command = (sys.executable, "cli.py", "policy", "check", POLICY, "--finding", str(file))
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=screen.stream, stdout=subprocess.PIPE,
            stderr=screen.stream,
        )  # fmt: skip
        screen.wait_for("Which one?")
        assert f"  2. {ID}" in screen.printed
        screen.type("2\n")
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, b"is among" in output) == (0, True)


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_is_not_usable_ends_each_command_with_2(case: str, tmp_path: Path) -> None:
    """With one sentence that says what it looks like; nothing is started."""
    data, expected = UNUSABLE[case]
    file = tmp_path / "given"
    file.write_bytes(data)
    for result in (
        check(str(file)),
        CliRunner().invoke(cli, ["replay", str(file)]),
        CliRunner().invoke(run_command, [str(file)]),
    ):
        assert (result.exit_code, result.stdout) == (2, "")
        assert expected in result.stderr
        assert f"Error: {file}: This is " in result.stderr
        assert "\x1b" not in result.stderr


def test_a_finding_that_lacks_what_is_needed_ends_with_2(tmp_path: Path) -> None:
    """It names the field, and no topic."""
    file = tmp_path / "finding.json"
    file.write_text(json.dumps({"finding": {**FINDING, "eventTime": "yesterday"}}))
    for result in (check(str(file)), CliRunner().invoke(cli, ["replay", str(file)])):
        assert result.exit_code == 2
        assert "finding.eventTime is 'yesterday'" in result.stderr.replace('"', "'")
        assert "topic" not in result.stderr
