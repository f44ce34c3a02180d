"""Plans that wait: how long, and what happens when nobody approves them in time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident.actions.before_image import change_json, stated
from incident.case_file.containments import Custody
from incident.case_file.index import Case, Cases
from incident.case_file.journal import Journal
from incident.decision.inputs import Books
from incident.model import ChangeState
from incident.policy.resolve import Policy
from incident.redaction.redactor import Redactor
from incident.response.approvals import Refused, digest, expire, plan_of, planned_at, stale
from incident.response.context import Outside
from tests.support.model import (
    NOW,
    UID,
    finding,
    folder_store,
    now,
    record,
    scaled_to_zero,
    settings,
    workload,
)

ID = "20261002-6255b37a8bf0"
FOLDER = f"incidents/{ID}"
LIMIT = timedelta(hours=12)
POLICY = Policy()
WAITING: dict[str, Any] = {
    "incident": ID,
    "status": "awaiting-approval",
    "workload": {
        "kind": "service",
        "project": "example-shop-prod",
        "location": "europe-west1",
        "name": "storefront",
        "uid": UID,
    },
    "decision": {"verdict": "contain", "reasons": ["because"]},
    "changes": [change_json(scaled_to_zero())],
}
_NOBODY: Any = None
NOWHERE = Outside(
    *(_NOBODY,) * 5,
    topic=None,
    webhook=None,
)
PLANNED = replace(record(999, "concluded", outcome=WAITING), recorded_at=NOW)
DONE = replace(record(1000, "done", outcome=WAITING), recorded_at=NOW + timedelta(seconds=1))


def case(*later: Any) -> Case:
    """An incident whose plan waits, and what came later."""
    return Case(ID, FOLDER, (PLANNED, DONE, *later))


def approved(at: datetime) -> Any:
    """The record that somebody said yes."""
    return replace(record(1001, "approved", by="a@example.com"), recorded_at=at)


def test_a_plan_waits_since_it_was_settled() -> None:
    """Not since it was announced; and only where there is one."""
    assert planned_at(case()) == NOW
    assert planned_at(Case(ID, FOLDER, ())) is None


STALE = {
    "at the limit": (case(), LIMIT, False),
    "past it": (case(), LIMIT + timedelta(seconds=1), True),
    "by a clock that is behind": (case(), timedelta(hours=-1), False),
    "approved just now": (
        case(approved(NOW + LIMIT)),
        LIMIT + timedelta(minutes=5),
        False,
    ),
    "approved long ago, and nothing came of it": (
        case(approved(NOW + LIMIT)),
        LIMIT + timedelta(minutes=11),
        True,
    ),
    "contained since": (
        case(record(1002, "contained", outcome={**WAITING, "status": "contained"})),
        timedelta(days=9),
        False,
    ),
}


@pytest.mark.parametrize(("found", "age", "expected"), STALE.values(), ids=STALE)
def test_when_a_plan_is_stale(found: Case, age: timedelta, *, expected: bool) -> None:
    """It waited longer than the policy allows, and nobody is applying it."""
    assert stale(found, POLICY, NOW + age) is expected


def test_the_policy_says_how_long() -> None:
    """The policy of now, not that of the plan's day."""
    short = Policy.model_validate({"approval_expires": "1h"})
    assert stale(case(), short, NOW + timedelta(minutes=61))
    assert not stale(case(), POLICY, NOW + timedelta(minutes=61))


def test_a_plan_that_cannot_be_read_back_says_what_to_do() -> None:
    """One of an earlier version, for one: it lacks the workload's id."""
    assert plan_of(case()).changes == (scaled_to_zero(),)
    old = {**WAITING, "workload": {**WAITING["workload"], "uid": None}}
    broken = Case(ID, FOLDER, (record(1000, "done", outcome=old),))
    with pytest.raises(Refused, match=f"contain {ID}` for a fresh plan"):
        plan_of(broken)


def test_a_digest_names_a_plan_however_far_it_has_come() -> None:
    """Another field, another plan; another state, the same."""
    change = scaled_to_zero()
    assert digest((change,)) == digest((stated(change, ChangeState.VERIFIED),))
    assert digest((change,)) != digest((replace(change, etag="ff"),))
    assert digest((change,)) != digest(())


async def kept(folder: Path, *later: Any) -> tuple[Books, Case]:
    """The same in a store."""
    store = folder_store(folder)
    books = Books(store, "patrol", now)
    journal = Journal(store, FOLDER, "r", now)
    for entry in (PLANNED, DONE, *later):
        await journal.claim(entry.number, entry.kind, entry.body)
    return books, await Cases(store).one(ID)


async def test_an_expired_plan_is_on_record_and_stays_to_be_seen(tmp_path: Path) -> None:
    """Nobody was at it: held, with the reason first and the plan as it was."""
    books, found = await kept(tmp_path)
    told: Any = await expire(found, POLICY, books, NOWHERE, Redactor(b"k"))
    assert told["decision"] == {
        "verdict": "hold",
        "reasons": ["nobody approved the plan within 12 h, the policy's limit", "because"],
    }
    after = await Cases(books.store).one(ID)
    assert (after.status, after.outcome) == ("expired", told)
    assert told["changes"] == json.loads(json.dumps(WAITING["changes"]))


async def test_what_was_begun_does_not_expire(tmp_path: Path) -> None:
    """A before-image of this incident: a write may have followed, and is to be told."""
    books, found = await kept(tmp_path)
    custody = Custody(books.store, workload(), "r", now)
    history = await custody.history()
    await custody.keep_image(history, (scaled_to_zero(),), settings(), ID, finding())
    assert await expire(found, POLICY, books, NOWHERE, Redactor(b"k")) is None
    assert (await Cases(books.store).one(ID)).status == "awaiting-approval"


async def test_an_approval_at_the_same_moment_counts(tmp_path: Path) -> None:
    """What comes of it is newer than the expiry, in whatever order both are written."""
    books, seen = await kept(tmp_path)
    journal = Journal(books.store, FOLDER, "r", now)
    contained = {"outcome": {**WAITING, "status": "contained"}}
    await journal.append(1000, "approved", {"by": "a@example.com"})
    await journal.append(1001, "contained", contained)
    await expire(seen, POLICY, books, NOWHERE, Redactor(b"k"))
    assert (await Cases(books.store).one(ID)).status == "contained"
