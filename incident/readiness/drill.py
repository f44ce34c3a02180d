"""Run a drill: contain a named workload, verify, release, compare.

Uses the same steps as an incident. There is no finding: Security Command Center is neither read
nor updated, nothing is published, and no hourly slot is taken.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from incident.actions.changes import change_json, redact_change
from incident.actions.fields import changed_fields
from incident.actions.masked_changes import details_for_changes
from incident.case_file.journal import Journal
from incident.containment import release
from incident.containment.contain import contain_workload
from incident.containment.release import ReleaseRefused
from incident.containment.release_plan import ReleasePlan, plan_release
from incident.containment.request_and_result import ContainmentResult
from incident.investigation.workload_reader import read_workload
from incident.model import (
    Change,
    ChangeState,
    IncidentError,
    Json,
    Status,
    Verdict,
    Workload,
)
from incident.model.json_text import SCHEMA_VERSION
from incident.model.outcome import Outcome, ReportedDecision, ReportedWorkload
from incident.readiness.drill_plan import DrillPlan
from incident.response.records import containment_record, decision_record

_RECORD_TEXTS = {
    "snapshot": "snapshot stored",
    "written": "written",
    "verified": "verified",
    "unverified": "not verified",
    "annotated": "annotated",
}


async def run_drill(
    plan: DrillPlan, progress: Callable[[str], None] = lambda _: None
) -> DrillReport:
    """Contain, verify, release and compare, reporting each step to ``progress``.

    The containment of an interrupted drill is recorded: ``release`` with the drill's id ends it.
    If containing fails half-way, what was written is released. If a finding arrives meanwhile,
    the workload stays contained.

    Raises:
        Retry: The store does not answer.
        GiveUp: The store refuses.
    """
    run = DrillRun(plan, progress)
    try:
        await run.contain()
        await run.release()
        return await run.close()
    finally:
        await plan.close()


class DrillRun:
    """One drill, run in three steps.

    Attributes:
        report: The result so far.
    """

    def __init__(self, plan: DrillPlan, progress: Callable[[str], None] = lambda _: None) -> None:
        """Begin a drill; ``progress`` is called with a line for each step."""
        self._plan = plan
        self._progress = progress
        self._clock = plan.session.context.clock
        self._redactor = plan.redactor
        self._began = self._clock()
        self.report = DrillReport(
            plan.id,
            plan.workload.resource_name,
            plan.by,
            simulated=plan.session.context.simulated,
        )

    async def contain(self) -> None:
        """Store the snapshot, write, read back, annotate; record before and after."""
        session, assessed, report = self._plan.session, self._plan.assessed, self.report
        file = self._plan.case_file
        await file.begin({"workload": report.workload, "by": report.by})
        await file.add_record("decided", decision_record(assessed, self._redactor))
        try:
            result = await contain_workload(
                session.containment_request(assessed), session.containment_tools(assessed)
            )
        except IncidentError as error:
            self._problem(f"containing failed: {error}")
        else:
            report.status = result.status
            report.changes = tuple(
                redact_change(change, self._redactor) for change in result.changes
            )
            await self._report_records(result)
            await file.add_record("contained", containment_record(result, self._redactor))
            for text in containment_problems(result):
                self._problem(text)

    async def release(self) -> None:
        """Release the containment; if that is refused, report why and leave it."""
        drill_plan, cloud_run = self._plan, self._plan.session.ports.cloud_run
        try:
            plan = await plan_release(
                drill_plan.workload, drill_plan.containment_records, cloud_run
            )
            if plan.containment and drill_plan.id in plan.containment.incidents:
                await self._apply_release(plan)
            self.report.fully_released = True
            now = await read_workload(
                drill_plan.workload, details_for_changes(drill_plan.changes), cloud_run
            )
            self.report.differences = changed_fields(drill_plan.before, now)
            await self._report_joined_findings(plan)
        except IncidentError as error:
            self._problem(f"{error}. {await self._remaining_work()}")

    async def _apply_release(self, plan: ReleasePlan) -> None:
        drill_plan, name = self._plan, self._plan.workload.resource_name
        if plan.containment and plan.containment.incidents != {drill_plan.id}:
            raise ReleaseRefused(f"{name} was not released")
        if plan.differences:
            names = ", ".join(each.name for each in plan.differences)
            raise ReleaseRefused(f"somebody changed {names} of {name} during the drill")
        patience = drill_plan.session.context.verify_timeout
        options = release.ReleaseOptions(
            drill_plan.by, patience, self._redactor, self._release_step, only_incident=drill_plan.id
        )
        cloud_run = drill_plan.session.ports.cloud_run
        result = await release.carry_out_release(
            plan, drill_plan.containment_records, cloud_run, options
        )
        self.report.release_changes = tuple(
            redact_change(change, self._redactor) for change in result.changes
        )

    async def _remaining_work(self) -> str:
        """What the operator has to do after a failed release."""
        with contextlib.suppress(IncidentError):
            current = (await self._plan.containment_records.history()).current
            others = sorted(current.incidents - {self._plan.id}) if current else []
            if others:
                return (
                    f"A finding arrived during the drill: the workload stays contained, for"
                    f" {', '.join(others)}. Investigate it first; then release the workload:"
                    f" cloud-run-responder release {others[0]}"
                )
        return (
            f"To release the workload: cloud-run-responder release {self._plan.id}, with --force to"
            " overwrite what somebody changed"
        )

    async def _report_joined_findings(self, plan: ReleasePlan) -> None:
        """Report findings that joined the containment while it was released."""
        number = plan.containment.number if plan.containment else 0
        for ended in (await self._plan.containment_records.history()).containments:
            joined = sorted(ended.incidents - {self._plan.id})
            if ended.number == number and joined:
                self._problem(
                    "a finding arrived during the release, and its workload is no longer contained."
                    f" Run cloud-run-responder release {joined[0]}, so that its incident is"
                    f" updated, and then cloud-run-responder contain {joined[0]}"
                )

    async def close(self) -> DrillReport:
        """Record the result."""
        drill_plan, report = self._plan, self.report
        await drill_plan.case_file.finish(report.outcome(drill_plan.workload, drill_plan.reasons))
        return report

    async def _report_records(self, result: ContainmentResult) -> None:
        if result.containment_folder is None:
            return
        run_records = self._plan.session.records
        journal = Journal(
            run_records.store, result.containment_folder, run_records.run_id, run_records.clock
        )
        for record in await journal.records():
            if record.kind in _RECORD_TEXTS:
                self._step(_RECORD_TEXTS[record.kind], record.recorded_at)

    def _release_step(self, name: str) -> None:
        self._step(f"release: {name}", self._clock())

    def _step(self, name: str, at: datetime) -> None:
        at_ms = max(0, round((at - self._began).total_seconds() * 1000))
        self.report.steps.append((name, at_ms))
        self._progress(f"{at_ms / 1000:6.2f} s  {name}")

    def _problem(self, text: str) -> None:
        self.report.problems.append(self._redactor.text(text))


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


def containment_problems(result: ContainmentResult) -> list[str]:
    """Why the containment is not what was decided."""
    if not result.changes:
        return ["; ".join(reason.text for reason in result.decision.reasons)]
    return [
        f"{change.action} is {change.state.value}: {change.error}"
        for change in result.changes
        if change.state is not ChangeState.VERIFIED
    ]
