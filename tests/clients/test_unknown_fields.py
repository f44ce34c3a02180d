"""Fields that the locked client does not know survive the way through JSON and back."""

from __future__ import annotations

from typing import Any

import pytest
from google.cloud import run_v2
from google.iam.v1 import policy_pb2
from google.type import expr_pb2

from clients.cloud_run_conversion import access_of, configuration_of
from clients.unknown_fields import json_with_unknown, parse_with_unknown, unknown_bytes
from incident.model import UNKNOWN_FIELDS

#: Field 99 as a number, and field 98 as text, as a newer server sends them.
NEW = b"\x98\x06\x07" + b"\x92\x06\x03new"


def with_new(message: Any) -> Any:
    """The message with fields that are not known here."""
    message.MergeFromString(NEW)
    return message


@pytest.mark.parametrize(
    "message",
    [
        run_v2.ServiceScaling.pb()(min_instance_count=2),
        run_v2.WorkerPoolScaling.pb()(manual_instance_count=3),
        run_v2.WorkerPoolScaling.pb()(),
        run_v2.TrafficTarget.pb()(percent=100, tag="canary"),
        policy_pb2.Binding(role="roles/x", members=["a"], condition=expr_pb2.Expr(title="t")),
    ],
)
def test_unknown_fields_survive_json(message: Any) -> None:
    """Byte for byte, beside the known ones; without any, the JSON has no such key."""
    assert UNKNOWN_FIELDS not in json_with_unknown(message)
    assert unknown_bytes(message) == b""
    full = with_new(message)
    assert unknown_bytes(full) == NEW
    again = parse_with_unknown(json_with_unknown(full), type(message)())
    assert again.SerializeToString() == full.SerializeToString()


def test_an_unknown_field_of_a_part_survives() -> None:
    """A condition inside a binding; an edit of the members leaves it."""
    binding = policy_pb2.Binding(role="roles/x", members=["allUsers"])
    with_new(binding.condition)
    content = {**json_with_unknown(binding), "members": ["user:a@example.com"]}
    again = parse_with_unknown({"bindings": [content]}, policy_pb2.Policy()).bindings[0]
    assert list(again.members) == ["user:a@example.com"]
    assert again.condition.SerializeToString() == NEW


def test_settings_name_the_fields_with_something_unknown() -> None:
    """In a message, in one of a list, in the policy; nowhere else is anything overwritten."""
    service = run_v2.Service.pb()(name="s", traffic=[run_v2.TrafficTarget.pb()(percent=100)])
    assert configuration_of(run_v2.Service.wrap(service)).unknown_fields == ()
    with_new(service)
    assert configuration_of(run_v2.Service.wrap(service)).unknown_fields == ()
    with_new(service.traffic[0])
    with_new(service.scaling)
    found = configuration_of(run_v2.Service.wrap(service))
    assert set(found.unknown_fields) == {"scaling", "traffic"}
    assert access_of(with_new(policy_pb2.Policy())).unknown_fields
