"""Send the writes of one attempt, and classify the answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from incident.actions import masked_changes
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
from incident.model.ports import CloudRunPort


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """What became of the writes of one attempt.

    Attributes:
        changes: The changes, each ``applied``, ``failed`` with its error, or as it was.
        unsent: Indexes of those that have no effect, as far as the answers say.
        generation: The generation that the write of fields made, where the answer has one.
        interrupted: Why the attempt ended early: another writer, or a lost answer.
        refused: Indexes of those that were sent and refused.
        answer_lost: Whether a write may still take effect, whatever its answer was.
    """

    changes: tuple[Change, ...]
    unsent: tuple[int, ...]
    generation: int | None = None
    interrupted: Retry | None = None
    refused: tuple[int, ...] = ()
    answer_lost: bool = False

    def corrected(self, found: Iterable[int]) -> AttemptResult:
        """The same result, with these refused changes as applied: they were found in effect."""
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


async def send_changes(changes: Sequence[Change], cloud_run: CloudRunPort) -> AttemptResult:
    """Write every change, stopping ones first; a refused one does not keep the others back.

    After a conflict or a lost answer nothing more is sent: the workload must be read again.
    """
    done: list[Change] = []
    refused: list[int] = []
    generation: int | None = None
    for at, change in enumerate(changes):
        try:
            new_generation = await cloud_run.write(change, validate_only=False)
        except Retry as error:
            conflict = isinstance(error, Conflict)
            refused += [at] if conflict else []
            return AttemptResult(
                changes=(*done, *changes[at:]),
                unsent=(*refused, *range(at + 1, len(changes))),
                generation=generation,
                interrupted=error,
                refused=tuple(refused),
                # An aborted cancellation may have begun: it takes effect after its answer.
                answer_lost=not conflict or change.kind is ChangeKind.CANCELLATION,
            )
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
    """Correct refusals by the workload: a repeated call is refused because the first one worked.

    Without it the snapshot of a write that took effect would be lost.

    Args:
        sent: What became of the writes, by their answers.
        snapshot: The snapshot of the attempt, whose first changes are those that were sent.
        workload: What they were sent to.
        reader: Cloud Run.
    """
    if not sent.refused:
        return sent
    refused = [snapshot.changes[at] for at in sent.refused]
    needs, named = (
        masked_changes.details_for_changes(refused),
        masked_changes.names_in_changes(refused),
    )
    try:
        configuration = await read_workload(workload, needs, reader, named)
    except IncidentError:
        return sent
    return sent.corrected(at for at in sent.refused if snapshot.took_effect(at, configuration))


def status_of_changes(
    changes: Sequence[Change], unreached: Sequence[str] = (), *, stopped: bool = False
) -> Status:
    """The status that the states of changes amount to: contained needs a verified stop.

    Args:
        changes: The changes of a containment.
        unreached: What keeps the workload from the goal of an action that restricts.
        stopped: Whether the workload was read back as stopped although that needed no change.
    """
    verified = [change for change in changes if change.state is ChangeState.VERIFIED]
    stopping = [change for change in changes if change.stops]
    if (stopping or (stopped and verified)) and all(change in verified for change in stopping):
        return Status.CONTAINED
    # A disabled account keeps nobody out: beside a stop that failed it changes no status.
    restricting = (c for c in verified if not c.stops and c.kind is not ChangeKind.SERVICE_ACCOUNT)
    if any(restricting) or (verified and not stopping):
        return Status.UNVERIFIED if unreached else Status.RESTRICTED
    any_unverified = any(change.state is ChangeState.UNVERIFIED for change in changes)
    return Status.UNVERIFIED if any_unverified else Status.FAILED
