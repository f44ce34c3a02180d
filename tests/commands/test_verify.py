"""`verify`: what it prints, and what it ends with."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from commands.verify import verify
from tests.road import CONTAINMENTS, Road, road
from tests.test_cli import run


async def said(way: Road, *arguments: str) -> tuple[int, str, str]:
    """What it ends with, prints, and complains of. It needs the store alone, and no process."""
    environment = {"RESPONDER_STORE": way.settings.store}
    # It has a loop of its own, as a command has.
    invoked = await asyncio.to_thread(CliRunner().invoke, verify, arguments, env=environment)
    return invoked.exit_code, invoked.stdout, invoked.stderr


async def verified(way: Road, *arguments: str) -> tuple[int, Any]:
    """What it ends with, and what it prints as JSON."""
    code, out, err = await said(way, *arguments, "--json")
    assert err == ""
    return code, json.loads(out)


async def test_a_case_file_is_held_against_the_digests_that_were_kept(tmp_path: Path) -> None:
    """Of the log and of whoever released it: together they vouch for all of it."""
    async with road(tmp_path) as way:
        answer = await way.deliver()
        incident, logged = str(answer.outcome["incident"]), str(answer.manifest_sha256)
        code, out, err = await said(way, incident)
        assert (code, err) == (0, "")
        assert "intact, as far as the store itself can tell" in out
        assert f'jsonPayload.incident="{incident}"' in out
        assert 'timestamp>="2026-10-02T00:00:00Z"' in out
        assert f"verify {incident} --log -" in out
        code, out, err = await run(way, "release", incident, "--yes", "--json")
        released = json.loads(out)["manifest_sha256"][incident]
        assert f"{incident} is sealed" in err
        (tmp_path / "log").write_text(f"2026-10-02T08:14:12Z\t{logged}\n\n")
        code, told = await verified(way, incident, "--log", str(tmp_path / "log"))
        assert (code, told["intact"], told["proven"]) == (0, True, False)
        assert told["unproven"] == ["manifest-3.json", "manifest-4.json"]
        both = ("--log", str(tmp_path / "log"), "--sha256", released)
        code, told = await verified(way, incident, *both)
        assert (code, told["proven"], told["unproven"]) == (0, True, [])


async def test_what_was_done_to_a_case_file_comes_first(tmp_path: Path) -> None:
    """Each object with its path, then what to do; the rest is only counted."""
    async with road(tmp_path) as way:
        answer = await way.deliver()
        incident = str(answer.outcome["incident"])
        store = tmp_path / "store"
        place = store / "incidents" / incident
        (place / "evidence" / "finding.json").write_text("not even JSON")
        (place / "0001-received.json").write_text("[")
        (place / "report.html").unlink()
        (place / "1001-\u202ereleased.json").write_text("{}")
        (store / CONTAINMENTS / "1" / "0009-released.json").write_text("{}")
        code, out, _ = await said(way, incident)
        assert code == 1
        lines = out.splitlines()
        assert lines[0] == f"{incident}: NOT INTACT"
        assert [line.split()[:2] for line in lines[1:4]] == [
            ["changed", "2"],
            ["missing", "1"],
            ["not", "listed"],
        ]
        assert lines[7:12] == [
            f"changed     incidents/{incident}/0001-received.json",
            f"changed     incidents/{incident}/evidence/finding.json",
            f"missing     incidents/{incident}/report.html",
            f"not listed  {CONTAINMENTS}/1/0009-released.json",
            f"not listed  incidents/{incident}/1001-\\u202ereleased.json",
        ]
        assert "evidence/settings.json" not in out
        code, told = await verified(way, incident, "--sha256", "0" * 64)
        assert (code, told["replaced"]) == (1, ["0" * 64])
        assert told["counts"]["changed"] == 2
        assert {o["mark"] for o in told["objects"][:5]} == {"changed", "missing", "not listed"}


async def test_what_is_not_there_cannot_be_verified(tmp_path: Path) -> None:
    """No such incident, or one without a manifest: one clear sentence."""
    async with road(tmp_path) as way:
        incident = str((await way.deliver()).outcome["incident"])
        code, _, err = await said(way, "20261002-000000000000")
        assert (code, "cannot find incident" in err) == (1, True)
        for path in (tmp_path / "store" / "incidents" / incident).glob("manifest*"):
            path.unlink()
        code, _, err = await said(way, incident)
        assert (code, "has no manifest" in err) == (1, True)
