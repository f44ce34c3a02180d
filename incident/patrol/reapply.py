"""Containing anew what somebody has undone: as often as the policy says, and as it says now.

Everything is decided and written as for a new finding; what is added is the bound.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from incident.actions.before_image import Image
from incident.case_file.containments import Containment
from incident.case_file.index import Cases
from incident.case_file.journal import Journal, Record, Store
from incident.containment import contain
from incident.containment.types import Result
from incident.containment.undo import heed_release
from incident.decision.assess import Judgement
from incident.decision.context import Standing
from incident.decision.guards import Attendance, Objection
from incident.model import (
    Finding,
    GiveUp,
    IncidentError,
    InvalidPolicy,
    Mode,
    Notification,
    Reason,
    Retry,
    Verdict,
    Workload,
)
from incident.redaction.errors import told_error
from incident.response.context import Outside
from incident.response.reopen import reopen
from incident.response.session import Bench

#: The finding was young when it was contained; that it is older now speaks for nothing.
ATTENDANCE = Attendance(by="patrol", waived=frozenset({"young_enough"}))
#: No patrol works longer: whoever claimed a re-application longer ago is not at it any more.
_PEER = timedelta(minutes=5)
_MOST_FINDINGS = 3


@dataclass(frozen=True, slots=True)
class Reapplied:
    """What became of a re-application.

    Attributes:
        result: What containing came to; None where it was not tried.
        text: The same, or why it was not tried, for people.
        withdrawn: Whether our own write was taken back, for a release.
    """

    result: Result | None
    text: str
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Bound:
    """How often one containment was applied again, as create-only claims beside its records.

    Attributes:
        journal: The claims; its run is who claims.
    """

    journal: Journal

    async def against(self, limit: int) -> str | None:
        """Why it may not be applied again now; None when it may.

        Raises:
            Retry: The store does not answer.
        """
        return self._against(await self.journal.records(), limit)

    async def claim(self, limit: int) -> str | None:
        """Take one of the re-applications that the limit allows, or say why there is none.

        A claim is used up by whoever makes it, also by a process that dies then: the bound
        holds whatever happens.

        Raises:
            Retry: The store does not answer.
        """
        claims = await self.journal.records()
        if any(claim.run == self.journal.run for claim in claims):
            return None
        against = self._against(claims, limit)
        if against is None and not await self.journal.claim(len(claims) + 1, "claimed", {}):
            return "another patrol is applying it again at this moment"
        return against

    def _against(self, claims: tuple[Record, ...], limit: int) -> str | None:
        if limit == 0:
            return "the policy's reapply_limit is 0: the patrol only tells"
        if len(claims) >= limit:
            return f"it was applied again {len(claims)} times, the policy's reapply_limit"
        if claims and self.journal.clock() - claims[-1].recorded_at < _PEER:
            return "another patrol has applied it again a moment ago"
        return None


def claims_of(folder: str, store: Store, run: str, clock: Callable[[], datetime]) -> Journal:
    """The journal of a containment's re-applications, beside its records."""
    return Journal(store, f"{folder}/reapplications", run, clock)


class Reapplication:
    """Re-applies containments that were undone."""

    def __init__(self, standing: Standing, outside: Outside) -> None:
        self._standing = replace(standing, attendance=ATTENDANCE)
        self._outside = outside

    async def attempt(self, containment: Containment, image: Image, limit: int) -> Reapplied:
        """Contain the workload of an undone containment again, if policy and guards want it.

        Args:
            containment: What was undone.
            image: The image of the write that was undone; its incident is taken up again.
            limit: The policy's ``reapply_limit``, read a moment ago.

        Raises:
            Retry: Time may heal it.
            GiveUp: It will not.
        """
        journal = self._claims(containment.folder, "")
        against = await Bound(journal).against(limit)
        if against:
            return Reapplied(None, against)
        others = sorted(containment.incidents - {image.incident}, reverse=True)
        claim, why = await self._claim_of((image.incident, *others)[:_MOST_FINDINGS])
        if claim is None:
            return Reapplied(None, why)
        notification = Notification(replace(claim, mute=""), deleted=False)
        route = self._standing.route(notification)
        bench = Bench.make(claim, route, self._standing, self._outside)
        try:
            judged = bench.judge.judge(await bench.core())
            against = _declined(judged, containment)
            if against:
                return Reapplied(None, against)
            return await self._contain(bench, judged, containment)
        except IncidentError as error:
            told_error(error, bench.redactor())
            raise
        finally:
            bench.seen.close()

    def _claims(self, folder: str, run: str) -> Journal:
        return claims_of(folder, self._outside.store, run, self._standing.clock)

    async def _claim_of(self, incidents: Iterable[str]) -> tuple[Finding | None, str]:
        """The claim of the first incident that can be taken up again, or why none can."""
        why = "no incident refers to it"
        for incident in incidents:
            try:
                case = await Cases(self._outside.store).one(incident)
                return await reopen(case, self._outside.security_center), ""
            except Retry:
                raise
            except GiveUp as error:
                why = str(error)
        return None, why

    async def _contain(
        self, bench: Bench, judged: Judgement, containment: Containment
    ) -> Reapplied:
        """Contain, bounded; and look right after it whether a release has begun meanwhile."""
        scene, tools = bench.scene(judged), bench.tools(judged)
        bound = Bound(self._claims(containment.folder, bench.books.run))
        bounded = replace(tools, claim_slot=_bounded(tools.claim_slot, bound, bench))
        try:
            result = await contain.contain(scene, bounded)
        except IncidentError:
            await self._heed_release(bench, scene.workload, containment)
            raise
        text = await self._heed_release(bench, scene.workload, containment)
        if text:
            return Reapplied(result, f"a person is releasing it: the patrol {text}", withdrawn=True)
        return Reapplied(result, _told(result))

    async def _heed_release(
        self, bench: Bench, workload: Workload, containment: Containment
    ) -> str | None:
        """Take our own write back if a person has begun to release the containment."""
        custody = bench.books.custody(workload)
        return await heed_release(containment.number, custody, self._outside.run)


def _bounded(
    claim_slot: Callable[[], Awaitable[Objection | None]], bound: Bound, bench: Bench
) -> Callable[[], Awaitable[Objection | None]]:
    """The hourly slots, and after them one of the re-applications that the policy allows now."""

    async def claim() -> Objection | None:
        objection = await claim_slot()
        if objection:
            return objection
        policy = await bench.policy()
        if isinstance(policy, InvalidPolicy):
            return Objection(Reason(str(policy), "policy"), alarm=True)
        against = await bound.claim(policy.reapply_limit)
        return Objection(Reason(against, "policy"), alarm=True) if against else None

    return claim


def _declined(judged: Judgement, containment: Containment) -> str | None:
    """Why what was decided now is not to contain it again; None if it is."""
    decision, place = judged.decision, judged.core.place
    current = place.history.current
    if judged.route.verdict is Verdict.IGNORE:
        return f"the finding is none to act on any more: {judged.route.reason}"
    if current is None or current.folder != containment.folder or place.settings is None:
        return "it is not what holds the workload any more"
    if decision.verdict is not Verdict.CONTAIN:
        return "; ".join(reason.text for reason in decision.reasons)
    if decision.mode is not Mode.ENFORCE:
        reasons = [r.text for r in decision.reasons if r.evidence == "environment"]
        return "; ".join([f"the mode that applies to it is {decision.mode.value}", *reasons])
    if not decision.changes:
        return "policy and guards want no more than what still holds"
    return None


def _told(result: Result) -> str:
    if result.status.value == "held":
        return "; ".join(reason.text for reason in result.decision.reasons)
    return f"applied again: {result.status.value}"
