"""The dry run's last step: Google validates a change without making it, where it can."""

from __future__ import annotations

import asyncio
from typing import Protocol

from incident.actions.changes import with_state
from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    Conflict,
    Denied,
    IncidentError,
    Workload,
)

_MAX_ATTEMPTS = 4
_BACKOFF_S = 0.2


class ValidationClient(Protocol):
    """What rehearsing needs of Cloud Run."""

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change."""

    async def missing_permissions(self, workload: Workload, change: ChangeKind) -> tuple[str, ...]:
        """Which permissions on the workload we do not have for a kind of change to it."""


async def validate_change(
    change: Change, workload: Workload, cloud_run: ValidationClient
) -> Change:
    """The change, validated, or with the reason why that was not possible."""
    if change.kind is ChangeKind.IAM_POLICY:
        # SetIamPolicy has no way to validate: only the permission can be asked about.
        reason = await _not_validated_reason(
            "Google cannot validate an IAM policy", change, workload, cloud_run
        )
        return with_state(change, ChangeState.NOT_VALIDATED, reason)
    try:
        await _send_validate_only(change, cloud_run)
    except Denied as error:
        reason = await _not_validated_reason(str(error), change, workload, cloud_run)
        return with_state(change, ChangeState.NOT_VALIDATED, reason)
    except IncidentError as error:
        return with_state(change, ChangeState.NOT_VALIDATED, str(error))
    return with_state(change, ChangeState.VALIDATED)


async def _send_validate_only(change: Change, cloud_run: ValidationClient) -> None:
    """Have the change validated; like enforcing, try again when another change is under way."""
    for attempt in range(_MAX_ATTEMPTS):
        try:
            await cloud_run.write(change, validate_only=True)
        except Conflict:
            if attempt == _MAX_ATTEMPTS - 1:
                raise
            await asyncio.sleep(_BACKOFF_S * 2**attempt)
        else:
            return


async def _not_validated_reason(
    why: str, change: Change, workload: Workload, cloud_run: ValidationClient
) -> str:
    try:
        missing = await cloud_run.missing_permissions(workload, change.kind)
    except IncidentError as error:
        return f"{why}; which permissions enforcing would lack is not known either: {error}"
    if missing:
        return f"not validated: enforcing would lack {', '.join(missing)}. {why}"
    if change.kind is ChangeKind.IAM_POLICY:
        return f"not validated: {why}, but every permission that the edit needs is there"
    return (
        "not validated: enforcing would be denied as well, though every permission on the"
        f" {workload.kind} itself is there: one on its runtime service account or on its image's"
        f" repository is lacking. {why}"
    )
