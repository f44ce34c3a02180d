"""Completes the jobs of a world. Their executions are completed in `plausible_executions`."""

from __future__ import annotations

from collections.abc import Mapping

from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.errors import Violation
from emulator.api.list_pages import newest_first
from emulator.api.resource_names import Projects, below, last
from emulator.world.cloud_run import execution_phases, job_rules
from emulator.world.cloud_run.resources import State
from emulator.world.completion import common
from emulator.world.completion import executions as plausible_executions
from emulator.world.completion.common import CREATED
from emulator.world.document.json_document import Place


def complete(
    places: Mapping[str, Place],
    all_jobs: dict[str, run_v2.Job],
    executions: dict[str, run_v2.Execution],
    tasks: dict[str, run_v2.Task],
    projects: Projects,
) -> None:
    """Fills in every job, execution and task, and makes the tasks that are not listed.

    Raises:
        BadWorld: One contradicts itself or another one, or belongs to nothing.
    """
    common.check_owners(places["executions"], executions, {"jobs": set(all_jobs)})
    common.check_owners(places["tasks"], tasks, {"executions": set(executions)})
    for here, _, job in common.placed(places["jobs"], all_jobs):
        _complete_settings(here, job, projects)
    plausible_executions.complete(places, all_jobs, executions, tasks)
    for here, key, job in common.placed(places["jobs"], all_jobs):
        _complete_executions(here, job, list(below(key, executions).values()))


def _complete_settings(here: Place, job: run_v2.Job, projects: Projects) -> None:
    template = job.template
    task = template.template
    common.default_containers(task)
    template.template = task
    job.template = template
    job_rules.apply_defaults(job, projects)
    try:
        job_rules.check_template(job)
    except Violation as violation:
        reason = f"{violation.field}: {violation.reason}"
        raise here.refuse(reason, "write what Cloud Run would accept") from violation
    proto_json.set_moment_if_unset(job, "create_time", CREATED)
    common.complete(job, State.CONDITION_SUCCEEDED)


def _complete_executions(here: Place, job: run_v2.Job, own: list[run_v2.Execution]) -> None:
    """What a job says of its executions: how many there were, and how the latest is doing."""
    if job.execution_count and job.execution_count < len(own):
        reason = f"counts {job.execution_count} executions, and {len(own)} are listed"
        raise here.at("executionCount").refuse(reason, "count at least those")
    job.execution_count = job.execution_count or len(own)
    if not own:
        return
    told, newest = job.latest_created_execution, newest_first(own)[0]
    place = here.at("latestCreatedExecution")
    if last(told.name) not in ("", last(newest.name)):
        reason = f"names {told.name!r}, and the latest that is listed is {last(newest.name)!r}"
        raise place.refuse(reason, "list it in executions, or leave this out")
    reference = execution_phases.reference_to(newest, name=told.name)
    if told.completion_status not in (0, reference.completion_status):
        raise place.refuse("is not in the state that the execution is in", "leave this out")
    job.latest_created_execution = reference
