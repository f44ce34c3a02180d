"""The detector's API name, where a finding has one, and the spellings of a finding's type."""

from __future__ import annotations

from typing import Any

import pytest

from incident.model.finding_types import CATEGORIES_BY_API_NAME, categories_of_type
from incident.notification.parse import parse_record
from tests.support.model import listed_finding_json

API_NAME = "CLOUD_RUN_REVERSE_SHELL"


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ({"moduleName": API_NAME}, API_NAME),
        ({"moduleName": f"organizations/1/modules/{API_NAME}"}, API_NAME),
        ({"moduleName": API_NAME.lower()}, API_NAME),
        ({"module_name": API_NAME, "moduleName": None}, ""),
        ({"moduleName": "", "sourceProperties": {"moduleName": API_NAME}}, API_NAME),
        ({"moduleName": "", "sourceProperties": {"Detector_Name": API_NAME}}, API_NAME),
        ({"moduleName": "x", "sourceProperties": {"apiName": API_NAME}}, API_NAME),
        (
            {"moduleName": "", "sourceProperties": {"detectionCategory": {"ruleName": API_NAME}}},
            API_NAME,
        ),
        # What an attacker may have chosen is no name of a detector.
        ({"moduleName": "", "sourceProperties": {"Process_Name": API_NAME}}, ""),
        ({"moduleName": "", "sourceProperties": {"moduleName": [API_NAME]}}, ""),
        ({"moduleName": "", "sourceProperties": [API_NAME]}, ""),
        ({"moduleName": "REVERSE_SHELL"}, ""),
        ({"moduleName": "CLOUD_RUN_NEW"}, ""),
        ({"moduleName": 7}, ""),
    ],
)
def test_a_known_api_name_is_read_where_the_detector_is_named(
    fields: dict[str, Any], read: str
) -> None:
    """In fields that name the detector, and nowhere else."""
    assert parse_record(listed_finding_json(**fields)).api_name == read


def test_spellings_of_one_type_are_one() -> None:
    """The documented one comes first, and a spelling that nobody knows is added to its type."""
    older, newer = CATEGORIES_BY_API_NAME["CLOUD_RUN_FIND_GCP_CREDENTIALS"]
    assert categories_of_type(newer) == categories_of_type(older) == (older, newer)
    assert categories_of_type("New") == ("New",)
    assert categories_of_type("New", "CLOUD_RUN_REVERSE_SHELL") == ("New",)
    spelled = "Command and Control: Shell in Reverse"
    assert categories_of_type(spelled, "CLOUD_RUN_REVERSE_SHELL") == ("Reverse Shell", spelled)
    assert categories_of_type(newer, "CLOUD_RUN_REVERSE_SHELL") == (older, newer)
    for odd in ("reverse Shell", "Reverse Shell ", "Re\u0475erse Shell"):
        assert categories_of_type(odd, "CLOUD_RUN_REVERSE_SHELL") == (odd,)


@pytest.mark.parametrize("odd", [7, "text", [7], [{"role": 7}], {"role": []}, None])
def test_odd_bindings_are_left_out(odd: object) -> None:
    """They are evidence, and of a finding whose JSON was never seen."""
    assert parse_record(listed_finding_json(iamBindings=odd)).bindings == ()


def test_bindings_are_read_as_the_audit_log_spells_them() -> None:
    """Action, role and member."""
    binding = {"action": "ADD", "role": "roles/run.invoker", "member": "allUsers"}
    record = parse_record(listed_finding_json(iamBindings=[binding]))
    assert record.bindings == ("ADD roles/run.invoker allUsers",)
