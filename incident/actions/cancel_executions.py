"""``cancel-executions``: cancel every running execution of a job. Pure.

Fits: a job whose executions could be read.
Writes: one cancellation for each running execution, the finding's own first. A job itself is
    never updated: its update has no mask.
Goal: no execution of the job runs.
Undo: none. A cancelled execution does not resume; a person starts the job again.
"""

from __future__ import annotations

from incident.actions.action import Action, DesiredState, NotApplicable
from incident.model import (
    Change,
    ChangeKind,
    CutList,
    Finding,
    GrantScope,
    Kind,
    Permission,
    WorkloadConfiguration,
    WorkloadDetail,
    found_in,
)


def desired_state(
    configuration: WorkloadConfiguration, finding: Finding
) -> DesiredState | NotApplicable:
    """Every running execution is to be cancelled, waiting ones too: a failed task is retried."""
    if configuration.executions is None:
        return NotApplicable("its executions are not known")
    if isinstance(configuration.executions, CutList) and not configuration.running:
        reason = configuration.executions.reason
        return NotApplicable(f"whether an execution runs is not known: {reason}")
    own_first = sorted(configuration.running, key=lambda each: each.short_name != finding.execution)
    return DesiredState(executions_to_cancel=tuple(execution.name for execution in own_first))


def in_effect(change: Change, configuration: WorkloadConfiguration) -> bool:
    """Whether the change's execution is over. In a cut list it must have been found."""
    found = {each.name: each.running for each in found_in(configuration.executions)}
    unlisted = configuration.executions is None or isinstance(configuration.executions, CutList)
    return not found.get(change.target, unlisted)


ACTION = Action(
    name="cancel-executions",
    goal="no execution of it runs",
    undo="It cannot be undone. Start the job again.",
    stops=True,
    reversible=False,
    desired_state={Kind.JOB: desired_state},
    writes={Kind.JOB: "cancels every running execution, the finding's own first"},
    change_kinds={Kind.JOB: (ChangeKind.CANCELLATION,)},
    permissions={
        Kind.JOB: (
            Permission("run.jobs.get", GrantScope.WORKLOAD, "reads the job before its executions"),
            Permission(
                "run.executions.list",
                GrantScope.WORKLOAD,
                "finds the running executions, and confirms that they are over",
            ),
            Permission(
                "run.executions.get",
                GrantScope.WORKLOAD,
                "reads an execution by name where the list was cut",
            ),
            Permission(
                "run.executions.cancel", GrantScope.WORKLOAD, "cancels the running executions"
            ),
        )
    },
    in_effect=in_effect,
    details=frozenset({WorkloadDetail.EXECUTIONS}),
    details_to_verify=frozenset({WorkloadDetail.EXECUTIONS}),
)
