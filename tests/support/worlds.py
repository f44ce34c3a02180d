"""Worlds around findings: what the emulator knows when a test begins."""

from __future__ import annotations

import copy
import functools
import json
from typing import Any

from emulator.world import surroundings
from incident.model import Kind
from tests.support.constants import SAMPLE_OF_KIND, SERVICE
from tests.support.findings import SampleFinding, encode, sample_notification, similar_findings

JsonDict = dict[str, Any]

CONDITION = {"title": "office hours", "expression": "request.time.getHours() > 7"}
ANNOTATIONS = {"example.com/owner": "shop", "example.com/on-call": "they: \u00e4"}
WORLD_COLLECTIONS = {kind: kind.collection for kind in Kind}
BINDINGS: list[JsonDict] = [
    {"role": "roles/run.viewer", "members": ["user:viewer@example.com"]},
    {
        "role": "roles/run.invoker",
        "members": ["user:b@example.com", "allUsers", "user:a@example.com"],
    },
    {"role": "roles/run.invoker", "members": ["allUsers"], "condition": CONDITION},
    {"role": "roles/run.invoker", "members": ["allAuthenticatedUsers"]},
    {"role": "roles/run.developer", "members": ["user:dev@example.com"]},
]
AUDIT_CONFIGS = [{"service": "allServices", "auditLogConfigs": [{"logType": "DATA_READ"}]}]
SHORT_LATENCY = {"reconcile": "5ms"}


def world_around(notification: JsonDict, **changes: Any) -> JsonDict:
    """A plausible world around a notification."""
    return copy.deepcopy({**_world_around_bytes(encode(notification)), **changes})


@functools.lru_cache(maxsize=128)
def _world_around_bytes(notification: bytes) -> JsonDict:
    """Made once for each notification; to be copied before it is changed."""
    return surroundings.world_around(notification)


def service_of(world: JsonDict, name: str = SERVICE) -> JsonDict:
    """A service in a dumped world."""
    (service,) = (service for service in world["services"] if service["name"] == name)
    found: JsonDict = service
    return found


def world_around_all(notifications: list[JsonDict]) -> JsonDict:
    """A plausible world in which all of these are true."""
    merged: JsonDict = {}
    for notification in notifications:
        for key, part in world_around(notification).items():
            if isinstance(part, dict):
                merged.setdefault(key, {}).update(part)
            else:
                merged_items = merged.setdefault(key, [])
                merged_items += [item for item in part if item not in merged_items]
    return merged


def two_findings_on_one_service() -> tuple[JsonDict, JsonDict, JsonDict]:
    """Two findings on one service, and a world in which SCC lists both."""
    one, other = similar_findings(sample_notification(), 2)
    world = world_around(one)
    world["findings"].append({"finding": other["finding"], "resource": other["resource"]})
    return one, other, world


def rich_world(kind: Kind, **changes: Any) -> JsonDict:
    """A world in which everything that a release has to restore is there.

    Args:
        kind: Of which kind the workload is.
        changes: Top-level fields of the workload to replace.
    """
    world = world_around(sample_notification(SAMPLE_OF_KIND[kind]), latency=dict(SHORT_LATENCY))
    for name in world.setdefault("iamPolicies", {}):
        world["iamPolicies"][name] = {
            "version": 3,
            "bindings": copy.deepcopy(BINDINGS),
            "auditConfigs": copy.deepcopy(AUDIT_CONFIGS),
        }
    workload = workload_in(world, kind)
    workload["annotations"] = dict(ANNOTATIONS)
    if kind is Kind.SERVICE:
        older_revision, latest_revision = (r["name"].rpartition("/")[2] for r in world["revisions"])
        revision = {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": older_revision}
        workload["traffic"] = [
            {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 70, "tag": "newest"},
            {**revision, "percent": 30},
            {**revision, "tag": "known-good"},
            {**revision, "revision": latest_revision, "tag": "canary"},
        ]
        workload["ingress"] = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
        workload["invokerIamDisabled"] = True
        for each in world["revisions"]:
            each["scaling"] = {"minInstanceCount": 1, "maxInstanceCount": 5}
    workload |= changes
    return world


def workload_in(world: JsonDict, kind: Kind) -> JsonDict:
    """The only workload of a kind in a world or a dump of one."""
    (workload,) = world[WORLD_COLLECTIONS[kind]]
    found: JsonDict = workload
    return found


def world_with_findings(*findings: SampleFinding) -> JsonDict:
    """A world in which all of these findings are true."""
    notifications = [json.loads(one.notification) for one in findings]
    return {"latency": SHORT_LATENCY} | world_around_all(notifications)


#: Several bindings of invokers, others between them, one with a condition.
