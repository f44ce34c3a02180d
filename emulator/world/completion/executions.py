"""Completes the executions of a world.

An execution is over when it has a time of completion, or when its condition `Completed` says so.
Else it runs, or waits if that condition is pending.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping

from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.resource_names import last, parent
from emulator.world.cloud_run import execution_phases
from emulator.world.cloud_run.execution_phases import COUNTS, UNFINISHED, Phase
from emulator.world.cloud_run.job_rules import MOST_TASKS
from emulator.world.completion import common
from emulator.world.completion import tasks as plausible_tasks
from emulator.world.document.json_document import Place

_LASTED = dt.timedelta(minutes=1)


def complete(
    places: Mapping[str, Place],
    jobs: Mapping[str, run_v2.Job],
    executions: Mapping[str, run_v2.Execution],
    tasks: dict[str, run_v2.Task],
) -> None:
    """Fills in every execution and task; makes the tasks that no list names.

    Args:
        places: The lists of the world by their keys.
        jobs: The jobs, with their settings.
        executions: What the world says of their executions, oldest first.
        tasks: What it says of their tasks; gets the others.

    Raises:
        BadWorld: One contradicts itself or another one.
    """
    listed: defaultdict[str, plausible_tasks.Listed] = defaultdict(list)
    for here, key, task in common.placed(places["tasks"], tasks):
        listed[parent(key)].append((here, task))
    ages: Counter[str] = Counter()
    for here, key, execution in common.placed(places["executions"], executions):
        job = jobs[parent(key)]
        _settle_settings(here, execution, job, ages[job.name])
        ages[job.name] += 1
        where = _settle_phase(here, execution)
        phases = plausible_tasks.phases(execution, listed[key], where)
        _settle_counts(here, execution, job, phases, where)
        made = plausible_tasks.complete(execution, listed[key], phases)
        tasks.update({f"{key}/tasks/{last(task.name)}": task for task in made})
        retried = sum(1 for task in (*made, *(t for _, t in listed[key])) if task.retried)
        execution.retried_count = execution.retried_count or retried
        execution_phases.complete(execution, where)


def _settle_settings(here: Place, execution: run_v2.Execution, job: run_v2.Job, age: int) -> None:
    """What an execution has of its job; each listed one counts as newer than the one before."""
    common.check_owner(here, "job", execution.job, job.name)
    execution.job = execution.job or last(job.name)
    execution.creator = execution.creator or job.creator
    execution.launch_stage = execution.launch_stage or job.launch_stage
    if not execution.template.containers:
        data = proto_json.to_json(job.template.template) | proto_json.to_json(execution.template)
        execution.template = proto_json.from_json(run_v2.TaskTemplate, data)
    created = proto_json.moment(job, "create_time") + dt.timedelta(minutes=age)
    proto_json.set_moment_if_unset(execution, "create_time", created)


def _settle_phase(here: Place, execution: run_v2.Execution) -> Phase:
    """The phase that an execution is in, with the times that go with it."""
    otherwise = Phase.RUNNING
    if proto_json.raw(execution).HasField("completion_time"):
        ends = (Phase.FAILED, Phase.CANCELLED)
        counted = [end for end in ends if getattr(execution, COUNTS[end])]
        otherwise = counted[0] if counted else Phase.SUCCEEDED
    where = common.phase(here, execution, otherwise)
    started = proto_json.moment(execution, "create_time")
    if where not in (Phase.PENDING, Phase.CANCELLED):
        proto_json.set_moment_if_unset(execution, "start_time", started)
    started = max(started, proto_json.moment(execution, "start_time"))
    if where not in UNFINISHED:
        proto_json.set_moment_if_unset(execution, "completion_time", started + _LASTED)
        if proto_json.moment(execution, "completion_time") < started:
            reason = "is before the start of the execution"
            raise here.at("completionTime").refuse(reason, "write a later time")
    return where


def _settle_counts(
    here: Place,
    execution: run_v2.Execution,
    job: run_v2.Job,
    phases: Mapping[int, Phase],
    where: Phase,
) -> None:
    """How many tasks there are and in which phases, from what is said and what is listed."""
    counts = {phase: getattr(execution, field) for phase, field in COUNTS.items()}
    least = max(sum(counts.values()), max(phases, default=-1) + 1)
    total = execution.task_count = execution.task_count or max(job.template.task_count, least)
    if not 0 < total <= MOST_TASKS or min(counts.values()) < 0:
        reason = f"is {total}, or a count of the execution is negative"
        raise here.at("taskCount").refuse(reason, f"write numbers up to {MOST_TASKS}")
    if least > total:
        reason = f"is {total}, and there are at least {least} tasks"
        raise here.at("taskCount").refuse(reason, "raise it, or leave it out")
    execution.parallelism = min(execution.parallelism or job.template.parallelism or total, total)
    if not any(counts.values()):
        counts = _counted(execution, phases, where)
    for phase, field in COUNTS.items():
        setattr(execution, field, counts[phase])
    _check_counts(here, execution, phases, where)


def _counted(
    execution: run_v2.Execution, phases: Mapping[int, Phase], where: Phase
) -> dict[Phase, int]:
    """The counts of an execution that says none: tasks that are not listed are like it."""
    counts = Counter(phases.values())
    others = execution.task_count - len(phases)
    if where is Phase.RUNNING:
        others = min(others, max(0, execution.parallelism - counts[Phase.RUNNING]))
    counts[where] += others
    return {phase: counts[phase] for phase in COUNTS}


def _check_counts(
    here: Place, execution: run_v2.Execution, phases: Mapping[int, Phase], where: Phase
) -> None:
    """Refuses counts that contradict the tasks, or the phase of the execution."""
    listed = Counter(phases.values())
    counts = {phase: getattr(execution, field) for phase, field in COUNTS.items()}
    waiting = execution.task_count - sum(counts.values())
    for phase, count in (*counts.items(), (Phase.PENDING, waiting)):
        if listed[phase] > count:
            reason = f"{listed[phase]} of its tasks are listed as {phase}, and it counts {count}"
            raise here.refuse(reason, "correct the counts, or leave them out")
    unfinished = waiting + counts[Phase.RUNNING]
    if where not in UNFINISHED and unfinished:
        reason = f"it has {where}, and {unfinished} of its tasks have not ended"
        raise here.refuse(reason, "make the counts sum to taskCount, or leave them out")
    not_succeeded = counts[Phase.FAILED] + counts[Phase.CANCELLED]
    if where is Phase.SUCCEEDED and not_succeeded:
        reason = f"it has succeeded, and {not_succeeded} of its tasks have not"
        raise here.refuse(reason, "correct the condition Completed, or the counts")
    if where is Phase.PENDING and unfinished < execution.task_count:
        raise here.refuse("it is pending, and some of its tasks are not", "leave the counts out")
