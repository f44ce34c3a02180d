"""The whole enforcing road on a workload that a person names, and back again.

Contains and releases as ever: by the same reading, deciding, writing and verifying. What is missing
is the finding: nobody reports one, Security Command Center is neither asked nor told, nothing is
announced, and no hourly slot is taken.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from incident import contain, release
from incident.bench import Bench, read_policy
from incident.cases import DRILLS
from incident.chain import close
from incident.conclude import contained, decided
from incident.containment import needed_by
from incident.core import Core, Place, read_place, with_needs
from incident.custody import Custody
from incident.fields import normal, targets
from incident.guards import drilling
from incident.hypothetical import DRILL, hypothetical
from incident.images import change_json
from incident.journal import SCHEMA_VERSION, Journal
from incident.judge import Judgement
from incident.look import look
from incident.model import (
    Change,
    ChangeState,
    IncidentError,
    InvalidPolicy,
    Json,
    JsonObject,
    Mode,
    Notification,
    Settings,
    Status,
    Verdict,
    Workload,
)
from incident.policy import CATEGORY, Policy
from incident.record import CaseFile
from incident.release import Refused
from incident.release_plan import ReleasePlan, plan_release
from incident.scene import Result
from incident.standing import Outside, Standing

_BYTES = 12
_STEPS = {
    "before": "before-image kept",
    "written": "written",
    "verified": "seen in effect",
    "unverified": "not seen in effect",
    "annotated": "annotated",
}


@dataclass(frozen=True, slots=True)
class Drill:
    """A drill as it is proposed; nothing is written yet.

    Attributes:
        bench: What it is worked on with; to be closed.
        judged: What was read and decided.
        before: The workload as it was read, with all that its changes touch.
        file: Its case file.
        by: Who drills.
    """

    bench: Bench
    judged: Judgement
    before: Settings
    file: CaseFile
    by: str

    @property
    def id(self) -> str:
        """The drill's id: whoever is interrupted releases it by that."""
        return self.bench.claim.incident_id

    @property
    def workload(self) -> Workload:
        """What is stopped and given back."""
        workload = self.judged.core.place.workload
        assert workload is not None  # noqa: S101 - it was named
        return workload

    @property
    def changes(self) -> tuple[Change, ...]:
        """What will be written."""
        return self.judged.decision.changes

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why these."""
        return tuple(reason.text for reason in self.judged.decision.reasons)

    @property
    def custody(self) -> Custody:
        """The workload's containments."""
        return self.bench.books.custody(self.workload)

    async def close(self) -> None:
        """Stop whatever is still being read."""
        await self.bench.close()


@dataclass(slots=True)
class Report:
    """What a drill came to.

    Attributes:
        drill: Its id.
        workload: Resource name.
        by: Who drilled.
        status: What containing came to; None where that failed.
        changes: The writes that contained it, each with how far it came.
        released: The writes that gave it back.
        given_back: Whether nothing of ours holds it any more.
        differs: What is not as it was before, by name.
        steps: What was done, each with the milliseconds since the beginning.
        problems: What went wrong; empty after a good drill.
    """

    drill: str
    workload: str
    by: str
    status: Status | None = None
    changes: tuple[Change, ...] = ()
    released: tuple[Change, ...] = ()
    given_back: bool = False
    differs: tuple[str, ...] = ()
    steps: list[tuple[str, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether all of it was seen in effect, and all of it is as before."""
        held = self.status in (Status.CONTAINED, Status.RESTRICTED)
        return held and self.given_back and not self.differs and not self.problems

    @property
    def json(self) -> dict[str, Json]:
        """The same for scripts, and for the record."""
        return {
            "schema_version": SCHEMA_VERSION,
            "drill": self.drill,
            "workload": self.workload,
            "by": self.by,
            "result": "passed" if self.good else "failed",
            "contained": self.status.value if self.status else None,
            "changes": [change_json(change) for change in self.changes],
            "released": [change_json(change) for change in self.released],
            "given_back": self.given_back,
            "differs": [*self.differs],
            "steps": [{"step": name, "at_ms": at_ms} for name, at_ms in self.steps],
            "problems": [*self.problems],
        }


async def prepare(workload: Workload, standing: Standing, outside: Outside, by: str) -> Drill:
    """What a drill would write, for settings and policy read now. Writes nothing.

    Raises:
        Refused: The workload is not drilled on; says why.
        Retry: Time may heal it.
        GiveUp: Something cannot be read.
    """
    policy = await read_policy(outside)
    if isinstance(policy, InvalidPolicy):
        raise _refused(workload, str(policy))
    settings = await outside.run.settings(workload)
    workload = _named(workload, settings)
    named = [each for each in (CATEGORY, *policy.categories) if each in policy.categories]
    category = (*named, CATEGORY)[0]
    identity, now, pinned = DRILL + secrets.token_hex(_BYTES), standing.clock(), policy.sources
    claim = hypothetical(workload, identity, category, now, sources=tuple(pinned))
    claim = replace(claim, revision=settings.latest_ready_revision or None)
    standing = replace(standing, attendance=drilling(by))
    route = standing.route(Notification(claim, config_name="", deleted=False))
    bench = Bench.make(claim, route, standing, outside)
    try:
        return await _propose(bench, policy, by)
    except BaseException:
        await bench.close()
        raise


async def _propose(bench: Bench, policy: Policy, by: str) -> Drill:
    place = await read_place(bench.claim.workload, bench.sources, bench.books)
    place = await with_needs(place, bench.claim, policy, bench.outside.run)
    if place.refused:
        raise place.refused
    file = await bench.books.case(f"{DRILLS}/{bench.claim.incident_id}")
    core = Core(file, file, file, policy, record=None, refused=None, place=place)
    judged = bench.judge.unreported(core)
    _check(judged, place, bench.standing)
    assert place.settings is not None  # noqa: S101 - it was read
    return Drill(bench, judged, place.settings, file, by)


def _check(judged: Judgement, place: Place, standing: Standing) -> None:
    """Refuse what cannot be drilled on.

    Raises:
        Refused: Why.
    """
    workload, decision = place.workload, judged.decision
    assert workload is not None  # noqa: S101 - it was named
    if current := place.history.current:
        holding = ", ".join(sorted(current.incidents)) or current.folder
        raise _refused(workload, f"we hold it already, for {holding}. Release that first")
    if decision.verdict is not Verdict.CONTAIN:
        raise _refused(workload, "; ".join(reason.text for reason in decision.reasons))
    if decision.mode is not Mode.ENFORCE:
        raise _refused(workload, standing.ceiling_reason)
    if not decision.changes:
        text = "it is already as the policy's actions want it, so that a drill would prove nothing"
        raise _refused(workload, text)
    lost = [change.action for change in decision.changes if not change.reversible]
    if lost:
        raise _refused(workload, f"{lost[0]} cannot be taken back")


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
        self._began = self._clock()
        self.report = Report(drill.id, drill.workload.resource_name, drill.by)

    async def contain(self) -> None:
        """Keep the before-image, write, read back, annotate; on record before and after."""
        bench, judged, report = self._drill.bench, self._drill.judged, self.report
        file = self._drill.file
        await file.begin({"workload": report.workload, "by": report.by})
        await file.note("decided", decided(judged, bench.standing))
        try:
            result = await contain.contain(bench.scene(judged), bench.tools(judged))
        except IncidentError as error:
            self._problem(f"containing failed: {error}")
        else:
            report.status, report.changes = result.status, result.changes
            await self._steps_of(result)
            await file.note("contained", contained(judged, result, bench.standing))
            for text in _lacking(result):
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
        given = release.Given(drill.by, patience, self._released, only=drill.id)
        run = drill.bench.outside.run
        self.report.released = await release.carry_out(plan, drill.custody, run, given)

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
        report = self.report
        # Words of incidents, so that whoever reads the case file by them understands.
        held = report.status.value if report.status else Status.FAILED.value
        status = Status.RELEASED.value if report.given_back and report.released else held
        workload = self._drill.workload
        place: JsonObject = {
            "kind": workload.kind.value,
            "project": workload.project,
            "project_number": workload.project_number,
            "location": workload.location,
            "name": workload.name,
            "resource_name": workload.resource_name,
        }
        decision: JsonObject = {"verdict": "contain", "reasons": [*self._drill.reasons]}
        outcome = {
            **report.json,
            "incident": report.drill,
            "status": status,
            "workload": place,
            "decision": decision,
        }
        file = self._drill.file
        await file.finish(outcome)
        _, unlisted = await close(file.journal.store, file.folder)
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
        self.report.problems.append(self._drill.bench.standing.redactor().text(text))


def differences(before: Settings, after: Settings) -> tuple[str, ...]:
    """What is not as it was: every field that we may touch, and the template, which we never do."""
    found: list[str] = []
    for name in sorted({*before.fields, *after.fields} - {"annotations"}):
        values = [settings.fields.get(name) for settings in (before, after)]
        if name == "traffic":
            same = targets(values[0]) == targets(values[1])
        else:
            same = normal(name, values[0], before.kind) == normal(name, values[1], before.kind)
        if not same:
            found.append(name)
    rest = ("uid", "labels", "annotations", "template")
    found += [name for name in rest if getattr(before, name) != getattr(after, name)]
    raw = [settings.access.raw if settings.access else () for settings in (before, after)]
    if normal("bindings", raw[0]) != normal("bindings", raw[1]):
        found.append("bindings")
    return tuple(found)


def _lacking(result: Result) -> list[str]:
    """Why containing did not come to what was decided."""
    if not result.changes:
        return ["; ".join(reason.text for reason in result.decision.reasons)]
    return [
        f"{change.action} is {change.state.value}: {change.error}"
        for change in result.changes
        if change.state is not ChangeState.VERIFIED
    ]


def _named(workload: Workload, settings: Settings) -> Workload:
    """The workload by its project's id, as findings name it, where Cloud Run's answer tells it."""
    answered = settings.name.split("/")[1]
    if workload.project_id or answered.isdigit():
        return workload
    return replace(workload, project_id=answered)


def _refused(workload: Workload, why: str) -> Refused:
    return Refused(f"cannot drill on {workload.resource_name}: {why}")
