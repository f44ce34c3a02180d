"""The dry run's last step: Google validates a change without making it, where it can."""

from __future__ import annotations

import asyncio
from typing import Protocol

from incident.actions.before_image import stated
from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    Conflict,
    Denied,
    IncidentError,
    Workload,
)

_ATTEMPTS = 4
_PAUSE_S = 0.2


class Rehearsing(Protocol):
    """What rehearsing needs of Cloud Run."""

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change."""

    async def lacking(self, workload: Workload, change: ChangeKind) -> tuple[str, ...]:
        """Which permissions on the workload we do not have for a kind of change to it."""


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
    try:
        lacking = await run.lacking(workload, change.kind)
    except IncidentError as error:
        return f"{why}; which permissions enforcing would lack is not known either: {error}"
    if lacking:
        return f"not validated: enforcing would lack {', '.join(lacking)}. {why}"
    if change.kind is ChangeKind.IAM_POLICY:
        return f"not validated: {why}, but every permission that the edit needs is there"
    return (
        "not validated: enforcing would be denied as well, though every permission on the"
        f" {workload.kind} itself is there: one on its runtime service account or on its image's"
        f" repository is lacking. {why}"
    )
