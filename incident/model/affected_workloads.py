"""Other workloads that share a finding's image or runtime service account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from incident.model.finding import Finding
from incident.model.workload import Workload


class Relation(StrEnum):
    """What a workload shares with the finding's."""

    DIGEST = "digest"
    REPOSITORY = "repository"
    ACCOUNT = "service-account"


@dataclass(frozen=True, slots=True)
class AffectedWorkload:
    """A workload that shares something with the finding's workload.

    Attributes:
        workload: The workload.
        relations: What it shares.
        service_accounts: E-mails of the accounts that it runs as.
        labels: Its labels; None where unknown.
        exposure: Who can reach it, for a table.
        findings: Findings on it in the window, in time order; None where they were not searched.
    """

    workload: Workload
    relations: frozenset[Relation]
    service_accounts: tuple[str, ...] = ()
    labels: Mapping[str, str] | None = None
    exposure: str = ""
    findings: tuple[Finding, ...] | None = None

    @property
    def rank(self) -> int:
        """Its place in a table: those that share most with the finding's workload first."""
        return next((at for at, each in enumerate(Relation) if each in self.relations), 9)


@dataclass(frozen=True, slots=True)
class AffectedWorkloads:
    """The result of a search for affected workloads.

    Attributes:
        workloads: Those that share the digest first; never the finding's own workload.
        complete: Whether the whole scope was read.
        reason: Why it was not; empty where it was.
        scope: Where they were searched: ``projects/P``, ``folders/N`` or ``organizations/N``.
    """

    workloads: tuple[AffectedWorkload, ...] = ()
    complete: bool = True
    reason: str = ""
    scope: str = ""
