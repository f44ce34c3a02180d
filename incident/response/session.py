"""One incident's workbench: what it is read from, judged by and contained with.

A delivery works at it, and so does whoever takes an incident up again: a person, or the patrol.
In which order things are done does not belong here.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from incident.actions.plan import needed_for
from incident.case_file.containments import History
from incident.case_file.recording_store import witness
from incident.containment.types import Scene, Tools
from incident.decision.assess import Judge, Judgement
from incident.decision.context import Standing
from incident.decision.guards import Objection
from incident.decision.inputs import Books, Core, look_again, read_core
from incident.investigation.collect import Sources
from incident.investigation.virustotal import Reputations
from incident.investigation.workload_reader import Looking, Shared, complete
from incident.model import (
    Decision,
    Evidence,
    File,
    Finding,
    GiveUp,
    InvalidPolicy,
    Notification,
    Reason,
    Route,
    Settings,
    Workload,
)
from incident.policy.resolve import Policy, parse_policy
from incident.redaction.redactor import Redactor
from incident.response.context import Outside


@dataclass(frozen=True, slots=True)
class Bench:
    """What one run of one incident works with; to be closed when the run is over.

    Attributes:
        claim: The finding as it was notified, or as it is taken up again.
        standing: What holds for every incident.
        outside: Everything outside.
        seen: Cloud Run as this run reads it.
        sources: Where evidence comes from.
        books: Where records are kept.
        judge: Judges the claim.
        reputations: What VirusTotal says.
    """

    claim: Finding
    standing: Standing
    outside: Outside
    seen: Shared
    sources: Sources
    books: Books
    judge: Judge
    reputations: Reputations

    @staticmethod
    def make(claim: Finding, route: Route, standing: Standing, outside: Outside) -> Bench:
        """A workbench for one run, whose store remembers what the run creates."""
        outside = replace(outside, store=witness(outside.store))
        seen = Shared(outside.run)
        reputations = Reputations(outside.virustotal, lambda finding: _suspected(finding, standing))
        run, findings, logs = outside.run, outside.security_center, outside.logging
        return Bench(
            claim=claim,
            standing=standing,
            outside=outside,
            seen=seen,
            sources=Sources(findings, seen, run, logs, reputations),
            books=Books(outside.store, secrets.token_hex(6), standing.clock),
            judge=Judge(claim, route, standing, lambda: read_policy(outside), reputations),
            reputations=reputations,
        )

    async def close(self) -> None:
        """Stop whatever is still being asked."""
        self.seen.close()
        await self.reputations.close()

    def redactor(self, evidence: Evidence | None = None) -> Redactor:
        """Redacts what is known by now: from the evidence, and from all that was read besides."""
        return self.standing.redactor(evidence or Evidence(self.claim), self.seen.secrets)

    async def policy(self) -> Policy | InvalidPolicy:
        """The policy as it is now, or why there is none to be had.

        Raises:
            Retry: It cannot be read now; time may heal it.
        """
        return await read_policy(self.outside)

    async def core(self) -> Core:
        """Everything that a decision waits for, for whoever does nothing else meanwhile.

        Raises:
            Retry: Something does not answer; time may heal it.
            GiveUp: A record of ours cannot be read.
        """
        folder = f"incidents/{self.claim.incident_id}"
        case = self.books.case(folder)
        core = await read_core(self.claim, case, self.policy(), self.sources, self.books)
        place = core.place
        if place.workload is None or place.settings is None:
            return core
        try:
            settings = await self._with_named(place.settings, place.workload, self.seen)
        except GiveUp as error:
            return replace(core, place=replace(place, refused=error))
        return replace(core, place=replace(place, settings=settings))

    async def _with_named(self, settings: Settings, workload: Workload, run: Looking) -> Settings:
        """The settings with all that the actions need that a person names, if any."""
        named = self.standing.attendance.steps if self.standing.attendance else ()
        return await complete(settings, workload, needed_for(named, workload.kind), run)

    def scene(self, judged: Judgement) -> Scene:
        """What containing begins with; there must be a workload and its settings."""
        place = judged.core.place
        assert place.workload is not None  # noqa: S101 - only a workload is contained
        assert place.settings is not None  # noqa: S101 - as it was read
        return Scene(
            incident=self.claim.incident_id,
            finding=judged.evidence.finding,
            workload=place.workload,
            settings=place.settings,
            history=place.history,
            decision=judged.decision,
        )

    def tools(self, judged: Judgement) -> Tools:
        """What containing is done with."""
        place = judged.core.place
        workload = place.workload
        assert workload is not None  # noqa: S101 - only a workload is contained
        custody = self.books.custody(workload)
        slots = self.books.slots(workload)

        async def decide_again(settings: Settings, history: History) -> Decision:
            return await self.judge.again(judged, settings, history)

        async def look() -> tuple[Settings, History]:
            finding = judged.evidence.finding
            run = self.outside.run
            settings, history = await look_again(place, finding, self.policy, run, custody)
            return await self._with_named(settings, workload, run), history

        async def claim_slot() -> Objection | None:
            if self.standing.attendance and self.standing.attendance.unbounded:
                return None
            policy = await self.policy()
            if isinstance(policy, InvalidPolicy):
                return Objection(Reason(str(policy), "policy"), alarm=True)
            return await slots.claim(place.folder, policy.guards, place.slots)

        return Tools(
            run=self.outside.run,
            custody=custody,
            look_again=look,
            decide_again=decide_again,
            claim_slot=claim_slot,
            clock=self.standing.clock,
            verify_timeout=self.standing.verify_timeout,
            peer_wait=self.standing.peer_wait,
        )


def _suspected(finding: Finding, standing: Standing) -> File | None:
    """The file that the finding's responder suspects: of a script, not the shell that ran it."""
    responder = standing.route(Notification(finding, deleted=False)).responder
    return (responder.suspect(finding) if responder else finding.suspect).file


async def read_policy(outside: Outside) -> Policy | InvalidPolicy:
    """The policy as it is now, or why there is none to be had.

    Raises:
        Retry: It cannot be read now; time may heal it.
    """
    source = outside.policy
    try:
        return parse_policy(await source.read(), source=source.url)
    except InvalidPolicy as error:
        return error
    except GiveUp as error:
        return InvalidPolicy(str(error))
