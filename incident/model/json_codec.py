"""Frozen dataclasses as JSON and back; what cannot be read is left out and named."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from incident.model.json_text import parse_time, time_text
from incident.model.workload import Json

T = TypeVar("T")

#: Stands for the value of a key that is not there; no field is of its type.
_MISSING_VALUE: Any = object()


def to_json(value: Any) -> Any:
    """A value of frozen dataclasses as JSON.

    A field's key is its name, or ``key`` in the field's metadata. A field with ``stored`` set to
    False in there is left out, and so is a None or False whose field has ``optional``.
    """
    if is_dataclass(value) and not isinstance(value, type):
        shown = ((each, getattr(value, each.name)) for each in _stored_fields(value))
        return {
            _key(each): to_json(item)
            for each, item in shown
            if not (item in (None, False) and each.metadata.get("optional"))
        }
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def from_json(kind: type[T], value: Json, unreadable: list[str], path: str = "") -> T:
    """The value that :func:`to_json` wrote.

    A part that is missing or of a wrong type becomes its field's default, or is left out of its
    list. A field whose metadata has ``exact`` keeps only the elements that are readable as a
    whole.

    Args:
        kind: The dataclass.
        value: The JSON.
        unreadable: Gets the path of each part that could not be read, such as ``changes/0/mask``.
        path: Where the value stands.

    Raises:
        ValueError: A part without a default cannot be read; names its path.
    """
    if not isinstance(value, Mapping):
        raise ValueError(path or kind.__name__)  # noqa: TRY004 - like any other unreadable part
    hints: Mapping[str, Any] = _hints(kind)  # type: ignore[arg-type]
    found: dict[str, Any] = {}
    for field in _stored_fields(kind):
        key = _key(field)
        if key not in value and field.metadata.get("optional"):
            continue
        at = f"{path}/{key}" if path else key
        try:
            given = value.get(key, _MISSING_VALUE)
            found[field.name] = _decode(hints[field.name], given, unreadable, at, field)
        except ValueError:
            if field.default is MISSING and field.default_factory is MISSING:
                raise ValueError(at) from None
            unreadable.append(at)
    return kind(**found)


def _decode(hint: Any, value: Json, unreadable: list[str], path: str, field: Field[Any]) -> Any:
    """One value by its type; ValueError with its path where it is not of that type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        present = next(each for each in arguments if each is not types.NoneType)
        return None if value is None else _decode(present, value, unreadable, path, field)
    if origin is tuple:
        return _decode_list(arguments[0], value, unreadable, path, field)
    if is_dataclass(hint):
        return from_json(hint, value, unreadable, path)  # type: ignore[arg-type]
    return _decode_plain(origin or hint, value, path)


def _decode_list(
    hint: Any, value: Json, unreadable: list[str], path: str, field: Field[Any]
) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(path)  # noqa: TRY004 - like any other unreadable part
    found = []
    for position, each in enumerate(value):
        problems: list[str] = []
        try:
            read = _decode(hint, each, problems, f"{path}/{position}", field)
        except ValueError as error:
            unreadable.append(str(error))
            continue
        if field.metadata.get("exact") and not problems and to_json(read) != each:
            problems.append(f"{path}/{position}")
        unreadable += problems
        if not (problems and field.metadata.get("exact")):
            found.append(read)
    return tuple(found)


def _decode_plain(hint: Any, value: Json, path: str) -> Any:
    if hint is datetime and (moment := parse_time(value)):
        return moment
    if isinstance(hint, type) and issubclass(hint, StrEnum) and value in list(hint):
        return hint(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint in (bool, str) and isinstance(value, hint):
        return value
    if hint is Mapping and isinstance(value, Mapping):
        return value
    raise ValueError(path)


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind, localns={"Json": Json})


def _stored_fields(value: Any) -> list[Field[Any]]:
    return [each for each in fields(value) if each.metadata.get("stored", True)]


def _key(field: Field[Any]) -> str:
    return str(field.metadata.get("key", field.name))
