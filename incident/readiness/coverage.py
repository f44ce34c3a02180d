"""Preflight: would enforcing work for each workload (policy, permissions, validation)?

Applies the policy to a synthetic finding, plans its actions, and checks them with Google by
permission tests and ``validate_only`` writes. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar

from incident.actions.catalogue import ACTIONS
from incident.actions.masked_changes import ContainmentPlan, details_for_steps, plan_changes
from incident.decision.guards import ResponderIdentity
from incident.decision.identity import unfit_actions
from incident.investigation.affected import InventorySearch
from incident.investigation.workload_reader import WorkloadReader, add_needs
from incident.model import (
    Change,
    ChangeKind,
    Denied,
    Evidence,
    Finding,
    GiveUp,
    IncidentError,
    Json,
    ListedWorkload,
    Missing,
    Workload,
    WorkloadConfiguration,
)
from incident.notification.synthetic_finding import synthetic_finding
from incident.policy.resolve import Policy, Resolution, Subject, resolve
from incident.readiness.request_pacer import RequestPacer

T = TypeVar("T")

_FINDING = "coverage"


class CoverageStatus(StrEnum):
    """Result of the check of one workload."""

    ENFORCEABLE = "enforceable"
    HELD = "held"
    FAILS = "would-fail"


class EnforcingCloudRun(WorkloadReader, Protocol):
    """Cloud Run with the credentials that would enforce."""

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change; used with ``validate_only`` here."""

    async def missing_permissions(
        self, workload: Workload, change: ChangeKind, target: str = ""
    ) -> tuple[str, ...]:
        """Permissions that the caller lacks for a kind of change to the workload."""


@dataclass(frozen=True, slots=True)
class WorkloadCoverage:
    """Coverage of one workload.

    Attributes:
        workload: The workload.
        status: Whether enforcing would work.
        reasons: Why it would not work; empty if it would.
        rule: The policy rule that applies; None if none does.
        mode: The policy's mode for the workload; None if unknown.
        actions: The actions that would be taken.
        limits: Other limits: threat detection is off, a Cloud Function, other regions.
    """

    workload: Workload
    status: CoverageStatus
    reasons: tuple[str, ...] = ()
    rule: str | None = None
    mode: str | None = None
    actions: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    @property
    def json(self) -> dict[str, Json]:
        """The result as JSON, for ``--json``."""
        return {
            "workload": self.workload.resource_name,
            "cover": self.status.value,
            "reasons": [*self.reasons],
            "rule": self.rule,
            "mode": self.mode,
            "actions": [*self.actions],
            "limits": [*self.limits],
        }


@dataclass(frozen=True, slots=True)
class CoverageCheck:
    """Checks workloads, one by one.

    Attributes:
        policy: The policy.
        category: The finding type to check for.
        cloud_run: Cloud Run with the credentials that would enforce.
        now: Event time of the synthetic finding.
        pacer: Limits the rate of requests.
        inventory: Finds who else runs as a service account; it is searched once for each scope.
    """

    policy: Policy
    category: str
    cloud_run: EnforcingCloudRun
    now: datetime
    pacer: RequestPacer
    inventory: InventorySearch

    async def check(self, workload: Workload, listed: ListedWorkload) -> WorkloadCoverage | None:
        """Check one workload; what cannot be read counts as failing. None if it was deleted."""
        limits = _limits(listed)
        async with self.pacer.concurrency:
            try:
                checked = await self._check(workload)
                return replace(checked, limits=(*limits, *checked.limits))
            except Missing:
                return None  # an inventory lists what was deleted some minutes ago
            except IncidentError as error:
                return WorkloadCoverage(
                    workload, CoverageStatus.FAILS, (str(error),), limits=limits
                )

    async def _check(self, workload: Workload) -> WorkloadCoverage:
        configuration = await self.pacer.with_retries(
            lambda: self.cloud_run.configuration(workload)
        )
        finding = self._synthetic_finding(workload, configuration)
        subject = Subject(workload, finding.categories, finding.source_id, configuration.labels)
        resolution = resolve(self.policy, subject)
        result = WorkloadCoverage(
            workload,
            CoverageStatus.ENFORCEABLE,
            rule=resolution.rule,
            mode=resolution.mode.value if resolution.rule else None,
            actions=tuple(" or ".join(step) for step in resolution.steps),
        )
        if resolution.holds:
            reasons = tuple(hold.text for hold in resolution.holds)
            return replace(result, status=CoverageStatus.HELD, reasons=reasons)
        needs = details_for_steps(resolution.steps, workload.kind)
        configuration = await self.pacer.with_retries(
            lambda: add_needs(configuration, workload, needs, self.cloud_run)
        )
        unfit = await self._unfit_actions(workload, configuration, finding, resolution)
        planned = plan_changes(resolution.steps, configuration, finding, unfit)
        result = replace(result, limits=planned.left_out)
        if planned.applicable:
            kinds = _change_kinds(resolution, configuration, finding, unfit)
            reasons = await self._refusals(workload, planned, kinds)
        else:
            reasons = (f"no configured action fits: {'; '.join(planned.not_applicable)}",)
        return replace(result, status=CoverageStatus.FAILS, reasons=reasons) if reasons else result

    async def _unfit_actions(
        self,
        workload: Workload,
        configuration: WorkloadConfiguration,
        finding: Finding,
        resolution: Resolution,
    ) -> Mapping[str, str]:
        """Actions that policy and inventory stand against, as they would at a finding.

        Which accounts are the responder's own is not known here.
        """
        emails = tuple(account.email for account in configuration.accounts or ())
        affected = None
        if emails:
            affected = await self.inventory.affected_workloads(workload, (), emails)
        evidence = Evidence(finding, confirmed=True, configuration=configuration, affected=affected)
        return unfit_actions(evidence, self.policy, resolution, ResponderIdentity())

    def _synthetic_finding(
        self, workload: Workload, configuration: WorkloadConfiguration
    ) -> Finding:
        sources = tuple(self.policy.sources)
        synthetic = synthetic_finding(workload, _FINDING, self.category, self.now, sources=sources)
        return replace(synthetic, revision=configuration.latest_ready_revision or None)

    async def _refusals(
        self, workload: Workload, planned: ContainmentPlan, kinds: Iterable[ChangeKind]
    ) -> tuple[str, ...]:
        """Why Google would refuse, for each kind of change that the actions may make."""
        refusals: list[str] = []
        for kind in kinds:
            change = next((each for each in planned.changes if each.kind is kind), None)
            refusals += await self._ask_google(workload, kind, change)
        return tuple(dict.fromkeys(refusals))

    async def _ask_google(
        self, workload: Workload, kind: ChangeKind, change: Change | None
    ) -> tuple[str, ...]:
        """Test the permissions; if none is missing, have Google validate the change."""
        account = kind is ChangeKind.SERVICE_ACCOUNT
        if account and change is None:
            return ()  # it is disabled
        target = change.target if account and change else ""
        missing = await self.pacer.with_retries(
            lambda: self.cloud_run.missing_permissions(workload, kind, target)
        )
        if missing:
            return (f"lacks {', '.join(missing)} on {target or f'the {workload.kind}'}",)
        if change is None or account or kind is ChangeKind.IAM_POLICY:
            return ()  # these cannot be validated
        try:
            await self.pacer.with_retries(lambda: self._validate(change, workload))
        except Denied as error:
            text = (
                f"denied, although no permission on the {workload.kind} itself is missing: one on"
                f" its runtime service account or its image's repository is. {error}"
            )
            return (text,)
        except GiveUp as error:
            return (str(error),)
        return ()

    async def _validate(self, change: Change, workload: Workload) -> None:
        await self.pacer.wait_turn(workload)
        await self.cloud_run.write(change, validate_only=True)


def _change_kinds(
    resolution: Resolution,
    configuration: WorkloadConfiguration,
    finding: Finding,
    unfit: Mapping[str, str],
) -> tuple[ChangeKind, ...]:
    """Kinds of change that the actions may make, including those that are not needed now.

    Of a step's alternatives the first that fits counts.
    """
    made: dict[ChangeKind, None] = {}
    for step in resolution.steps:
        fitting = [
            name
            for name in step
            if plan_changes(((name,),), configuration, finding, unfit).applicable
        ]
        for name in fitting[:1]:
            made |= dict.fromkeys(ACTIONS[name].change_kinds[configuration.kind])
    return tuple(made)


def _limits(listed: ListedWorkload) -> tuple[str, ...]:
    limits = []
    if listed.threat_detection_enabled is False:
        limits.append("Cloud Run Threat Detection is off: there will be no findings")
    if listed.is_function:
        limits.append("a Cloud Function: deploying it again may undo a containment")
    if listed.regions:
        where = ", ".join(listed.regions)
        limits.append(f"multi-region, in {where}: only the finding's region is contained")
    return tuple(limits)
