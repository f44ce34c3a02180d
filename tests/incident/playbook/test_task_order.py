"""Sections of a playbook: numbered tasks, one title for each run of tasks."""

from __future__ import annotations

from incident.model import Json, JsonObject, TaskPurpose
from incident.playbook.task_order import plan_sections


def step(part: Json, why: str | None = None, **more: Json) -> JsonObject:
    """A task as the outcome's JSON has it."""
    return {"part": part, "why": why, "text": "t", **more}


def test_steps_of_one_part_are_grouped_and_numbered() -> None:
    """A purpose that comes again gets a section again; the order stays."""
    plan = [step("rotate", "before all"), step("rotate"), step("read"), step("rotate")]
    groups = plan_sections(plan)
    assert [(g.title, g.reason, g.first_number, g.last_number, g.after_triage) for g in groups] == [
        ("Rotate its secrets", "before all", 1, 2, False),
        ("Read what it did", "", 3, 3, True),
        ("Rotate its secrets", "", 4, 4, False),
    ]


def test_titles_of_the_plan_are_kept() -> None:
    """A title in the JSON wins; an unknown purpose gets a title too."""
    titled = [step("stop", part_title="Stop it now"), step("stop", part_title="")]
    plan = [*titled, step(None), step("unheard-of")]
    numbered = [each for group in plan_sections(plan) for each in group.tasks]
    assert numbered == list(enumerate(plan, start=1))
    titles = [group.title for group in plan_sections(plan)]
    assert titles == ["Stop it now", "Stop it", "What is left to do", "What is left to do"]
    every = {group.title for part in TaskPurpose for group in plan_sections([step(part.value)])}
    assert len(every) == len(TaskPurpose)
