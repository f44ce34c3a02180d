"""Read a JSON document; errors name the path in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import json_format

from emulator.api import proto_json

M = TypeVar("M")

_PROTO_PLACE = re.compile(r'"? at "?[A-Za-z.]+?\.(?P<path>[a-z][\w.\[\]]*)')
_DURATION = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>ms|s)")


class BadWorld(Exception):  # noqa: N818  the name that the emulator's users know
    """A world that cannot be used. The text says what is wrong, where, and what to do."""


@dataclass(frozen=True, slots=True)
class JsonNode:
    """A value inside a JSON document, so that a refusal can point at it.

    Attributes:
        source: The file, or whatever the document came from.
        value: The value found there.
        path: The JSON path of the value, empty for the whole document.
        resource_name: The name of the resource that the value belongs to, empty outside of one.
    """

    source: str
    value: Any
    path: str = ""
    resource_name: str = ""

    def error(self, reason: str, remedy: str) -> BadWorld:
        """The error that this place deserves."""
        where = ": ".join(
            filter(None, (self.source, self.path or "(top level)", self.resource_name))
        )
        return BadWorld(f"{where}: {reason}; {remedy}")

    def in_resource(self, name: str) -> JsonNode:
        """The same place, with the name of the resource that it is in."""
        return replace(self, resource_name=name)

    def child_path(self, path: str) -> JsonNode:
        """A place further in, for pointing at it only."""
        return replace(self, path=f"{self.path}.{path}" if self.path else path)

    def get(self, key: str, default: Any = None) -> JsonNode:
        """The value of a key of this object, or the default."""
        return replace(self.child_path(key), value=self.value.get(key, default))

    def items(self) -> Iterator[JsonNode]:
        """The elements of this list."""
        if not isinstance(self.value, list):
            raise self.error(f"is {_kind_name(self.value)}, not a list", "write [ … ] here")
        for index, value in enumerate(self.value):
            yield replace(self, value=value, path=f"{self.path}[{index}]")

    def json_object(self, *, allowed_keys: tuple[str, ...] = ()) -> JsonNode:
        """This place, known to be an object, with no other keys than these if any are given."""
        if not isinstance(self.value, dict):
            raise self.error(f"is {_kind_name(self.value)}, not an object", "write { … } here")
        unknown = sorted(set(self.value) - set(allowed_keys)) if allowed_keys else []
        if unknown:
            remedy = f"the keys are {', '.join(allowed_keys)}"
            raise self.child_path(unknown[0]).error(f"{unknown[0]!r} is not a key", remedy)
        return self

    def string(self) -> str:
        """This value, known to be a text that is not empty."""
        if not isinstance(self.value, str) or not self.value:
            raise self.error(f"is {_kind_name(self.value)}, not a text", 'write "…" here')
        return self.value

    def whole_number(self) -> int:
        """This value, known to be a whole number that is not negative."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or self.value < 0:
            raise self.error("is not a whole number from 0", "write a number such as 2")
        return self.value

    def boolean(self) -> bool:
        """This value, known to be true or false."""
        if not isinstance(self.value, bool):
            raise self.error(f"is {_kind_name(self.value)}", "write true or false")
        return self.value

    def seconds(self) -> float:
        """This value as seconds: `"100ms"`, `"2s"`, or a number of milliseconds."""
        if isinstance(self.value, int | float) and not isinstance(self.value, bool):
            if 0 <= self.value < float("inf"):
                return self.value / 1000
        elif isinstance(self.value, str) and (match := _DURATION.fullmatch(self.value)):
            return float(match["number"]) / (1000 if match["unit"] == "ms" else 1)
        raise self.error("is not a duration", 'write "100ms", "2s" or a number of milliseconds')

    def proto_message(self, kind: type[M], *, lenient: bool = False) -> M:
        """This value as a message of the API, read from its proto JSON."""
        self.json_object()
        try:
            return proto_json.from_json(kind, self.value, lenient=lenient)
        except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
            reason = str(error).splitlines()[0]
            found = _PROTO_PLACE.search(reason)
            node = self.child_path(found["path"]) if found else self
            remedy = f"write the proto JSON of {kind.__name__}: camelCase names, enum names"
            raise node.error(_PROTO_PLACE.sub("", reason).rstrip('".'), remedy) from error


def read_json_file(path: Path) -> Any:
    """The JSON document in a file.

    Raises:
        BadWorld: The file cannot be read, or is not JSON; duplicate keys and NaN are not JSON.
    """
    node = JsonNode(str(path), None)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        raise node.error(reason, "give the path of a world file") from error
    except UnicodeDecodeError as error:
        raise node.error("is not UTF-8", "save the file as UTF-8") from error
    return parse_json(text, source=str(path))


def parse_json(text: str | bytes, *, source: str) -> Any:
    """The JSON document in a text.

    Raises:
        BadWorld: The text is not JSON; duplicate keys and NaN are not JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise JsonNode(source, None).error(f"is not JSON ({error})", "correct the file") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {key!r} stands twice in one object")
        result[key] = value
    return result


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number in JSON")


def _kind_name(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return "missing" if value is None else names.get(type(value), "a number")
