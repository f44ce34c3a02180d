"""The whole enforcing road on a workload that a person names, and back again.

Contains and releases as ever: by the same reading, deciding, writing and verifying. What is missing
is the finding: nobody reports one, Security Command Center is neither asked nor told, nothing is
announced, and no hourly slot is taken.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime

from incident.actions.compare import differences
from incident.actions.plan import needed_by
from incident.actions.redacted import told
from incident.case_file.journal import Journal
from incident.case_file.manifest_chain import close
from incident.containment import contain, release
from incident.containment.release import Refused
from incident.containment.release_plan import ReleasePlan, plan_release
from incident.containment.types import Result
from incident.investigation.workload_reader import look
from incident.model import IncidentError
from incident.readiness.drill_plan import Drill
from incident.readiness.drill_report import Report, problems_of
from incident.response.conclude import contained, decided

_STEPS = {
    "before": "before-image kept",
    "written": "written",
    "verified": "seen in effect",
    "unverified": "not seen in effect",
    "annotated": "annotated",
}


async def carry_out(drill: Drill, step: Callable[[str], None] = lambda _: None) -> Report:
    """Contain, verify, release and prove it, telling each step.

    Whoever is interrupted finds the containment on record: ``release`` with the drill's id ends it.
    Where containing fails half-way, what was written is given back all the same. Where a finding
    has come in meanwhile, the workload stays contained: then it is no drill any more.

    Raises:
        Retry: The store does not answer.
        GiveUp: It refuses.
    """
    exercise = Exercise(drill, step)
    try:
        await exercise.contain()
        await exercise.give_back()
        return await exercise.close()
    finally:
        await drill.close()


class Exercise:
    """One drill being carried out, in three steps.

    Attributes:
        report: What it has come to so far.
    """

    def __init__(self, drill: Drill, step: Callable[[str], None] = lambda _: None) -> None:
        """Begin a drill; ``step`` is told of everything that is done."""
        self._drill = drill
        self._say = step
        self._clock = drill.bench.standing.clock
        self._hide = drill.hide
        self._began = self._clock()
        self.report = Report(drill.id, drill.workload.resource_name, drill.by)

    async def contain(self) -> None:
        """Keep the before-image, write, read back, annotate; on record before and after."""
        bench, judged, report = self._drill.bench, self._drill.judged, self.report
        file = self._drill.file
        await file.begin({"workload": report.workload, "by": report.by})
        await file.note("decided", decided(judged, self._hide))
        try:
            result = await contain.contain(bench.scene(judged), bench.tools(judged))
        except IncidentError as error:
            self._problem(f"containing failed: {error}")
        else:
            report.status = result.status
            report.changes = tuple(told(change, self._hide) for change in result.changes)
            await self._steps_of(result)
            await file.note("contained", contained(result, self._hide))
            for text in problems_of(result):
                self._problem(text)

    async def give_back(self) -> None:
        """Release what we hold; what is in the way of that is told, and stays."""
        drill, run = self._drill, self._drill.bench.outside.run
        try:
            plan = await plan_release(drill.workload, drill.custody, run)
            if plan.containment and drill.id in plan.containment.incidents:
                await self._release(plan)
            self.report.given_back = True
            now = await look(drill.workload, needed_by(drill.changes), run)
            self.report.differs = differences(drill.before, now)
            await self._tell_others(plan)
        except IncidentError as error:
            self._problem(f"{error}. {await self._left()}")

    async def _release(self, plan: ReleasePlan) -> None:
        drill, name = self._drill, self._drill.workload.resource_name
        if plan.containment and plan.containment.incidents != {drill.id}:
            raise Refused(f"{name} is not released")
        if plan.differs:
            names = ", ".join(each.name for each in plan.differs)
            raise Refused(f"somebody changed {names} of {name} during the drill")
        patience = drill.bench.standing.verify_timeout
        given = release.Given(drill.by, patience, self._hide, self._released, only=drill.id)
        run = drill.bench.outside.run
        made = await release.carry_out(plan, drill.custody, run, given)
        self.report.released = tuple(told(change, self._hide) for change in made)

    async def _left(self) -> str:
        """What is left to the person, once it is not released."""
        with contextlib.suppress(IncidentError):
            current = (await self._drill.custody.history()).current
            others = sorted(current.incidents - {self._drill.id}) if current else []
            if others:
                return (
                    f"A finding came in meanwhile: the workload stays contained, for"
                    f" {', '.join(others)}. Look at that first; python cli.py release {others[0]}"
                    " gives the workload back"
                )
        return (
            f"To give the workload back: python cli.py release {self._drill.id}, with --force to"
            " overwrite what somebody changed"
        )

    async def _tell_others(self, plan: ReleasePlan) -> None:
        """A finding may have joined in the very moment of the release."""
        number = plan.containment.number if plan.containment else 0
        for ended in (await self._drill.custody.history()).containments:
            joined = sorted(ended.incidents - {self._drill.id})
            if ended.number == number and joined:
                self._problem(
                    "a finding came in at the moment of the release, and is not contained any"
                    f" more. Run python cli.py release {joined[0]}, so that its incident says so,"
                    f" and python cli.py contain {joined[0]}"
                )

    async def close(self) -> Report:
        """Put the end on record."""
        drill, report = self._drill, self.report
        await drill.file.finish(report.outcome(drill.workload, drill.reasons))
        _, unlisted = await close(drill.file.journal.store, drill.file.folder)
        if unlisted:
            self._problem(unlisted)
        return report

    async def _steps_of(self, result: Result) -> None:
        if result.folder is None:
            return
        books = self._drill.bench.books
        journal = Journal(books.store, result.folder, books.run, books.clock)
        for record in await journal.records():
            if record.kind in _STEPS:
                self._step(_STEPS[record.kind], record.recorded_at)

    def _released(self, name: str) -> None:
        self._step(f"release: {name}", self._clock())

    def _step(self, name: str, at: datetime) -> None:
        at_ms = max(0, round((at - self._began).total_seconds() * 1000))
        self.report.steps.append((name, at_ms))
        self._say(f"{at_ms / 1000:6.2f} s  {name}")

    def _problem(self, text: str) -> None:
        self.report.problems.append(self._hide.text(text))
