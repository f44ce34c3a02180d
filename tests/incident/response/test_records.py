"""Records of a run: each step with when it began and when it ended."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from incident.model import Decision, JsonObject
from incident.model.json_text import parse_time
from incident.redaction.redactor import Redactor
from incident.response import records
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
    by_kind = {found["kind"]: found for found in parsed if "kind" in found}
    assert by_kind.keys() >= STEPS
    for kind in STEPS:
        began, ended = (parse_time(by_kind[kind][key]) for key in ("began_at", "recorded_at"))
        assert began, kind
        assert ended, kind
        assert began <= ended, kind
    read = by_kind["decided"]["read"]
    assert read["began_at"] <= read["ended_at"]
    assert read["ended_at"] == by_kind["decided"]["began_at"]


async def test_a_decision_is_redacted_beside_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Much text of one incident keeps no other from being answered."""
    threads: list[int] = []
    made = records.decision_record

    def observed(decision: Decision, redactor: Redactor) -> JsonObject:
        threads.append(threading.get_ident())
        return made(decision, redactor)

    monkeypatch.setattr(records, "decision_record", observed)
    async with responder_environment(tmp_path) as env:
        assert await env.status() == "contained"
    assert threads
    assert threading.get_ident() not in threads
