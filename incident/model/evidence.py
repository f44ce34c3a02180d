"""What is gathered about a finding, and what could not be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from incident.model.finding import Finding
from incident.model.words import JsonObject, Secret


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of a workload's template.

    Attributes:
        name: The volume's name.
        source: What is mounted, such as ``gcs://bucket`` or ``secret name``.
        persists: Whether a modified file there survives a restart of the container.
    """

    name: str
    source: str
    persists: bool


@dataclass(frozen=True, slots=True)
class ContainerSettings:
    """A container as the template configures it, without any environment value."""

    name: str
    image: str
    environment_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """What a revision runs: the template of a workload, or of one of its revisions.

    Attributes:
        revision: Short name of the revision; empty where the template names none.
        create_time: When the revision was made; None for a workload's template.
        ready: Whether the revision is ready; None where nothing says so.
        containers: Its containers.
        service_account: E-mail of the runtime identity; empty means the project's default.
        secret_names: Secret Manager secrets that it can read, by name: the rotation list.
        volumes: What it mounts.
        timeout_s: Request timeout in seconds: how long a request may outlive a containment.
        session_affinity: Whether clients stick to their instance.
        creator: Who made the revision, where the API says so.
    """

    revision: str
    create_time: datetime | None
    ready: bool | None
    containers: tuple[ContainerSettings, ...]
    service_account: str
    secret_names: tuple[str, ...]
    volumes: tuple[Volume, ...]
    timeout_s: int
    session_affinity: bool
    creator: str
    secrets: tuple[Secret, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a workload as read at one moment.

    Attributes:
        name: Resource name as the API spells it.
        uid: Unique id; a workload deleted and made again has another.
        generation: Counts user modifications.
        observed_generation: The last generation that was reconciled.
        reconciling: Whether Cloud Run is still at work on it.
        fields: The writable fields outside the template, in proto JSON (``scaling``,
            ``traffic``, …): what changes are made of, lossless.
        live_tags: Tags that the serving state still has.
        labels: The workload's labels.
        annotations: The workload's annotations.
        template: What the next revision runs.
        latest_ready_revision: Short name of the revision that ``LATEST`` means.
        creator: Who made the workload.
        last_modifier: Who changed it last.
        update_time: When that was.
        uri: Its main address; empty where it has none.
        condition: The terminal condition's state, such as ``CONDITION_SUCCEEDED``.
    """

    name: str
    uid: str
    generation: int
    observed_generation: int
    reconciling: bool
    fields: JsonObject
    live_tags: tuple[str, ...]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    template: Template
    latest_ready_revision: str
    creator: str
    last_modifier: str
    update_time: datetime | None
    uri: str
    condition: str


@dataclass(frozen=True, slots=True)
class Binding:
    """One binding of an IAM policy. A condition is named, not evaluated."""

    role: str
    members: tuple[str, ...]
    condition: str | None


@dataclass(frozen=True, slots=True)
class Access:
    """Who the workload's own IAM policy lets in; inherited bindings are not in it."""

    bindings: tuple[Binding, ...]

    @property
    def public(self) -> bool:
        """Whether anybody at all may invoke it, as far as its own policy goes."""
        return any(
            binding.role == "roles/run.invoker"
            and not {"allUsers", "allAuthenticatedUsers"}.isdisjoint(binding.members)
            for binding in self.bindings
        )


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of the workload's own logs. The workload wrote it: the attacker may have.

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


@dataclass(frozen=True, slots=True)
class Logs:
    """The log entries of a window, newest first, and whether more were left out."""

    entries: tuple[LogEntry, ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One admin-activity entry: written by Google, so not the workload's to forge.

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
    """

    timestamp: datetime
    principal: str
    method: str
    resource: str
    caller_ip: str
    error: str
    bindings: tuple[str, ...]
    environment_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gap:
    """Evidence that could not be had.

    Attributes:
        collector: Which evidence is lacking.
        reason: Why, and what to do about it.
    """

    collector: str
    reason: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was gathered on an incident. What is None has a gap that says why.

    Attributes:
        finding: SCC's own record once confirmed, the notification's claim before.
        confirmed: Whether SCC lists the finding.
        settings: The workload's settings.
        revisions: Its revisions, newest first.
        access: Its IAM policy.
        related: Other findings on the same workload in the window, in time order.
        logs: Its logs in the window.
        audit: Who deployed it and who changed its IAM policy, newest first.
        gaps: What could not be had.
        claim: What the notification claimed, where ``finding`` is SCC's own record.
    """

    finding: Finding
    confirmed: bool = False
    settings: Settings | None = None
    revisions: tuple[Template, ...] | None = None
    access: Access | None = None
    related: tuple[Finding, ...] | None = None
    logs: Logs | None = None
    audit: tuple[AuditEvent, ...] | None = None
    gaps: tuple[Gap, ...] = ()
    claim: Finding | None = field(default=None, repr=False)

    @property
    def affected(self) -> Template | None:
        """What ran: the revision that the finding names, else the newest that runs its image.

        Where neither tells, the revision that serves by default; without any revisions the
        service's own template, unless the finding names another.
        """
        images = {container.image for container in self.finding.containers}
        serving = self.settings.latest_ready_revision if self.settings else ""
        by_name = [t for t in self.revisions or () if t.revision == self.finding.revision]
        by_image = [t for t in self.revisions or () if images & {c.image for c in t.containers}]
        by_default = [t for t in self.revisions or () if t.revision == serving]
        if self.finding.revision:
            return next(iter(by_name), None)
        template = [self.settings.template] if self.settings else []
        return next(iter([*by_image, *by_default, *template]), None)

    @property
    def longest_request_s(self) -> int:
        """Seconds for which a request in flight may outlive a stop: the longest timeout."""
        templates = list(self.revisions or ())
        if self.settings:
            templates.append(self.settings.template)
        return max((template.timeout_s for template in templates), default=0)

    def with_gap(self, gap: Gap) -> Evidence:
        """The same evidence with one more gap."""
        return replace(self, gaps=(*self.gaps, gap))

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every value known to be possibly secret, for the redaction."""
        claim = (self.claim,) if self.claim else ()
        findings = (self.finding, *claim, *(self.related or ()))
        known = [secret for finding in findings for secret in finding.secrets]
        for template in self.revisions or ():
            known.extend(template.secrets)
        if self.settings:
            known.extend(self.settings.template.secrets)
        return tuple(known)
