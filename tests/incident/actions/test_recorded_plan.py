"""A recorded plan against the workload as it is now."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.actions.changes import change_json
from incident.actions.masked_changes import plan_changes
from incident.actions.recorded_plan import RecordedPlan, recorded_plan
from incident.model import (
    Access,
    Change,
    ChangeKind,
    ChangeState,
    Json,
    JsonObject,
    Kind,
    Status,
    Workload,
    WorkloadConfiguration,
)
from incident.model.outcome import Outcome, ReportedWorkload
from tests.incident.actions.test_catalogue import (
    BAD,
    PUBLIC,
    REVISIONS,
    USER,
    execution,
    iam_binding,
    traffic_target,
)
from tests.support.constants import SERVICE
from tests.support.model import UID, configuration, finding, repeatable

STEPS: dict[Kind, tuple[tuple[str, ...], ...]] = {
    Kind.SERVICE: (("isolate-revision", "scale-to-zero"), ("restrict-ingress",)),
    Kind.JOB: (("cancel-executions",),),
    Kind.WORKER_POOL: (("scale-to-zero",),),
    Kind.INSTANCE: (("stop-instance",),),
}
FINDING = finding(revision=BAD, execution="a")


def workload_read(kind: Kind, **changes: Any) -> WorkloadConfiguration:
    """A workload of a kind with everything read."""
    scaling = {"manualInstanceCount": 2} if kind is Kind.WORKER_POOL else {"minInstanceCount": 1}
    plain = configuration(
        scaling,
        [traffic_target("", 100), traffic_target(BAD, 0, "new")],
        kind=kind,
        access=Access((), "ab", (iam_binding(PUBLIC, USER),)),
        executions=(execution("a"), execution("b")),
        revisions=REVISIONS,
    )
    return replace(plain, **changes)


def steps_for(kind: Kind) -> tuple[tuple[str, ...], ...]:
    """Everything that can be done to a kind."""
    last = () if kind in (Kind.WORKER_POOL, Kind.INSTANCE) else (("require-authentication",),)
    return STEPS[kind] + last


def plan_for(of: WorkloadConfiguration) -> tuple[Change, ...]:
    """The plan for a workload."""
    return plan_changes(steps_for(of.kind), of, FINDING).changes


def stored_plan(of: WorkloadConfiguration) -> RecordedPlan:
    """The plan as an outcome shows it, read back."""
    changes = [change_json(change) for change in plan_for(of)]
    outcome = outcome_json(changes, of.uid)
    return recorded_plan(Outcome.from_json(json.loads(json.dumps(outcome))))


def outcome_json(changes: list[dict[str, Any]], uid: str) -> JsonObject:
    """An outcome that awaits approval."""
    named = Workload.from_resource_name(SERVICE)
    assert named
    workload = ReportedWorkload.of(named, uid=uid)
    outcome = Outcome(Status.AWAITING_APPROVAL, workload=workload)
    return {**outcome.to_json(), "changes": changes}


@pytest.mark.parametrize("kind", Kind)
def test_a_plan_reads_back_as_it_was_made(kind: Kind) -> None:
    """Etag and affected revision included; on the same workload nothing differs."""
    now = workload_read(kind)
    recorded = stored_plan(now)
    assert (recorded.uid, recorded.changes) == (UID, plan_for(now))
    assert recorded.mismatches(plan_for(now), now) == ()
    assert recorded.refreshed(plan_for(now), kind) == plan_for(now)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda recorded: recorded.pop("changes"),
        lambda recorded: recorded["changes"].clear(),
        lambda recorded: recorded["changes"][0].pop("etag"),
        lambda recorded: recorded["changes"][0].update(before="[redacted:1]"),
        lambda recorded: recorded["changes"][0].update(kind="template"),
        lambda recorded: recorded["changes"][0].update(unknown=1),
        lambda recorded: recorded["workload"].update(uid=None),
        lambda recorded: recorded.update(workload=None),
    ],
)
def test_a_plan_that_lacks_anything_is_not_read(spoil: Callable[[Any], Any]) -> None:
    """What cannot be read back exactly is not applied."""
    changes = [change_json(change) for change in plan_for(workload_read(Kind.SERVICE))]
    recorded = json.loads(json.dumps(outcome_json(changes, UID)))
    spoil(recorded)
    with pytest.raises(ValueError, match="it "):
        recorded_plan(Outcome.from_json(recorded))


def test_a_forged_plan_is_not_applied() -> None:
    """Only what policy and settings give now is written, whatever the record says."""
    now = workload_read(Kind.WORKER_POOL)
    recorded = stored_plan(now)
    (change,) = recorded.changes
    for forged in (
        replace(change, after={"scaling": {"manualInstanceCount": 50}}),
        replace(change, target=f"{change.target}-2"),
        replace(change, mask=("scaling", "template")),
        replace(change, kind=ChangeKind.CANCELLATION),
    ):
        bad = replace(recorded, changes=(forged,))
        assert bad.mismatches(plan_for(now), now)
        assert bad.refreshed(plan_for(now), now.kind) == ()
    more = replace(recorded, changes=(change, replace(change, kind=ChangeKind.IAM_POLICY)))
    assert more.mismatches(plan_for(now), now)


def test_the_same_policy_of_another_version_is_the_same() -> None:
    """Its bindings decide; the edit is then of the version that is there now."""
    recorded = stored_plan(workload_read(Kind.JOB))
    now = workload_read(Kind.JOB, access=Access((), "ff", (iam_binding(USER, PUBLIC),)))
    assert recorded.mismatches(plan_for(now), now) == ()
    (edit,) = (
        c for c in recorded.refreshed(plan_for(now), now.kind) if c.kind is ChangeKind.IAM_POLICY
    )
    assert edit.etag == "ff"


def test_an_execution_that_is_over_is_no_matter() -> None:
    """It is as wanted; the others are still to be cancelled."""
    recorded = stored_plan(workload_read(Kind.JOB))
    now = workload_read(Kind.JOB, executions=(execution("a", running=False), execution("b")))
    assert recorded.mismatches(plan_for(now), now) == ()
    targets = [c.target.rpartition("/")[2] for c in recorded.refreshed(plan_for(now), now.kind)]
    assert targets == ["b", "storefront"]


def test_a_closed_plan_is_never_applied() -> None:
    """It has waited too long, whatever the workload is like."""
    now = workload_read(Kind.SERVICE)
    assert replace(stored_plan(now), expired=True).mismatches((), now) == ("the plan has expired",)


_SCALINGS: st.SearchStrategy[Json] = st.sampled_from(
    [
        {"minInstanceCount": 1},
        {"minInstanceCount": 2, "maxInstanceCount": 9},
        {"scalingMode": "MANUAL", "manualInstanceCount": 0},
        {"scalingMode": "MANUAL", "manualInstanceCount": 4},
        {},
    ]
)
_TRAFFIC: st.SearchStrategy[Json] = st.sampled_from(
    [
        [],
        [traffic_target("", 100)],
        [traffic_target("", 100), traffic_target(BAD, 0, "new")],
        [traffic_target(BAD, 100)],
    ]
)
_INGRESS = st.sampled_from(["INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_ONLY"])
_ACCESS = st.lists(st.sampled_from([PUBLIC, USER]), unique=True)


@st.composite
def services(draw: st.DrawFn) -> WorkloadConfiguration:
    """A service in any state."""
    fields = {
        "scaling": draw(_SCALINGS),
        "traffic": draw(_TRAFFIC),
        "ingress": draw(_INGRESS),
        "invokerIamDisabled": draw(st.booleans()),
    }
    members = draw(_ACCESS)
    access = Access(
        (), draw(st.sampled_from(["a1", "b2"])), (iam_binding(*members),) if members else ()
    )
    return workload_read(Kind.SERVICE, fields=fields, access=access)


@given(services(), services())
@repeatable
def test_only_recorded_changes_are_ever_written(
    then: WorkloadConfiguration, now: WorkloadConfiguration
) -> None:
    """Either it is refused, or each write is one of the plan, with the same result."""
    if not plan_for(then):
        return
    recorded = stored_plan(then)
    if recorded.mismatches(plan_for(now), now):
        return
    written = recorded.refreshed(plan_for(now), now.kind)
    assert len(written) == len(plan_for(now))
    for change, fresh in zip(written, plan_for(now), strict=True):
        (origin,) = (
            c for c in recorded.changes if (c.kind, c.target) == (change.kind, change.target)
        )
        assert (change.after, change.mask, change.action) == (
            origin.after,
            origin.mask,
            origin.action,
        )
        assert (change.before, change.etag) == (fresh.before, fresh.etag)
        assert change.state is ChangeState.PLANNED


def test_the_form_of_a_policy_is_no_change() -> None:
    """Google answers with a version; what a plan touches are the bindings."""
    public = {"role": "roles/run.invoker", "members": ["allUsers"]}
    now = configuration(access=Access((), "ab", (public,), version=3))
    edit = next(
        change
        for change in plan_changes((("require-authentication",),), now, finding()).changes
        if change.kind is ChangeKind.IAM_POLICY
    )
    assert "version" in edit.before
    assert RecordedPlan(now.uid, (edit,)).mismatches((edit,), now) == ()
