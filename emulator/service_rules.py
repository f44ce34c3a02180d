"""The rules of Cloud Run for a changed service: what is refused, what is erased on the way.

Pure: a rule looks at the service before and after and never at the network.
"""

from __future__ import annotations

import re

import grpc
from google.cloud import run_v2

from emulator import masks, protos, service_state
from emulator.names import last
from emulator.refusal import Refusal, invalid
from emulator.service_state import Mode, Target

MUTABLE = frozenset(
    {
        "description",
        "labels",
        "annotations",
        "client",
        "client_version",
        "ingress",
        "launch_stage",
        "binary_authorization",
        "template",
        "traffic",
        "scaling",
        "invoker_iam_disabled",
        "default_uri_disabled",
        "iap_enabled",
        "multi_region_settings",
        "custom_audiences",
        "build_config",
    }
)
_RESERVED = (
    "run.googleapis.com",
    "cloud.googleapis.com",
    "serving.knative.dev",
    "autoscaling.knative.dev",
)
_TAG = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_REVISION = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_FULL_TRAFFIC = 100


def check_scaling(sent: run_v2.ServiceScaling, after: run_v2.Service, paths: list[str]) -> None:
    """Refuses scaling that contradicts itself.

    A maximum together with the manual mode is refused, as gcloud refuses it; so are negative
    counts and a manual mode that does not say how many instances.
    """
    scaling = after.scaling
    counts = (
        ("min_instance_count", scaling.min_instance_count),
        ("max_instance_count", scaling.max_instance_count),
        ("manual_instance_count", scaling.manual_instance_count),
    )
    for name, count in counts:
        if count < 0:
            raise _violation(f"scaling.{name}", "must not be negative")
    if scaling.scaling_mode != Mode.MANUAL:
        return
    if sent.max_instance_count and masks.covers(paths, "scaling.max_instance_count"):
        raise _violation("scaling.max_instance_count", "cannot be set with manual scaling")
    if "manual_instance_count" not in scaling:
        raise _violation("scaling.manual_instance_count", "is required with manual scaling")


def settle_scaling(before: run_v2.Service, after: run_v2.Service) -> None:
    """Applies what Cloud Run does by itself when the scaling mode changes.

    Manual: the minimum and maximum of the service are erased. Back to automatic with neither
    given: both inherit the manual count (an older text of Google's page on manual scaling; a
    release has to be safe from it).
    """
    scaling = after.scaling
    if scaling.scaling_mode == Mode.MANUAL:
        scaling.min_instance_count = 0
        scaling.max_instance_count = 0
    elif before.scaling.scaling_mode == Mode.MANUAL and not (
        scaling.min_instance_count or scaling.max_instance_count
    ):
        inherited = before.scaling.manual_instance_count
        scaling.min_instance_count = inherited
        scaling.max_instance_count = inherited
    after.scaling = scaling


def check_traffic(after: run_v2.Service, revisions: set[str]) -> None:
    """Refuses traffic that goes nowhere.

    Args:
        after: The service as it would be. No targets at all mean 100 % to the latest revision.
        revisions: Short names of its revisions.
    """
    tags: set[str] = set()
    for index, target in enumerate(after.traffic):
        where = f"traffic[{index}]"
        _check_target(where, target, revisions)
        if target.tag and not _TAG.fullmatch(target.tag):
            raise _violation(f"{where}.tag", f"{target.tag!r} is not a valid tag")
        if target.tag in tags:
            raise _violation(f"{where}.tag", f"{target.tag!r} is given more than once")
        tags |= {target.tag} - {""}
    total = sum(target.percent for target in after.traffic)
    if after.traffic and total != _FULL_TRAFFIC:
        raise _violation("traffic", f"the percents should sum to 100, got {total}")


def _check_target(where: str, target: run_v2.TrafficTarget, revisions: set[str]) -> None:
    if not 0 <= target.percent <= _FULL_TRAFFIC:
        raise _violation(f"{where}.percent", "must be from 0 to 100")
    if target.type_ == Target.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST:
        if target.revision:
            raise _violation(f"{where}.revision", "must be empty for the latest revision")
        return
    if target.type_ != Target.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION:
        raise _violation(f"{where}.type", "is required")
    if not _REVISION.fullmatch(target.revision):
        raise _violation(f"{where}.revision", "must be the short name of a revision")
    if target.revision not in revisions:
        raise _violation(f"{where}.revision", f"Revision '{target.revision}' not found")


def check_metadata(before: run_v2.Service, after: run_v2.Service) -> None:
    """Refuses new labels and annotations in the namespaces that v2 has fields for instead."""
    for kind in ("labels", "annotations"):
        for key in set(getattr(after, kind)) - set(getattr(before, kind)):
            if key.partition("/")[0] in _RESERVED:
                raise _violation(kind, f"the namespace of {key!r} is not supported in v2")


def check_template(
    before: run_v2.Service, after: run_v2.Service, revisions: dict[str, run_v2.Revision]
) -> None:
    """Refuses a template without a container, and one that renames other content to a revision.

    Raises:
        Refusal: ALREADY_EXISTS when the template has the name of an existing revision and is not
            what that revision was made from; INVALID_ARGUMENT otherwise.
    """
    if not after.template.containers:
        raise _violation("template.containers", "is required")
    name = after.template.revision
    if not name or after.template == before.template:
        return
    if not name.startswith(f"{last(after.name)}-") or not _REVISION.fullmatch(name):
        raise _violation("template.revision", f"must start with '{last(after.name)}-'")
    taken = revisions.get(name)
    if taken and _content(taken, after) != service_state.configuration(after.template):
        raise Refusal(
            grpc.StatusCode.ALREADY_EXISTS,
            f"Revision named '{name}' with different configuration already exists.",
        )


def _content(revision: run_v2.Revision, service: run_v2.Service) -> object:
    """What a revision has of the fields that a template has."""
    fields = type(service.template).meta.fields
    data = protos.to_json(revision)
    names = {protos.raw(service.template).DESCRIPTOR.fields_by_name[n].json_name for n in fields}
    return {key: value for key, value in data.items() if key in names}


def _violation(field: str, reason: str) -> Refusal:
    return invalid(f"Violation in UpdateServiceRequest.service.{field}: {reason}.")
