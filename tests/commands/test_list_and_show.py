"""`list`: what can be read is listed, whatever else lies in the store."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from click.testing import CliRunner, Result

from commands.list_and_show import list_
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
        incident = str((await env.deliver()).outcome["incident"])
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
        assert "a record is incomplete" in reported[names[2]]
        assert found.exit_code == 1
