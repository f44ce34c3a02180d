"""Fill in what a world leaves out of executions.

An execution is over when it has a time of completion, or when its condition `Completed` says so.
Else it runs, or waits if that condition is pending.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping

from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.resource_names import last_segment, parent_name
from emulator.world.cloud_run import execution_phases
from emulator.world.cloud_run.execution_phases import COUNT_FIELDS, UNFINISHED, Phase
from emulator.world.cloud_run.job_rules import MAX_TASKS
from emulator.world.completion import common
from emulator.world.completion import tasks as plausible_tasks
from emulator.world.document.json_document import JsonNode

_DEFAULT_DURATION = dt.timedelta(minutes=1)


def complete_executions(
    list_nodes: Mapping[str, JsonNode],
    jobs: Mapping[str, run_v2.Job],
    executions: Mapping[str, run_v2.Execution],
    tasks: dict[str, run_v2.Task],
) -> None:
    """Fills in every execution and task; makes the tasks that no list names.

    Args:
        list_nodes: The lists of the world by their keys.
        jobs: The jobs, with their settings.
        executions: What the world says of their executions, oldest first.
        tasks: What it says of their tasks; gets the others.

    Raises:
        BadWorld: One contradicts itself or another one.
    """
    listed: defaultdict[str, plausible_tasks.ListedTasks] = defaultdict(list)
    for node, key, task in common.listed_resources(list_nodes["tasks"], tasks):
        listed[parent_name(key)].append((node, task))
    ages: Counter[str] = Counter()
    for node, key, execution in common.listed_resources(list_nodes["executions"], executions):
        job = jobs[parent_name(key)]
        _fill_from_job(node, execution, job, ages[job.name])
        ages[job.name] += 1
        execution_phase = _fill_phase_times(node, execution)
        phases = plausible_tasks.listed_phases(execution, listed[key], execution_phase)
        _fill_counts(node, execution, job, phases, execution_phase)
        new_tasks = plausible_tasks.complete_tasks(execution, listed[key], phases)
        tasks.update({f"{key}/tasks/{last_segment(task.name)}": task for task in new_tasks})
        retried = sum(1 for task in (*new_tasks, *(t for _, t in listed[key])) if task.retried)
        execution.retried_count = execution.retried_count or retried
        execution_phases.fill_output_fields(execution, execution_phase)


def _fill_from_job(node: JsonNode, execution: run_v2.Execution, job: run_v2.Job, age: int) -> None:
    """What an execution has of its job; each listed one counts as newer than the one before."""
    common.check_owner(node, "job", execution.job, job.name)
    execution.job = execution.job or last_segment(job.name)
    execution.creator = execution.creator or job.creator
    execution.launch_stage = execution.launch_stage or job.launch_stage
    if not execution.template.containers:
        data = proto_json.to_json(job.template.template) | proto_json.to_json(execution.template)
        execution.template = proto_json.from_json(run_v2.TaskTemplate, data)
    created = proto_json.timestamp_of(job, "create_time") + dt.timedelta(minutes=age)
    proto_json.set_timestamp_if_unset(execution, "create_time", created)


def _fill_phase_times(node: JsonNode, execution: run_v2.Execution) -> Phase:
    """The phase that an execution is in, with the times that go with it."""
    default = Phase.RUNNING
    if proto_json.unwrap(execution).HasField("completion_time"):
        ends = (Phase.FAILED, Phase.CANCELLED)
        counted = [end for end in ends if getattr(execution, COUNT_FIELDS[end])]
        default = counted[0] if counted else Phase.SUCCEEDED
    execution_phase = common.stated_phase(node, execution, default)
    started = proto_json.timestamp_of(execution, "create_time")
    if execution_phase not in (Phase.PENDING, Phase.CANCELLED):
        proto_json.set_timestamp_if_unset(execution, "start_time", started)
    started = max(started, proto_json.timestamp_of(execution, "start_time"))
    if execution_phase not in UNFINISHED:
        proto_json.set_timestamp_if_unset(execution, "completion_time", started + _DEFAULT_DURATION)
        if proto_json.timestamp_of(execution, "completion_time") < started:
            reason = "is before the start of the execution"
            raise node.child_path("completionTime").error(reason, "write a later time")
    return execution_phase


def _fill_counts(
    node: JsonNode,
    execution: run_v2.Execution,
    job: run_v2.Job,
    phases: Mapping[int, Phase],
    execution_phase: Phase,
) -> None:
    """How many tasks there are and in which phases, from what is said and what is listed."""
    counts = {phase: getattr(execution, field) for phase, field in COUNT_FIELDS.items()}
    least = max(sum(counts.values()), max(phases, default=-1) + 1)
    total = execution.task_count = execution.task_count or max(job.template.task_count, least)
    if not 0 < total <= MAX_TASKS or min(counts.values()) < 0:
        reason = f"is {total}, or a count of the execution is negative"
        raise node.child_path("taskCount").error(reason, f"write numbers up to {MAX_TASKS}")
    if least > total:
        reason = f"is {total}, and there are at least {least} tasks"
        raise node.child_path("taskCount").error(reason, "raise it, or leave it out")
    execution.parallelism = min(execution.parallelism or job.template.parallelism or total, total)
    if not any(counts.values()):
        counts = _default_counts(execution, phases, execution_phase)
    for phase, field in COUNT_FIELDS.items():
        setattr(execution, field, counts[phase])
    _check_counts(node, execution, phases, execution_phase)


def _default_counts(
    execution: run_v2.Execution, phases: Mapping[int, Phase], execution_phase: Phase
) -> dict[Phase, int]:
    """The counts of an execution that says none: tasks that are not listed are like it."""
    counts = Counter(phases.values())
    others = execution.task_count - len(phases)
    if execution_phase is Phase.RUNNING:
        others = min(others, max(0, execution.parallelism - counts[Phase.RUNNING]))
    counts[execution_phase] += others
    return {phase: counts[phase] for phase in COUNT_FIELDS}


def _check_counts(
    node: JsonNode, execution: run_v2.Execution, phases: Mapping[int, Phase], execution_phase: Phase
) -> None:
    """Refuses counts that contradict the tasks, or the phase of the execution."""
    listed = Counter(phases.values())
    counts = {phase: getattr(execution, field) for phase, field in COUNT_FIELDS.items()}
    waiting = execution.task_count - sum(counts.values())
    for phase, count in (*counts.items(), (Phase.PENDING, waiting)):
        if listed[phase] > count:
            reason = f"{listed[phase]} of its tasks are listed as {phase}, and it counts {count}"
            raise node.error(reason, "correct the counts, or leave them out")
    unfinished = waiting + counts[Phase.RUNNING]
    if execution_phase not in UNFINISHED and unfinished:
        reason = f"it has {execution_phase}, and {unfinished} of its tasks have not ended"
        raise node.error(reason, "make the counts sum to taskCount, or leave them out")
    not_succeeded = counts[Phase.FAILED] + counts[Phase.CANCELLED]
    if execution_phase is Phase.SUCCEEDED and not_succeeded:
        reason = f"it has succeeded, and {not_succeeded} of its tasks have not"
        raise node.error(reason, "correct the condition Completed, or the counts")
    if execution_phase is Phase.PENDING and unfinished < execution.task_count:
        raise node.error("it is pending, and some of its tasks are not", "leave the counts out")
