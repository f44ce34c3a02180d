"""The dry run's last step: Google validates a change without making it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from incident.custody import stated
from incident.model import Change, ChangeState, Conflict, Denied, IncidentError, Workload

#: What writing to a service needs of the service itself, each with its reason.
PERMISSIONS = {
    "run.services.get": "reads the settings before and after the write",
    "run.services.update": "writes scaling, traffic and the annotation",
}

_ATTEMPTS = 4
_PAUSE_S = 0.2


class Rehearsing(Protocol):
    """What rehearsing needs of Cloud Run."""

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change."""

    async def lacking(self, workload: Workload, permissions: Sequence[str]) -> tuple[str, ...]:
        """Which of some permissions we do not have on the workload."""


async def rehearse(change: Change, workload: Workload, run: Rehearsing) -> Change:
    """The change, validated, or with the reason why that was not possible."""
    try:
        await _validate(change, run)
    except Denied as error:
        return stated(change, ChangeState.NOT_VALIDATED, await _lacking(error, workload, run))
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


async def _lacking(denied: Denied, workload: Workload, run: Rehearsing) -> str:
    try:
        lacking = await run.lacking(workload, tuple(PERMISSIONS))
    except IncidentError as error:
        return f"{denied}; which permissions enforcing would lack is not known either: {error}"
    if lacking:
        return f"not validated: enforcing would lack {', '.join(lacking)}. {denied}"
    return (
        "not validated: enforcing would be denied as well, though every permission on the service"
        " itself is there. Probably iam.serviceAccounts.actAs on its runtime service account or"
        " artifactregistry.repositories.downloadArtifacts on its image's repository is lacking."
        f" {denied}"
    )
