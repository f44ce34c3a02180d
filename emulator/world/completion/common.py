"""Default values for what a world leaves out.

Values are made from names alone, so that the same world always has the same ids and etags.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TypeVar

from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.resource_names import last_segment, parent_name
from emulator.world.cloud_run import execution_phases, resources
from emulator.world.cloud_run.execution_phases import UNFINISHED, ExecutionOrTask, Phase
from emulator.world.cloud_run.resources import State
from emulator.world.cloud_run.traffic_split import RevisionOwner
from emulator.world.document.json_document import JsonNode

DEFAULT_CREATE_TIME = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DEFAULT_DEPLOYER = "deployer@example.com"

R = TypeVar("R")


def listed_resources(
    list_node: JsonNode, table: Mapping[str, R]
) -> Iterator[tuple[JsonNode, str, R]]:
    """The resources that a list of the world gave, each with its place and its key."""
    for item, (key, resource) in zip(list_node.items(), tuple(table.items()), strict=True):
        yield item.in_resource(item.value["name"]), key, resource


def check_owners(
    list_node: JsonNode, table: Mapping[str, object], owners: dict[str, set[str]]
) -> None:
    """Refuses resources of what is not in the world: nothing could ever use them.

    Args:
        list_node: The list that they are in.
        table: The same by their keys.
        owners: The keys of what they may belong to, by collection.
    """
    keys = set().union(*owners.values())
    for node, key, _ in listed_resources(list_node, table):
        if parent_name(key) not in keys:
            remedy = f"list {parent_name(node.resource_name)} in {' or '.join(owners)}"
            raise node.error("its owner is not in the world", remedy)


def check_owner(node: JsonNode, field: str, stated: str, name: str) -> None:
    """Refuses a resource that says that it belongs to another one than its name says."""
    if last_segment(stated) not in ("", last_segment(name)):
        reason = f"is {stated!r}, and the name says {last_segment(name)!r}"
        raise node.child_path(field).error(reason, "leave it out")


def stated_phase(node: JsonNode, resource: ExecutionOrTask, default: Phase) -> Phase:
    """The phase of an execution or a task; another one if its conditions do not tell."""
    is_stated = bool(execution_phases.completed_condition(resource).state)
    current_phase = execution_phases.phase_of(resource) if is_stated else default
    has_ended = proto_json.unwrap(resource).HasField("completion_time")
    if has_ended and current_phase in UNFINISHED:
        reason = f"is set, and the condition Completed says {current_phase}"
        raise node.child_path("completionTime").error(reason, "leave one of them out")
    return current_phase


def default_containers(message: run_v2.RevisionTemplate | run_v2.TaskTemplate) -> None:
    """Gives a template that has no container one."""
    if not message.containers:
        message.containers = [run_v2.Container(image=resources.DEFAULT_IMAGE)]


def fill_workload(
    workload: RevisionOwner | run_v2.Job | run_v2.Instance, state: int, message: str = ""
) -> None:
    """Fills the output-only fields that services, jobs and worker pools share.

    Args:
        workload: The resource; its time of creation is set.
        state: How it is doing if it does not say.
        message: Why.
    """
    workload.uid = workload.uid or resources.make_uid(workload.name)
    workload.generation = workload.generation or 1
    behind = 1 if workload.reconciling else 0
    workload.observed_generation = workload.observed_generation or workload.generation - behind
    workload.creator = workload.creator or DEFAULT_DEPLOYER
    workload.last_modifier = workload.last_modifier or workload.creator
    since = proto_json.timestamp_of(workload, "create_time")
    proto_json.set_timestamp_if_unset(workload, "update_time", since)
    if not workload.terminal_condition.state:
        if workload.reconciling:
            state, message = State.CONDITION_RECONCILING, ""
        since = proto_json.timestamp_of(workload, "update_time")
        workload.terminal_condition = resources.condition("Ready", state, since, message)
    workload.etag = workload.etag or resources.make_etag(workload.name, workload.generation)
