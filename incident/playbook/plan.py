"""Build the plan of an incident from a playbook; update a stored one. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from incident.model import JsonObject, Kind, PlaybookTask, TaskDetail
from incident.model.json_text import json_object
from incident.model.outcome import Outcome, ReportedPlaybook
from incident.playbook.incident_facts import incident_facts
from incident.playbook.links import is_printable
from incident.playbook.rendering import TEMPLATES, ShellCommand
from incident.playbook.schema import Playbook, Task, shipped_playbook

#: gcloud's command groups by kind: of the workload, and of what ran. Older releases have worker
#: pools under ``beta`` only, newer ones under both (seen in gcloud 528).
_GROUPS = {
    Kind.SERVICE: ("run services", "run revisions"),
    Kind.JOB: ("run jobs", "run jobs executions"),
    Kind.WORKER_POOL: ("beta run worker-pools", "beta run worker-pools revisions"),
    Kind.INSTANCE: ("beta run instances", "beta run instances"),
}


def playbook_plan(
    outcome: Outcome, facts: JsonObject, playbook: Playbook | None = None, url: str = ""
) -> ReportedPlaybook:
    """The tasks left to people, in order, with the facts that a later update needs.

    Args:
        outcome: The outcome, new or stored; its status, changes and blockers count.
        facts: The facts of the evidence, as JSON; redacted.
        playbook: The playbook; the shipped one by default.
        url: Where it lies; empty for the shipped one.

    Raises:
        InvalidPlaybook: A template cannot be filled in.
    """
    playbook = playbook or shipped_playbook()
    known = playbook_facts(outcome, facts)
    tasks = playbook.tasks if facts.get("workload") else playbook.without_workload
    chosen = [task for task in tasks if TEMPLATES.condition(task.when, known)]
    chosen.sort(key=lambda task: not (task.first and TEMPLATES.condition(task.first, known)))
    return ReportedPlaybook(url, facts, tuple(filled_task(task, known) for task in chosen))


def playbook_facts(outcome: Outcome, facts: JsonObject) -> Mapping[str, Any]:
    """Everything that a template may name: the facts, the incident, and gcloud's own words."""
    words = _run_words(json_object(facts.get("workload")))
    return {**facts, "incident": incident_facts(outcome), "run": words}


def with_updated_plan(outcome: Outcome, playbook: Playbook | None = None) -> Outcome:
    """The outcome with its plan filled in again for its current status and changes.

    Raises:
        InvalidPlaybook: A template cannot be filled in.
    """
    assessment = outcome.assessment
    if assessment is None or not assessment.playbook.facts:
        return outcome
    plan = assessment.playbook
    updated = playbook_plan(outcome, plan.facts, playbook, plan.url)
    return replace(outcome, assessment=replace(assessment, playbook=updated))


def compile_playbook(playbook: Playbook) -> None:
    """Compile all templates of a playbook ahead of its first use, which takes 0.1 s.

    Raises:
        InvalidPlaybook: One is no template.
    """
    for source, commands in playbook.templates:
        TEMPLATES.compiled(source, commands=commands)


def filled_task(task: Task, facts: Mapping[str, Any]) -> PlaybookTask:
    """A task with its templates filled in.

    Raises:
        InvalidPlaybook: A template cannot be filled in.
    """
    return PlaybookTask(
        id=task.id,
        title=TEMPLATES.text(task.title, facts),
        text=TEMPLATES.text(task.what, facts),
        why=TEMPLATES.text(task.why, facts),
        command=_block(task.commands, facts),
        link=TEMPLATES.text(task.link, facts) or None,
        details=tuple(
            TaskDetail(TEMPLATES.text(detail.text, facts), _block(detail.commands, facts))
            for detail in task.more
            if TEMPLATES.condition(detail.when, facts)
        ),
    )


def _block(source: str, facts: Mapping[str, Any]) -> str | None:
    return "\n".join(TEMPLATES.commands(source, facts)) or None


def _run_words(workload: JsonObject) -> Mapping[str, str]:
    """The words of gcloud: ``group`` and ``revisions`` by kind, and the flags of its place."""
    if not workload:
        return dict.fromkeys(("group", "revisions", "place"), "")
    group, revisions = _GROUPS[Kind(str(workload["kind"]))]
    region, project = str(workload["region"]), str(workload["project"])
    place = f"--region={shlex.quote(region)} --project={shlex.quote(project)}"
    known = is_printable(region) and is_printable(project)
    return {
        "group": ShellCommand(group),
        "revisions": ShellCommand(revisions),
        "place": ShellCommand(place) if known else "",
    }
