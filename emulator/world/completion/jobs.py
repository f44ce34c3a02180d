"""Fill in what a world leaves out of jobs."""

from __future__ import annotations

from collections.abc import Mapping

from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.errors import FieldError
from emulator.api.list_pages import newest_first
from emulator.api.resource_names import Projects, children_of, last_segment
from emulator.world.cloud_run import execution_phases, job_rules
from emulator.world.cloud_run.resources import State
from emulator.world.completion import common
from emulator.world.completion import executions as plausible_executions
from emulator.world.completion.common import DEFAULT_CREATE_TIME
from emulator.world.document.json_document import JsonNode


def complete_jobs(
    list_nodes: Mapping[str, JsonNode],
    all_jobs: dict[str, run_v2.Job],
    executions: dict[str, run_v2.Execution],
    tasks: dict[str, run_v2.Task],
    projects: Projects,
) -> None:
    """Fills in every job, execution and task, and makes the tasks that are not listed.

    Raises:
        BadWorld: One contradicts itself or another one, or belongs to nothing.
    """
    common.check_owners(list_nodes["executions"], executions, {"jobs": set(all_jobs)})
    common.check_owners(list_nodes["tasks"], tasks, {"executions": set(executions)})
    for node, _, job in common.listed_resources(list_nodes["jobs"], all_jobs):
        _complete_settings(node, job, projects)
    plausible_executions.complete_executions(list_nodes, all_jobs, executions, tasks)
    for node, key, job in common.listed_resources(list_nodes["jobs"], all_jobs):
        _complete_executions(node, job, list(children_of(key, executions).values()))


def _complete_settings(node: JsonNode, job: run_v2.Job, projects: Projects) -> None:
    template = job.template
    task = template.template
    common.default_containers(task)
    template.template = task
    job.template = template
    job_rules.apply_job_defaults(job, projects)
    try:
        job_rules.check_job_template(job)
    except FieldError as violation:
        reason = f"{violation.field}: {violation.reason}"
        raise node.error(reason, "write what Cloud Run would accept") from violation
    proto_json.set_timestamp_if_unset(job, "create_time", DEFAULT_CREATE_TIME)
    common.fill_workload(job, State.CONDITION_SUCCEEDED)


def _complete_executions(node: JsonNode, job: run_v2.Job, own: list[run_v2.Execution]) -> None:
    """What a job says of its executions: how many there were, and how the latest is doing."""
    if job.execution_count and job.execution_count < len(own):
        reason = f"counts {job.execution_count} executions, and {len(own)} are listed"
        raise node.child_path("executionCount").error(reason, "count at least those")
    job.execution_count = job.execution_count or len(own)
    if not own:
        return
    stated, newest = job.latest_created_execution, newest_first(own)[0]
    reference_node = node.child_path("latestCreatedExecution")
    if last_segment(stated.name) not in ("", last_segment(newest.name)):
        reason = (
            f"names {stated.name!r}, and the latest that is listed is {last_segment(newest.name)!r}"
        )
        raise reference_node.error(reason, "list it in executions, or leave this out")
    reference = execution_phases.execution_reference(newest, name=stated.name)
    if stated.completion_status not in (0, reference.completion_status):
        raise reference_node.error("is not in the state that the execution is in", "leave this out")
    job.latest_created_execution = reference
