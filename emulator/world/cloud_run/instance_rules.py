"""Defaults of Cloud Run instances, and how their conditions say whether they run.

The messages stand for Condition.InstanceReason, which the locked client library does not have:
INSTANCE_STOPPED and INSTANCE_STOPPING of the API's reference.
"""

from __future__ import annotations

import datetime as dt

from google.api import launch_stage_pb2
from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.resource_names import Projects
from emulator.world.cloud_run import resources
from emulator.world.cloud_run.resources import State

STOPPED, STOPPING, STARTING = "Instance stopped.", "Instance stopping.", "Instance starting."


def apply_instance_defaults(instance: run_v2.Instance, projects: Projects) -> None:
    """Gives the settings that are unset their default."""
    instance.launch_stage = instance.launch_stage or launch_stage_pb2.BETA
    if not instance.ingress:
        instance.ingress = run_v2.IngressTraffic(run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL)
    instance.service_account = instance.service_account or resources.default_account(
        instance.name, projects
    )
    if not instance.containers:
        instance.containers = [run_v2.Container(image=resources.DEFAULT_IMAGE)]


def is_stopped(instance: run_v2.Instance) -> bool:
    """Whether it is stopped, or about to be."""
    return instance.terminal_condition.message in (STOPPED, STOPPING)


def begin_change(instance: run_v2.Instance, *, stop: bool, now: dt.datetime) -> None:
    """What a call to stop or start changes at once."""
    instance.generation += 1
    instance.reconciling = True
    proto_json.set_timestamp(instance, "update_time", now)
    message = STOPPING if stop else STARTING
    instance.terminal_condition = resources.condition(
        "Ready", State.CONDITION_RECONCILING, now, message
    )


def end_change(instance: run_v2.Instance, now: dt.datetime) -> None:
    """What follows once it is stopped, or runs."""
    message = STOPPED if is_stopped(instance) else ""
    instance.terminal_condition = resources.condition(
        "Ready", State.CONDITION_SUCCEEDED, now, message
    )
