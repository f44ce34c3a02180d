"""Defaults of a service: its settings and its URL."""

from __future__ import annotations

from google.api import launch_stage_pb2
from google.cloud import run_v2

from emulator.api.resource_names import Projects, last_segment, segment_after
from emulator.world.cloud_run import resources, revision_rules, traffic_split

Mode = run_v2.ServiceScaling.ScalingMode

DEFAULT_CONCURRENCY = 80


def apply_service_defaults(service: run_v2.Service, projects: Projects) -> None:
    """Gives the settings that are unset the value that the API documents as their default."""
    everybody = run_v2.IngressTraffic(run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL)
    service.ingress = service.ingress or everybody
    service.launch_stage = service.launch_stage or launch_stage_pb2.GA
    scaling = service.scaling
    scaling.scaling_mode = scaling.scaling_mode or Mode(Mode.AUTOMATIC)
    if scaling.scaling_mode == Mode.AUTOMATIC:
        # Reads show this zero also while it means nothing, so that the count alone says nothing.
        scaling.manual_instance_count = 0
    service.scaling = scaling
    traffic_split.apply_default_types(service)
    template = service.template
    revision_rules.apply_default_timeout(template)
    template.max_instance_request_concurrency = (
        template.max_instance_request_concurrency or DEFAULT_CONCURRENCY
    )
    template.service_account = template.service_account or resources.default_account(
        service.name, projects
    )
    service.template = template


def service_uri(service: run_v2.Service, projects: Projects) -> str:
    """The address of a service, in the deterministic form."""
    number = projects.number(segment_after(service.name, "projects"))
    region = segment_after(service.name, "locations")
    return f"https://{last_segment(service.name)}-{number}.{region}.run.app"
