"""Inputs of the playbook, from evidence or a stored outcome; blockers with fixes. Pure."""

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
    JsonObject,
    Mode,
    Status,
    Workload,
)
from incident.model.json_text import (
    json_list,
    json_object,
    json_objects,
    json_string,
    parse_workload,
)
from incident.playbook.commands_and_links import gcloud, is_printable, shell_command
from incident.playbook.workload_facts import ended_executions_text, other_regions

_STOP_MANUALLY = "If you are sure all the same, stop it manually"
#: The fix by what raised the blocker; ``{at}`` is the location of the policy file.
_FIXES: Mapping[str, str] = {
    "policy": "Fix the policy{at} first",
    "protect": "The policy's owner{at} has to remove it from `protect` first; where"
    " only a label or something unknown protects it, put that right. " + _STOP_MANUALLY,
    "source": "Find out whose source that is; if it is yours, it has to be in the"
    " policy's `sources`{at}",
    "route": "Find out what reported it, and about what: as long as Security Command Center says"
    " so, nothing lifts this. " + _STOP_MANUALLY,
    "finding_confirmed": "See first whether Security Command Center lists it by now, at the"
    " finding's link. If not, find out who sent the notification",
    "finding_consistent": "Find out first which project is meant, and whether it is yours: as long"
    " as the record contradicts itself, nothing lifts this. " + _STOP_MANUALLY,
    "filed_in_own_project": "Find out first who filed it there: nothing lifts this. "
    + _STOP_MANUALLY,
    "project_known": "See first which project it is, and let the responder read that",
    "not_the_responder": "Nothing lifts this: its own containment would stop the answer to all"
    " others. " + _STOP_MANUALLY,
    "not_being_released": "Finish that release first: `list` shows the incident that it is of",
}
_DEFAULT_FIX = "That has to be put right first. " + _STOP_MANUALLY


@dataclass(frozen=True, slots=True)
class ExplainedBlocker:
    """Why `contain` would be refused, and how to fix that.

    Attributes:
        text: The reason.
        fix: What to do first, in a sentence or two.
        command: Command that checks or shows it; empty where there is none.
    """

    text: str
    fix: str
    command: str = ""


def explain_blocker(blocker: Blocker, workload: Workload, policy_url: str) -> ExplainedBlocker:
    """A blocker with its fix.

    Args:
        blocker: The decision's blocker.
        workload: The held workload.
        policy_url: Path or URL of the policy file; empty where none is configured.
    """
    from_policy = blocker.raised_by in ("policy", "protect", "source")
    fix = _FIXES.get(blocker.raised_by, _DEFAULT_FIX).format(at=_policy_location(policy_url))
    command = _policy_check_command(policy_url) if from_policy else ""
    if from_policy and command and policy_url.startswith("gs://"):
        fix += ". Copy it, change it, check it with `policy check`, and put it back"
    if blocker.raised_by == "project_known":
        command = gcloud("projects describe", workload.project)
    return ExplainedBlocker(blocker.text.rstrip("."), fix, command)


def _policy_location(policy_url: str) -> str:
    return (
        f" ({policy_url})" if is_printable(policy_url) else " (RESPONDER_POLICY says where it is)"
    )


def _policy_check_command(policy_url: str) -> str:
    """Command that checks the policy file, or copies it from its bucket."""
    file = policy_url.removeprefix("file://")
    if not is_printable(file) or file.startswith("-"):
        return ""
    if file.startswith("gs://"):
        return shell_command("gcloud", "storage", "cp", file, "policy.yaml")
    return shell_command("cloud-run-responder", "policy", "check", file)


#: Verified as stopped, by the responder or by somebody else.
_STOPPED_STATUSES = frozenset({Status.CONTAINED, Status.ALREADY_CONTAINED})
#: There may be a containment that a release undoes.
_RELEASABLE_STATUSES = frozenset({Status.CONTAINED, Status.RESTRICTED, Status.UNVERIFIED})


@dataclass(frozen=True, slots=True)
class PlaybookInputs:
    """Inputs of a playbook, with evidence.

    Attributes:
        incident: The incident's id.
        status: The incident's status.
        mode: The policy's mode.
        evidence: The collected evidence.
        changes: The changes with their states.
        drains_until: Until when requests in flight may run.
        blockers: Why an operator's ``contain`` would be refused.
        policy_url: Path or URL of the policy file; empty where none is configured.
        investigation_steps: The responder's checks for a person, in order.
        often_benign: Whether the responder holds findings of this type, as often benign.
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
    """Inputs of the containment tasks; a stored outcome has all of them.

    Attributes:
        incident: The incident's id.
        status: The incident's status.
        workload: The workload.
        execution: Short name of the execution that the finding names; else empty.
        verified_actions: Names of the actions that were verified.
        stops: Whether a change of the plan stops what runs.
        reversible: Whether a change of the plan can be released.
        cancels: Whether a change of the plan cancels an execution.
        drains_until: Until when requests in flight may run, as UTC text; else empty.
        blockers: Why an operator's ``contain`` would be refused, with the fix.
        other_regions: Other regions of a multi-region service.
        ended: How the affected executions ended by themselves, as text; else empty.
        restored_fields: First parts of the field paths that a release restores, and
            ``iam-policy``.
        often_benign: Whether triage comes before stopping.
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
    other_regions: tuple[str, ...] = ()
    ended: str = ""

    @property
    def may_be_running(self) -> bool:
        """Whether the workload may run: true unless it was verified as stopped."""
        return self.status not in _STOPPED_STATUSES

    @property
    def releasable(self) -> bool:
        """Whether a release would restore something."""
        return self.status in _RELEASABLE_STATUSES and self.reversible

    @property
    def undecided(self) -> bool:
        """Whether it may run, with no containment in effect and no decision of an operator."""
        return self.may_be_running and not self.releasable and self.status is not Status.RELEASED


def facts_from_inputs(inputs: PlaybookInputs, workload: Workload) -> PlaybookFacts:
    """Facts from inputs with evidence."""
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
        other_regions=other_regions(inputs.evidence),
        ended=ended_executions_text(inputs.evidence),
    )


def facts_from_outcome(outcome: JsonObject) -> PlaybookFacts | None:
    """Facts from a stored outcome; None where it names no Cloud Run workload."""
    workload = parse_workload(outcome.get("workload"))
    if workload is None:
        return None
    changes = json_objects(outcome.get("changes"))
    status, until = Status(str(outcome["status"])), str(outcome.get("drains_until") or "")
    return PlaybookFacts(
        incident=str(outcome["incident"]),
        status=status,
        workload=workload,
        execution=json_string(json_object(outcome["workload"]).get("execution")),
        verified_actions=_verified_actions(
            status, ((str(c.get("action")), str(c.get("state"))) for c in changes)
        ),
        stops=any(c.get("stops") is True for c in changes),
        reversible=any(c.get("reversible") is True for c in changes),
        cancels=any(c.get("kind") == ChangeKind.CANCELLATION for c in changes),
        drains_until=f"{until[:19].replace('T', ' ')} UTC" if until else "",
        blockers=blockers_from_outcome(outcome),
        restored_fields=_restored_fields(
            (map(str, json_list(c.get("mask"))), str(c.get("kind")))
            for c in changes
            if c.get("reversible") is True and c.get("state") != ChangeState.FAILED
        ),
        other_regions=tuple(
            map(str, json_list(json_object(outcome["workload"]).get("other_regions")))
        ),
        ended=json_string(json_object(outcome["workload"]).get("execution_ended")),
    )


def blockers_from_outcome(outcome: JsonObject) -> tuple[ExplainedBlocker, ...]:
    """Why an operator's ``contain`` would be refused, from a stored outcome."""
    values = json_objects(json_object(outcome.get("decision")).get("barred"))
    keys = ("text", "first", "command")
    return tuple(ExplainedBlocker(*(str(each.get(key) or "") for key in keys)) for each in values)


def _restored_fields(changes: Iterable[tuple[Iterable[str], str]]) -> frozenset[str]:
    """Fields that a release restores, by the first part of their paths; ``iam-policy``."""
    fields: set[str] = set()
    for mask, kind in changes:
        fields |= {path.partition(".")[0] for path in mask}
        fields |= {kind} & {ChangeKind.IAM_POLICY.value}
    return frozenset(fields)


def _verified_actions(status: Status, changes: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Actions of verified changes; one change may belong to several, joined by ``+``."""
    if status is Status.RELEASED:
        return frozenset()
    verified = (action for action, state in changes if state == ChangeState.VERIFIED)
    return frozenset(name for action in verified for name in action.split("+"))
