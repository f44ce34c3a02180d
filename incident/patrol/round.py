"""One patrol round over containments and incidents, within a time budget."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from incident.case_file.manifest import RecordingStore, try_write_manifest
from incident.case_file.paths import CONTAINMENTS
from incident.decision.process import Process, read_policy
from incident.model import IncidentError, InvalidPolicy, Retry
from incident.patrol.checked_containment import CheckState, ContainmentCheck
from incident.patrol.containments import ContainmentReconciler
from incident.patrol.context import PatrolContext
from incident.patrol.drift import containment_record_names
from incident.patrol.unfinished import IncidentFinisher, UnfinishedIncident
from incident.patrol.walk import (
    PagedStore,
    WalkCursors,
    WalkedFolder,
    WalkedPage,
    walk_store,
)
from incident.policy.resolve import Policy
from incident.report.terminal import unreadable_names_text
from incident.response.finish_run import record_logged

#: How many unreadable names are counted in each part of the store.
_MAX_UNREADABLE = 10_000


@dataclass(frozen=True, slots=True)
class PatrolLimits:
    """Limits of one round.

    Attributes:
        budget: How long new folders are begun. The function has 300 s.
        grace: How much longer a begun folder may take before it is cut off; the next round
            resumes it, as after a crash.
        write_reserve: How much of both must be left to re-apply a containment.
        page_size: How many paths of the store make a page.
        concurrency: How many folders are checked at once.
    """

    budget: timedelta = timedelta(seconds=180)
    grace: timedelta = timedelta(seconds=60)
    write_reserve: timedelta = timedelta(seconds=90)
    page_size: int = 1000
    concurrency: int = 8


@dataclass(frozen=True, slots=True)
class PatrolFault:
    """A folder that could not be checked.

    Attributes:
        folder: Its path.
        reason: Why.
        case_file: Where the manifest of what was created there lies; empty where it is not known.
        manifest_sha256: Its digest, where something was created.
    """

    folder: str
    reason: str
    case_file: str = ""
    manifest_sha256: str | None = None


_VisitResult = ContainmentCheck | UnfinishedIncident | PatrolFault


@dataclass(slots=True)
class RoundResult:
    """The result of one round.

    Attributes:
        checks: The containments that are not simply in effect.
        incidents: Incidents that were resumed, and plans that expired.
        faults: What could not be checked.
        counts: The number of containments by state.
        problem: Why the policy could not be used; empty where it could.
        complete: Whether the round has covered everything.
    """

    checks: list[ContainmentCheck] = field(default_factory=list)
    incidents: list[UnfinishedIncident] = field(default_factory=list)
    faults: list[PatrolFault] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    problem: str = ""
    complete: bool = True

    @property
    def alarm(self) -> bool:
        """Whether a person must act now."""
        unfinished = any(each.result is None for each in self.incidents)
        checks_alarm = any(check.alarm for check in self.checks)
        return bool(checks_alarm or unfinished or self.faults or self.problem)

    @property
    def summary(self) -> Mapping[str, int | bool]:
        """The numbers, for one line."""
        finished = sum(1 for each in self.incidents if each.result)
        return {
            **{state.value: self.counts[state.value] for state in CheckState},
            "finished": finished,
            "unfinished": len(self.incidents) - finished,
            "unchecked": len(self.faults),
            "complete": self.complete,
        }


class Patrol:
    """Runs patrol rounds; any number may run at once."""

    def __init__(
        self,
        process: Process,
        store: PagedStore,
        limits: PatrolLimits | None = None,
    ) -> None:
        """Patrol a store that can list in pages."""
        self._process = process
        self._store = store
        self._limits = limits or PatrolLimits()

    async def run_round(self) -> RoundResult:
        """Run one round, from where the last one stopped.

        Raises:
            Retry: The store does not answer.
            GiveUp: The store cannot be used.
        """
        run = self._process.for_run(f"patrol-{secrets.token_hex(6)}")
        cursors = WalkCursors(self._store, run.run_id, run.clock)
        result = RoundResult()
        policy = await self._read_policy(result)
        runner = _RoundRunner(PatrolContext(run, policy), self._limits)
        start = await cursors.newest()
        reached = await runner.visit_all(
            walk_store(self._store, start, self._limits.page_size), result
        )
        if not result.complete and reached:
            await cursors.save(_next_cursor(reached, start, result))
        return result

    async def record_logged(self, result: RoundResult) -> None:
        """Record that the outcomes of a round were logged; to be called after that."""
        for unfinished in result.incidents:
            if unfinished.result:
                await record_logged(self._store, unfinished.result)

    async def _read_policy(self, result: RoundResult) -> Policy | InvalidPolicy | None:
        """The policy, or None: containments are checked without it, too."""
        try:
            policy = await read_policy(self._process)
        except Retry as error:
            result.problem = self._process.redactor().text(str(error))
            return None
        if isinstance(policy, InvalidPolicy):
            result.problem = str(policy)
        return policy


def _next_cursor(reached: WalkedPage, start: str, result: RoundResult) -> str:
    """Where the next round starts: a folder that is too large must not stop all rounds."""
    if reached.resume_after != start or not reached.open_folder:
        return reached.resume_after
    reason = (
        "listing it took the whole round, so it is not checked. Remove objects that the responder"
        " did not write"
    )
    result.faults.append(PatrolFault(reached.open_folder, reason))
    return reached.open_folder


class _RoundRunner:
    """Checks the folders of one round."""

    def __init__(self, context: PatrolContext, limits: PatrolLimits) -> None:
        self._context = context
        self._start_deadline = asyncio.get_running_loop().time() + limits.budget.total_seconds()
        self._hard_deadline = self._start_deadline + limits.grace.total_seconds()
        self._write_reserve_s = limits.write_reserve.total_seconds()
        self._concurrency = limits.concurrency
        self._reconciler = ContainmentReconciler(context, self._may_write)
        self._finisher = IncidentFinisher(context)
        self._unreadable: dict[str, dict[str, str]] = {}

    async def visit_all(
        self, walk: AsyncIterator[WalkedFolder | WalkedPage], result: RoundResult
    ) -> WalkedPage | None:
        """Check every folder of the walk until time is up.

        Returns:
            The page up to which everything was checked; None if nothing was.
        """
        batch: list[WalkedFolder] = []
        reached: WalkedPage | None = None
        visited = False
        async for item in self._until_cut_off(walk, result):
            if self.out_of_time and visited:
                result.complete = False
                break
            if isinstance(item, WalkedFolder) and self.needs_visit(item):
                batch.append(item)
            elif not batch:
                reached = WalkedPage(item.folder) if isinstance(item, WalkedFolder) else item
            if isinstance(item, WalkedPage):
                self._add_page_faults(item, result)
            if len(batch) == self._concurrency:
                await self.visit_batch(batch, result)
                reached, visited, batch = WalkedPage(batch[-1].folder), True, []
        if batch and result.complete:
            await self.visit_batch(batch, result)
        for section, names in self._unreadable.items():
            result.faults.append(
                PatrolFault(f"{section}/", self._context.redact(unreadable_names_text(names)))
            )
        return reached

    def _add_page_faults(self, page: WalkedPage, result: RoundResult) -> None:
        """Report a fault of the listing itself. A round may see the same page twice."""
        if page.fault:
            result.faults.append(PatrolFault(page.open_folder or page.resume_after, page.fault))
        if page.unreadable:
            known = self._unreadable.setdefault(page.resume_after.partition("/")[0], {})
            known |= page.unreadable if len(known) < _MAX_UNREADABLE else {}

    async def _until_cut_off(
        self, walk: AsyncIterator[WalkedFolder | WalkedPage], result: RoundResult
    ) -> AsyncIterator[WalkedFolder | WalkedPage]:
        """The walk until the round is cut off: the listing alone may take longer."""
        while asyncio.get_running_loop().time() < self._hard_deadline:
            try:
                async with asyncio.timeout_at(self._hard_deadline):
                    item = await anext(walk)
            except StopAsyncIteration:
                return
            except TimeoutError:
                break
            yield item
        result.complete = False

    @property
    def out_of_time(self) -> bool:
        """Whether the time for beginning another folder is over."""
        return asyncio.get_running_loop().time() >= self._start_deadline

    def _may_write(self) -> bool:
        return asyncio.get_running_loop().time() + self._write_reserve_s <= self._hard_deadline

    def needs_visit(self, folder: WalkedFolder) -> bool:
        """Whether a folder needs a check, by the names in it."""
        if folder.section == CONTAINMENTS:
            return self._reconciler.needs_check(folder)
        return self._finisher.needs_visit(folder)

    async def visit_batch(self, batch: list[WalkedFolder], round_result: RoundResult) -> None:
        """Check some folders at once; a fault of one does not stop the others."""
        visits = await asyncio.gather(*map(self._visit_with_manifest, batch))
        for result in [result for results in visits for result in results]:
            if isinstance(result, PatrolFault):
                round_result.faults.append(result)
            elif isinstance(result, UnfinishedIncident):
                round_result.incidents.append(result)
            else:
                round_result.counts[result.state.value] += 1
                if result.state is not CheckState.IN_EFFECT or result.manifest_sha256:
                    round_result.checks.append(result)

    async def _visit_with_manifest(self, folder: WalkedFolder) -> list[_VisitResult]:
        """The result of one visit, and a fault where its manifest could not be written."""
        store, target = RecordingStore(self._context.process.store), _manifest_folder(folder)
        result = await self._visit_safely(folder, store)
        delivery = result.result if isinstance(result, UnfinishedIncident) else None
        planned = dict([delivery.logged_record]) if delivery and delivery.logged_record else {}
        sha256, problem = await try_write_manifest(store, target, planned)
        results: list[_VisitResult] = [_with_manifest(result, target, sha256)] if result else []
        if problem:
            results.append(PatrolFault(folder.folder, self._context.redact(problem)))
        return results

    async def _visit_safely(
        self, folder: WalkedFolder, store: RecordingStore
    ) -> _VisitResult | None:
        try:
            async with asyncio.timeout_at(self._hard_deadline):
                return await self._visit(folder, store)
        except TimeoutError:
            reason = "timed out in this round; the next round resumes it"
        except IncidentError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - one bad folder must not hide the others
            reason = f"unexpected error in the patrol: {error!r}"
        return PatrolFault(folder.folder, self._context.redact(reason))

    async def _visit(
        self, folder: WalkedFolder, store: RecordingStore
    ) -> ContainmentCheck | UnfinishedIncident | None:
        context = self._context.with_store(store)
        if folder.section != CONTAINMENTS:
            return await IncidentFinisher(context).finish(folder)
        return await ContainmentReconciler(context, self._may_write).reconcile(folder)


def _manifest_folder(folder: WalkedFolder) -> str:
    """Where the manifest of a visit lies: in the case file, or the workload's last containment."""
    names = containment_record_names(folder.paths)
    if folder.section == CONTAINMENTS and names:
        return f"{folder.folder}{names.number}"
    return folder.folder.rstrip("/")


def _with_manifest(result: _VisitResult, folder: str, sha256: str | None) -> _VisitResult:
    """The result with the digest of its manifest, for its log line."""
    if isinstance(result, ContainmentCheck):
        return replace(result, manifest_sha256=sha256)
    if isinstance(result, PatrolFault) or result.result is None:
        return replace(result, case_file=folder, manifest_sha256=sha256)
    delivery = replace(result.result, case_file=folder, manifest_sha256=sha256)
    return replace(result, result=delivery)
