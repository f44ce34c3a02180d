"""Assessment, decision, change, playbook task: the types between evidence and containment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from incident.model.evidence import Evidence
from incident.model.finding import Finding, Suspect
from incident.model.finding_types import CLOUD_RUN_THREAT_DETECTION
from incident.model.workload import ChangeKind, ChangeState, Confidence, JsonObject, Mode, Verdict


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason for a judgement or an action, and the evidence behind it.

    Attributes:
        text: One sentence for a person.
        evidence: Where it comes from: ``finding``, ``settings``, ``policy``, a collector.
    """

    text: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Technique:
    """A MITRE ATT&CK technique, with what it means in this case.

    Attributes:
        id: Such as ``T1105``.
        name: Its name in ATT&CK.
        tactic: The tactic under which it is meant here.
        meaning: What it means for this finding.
        url: Its page.
    """

    id: str
    name: str
    tactic: str
    meaning: str
    url: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """A responder's judgement of the evidence.

    Attributes:
        summary: What was detected, in one sentence.
        confidence: How sure that is.
        reasons: Why, each naming its evidence.
        techniques: The MITRE ATT&CK techniques.
        verdict: What the responder would do, before policy and guards.
        investigation_steps: What a person should check next, in order.
    """

    summary: str
    confidence: Confidence
    reasons: tuple[Reason, ...]
    techniques: tuple[Technique, ...]
    verdict: Verdict
    investigation_steps: tuple[str, ...] = ()


def _suspect(finding: Finding) -> Suspect:
    return finding.suspect


class ExposureTopic(StrEnum):
    """The subject of an exposure fact."""

    AFFECTED_REVISION = "ran"
    ENTRY_POINT = "entry"
    CALLERS = "callers"
    IDENTITY = "identity"
    SECRETS = "secrets"
    ENVIRONMENT = "environment"
    VOLUMES = "volumes"
    DEPLOYMENT = "deployment"
    SHELL = "shell"


@dataclass(frozen=True, slots=True)
class ExposureFact:
    """An entry point, something an attacker could reach, or the origin of the code.

    Attributes:
        topic: What it is about.
        text: One sentence for a person.
        evidence: Where it comes from.
        names: What it is about, by name: secrets, members, an account, volumes.
        serious: Whether it makes the incident worse.
        known: Whether its evidence could be read; the text says why not.
    """

    topic: ExposureTopic
    text: str
    evidence: str
    names: tuple[str, ...] = ()
    serious: bool = False
    known: bool = True


@dataclass(frozen=True, slots=True)
class TaskDetail:
    """More on a task: a sentence, and commands, one a line; None where there are none."""

    text: str
    command: str | None = None


@dataclass(frozen=True, slots=True)
class PlaybookTask:
    """One task for a person.

    Attributes:
        id: The task's id in the playbook.
        title: What to do, in a few words.
        text: What to do, in a sentence or two.
        why: Why, and why now.
        command: The commands that do it, one a line; None where there are none. A word in
            capitals such as ``OLD_VERSION`` stands for what the text says.
        link: A page of the console; None where there is none.
        details: More on it, folded where there is little space.
    """

    id: str
    title: str
    text: str
    why: str
    command: str | None = None
    link: str | None = None
    details: tuple[TaskDetail, ...] = ()


@dataclass(frozen=True, slots=True)
class Responder:
    """One family of findings, as pure data and pure functions.

    Attributes:
        name: Its name, as the outcome shows it.
        categories: The finding types that it answers, exactly as SCC displays them.
        assess: Evidence to assessment. Pure: no input or output, no clock.
        suspect: Finding to what of it is suspected. Pure.
        verdict: The most that ``assess`` may answer: ``contain`` or ``hold``.
        rationale: Why that verdict and no other, as the end of a sentence.
        techniques: The MITRE ATT&CK techniques that it names, for the catalogue.
        investigation_steps: What a person should check, for the catalogue.
        detector: Display name of the detector that reports these findings.
    """

    name: str
    categories: tuple[str, ...]
    assess: Callable[[Evidence], Assessment]
    suspect: Callable[[Finding], Suspect] = _suspect
    verdict: Verdict = Verdict.CONTAIN
    rationale: str = ""
    techniques: tuple[Technique, ...] = ()
    investigation_steps: tuple[str, ...] = ()
    detector: str = CLOUD_RUN_THREAT_DETECTION


@dataclass(frozen=True, slots=True)
class Route:
    """Which responder answers a notification, or why none does.

    Attributes:
        responder: Who answers; None where none does.
        verdict: ``contain`` lets the pipeline go on; ``hold`` and ``ignore`` are final.
        reason: Why it is held or ignored; empty otherwise.
    """

    responder: Responder | None
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """One exact write to a workload, or the plan of it.

    Attributes:
        action: The actions behind it, joined by ``+`` where one write serves several.
        target: Resource name of what is written to: the workload, or an execution of it.
        mask: Field paths in snake_case, as the API takes them; empty for a cancellation
            and for the start or stop of an instance.
        before: The whole masked fields as read, in proto JSON: what a release restores. Of an
            IAM policy all bindings, of an execution its state.
        after: The whole masked fields as wanted.
        stops: Whether it stops running code, rather than only restricting access.
        reversible: Whether a release can take it back.
        kind: What it is made of: fields of the workload, its IAM policy, or an execution.
        etag: The version of the IAM policy that was read: the edit is of no other one.
        affected_revision: Short name of the revision that is to be isolated; empty for other
            actions.
        state: How far it has come.
        error: Why it failed, could not be validated or was not seen in effect.
        reverted: Whether somebody has undone it since; its state is then ``unverified``.
    """

    action: str
    target: str
    mask: tuple[str, ...]
    before: JsonObject
    after: JsonObject
    stops: bool
    reversible: bool
    kind: ChangeKind = ChangeKind.FIELDS
    etag: str = ""
    affected_revision: str = field(default="", metadata={"key": "affected"})
    state: ChangeState = ChangeState.PLANNED
    error: str | None = None
    reverted: bool = field(default=False, metadata={"optional": True})


@dataclass(frozen=True, slots=True)
class Blocker:
    """What refuses a containment, also one that a person asks for.

    Attributes:
        raised_by: ``policy`` where it cannot be read, ``protect``, ``source``, ``route``, or the
            name of a guard.
        text: Why, in one sentence for a person.
    """

    raised_by: str
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, and why.

    Attributes:
        verdict: Contain, hold or ignore.
        reasons: Why, the deciding ones first.
        mode: The mode that applies, after every ceiling.
        rule: Name of the policy rule that applied; ``defaults`` for the top level, None where
            the policy could not be read.
        steps: The policy's actions for this kind of workload; each step lists alternatives,
            of which the first that fits is taken.
        changes: The writes that the steps need, for the settings as read; empty when the
            workload is in the desired state already, and for anything but ``contain``.
        stops: Whether what is chosen stops what runs, rather than only restricting access.
        actions: Names of the actions chosen of the steps, in the catalogue's order.
        unreached: What keeps the workload from the goal of a chosen action, whatever is written.
        alarm: Whether a person must act now: an attacker may have caused the hold.
        failed: Whether it is held only because a read failed permanently.
        blockers: Of a hold: why an operator's ``contain`` would be refused too.
        finishes: Whether a write of an earlier run is in effect, and is finished.
        ceiling: The highest mode that the environment allowed.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    mode: Mode
    rule: str | None
    steps: tuple[tuple[str, ...], ...] = ()
    changes: tuple[Change, ...] = ()
    stops: bool = True
    actions: tuple[str, ...] = ()
    unreached: tuple[str, ...] = ()
    alarm: bool = False
    failed: bool = False
    blockers: tuple[Blocker, ...] = ()
    ceiling: Mode = Mode.ENFORCE
    finishes: bool = False

    @property
    def enforces(self) -> bool:
        """Whether it is carried out without asking a person."""
        return self.verdict is Verdict.CONTAIN and self.mode is Mode.ENFORCE
