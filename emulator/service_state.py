"""What Cloud Run itself derives from a service: conditions, statuses, revisions, etags.

Names of conditions and forms of values follow the answers of the Cloud Run Admin API v2.
"""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any

from google.api import launch_stage_pb2
from google.cloud import run_v2

from emulator import protos
from emulator.names import Projects, last, part

State = run_v2.Condition.State
Mode = run_v2.ServiceScaling.ScalingMode
Target = run_v2.TrafficTargetAllocationType

DEFAULT_TIMEOUT = dt.timedelta(seconds=300)
DEFAULT_CONCURRENCY = 80
DEFAULT_IMAGE = "us-docker.pkg.dev/cloudrun/container/hello"
# What a template says about itself rather than about the revisions made from it.
_NOT_IN_REVISIONS = ("revision", "healthCheckDisabled")


def now() -> dt.datetime:
    """The time of changes: the real one."""
    return dt.datetime.now(dt.UTC)


def condition(kind: str, state: int, since: dt.datetime, message: str = "") -> run_v2.Condition:
    """One condition of a resource."""
    return run_v2.Condition(type_=kind, state=state, last_transition_time=since, message=message)


def ready(revision: run_v2.Revision) -> bool:
    """Whether a revision could serve: no condition of type Ready has failed."""
    return all(
        c.type_ != "Ready" or c.state == State.CONDITION_SUCCEEDED for c in revision.conditions
    )


def not_ready_message(revision_name: str) -> str:
    """What Cloud Run says about a service whose newest revision is broken."""
    return f"Revision '{last(revision_name)}' is not ready and cannot serve traffic."


def configuration(template: run_v2.RevisionTemplate) -> dict[str, Any]:
    """What a template configures, as proto JSON: two templates that agree in it are one."""
    data = protos.to_json(template)
    return {key: value for key, value in data.items() if key not in _NOT_IN_REVISIONS}


def revision_from(
    service: run_v2.Service, short_name: str, since: dt.datetime, creator: str
) -> run_v2.Revision:
    """The revision that a service's template makes, ready to serve."""
    data = configuration(service.template)
    revision = protos.from_json(run_v2.Revision, data)
    revision.name = f"{service.name}/revisions/{short_name}"
    revision.service = last(service.name)
    revision.creator = creator
    protos.set_moment(revision, "create_time", since)
    protos.set_moment(revision, "update_time", since)
    complete_revision(revision)
    return revision


def complete_revision(revision: run_v2.Revision) -> None:
    """Fills the output-only fields that a revision leaves out; times are the caller's business."""
    revision.uid = revision.uid or uid(revision.name)
    revision.generation = revision.generation or 1
    revision.observed_generation = revision.observed_generation or revision.generation
    revision.launch_stage = revision.launch_stage or launch_stage_pb2.GA
    revision.etag = revision.etag or etag(revision.name, revision.generation)
    _default_timeout(revision)
    if not revision.conditions:
        since = protos.moment(revision, "create_time")
        kinds = ("Ready", "Active", "ContainerReady")
        revision.conditions = [condition(k, State.CONDITION_SUCCEEDED, since) for k in kinds]


def apply_defaults(service: run_v2.Service, projects: Projects) -> None:
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
    for target in service.traffic:
        if target.revision and not target.type_:
            target.type_ = Target(Target.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION)
    template = service.template
    _default_timeout(template)
    template.max_instance_request_concurrency = (
        template.max_instance_request_concurrency or DEFAULT_CONCURRENCY
    )
    number = projects.number(part(service.name, "projects"))
    template.service_account = (
        template.service_account or f"{number}-compute@developer.gserviceaccount.com"
    )
    service.template = template


def _default_timeout(message: run_v2.Revision | run_v2.RevisionTemplate) -> None:
    if not protos.raw(message).HasField("timeout"):
        protos.raw(message).timeout.FromTimedelta(DEFAULT_TIMEOUT)


def traffic_statuses(service: run_v2.Service) -> list[run_v2.TrafficTargetStatus]:
    """The statuses of a service whose traffic has arrived where its targets say."""
    latest = run_v2.TrafficTarget(type_=Target.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST, percent=100)
    return [
        run_v2.TrafficTargetStatus(
            type_=target.type_,
            revision=target.revision,
            percent=target.percent,
            tag=target.tag,
            uri=service.uri.replace("https://", f"https://{target.tag}---") if target.tag else "",
        )
        for target in service.traffic or [latest]
    ]


def uri(service: run_v2.Service, projects: Projects) -> str:
    """The address of a service, in the deterministic form."""
    number = projects.number(part(service.name, "projects"))
    return f"https://{last(service.name)}-{number}.{part(service.name, 'locations')}.run.app"


def uid(name: str) -> str:
    """An id of the form of a UUID that is always the same for a name."""
    digits = protos.fingerprint("uid", name)
    return "-".join(
        (digits[:8], digits[8:12], "4" + digits[13:16], "8" + digits[17:20], digits[20:32])
    )


def etag(*version: object) -> str:
    """The fingerprint of one version of a resource, in quotation marks as Cloud Run writes it."""
    digest = bytes.fromhex(protos.fingerprint(*version))[:12]
    return f'"{base64.urlsafe_b64encode(digest).decode()}"'


def suffix(*parts: object) -> str:
    """Three letters such as Cloud Run ends a revision's name with."""
    digits = protos.fingerprint(*parts)
    return "".join("bcdfghjklmnpqrst"[int(digit, 16)] for digit in digits[:3])
