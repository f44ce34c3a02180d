"""Plans that wait: how long, and what happens when nobody approves them in time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident.actions.changes import with_state
from incident.case_file.containments import ContainmentRecords
from incident.case_file.index import CaseFileIndex, CaseSummary
from incident.case_file.journal import Journal
from incident.decision.process import Process
from incident.model import ChangeState, Status, Verdict
from incident.model.outcome import Outcome, ReportedDecision, ReportedWorkload
from incident.policy.resolve import Policy
from incident.response.approvals import (
    expire_approval,
    is_stale,
    planned_at,
    recorded_plan,
)
from incident.response.plan_digest import plan_digest
from incident.response.refusals import RequestRefused
from tests.support.constants import INCIDENT_ID
from tests.support.model import (
    NOW,
    UID,
    configuration,
    finding,
    fixed_now,
    folder_store,
    record,
    scale_to_zero_change,
    workload,
)
from tests.support.processes import store_process

FOLDER = f"incidents/{INCIDENT_ID}"
LIMIT = timedelta(hours=12)
POLICY = Policy()
OUTCOME = Outcome(
    Status.AWAITING_APPROVAL,
    INCIDENT_ID,
    workload=ReportedWorkload.of(workload(), uid=UID),
    decision=ReportedDecision(Verdict.CONTAIN, ("because",)),
    changes=(scale_to_zero_change(),),
)
WAITING: dict[str, Any] = OUTCOME.to_json()
PLANNED = replace(record(999, "concluded", outcome=WAITING), recorded_at=NOW)
DONE = replace(record(1000, "done", outcome=WAITING), recorded_at=NOW + timedelta(seconds=1))


def waiting_case(*later: Any) -> CaseSummary:
    """An incident whose plan waits, and what came later."""
    return CaseSummary(INCIDENT_ID, FOLDER, (PLANNED, DONE, *later))


def approved(at: datetime) -> Any:
    """The record of an approval."""
    return replace(record(1001, "approved", by="a@example.com"), recorded_at=at)


def test_a_plan_waits_since_it_was_settled() -> None:
    """Not since it was announced; and only where there is one."""
    assert planned_at(waiting_case()) == NOW
    assert planned_at(CaseSummary(INCIDENT_ID, FOLDER, ())) is None


STALE = {
    "at the limit": (waiting_case(), LIMIT, False),
    "past it": (waiting_case(), LIMIT + timedelta(seconds=1), True),
    "by a clock that is behind": (waiting_case(), timedelta(hours=-1), False),
    "approved just now": (
        waiting_case(approved(NOW + LIMIT)),
        LIMIT + timedelta(minutes=5),
        False,
    ),
    "approved long ago, and nothing came of it": (
        waiting_case(approved(NOW + LIMIT)),
        LIMIT + timedelta(minutes=11),
        True,
    ),
    "contained since": (
        waiting_case(record(1002, "contained", outcome={**WAITING, "status": "contained"})),
        timedelta(days=9),
        False,
    ),
}


@pytest.mark.parametrize(("found", "age", "expected"), STALE.values(), ids=STALE)
def test_when_a_plan_is_stale(found: CaseSummary, age: timedelta, *, expected: bool) -> None:
    """It waited longer than the policy allows, and nobody is applying it."""
    assert is_stale(found, POLICY, NOW + age) is expected


def test_the_policy_says_how_long() -> None:
    """The policy of now, not that of the plan's day."""
    short = Policy.model_validate({"approval_expires": "1h"})
    assert is_stale(waiting_case(), short, NOW + timedelta(minutes=61))
    assert not is_stale(waiting_case(), POLICY, NOW + timedelta(minutes=61))


def test_a_plan_waits_at_least_as_long_as_copying_evidence_takes() -> None:
    """Even where the policy lets plans expire sooner."""
    rules = {"approval_expires": "5m", "evidence": {"hold_for_copy": "20m"}}
    copying = Policy.model_validate(rules)
    assert copying.approval_lifetime == timedelta(minutes=20)
    assert not is_stale(waiting_case(), copying, NOW + timedelta(minutes=19))
    assert is_stale(waiting_case(), copying, NOW + timedelta(minutes=21))
    assert Policy.model_validate({"approval_expires": "1h"}).approval_lifetime == timedelta(hours=1)


def test_a_plan_that_cannot_be_read_back_says_what_to_do() -> None:
    """One of an earlier version, for one: it lacks the workload's id."""
    assert recorded_plan(waiting_case()).changes == (scale_to_zero_change(),)
    old = {**WAITING, "workload": {**WAITING["workload"], "uid": None}}
    broken = CaseSummary(INCIDENT_ID, FOLDER, (record(1000, "done", outcome=old),))
    with pytest.raises(RequestRefused, match=f"contain {INCIDENT_ID}` for a fresh plan"):
        recorded_plan(broken)


def test_a_digest_names_a_plan_however_far_it_has_come() -> None:
    """Another field, another plan; another state, the same."""
    change = scale_to_zero_change()
    assert plan_digest((change,)) == plan_digest((with_state(change, ChangeState.VERIFIED),))
    assert plan_digest((change,)) != plan_digest((replace(change, etag="ff"),))
    assert plan_digest((change,)) != plan_digest(())


async def stored_case(folder: Path, *later: Any) -> tuple[Process, CaseSummary]:
    """The same in a store."""
    store = folder_store(folder)
    process = store_process(store)
    journal = Journal(store, FOLDER, "r", fixed_now)
    for entry in (PLANNED, DONE, *later):
        await journal.create(entry.number, entry.kind, entry.body)
    return process, await CaseFileIndex(store).get(INCIDENT_ID)


async def test_an_expired_plan_is_recorded_and_kept_visible(tmp_path: Path) -> None:
    """Nobody was at it: held, with the reason first and the plan as it was."""
    process, found = await stored_case(tmp_path)
    response = await expire_approval(process, found, POLICY)
    assert response
    reported = response.outcome
    assert reported.decision == ReportedDecision(
        Verdict.HOLD, ("nobody approved the plan within 12 h, the policy's limit", "because")
    )
    after = await CaseFileIndex(process.store).get(INCIDENT_ID)
    assert (after.status, after.outcome) == ("expired", reported)
    assert reported.changes == OUTCOME.changes


async def test_what_was_begun_does_not_expire(tmp_path: Path) -> None:
    """A plan with a snapshot does not expire: a write may have followed."""
    process, found = await stored_case(tmp_path)
    containment_records = ContainmentRecords(process.store, workload(), "r", fixed_now)
    history = await containment_records.history()
    await containment_records.store_snapshot(
        history, (scale_to_zero_change(),), configuration(), INCIDENT_ID, finding()
    )
    assert await expire_approval(process, found, POLICY) is None
    assert (await CaseFileIndex(process.store).get(INCIDENT_ID)).status == "awaiting-approval"


async def test_an_approval_at_the_same_moment_counts(tmp_path: Path) -> None:
    """What comes of it is newer than the expiry, in whatever order both are written."""
    process, seen = await stored_case(tmp_path)
    journal = Journal(process.store, FOLDER, "r", fixed_now)
    contained = {"outcome": {**WAITING, "status": "contained"}}
    await journal.append(1000, "approved", {"by": "a@example.com"})
    await journal.append(1001, "contained", contained)
    await expire_approval(process, seen, POLICY)
    assert (await CaseFileIndex(process.store).get(INCIDENT_ID)).status == "contained"
