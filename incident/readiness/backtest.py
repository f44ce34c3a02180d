"""Backtest a policy: what it would have decided about every recorded incident. Reads only.

The facts are those on record; only the hourly caps are counted anew, by what the policy would have
contained before.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from incident.actions.masked_changes import actions_behind
from incident.case_file.index import CaseFileIndex, CaseSummary
from incident.case_file.journal import ObjectStore
from incident.case_file.paths import CLAIMS, DRY_RUNS, INCIDENTS
from incident.decision.decide import decide
from incident.decision.guards import DecisionContext, TakenSlots, slot_holder
from incident.model import (
    Decision,
    Mode,
    Notification,
    Reason,
    Route,
    Verdict,
    Workload,
)
from incident.model.concurrency import gather_all
from incident.policy.resolve import Policy
from incident.readiness.recorded_decision import (
    DecisionSummary,
    NotJudgeable,
    RecordedDecision,
    read_recorded_decision,
)

_ROOTS = (INCIDENTS, DRY_RUNS, CLAIMS)
_CASES_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class JudgedIncident:
    """One incident, as it was decided and as the policy would have decided it.

    Attributes:
        incident: The incident's id.
        workload: Its workload; None where the finding names none.
        category: The finding type.
        recorded: What was decided.
        tested: What the policy would have decided.
    """

    incident: str
    workload: Workload | None
    category: str
    recorded: DecisionSummary
    tested: DecisionSummary

    @property
    def differs(self) -> bool:
        """Whether something else would have come of it."""
        return self.recorded.effect != self.tested.effect


@dataclass(frozen=True, slots=True)
class Backtest:
    """The result.

    Attributes:
        judged: The incidents that could be judged, the oldest first.
        not_judged: Why others could not be, by incident.
    """

    judged: tuple[JudgedIncident, ...]
    not_judged: tuple[tuple[str, str], ...]

    @property
    def differing(self) -> tuple[JudgedIncident, ...]:
        """The incidents that would have been decided otherwise."""
        return tuple(each for each in self.judged if each.differs)

    @property
    def by_another_rule(self) -> tuple[JudgedIncident, ...]:
        """Those that would have been contained in the same way, by another rule."""
        return tuple(
            each
            for each in self.judged
            if not each.differs
            and each.tested.verdict is Verdict.CONTAIN
            and each.recorded.rule != each.tested.rule
        )


async def backtest(
    store: ObjectStore,
    policy: Policy,
    route: Callable[[Notification], Route],
    *,
    since: datetime | None = None,
    ceiling: Mode | None = None,
) -> Backtest:
    """Decide every recorded incident again, with another policy.

    Of an incident that has a dry run and a case file of its own, the latter counts.

    Args:
        store: Where the case files are.
        policy: The policy.
        route: Which responder answers a finding.
        since: Only incidents that were decided at this moment or later.
        ceiling: The highest mode that the environment is taken to allow; None: as it did then.

    Raises:
        Retry: The store does not answer.
        GiveUp: The store refuses.
    """
    index, at_once = CaseFileIndex(store), asyncio.Semaphore(_CASES_AT_ONCE)
    incidents, dry_runs = await gather_all(index.list_all(), index.list_all(dry_runs=True))
    # The caps count a whole hour.
    first = since and since.replace(minute=0, second=0, microsecond=0)
    cases = [
        case
        for case in _distinct((*incidents.summaries, *dry_runs.summaries))
        if _begun_since(case, first)
    ]
    unreadable = {**incidents.unreadable, **dry_runs.unreadable}
    read = await gather_all(*(_recorded_or_reason(store, case, route, at_once) for case in cases))
    not_judged = [
        (case.incident, answer)
        for case, answer in zip(cases, read, strict=True)
        if isinstance(answer, str) and _begun_since(case, since)
    ]
    recorded = sorted(
        (each for each in read if isinstance(each, RecordedDecision)),
        key=lambda each: each.decided_at,
    )
    judged = _judge_all(recorded, policy, ceiling)
    return Backtest(
        tuple(each for at, each in judged if since is None or at >= since),
        (*sorted(not_judged), *sorted(unreadable.items())),
    )


def _distinct(cases: Iterable[CaseSummary]) -> tuple[CaseSummary, ...]:
    """One case file for each event: that of the incident, else of its dry run, else a claim's."""
    ordered = sorted(cases, key=lambda case: _ROOTS.index(case.folder.partition("/")[0]))
    first: dict[str, CaseSummary] = {}
    for case in ordered:
        first.setdefault(case.event_id, case)
    return tuple(first.values())


def _begun_since(case: CaseSummary, since: datetime | None) -> bool:
    return since is None or case.started_at is None or case.started_at >= since


async def _recorded_or_reason(
    store: ObjectStore,
    case: CaseSummary,
    route: Callable[[Notification], Route],
    at_once: asyncio.Semaphore,
) -> RecordedDecision | str:
    async with at_once:
        try:
            return await read_recorded_decision(store, case, route)
        except NotJudgeable as error:
            return str(error)


def _judge_all(
    recorded: Sequence[RecordedDecision], policy: Policy, ceiling: Mode | None
) -> list[tuple[datetime, JudgedIncident]]:
    """Decide in the order of then, and count what would have been contained in each hour."""
    taken: defaultdict[str, _Hour] = defaultdict(_Hour)
    judged = []
    for each in recorded:
        hour, workload = taken[f"{each.decided_at:%Y%m%d%H}"], each.evidence.finding.workload
        decision = _decide(each, policy, ceiling or each.ceiling, hour)
        if workload and decision.enforces and decision.changes:
            hour.add(workload)
        tested = DecisionSummary(
            decision.verdict,
            decision.mode,
            decision.rule,
            actions_behind(decision.changes),
            tuple(reason.text for reason in _policy_first(decision.reasons)),
        )
        category = each.evidence.finding.category
        judged.append(
            (
                each.decided_at,
                JudgedIncident(each.incident, workload, category, each.summary, tested),
            )
        )
    return judged


def _policy_first(reasons: Iterable[Reason]) -> list[Reason]:
    """The reasons in order, those that are of the policy before others."""
    return sorted(reasons, key=lambda reason: reason.evidence != "policy")


class _Hour:
    """The workloads that were contained in one hour."""

    def __init__(self) -> None:
        self._workloads: dict[str, str] = {}

    def add(self, workload: Workload) -> None:
        """Count a workload, once."""
        self._workloads[slot_holder(workload.key)] = workload.project

    def slots(self, project: str) -> TakenSlots:
        """What the caps count for a workload of a project."""
        inside = [holder for holder, at in self._workloads.items() if at == project]
        return TakenSlots(dict(enumerate(self._workloads)), dict(enumerate(inside)))


def _decide(recorded: RecordedDecision, policy: Policy, ceiling: Mode, hour: _Hour) -> Decision:
    workload = recorded.evidence.finding.workload
    context = DecisionContext(
        now=recorded.decided_at,
        ceiling=ceiling,
        ceiling_reason=f"the environment allows no more than {ceiling.value}",
        responder=recorded.responder,
        history=recorded.history,
        slots=hour.slots(workload.project if workload else ""),
        containment_folder=workload.key if workload else "",
    )
    return decide(recorded.evidence, recorded.route, policy, context)
