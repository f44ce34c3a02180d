"""Values of the model as JSON, and times as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any


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
