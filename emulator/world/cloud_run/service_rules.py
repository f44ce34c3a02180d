"""Validation and side effects of service updates.

Pure: a rule looks at the service before and after and never at the network.
"""

from __future__ import annotations

import re

from google.cloud import run_v2

from emulator.api import field_masks
from emulator.api.errors import FieldError
from emulator.world.cloud_run.service_defaults import Mode

MUTABLE_FIELDS = frozenset(
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
_TAG = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def check_service_scaling(
    sent: run_v2.ServiceScaling, after: run_v2.Service, paths: list[str]
) -> None:
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
    if sent.max_instance_count and field_masks.covers(paths, "scaling.max_instance_count"):
        raise _violation("scaling.max_instance_count", "cannot be set with manual scaling")
    if "manual_instance_count" not in scaling:
        raise _violation("scaling.manual_instance_count", "is required with manual scaling")


def apply_scaling_mode(before: run_v2.Service, after: run_v2.Service) -> None:
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


def check_tags(after: run_v2.Service) -> None:
    """Refuses tags that are not names, or stand for two revisions."""
    tags: set[str] = set()
    for index, target in enumerate(after.traffic):
        where = f"traffic[{index}].tag"
        if target.tag and not _TAG.fullmatch(target.tag):
            raise _violation(where, f"{target.tag!r} is not a valid tag")
        if target.tag in tags:
            raise _violation(where, f"{target.tag!r} is given more than once")
        tags |= {target.tag} - {""}


def _violation(field: str, reason: str) -> FieldError:
    return FieldError("Service", field, reason)
