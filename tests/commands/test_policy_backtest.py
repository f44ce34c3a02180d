"""``policy backtest`` as a person runs it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from commands import cli
from tests.support.environment import policy_yaml, responder_environment


async def run(folder: Path, *arguments: str) -> Result:
    """Run the command with a new policy on the store in a folder."""
    options = ("--policy", str(folder / "new.yaml"), "--store", str(folder / "store"))
    command = ["policy", "backtest", *options, *arguments]
    return await asyncio.to_thread(CliRunner().invoke, cli, command, env={"RESPONDER_STORE": ""})


async def test_what_differs_is_a_table_and_nothing_is_cut(tmp_path: Path) -> None:
    """In a pipe each incident is one line with its whole id, workload and both decisions."""
    async with responder_environment(tmp_path) as env:
        incident = str((await env.deliver()).outcome.incident)
        (tmp_path / "new.yaml").write_text(policy_yaml("approve"))
        result = await run(tmp_path)
        assert (result.exit_code, result.stderr) == (0, "")
        first, titles, row = result.stdout.splitlines()
        store = f"file://{tmp_path / 'store'}"
        assert first == (
            f"{tmp_path / 'new.yaml'} on the incidents in {store}:"
            " differing 1, the same 0, not judged 0"
        )
        assert titles.split("  ")[0] == "incident"
        assert row.startswith(f"{incident}  storefront (service, example-shop-prod)  Execution: ")
        assert "contain (enforce): scale-to-zero  contain (approve): scale-to-zero" in row
        (tmp_path / "new.yaml").write_text(policy_yaml())
        assert "differing 0, the same 1" in (await run(tmp_path)).stdout
        assert (
            "differing 0, the same 0, not judged 0" in (await run(tmp_path, "--since", "1h")).stdout
        )


async def test_a_narrow_terminal_gets_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 60 columns the id stays whole, and lines break between words."""
    async with responder_environment(tmp_path) as env:
        incident = str((await env.deliver()).outcome.incident)
        (tmp_path / "new.yaml").write_text(policy_yaml(extra="protect: [{services: [s*]}]"))
        monkeypatch.setenv("COLUMNS", "60")
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
        lines = click.unstyle((await run(tmp_path)).stdout).splitlines()
    assert lines[1] == f"{incident}  storefront (service, example-shop-prod)"
    assert lines[3:5] == ["  decided     contain (enforce): scale-to-zero", "  new policy  hold"]
    assert all(len(line) <= 60 for line in lines[2:])


async def test_json_has_both_decisions(tmp_path: Path) -> None:
    """One object, for another tool."""
    async with responder_environment(tmp_path) as env:
        incident = str((await env.deliver()).outcome.incident)
        (tmp_path / "new.yaml").write_text(policy_yaml(extra="protect: [{projects: ['*']}]"))
        found = json.loads((await run(tmp_path, "--json")).stdout)
        (only,) = found.pop("differing")
        assert found == {"same": [], "by_another_rule": [], "not_judged": []}
        assert only["incident"] == incident
        assert (only["decided"]["verdict"], only["tested"]["verdict"]) == ("contain", "hold")
        assert "protect[0]" in only["tested"]["reasons"][0]


async def test_wrong_use_ends_with_2(tmp_path: Path) -> None:
    """An invalid policy, a store that is not there, a duration without a unit."""
    (tmp_path / "store").mkdir()
    (tmp_path / "new.yaml").write_text("mode: enforced\n")
    result = await run(tmp_path)
    assert result.exit_code == 2
    assert "new.yaml:1:7: mode: found" in result.stderr
    (tmp_path / "new.yaml").write_text(policy_yaml())
    assert (await run(tmp_path, "--since", "long ago")).exit_code == 2
    (tmp_path / "store").rmdir()
    assert (await run(tmp_path)).exit_code == 2
