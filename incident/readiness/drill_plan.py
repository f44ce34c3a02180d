"""What a drill would write to a workload that a person names. Writes nothing.

Reads and decides as for a finding, by the same guards. What is missing is the finding: nobody
reports one, so Security Command Center is not asked.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime

from incident.case_file.case_file import CaseFile
from incident.case_file.containments import Custody
from incident.case_file.index import DRILLS
from incident.containment.release import Refused
from incident.decision.assess import Judgement
from incident.decision.context import Standing
from incident.decision.guards import drilling
from incident.decision.inputs import Core, Place, read_place, with_needs
from incident.model import (
    Change,
    Finding,
    InvalidPolicy,
    Mode,
    Notification,
    Settings,
    Verdict,
    Workload,
)
from incident.notification.synthetic_finding import DRILL, hypothetical
from incident.policy.resolve import CATEGORY, Policy
from incident.redaction.redactor import Redactor
from incident.response.context import Outside
from incident.response.session import Bench, read_policy

_BYTES = 12


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
        """Why these; redacted."""
        return tuple(self.hide.text(reason.text) for reason in self.judged.decision.reasons)

    @property
    def hide(self) -> Redactor:
        """Redacts what is told of it."""
        return self.bench.redactor(self.judged.evidence)

    @property
    def custody(self) -> Custody:
        """The workload's containments."""
        return self.bench.books.custody(self.workload)

    async def close(self) -> None:
        """Stop whatever is still being read."""
        await self.bench.close()


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
    claim = _claim(_named(workload, settings), settings, policy, standing.clock())
    standing = replace(standing, attendance=drilling(by))
    route = standing.route(Notification(claim, deleted=False))
    bench = Bench.make(claim, route, standing, outside)
    try:
        return await _propose(bench, policy, by)
    except BaseException:
        await bench.close()
        raise


def _claim(workload: Workload, settings: Settings, policy: Policy, now: datetime) -> Finding:
    """The finding that nobody reported: of our own category, unless the policy leaves that out."""
    named = [each for each in (CATEGORY, *policy.categories) if each in policy.categories]
    category = (*named, CATEGORY)[0]
    identity = DRILL + secrets.token_hex(_BYTES)
    claim = hypothetical(workload, identity, category, now, sources=tuple(policy.sources))
    return replace(claim, revision=settings.latest_ready_revision or None)


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


def _named(workload: Workload, settings: Settings) -> Workload:
    """The workload by its project's id, as findings name it, where Cloud Run's answer tells it."""
    answered = settings.name.split("/")[1]
    if workload.project_id or answered.isdigit():
        return workload
    return replace(workload, project_id=answered)


def _refused(workload: Workload, why: str) -> Refused:
    return Refused(f"cannot drill on {workload.resource_name}: {why}")
