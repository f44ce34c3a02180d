"""Convert model values to JSON and times to text; read values of a parsed JSON object safely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from incident.model.workload import Json, JsonObject


def json_value(value: Any) -> Any:
    """Any value of the model as JSON. What a type does not print of itself stays out."""
    if is_dataclass(value) and not isinstance(value, type):
        shown = (field for field in fields(value) if field.repr)
        return {field.name: json_value(getattr(value, field.name)) for field in shown}
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | frozenset):
        return [
            json_value(item) for item in (sorted(value) if isinstance(value, frozenset) else value)
        ]
    return value


def time_text(moment: datetime | None) -> str | None:
    """A time in UTC, as all records spell it."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def json_object(value: Json) -> JsonObject:
    """The object, or an empty one where the value is none."""
    return value if isinstance(value, Mapping) else {}


def json_list(value: Json) -> Sequence[Json]:
    """The list, or an empty one where the value is none."""
    return value if isinstance(value, list | tuple) else ()


def json_objects(value: Json) -> list[JsonObject]:
    """The objects of a list; empty where the value is no list."""
    return [each for each in json_list(value) if isinstance(each, Mapping)]


def json_string(value: Json) -> str:
    """The string, or an empty one where the value is none."""
    return value if isinstance(value, str) else ""
