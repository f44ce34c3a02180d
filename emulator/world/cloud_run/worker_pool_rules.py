"""Defaults and validation of worker pools."""

from __future__ import annotations

from google.api import launch_stage_pb2
from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.errors import FieldError
from emulator.api.resource_names import Projects
from emulator.world.cloud_run import resources, traffic_split

# How many instances a pool has when nobody says.
DEFAULT_INSTANCE_COUNT = 1


def apply_worker_pool_defaults(pool: run_v2.WorkerPool, projects: Projects) -> None:
    """Gives the settings that are unset their default."""
    pool.launch_stage = pool.launch_stage or launch_stage_pb2.GA
    if not proto_json.unwrap(pool).scaling.HasField("manual_instance_count"):
        pool.scaling = run_v2.WorkerPoolScaling(manual_instance_count=DEFAULT_INSTANCE_COUNT)
    traffic_split.apply_default_types(pool)
    template = pool.template
    template.service_account = template.service_account or resources.default_account(
        pool.name, projects
    )
    pool.template = template


def check_worker_pool_scaling(pool: run_v2.WorkerPool) -> None:
    """Refuses a negative count."""
    if pool.scaling.manual_instance_count < 0:
        raise FieldError("WorkerPool", "scaling.manual_instance_count", "must not be negative")
