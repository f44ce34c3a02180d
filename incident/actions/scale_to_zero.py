"""``scale-to-zero``: stop a service or a worker pool. Pure.

Fits: every service and every worker pool.
Writes: ``scaling`` and, of a service, ``traffic``: manual scaling with 0 instances, the way to
    disable a service that Cloud Run documents, and no tag. A tagged revision would still start.
Goal: no instance runs, and no tag leads to a revision.
Undo: a release writes both fields back from the snapshot.
"""

from __future__ import annotations

from incident.actions.action import Action, DesiredState
from incident.actions.fields import (
    FIELD_DEFAULTS,
    field_with_default,
    normalize_field,
    traffic_targets,
)
from incident.model import (
    DEPLOY_PERMISSIONS,
    Change,
    ChangeKind,
    Finding,
    GrantScope,
    Json,
    Kind,
    Permission,
    WorkloadConfiguration,
)

_SERVICE_SCALING: Json = {"scalingMode": "MANUAL", "manualInstanceCount": 0}
_POOL_SCALING: Json = {"manualInstanceCount": 0}


def service_state(configuration: WorkloadConfiguration, _: Finding) -> DesiredState:
    """Manual scaling with 0 instances, and the traffic without its tags.

    The traffic split stays: it must sum to 100, and cannot lead nowhere.
    """
    shares: dict[tuple[str, str], int] = {}
    for target in traffic_targets(field_with_default(configuration.fields, "traffic")):
        key = (str(target["type"]), str(target.get("revision", "")))
        shares[key] = shares.get(key, 0) + int(str(target.get("percent", 0)))
    traffic: Json = [
        {"type": kind, **({"revision": revision} if revision else {}), "percent": percent}
        for (kind, revision), percent in shares.items()
        if percent
    ]
    return DesiredState(
        {"scaling": _SERVICE_SCALING, "traffic": traffic or FIELD_DEFAULTS["traffic"]}
    )


def pool_state(_: WorkloadConfiguration, __: Finding) -> DesiredState:
    """A count of 0: a worker pool has no traffic, no tags and no scaling mode."""
    return DesiredState({"scaling": _POOL_SCALING})


def in_effect(change: Change, configuration: WorkloadConfiguration) -> bool:
    """Whether the settings ask for no instance and lead to no revision by a tag.

    How a service's traffic is split does not matter while no instance runs.
    """
    if "scaling" in change.after and not _is_zero(configuration):
        return False
    if "traffic" not in change.after:
        return True
    traffic = traffic_targets(field_with_default(configuration.fields, "traffic"))
    return not any(target.get("tag") for target in traffic)


def _is_zero(configuration: WorkloadConfiguration) -> bool:
    kind = configuration.kind
    zero = _POOL_SCALING if kind is Kind.WORKER_POOL else _SERVICE_SCALING
    scaling = field_with_default(configuration.fields, "scaling")
    return normalize_field("scaling", scaling, kind) == normalize_field("scaling", zero, kind)


def still_served(_: Change, configuration: WorkloadConfiguration) -> str | None:
    """The tags by which a revision can still be reached."""
    if not configuration.live_tags:
        return None
    return f"a revision is still reachable by its tag: {', '.join(configuration.live_tags)}"


ACTION = Action(
    name="scale-to-zero",
    goal="no instance of it runs, and no tag leads to a revision of it",
    undo="A release writes scaling and traffic back as they were.",
    stops=True,
    reversible=True,
    desired_state={Kind.SERVICE: service_state, Kind.WORKER_POOL: pool_state},
    writes={
        Kind.SERVICE: "manual scaling, 0 instances, every tag stripped",
        Kind.WORKER_POOL: "0 instances",
    },
    change_kinds={Kind.SERVICE: (ChangeKind.FIELDS,), Kind.WORKER_POOL: (ChangeKind.FIELDS,)},
    permissions={
        Kind.SERVICE: (
            Permission(
                "run.services.get",
                GrantScope.WORKLOAD,
                "reads scaling and traffic before and after the write",
            ),
            Permission("run.services.update", GrantScope.WORKLOAD, "writes scaling and traffic"),
            *DEPLOY_PERMISSIONS,
        ),
        Kind.WORKER_POOL: (
            Permission(
                "run.workerpools.get",
                GrantScope.WORKLOAD,
                "reads scaling before and after the write",
            ),
            Permission("run.workerpools.update", GrantScope.WORKLOAD, "writes scaling"),
            *DEPLOY_PERMISSIONS,
        ),
    },
    in_effect=in_effect,
    still_served=still_served,
)
