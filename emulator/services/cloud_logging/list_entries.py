"""Cloud Logging API v2: ListLogEntries.

The filter is a subset of Google's Logging query language: no regular expressions, no functions,
no bare search terms. Strings are compared without regard to case, as Google documents it.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

from google.cloud.logging_v2.types import ListLogEntriesRequest, ListLogEntriesResponse, LogEntry
from google.logging.type import log_severity_pb2

from emulator.api import list_filters, list_pages, proto_json, timestamps
from emulator.api.errors import invalid_argument
from emulator.api.list_filters import Comparison, FilterSyntaxError
from emulator.api.rate_limit import Quota
from emulator.api.resource_names import segment_after
from emulator.services.gate import Method, method
from emulator.world.state import World

_DEFAULT_PAGE_SIZE, _MAX_PAGE_SIZE = 50, 1000
_MAX_FILTER_CHARACTERS = 20_000
_MAX_RESOURCE_NAMES = 100
_TIMES = ("timestamp", "receiveTimestamp")
# Below these, keys are whatever somebody wrote, and not names of fields with two spellings.
_FREE_KEY_FIELDS = ("labels", "jsonPayload")
_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


class _FilteredEntry:
    """A log entry in the two forms that filtering needs; the second one as soon as it does."""

    def __init__(self, message: LogEntry) -> None:
        self.message = message

    @functools.cached_property
    def data(self) -> dict[str, Any]:
        """The entry as JSON."""
        return proto_json.to_json(self.message)


class Logging:
    """The log entries of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._reads = Quota("Read requests", "logging.googleapis.com")

    def methods(self) -> list[Method]:
        """The methods of `google.logging.v2.LoggingServiceV2` that are there."""
        name = "/google.logging.v2.LoggingServiceV2/ListLogEntries"
        return [method(name, ListLogEntriesRequest, self.list_entries)]

    async def list_entries(self, request: ListLogEntriesRequest) -> ListLogEntriesResponse:
        """The entries of some projects that match a filter, by time, in pages."""
        scopes = self._scopes(list(request.resource_names))
        for scope in scopes:
            self._reads.consume(scope)
        matches = _matcher(request.filter)
        found = [
            entry
            for entry in self._world.log_entries
            if self._scope(entry.log_name) in scopes and matches(_FilteredEntry(entry))
        ]
        found.sort(key=_by_time, reverse=_newest_first(request.order_by))
        length = list_pages.clamp_page_size(
            request.page_size, default=_DEFAULT_PAGE_SIZE, maximum=_MAX_PAGE_SIZE, strict=True
        )
        query = (sorted(scopes), request.filter, request.order_by)
        page, token = list_pages.paginate(
            found,
            size=length,
            token=request.page_token,
            query=query,
            rules=self._world.pages,
            key=lambda entry: f"{entry.log_name} {entry.insert_id}",
        )
        return ListLogEntriesResponse(entries=page, next_page_token=token)

    def _scopes(self, names: list[str]) -> set[str]:
        """What is listed: projects, or other owners of logs; views count as their owner."""
        if not names or len(names) > _MAX_RESOURCE_NAMES:
            raise invalid_argument(f"resource_names must have 1 to {_MAX_RESOURCE_NAMES} entries")
        owners = ("projects", "organizations", "folders", "billingAccounts")
        for name in names:
            if name.split("/")[0] not in owners or not segment_after(name, name.split("/")[0]):
                raise invalid_argument(f"{name!r} is not a valid resource name")
        return {self._scope(name) for name in names}

    def _scope(self, name: str) -> str:
        return "/".join(self._world.canonical(name).split("/")[:2])


def _by_time(entry: LogEntry) -> tuple[int, str]:
    return timestamps.nanoseconds(LogEntry.pb(entry).timestamp), entry.insert_id


def _newest_first(order_by: str) -> bool:
    orders = {"": False, "timestamp asc": False, "timestamp": False, "timestamp desc": True}
    if order_by not in orders:
        raise invalid_argument(
            f"order_by must be 'timestamp asc' or 'timestamp desc', not {order_by!r}"
        )
    return orders[order_by]


def _matcher(text: str) -> Callable[[_FilteredEntry], bool]:
    """The filter of a request as a function.

    Raises:
        ApiError: INVALID_ARGUMENT for what is not a filter, names an unknown field, or is longer
            than Google allows.
    """
    if len(text) > _MAX_FILTER_CHARACTERS:
        raise invalid_argument(
            f"The filter must not be longer than {_MAX_FILTER_CHARACTERS} characters."
        )
    try:
        return list_filters.compile_filter(
            text, list_filters.LOGGING_DIALECT, _check_comparison, _compare
        )
    except FilterSyntaxError as error:
        raise invalid_argument(f"Unparseable filter: {error}") from error


def _check_comparison(comparison: Comparison) -> None:
    field = _camel(comparison.path[0])
    known = {f.json_name for f in LogEntry.pb(LogEntry()).DESCRIPTOR.fields}
    if field not in known:
        raise FilterSyntaxError(f"Field not found: {'.'.join(comparison.path)!r}")
    if field in _TIMES and timestamps.rfc3339(comparison.value.text) is None:
        raise FilterSyntaxError(f"{comparison.value.text[:40]!r} is not a time")
    if field == "severity" and _severity(comparison.value.text) is None:
        raise FilterSyntaxError(f"{comparison.value.text[:40]!r} is not a severity")


def _compare(comparison: Comparison, entry: _FilteredEntry) -> bool:
    field = _camel(comparison.path[0])
    text = comparison.value.text
    if field in _TIMES:
        found = getattr(LogEntry.pb(entry.message), _snake(field))
        return _ordered(
            comparison.operator, timestamps.nanoseconds(found), timestamps.rfc3339(text)
        )
    if field == "severity":
        return _ordered(comparison.operator, int(entry.message.severity), _severity(text))
    values = _values(entry.data, comparison.path)
    if comparison.operator == ":" and comparison.value.text == "*":
        return bool(values)
    return any(_matches(comparison.operator, value, text) for value in values)


def _ordered(sign: str, left: int, right: int | None) -> bool:
    equal = left == right
    if sign in ("=", ":"):
        return equal
    return not equal if sign == "!=" else right is not None and _ORDERINGS[sign](left, right)


def _matches(sign: str, value: Any, wanted: str) -> bool:
    """Whether one value of a field compares as asked; an object has the keys that it has."""
    if isinstance(value, dict):
        return sign == ":" and wanted in value
    text, wanted = str(value).lower(), wanted.lower()
    numbers = _number(text), _number(wanted)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if sign == ":":
        return wanted in text
    if sign in ("=", "!="):
        equal = text == wanted or (is_number and numbers[0] == numbers[1])
        return equal == (sign == "=")
    # Large integers are texts in proto JSON, so that what looks like a number is compared as one.
    left, right = (text, wanted) if None in numbers else numbers
    return _ORDERINGS[sign](left, right)


def _values(data: Any, path: tuple[str, ...]) -> list[Any]:
    """What an entry has at a path; of a list, every element counts."""
    found = [data]
    free = False
    for piece in path:
        found = [inner for one in _elements(found) for inner in _step(one, piece, free=free)]
        free = free or _camel(piece) in _FREE_KEY_FIELDS
    return _elements(found)


def _elements(values: list[Any]) -> list[Any]:
    return [inner for value in values for inner in (value if isinstance(value, list) else [value])]


def _step(value: Any, piece: str, *, free: bool) -> list[Any]:
    if not isinstance(value, dict):
        return []
    key = piece if free or piece in value else _camel(piece)
    return [value[key]] if key in value else []


def _severity(text: str) -> int | None:
    """A severity by name or by number."""
    names: dict[str, int] = dict(log_severity_pb2.LogSeverity.items())
    by_number = int(text) if text.isascii() and text.isdecimal() else None
    return names.get(text.upper(), by_number)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
