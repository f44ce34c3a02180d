"""The dry run's last step: Google validates a change without making it, where it can."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from incident.images import stated
from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    Conflict,
    Denied,
    IncidentError,
    Kind,
    Workload,
)

#: How permissions name each kind of workload.
RESOURCES = {Kind.SERVICE: "services", Kind.JOB: "jobs", Kind.WORKER_POOL: "workerpools"}
#: What writing each kind of change needs, each with its reason; ``*`` is the kind of workload.
PERMISSIONS: Mapping[ChangeKind, Mapping[str, str]] = {
    ChangeKind.FIELDS: {
        "run.*.get": "reads the settings before and after the write",
        "run.*.update": "writes the masked fields and the annotation",
    },
    ChangeKind.IAM_POLICY: {
        "run.*.getIamPolicy": "reads the policy before and after the edit",
        "run.*.setIamPolicy": "takes invokers out of the policy",
    },
    ChangeKind.CANCELLATION: {
        "run.executions.list": "finds what runs, and proves that it is over",
        "run.executions.cancel": "cancels what runs",
    },
}

_ATTEMPTS = 4
_PAUSE_S = 0.2


class Rehearsing(Protocol):
    """What rehearsing needs of Cloud Run."""

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change."""

    async def lacking(self, workload: Workload, permissions: Sequence[str]) -> tuple[str, ...]:
        """Which of some permissions we do not have on the workload."""


def permissions(kind: ChangeKind, of: Kind) -> Mapping[str, str]:
    """The permissions that a change of a workload needs, each with its reason."""
    return {name.replace("*", RESOURCES[of]): reason for name, reason in PERMISSIONS[kind].items()}


async def rehearse(change: Change, workload: Workload, run: Rehearsing) -> Change:
    """The change, validated, or with the reason why that was not possible."""
    if change.kind is ChangeKind.IAM_POLICY:
        # SetIamPolicy has no way to validate: only the permission can be asked about.
        reason = await _lacking("Google cannot validate an IAM policy", change, workload, run)
        return stated(change, ChangeState.NOT_VALIDATED, reason)
    try:
        await _validate(change, run)
    except Denied as error:
        reason = await _lacking(str(error), change, workload, run)
        return stated(change, ChangeState.NOT_VALIDATED, reason)
    except IncidentError as error:
        return stated(change, ChangeState.NOT_VALIDATED, str(error))
    return stated(change, ChangeState.VALIDATED)


async def _validate(change: Change, run: Rehearsing) -> None:
    """Have the change validated; like enforcing, try again when another change is under way."""
    for attempt in range(_ATTEMPTS):
        try:
            await run.write(change, validate_only=True)
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise
            await asyncio.sleep(_PAUSE_S * 2**attempt)
        else:
            return


async def _lacking(why: str, change: Change, workload: Workload, run: Rehearsing) -> str:
    wanted = permissions(change.kind, workload.kind)
    try:
        lacking = await run.lacking(workload, tuple(wanted))
    except IncidentError as error:
        return f"{why}; which permissions enforcing would lack is not known either: {error}"
    if lacking:
        return f"not validated: enforcing would lack {', '.join(lacking)}. {why}"
    if change.kind is ChangeKind.IAM_POLICY:
        return f"not validated: {why}, but every permission that the edit needs is there"
    return (
        "not validated: enforcing would be denied as well, though every permission on the"
        f" {workload.kind} itself is there. Probably iam.serviceAccounts.actAs on its runtime"
        " service account or artifactregistry.repositories.downloadArtifacts on its image's"
        f" repository is lacking. {why}"
    )
