"""``stop-instance``: stop a Cloud Run instance. Pure.

Fits: every instance.
Writes: StopInstance. It is a call, not an update: the client has no update of an instance, so that
    ingress and invoker check stay as they are. A stopped instance answers nobody.
Goal: the instance does not run.
Undo: a release starts it again. Its memory and its files are lost.
"""

from __future__ import annotations

from incident.actions.action import Action, DesiredState
from incident.actions.fields import RUNNING
from incident.model import (
    Change,
    ChangeKind,
    Finding,
    GrantScope,
    Kind,
    Permission,
    WorkloadConfiguration,
)


def desired_state(_: WorkloadConfiguration, __: Finding) -> DesiredState:
    """The instance is to be stopped."""
    return DesiredState({RUNNING: False})


def in_effect(_: Change, configuration: WorkloadConfiguration) -> bool:
    """Whether Cloud Run says that it is stopped."""
    return configuration.fields.get(RUNNING) is False


def remark(_: WorkloadConfiguration) -> str | None:
    """What the action leaves as it is, and why."""
    return (
        "ingress and invoker check of an instance cannot be changed by the API: whoever may start"
        " it makes it reachable as before"
    )


ACTION = Action(
    name="stop-instance",
    goal="the instance does not run",
    undo="A release starts it again, with its files as in the image.",
    stops=True,
    reversible=True,
    desired_state={Kind.INSTANCE: desired_state},
    writes={Kind.INSTANCE: "stops it"},
    change_kinds={Kind.INSTANCE: (ChangeKind.FIELDS,)},
    permissions={
        Kind.INSTANCE: (
            Permission(
                "run.instances.get", GrantScope.WORKLOAD, "reads its state before and after"
            ),
            Permission("run.instances.stop", GrantScope.WORKLOAD, "stops it"),
            Permission("run.instances.start", GrantScope.WORKLOAD, "starts it again"),
        )
    },
    in_effect=in_effect,
    remark=remark,
)
