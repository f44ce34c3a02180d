"""What the decision waits for, read side by side: records, policy, SCC's record, settings.

Says what was read; judging it is for others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from incident.actions import plan
from incident.case_file.case_file import CaseFile, open_case
from incident.case_file.containments import Custody, History
from incident.case_file.journal import Store
from incident.decision.guards import Slots
from incident.decision.rate_limit import SlotBook
from incident.investigation.collect import Sources, confirm
from incident.investigation.virustotal import Reputations
from incident.investigation.workload_reader import Looking, complete
from incident.model import Finding, GiveUp, InvalidPolicy, Mode, Reputation, Settings, Workload
from incident.model.concurrency import together
from incident.policy.resolve import Policy, Subject, resolve


@dataclass(frozen=True, slots=True)
class Books:
    """Where this run's records are.

    Attributes:
        store: Where everything is.
        run: Names this run in the records that it writes.
        clock: Tells the time.
    """

    store: Store
    run: str
    clock: Callable[[], datetime]

    async def case(self, folder: str) -> CaseFile:
        """The case file in a folder, such as ``incidents/…``."""
        return await open_case(self.store, folder, self.run, self.clock)

    def custody(self, workload: Workload) -> Custody:
        """A workload's containments."""
        return Custody(self.store, workload, self.run, self.clock)

    def slots(self, workload: Workload) -> SlotBook:
        """This hour's slots, as a workload sees them."""
        return SlotBook(self.store, workload, self.run, self.clock)


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of one workload.

    Attributes:
        workload: Which it is; None where the finding names none.
        settings: Its settings, with all that its actions need; None where there are none to
            read, or they cannot be read.
        refused: Why the settings cannot be read, for good.
        history: Its containments.
        slots: This hour's slots, as it sees them.
        folder: The containment that a write made now belongs to.
    """

    workload: Workload | None = None
    settings: Settings | None = None
    refused: GiveUp | None = None
    history: History = History()  # noqa: RUF009 - frozen and empty
    slots: Slots = Slots()  # noqa: RUF009 - frozen and empty
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Core:
    """What was read.

    Attributes:
        enforced: The incident's case file among those that may act.
        rehearsed: Its case file among the dry runs.
        claimed: Its case file among the claims that nobody bears out.
        policy: The policy, or why every finding is held.
        record: SCC's own record of the finding; None when SCC does not list it.
        refused: Why SCC does not let us ask, for good.
        place: What is known of the workload.
        reputation: What VirusTotal says of the file that SCC's record names; None where the
            policy does not ask for it.
    """

    enforced: CaseFile
    rehearsed: CaseFile
    claimed: CaseFile
    policy: Policy | InvalidPolicy
    record: Finding | None
    refused: GiveUp | None
    place: Place
    reputation: Reputation | None = None

    def case(self, mode: Mode, *, finishing: bool) -> CaseFile:
        """Where this run's records belong.

        A dry run's lie apart, so that they never make an enforcing delivery a duplicate, and
        so do those of a claim that SCC does not bear out, which anybody might have made to
        stand in the way of the genuine one. What our own write began is finished where it was
        begun.
        """
        if finishing:
            return self.enforced
        if self.record is None:
            return self.claimed
        return self.rehearsed if mode is Mode.DRY_RUN else self.enforced


async def read_core(
    claim: Finding,
    enforced: Awaitable[CaseFile],
    policy: Awaitable[Policy | InvalidPolicy],
    sources: Sources,
    books: Books,
) -> Core:
    """Everything that the decision waits for.

    Where SCC's record names the workload otherwise than the claim does, the record's is read.
    What the policy's actions need besides is asked for at once, and waited for only where they
    need it; so is what VirusTotal says, where the policy gates on it.

    Raises:
        Retry: Something does not answer; time may heal it.
        GiveUp: A record of ours cannot be read.
    """
    sources.workloads.begin(claim.workload)
    sources.reputations.begin(claim)
    case, rehearsed, claimed, read_policy, answer, place = await together(
        enforced,
        books.case(f"dry-runs/{claim.incident_id}"),
        books.case(f"claims/{claim.claim_id}"),
        policy,
        _confirm(claim, sources),
        read_place(claim.workload, sources, books),
    )
    record, refused = (None, answer) if isinstance(answer, GiveUp) else (answer, None)
    if record:
        sources.reputations.begin(record)
    if record and not same_place(record, claim):
        sources.workloads.begin(record.workload)
        place = await read_place(record.workload, sources, books)
    if record and (named := _named(record, place)):
        record = replace(record, workload=named)
        sources.workloads.begin(named)
        place = await read_place(named, sources, books)
    place = await with_needs(place, record or claim, read_policy, sources.workloads)
    if record:
        record = await _proven(record, place, sources)
    core = Core(case, rehearsed, claimed, read_policy, record, refused, place)
    if case.done or case.concluded:
        return core
    return replace(core, reputation=await gated(record, read_policy, sources.reputations))


async def gated(
    record: Finding | None, policy: Policy | InvalidPolicy, reputations: Reputations
) -> Reputation | None:
    """What VirusTotal says of the file that SCC's own record names, where the policy gates on it.

    A hash that the notification alone tells decides nothing.
    """
    if record is None or isinstance(policy, InvalidPolicy) or policy.virustotal is None:
        return None
    return await reputations.of(record, policy.evidence.deadline)


def same_place(one: Finding, other: Finding) -> bool:
    """Whether two findings name the same workload in the same way."""
    keys = [finding.workload.key if finding.workload else None for finding in (one, other)]
    return keys[0] == keys[1]


async def read_place(workload: Workload | None, sources: Sources, books: Books) -> Place:
    """What is known of a workload.

    Raises:
        Retry: Cloud Run or the store does not answer.
        GiveUp: A record cannot be read.
    """
    if workload is None:
        return Place(workload)
    custody = books.custody(workload)
    answer, history, slots = await together(
        _settings(workload, sources), custody.history(), books.slots(workload).taken()
    )
    settings, refused = (None, answer) if isinstance(answer, GiveUp) else (answer, None)
    history = history.of(settings)
    return Place(workload, settings, refused, history, slots, custody.folder(history))


async def with_needs(
    place: Place, finding: Finding, policy: Policy | InvalidPolicy, run: Looking
) -> Place:
    """The same place, with all that the policy's actions and our own writes need to know.

    Raises:
        Retry: Cloud Run does not answer.
    """
    if place.workload is None or place.settings is None:
        return place
    current = place.history.current
    needs = {*(plan.needed_by(current.effective.changes) if current and current.effective else ())}
    if isinstance(policy, Policy):
        labels = place.settings.labels
        subject = Subject(place.workload, finding.category, finding.source_id, labels)
        steps = resolve(policy, subject).steps
        needs |= plan.needed_for(steps, place.workload.kind)
    try:
        return replace(place, settings=await complete(place.settings, place.workload, needs, run))
    except GiveUp as error:
        return replace(place, refused=error)


async def look_again(
    place: Place,
    finding: Finding,
    policy: Callable[[], Awaitable[Policy | InvalidPolicy]],
    run: Looking,
    custody: Custody,
) -> tuple[Settings, History]:
    """The workload and its containments once more, with all that the policy needs by now.

    Raises:
        Retry: Something does not answer.
        GiveUp: The workload cannot be read any more.
    """
    workload = place.workload
    assert workload is not None  # noqa: S101 - only a workload is looked at
    read, settings, history = await together(policy(), run.settings(workload), custody.history())
    fresh = replace(place, settings=settings, history=history.of(settings), refused=None)
    seen = await with_needs(fresh, finding, read, run)
    if seen.refused:
        raise seen.refused
    return seen.settings or settings, seen.history


async def _confirm(claim: Finding, sources: Sources) -> Finding | GiveUp | None:
    try:
        return await confirm(claim, sources.findings)
    except GiveUp as error:
        return error


async def _settings(workload: Workload, sources: Sources) -> Settings | GiveUp:
    try:
        return await sources.workloads.settings(workload)
    except GiveUp as error:
        return error


def _named(record: Finding, place: Place) -> Workload | None:
    """The workload with its project's id, where only Cloud Run's own answer tells that."""
    if record.workload is None or record.workload.project_id or place.settings is None:
        return None
    answered = place.settings.name.split("/")[1]
    return None if answered.isdigit() else replace(record.workload, project_id=answered)


async def _proven(record: Finding, place: Place, sources: Sources) -> Finding:
    """The record, with its project's number where only its own name tells that, once proven.

    A finding is filed under a number. Where its resource tells the project's id alone, asking
    Cloud Run for the workload by that number shows whether both are one project.
    """
    workload, number = record.workload, record.filed_under.removeprefix("projects/")
    known = workload is None or workload.project_number or record.filed_under in record.ancestors
    if known or workload is None or place.settings is None or not number.isdigit():
        return record
    numbered = replace(workload, project_id=None, project_number=number)
    settings = await _settings(numbered, sources)
    if isinstance(settings, GiveUp) or not settings.uid or settings.uid != place.settings.uid:
        return record
    return replace(
        record,
        workload=replace(workload, project_number=number),
        ancestors=record.ancestors | {record.filed_under},
    )
