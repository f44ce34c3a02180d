"""Records of a run: each step with when it began and when it ended."""

from __future__ import annotations

import json
from pathlib import Path

from incident.model.json_text import parse_time
from tests.support.environment import responder_environment

#: What a run does that takes time; the others only mark a moment.
STEPS = frozenset(
    [
        *("decided", "snapshot", "written", "verified", "annotated", "contained", "concluded"),
        *("report-written", "written-back", "published"),
    ]
)


async def test_each_step_is_recorded_with_when_it_began_and_ended(tmp_path: Path) -> None:
    """So that a timeline is read from the records, and nothing of it is inferred."""
    async with responder_environment(tmp_path, topic="projects/p/topics/outcomes") as env:
        assert await env.status() == "contained"
        stored = env.stored_objects("**/[0-9]*-*.json")
    parsed = [json.loads(data) for data in stored.values()]
    records = {found["kind"]: found for found in parsed if "kind" in found}
    assert records.keys() >= STEPS
    for kind in STEPS:
        began, ended = (parse_time(records[kind][key]) for key in ("began_at", "recorded_at"))
        assert began, kind
        assert ended, kind
        assert began <= ended, kind
    read = records["decided"]["read"]
    assert read["began_at"] <= read["ended_at"]
    assert read["ended_at"] == records["decided"]["began_at"]
