"""Fill in what a world leaves out of instances."""

from __future__ import annotations

from collections.abc import Mapping

from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.resource_names import Projects, last_segment
from emulator.world.cloud_run import instance_rules
from emulator.world.cloud_run.resources import State
from emulator.world.completion import common
from emulator.world.completion.common import DEFAULT_CREATE_TIME
from emulator.world.document.json_document import JsonNode


def complete_instances(
    list_node: JsonNode,
    instances: dict[str, run_v2.Instance],
    services: Mapping[str, object],
    projects: Projects,
) -> None:
    """Fills in every instance.

    Raises:
        BadWorld: One has the name of a service of its region, which Cloud Run refuses.
    """
    for node, key, instance in common.listed_resources(list_node, instances):
        if key.replace("/instances/", "/services/") in services:
            reason = f"there is a service {last_segment(key)!r} in its region"
            raise node.error(reason, "give it another name")
        instance_rules.apply_instance_defaults(instance, projects)
        proto_json.set_timestamp_if_unset(instance, "create_time", DEFAULT_CREATE_TIME)
        common.fill_workload(instance, State.CONDITION_SUCCEEDED)
