"""Configuration of a Cloud Run workload, read at one moment: template, IAM policy, executions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from incident.model.cut_list import CutList, Listing, found_in
from incident.model.workload import Json, JsonObject, Kind, Secret

#: Key in the JSON of a message: base64 of the fields that the locked client does not know.
UNKNOWN_FIELDS = "unknownFields"
#: How the IAM policy is called among the fields.
IAM_POLICY_FIELD = "IAM policy"
_USER_MANAGED_ACCOUNT = re.compile(
    r"[a-z][a-z0-9-]{4,28}[a-z0-9]@(?P<project>[a-z0-9.-]+)\.iam\.gserviceaccount\.com"
)
_GOOGLE_PROJECTS = (
    *("gcp-sa-", "gcp-gae-service", "serverless-robot-prod", "container-engine-robot"),
    *("compute-system", "gcf-admin-robot", "containerregistry", "dataflow-service-producer-prod"),
    *("cloudcomposer-accounts", "dataproc-accounts", "firebase-rules", "sourcerepo-service-"),
)
_DEFAULT_ACCOUNT_SUFFIXES = (
    "-compute@developer.gserviceaccount.com",
    "@appspot.gserviceaccount.com",
)


def holds_unknown_fields(value: Json) -> bool:
    """Whether a message in proto JSON, or one in a list of them, has unknown fields."""
    if isinstance(value, Mapping):
        return UNKNOWN_FIELDS in value
    return isinstance(value, list | tuple) and any(holds_unknown_fields(each) for each in value)


def is_user_managed(account: str) -> bool:
    """Whether an address is that of a service account that people have made.

    Google's own accounts, such as service agents, are in projects of Google's with reserved names
    (Google's reference of service agents).
    """
    match = _USER_MANAGED_ACCOUNT.fullmatch(account)
    return match is not None and not match["project"].startswith(_GOOGLE_PROJECTS)


def is_default_service_account(account: str) -> bool:
    """Whether it is a default service account, which Google shares among a project's workloads."""
    return not account or account.endswith(_DEFAULT_ACCOUNT_SUFFIXES)


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
class SecretUse:
    """How a template uses a secret of Secret Manager.

    Attributes:
        secret: Its name, in full or within the project.
        version: The version's number or alias; ``latest`` where the template names none.
        target: The environment variable that holds it, or the path at which it is mounted.
        mounted: Whether it is a file. Cloud Run reads a file at each access, a variable when an
            instance starts.
        container: Name of the container that uses it; empty where it has none.
    """

    secret: str
    version: str
    target: str
    mounted: bool
    container: str = ""


@dataclass(frozen=True, slots=True)
class ContainerConfiguration:
    """A container as the template configures it, without any environment value."""

    name: str
    image: str
    environment_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceBuild:
    """The source from which Cloud Run built a service (``build_config``).

    Attributes:
        location: The archive of the source, such as ``gs://bucket/object``; empty where not named.
        function_target: Entry point of a Cloud Run function; empty for any other service.
        base_image: The base image that it runs on; empty where not named.
    """

    location: str
    function_target: str = ""
    base_image: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """What a revision runs: the template of a workload or of one of its revisions.

    Attributes:
        revision: Short name of the revision; empty where the template names none.
        create_time: When the revision was created; None for a workload's template.
        ready: Whether the revision is ready; None where the API does not say.
        containers: Its containers.
        service_account: E-mail of the runtime identity; empty means the project's default.
        secret_names: Secret Manager secrets that it can read, by name: the rotation list.
        volumes: What it mounts.
        timeout_s: Request timeout in seconds: how long a request may outlive a containment.
        session_affinity: Whether clients stick to their instance.
        creator: Who created the revision, where the API says so.
        secret_uses: How it uses these secrets.
    """

    revision: str
    create_time: datetime | None
    ready: bool | None
    containers: tuple[ContainerConfiguration, ...]
    service_account: str
    secret_names: tuple[str, ...]
    volumes: tuple[Volume, ...]
    timeout_s: int
    session_affinity: bool
    creator: str
    secrets: tuple[Secret, ...] = field(repr=False)
    secret_uses: tuple[SecretUse, ...] = ()


@dataclass(frozen=True, slots=True)
class Binding:
    """One binding of an IAM policy. A condition is named, not evaluated."""

    role: str
    members: tuple[str, ...]
    condition: str | None


@dataclass(frozen=True, slots=True)
class Access:
    """The workload's own IAM policy; inherited bindings are not in it.

    Attributes:
        bindings: Its bindings, for reading.
        etag: Its version, in hex: an edit of another version is refused.
        raw: Its bindings in proto JSON, lossless: an edit starts from them.
        unknown_fields: Base64 of the policy's own fields that the locked client does not know.
        version: Version of the policy format; 0 where none is set. Conditions need 3.
    """

    bindings: tuple[Binding, ...]
    etag: str = ""
    raw: tuple[JsonObject, ...] = field(default=(), repr=False)
    unknown_fields: str = field(default="", repr=False)
    version: int = field(default=0, repr=False)

    @property
    def form(self) -> dict[str, Json]:
        """What an edit of the bindings sends back unchanged: version and unknown fields."""
        version: dict[str, Json] = {"version": self.version} if self.version else {}
        unknown: dict[str, Json] = (
            {UNKNOWN_FIELDS: self.unknown_fields} if self.unknown_fields else {}
        )
        return {**version, **unknown}


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of a job.

    Attributes:
        name: Resource name as the API spells it.
        short_name: Its last part.
        create_time: When it was created.
        start_time: When it began; None while it waits.
        completion_time: When it ended; None while it runs or waits.
        state: State of its condition ``Completed``, such as ``CONDITION_SUCCEEDED``.
        reason: The condition's reason, such as ``EXECUTION_CANCELLED``; empty where there is none.
        tasks: How many tasks it has: ``total``, ``running``, ``succeeded``, ``failed``,
            ``cancelled``, ``retried``.
        template: What its tasks run.
        creator: Who started it.
    """

    name: str
    short_name: str
    create_time: datetime | None
    start_time: datetime | None
    completion_time: datetime | None
    state: str
    reason: str
    tasks: Mapping[str, int]
    template: Template
    creator: str

    @property
    def running(self) -> bool:
        """Whether it has not ended: without a completion time it may run, or start to."""
        return self.completion_time is None


@dataclass(frozen=True, slots=True)
class Task:
    """One task of an execution: a container, and how its last attempt ended.

    Attributes:
        name: Short name.
        execution: Short name of its execution.
        index: Its number in the execution.
        state: State of its condition ``Completed``.
        retried: How often it was tried again, each time in a fresh container.
        exit_code: Exit code of the last attempt that ended; None where none did.
        term_signal: The signal that ended it; 0 for none.
        start_time: When it began.
        completion_time: When it ended.
    """

    name: str
    execution: str
    index: int
    state: str
    retried: int
    exit_code: int | None
    term_signal: int
    start_time: datetime | None
    completion_time: datetime | None


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account, as IAM has it.

    Attributes:
        email: Its address.
        disabled: Whether it is disabled: then its tokens are refused.
        unique_id: Its id; an account that is created again has another.
        unread: Why it could not be read; empty where it was.
        exists: Whether it exists, as far as is known.
    """

    email: str
    disabled: bool = False
    unique_id: str = ""
    unread: str = ""
    exists: bool = True


@dataclass(frozen=True, slots=True)
class WorkloadConfiguration:
    """The configuration of a workload, read at one moment.

    Attributes:
        name: Resource name as the API spells it.
        uid: Unique id; a workload that is deleted and created again gets another.
        generation: Counts user modifications.
        observed_generation: The last generation that was reconciled.
        reconciling: Whether Cloud Run is still reconciling it.
        fields: The writable fields outside the template, in proto JSON, lossless (``scaling``,
            ``traffic``, …): changes are made from them.
        live_tags: Tags that the serving state still has.
        labels: The workload's labels.
        annotations: The workload's annotations.
        template: What the next revision runs.
        latest_ready_revision: Short name of the revision that ``LATEST`` means.
        creator: Who created the workload.
        last_modifier: Who changed it last.
        update_time: When that was.
        uri: Its main address; empty where it has none.
        condition: The terminal condition's state, such as ``CONDITION_SUCCEEDED``.
        kind: Service, job or worker pool.
        live_revisions: Short names of the revisions that the serving state still reaches.
        access: Its own IAM policy; None unless it was asked for.
        revisions: Its revisions; None unless they were asked for.
        executions: Its executions; None unless they were asked for.
        accounts: The service accounts that it runs as, or that were asked for; None unless any
            were.
        regions: The regions of a multi-region service; empty for any other.
        source: The source that it was built from; None where it was deployed as an image.
        iap_enabled: Whether Identity-Aware Proxy checks its callers.
        condition_message: What the terminal condition says; empty where it says nothing.
        latest_execution: Short name of a job's latest execution, unless that has ended.
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
    kind: Kind = Kind.SERVICE
    live_revisions: tuple[str, ...] = ()
    access: Access | None = field(default=None, repr=False)
    revisions: Listing[Template] | None = field(default=None, repr=False)
    executions: Listing[Execution] | None = field(default=None, repr=False)
    accounts: tuple[ServiceAccount, ...] | None = field(default=None, metadata={"optional": True})
    regions: tuple[str, ...] = ()
    source: SourceBuild | None = None
    iap_enabled: bool = False
    condition_message: str = ""
    latest_execution: str = ""

    @property
    def other_regions(self) -> tuple[str, ...]:
        """The regions of a multi-region service besides the one that its name has."""
        _, _, rest = self.name.partition("/locations/")
        return tuple(region for region in self.regions if region != rest.partition("/")[0])

    def account(self, email: str) -> ServiceAccount | None:
        """The service account of an address, as it was read; None where it was not."""
        return next((each for each in self.accounts or () if each.email == email), None)

    @property
    def unknown_fields(self) -> tuple[str, ...]:
        """The writable fields that hold something which the locked client does not know."""
        found = [name for name, value in self.fields.items() if holds_unknown_fields(value)]
        policy = self.access is not None and (
            bool(self.access.unknown_fields) or holds_unknown_fields(list(self.access.raw))
        )
        return (*found, *((IAM_POLICY_FIELD,) if policy else ()))

    @property
    def has_cut_list(self) -> bool:
        """Whether its revisions or executions were not read to the end."""
        return isinstance(self.revisions, CutList) or isinstance(self.executions, CutList)

    @property
    def addressed_revisions(self) -> tuple[str, ...]:
        """Short names of the revisions that have traffic or a tag, in the settings or served."""
        traffic = self.fields.get("traffic")
        targets = traffic if isinstance(traffic, list | tuple) else ()
        set_names = [str(t.get("revision") or "") for t in targets if isinstance(t, Mapping)]
        names = (*self.live_revisions, *set_names, self.latest_ready_revision)
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def running(self) -> tuple[Execution, ...]:
        """The executions that have not ended; of a cut list, those that are known."""
        return tuple(each for each in found_in(self.executions) if each.running)


@dataclass(frozen=True, slots=True)
class ListedWorkload:
    """A workload as a listing of its region returns it.

    Attributes:
        name: Resource name.
        threat_detection_enabled: Whether Cloud Run Threat Detection watches it; None where the API
            does not say.
        is_function: Whether a Cloud Run function runs on it.
        regions: The regions of a multi-region service; empty for any other.
    """

    name: str
    threat_detection_enabled: bool | None = None
    is_function: bool = False
    regions: tuple[str, ...] = ()
