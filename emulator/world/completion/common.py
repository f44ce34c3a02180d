"""What a world leaves out gets a plausible value: what all its Cloud Run resources share.

Values are made from names alone, so that the same world always has the same ids and etags.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TypeVar

from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.resource_names import last, parent
from emulator.world.cloud_run import execution_phases, resources
from emulator.world.cloud_run.execution_phases import UNFINISHED, Phase, Running
from emulator.world.cloud_run.resources import State
from emulator.world.cloud_run.traffic_split import Owner
from emulator.world.document.json_document import Place

CREATED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DEPLOYER = "deployer@example.com"

R = TypeVar("R")


def placed(place: Place, table: Mapping[str, R]) -> Iterator[tuple[Place, str, R]]:
    """The resources that a list of the world gave, each with its place and its key."""
    for item, (key, resource) in zip(place.items(), tuple(table.items()), strict=True):
        yield item.named(item.value["name"]), key, resource


def check_owners(place: Place, table: Mapping[str, object], owners: dict[str, set[str]]) -> None:
    """Refuses resources of what is not in the world: nothing could ever use them.

    Args:
        place: The list that they are in.
        table: The same by their keys.
        owners: The keys of what they may belong to, by collection.
    """
    keys = set().union(*owners.values())
    for here, key, _ in placed(place, table):
        if parent(key) not in keys:
            remedy = f"list {parent(here.name)} in {' or '.join(owners)}"
            raise here.refuse("its owner is not in the world", remedy)


def check_owner(here: Place, field: str, told: str, name: str) -> None:
    """Refuses a resource that says that it belongs to another one than its name says."""
    if last(told) not in ("", last(name)):
        reason = f"is {told!r}, and the name says {last(name)!r}"
        raise here.at(field).refuse(reason, "leave it out")


def phase(here: Place, resource: Running, otherwise: Phase) -> Phase:
    """The phase of an execution or a task; another one if its conditions do not tell."""
    told = bool(execution_phases.completed(resource).state)
    where = execution_phases.phase(resource) if told else otherwise
    has_ended = proto_json.raw(resource).HasField("completion_time")
    if has_ended and where in UNFINISHED:
        reason = f"is set, and the condition Completed says {where}"
        raise here.at("completionTime").refuse(reason, "leave one of them out")
    return where


def default_containers(message: run_v2.RevisionTemplate | run_v2.TaskTemplate) -> None:
    """Gives a template that has no container one."""
    if not message.containers:
        message.containers = [run_v2.Container(image=resources.DEFAULT_IMAGE)]


def complete(workload: Owner | run_v2.Job, state: int, message: str = "") -> None:
    """Fills the output-only fields that services, jobs and worker pools share.

    Args:
        workload: The resource; its time of creation is set.
        state: How it is doing if it does not say.
        message: Why.
    """
    workload.uid = workload.uid or resources.uid(workload.name)
    workload.generation = workload.generation or 1
    behind = 1 if workload.reconciling else 0
    workload.observed_generation = workload.observed_generation or workload.generation - behind
    workload.creator = workload.creator or DEPLOYER
    workload.last_modifier = workload.last_modifier or workload.creator
    since = proto_json.moment(workload, "create_time")
    proto_json.set_moment_if_unset(workload, "update_time", since)
    if not workload.terminal_condition.state:
        if workload.reconciling:
            state, message = State.CONDITION_RECONCILING, ""
        since = proto_json.moment(workload, "update_time")
        workload.terminal_condition = resources.condition("Ready", state, since, message)
    workload.etag = workload.etag or resources.etag(workload.name, workload.generation)
