"""The whole enforcing road on a workload that a person names, and back again.

Contains and releases as ever: by the same reading, deciding, writing and verifying. What is missing
is the finding: nobody reports one, Security Command Center is neither asked nor told, nothing is
announced, and no hourly slot is taken.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime

from incident.actions.changes import redact_change
from incident.actions.fields import changed_fields
from incident.actions.plan import details_for_changes
from incident.case_file.journal import Journal
from incident.case_file.manifest_chain import try_extend_manifest_chain
from incident.containment import release
from incident.containment.enforce import contain_workload
from incident.containment.release import ReleaseRefused
from incident.containment.release_plan import ReleasePlan, plan_release
from incident.containment.types import ContainmentResult
from incident.investigation.workload_reader import read_workload
from incident.model import IncidentError
from incident.readiness.drill_plan import DrillPlan
from incident.readiness.drill_report import DrillReport, containment_problems
from incident.response.conclude import containment_record, decision_record

_RECORD_TEXTS = {
    "snapshot": "snapshot stored",
    "written": "written",
    "verified": "seen in effect",
    "unverified": "not seen in effect",
    "annotated": "annotated",
}


async def run_drill(
    plan: DrillPlan, progress: Callable[[str], None] = lambda _: None
) -> DrillReport:
    """Contain, verify, release and prove it, telling each step.

    Whoever is interrupted finds the containment on record: ``release`` with the drill's id ends it.
    Where containing fails half-way, what was written is given back all the same. Where a finding
    has come in meanwhile, the workload stays contained: then it is no drill any more.

    Raises:
        Retry: The store does not answer.
        GiveUp: It refuses.
    """
    run = DrillRun(plan, progress)
    try:
        await run.contain()
        await run.release()
        return await run.close()
    finally:
        await plan.close()


class DrillRun:
    """One drill being carried out, in three steps.

    Attributes:
        report: What it has come to so far.
    """

    def __init__(self, plan: DrillPlan, progress: Callable[[str], None] = lambda _: None) -> None:
        """Begin a drill; ``step`` is told of everything that is done."""
        self._plan = plan
        self._progress = progress
        self._clock = plan.session.context.clock
        self._redactor = plan.redactor
        self._began = self._clock()
        self.report = DrillReport(plan.id, plan.workload.resource_name, plan.by)

    async def contain(self) -> None:
        """Keep the before-image, write, read back, annotate; on record before and after."""
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
        """Release what we hold; what is in the way of that is told, and stays."""
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
            raise ReleaseRefused(f"{name} is not released")
        if plan.differences:
            names = ", ".join(each.name for each in plan.differences)
            raise ReleaseRefused(f"somebody changed {names} of {name} during the drill")
        patience = drill_plan.session.context.verify_timeout
        options = release.ReleaseOptions(
            drill_plan.by, patience, self._redactor, self._release_step, only_incident=drill_plan.id
        )
        cloud_run = drill_plan.session.ports.cloud_run
        changes = await release.carry_out_release(
            plan, drill_plan.containment_records, cloud_run, options
        )
        self.report.release_changes = tuple(
            redact_change(change, self._redactor) for change in changes
        )

    async def _remaining_work(self) -> str:
        """What is left to the person, once it is not released."""
        with contextlib.suppress(IncidentError):
            current = (await self._plan.containment_records.history()).current
            others = sorted(current.incidents - {self._plan.id}) if current else []
            if others:
                return (
                    f"A finding came in meanwhile: the workload stays contained, for"
                    f" {', '.join(others)}. Look at that first; python cli.py release {others[0]}"
                    " gives the workload back"
                )
        return (
            f"To give the workload back: python cli.py release {self._plan.id}, with --force to"
            " overwrite what somebody changed"
        )

    async def _report_joined_findings(self, plan: ReleasePlan) -> None:
        """A finding may have joined in the very moment of the release."""
        number = plan.containment.number if plan.containment else 0
        for ended in (await self._plan.containment_records.history()).containments:
            joined = sorted(ended.incidents - {self._plan.id})
            if ended.number == number and joined:
                self._problem(
                    "a finding came in at the moment of the release, and is not contained any"
                    f" more. Run python cli.py release {joined[0]}, so that its incident says so,"
                    f" and python cli.py contain {joined[0]}"
                )

    async def close(self) -> DrillReport:
        """Put the end on record."""
        drill_plan, report = self._plan, self.report
        await drill_plan.case_file.finish(report.outcome(drill_plan.workload, drill_plan.reasons))
        _, unlisted = await try_extend_manifest_chain(
            drill_plan.case_file.journal.store, drill_plan.case_file.folder
        )
        if unlisted:
            self._problem(unlisted)
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
