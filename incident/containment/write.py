"""The writes of one attempt, one after the other, and what became of each.

Says what happened; whether to try again, and what it comes to, is for the stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from incident.actions import plan
from incident.actions.changes import with_state
from incident.actions.snapshot import Snapshot
from incident.investigation.workload_reader import WorkloadReader, read_workload
from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    Conflict,
    GiveUp,
    IncidentError,
    Retry,
    Status,
    Workload,
)


class WriteClient(Protocol):
    """What an attempt needs of Cloud Run."""

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change; the generation that it made, where the answer tells it."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """What became of the writes of one attempt.

    Attributes:
        changes: The changes, each ``applied``, ``failed`` with its error, or as it was.
        unsent: Places of those that certainly have no effect.
        generation: The generation that the write of fields made, where it was told.
        interrupted: Why the attempt ended early: another writer, or an answer that was lost.
        refused: Places of those that were sent and answered with a refusal.
    """

    changes: tuple[Change, ...]
    unsent: tuple[int, ...]
    generation: int | None = None
    interrupted: Retry | None = None
    refused: tuple[int, ...] = ()

    def corrected(self, found: Iterable[int]) -> AttemptResult:
        """The same, where some refused changes were found in effect all the same."""
        in_effect = frozenset(found)
        return replace(
            self,
            changes=tuple(
                with_state(change, ChangeState.APPLIED) if at in in_effect else change
                for at, change in enumerate(self.changes)
            ),
            unsent=tuple(at for at in self.unsent if at not in in_effect),
            refused=tuple(at for at in self.refused if at not in in_effect),
        )

    @property
    def any_applied(self) -> bool:
        """Whether any write was accepted."""
        return any(change.state is ChangeState.APPLIED for change in self.changes)

    @property
    def failed(self) -> tuple[Change, ...]:
        """The changes that were refused for good."""
        return tuple(change for change in self.changes if change.state is ChangeState.FAILED)

    @property
    def answer_lost(self) -> bool:
        """Whether an answer was lost, so that a write may still come into effect."""
        return self.interrupted is not None and not isinstance(self.interrupted, Conflict)


async def send_changes(changes: Sequence[Change], cloud_run: WriteClient) -> AttemptResult:
    """Write every change, stopping ones first; one that is refused does not hide the others.

    After a conflict or a lost answer nothing more is sent: what is next must be read again.
    """
    done: list[Change] = []
    refused: list[int] = []
    generation: int | None = None
    for at, change in enumerate(changes):
        try:
            new_generation = await cloud_run.write(change, validate_only=False)
        except Retry as error:
            refused += [at] if isinstance(error, Conflict) else []
            unsent = (*refused, *range(at + 1, len(changes)))
            return AttemptResult((*done, *changes[at:]), unsent, generation, error, tuple(refused))
        except GiveUp as error:
            done.append(with_state(change, ChangeState.FAILED, str(error)))
            refused.append(at)
        else:
            done.append(with_state(change, ChangeState.APPLIED))
            generation = new_generation if change.kind is ChangeKind.FIELDS else generation
    return AttemptResult(tuple(done), tuple(refused), generation, refused=tuple(refused))


async def recheck_refused(
    sent: AttemptResult, snapshot: Snapshot, workload: Workload, reader: WorkloadReader
) -> AttemptResult:
    """What became of the writes, by the workload where it knows better than the answers.

    Between us and Cloud Run a call may be repeated: the repetition is refused because the first
    one took effect. Believing that answer would lose the image of a write of ours.

    Args:
        sent: What became of the writes, by their answers.
        snapshot: The image of the attempt, whose first changes are those that were sent.
        workload: What they were sent to.
        reader: Cloud Run.
    """
    if not sent.refused:
        return sent
    refused = [snapshot.changes[at] for at in sent.refused]
    needs, named = plan.details_for_changes(refused), plan.executions_of_changes(refused)
    try:
        configuration = await read_workload(workload, needs, reader, named)
    except IncidentError:
        return sent
    return sent.corrected(at for at in sent.refused if snapshot.took_effect(at, configuration))


def status_of_changes(changes: Sequence[Change], unreached: Sequence[str] = ()) -> Status:
    """What some changes come to together: contained is only what is verified and stopped."""
    verified = [change for change in changes if change.state is ChangeState.VERIFIED]
    stopping = [change for change in changes if change.stops]
    if stopping and all(change in verified for change in stopping):
        return Status.CONTAINED
    if any(not change.stops for change in verified):
        return Status.UNVERIFIED if unreached else Status.RESTRICTED
    any_unverified = any(change.state is ChangeState.UNVERIFIED for change in changes)
    return Status.UNVERIFIED if any_unverified else Status.FAILED
