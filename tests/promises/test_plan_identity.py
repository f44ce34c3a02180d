"""One plan for one world and one policy: the mode says how far it goes, never what it is."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from incident.actions.recorded_plan import RecordedPlan
from incident.case_file.containments import ContainmentHistory
from incident.decision.decide import decide
from incident.decision.guards import (
    DecisionContext,
    ResponderIdentity,
    TakenSlots,
    approving_operator,
    containing_operator,
)
from incident.model import (
    Access,
    Decision,
    Evidence,
    Kind,
    Mode,
    Route,
    Verdict,
    WorkloadConfiguration,
)
from incident.policy.resolve import parse_policy
from responders import RESPONDERS
from tests.incident.actions.test_catalogue import BAD, PUBLIC, USER, execution, iam_binding
from tests.incident.actions.test_recorded_plan import services, workload_read
from tests.support.constants import CATEGORY
from tests.support.model import NOW, finding, repeatable, workload

ACTIONS = {
    Kind.SERVICE: (
        "scale-to-zero",
        "isolate-revision",
        "restrict-ingress",
        "require-authentication",
    ),
    Kind.JOB: ("cancel-executions", "require-authentication"),
    Kind.WORKER_POOL: ("scale-to-zero",),
    Kind.INSTANCE: ("stop-instance",),
}
ROUTE = Route(RESPONDERS[CATEGORY], Verdict.CONTAIN, "")


@st.composite
def worlds(draw: st.DrawFn) -> WorkloadConfiguration:
    """A workload of any kind, in any state."""
    kind = draw(st.sampled_from(Kind))
    if kind is Kind.SERVICE:
        return draw(services())
    members = draw(st.lists(st.sampled_from([PUBLIC, USER]), unique=True))
    running = draw(st.lists(st.booleans(), max_size=3))
    count = draw(st.integers(0, 3))
    fields: dict[Kind, dict[str, Any]] = {
        Kind.WORKER_POOL: {"scaling": {"manualInstanceCount": count}},
        Kind.INSTANCE: {"running": bool(count)},
    }
    return workload_read(
        kind,
        fields=fields.get(kind, {}),
        access=Access((), "ab", (iam_binding(*members),) if members else ()),
        executions=tuple(execution(f"e{at}", running=runs) for at, runs in enumerate(running)),
    )


@st.composite
def action_lists(draw: st.DrawFn) -> dict[str, Any]:
    """Actions per kind, with alternatives."""
    lists = {}
    for kind, names in ACTIONS.items():
        step = st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)
        lists[kind.value] = draw(st.lists(step, max_size=3, unique_by=tuple))
    return lists


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    """Rules that match or do not, protections now and then."""
    patterns = st.sampled_from(["storefront", "store*", "other"])
    match = st.one_of(
        st.builds(lambda name: {"services": [name]}, patterns),
        st.builds(lambda name: {"jobs": [name]}, patterns),
        st.builds(lambda value: {"labels": {"env": value}}, st.sampled_from(["prod", "test"])),
    )
    rules = [
        {"name": f"rule {at}", "match": found, "contain": draw(action_lists())}
        for at, found in enumerate(draw(st.lists(match, max_size=2)))
    ]
    protect = draw(st.sampled_from([[], [], [{"services": ["other"]}], [{"regions": ["*"]}]]))
    return {"contain": draw(action_lists()), "rules": rules, "protect": protect}


def decide_workload(
    now: WorkloadConfiguration, policy: dict[str, Any], ceiling: Mode, **attending: Any
) -> Decision:
    """The decision about a confirmed finding on a workload."""
    seen = finding(revision=BAD, execution="e0", workload=workload(kind=now.kind))
    around = DecisionContext(
        now=NOW,
        ceiling=ceiling,
        ceiling_reason="",
        responder=ResponderIdentity(),
        history=ContainmentHistory(),
        slots=TakenSlots(),
        containment_folder="containments/x/1",
        **attending,
    )
    parsed = parse_policy(json.dumps(policy), source="test")
    return decide(Evidence(seen, confirmed=True, configuration=now), ROUTE, parsed, around)


@given(worlds(), policies())
@hypothesis_settings(repeatable, max_examples=30)
def test_every_mode_plans_the_same_changes(
    now: WorkloadConfiguration, policy: dict[str, Any]
) -> None:
    """By the policy's mode and by the ceiling; approved and manually as well."""
    by_policy = [
        decide_workload(now, {**policy, "mode": mode.value}, Mode.ENFORCE) for mode in Mode
    ]
    enforcing = {**policy, "mode": "enforce"}
    by_ceiling = [decide_workload(now, enforcing, mode) for mode in Mode]
    first = by_policy[0]
    assert [each.mode for each in by_policy] == [each.mode for each in by_ceiling] == list(Mode)
    person = decide_workload(
        now, enforcing, Mode.ENFORCE, operator=containing_operator("ops@example.com")
    )
    for other in (*by_policy, *by_ceiling, person):
        assert (other.verdict, other.changes, other.steps) == (
            first.verdict,
            first.changes,
            first.steps,
        )
    if first.changes:
        approver = approving_operator("ops@example.com", RecordedPlan(now.uid, first.changes))
        waiting = {**policy, "mode": "approve"}
        approved = decide_workload(now, waiting, Mode.ENFORCE, operator=approver)
        assert (approved.mode, approved.changes) == (Mode.ENFORCE, first.changes)
