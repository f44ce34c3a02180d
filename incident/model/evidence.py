"""Evidence and gaps that the collectors return."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from incident.model.affected_revision import (
    AffectedRevision,
    RevisionEvidence,
    infer_affected_revision,
)
from incident.model.affected_workloads import AffectedWorkloads
from incident.model.configuration import (
    Access,
    Execution,
    Task,
    Template,
    WorkloadConfiguration,
    is_default_service_account,
)
from incident.model.correlation import RelatedFinding, correlate
from incident.model.cut_list import Listing, found_in
from incident.model.finding import Finding
from incident.model.workload import JsonObject, Kind, Lookup, Secret

#: How far back from the event the audit log is read, and how many entries: the deployment that
#: made an incident possible is older than the incident.
AUDIT_WINDOW, AUDIT_EVENTS = timedelta(days=7), 50
#: Log entries within this time of the event come from what ran then.
_NEAR_EVENT = timedelta(minutes=1)
_COLLECTOR_LABELS = {
    "access": "its IAM policy",
    "affected": "the inventory",
    "audit-log": "the audit log",
    "executions": "its executions",
    "related-findings": "the related findings",
    "revisions": "its revisions",
    "security-center": "Security Command Center's record",
    "settings": "its settings",
}


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of the workload's own logs. An attacker may have written it.

    Attributes:
        timestamp: When.
        log: Short log name: ``requests``, ``stdout``, ``stderr`` or ``varlog/system``.
        severity: Such as ``ERROR``.
        text: Text payload; raw, to be redacted.
        payload: JSON payload; raw, to be redacted.
        revision: Short name of the revision, where the entry has one.
        instance: Instance id, where the entry has one.
        request: Method, URL, status and the like of a request entry; raw.
    """

    timestamp: datetime
    log: str
    severity: str
    text: str
    payload: JsonObject | None
    revision: str
    instance: str
    request: JsonObject | None


@dataclass(slots=True)
class Logs:
    """The log entries of a time window.

    Attributes:
        entries: Newest first.
        truncated: Whether more were left out.
    """

    entries: tuple[LogEntry, ...]
    truncated: bool

    def take(self) -> Iterator[LogEntry]:
        """Each entry once. What it says, which may be megabytes, is let go as it is taken."""
        taken = list(reversed(self.entries))
        self.entries = tuple(
            replace(entry, text="", payload=None, request=None) for entry in self.entries
        )
        while taken:
            yield taken.pop()

    def covers(self, moment: datetime) -> bool:
        """Whether every entry of the window since a moment was read."""
        return not self.truncated or any(entry.timestamp < moment for entry in self.entries)


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One admin activity entry. Google writes it: a workload cannot forge it.

    Attributes:
        timestamp: When.
        principal: Who; empty where the entry does not say.
        method: Such as ``google.cloud.run.v2.Services.UpdateService``.
        resource: What it was done to.
        caller_ip: From where; empty where not given.
        error: Status message of a refused call; empty when it succeeded.
        bindings: For a change of an IAM policy: ``ADD roles/… member``, one per delta.
        environment_names: Names of the environment variables that the request or the response
            sets; their values stay behind.
        permissions: Of the permissions that the call needed, those that open a shell.
    """

    timestamp: datetime
    principal: str
    method: str
    resource: str
    caller_ip: str
    error: str
    bindings: tuple[str, ...]
    environment_names: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()

    @property
    def opens_shell(self) -> bool:
        """Whether somebody opened a shell in a running container.

        By the permissions run.*.sshRoot and run.*.sshRead (gcloud beta run services ssh), or by
        the method's name, whose spelling Google does not document.
        """
        by_permission = any(each.endswith((".sshRoot", ".sshRead")) for each in self.permissions)
        return not self.error and (by_permission or "ssh" in self.method.rpartition(".")[2].lower())


@dataclass(frozen=True, slots=True)
class Gap:
    """Missing evidence.

    Attributes:
        collector: The evidence that is missing.
        reason: Why, and what to do about it.
    """

    collector: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reputation:
    """VirusTotal's report on the suspected file, or why there is none.

    All texts are untrusted: anyone can upload a file under any name.

    Attributes:
        lookup: The result of the lookup.
        sha256: The hash that was looked up; None where the finding has none.
        reason: Why the lookup failed; else empty.
        malicious: How many engines call the file malicious.
        suspicious: How many call it suspicious.
        engines: How many gave a verdict at all.
        label: The threat's suggested name, such as ``trojan.mirai/gafgyt``; may be empty.
        file_type: What kind of file it is, such as ``ELF``; may be empty.
        names: Names under which it was uploaded, the most meaningful first.
        tags: VirusTotal's tags.
        first_seen: When VirusTotal first got the file.
        last_seen: When it last got it.
        analysed_at: When the engines last analysed it.
        file_role: What the file is to the finding: ``executed file``, ``library`` or ``script``.
        without_verdicts: Whether VirusTotal has the file, though no engine gave a verdict.
    """

    lookup: Lookup
    sha256: str | None = None
    reason: str = ""
    malicious: int = 0
    suspicious: int = 0
    engines: int = 0
    label: str = ""
    file_type: str = ""
    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    analysed_at: datetime | None = None
    file_role: str = "suspected file"
    without_verdicts: bool = False

    @property
    def answered(self) -> bool:
        """Whether VirusTotal answered, be it that it does not know the file."""
        return self.lookup in (Lookup.KNOWN, Lookup.UNKNOWN)

    @property
    def summary(self) -> str:
        """The result for a person, without any text of VirusTotal's answer."""
        file = f"the {self.file_role}"
        return {
            Lookup.KNOWN: f"VirusTotal: {self.malicious} of {self.engines} engines call {file}"
            " malicious",
            Lookup.UNKNOWN: f"VirusTotal has {file}, but no engine has judged it"
            if self.without_verdicts
            else f"VirusTotal does not know {file}",
            Lookup.NO_ANSWER: f"VirusTotal gave no answer: {self.reason}",
            Lookup.PARTIAL_HASH: "VirusTotal was not asked: the hash covers only the beginning of"
            f" {file}",
            Lookup.NO_HASH: "VirusTotal was not asked: Security Command Center names no hash of"
            f" {file}",
            Lookup.NO_KEY: "VirusTotal was not asked: VIRUSTOTAL_API_KEY is not set",
        }[self.lookup]

    @property
    def gap(self) -> Gap | None:
        """The gap of a failed lookup; without a configured key there is none."""
        if self.lookup not in (Lookup.NO_ANSWER, Lookup.PARTIAL_HASH):
            return None
        return Gap("virustotal", self.reason or self.summary)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All evidence on an incident. What is None or cut has a gap that says why.

    Attributes:
        finding: SCC's record once confirmed; before, what the notification claims.
        confirmed: Whether SCC lists the finding.
        configuration: The workload's settings.
        revisions: Its revisions, newest first.
        access: Its IAM policy.
        executions: The executions of a job, newest first.
        tasks: The tasks of its affected or running executions.
        related: Other findings on the same workload in the window, in time order.
        logs: Its logs in the window.
        audit: Who deployed it and who changed its IAM policy, newest first.
        affected: Other workloads that share its image or service account.
        reputation: VirusTotal's report on the suspected file, or why there is none.
        gaps: Missing evidence.
        claim: What the notification claimed, where ``finding`` is SCC's record.
        window: Start and end of the search for other findings and logs; None without a search.
        durations_ms: Each collector and the milliseconds that it took, answered or not.
    """

    finding: Finding
    confirmed: bool = False
    configuration: WorkloadConfiguration | None = None
    revisions: Listing[Template] | None = None
    access: Access | None = None
    executions: Listing[Execution] | None = None
    tasks: Listing[Task] | None = None
    related: Listing[Finding] | None = None
    logs: Logs | None = None
    audit: Listing[AuditEvent] | None = None
    affected: AffectedWorkloads | None = None
    reputation: Reputation | None = None
    gaps: tuple[Gap, ...] = ()
    claim: Finding | None = field(default=None, repr=False)
    window: tuple[datetime, datetime] | None = None
    durations_ms: tuple[tuple[str, float], ...] = ()

    @property
    def affected_revision(self) -> AffectedRevision:
        """The revision or execution that the finding is about, as far as it is known."""
        job = self.finding.workload is not None and self.finding.workload.kind is Kind.JOB
        moment = self.finding.event_time
        logged_revisions = {
            entry.revision
            for entry in (self.logs.entries if self.logs else ())
            if entry.revision and abs(entry.timestamp - moment) <= _NEAR_EVENT
        }
        if self.logs and not self.logs.covers(moment - _NEAR_EVENT):
            logged_revisions = set()
        gap_text = self.describe_gap("executions" if job else "revisions")
        facts = RevisionEvidence(
            self.configuration, self.revisions, self.executions, gap_text, logged_revisions
        )
        return infer_affected_revision(self.finding, facts)

    @property
    def affected_template(self) -> Template | None:
        """The template that ran; where several may have run, their union without a name."""
        return self.affected_revision.merged_template

    @property
    def correlations(self) -> tuple[RelatedFinding, ...] | None:
        """The other findings that were read, each judged as the same attack or a coincidence."""
        if self.related is None:
            return None
        own = [
            account
            for account in self.affected_revision.service_accounts
            if not is_default_service_account(account)
        ]
        return tuple(correlate(other, self.finding, own) for other in found_in(self.related))

    def describe_gap(self, collector: str) -> str:
        """Text in place of a fact whose evidence is missing: "not known", and the cause.

        The gap itself also says what to do about it.
        """
        label = _COLLECTOR_LABELS.get(collector, collector)
        reasons = [gap.reason for gap in self.gaps if gap.collector == collector]
        if not reasons:
            return f"not known, because {label} {'were' if label.endswith('s') else 'was'} not read"
        cause = reasons[0].partition(". ")[0].rpartition(": ")[2]
        return f"not known, because {label} could not be read{f' ({cause})' if cause else ''}"

    @property
    def longest_request_s(self) -> int:
        """Longest request timeout in seconds: how long a request may outlive a stop."""
        templates = list(found_in(self.revisions))
        if self.configuration:
            templates.append(self.configuration.template)
        return max((template.timeout_s for template in templates), default=0)

    def with_gap(self, gap: Gap) -> Evidence:
        """The same evidence with one more gap."""
        return replace(self, gaps=(*self.gaps, gap))

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every value that may be secret, for the redaction."""
        claim = (self.claim,) if self.claim else ()
        others = self.affected.workloads if self.affected else ()
        elsewhere = (each for other in others for each in other.findings or ())
        findings = (self.finding, *claim, *found_in(self.related), *elsewhere)
        known = [secret for finding in findings for secret in finding.secrets]
        for template in found_in(self.revisions):
            known.extend(template.secrets)
        for execution in found_in(self.executions):
            known.extend(execution.template.secrets)
        if self.configuration:
            known.extend(self.configuration.template.secrets)
        return tuple(known)
