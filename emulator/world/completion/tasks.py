"""Completes the tasks of a world, and makes those that it leaves out.

A task is over when it has a time of completion, or when its condition `Completed` says so. One that
says neither is like its execution.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.resource_names import last, parent
from emulator.world.cloud_run import execution_phases
from emulator.world.cloud_run.execution_phases import COUNTS, Phase
from emulator.world.completion import common
from emulator.world.document.json_document import Place

Listed = list[tuple[Place, run_v2.Task]]

_INDEX = re.compile(r".*task(?P<index>\d{1,6})")


def phases(execution: run_v2.Execution, listed: Listed, where: Phase) -> dict[int, Phase]:
    """The phases of the listed tasks of an execution, by their indexes.

    Args:
        execution: Where they belong.
        listed: The tasks; get their index from their name if they do not say it.
        where: The phase of the execution.
    """
    found: dict[int, Phase] = {}
    for here, task in listed:
        common.check_owner(here, "execution", task.execution, execution.name)
        common.check_owner(here, "job", task.job, parent(execution.name))
        _settle_index(here, task)
        if task.index in found:
            reason = f"{task.index} is the index of another task of the execution"
            raise here.at("index").refuse(reason, "give every task one of its own, from 0")
        otherwise = where
        if proto_json.raw(task).HasField("completion_time"):
            otherwise = _ending(task, where)
        found[task.index] = common.phase(here, task, otherwise)
    return found


def _settle_index(here: Place, task: run_v2.Task) -> None:
    """Takes the index from a name such as `nightly-abcde-task3`, which has to agree with it."""
    named = _INDEX.fullmatch(last(task.name))
    if named and task.index not in (0, int(named["index"])):
        reason = f"is {task.index}, and the name says {named['index']}"
        raise here.at("index").refuse(reason, "leave it out")
    task.index = int(named["index"]) if named else task.index


def _ending(task: run_v2.Task, where: Phase) -> Phase:
    """How a task ended that only says when, by its last attempt."""
    result = task.last_attempt_result
    if result.term_signal:
        return Phase.CANCELLED if where is Phase.CANCELLED else Phase.FAILED
    return Phase.FAILED if result.exit_code else Phase.SUCCEEDED


def complete(
    execution: run_v2.Execution, listed: Listed, known: Mapping[int, Phase]
) -> list[run_v2.Task]:
    """Fills in the listed tasks of an execution, whose counts are set; makes the others."""
    for here, task in listed:
        execution_phases.settle(task, execution, known[task.index])
        _check_attempts(here, task, known[task.index])
    free = (index for index in range(execution.task_count) if index not in known)
    others = zip(free, _others(execution, known), strict=True)
    return [execution_phases.task_of(execution, index, phase) for index, phase in others]


def _others(execution: run_v2.Execution, known: Mapping[int, Phase]) -> Iterator[Phase]:
    """The phases of the tasks that are not listed, those that are over first."""
    listed = Counter(known.values())
    left = execution.task_count - len(known)
    for phase in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED, Phase.RUNNING):
        count = getattr(execution, COUNTS[phase]) - listed[phase]
        left -= count
        yield from [phase] * count
    yield from [Phase.PENDING] * left


def _check_attempts(here: Place, task: run_v2.Task, phase: Phase) -> None:
    """Refuses attempts that could not have been. A failed task has used up its retries."""
    if task.retried > task.max_retries:
        reason = f"is {task.retried}, and maxRetries is {task.max_retries}"
        raise here.at("retried").refuse(reason, "lower it, or raise maxRetries")
    if phase is Phase.FAILED and task.retried < task.max_retries:
        reason = f"is {task.retried} of {task.max_retries}: the task would be tried again"
        raise here.at("retried").refuse(reason, "leave it out, or let the task run")
    result = task.last_attempt_result
    place = here.at("lastAttemptResult")
    if result.exit_code and result.term_signal:
        raise place.refuse("has an exit code and a signal", "leave one of them out")
    if phase is Phase.SUCCEEDED and (result.exit_code or result.term_signal):
        raise place.refuse("is a failure, and the task has succeeded", "leave it out")
