"""A burst of findings over the caps: exactly the caps are contained, all else is held."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.environment import ResponderEnvironment, responder_environment
from tests.support.findings import findings_on_other_workloads, sample_notification
from tests.support.worlds import world_around_all

SAMPLES = ("revision-by-number", "v1-job-execution", "worker-pool-without-containers")
RULES = """
mode: enforce
contain:
  service: [scale-to-zero]
  job: [cancel-executions]
  worker-pool: [scale-to-zero]
"""
PROJECTS = ("2", "3")


def stopped_by_project(env: ResponderEnvironment) -> Counter[str]:
    """How many workloads of each project are stopped, as the world has it."""
    world = env.emulator.world
    names = [name for name, s in world.services.items() if s.scaling.scaling_mode == 2]
    names += [n for n, p in world.worker_pools.items() if p.scaling.manual_instance_count == 0]
    names += [n for n, e in world.executions.items() if e.cancelled_count]
    return Counter(name.split("/")[1] for name in names)


@pytest.mark.parametrize(
    ("overall", "in_project", "limit"),
    [(4, 3, "in all"), (100, 2, "in this project"), (0, 9, "in all")],
)
async def test_exactly_the_caps_are_contained(
    tmp_path: Path, overall: int, in_project: int, limit: str
) -> None:
    """Services, jobs and pools of two projects at once, taken in by two processes."""
    findings = [
        notification
        for project in PROJECTS
        for name in SAMPLES
        for notification in findings_on_other_workloads(sample_notification(name), 2, project)
    ]
    caps = f"max_containments_per_hour: {overall}, max_per_project_per_hour: {in_project}"
    given: dict[str, Any] = {"world": world_around_all(findings), "policy_text": RULES}
    given["policy_text"] += f"guards: {{{caps}}}\n"
    async with responder_environment(tmp_path, notification=findings[0], **given) as env:
        inboxes = [await env.start_process(), await env.start_process()]
        answers = await asyncio.gather(
            *(env.deliver(each, process=inboxes[at % 2]) for at, each in enumerate(findings))
        )
        outcomes: list[Any] = [answer.outcome.to_json() for answer in answers]
        most = min(overall, in_project * len(PROJECTS))
        became = Counter(outcome["status"] for outcome in outcomes)
        assert became == Counter(contained=most, held=len(findings) - most)
        by_project = stopped_by_project(env)
        assert by_project.total() == most
        assert all(count <= in_project for count in by_project.values())
        held = [answer for answer in answers if answer.outcome.status == "held"]
        assert all(answer.alarm for answer in held), "an attacker may have used the caps up"
        reasons = [str(answer.outcome.to_json()["decision"]) for answer in held]
        assert all("containments an hour" in reason for reason in reasons)
        assert any(f"containments an hour {limit}" in reason for reason in reasons)
