"""Convert API messages to and from proto JSON.

Proto JSON has camelCase names and enum names. The proto-plus helpers of the client libraries are
not used for it: they print enum numbers and every default.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

# Registered by being imported: audit log entries carry this type inside an Any.
from google.cloud.audit import audit_log_pb2  # noqa: F401  isort: skip

M = TypeVar("M")


def unwrap(message: Any) -> Any:
    """The plain protobuf message under a proto-plus one; a plain one stays itself."""
    return message if isinstance(message, Message) else type(message).pb(message)


def to_json(message: Any) -> dict[str, Any]:
    """A message as proto JSON, without the fields that are at their default."""
    return json_format.MessageToDict(unwrap(message))


def from_json(kind: type[M], data: Any, *, lenient: bool = False) -> M:
    """A message of a kind from its proto JSON.

    Args:
        kind: A proto-plus or a protobuf class.
        data: What a JSON parser returned.
        lenient: Passes over names that the message does not have, instead of refusing them.

    Raises:
        google.protobuf.json_format.ParseError: The data does not describe such a message.
    """
    try:
        text = json.dumps(data)
    except (TypeError, ValueError, RecursionError):
        return _parsed(kind, data, lenient=lenient)
    message = kind()
    wanted: Any = kind
    unwrap(message).ParseFromString(_wire_bytes(wanted, text, lenient=lenient))
    return message


@functools.lru_cache(maxsize=2048)
def _wire_bytes(kind: Any, text: str, *, lenient: bool) -> bytes:
    """A message as it goes over the wire; worlds have much in common, and tests many worlds."""
    return serialize(_parsed(kind, json.loads(text), lenient=lenient))


def _parsed(kind: type[M], data: Any, *, lenient: bool) -> M:
    message = kind()
    json_format.ParseDict(data, unwrap(message), ignore_unknown_fields=lenient)
    return message


def copy(message: M) -> M:
    """A message that can be changed without changing the first."""
    twin = type(message)()
    unwrap(twin).CopyFrom(unwrap(message))
    return twin


def parser(kind: type[Any]) -> Any:
    """The function that reads a message of a kind from the wire."""
    return kind.deserialize if hasattr(kind, "deserialize") else kind.FromString


def serialize(message: Any) -> bytes:
    """A message as it goes over the wire."""
    data: bytes = unwrap(message).SerializeToString()
    return data


def timestamp_of(message: Any, field: str) -> dt.datetime:
    """The time in a field of a message; 1970 if it is unset."""
    time: dt.datetime = getattr(unwrap(message), field).ToDatetime(tzinfo=dt.UTC)
    return time


def set_timestamp(message: Any, field: str, when: dt.datetime) -> None:
    """Puts a time into a field of a message."""
    getattr(unwrap(message), field).FromDatetime(when)


def set_timestamp_if_unset(message: Any, field: str, when: dt.datetime) -> None:
    """Puts a time into a field of a message that has none there."""
    if not unwrap(message).HasField(field):
        set_timestamp(message, field, when)


def fingerprint(*parts: object) -> str:
    """Hex digits that are the same for the same parts: what ids and etags are made of here."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
