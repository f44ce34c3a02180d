"""Fill in what a world leaves out of tasks, and add missing ones.

A task is over when it has a time of completion, or when its condition `Completed` says so. One that
says neither is like its execution.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.resource_names import last_segment, parent_name
from emulator.world.cloud_run import execution_phases
from emulator.world.cloud_run.execution_phases import COUNT_FIELDS, Phase
from emulator.world.completion import common
from emulator.world.document.json_document import JsonNode

ListedTasks = list[tuple[JsonNode, run_v2.Task]]

_INDEX = re.compile(r".*task(?P<index>\d{1,6})")


def listed_phases(
    execution: run_v2.Execution, listed: ListedTasks, execution_phase: Phase
) -> dict[int, Phase]:
    """The phases of the listed tasks of an execution, by their indexes.

    Args:
        execution: Where they belong.
        listed: The tasks; get their index from their name if they do not say it.
        execution_phase: The phase of the execution.
    """
    found: dict[int, Phase] = {}
    for node, task in listed:
        common.check_owner(node, "execution", task.execution, execution.name)
        common.check_owner(node, "job", task.job, parent_name(execution.name))
        _fill_index(node, task)
        if task.index in found:
            reason = f"{task.index} is the index of another task of the execution"
            raise node.child_path("index").error(reason, "give every task one of its own, from 0")
        default = execution_phase
        if proto_json.unwrap(task).HasField("completion_time"):
            default = _phase_from_attempt(task, execution_phase)
        found[task.index] = common.stated_phase(node, task, default)
    return found


def _fill_index(node: JsonNode, task: run_v2.Task) -> None:
    """Takes the index from a name such as `nightly-abcde-task3`, which has to agree with it."""
    named = _INDEX.fullmatch(last_segment(task.name))
    if named and task.index not in (0, int(named["index"])):
        reason = f"is {task.index}, and the name says {named['index']}"
        raise node.child_path("index").error(reason, "leave it out")
    task.index = int(named["index"]) if named else task.index


def _phase_from_attempt(task: run_v2.Task, execution_phase: Phase) -> Phase:
    """How a task ended that only says when, by its last attempt."""
    result = task.last_attempt_result
    if result.term_signal:
        return Phase.CANCELLED if execution_phase is Phase.CANCELLED else Phase.FAILED
    return Phase.FAILED if result.exit_code else Phase.SUCCEEDED


def complete_tasks(
    execution: run_v2.Execution, listed: ListedTasks, phases: Mapping[int, Phase]
) -> list[run_v2.Task]:
    """Fills in the listed tasks of an execution, whose counts are set; makes the others."""
    for node, task in listed:
        execution_phases.fill_task(task, execution, phases[task.index])
        _check_attempts(node, task, phases[task.index])
    free = (index for index in range(execution.task_count) if index not in phases)
    others = zip(free, _unlisted_phases(execution, phases), strict=True)
    return [execution_phases.new_task(execution, index, phase) for index, phase in others]


def _unlisted_phases(execution: run_v2.Execution, phases: Mapping[int, Phase]) -> Iterator[Phase]:
    """The phases of the tasks that are not listed, those that are over first."""
    listed = Counter(phases.values())
    left = execution.task_count - len(phases)
    for phase in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED, Phase.RUNNING):
        count = getattr(execution, COUNT_FIELDS[phase]) - listed[phase]
        left -= count
        yield from [phase] * count
    yield from [Phase.PENDING] * left


def _check_attempts(node: JsonNode, task: run_v2.Task, phase: Phase) -> None:
    """Refuses attempts that could not have been. A failed task has used up its retries."""
    if task.retried > task.max_retries:
        reason = f"is {task.retried}, and maxRetries is {task.max_retries}"
        raise node.child_path("retried").error(reason, "lower it, or raise maxRetries")
    if phase is Phase.FAILED and task.retried < task.max_retries:
        reason = f"is {task.retried} of {task.max_retries}: the task would be tried again"
        raise node.child_path("retried").error(reason, "leave it out, or let the task run")
    result = task.last_attempt_result
    attempt_node = node.child_path("lastAttemptResult")
    if result.exit_code and result.term_signal:
        raise attempt_node.error("has an exit code and a signal", "leave one of them out")
    if phase is Phase.SUCCEEDED and (result.exit_code or result.term_signal):
        raise attempt_node.error("is a failure, and the task has succeeded", "leave it out")
