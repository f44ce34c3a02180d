"""What a plan is made of: the situation with its evidence, and the position without it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from incident.model import (
    Blocker,
    Change,
    ChangeKind,
    ChangeState,
    Evidence,
    Json,
    JsonObject,
    Kind,
    Mode,
    Status,
    Workload,
)
from incident.playbook.blockers import ExplainedBlocker, explain_blocker

#: Somebody saw to it that nothing of what was found goes on running.
_STOPPED_STATUSES = frozenset({Status.CONTAINED, Status.ALREADY_CONTAINED})
#: There may be a containment of ours, which a release takes back.
_RELEASABLE_STATUSES = frozenset({Status.CONTAINED, Status.RESTRICTED, Status.UNVERIFIED})


@dataclass(frozen=True, slots=True)
class PlaybookInputs:
    """What a plan is made of.

    Attributes:
        incident: The incident's id.
        status: What became of it.
        mode: The mode that applied.
        evidence: What was gathered.
        changes: The changes and how far they came.
        drains_until: Until when requests in flight may still run.
        blockers: What a person's own ``contain`` would be refused for, where it is held.
        policy_url: Where the policy file is; empty where none is configured.
        investigation_steps: What the responder says that a person should look at, in order.
        often_benign: Whether the responder leaves findings of this type to a person: often benign.
    """

    incident: str
    status: Status
    mode: Mode
    evidence: Evidence
    changes: tuple[Change, ...]
    drains_until: datetime | None = None
    blockers: tuple[Blocker, ...] = ()
    policy_url: str = ""
    investigation_steps: tuple[str, ...] = ()
    often_benign: bool = False


@dataclass(frozen=True, slots=True)
class PlaybookFacts:
    """What the steps about the containment itself hang on: an outcome alone tells it.

    Attributes:
        incident: The incident's id.
        status: What became of it.
        workload: What it is about.
        execution: Short name of the execution that the finding names; else empty.
        verified_actions: Names of the actions that were read back in effect.
        stops: Whether the plan holds a change that stops what runs.
        reversible: Whether it holds one that a release takes back.
        cancels: Whether it cancels executions.
        drains_until: Until when requests in flight may still run, in UTC; else empty.
        blockers: Why a person's ``contain`` would be refused, and what has to be done first.
        restored_fields: The first parts of the field paths that a release gives back, and
            ``iam-policy``.
        often_benign: Whether looking comes before stopping.
    """

    incident: str
    status: Status
    workload: Workload
    execution: str = ""
    verified_actions: frozenset[str] = frozenset()
    stops: bool = False
    reversible: bool = False
    cancels: bool = False
    drains_until: str = ""
    blockers: tuple[ExplainedBlocker, ...] = ()
    restored_fields: frozenset[str] = frozenset()
    often_benign: bool = False

    @property
    def may_be_running(self) -> bool:
        """Whether what was found may run on: true wherever it was not read back as stopped."""
        return self.status not in _STOPPED_STATUSES

    @property
    def releasable(self) -> bool:
        """Whether there is something that a release of ours would give back."""
        return self.status in _RELEASABLE_STATUSES and self.reversible

    @property
    def undecided(self) -> bool:
        """Whether it may run on, with nothing of ours in effect and nobody's word on it yet."""
        return self.may_be_running and not self.releasable and self.status is not Status.RELEASED


def facts_from_inputs(inputs: PlaybookInputs, workload: Workload) -> PlaybookFacts:
    """The position of a situation."""
    changes, until = inputs.changes, inputs.drains_until
    return PlaybookFacts(
        incident=inputs.incident,
        status=inputs.status,
        workload=workload,
        execution=inputs.evidence.finding.execution or "",
        verified_actions=_verified_actions(
            inputs.status, ((change.action, change.state) for change in changes)
        ),
        stops=any(change.stops for change in changes),
        reversible=any(change.reversible for change in changes),
        cancels=any(change.kind is ChangeKind.CANCELLATION for change in changes),
        drains_until=f"{until:%Y-%m-%d %H:%M:%S} UTC" if until else "",
        blockers=tuple(
            explain_blocker(blocker, workload, inputs.policy_url) for blocker in inputs.blockers
        ),
        restored_fields=_restored_fields(
            (c.mask, c.kind) for c in changes if c.reversible and c.state is not ChangeState.FAILED
        ),
        often_benign=inputs.often_benign,
    )


def facts_from_outcome(outcome: JsonObject) -> PlaybookFacts | None:
    """The position that an outcome tells; None where it names no workload of Cloud Run."""
    workload, changes = outcome.get("workload"), json_objects(outcome.get("changes"))
    if not isinstance(workload, Mapping) or workload.get("kind") not in list(Kind):
        return None
    names = {
        key: str(workload.get(key) or "") for key in ("location", "name", "project", "execution")
    }
    status, until = Status(str(outcome["status"])), str(outcome.get("drains_until") or "")
    return PlaybookFacts(
        incident=str(outcome["incident"]),
        status=status,
        workload=Workload(
            Kind(str(workload["kind"])), names["location"], names["name"], names["project"], None
        ),
        execution=names["execution"],
        verified_actions=_verified_actions(
            status, ((str(c.get("action")), str(c.get("state"))) for c in changes)
        ),
        stops=any(c.get("stops") is True for c in changes),
        reversible=any(c.get("reversible") is True for c in changes),
        cancels=any(c.get("kind") == ChangeKind.CANCELLATION for c in changes),
        drains_until=f"{until[:19].replace('T', ' ')} UTC" if until else "",
        blockers=blockers_from_outcome(outcome),
        restored_fields=_restored_fields(
            (map(str, _list(c.get("mask"))), str(c.get("kind")))
            for c in changes
            if c.get("reversible") is True and c.get("state") != ChangeState.FAILED
        ),
    )


def blockers_from_outcome(outcome: JsonObject) -> tuple[ExplainedBlocker, ...]:
    """Why a person's ``contain`` would be refused, as an outcome tells it."""
    decision = outcome.get("decision")
    values = json_objects(decision.get("barred")) if isinstance(decision, Mapping) else []
    keys = ("text", "first", "command")
    return tuple(ExplainedBlocker(*(str(each.get(key) or "") for key in keys)) for each in values)


def json_objects(value: Json) -> list[JsonObject]:
    """The objects of a list, where it is one."""
    return [each for each in _list(value) if isinstance(each, Mapping)]


def _list(value: Json) -> Iterable[Json]:
    return value if isinstance(value, list | tuple) else ()


def _restored_fields(changes: Iterable[tuple[Iterable[str], str]]) -> frozenset[str]:
    """What a release gives back: fields by the first part of their paths, and an IAM policy."""
    fields: set[str] = set()
    for mask, kind in changes:
        fields |= {path.partition(".")[0] for path in mask}
        fields |= {kind} & {ChangeKind.IAM_POLICY.value}
    return frozenset(fields)


def _verified_actions(status: Status, changes: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The actions that were read back and not taken back; one change may serve several."""
    if status is Status.RELEASED:
        return frozenset()
    verified = (action for action, state in changes if state == ChangeState.VERIFIED)
    return frozenset(name for action in verified for name in action.split("+"))
