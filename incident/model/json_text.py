"""Model values and times as JSON, and back; read values of a parsed JSON object safely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any

from incident.model.workload import Json, JsonObject, Kind, Workload

#: Version of the records and of the outcome.
SCHEMA_VERSION = 1


def json_value(value: Any) -> Any:
    """Any value of the model as JSON. What a type does not print of itself stays out."""
    if (names := _shown_fields(value.__class__)) is not None:
        return {name: json_value(getattr(value, name)) for name in names}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if not isinstance(value, list | tuple | frozenset):
        return value
    return [json_value(item) for item in (sorted(value) if isinstance(value, frozenset) else value)]


@cache
def _shown_fields(kind: type) -> tuple[str, ...] | None:
    """The fields that values of a type print of themselves; None where it is no dataclass."""
    if not is_dataclass(kind):
        return None
    return tuple(field.name for field in fields(kind) if field.repr)


def time_text(moment: datetime | None) -> str | None:
    """A time in UTC, as all records spell it."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_time(value: object) -> datetime | None:
    """A time that :func:`time_text` or Google wrote, in UTC; None for any other value."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def workload_json(workload: Workload) -> dict[str, Json]:
    """A workload as records and outcomes have it; :func:`parse_workload` reads it back."""
    return {
        "kind": workload.kind.value,
        "project": workload.project,
        "project_number": workload.project_number,
        "location": workload.location,
        "name": workload.name,
        "resource_name": workload.resource_name,
    }


def parse_workload(value: object) -> Workload | None:
    """The workload that :func:`workload_json` wrote; None without a known kind."""
    fields = json_object(value)
    kind, project, location, name = (
        json_string(fields.get(key)) for key in ("kind", "project", "location", "name")
    )
    if kind not in list(Kind):
        return None
    number = json_string(fields.get("project_number")) or None
    return Workload.of_project(
        project, kind=Kind(kind), location=location, name=name, number=number
    )


def json_object(value: object) -> JsonObject:
    """The object, or an empty one for any other value."""
    return value if isinstance(value, Mapping) else {}


def json_list(value: object) -> Sequence[Json]:
    """The list, or an empty one for any other value."""
    return value if isinstance(value, list | tuple) else ()


def json_objects(value: object) -> list[JsonObject]:
    """The objects of a list; none for any other value."""
    return [each for each in json_list(value) if isinstance(each, Mapping)]


def json_string(value: object) -> str:
    """The string, or an empty one for any other value."""
    return value if isinstance(value, str) else ""


def json_strings(value: object) -> list[str]:
    """The strings of a list; none for any other value."""
    return [each for each in json_list(value) if isinstance(each, str)]
