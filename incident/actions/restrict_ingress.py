"""``restrict-ingress``: let only internal requests reach a service. Pure.

Fits: every service.
Writes: ``ingress``, as internal only; what is as strict already stays.
Goal: no request from outside the project's networks reaches the service.
Undo: a release writes the ingress back from the snapshot.
"""

from __future__ import annotations

from incident.actions.action import Action, DesiredState
from incident.actions.fields import INGRESS_INTERNAL_ONLY, field_with_default
from incident.model import (
    DEPLOY_PERMISSIONS,
    Change,
    ChangeKind,
    Finding,
    GrantScope,
    Kind,
    Permission,
    WorkloadConfiguration,
)

#: The values of ``ingress`` that keep out every request from outside.
CLOSED_INGRESS = (INGRESS_INTERNAL_ONLY, "INGRESS_TRAFFIC_NONE")


def desired_state(configuration: WorkloadConfiguration, _: Finding) -> DesiredState:
    """Internal requests only, or the stricter value that is set."""
    ingress = configuration.fields.get("ingress")
    return DesiredState(
        {"ingress": ingress if ingress in CLOSED_INGRESS else INGRESS_INTERNAL_ONLY}
    )


def in_effect(change: Change, configuration: WorkloadConfiguration) -> bool:
    """Whether the ingress keeps out every request from outside."""
    ingress = field_with_default(configuration.fields, "ingress")
    return "ingress" not in change.after or ingress in CLOSED_INGRESS


ACTION = Action(
    name="restrict-ingress",
    goal="no request from outside reaches it",
    undo="A release writes the ingress back as it was.",
    stops=False,
    reversible=True,
    desired_state={Kind.SERVICE: desired_state},
    writes={Kind.SERVICE: "internal requests only"},
    change_kinds={Kind.SERVICE: (ChangeKind.FIELDS,)},
    permissions={
        Kind.SERVICE: (
            Permission(
                "run.services.get",
                GrantScope.WORKLOAD,
                "reads the ingress before and after the write",
            ),
            Permission("run.services.update", GrantScope.WORKLOAD, "writes the ingress"),
            *DEPLOY_PERMISSIONS,
        )
    },
    in_effect=in_effect,
)
