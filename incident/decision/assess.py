"""What is made of what was read: which record counts, which responder answers, what to do.

Decides with ``decide.py``; what is asked here is by which evidence, and whether at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from incident.case_file.case_file import CaseFile
from incident.case_file.containments import History
from incident.decision.context import Standing
from incident.decision.decide import decide, finishing
from incident.decision.guards import CONFIRMATION_WINDOW, Circumstances
from incident.decision.inputs import Core, Place, gated
from incident.investigation.virustotal import Reputations
from incident.model import (
    Decision,
    Evidence,
    Finding,
    Gap,
    InvalidPolicy,
    Notification,
    Reason,
    Retry,
    Route,
    Settings,
    Verdict,
)
from incident.policy.resolve import Policy

# A clock may be a little behind the one that stamped the event.
_SKEW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was read, and what is to be done about it.

    Attributes:
        core: What was read.
        route: Which responder answers, by SCC's own record where there is one.
        evidence: What the decision was made of.
        decision: What is to be done.
        finishing: Whether only what our own write began is to be finished.
    """

    core: Core
    route: Route
    evidence: Evidence
    decision: Decision
    finishing: bool = False


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges one claim.

    Attributes:
        claim: What the notification says.
        route: Which responder answers the claim.
        standing: What holds for every incident.
        policy: Reads the policy as it is now.
        reputations: What VirusTotal says.
    """

    claim: Finding
    route: Route
    standing: Standing
    policy: Callable[[], Awaitable[Policy | InvalidPolicy]]
    reputations: Reputations

    def judge(self, core: Core) -> Judgement:
        """Judge by what SCC itself says, unless our own write is only to be finished.

        Raises:
            Retry: SCC does not list the finding, and the finding is young.
        """
        evidence = self._evidence(core)
        finish = self._finishing(core.place)
        if finish is None:
            self._await_confirmation(core)
            self._await_drill(core.place)
        route = self._by_record(core)
        decision = self._decide(core, evidence, route)
        if finish and not _wants_more(decision):
            decision, route = _as_decided(finish, core.enforced), self.route
        return Judgement(core, route, evidence, decision, finishing=finish is not None)

    def unreported(self, core: Core) -> Judgement:
        """Judge a workload that a person names for a drill: nobody reported anything about it."""
        evidence = self._evidence(core)
        return Judgement(core, self.route, evidence, self._decide(core, evidence, self.route))

    async def again(self, judged: Judgement, settings: Settings, history: History) -> Decision:
        """Policy and guards once more, for settings and history read again.

        VirusTotal's answer is the one that there is already; only a policy that has come to gate
        on it in between is waited for.

        Raises:
            Retry: The policy cannot be read now, or a drill is being taken back.
        """
        place = judged.core.place
        policy = await self.policy()
        known = judged.evidence.reputation
        known = known or await gated(judged.core.record, policy, self.reputations)
        now = replace(judged.evidence, settings=settings, reputation=known)
        circumstances = self._circumstances(place, history)
        decision = decide(now, judged.route, policy, circumstances)
        place = replace(place, settings=settings, history=history)
        finish = self._finishing(place)
        if finish is None:
            self._await_drill(place)
        if finish is None or _wants_more(decision):
            return decision
        made = judged.decision
        return replace(finish, rule=made.rule, reasons=made.reasons + finish.reasons)

    def _finishing(self, place: Place) -> Decision | None:
        """The decision, if an earlier delivery of this incident wrote and its write stands."""
        if place.workload is None:
            return None
        return finishing(self.claim.incident_id, place.settings, place.history)

    def _await_confirmation(self, core: Core) -> None:
        """A finding may reach us before SCC lists it; a young one is worth another look."""
        age = self.standing.clock() - self.claim.event_time
        if core.record is None and core.refused is None and -_SKEW <= age < CONFIRMATION_WINDOW:
            raise Retry(
                f"cannot confirm finding {self.claim.canonical_name}: Security Command Center"
                " does not list it yet; a redelivery looks again until it is five minutes old"
            )

    def _await_drill(self, place: Place) -> None:
        """A drill that is being given back is over in seconds: no reason to hold a finding."""
        current = place.history.current
        age = self.standing.clock() - self.claim.event_time
        drill = current is not None and current.releasing and current.drill
        if drill and age < CONFIRMATION_WINDOW:
            raise Retry(
                f"cannot decide on {self.claim.canonical_name}: a drill on its workload is being"
                " taken back at this moment; a redelivery looks again until the finding is five"
                " minutes old"
            )

    def _by_record(self, core: Core) -> Route:
        """SCC's own record is the truth; the claim counts only where there is no record."""
        if core.record is None:
            return self.route
        return self.standing.route(Notification(core.record, deleted=False))

    def _evidence(self, core: Core) -> Evidence:
        finding = _filled(core.record, self.claim) if core.record else self.claim
        place = core.place
        gaps = []
        if core.refused:
            gaps.append(Gap("security-center", str(core.refused)))
        if place.refused:
            gaps.append(Gap("settings", str(place.refused)))
        confirmed = core.record is not None
        claim = self.claim if confirmed else None
        return Evidence(
            finding,
            confirmed,
            place.settings,
            reputation=core.reputation,
            gaps=tuple(gaps),
            claim=claim,
        )

    def _decide(self, core: Core, evidence: Evidence, route: Route) -> Decision:
        """The decision, or the refusal that stands in for one."""
        circumstances = self._circumstances(core.place, core.place.history)
        decision = decide(evidence, route, core.policy, circumstances)
        refusal = core.refused or (core.place.refused if evidence.confirmed else None)
        if refusal is None or route.verdict is Verdict.HOLD:
            return decision
        return replace(
            decision,
            verdict=Verdict.HOLD,
            reasons=(Reason(str(refusal), "outside"),),
            changes=(),
            failed=True,
            barred=(),  # what refused is to be mended first, and says how
        )

    def _circumstances(self, place: Place, history: History) -> Circumstances:
        standing = self.standing
        return Circumstances(
            now=standing.clock(),
            ceiling=standing.ceiling,
            ceiling_reason=standing.ceiling_reason,
            ourselves=standing.ourselves,
            history=history,
            slots=place.slots,
            folder=place.folder,
            attendance=standing.attendance,
        )


def _wants_more(decision: Decision) -> bool:
    """Whether policy and guards still want what is missing of our own write.

    If not, what was done is only finished, whatever they say by now.
    """
    return decision.enforces and bool(decision.changes)


def _as_decided(finish: Decision, case: CaseFile) -> Decision:
    """The decision to finish, with the rule and the reasons that the write was made for."""
    for record in reversed(case.earlier):
        reasons = record.body.get("reasons")
        if record.kind == "decided" and isinstance(reasons, list):
            before = tuple(Reason(str(text), "case-file") for text in reasons)
            rule = record.body.get("rule")
            known = rule if isinstance(rule, str) else None
            return replace(finish, rule=known, reasons=before + finish.reasons)
    return finish


def _filled(record: Finding, claim: Finding) -> Finding:
    """SCC's record, and of the process what the notification alone tells: nothing decides by it."""
    return replace(
        record,
        processes=record.processes or claim.processes,
        virustotal_url=(record if record.processes else claim).virustotal_url,
        containers=record.containers or claim.containers,
        contacts=record.contacts or claim.contacts,
        description=record.description or claim.description,
        urls=record.urls or claim.urls,
        connection=record.connection or claim.connection,
    )
