"""At 60, 80 and 200 columns and through a pipe: what is to be pasted is never cut."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.commands.test_list_and_show import run
from tests.support.environment import policy_yaml, responder_environment

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
WIDTHS: dict[str, dict[str, str]] = {
    **{
        f"{width} columns": {"COLUMNS": str(width), "FORCE_COLOR": "1", "TERM": "xterm"}
        for width in (60, 80, 200)
    },
    "pipe": {"COLUMNS": "40"},
}


def printed(store: Path, place: dict[str, str], *arguments: str) -> list[str]:
    """The lines that a command prints, without colours and margins."""
    result: Result = run(store, *arguments, **place)
    assert result.exit_code == 0, result.output
    return [line.strip() for line in _COLOURS.sub("", result.stdout).splitlines()]


def commands_of(value: Any) -> Iterator[str]:
    """Every line of every command in an outcome."""
    if isinstance(value, dict):
        command = value.get("command")
        yield from (line.strip() for line in str(command or "").splitlines())
        for part in value.values():
            yield from commands_of(part)
    elif isinstance(value, list):
        for part in value:
            yield from commands_of(part)


@pytest.fixture(scope="module")
def incident(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A store with a contained incident, and its outcome."""
    folder = tmp_path_factory.mktemp("widths")

    async def delivered() -> dict[str, Any]:
        async with responder_environment(folder, policy_text=policy_yaml()) as env:
            return dict((await env.deliver()).outcome.to_json())

    return folder / "store", asyncio.run(delivered())


@pytest.mark.parametrize("place", WIDTHS)
def test_what_is_to_be_pasted_is_a_line_of_its_own(
    place: str, incident: tuple[Path, dict[str, Any]]
) -> None:
    """The plan's commands, however long."""
    store, outcome = incident
    lines = printed(store, WIDTHS[place], "show", outcome["incident"], "--plan")
    wanted = [each for each in commands_of(outcome["assessment"]["plan"]["people"]) if each]
    assert len(wanted) > 5
    assert [each for each in wanted if each not in lines] == []


@pytest.mark.parametrize("place", WIDTHS)
def test_ids_digests_and_addresses_are_whole(
    place: str, incident: tuple[Path, dict[str, Any]]
) -> None:
    """In each command that prints them."""
    store, outcome = incident
    name, detected, links = outcome["incident"], outcome["detected"], outcome["links"]
    where = WIDTHS[place]
    shown = {
        ("list",): [name],
        ("show", name): [name, detected["sha256"], links["report"]],
        ("show", name, "--evidence"): [detected["sha256"], detected["image"], links["report"]],
        ("show", name, "--all"): [detected["digest"], links["console"], outcome["containment"]],
        ("verify", name): [f"incidents/{name}/manifest.json"],
    }
    for arguments, texts in shown.items():
        lines = printed(store, where, *arguments)
        for text in texts:
            assert any(text in line for line in lines), (arguments, text)
        assert not any("…" in line for line in lines), arguments


def test_a_pipe_gets_no_colours_and_no_padding(incident: tuple[Path, dict[str, Any]]) -> None:
    """For grep, diff and copying."""
    store, outcome = incident
    name = outcome["incident"]
    for arguments in (("list",), ("show", name), ("show", name, "--all")):
        text = run(store, *arguments).stdout
        assert "\x1b" not in text
        assert not [line for line in text.splitlines() if line.endswith(" ")]
