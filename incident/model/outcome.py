"""Outcome of an incident: what became of it, as case files, log lines and pages have it.

All texts in it are redacted. :meth:`Outcome.to_json` is the only way to JSON, and
:meth:`Outcome.from_json` the only way back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from incident.model import json_codec
from incident.model.affected_workloads import Relation
from incident.model.decision import Change, ExposureFact, PlaybookTask, Reason, Technique
from incident.model.evidence import Gap
from incident.model.finding import Connection
from incident.model.json_text import SCHEMA_VERSION
from incident.model.workload import (
    Confidence,
    Json,
    Kind,
    Lookup,
    Mode,
    Status,
    Verdict,
    Workload,
)


@dataclass(frozen=True, slots=True)
class ReportedFinding:
    """The finding of an outcome; None where the record of an early end does not say.

    Attributes:
        name: Its name, as the notification has it.
        canonical_name: Its canonical name.
        category: The finding type.
        detector: The detector's name.
        severity: Such as ``CRITICAL``.
        state: Such as ``ACTIVE``.
        event_time: When the event happened.
    """

    name: str | None = None
    canonical_name: str | None = None
    category: str | None = None
    detector: str | None = None
    severity: str | None = None
    state: str | None = None
    event_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReportedWorkload:
    """The workload of an outcome.

    Attributes:
        kind: Service, job or worker pool.
        project: Id of the project, or its number where the id is not known.
        project_number: Number of the project, where known.
        location: The region.
        name: The short name.
        resource_name: The full name, as the Cloud Run Admin API spells it.
        revision: Short name of the revision that the finding names.
        execution: Short name of the execution that the finding names.
        function: The Cloud Run function that the service is, where it is one.
        other_regions: Other regions that a multi-region service runs in; nothing is done there.
        execution_ended: How the execution ended by itself, as a sentence; None where it did not.
        uid: Unique id of the workload, as read.
    """

    kind: Kind
    project: str
    project_number: str | None
    location: str
    name: str
    resource_name: str
    revision: str | None = None
    execution: str | None = None
    function: str | None = None
    other_regions: tuple[str, ...] = ()
    execution_ended: str | None = None
    uid: str | None = None

    @classmethod
    def of(cls, workload: Workload, **details: Any) -> ReportedWorkload:
        """A workload, with what is known besides."""
        return cls(
            kind=workload.kind,
            project=workload.project,
            project_number=workload.project_number,
            location=workload.location,
            name=workload.name,
            resource_name=workload.resource_name,
            **details,
        )

    @property
    def workload(self) -> Workload:
        """The workload itself."""
        return Workload.of_project(
            self.project,
            kind=self.kind,
            location=self.location,
            name=self.name,
            number=self.project_number,
        )


@dataclass(frozen=True, slots=True)
class ReportedBlocker:
    """Why an operator's ``contain`` is refused.

    Attributes:
        text: The reason.
        fix: What to do first.
        command: The command that does it; None where there is none.
    """

    text: str
    fix: str = field(default="", metadata={"key": "first"})
    command: str | None = None


@dataclass(frozen=True, slots=True)
class ReportedDecision:
    """The decision of an outcome.

    Attributes:
        verdict: Contain, hold or ignore.
        reasons: Why, the newest and the deciding ones first.
        blockers: Why an operator's ``contain`` is refused.
    """

    verdict: Verdict = Verdict.HOLD
    reasons: tuple[str, ...] = ()
    blockers: tuple[ReportedBlocker, ...] = field(default=(), metadata={"key": "barred"})


@dataclass(frozen=True, slots=True)
class ReportedRelatedFinding:
    """Another finding on the workload.

    Attributes:
        category: The finding type.
        severity: Such as ``CRITICAL``.
        event_time: When it was detected.
        name: Its canonical name.
        same_attack: Whether it probably belongs to the same attack.
        text: The judgement and its evidence.
    """

    category: str
    severity: str
    event_time: datetime | None
    name: str
    same_attack: bool = field(metadata={"key": "linked"})
    text: str


@dataclass(frozen=True, slots=True)
class ReportedPlaybook:
    """The playbook of an outcome, filled in.

    Attributes:
        url: Where the playbook lies; empty for the shipped one.
        facts: What it was filled in with, to be filled in again for a later status.
        people: The tasks left to people, in order.
    """

    url: str = field(default="", metadata={"key": "playbook"})
    facts: Mapping[str, Json] = field(default_factory=dict)
    people: tuple[PlaybookTask, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportedAssessment:
    """The responder's assessment, with exposure, related findings and playbook.

    Attributes:
        summary: What was detected, in one sentence.
        confidence: How sure that is.
        reasons: Why.
        techniques: MITRE ATT&CK techniques.
        exposure: Entry points, and what an attacker could reach.
        related: Other findings on the workload.
        playbook: The tasks.
        investigation_steps: What a person should check next.
    """

    summary: str = ""
    confidence: Confidence | None = None
    reasons: tuple[Reason, ...] = ()
    techniques: tuple[Technique, ...] = ()
    exposure: tuple[ExposureFact, ...] = field(default=(), metadata={"key": "reach"})
    related: tuple[ReportedRelatedFinding, ...] = ()
    playbook: ReportedPlaybook = field(default_factory=ReportedPlaybook, metadata={"key": "plan"})
    investigation_steps: tuple[str, ...] = field(default=(), metadata={"key": "look_at"})


@dataclass(frozen=True, slots=True)
class ReportedProcess:
    """A process, as the finding describes it.

    Attributes:
        binary_path: Path of the executed file.
        process: Name of the process.
        pid: Its id.
        parent_pid: Id of its parent.
        user_id: Id of its user.
        script: Path of its script.
        arguments: The command line.
        arguments_truncated: Whether the command line was cut.
        libraries: Paths of its libraries.
    """

    binary_path: str | None = None
    process: str | None = None
    pid: int | None = None
    parent_pid: int | None = None
    user_id: int | None = None
    script: str | None = None
    arguments: tuple[str, ...] = ()
    arguments_truncated: bool = False
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportedReputation:
    """VirusTotal's result in short.

    Attributes:
        lookup: The result of the look-up.
        summary: The result as a sentence.
        malicious: Number of engines that call the file malicious.
        engines: Number of engines.
        label: VirusTotal's name for the threat.
        file_type: Type of the file.
        names: Names that it was seen under.
        tags: VirusTotal's tags.
        first_seen: When VirusTotal saw it first.
        last_seen: When it was last submitted.
    """

    lookup: Lookup
    summary: str = field(default="", metadata={"key": "said"})
    malicious: int = 0
    engines: int = 0
    label: str | None = None
    file_type: str | None = None
    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    first_seen: datetime | None = None
    last_seen: datetime | None = None


@dataclass(frozen=True, slots=True)
class SourceProperty:
    """A property that only the finding's ``sourceProperties`` have.

    Attributes:
        name: Its name.
        text: Its value.
    """

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class AffectedFinding:
    """A finding on an affected workload.

    Attributes:
        category: The finding type.
        severity: Such as ``CRITICAL``.
        event_time: When it was detected.
        name: Its canonical name.
    """

    category: str
    severity: str
    event_time: datetime | None
    name: str


@dataclass(frozen=True, slots=True)
class ReportedAffectedWorkload:
    """Another workload that shares the finding's image or service account.

    Attributes:
        kind: Service, job, worker pool or instance.
        project: Id of its project, or its number where the id is not known.
        location: The region.
        name: The short name.
        resource_name: The full name, as the Cloud Run Admin API spells it.
        relations: What it shares: the image's digest, its repository, the service account.
        service_account: E-mail of its runtime account; None where not known.
        exposure: Who can reach it.
        findings: Findings on it in the window; None where they were not searched.
    """

    kind: Kind
    project: str
    location: str
    name: str
    resource_name: str
    relations: tuple[Relation, ...] = field(default=(), metadata={"key": "shares"})
    service_account: str | None = None
    exposure: str = ""
    findings: tuple[AffectedFinding, ...] | None = None


@dataclass(frozen=True, slots=True)
class ReportedAffected:
    """The workloads that share the finding's image or service account, by the inventory.

    Attributes:
        scope: Where they were searched.
        complete: Whether the whole scope was read; the gap ``affected`` says why not.
        found: How many there are; ``workloads`` has the first of them.
        workloads: The workloads, those that share the digest first.
    """

    scope: str = ""
    complete: bool = False
    found: int = 0
    workloads: tuple[ReportedAffectedWorkload, ...] = ()


@dataclass(frozen=True, slots=True)
class Detected(ReportedProcess):
    """What was detected: the process, the suspected file, container and image.

    Attributes:
        user_id_claimed: The user id that only the notification has.
        parents: The process's parents, nearest first.
        file: Path of the suspected file.
        sha256: Its hash.
        hash_is_partial: Whether the hash covers only its beginning.
        urls: Addresses that the finding names.
        connection: The network connection that the finding names.
        container: Name of the container.
        image: Its image.
        digest: Digest of the image.
        reputation: VirusTotal's result; None where it was not asked.
        source_properties: Properties that stand nowhere else.
        affected: Other workloads that share its image or service account; None where not searched.
    """

    user_id_claimed: int | None = None
    parents: tuple[ReportedProcess, ...] = ()
    file: str | None = None
    sha256: str | None = None
    hash_is_partial: bool = False
    urls: tuple[str, ...] = ()
    connection: Connection | None = None
    container: str | None = None
    image: str | None = None
    digest: str | None = None
    reputation: ReportedReputation | None = field(default=None, metadata={"key": "virustotal"})
    source_properties: tuple[SourceProperty, ...] = ()
    affected: ReportedAffected | None = None


@dataclass(frozen=True, slots=True)
class Links:
    """Pages about the incident.

    Attributes:
        console: The finding in the console.
        workload: The workload in the console.
        virustotal: The file at VirusTotal.
        mitre: The techniques at MITRE.
        case_file: URL of the case file.
        report: URL of the report.
    """

    console: str | None = None
    workload: str | None = None
    virustotal: str | None = None
    mitre: tuple[str, ...] = ()
    case_file: str | None = None
    report: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an incident.

    Attributes:
        status: The incident's status.
        incident: The incident's id; None for a malformed message.
        finding: The finding; None for a malformed message and for a drill.
        workload: The workload; None where the finding names none.
        responder: Name of the responder for the finding's type.
        rule: Name of the policy's rule that applied.
        mode: The mode that applied; None for what is out of scope.
        decision: The decision.
        assessment: The responder's assessment; None without a responder.
        detected: What was detected.
        changes: The changes with their states.
        containment: Path of the containment in the store.
        drains_until: Until when requests in flight may run.
        starts_until: Until when a job may still be started, although its IAM policy is changed.
        approval_expires: When the plan that awaits approval expires.
        gaps: The evidence that is missing, and the steps that failed.
        timings_ms: Milliseconds per stage.
        links: Pages about the incident.
        simulated: True where the emulator stood in for Google; None for a real run.
        message_sha256: Digest of a malformed message.
        drill: The report of a drill; None for incidents.
        schema_version: Version of the format.
        unreadable: Paths of what could not be read of a stored outcome; empty for a whole one.
    """

    status: Status
    incident: str | None = None
    finding: ReportedFinding | None = None
    workload: ReportedWorkload | None = None
    responder: str | None = None
    rule: str | None = None
    mode: Mode | None = None
    decision: ReportedDecision = ReportedDecision()
    assessment: ReportedAssessment | None = None
    detected: Detected | None = None
    changes: tuple[Change, ...] = field(default=(), metadata={"exact": True})
    containment: str | None = None
    drains_until: datetime | None = None
    starts_until: datetime | None = None
    approval_expires: datetime | None = None
    gaps: tuple[Gap, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    links: Links = Links()
    simulated: bool | None = field(default=None, metadata={"optional": True})
    message_sha256: str | None = field(default=None, metadata={"optional": True})
    drill: Mapping[str, Json] | None = field(default=None, metadata={"optional": True})
    schema_version: int = SCHEMA_VERSION
    unreadable: tuple[str, ...] = field(default=(), metadata={"stored": False})

    @property
    def partial(self) -> bool:
        """Whether parts of a stored outcome could not be read."""
        return bool(self.unreadable)

    def to_json(self) -> dict[str, Json]:
        """The outcome as JSON."""
        return dict(json_codec.to_json(self))

    @classmethod
    def from_json(cls, value: Json) -> Outcome:
        """The outcome that :meth:`to_json` wrote.

        What cannot be read of it is left out, and named in ``unreadable``.

        Raises:
            ValueError: It has no readable status, so it is no outcome.
        """
        unreadable: list[str] = []
        outcome = json_codec.from_json(cls, value, unreadable)
        return replace(outcome, unreadable=tuple(unreadable))

    def with_gap(self, collector: str, reason: str) -> Outcome:
        """The outcome with one more gap."""
        return replace(self, gaps=(*self.gaps, Gap(collector, reason)))
