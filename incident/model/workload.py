"""The workload that a finding is about, and the enums: Kind, Mode, Verdict, Status and others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None
JsonObject: TypeAlias = Mapping[str, Json]

_RESOURCE_NAME = re.compile(
    r"projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/(?P<collection>[^/]+)/(?P<name>[^/]+)"
)


class Kind(StrEnum):
    """A kind of Cloud Run workload, as the policy spells it."""

    SERVICE = "service"
    JOB = "job"
    WORKER_POOL = "worker-pool"
    INSTANCE = "instance"

    @property
    def collection(self) -> str:
        """The kind's collection in a resource name, such as ``services``."""
        return "workerPools" if self is Kind.WORKER_POOL else f"{self.value}s"

    @property
    def label(self) -> str:
        """The kind for a sentence."""
        return self.value.replace("-", " ")

    @property
    def with_article(self) -> str:
        """The kind with its article, as the policy spells it."""
        return f"an {self.value}" if self is Kind.INSTANCE else f"a {self.value}"


class Mode(StrEnum):
    """How far the responder may go, from the lowest to the highest."""

    DRY_RUN = "dry-run"
    APPROVE = "approve"
    ENFORCE = "enforce"

    @property
    def rank(self) -> int:
        """The mode's place in the order; the lower of two modes is the one of lower rank."""
        return list(Mode).index(self)

    @staticmethod
    def lowest(*modes: Mode) -> Mode:
        """The lowest of some modes: every one of them is a ceiling."""
        return min(modes, key=lambda mode: mode.rank)


class Verdict(StrEnum):
    """What is to be done about a finding."""

    CONTAIN = "contain"
    HOLD = "hold"
    IGNORE = "ignore"


class Status(StrEnum):
    """The status of an incident, in the usual order."""

    IGNORED = "ignored"
    HELD = "held"
    MALFORMED = "malformed"
    PLANNED = "planned"
    AWAITING_APPROVAL = "awaiting-approval"
    EXPIRED = "expired"
    CONTAINED = "contained"
    ALREADY_CONTAINED = "already-contained"
    RESTRICTED = "restricted"
    UNVERIFIED = "unverified"
    FAILED = "failed"
    RELEASED = "released"
    DUPLICATE = "duplicate"


class ChangeState(StrEnum):
    """The state of a change."""

    PLANNED = "planned"
    VALIDATED = "validated"
    NOT_VALIDATED = "not-validated"
    APPLIED = "applied"
    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    FAILED = "failed"


class ChangeKind(StrEnum):
    """What a change writes, which decides the API call."""

    FIELDS = "fields"
    IAM_POLICY = "iam-policy"
    CANCELLATION = "cancellation"
    SERVICE_ACCOUNT = "service-account"


class WorkloadDetail(StrEnum):
    """What an action may need to read of a workload besides its settings."""

    ACCESS = "access"
    REVISIONS = "revisions"
    EXECUTIONS = "executions"
    ACCOUNTS = "accounts"
    RUNTIME_ACCOUNTS = "runtime-accounts"


class Lookup(StrEnum):
    """The result of looking the suspected file up at VirusTotal."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    NO_ANSWER = "no-answer"
    PARTIAL_HASH = "partial-hash"
    NO_HASH = "no-hash"
    NO_KEY = "no-key"


class Confidence(StrEnum):
    """How sure the assessment is that hostile code runs in the workload."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Workload:
    """The Cloud Run service, job, worker pool or instance that a finding is about.

    Attributes:
        kind: Service, job, worker pool or instance.
        location: The region, such as ``europe-west1``.
        name: The short name, without its collection.
        project_id: The project's id, or None where it is not known.
        project_number: The project's number in digits, or None where it is not known.
        folders: Numbers of the folders above the project, nearest first; None where unknown.
    """

    kind: Kind
    location: str
    name: str
    project_id: str | None
    project_number: str | None
    folders: tuple[str, ...] | None = None

    @classmethod
    def of_project(
        cls, project: str, *, kind: Kind, location: str, name: str, number: str | None = None
    ) -> Workload:
        """A workload of a project that is spelled by its id or by its number.

        Args:
            project: Either of the two.
            kind: Service, job, worker pool or instance.
            location: The region.
            name: The short name.
            number: The project's number, where it is known besides.
        """
        by_number = project.isdigit()
        return cls(
            kind=kind,
            location=location,
            name=name,
            project_id=None if by_number else project,
            project_number=number or (project if by_number else None),
        )

    @classmethod
    def from_resource_name(cls, resource_name: str) -> Workload | None:
        """The workload of a name as :attr:`resource_name` spells it; None for any other text."""
        match = _RESOURCE_NAME.fullmatch(resource_name)
        kinds = [kind for kind in Kind if match and kind.collection == match["collection"]]
        if match is None or not kinds:
            return None
        return cls.of_project(
            match["project"], kind=kinds[0], location=match["location"], name=match["name"]
        )

    @property
    def project(self) -> str:
        """The project as Google's APIs take it: the id where known, else the number."""
        return self.project_id or self.project_number or ""

    @property
    def resource_name(self) -> str:
        """The name as the Cloud Run Admin API spells it."""
        collection = self.kind.collection
        return f"projects/{self.project}/locations/{self.location}/{collection}/{self.name}"

    @property
    def key(self) -> str:
        """The workload's path in the store, whatever revision or spelling a finding used."""
        return f"{self.project}/{self.location}/{self.kind}/{self.name}"

    def same_as(self, other: Workload) -> bool:
        """Whether both name one workload, be the project spelled by id or by number.

        Two spellings that share neither id nor number count as different: a match has to be
        shown.
        """
        if (self.kind, self.location, self.name) != (other.kind, other.location, other.name):
            return False
        by_id = self.project_id is not None and self.project_id == other.project_id
        by_number = self.project_number is not None and self.project_number == other.project_number
        return by_id or by_number


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A value that may be secret, and the name of the variable that holds it.

    Neither printed nor serialised; only the redaction reads the value.
    """

    name: str
    value: str

    def __repr__(self) -> str:
        return f"Secret({self.name!r}, …)"
