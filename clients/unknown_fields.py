"""Keep the fields of a message that the locked client does not know, when it goes through JSON.

A newer API may send fields that google-cloud-run does not know yet. They stay in the message, and
``MessageToDict`` drops them. Here they travel in the JSON, as bytes under a key of their own, so
that a snapshot has them and a release sends them back.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict

from incident.model import UNKNOWN_FIELDS, Json


def json_with_unknown(message: Any) -> dict[str, Json]:
    """A message as proto JSON, with the bytes of the fields that are not known, if any."""
    content: dict[str, Json] = MessageToDict(message)
    data = unknown_bytes(message)
    return {**content, UNKNOWN_FIELDS: base64.b64encode(data).decode()} if data else content


def parse_with_unknown(content: Json, message: Any) -> Any:
    """The message of a JSON value, unknown fields included.

    Args:
        content: Proto JSON; every object in it may have unknown fields as bytes.
        message: An empty message, which is filled.

    Raises:
        ParseError: It is not the JSON of such a message.
        ValueError: The bytes are not base64.
    """
    ParseDict(_without_bytes(content), message)
    _merge_bytes(content, message)
    return message


def unknown_bytes(message: Any) -> bytes:
    """The unknown fields of a message and of its parts, serialized; empty if there are none.

    Unknown fields inside repeated parts are not found: each of those is a message of its own here.
    """
    rest = type(message)()
    rest.CopyFrom(message)
    for field, value in message.ListFields():
        part = unknown_bytes(value) if field.message_type and _is_singular(value) else b""
        rest.ClearField(field.name)
        if part:
            getattr(rest, field.name).MergeFromString(part)
    data: bytes = rest.SerializeToString()
    return data


def _is_singular(value: Any) -> bool:
    return hasattr(value, "ListFields")


def _without_bytes(content: Json) -> Any:
    if isinstance(content, Mapping):
        return {k: _without_bytes(v) for k, v in content.items() if k != UNKNOWN_FIELDS}
    if isinstance(content, list | tuple):
        return [_without_bytes(each) for each in content]
    return content


def _merge_bytes(content: Json, message: Any) -> None:
    if not isinstance(content, Mapping):
        return
    data = content.get(UNKNOWN_FIELDS)
    if isinstance(data, str):
        message.MergeFromString(base64.b64decode(data, validate=True))
    by_name = {f.json_name: f.name for f in message.DESCRIPTOR.fields if f.message_type}
    for json_name, value in content.items():
        if json_name in by_name:
            for part, target in _parts(value, getattr(message, by_name[json_name])):
                _merge_bytes(part, target)


def _parts(value: Json, target: Any) -> Iterator[tuple[Json, Any]]:
    """The objects of a JSON value, each with its message; a map of texts has none."""
    if isinstance(value, Mapping) and _is_singular(target):
        yield value, target
    elif isinstance(value, list | tuple):
        yield from zip(value, target, strict=True)
