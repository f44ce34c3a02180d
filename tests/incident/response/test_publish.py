"""Publish an outcome: each step once, side by side, and its record last."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from incident.case_file.case_file import CaseFile
from incident.decision.process import Process
from incident.model import GiveUp, Retry, Status, TopicFormat
from incident.model.outcome import Outcome
from incident.redaction.redactor import Redactor
from incident.response.publish import publish
from incident.response.response import Response
from tests.support.constants import INCIDENT_ID
from tests.support.model import folder_store
from tests.support.processes import store_process

FOLDER = f"incidents/{INCIDENT_ID}"
OUTCOME = Outcome(Status.HELD, INCIDENT_ID)


class RefusingTopic:
    """A topic, which may refuse messages."""

    name = "projects/p/topics/t"
    format = TopicFormat.OUTCOME

    def __init__(self, refusal: Exception | None = None) -> None:
        self.published: list[Any] = []
        self.called = asyncio.Event()
        self._refusal = refusal

    async def publish(self, data: bytes, attributes: Mapping[str, str]) -> None:
        """Keep the message, or refuse it."""
        if self._refusal:
            raise self._refusal
        self.published.append((json.loads(data), dict(attributes)))
        self.called.set()


def process_with(folder: Path, topic: RefusingTopic | None) -> Process:
    """A process with a store and a topic."""
    return replace(store_process(folder_store(folder)), topic=topic)


async def published(process: Process, outcome: Outcome = OUTCOME) -> Response:
    """What publishing comes to, with the case file as it is now."""
    case: CaseFile = await process.case_file(FOLDER)
    if not case.has_record("concluded"):
        await case.conclude(outcome)
        case = await case.reload()
    return await publish(process, case, outcome, Redactor(b"key"))


async def kinds(process: Process) -> list[str]:
    """The kinds of the incident's records."""
    return sorted(record.kind for record in await process.journal(FOLDER).records())


async def test_a_first_outcome_is_published_once(tmp_path: Path) -> None:
    """A run that finds the step on record does not repeat it."""
    topic = RefusingTopic()
    process = process_with(tmp_path, topic)
    await published(process)
    assert await kinds(process) == ["concluded", "done", "published", "report-written"]
    (tmp_path / FOLDER / "1000-done.json").unlink()
    await published(process)
    ((data, _),) = topic.published
    assert data == OUTCOME.to_json()


async def test_without_a_topic_nothing_is_announced(tmp_path: Path) -> None:
    """A missing topic is no failure."""
    process = process_with(tmp_path, None)
    response = await published(process)
    assert (response.outcome.gaps, response.alarm) == ((), False)
    assert await kinds(process) == ["concluded", "done", "report-written"]


async def test_a_topic_that_refuses_for_good_is_a_gap(tmp_path: Path) -> None:
    """It is on record, raises the alarm, and keeps nothing else back."""
    process = process_with(tmp_path, RefusingTopic(GiveUp("no such topic")))
    response = await published(process)
    assert [(gap.collector, gap.reason) for gap in response.outcome.gaps] == [
        ("announcement", "no such topic")
    ]
    assert response.alarm
    assert "not-published" in await kinds(process)


async def test_a_step_that_may_succeed_later_keeps_the_incident_open(tmp_path: Path) -> None:
    """The others are done meanwhile, and are not done again."""
    process = process_with(tmp_path, RefusingTopic(Retry("later")))
    with pytest.raises(Retry):
        await published(process)
    assert await kinds(process) == ["concluded", "report-written"]


async def test_a_later_outcome_is_published_again_and_recorded_once(tmp_path: Path) -> None:
    """It has a report of its own, and its record is newer than the one before it."""
    topic = RefusingTopic()
    process = process_with(tmp_path, topic)
    await published(process)
    released = replace(OUTCOME, status=Status.RELEASED)
    response = await published(process, released)
    assert response.logged_record is None
    assert str(response.outcome.links.report).endswith("report-2.html")
    case = await process.case_file(FOLDER)
    assert case.newest_outcome == response.outcome
    assert [attributes["status"] for _, attributes in topic.published] == ["held", "released"]


async def test_steps_go_side_by_side(tmp_path: Path) -> None:
    """The annotation is awaited with the others, not before them."""
    topic = RefusingTopic()
    process = process_with(tmp_path, topic)
    case = await process.case_file(FOLDER)
    await case.conclude(OUTCOME)

    async def annotating() -> str | None:
        await topic.called.wait()
        return "the workload does not name the incident"

    async with asyncio.timeout(30):
        response = await publish(
            process, await case.reload(), OUTCOME, Redactor(b"key"), annotating=annotating()
        )
    assert [gap.collector for gap in response.outcome.gaps] == ["annotation"]
    assert not response.alarm
