"""Compare the settings of two moments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from incident.actions.fields import changed_fields
from incident.model import Access, Json, WorkloadConfiguration
from tests.support.constants import INCIDENT_ID
from tests.support.model import configuration, template

SCALING: Json = {"minInstanceCount": 2}
TRAFFIC: list[Json] = [
    {"revision": "storefront-00041", "tag": "known-good"},
    {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100},
]
INVOKER: dict[str, Any] = {
    "role": "roles/run.invoker",
    "members": ["allUsers", "user:a@example.com"],
}
BEFORE = configuration(SCALING, TRAFFIC, access=Access((), raw=(INVOKER,)))


def with_field(name: str, value: Json) -> WorkloadConfiguration:
    """The same settings with one field of another value."""
    return replace(BEFORE, fields={**BEFORE.fields, name: value})


def test_write_metadata_is_no_difference() -> None:
    """Generation, modifier and time change with every write, also with one that restores."""
    after = replace(BEFORE, generation=9, observed_generation=9, last_modifier="us@example.com")
    assert changed_fields(BEFORE, after) == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scaling", {"minInstanceCount": 2, "scalingMode": "AUTOMATIC", "manualInstanceCount": 0}),
        ("ingress", None),
        ("invokerIamDisabled", False),
    ],
)
def test_another_way_to_write_the_same_is_no_difference(field: str, value: Json) -> None:
    """Defaults may be left out or written out."""
    assert changed_fields(BEFORE, with_field(field, value)) == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scaling", {"scalingMode": "MANUAL", "manualInstanceCount": 0}),
        ("ingress", "INGRESS_TRAFFIC_INTERNAL_ONLY"),
        ("invokerIamDisabled", True),
        ("traffic", TRAFFIC[1:]),
        ("traffic", TRAFFIC[::-1]),
    ],
)
def test_a_field_with_another_meaning_is_named(field: str, value: Json) -> None:
    """Traffic is compared target by target: a tag is an address, and the order is visible."""
    assert changed_fields(BEFORE, with_field(field, value)) == (field,)


@pytest.mark.parametrize(
    "changed",
    [
        {"uid": "another"},
        {"labels": {}},
        {"annotations": {"scc-responder-incident": INCIDENT_ID}},
        {"template": template(timeout_s=60)},
    ],
)
def test_fields_that_no_release_writes_are_compared_too(changed: dict[str, Any]) -> None:
    """A leftover annotation, a changed template, or another workload."""
    assert changed_fields(BEFORE, replace(BEFORE, **changed)) == (*changed,)


def test_who_is_let_in_is_compared_without_regard_to_order() -> None:
    """Members are a set; one of them missing is a difference."""
    shuffled = {**INVOKER, "members": INVOKER["members"][::-1]}
    fewer = {**INVOKER, "members": ["allUsers"]}
    assert changed_fields(BEFORE, replace(BEFORE, access=Access((), raw=(shuffled,)))) == ()
    assert changed_fields(BEFORE, replace(BEFORE, access=Access((), raw=(fewer,)))) == ("bindings",)
    assert changed_fields(BEFORE, replace(BEFORE, access=None)) == ("bindings",)
