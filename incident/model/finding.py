"""A Security Command Center finding, as notified or as listed by SCC."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from incident.model.finding_types import categories_of_type
from incident.model.workload import JsonObject, Secret, Workload

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class File:
    """A file that the finding names: a binary, a library or a script. All its text is untrusted.

    Attributes:
        path: Its path in the container; empty where not named.
        sha256: Its hash in lower-case hex, or None.
        partially_hashed: Whether the hash covers only its beginning.
        contents: Its contents, as far as the finding has them (of a script); raw, to be redacted.
        role: Its role for a sentence: executed file, library or script.
    """

    path: str
    sha256: str | None
    partially_hashed: bool
    contents: str = field(default="", repr=False)
    role: str = field(default="file", compare=False)


@dataclass(frozen=True, slots=True)
class Connection:
    """The network connection that a finding names; invalid addresses and ports are left out.

    Attributes:
        remote_ip: The other end's address; empty where not named.
        remote_port: Its port, or None.
        local_ip: The container's own address; empty where not named.
        local_port: Its port, or None.
    """

    remote_ip: str
    remote_port: int | None
    local_ip: str
    local_port: int | None


@dataclass(frozen=True, slots=True)
class DetectedProcess:
    """A process that the detector saw. All its text is untrusted.

    Attributes:
        name: The process name.
        binary_path: Path of the executed file in the container.
        arguments: The command line; raw, to be redacted before it goes anywhere.
        arguments_truncated: Whether the detector cut the command line.
        sha256: Hash of the binary in lower-case hex, or None.
        partially_hashed: Whether the hash covers only the beginning of the file,
            which makes a look-up by hash meaningless.
        pid: Process id inside the container, or None.
        parent_pid: Process id of the parent, or None.
        user_id: User id that ran it, or None.
        environment_names: Names of its environment variables.
        libraries: The libraries named with it, such as the one that it loaded.
        script: The script that it interprets, or None.
    """

    name: str
    binary_path: str
    arguments: tuple[str, ...]
    arguments_truncated: bool
    sha256: str | None
    partially_hashed: bool
    pid: int | None
    parent_pid: int | None
    user_id: int | None
    environment_names: tuple[str, ...]
    libraries: tuple[File, ...] = ()
    script: File | None = None

    @property
    def binary(self) -> File:
        """The executed file."""
        return File(self.binary_path, self.sha256, self.partially_hashed, role="executed file")


@dataclass(frozen=True, slots=True)
class Suspect:
    """The suspected process of a finding, and the file whose hash is looked up."""

    process: DetectedProcess | None
    file: File | None


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the finding names it.

    Attributes:
        name: Its name; every instance of a revision has one of it.
        image: The image reference as configured.
        digest: The image's digest, or None.
        create_time: When this container was created; None where not given.
    """

    name: str
    image: str
    digest: str | None
    create_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding, as a notification claims it or as SCC lists it.

    Attributes:
        name: The finding's name under its organisation, folder or project.
        canonical_name: Its name under the closest project, to which SCC's marks are written.
            Equals ``name`` where SCC gave none.
        source_id: Digits of the source that wrote it.
        finding_id: The last part of its name.
        category: The finding type as SCC displays it.
        detector: Display name of the source (``parentDisplayName``); empty where not named.
        module: The detector module (``moduleName``); empty where not named.
        severity: Such as ``CRITICAL``; empty where not given; unknown texts are kept.
        state: ``ACTIVE`` or ``INACTIVE``; unknown texts are kept.
        mute: ``MUTED``, ``UNMUTED``, ``UNDEFINED`` or empty.
        event_time: When it was detected or last updated by the detector; UTC, microseconds.
        create_time: When SCC created it; None where not given.
        resource_name: Full resource name as it was given.
        host: Host of the resource name, such as ``run.googleapis.com``.
        workload: The owning workload; None when the resource is not a Cloud Run service, job
            or worker pool, or its name has an unknown form.
        revision: Short name of the revision, where the resource name has one.
        execution: Short name of the execution, where the resource name has one.
        ancestors: Project, folders and organisation above the workload, such as
            ``projects/N``, as the resource names them; the finding's own name is not used.
        contradictions: Sentences on names in the record that disagree with one another.
        processes: What was executed, in the finding's order (which is undocumented).
        containers: The containers named; may be empty.
        techniques: MITRE ATT&CK techniques as SCC's enum names, primary ones first.
        virustotal_url: The link that the finding carries, only if it is a VirusTotal file
            page for the hash of one of its processes: it shows which one was detected.
        contacts: E-mail addresses of the finding's contacts.
        description: The detector's text.
        secrets: Environment values of the processes, for the redaction.
        raw: The finding and its resource as received, unredacted.
        urls: The addresses that it names as indicators (``indicator.uris``).
        connection: The network connection that it names, such as a reverse shell's.
        finding_class: Such as ``THREAT`` or ``VULNERABILITY``; empty where not given.
        principal: The account that acted; empty where not named.
        addresses: The remote IP addresses that it names.
        api_name: The detector's API name, where ``moduleName`` or ``sourceProperties`` has a
            known one; else empty.
        bindings: The bindings of an IAM policy that it names (``iamBindings``): ``ADD roles/…
            member``, one each.
    """

    name: str
    canonical_name: str
    source_id: str
    finding_id: str
    category: str
    detector: str
    module: str
    severity: str
    state: str
    mute: str
    event_time: datetime
    create_time: datetime | None
    resource_name: str
    host: str
    workload: Workload | None
    revision: str | None
    execution: str | None
    ancestors: frozenset[str]
    contradictions: tuple[str, ...]
    processes: tuple[DetectedProcess, ...]
    containers: tuple[Container, ...]
    techniques: tuple[str, ...]
    virustotal_url: str | None
    contacts: tuple[str, ...]
    description: str
    secrets: tuple[Secret, ...] = field(repr=False)
    raw: JsonObject = field(repr=False)
    urls: tuple[str, ...] = ()
    connection: Connection | None = None
    finding_class: str = ""
    principal: str = ""
    addresses: tuple[str, ...] = ()
    api_name: str = ""
    bindings: tuple[str, ...] = ()

    @property
    def categories(self) -> tuple[str, ...]:
        """Every spelling of its type, the documented one first; its own is among them."""
        return categories_of_type(self.category, self.api_name)

    @property
    def suspect(self) -> Suspect:
        """The main process and its binary, which most findings are about."""
        process = self.main_process
        return Suspect(process, process.binary if process else None)

    @property
    def main_process(self) -> DetectedProcess | None:
        """The process that the finding is about, and whose hash is looked up.

        The process whose hash the finding's own link to VirusTotal names; else one whose binary
        was hashed, as a whole if possible; else the first. There may be several, a child and
        its parent for example; their order is undocumented.
        """
        linked = (self.virustotal_url or "").lower()

        def relevance(process: DetectedProcess) -> tuple[bool, bool, bool, bool]:
            hashed = process.sha256 is not None
            named = process.sha256 is not None and process.sha256 in linked
            whole = hashed and not process.partially_hashed
            return named, whole, hashed, bool(process.binary_path)

        return max(self.processes, key=relevance, default=None)

    @property
    def source_parent(self) -> str:
        """The source that lists this finding, as ``ListFindings`` of SCC v2 takes it.

        ``projects/N/sources/S/locations/L``; a name without a location means ``global``.
        """
        parent = self.canonical_name.rpartition("/findings/")[0]
        return parent if "/locations/" in parent else f"{parent}/locations/global"

    @property
    def filed_name(self) -> str:
        """The canonical name with its location: the only name to which SCC's marks are written."""
        return f"{self.source_parent}/findings/{self.finding_id}"

    @property
    def filed_under(self) -> str:
        """The project, folder or organisation under which SCC keeps the finding."""
        return self.canonical_name.partition("/sources/")[0]

    @property
    def data_location(self) -> str:
        """Where SCC keeps the finding: ``global``, or a region under data residency."""
        return self.source_parent.rpartition("/locations/")[2]

    @property
    def incident_id(self) -> str:
        """The incident's id: equal for equal events, however names and times are spelled.

        UTC date of the event, then 12 hex digits of SHA-256 over source id, finding id,
        event time in microseconds since 1970 and state, joined by newlines.
        """
        microseconds = (self.event_time - _EPOCH) // timedelta(microseconds=1)
        identity = "\n".join((self.source_id, self.finding_id, str(microseconds), self.state))
        digest = hashlib.sha256(identity.encode()).hexdigest()
        return f"{self.event_time:%Y%m%d}-{digest[:12]}"

    @property
    def claim_id(self) -> str:
        """The incident's id with a hash of the source under which the claim files the finding."""
        digest = hashlib.sha256(self.source_parent.encode()).hexdigest()
        return f"{self.incident_id}-{digest[:8]}"


@dataclass(frozen=True, slots=True)
class Notification:
    """One message of Security Command Center: a claim until SCC confirms it.

    Attributes:
        finding: The claimed finding.
        deleted: Whether it reports that the finding was deleted.
    """

    finding: Finding
    deleted: bool
