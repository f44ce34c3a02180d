"""The facts of a playbook that change with the incident's status, from its outcome. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from incident.actions.fields import RUNNING
from incident.model import Change, ChangeKind, ChangeState, Kind, Status
from incident.model.outcome import Outcome, ReportedBlocker
from incident.playbook.rendering import ShellCommand

#: Verified as stopped, by the responder or by somebody else.
_STOPPED = frozenset({Status.CONTAINED, Status.ALREADY_CONTAINED})
#: There may be a containment that a release undoes.
_RELEASABLE = frozenset({Status.CONTAINED, Status.RESTRICTED, Status.UNVERIFIED})
_MAY_HAVE_CANCELLED = frozenset({*_RELEASABLE, Status.RELEASED})
_STOP_ACTIONS = {Kind.JOB: "cancel-executions", Kind.INSTANCE: "stop-instance"}
#: What a release restores, by the first part of the field path; in order of mention.
_RESTORED_TEXTS = {
    "scaling": "its scaling",
    "traffic": "its traffic split with the tags",
    "ingress": "its ingress",
    "invoker_iam_disabled": "whether callers are checked",
    "iam-policy": "who may call it",
    RUNNING: "that it runs",
}
_RESTORED_TEXTS_BY_KIND = {
    Kind.JOB: {"iam-policy": "who may start it"},
    Kind.WORKER_POOL: {"scaling": "its number of instances"},
}


@dataclass(frozen=True, slots=True)
class BlockerFacts:
    """Why `contain` would be refused, how to fix that, and the command that shows it."""

    text: str
    fix: str
    command: ShellCommand


@dataclass(frozen=True, slots=True)
class IncidentFacts:
    """What became of the incident so far.

    ``running``: it may run; false once verified as stopped. ``undecided``: it may run, with no
    containment in effect and no person's decision. ``done``: the actions verified in effect.
    ``drains_until``: until when requests in flight may run. ``blockers``: why `contain` would be
    refused.
    """

    id: str
    status: str
    running: bool
    releasable: bool
    undecided: bool
    stop_action: str = "scale-to-zero"
    stops: bool = False
    cancelled: bool = False
    done: tuple[str, ...] = ()
    restores: str = ""
    restores_traffic: bool = False
    drains_until: str = ""
    blockers: tuple[BlockerFacts, ...] = ()


def incident_facts(outcome: Outcome) -> IncidentFacts:
    """The facts of an outcome, new or stored."""
    status, changes = outcome.status, outcome.changes
    kind = outcome.workload.kind if outcome.workload else Kind.SERVICE
    running = status not in _STOPPED
    releasable = status in _RELEASABLE and any(change.reversible for change in changes)
    fields = _restored_fields(changes)
    until = outcome.drains_until
    verified = [change for change in changes if change.state is ChangeState.VERIFIED]
    done = [name for change in verified for name in change.action.split("+")]
    cancels = any(change.kind is ChangeKind.CANCELLATION for change in changes)
    return IncidentFacts(
        id=outcome.incident or "",
        status=status.value,
        running=running,
        releasable=releasable,
        undecided=running and not releasable and status is not Status.RELEASED,
        stop_action=_STOP_ACTIONS.get(kind, "scale-to-zero"),
        stops=any(change.stops for change in changes),
        cancelled=cancels and status in _MAY_HAVE_CANCELLED,
        done=() if status is Status.RELEASED else tuple(dict.fromkeys(done)),
        restores=_restored_text(fields, kind),
        restores_traffic="traffic" in fields and kind is Kind.SERVICE,
        drains_until=f"{until:%Y-%m-%d %H:%M:%S} UTC" if until else "",
        blockers=tuple(
            _blocker(each, outcome.decision.reasons) for each in outcome.decision.blockers
        ),
    )


def _blocker(blocker: ReportedBlocker, reasons: Sequence[str]) -> BlockerFacts:
    """A blocker; without its text where that is the first reason, which every reader sees."""
    text = blocker.text.rstrip(".")
    shown = "" if reasons and reasons[0].rstrip(".") == text else text
    return BlockerFacts(shown, blocker.fix.rstrip("."), ShellCommand(blocker.command or ""))


def _restored_fields(changes: Sequence[Change]) -> frozenset[str]:
    """Fields that a release restores, by the first part of their paths; ``iam-policy``."""
    fields: set[str] = set()
    for change in changes:
        if change.reversible and change.state is not ChangeState.FAILED:
            fields |= {path.partition(".")[0] for path in change.mask}
            fields |= {RUNNING} & change.after.keys()
            fields |= {change.kind.value} & {ChangeKind.IAM_POLICY.value}
    return frozenset(fields)


def _restored_text(fields: frozenset[str], kind: Kind) -> str:
    """What a release restores, as part of a sentence."""
    words = {**_RESTORED_TEXTS, **_RESTORED_TEXTS_BY_KIND.get(kind, {})}
    phrases = [text for name, text in words.items() if name in fields]
    return " and ".join([", ".join(phrases[:-1]), phrases[-1]] if phrases[1:] else phrases)
