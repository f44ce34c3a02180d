"""Plan changes of a service, and check whether they are in effect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.actions.catalogue import ACTIONS
from incident.actions.fields import FIELD_DEFAULTS, normalize_field
from incident.actions.masked_changes import in_effect, plan_changes, why_not_in_effect
from incident.model import Json, Kind, WorkloadConfiguration
from tests.support.constants import LATEST, REVISION, SCALED_TO_ZERO, SERVICE
from tests.support.model import (
    SCALE_TO_ZERO_STEPS,
    configuration,
    configuration_after,
    finding,
    repeatable,
    scale_to_zero_change,
)

ALL_LATEST: list[dict[str, Any]] = [{"type": LATEST, "percent": 100}]


def latest_target(percent: int, **others: Json) -> dict[str, Json]:
    """A traffic target that follows the latest ready revision."""
    return {"type": LATEST, "percent": percent, **others}


def revision_target(revision: str, percent: int, **others: Json) -> dict[str, Json]:
    """A traffic target of a named revision."""
    return {"type": REVISION, "revision": revision, "percent": percent, **others}


TRAFFIC: dict[str, tuple[Json, Json]] = {
    "none at all": (None, ALL_LATEST),
    "an empty list": ([], ALL_LATEST),
    "latest only": ([latest_target(100)], ALL_LATEST),
    "latest with a tag": ([latest_target(100, tag="live")], ALL_LATEST),
    "a target without its type": ([{"percent": 100}], ALL_LATEST),
    "a revision without its type": (
        [{"revision": "a", "percent": 100}],
        [revision_target("a", 100)],
    ),
    "a target that only has a tag": (
        [latest_target(100), {"type": REVISION, "revision": "old", "tag": "known-good"}],
        ALL_LATEST,
    ),
    "a target of no percent": ([latest_target(100), revision_target("old", 0)], ALL_LATEST),
    "one revision in two targets": (
        [
            revision_target("a", 30),
            revision_target("b", 40),
            revision_target("a", 30, tag="canary"),
        ],
        [revision_target("a", 60), revision_target("b", 40)],
    ),
    "one revision by name and as the latest": (
        [latest_target(50, tag="x"), revision_target("a", 50, tag="y")],
        [latest_target(50), revision_target("a", 50)],
    ),
    "nothing but tags": ([{"type": REVISION, "revision": "a", "tag": "t"}], ALL_LATEST),
}


@pytest.mark.parametrize(("traffic", "wanted"), TRAFFIC.values(), ids=TRAFFIC)
def test_tags_go_and_the_split_stays(traffic: Json, wanted: Json) -> None:
    """The traffic split is kept to the percent, and no tag is left."""
    assert (
        scale_to_zero_change(configuration({"minInstanceCount": 1}, traffic)).after["traffic"]
        == wanted
    )


SCALING: dict[str, tuple[Json, bool]] = {
    "nothing is set": (None, False),
    "automatic": ({"scalingMode": "AUTOMATIC"}, False),
    "automatic, which reads back a manual count of 0": (
        {"scalingMode": "AUTOMATIC", "manualInstanceCount": 0},
        False,
    ),
    "a manual count of 0 without a mode": ({"manualInstanceCount": 0}, False),
    "automatic with limits": ({"minInstanceCount": 0, "maxInstanceCount": 20}, False),
    "manual with three": ({"scalingMode": "MANUAL", "manualInstanceCount": 3}, False),
    "manual with none": (SCALED_TO_ZERO, True),
    "manual, and 0 left out": ({"scalingMode": "MANUAL"}, True),
    "manual with none, and a minimum, which means nothing": (
        {**SCALED_TO_ZERO, "minInstanceCount": 1},
        True,
    ),
}


@pytest.mark.parametrize(("scaling", "stopped"), SCALING.values(), ids=SCALING)
def test_only_manual_scaling_with_no_instances_is_a_stop(scaling: Json, *, stopped: bool) -> None:
    """A service is stopped by mode and count together, not by one of them."""
    found = configuration(scaling)
    wanted = scale_to_zero_change()
    assert in_effect(wanted, found) is stopped
    planned = plan_changes(SCALE_TO_ZERO_STEPS, found, finding())
    assert (planned.changes == ()) is stopped
    assert planned.applicable


@pytest.mark.parametrize(
    "traffic", [[latest_target(100, tag="live")], [latest_target(100), {"tag": "old"}]]
)
def test_a_stopped_service_with_a_tag_is_not_contained(traffic: Json) -> None:
    """A tagged revision still starts while the service has 0 manual instances."""
    (change,) = plan_changes(
        SCALE_TO_ZERO_STEPS, configuration(SCALED_TO_ZERO, traffic), finding()
    ).changes
    assert change.after == {"scaling": SCALED_TO_ZERO, "traffic": ALL_LATEST}


def test_a_change_says_what_it_does() -> None:
    """Target, mask, effect and reversibility are in the change."""
    change = scale_to_zero_change()
    assert (change.target, change.action) == (SERVICE, "scale-to-zero")
    assert change.mask == ("scaling", "traffic")
    assert (change.stops, change.reversible) == (True, True)


def test_an_empty_traffic_is_spelled_out_before_and_after() -> None:
    """Defaults that the API leaves out are written out."""
    change = scale_to_zero_change(configuration())
    assert change.before == {"scaling": {}, "traffic": ALL_LATEST}
    assert change.after == {"scaling": SCALED_TO_ZERO, "traffic": ALL_LATEST}


def test_alternatives_are_tried_in_their_order() -> None:
    """Of one step the first action that fits is taken; the others' reasons are kept."""
    planned = plan_changes((("isolate-revision", "scale-to-zero"),), configuration(), finding())
    assert planned.applicable
    assert [change.action for change in planned.changes] == ["scale-to-zero"]
    assert planned.not_applicable == (
        "isolate-revision: the finding does not name the affected revision",
    )


@pytest.mark.parametrize("kind", [Kind.JOB])
def test_what_does_not_fit_is_not_planned(kind: Kind) -> None:
    """An action for services plans nothing for another kind of workload."""
    planned = plan_changes(SCALE_TO_ZERO_STEPS, configuration(kind=kind), finding())
    assert (planned.applicable, planned.changes) == (False, ())
    assert planned.not_applicable == (f"scale-to-zero: it does not fit a {kind}",)


def test_no_steps_are_no_plan() -> None:
    """A policy that names no action for a kind has nothing that fits."""
    planned = plan_changes((), configuration(), finding())
    assert (planned.applicable, planned.changes) == (False, ())


def test_one_step_that_does_not_fit_makes_the_plan_inapplicable() -> None:
    """Either every step is applied or none."""
    assert not plan_changes(
        (*SCALE_TO_ZERO_STEPS, ("unheard-of",)), configuration(), finding()
    ).applicable


# In effect, by what Cloud Run reports.

SPLIT = [revision_target("a", 30), revision_target("b", 70)]
STOPPED = configuration_after(scale_to_zero_change(), configuration({"minInstanceCount": 2}))
OBSERVED = replace(STOPPED, observed_generation=STOPPED.generation)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (OBSERVED, None),
        (replace(OBSERVED, condition="CONDITION_FAILED"), None),
        (replace(OBSERVED, observed_generation=OBSERVED.generation + 1), None),
        (replace(OBSERVED, fields={**OBSERVED.fields, "traffic": SPLIT}), None),
        (STOPPED, "observed generation 7 of 8"),
        (replace(OBSERVED, live_tags=("live", "old")), "by its tag: live, old"),
        (configuration({"minInstanceCount": 2}), "another change came after it"),
        (
            replace(OBSERVED, fields={**OBSERVED.fields, "traffic": [*SPLIT, {"tag": "x"}]}),
            "another change",
        ),
    ],
)
def test_a_change_is_in_effect_once_it_is_served(
    found: WorkloadConfiguration, reason: str | None
) -> None:
    """Generation, fields and live tags decide; a terminal condition that failed does not."""
    why_not = why_not_in_effect(scale_to_zero_change(), found)
    assert why_not == reason if reason is None else reason in str(why_not)


# For any service.

_MODES = st.sampled_from(["AUTOMATIC", "MANUAL", "SCALING_MODE_UNSPECIFIED"])
_SCALING = st.fixed_dictionaries(
    {},
    optional={
        "scalingMode": _MODES,
        "manualInstanceCount": st.integers(0, 5),
        "minInstanceCount": st.integers(0, 5),
        "maxInstanceCount": st.integers(0, 50),
        "burstOfTheFuture": st.integers(0, 3) | st.fixed_dictionaries({"ratio": st.floats(0, 1)}),
    },
)


@st.composite
def _traffic(draw: st.DrawFn) -> list[dict[str, Json]]:
    """Targets whose percents sum to 100, some of them tagged, some by tag alone."""
    cuts = sorted(draw(st.lists(st.integers(0, 100), max_size=4)))
    shares = [end - start for start, end in zip([0, *cuts], [*cuts, 100], strict=True)]
    shares += [0] * draw(st.integers(0, 2))
    targets = []
    for number, percent in enumerate(shares):
        revision = draw(st.sampled_from(["", "a", "b", "c"]))
        target: dict[str, Json] = {"revision": revision} if revision else {}
        if draw(st.booleans()):
            target["type"] = REVISION if revision else LATEST
        if percent:
            target["percent"] = percent
        if draw(st.booleans()) or not percent:
            target["tag"] = f"t{number}"
        targets.append(target)
    return targets


_SERVICES = st.builds(configuration, st.none() | _SCALING, st.none() | st.just([]) | _traffic())


def _percents(traffic: Any) -> dict[str, int]:
    """How much goes where; ``""`` is the latest revision."""
    shares: dict[str, int] = {}
    for target in traffic or [{"percent": 100}]:
        revision = target.get("revision", "")
        shares[revision] = shares.get(revision, 0) + target.get("percent", 0)
    return {revision: percent for revision, percent in shares.items() if percent}


@given(_SERVICES)
@repeatable
def test_any_service_is_stopped_by_one_write(found: WorkloadConfiguration) -> None:
    """Once written, the change is in effect, and planning again gives no change."""
    planned = plan_changes(SCALE_TO_ZERO_STEPS, found, finding())
    assert planned.applicable
    for change in planned.changes:
        after = configuration_after(change, found)
        assert in_effect(change, after)
        assert plan_changes(SCALE_TO_ZERO_STEPS, after, finding()).changes == ()
    assert len(planned.changes) <= 1


@given(_SERVICES)
@repeatable
def test_traffic_keeps_its_split_and_loses_its_tags(found: WorkloadConfiguration) -> None:
    """Percents stay what they were and sum to 100, whatever the service looked like."""
    for change in plan_changes(SCALE_TO_ZERO_STEPS, found, finding()).changes:
        traffic: Any = change.after["traffic"]
        assert _percents(traffic) == _percents(found.fields.get("traffic"))
        assert sum(target["percent"] for target in traffic) == 100
        assert not [target for target in traffic if "tag" in target]
        assert all(target["percent"] and target["type"] for target in traffic)


@given(_SERVICES)
@repeatable
def test_only_scaling_and_traffic_are_written_and_kept_in_full(
    found: WorkloadConfiguration,
) -> None:
    """The mask names nothing else, and the snapshot has every key that is overwritten."""
    for change in plan_changes(SCALE_TO_ZERO_STEPS, found, finding()).changes:
        assert set(change.mask) == {"scaling", "traffic"}
        assert set(change.before) == set(change.after) == set(change.mask)
        scaling: Any = change.before["scaling"]
        assert scaling == (found.fields.get("scaling") or {})
        kept: Any = change.before["traffic"]
        had: Any = found.fields.get("traffic") or [{"percent": 100}]
        assert len(kept) == len(had)
        for one, other in zip(kept, had, strict=True):
            assert one.items() >= other.items()
        assert change.after["scaling"] == SCALED_TO_ZERO


@given(_SERVICES)
@repeatable
def test_writing_the_snapshot_back_restores_the_service(found: WorkloadConfiguration) -> None:
    """The snapshot means what the overwritten settings meant."""
    for change in plan_changes(SCALE_TO_ZERO_STEPS, found, finding()).changes:
        stopped = configuration_after(change, found)
        restored = configuration_after(replace(change, after=change.before), stopped)
        for name in change.mask:
            there, was = restored.fields[name], found.fields.get(name) or FIELD_DEFAULTS[name]
            assert normalize_field(name, there) == normalize_field(name, was)
        assert in_effect(change, stopped)
        assert not in_effect(change, restored)


def test_every_action_has_its_name_and_is_a_pure_function() -> None:
    """The catalogue's keys are the names, and fields are functions of settings alone."""
    found = configuration({"maxInstanceCount": 3}, [latest_target(100, tag="live")])
    fields = dict(found.fields)
    for name, action in ACTIONS.items():
        assert action.name == name
        for kind, want in action.desired_state.items():
            there = replace(found, kind=kind)
            assert want(there, finding()) == want(there, finding())
    assert found.fields == fields
