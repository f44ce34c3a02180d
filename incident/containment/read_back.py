"""Read back a containment until its changes are in effect and its goal is reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from incident.actions import masked_changes
from incident.actions.changes import with_state
from incident.actions.goal import Goal, UnmetGoal
from incident.actions.snapshot import Snapshot
from incident.case_file.containments import Containment
from incident.containment.attempt import Attempt
from incident.investigation.workload_reader import names_in, read_executions_first
from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    GiveUp,
    Retry,
    WorkloadConfiguration,
)
from incident.model.retrying import Backoff

_POLL = Backoff(first_s=0.2, longest_s=2.0, factor=1.5)
#: So many readings are made at least, also once time is up, within so many seconds more: a busy
#: process may have had none, and another writer's change may be under way in any one of them.
_MIN_READINGS = 5
_LAST_READINGS_S = 15
_NOT_READ_BACK = "the workload was not read back in time"


@dataclass(frozen=True, slots=True)
class SentWrites:
    """What was written, to be read back.

    Attributes:
        snapshot: The snapshot of what was written; None when nothing was.
        failed: The changes that were refused.
        written_at: When the writes were accepted.
        last_number: Number of the containment's last record.
        exact: Whether nobody else wrote between reading and writing.
        generation: The generation that the last of our writes made, where it is known.
    """

    snapshot: Snapshot | None
    failed: tuple[Change, ...]
    written_at: datetime | None
    last_number: int
    exact: bool = True
    generation: int | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes that were written."""
        return self.snapshot.changes if self.snapshot else ()


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of the workload after our writes, judged.

    Attributes:
        configuration: The workload's settings; None when they were never read.
        unmet_changes: For each change that was sent, why it is not in effect; None if it is.
        unmet_goals: What of the goal is not reached.
        waiting: Whether time may still bring a goal about: none of its changes was refused.
        undone: Whether somebody has changed the workload since: only another write helps.
        final: Whether waiting is of no use.
        began_at: When reading back began; None for settings that were read for the decision.
    """

    configuration: WorkloadConfiguration | None
    unmet_changes: tuple[str | None, ...]
    unmet_goals: tuple[UnmetGoal, ...] = ()
    waiting: bool = False
    undone: bool = False
    final: bool = False
    began_at: datetime | None = None

    @property
    def settled(self) -> bool:
        """Whether all is as it is to be, or waiting is of no use."""
        reached = not any(self.unmet_changes) and not self.waiting
        return self.final or self.undone or reached


async def read_until_settled(
    sent: SentWrites, goal: Goal, attempt: Attempt, limit_s: float
) -> Reading:
    """Read the workload until changes and goal are reached, somebody undid them, or time is up.

    A few readings are made in any case, so that readings decide and not the clock.
    """
    unread = UnmetGoal("", _NOT_READ_BACK, stops=True)
    reading = Reading(None, (_NOT_READ_BACK,) * len(sent.changes), (unread,), waiting=True)

    count, began_at = 0, attempt.process.clock()

    async def settled() -> bool:
        nonlocal reading, count
        reading = await _read_once(reading, sent, goal, attempt)
        count += 1
        return reading.settled

    async def settled_or_read_enough() -> bool:
        return await settled() or count >= _MIN_READINGS

    if not await _POLL.poll(settled, limit_s):
        await _POLL.poll(settled_or_read_enough, _LAST_READINGS_S)
    return replace(reading, began_at=began_at)


async def _read_once(
    before: Reading,
    sent: SentWrites,
    goal: Goal,
    attempt: Attempt,
) -> Reading:
    """The workload as it is now; where it cannot be read, as before and with the reason."""
    workload = attempt.workload
    needs = masked_changes.details_for_changes(sent.changes) | goal.details(workload.kind)
    named = masked_changes.names_in_changes(sent.changes) | names_in(attempt.finding)
    try:
        configuration = await read_executions_first(
            workload, needs, attempt.process.cloud_run, named
        )
    except (Retry, GiveUp) as error:
        return replace(
            before,
            unmet_changes=tuple(why and str(error) for why in before.unmet_changes),
            unmet_goals=tuple(replace(each, text=str(error)) for each in before.unmet_goals),
            final=isinstance(error, GiveUp),
        )
    unmet_goals = goal.unmet(configuration)
    return Reading(
        configuration=configuration,
        unmet_changes=tuple(
            masked_changes.why_not_in_effect(c, configuration) for c in sent.changes
        ),
        unmet_goals=unmet_goals,
        waiting=bool(not_refused(unmet_goals, sent.failed)),
        undone=any(
            _needs_write(change, sent, configuration)
            for change in goal.missing_changes(configuration)
        ),
    )


def _needs_write(missing: Change, sent: SentWrites, configuration: WorkloadConfiguration) -> bool:
    """Whether a missing change has to be written, and is not one that is still taking effect."""
    if any((c.kind, c.target) == (missing.kind, missing.target) for c in sent.failed):
        return False  # it was refused, and would be again
    match missing.kind:
        case ChangeKind.CANCELLATION:
            return all(c.target != missing.target for c in sent.changes)
        case ChangeKind.IAM_POLICY | ChangeKind.SERVICE_ACCOUNT:
            return True
        case ChangeKind.FIELDS:
            own = sent.generation or (sent.snapshot.generation + 1 if sent.snapshot else 0)
            observed = configuration.observed_generation >= configuration.generation
            return observed and configuration.generation > own


def not_refused(unmet: Sequence[UnmetGoal], changes: Sequence[Change]) -> list[UnmetGoal]:
    """What of the goal is not reached although none of its changes was refused."""
    failed = [change for change in changes if change.state is ChangeState.FAILED]
    refused = {name for change in failed for name in change.action.split("+")}
    return [each for each in unmet if each.action not in refused]


def existing_writes(
    snapshot: Snapshot, failed: tuple[Change, ...], current: Containment
) -> SentWrites:
    """The writes of a containment that is in effect."""
    return SentWrites(
        snapshot,
        failed,
        current.written_at,
        current.last_number,
        generation=current.written_generation,
    )


def unsent_changes(snapshot: Snapshot, configuration: WorkloadConfiguration) -> tuple[Change, ...]:
    """What an attempt did not write, and nobody has done since: reported, not hidden."""
    text = "it was not written: it was refused, or the attempt ended before it"
    return tuple(
        with_state(change, ChangeState.FAILED, text)
        for change in snapshot.unsent
        if not masked_changes.in_effect(change, configuration)
    )
