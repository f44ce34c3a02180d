"""Run a drill: contain a named workload, verify, release, compare.

Containing is a request to the pipeline. There is no finding: Security Command Center is neither
read nor updated, nothing is published, and no hourly slot is taken.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from incident.actions import disable_service_account
from incident.actions.changes import change_json, redact_change
from incident.actions.fields import changed_fields
from incident.actions.masked_changes import details_for_changes, names_in_changes
from incident.case_file.paths import DRILLS, case_file_folder
from incident.containment import release
from incident.containment.release import ReleaseRefused
from incident.containment.release_plan import ReleasePlan, plan_release
from incident.decision.guards import drilling_operator
from incident.decision.process import Process, read_policy
from incident.decision.request import Request, Trigger
from incident.investigation.workload_reader import read_workload
from incident.model import (
    Change,
    ChangeState,
    IncidentError,
    InvalidPolicy,
    Json,
    Notification,
    Status,
    Verdict,
    Workload,
)
from incident.model.json_text import SCHEMA_VERSION
from incident.model.outcome import Outcome, ReportedDecision, ReportedWorkload
from incident.notification.synthetic_finding import DRILL_ID_PREFIX, synthetic_finding
from incident.policy.values import DEFAULT_CATEGORY
from incident.response.pipeline import Proposal, respond
from incident.response.refusals import RequestRefused

_ID_BYTES = 12
_LEFT_OUT = {
    disable_service_account.NAME: "a drill leaves it out unless --with-service-account is given"
}
_RECORD_TEXTS = {
    "snapshot": "snapshot stored",
    "written": "written",
    "verified": "verified",
    "unverified": "not verified",
    "annotated": "annotated",
}


async def drill_request(
    process: Process, workload: Workload, by: str, *, with_service_account: bool = False
) -> Request:
    """The request for a drill on a workload; its finding is made up, of the policy's first type.

    The service account is disabled only with ``with_service_account``: whatever else runs as it,
    and the inventory does not show, loses it for as long.

    Raises:
        RequestRefused: There is no policy to decide by.
        Retry: A service does not answer; try again later.
        GiveUp: The workload cannot be read.
    """
    policy = await read_policy(process)
    if isinstance(policy, InvalidPolicy):
        raise RequestRefused(f"cannot drill on {workload.resource_name}: {policy}")
    configuration = await process.cloud_run.configuration(workload)
    answered = configuration.name.split("/")[1]
    if not workload.project_id and not answered.isdigit():
        workload = replace(workload, project_id=answered)
    named = [each for each in (DEFAULT_CATEGORY, *policy.categories) if each in policy.categories]
    category = (*named, DEFAULT_CATEGORY)[0]
    identity = DRILL_ID_PREFIX + secrets.token_hex(_ID_BYTES)
    finding = synthetic_finding(
        workload, identity, category, process.clock(), sources=tuple(policy.sources)
    )
    finding = replace(finding, revision=configuration.latest_ready_revision or None)
    route = process.route(Notification(finding, deleted=False))
    left_out = {} if with_service_account else _LEFT_OUT
    return Request(Trigger.DRILL, finding, route, drilling_operator(by, left_out))


async def run_drill(
    process: Process,
    request: Request,
    proposal: Proposal,
    progress: Callable[[str], None] = lambda _: None,
) -> DrillReport:
    """Contain, verify, release and compare, reporting each step to ``progress``.

    The containment of an interrupted drill is recorded: ``release`` with the drill's id ends it.
    If containing fails half-way, what was written is released. If a finding arrives meanwhile,
    the workload stays contained.

    Raises:
        RequestRefused: The workload is not as it was proposed.
        Retry: The store does not answer.
        GiveUp: The store refuses.
    """
    run = DrillRun(process, request, proposal, progress)
    await run.contain()
    await run.release()
    return await run.close()


class DrillRun:
    """One drill, run in three steps.

    Attributes:
        report: The result so far.
    """

    def __init__(
        self,
        process: Process,
        request: Request,
        proposal: Proposal,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Begin a drill; ``progress`` is called with a line for each step."""
        self._process = process.for_run()
        self._request = replace(request, confirmed=proposal.changes)
        self._proposal = proposal
        self._workload = proposal.inputs.workload
        self._containments = self._process.containments(self._workload)
        self._progress = progress
        self._began = process.clock()
        by = request.operator.by if request.operator else ""
        self.report = DrillReport(
            request.incident, self._workload.resource_name, by, simulated=process.simulated
        )

    async def contain(self) -> None:
        """Contain as an incident would; what was written and read back is in the report."""
        try:
            outcome = (await respond(self._process, self._request)).outcome
        except RequestRefused:
            raise
        except IncidentError as error:
            self._problem(f"containing failed: {error}")
            return
        self.report.status, self.report.changes = outcome.status, outcome.changes
        if outcome.containment:
            for record in await self._process.journal(outcome.containment).records():
                if record.kind in _RECORD_TEXTS:
                    self._step(_RECORD_TEXTS[record.kind], record.recorded_at)
        for text in containment_problems(outcome):
            self._problem(text)

    async def release(self) -> None:
        """Release the containment; if that is refused, report why and leave it."""
        cloud_run = self._process.cloud_run
        try:
            plan = await plan_release(self._workload, self._containments, cloud_run)
            if plan.containment and self.report.drill in plan.containment.incidents:
                await self._apply_release(plan)
            self.report.fully_released = True
            changes = self._proposal.changes
            needs, named = details_for_changes(changes), names_in_changes(changes)
            now = await read_workload(self._workload, needs, cloud_run, named)
            self.report.differences = changed_fields(self._proposal.inputs.configuration, now)
            await self._report_joined_findings(plan)
        except IncidentError as error:
            self._problem(f"{error}. {await self._remaining_work()}")

    async def _apply_release(self, plan: ReleasePlan) -> None:
        report, redactor, name = self.report, self._proposal.redactor, self.report.workload
        if plan.containment and plan.containment.incidents != {report.drill}:
            raise ReleaseRefused(f"{name} was not released")
        if plan.differences:
            names = ", ".join(each.name for each in plan.differences)
            raise ReleaseRefused(f"somebody changed {names} of {name} during the drill")
        options = release.ReleaseOptions(
            report.by,
            self._process.verify_timeout,
            redactor,
            self._release_step,
            only_incident=report.drill,
            enable_now=True,  # nobody has stolen a token in a drill
        )
        result = await release.carry_out_release(
            plan, self._containments, self._process.cloud_run, options
        )
        report.release_changes = tuple(redact_change(change, redactor) for change in result.changes)
        for part in result.not_restored:
            self._problem(redactor.text(f"not restored: {part.reason}"))

    async def _remaining_work(self) -> str:
        """What the operator has to do after a failed release."""
        with contextlib.suppress(IncidentError):
            current = (await self._containments.history()).current
            others = sorted(current.incidents - {self.report.drill}) if current else []
            if others:
                return (
                    f"A finding arrived during the drill: the workload stays contained, for"
                    f" {', '.join(others)}. Investigate it first; then release the workload:"
                    f" cloud-run-responder release {others[0]}"
                )
        return (
            f"To release the workload: cloud-run-responder release {self.report.drill}, with"
            " --force to overwrite what somebody changed"
        )

    async def _report_joined_findings(self, plan: ReleasePlan) -> None:
        """Report findings that joined the containment while it was released."""
        number = plan.containment.number if plan.containment else 0
        for ended in (await self._containments.history()).containments:
            joined = sorted(ended.incidents - {self.report.drill})
            if ended.number == number and joined:
                self._problem(
                    "a finding arrived during the release, and its workload is no longer contained."
                    f" Run cloud-run-responder release {joined[0]}, so that its incident is"
                    f" updated, and then cloud-run-responder contain {joined[0]}"
                )

    async def close(self) -> DrillReport:
        """Record the result."""
        case = await self._process.case_file(case_file_folder(DRILLS, self.report.drill))
        await case.finish(self.report.outcome(self._workload, self._proposal.reasons))
        return self.report

    def _release_step(self, name: str) -> None:
        self._step(f"release: {name}", self._process.clock())

    def _step(self, name: str, at: datetime) -> None:
        at_ms = max(0, round((at - self._began).total_seconds() * 1000))
        self.report.steps.append((name, at_ms))
        self._progress(f"{at_ms / 1000:6.2f} s  {name}")

    def _problem(self, text: str) -> None:
        self.report.problems.append(self._proposal.redactor.text(text))


@dataclass(slots=True)
class DrillReport:
    """Result of a drill.

    Attributes:
        drill: The drill's id.
        workload: Resource name.
        by: The operator.
        status: Status of the containment; None if it failed.
        changes: The changes that contained the workload, with their states; redacted.
        release_changes: The changes that released it; redacted.
        fully_released: Whether the responder no longer contains it.
        differences: Names of fields that differ from before the drill.
        steps: Steps, each with the milliseconds since the start.
        problems: What went wrong; empty if the drill passed.
        simulated: Whether the emulator stood in for Google.
    """

    drill: str
    workload: str
    by: str
    status: Status | None = None
    changes: tuple[Change, ...] = ()
    release_changes: tuple[Change, ...] = ()
    fully_released: bool = False
    differences: tuple[str, ...] = ()
    steps: list[tuple[str, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    simulated: bool = False

    @property
    def passed(self) -> bool:
        """Whether containment and release were verified and every field is as before."""
        contained = self.status in (Status.CONTAINED, Status.RESTRICTED)
        return contained and self.fully_released and not self.differences and not self.problems

    @property
    def json(self) -> dict[str, Json]:
        """The report as JSON, for ``--json`` and the case file."""
        return {
            "schema_version": SCHEMA_VERSION,
            "drill": self.drill,
            "workload": self.workload,
            "by": self.by,
            "result": "passed" if self.passed else "failed",
            "contained": self.status.value if self.status else None,
            "changes": [change_json(change) for change in self.changes],
            "released": [change_json(change) for change in self.release_changes],
            "given_back": self.fully_released,
            "differences": [*self.differences],
            "steps": [{"step": name, "at_ms": at_ms} for name, at_ms in self.steps],
            "problems": [*self.problems],
        }

    def outcome(self, workload: Workload, reasons: Iterable[str]) -> Outcome:
        """The report as an outcome, so that ``list`` and ``show`` can display it.

        Args:
            workload: The workload of the drill.
            reasons: Reasons of the decision.
        """
        fully_released = self.fully_released and bool(self.release_changes)
        return Outcome(
            status=Status.RELEASED if fully_released else self.status or Status.FAILED,
            incident=self.drill,
            workload=ReportedWorkload.of(workload),
            decision=ReportedDecision(Verdict.CONTAIN, tuple(reasons)),
            changes=self.changes,
            drill=self.json,
            simulated=self.simulated or None,
        )


def containment_problems(outcome: Outcome) -> list[str]:
    """Why the containment is not what was decided."""
    if not outcome.changes:
        return ["; ".join(outcome.decision.reasons)]
    return [
        f"{change.action} is {change.state.value}: {change.error}"
        for change in outcome.changes
        if change.state is not ChangeState.VERIFIED
    ]
