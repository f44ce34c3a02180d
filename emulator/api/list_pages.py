"""Paginate a list with page sizes and page tokens."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from emulator.api import proto_json
from emulator.api.errors import invalid_argument

T = TypeVar("T")

_TOKEN = re.compile(r"(?P<digest>[0-9a-f]{16}):(?P<start>\d{1,9}):(?P<last>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PageRules:
    """How a world's pages differ from the longest ones that Google gives.

    Attributes:
        size: The longest page of any list; None for as long as the request allows. Google may
            answer with fewer items than asked for.
        empty_first: Whether the first page of every list is empty and has a successor.
    """

    size: int | None = None
    empty_first: bool = False


def paginate(  # noqa: PLR0913 - the request's three parts, the list, and its two rules
    items: Sequence[T],
    *,
    size: int,
    token: str,
    query: object,
    rules: PageRules,
    key: Callable[[T], str] = lambda _: "",
) -> tuple[list[T], str]:
    """One page of a list, and the token of the next one, empty after the last.

    Args:
        items: The whole list as it is now.
        size: Length of a page, at least 1.
        token: What the answer before this one gave, empty for the first page.
        query: What was asked for. A token is good for the query that it came from only.
        rules: The world's own rules of pages.
        key: Names an item. The next page begins behind the last item of this one, wherever that
            is by then; if it is gone, where it was. Without names, behind as many items as were
            given.

    Raises:
        ApiError: INVALID_ARGUMENT, for a token that this query never gave.
    """
    digest = proto_json.fingerprint(query)[:16]
    start, last = _start(token, digest) if token else (0, "")
    if last:
        start = next((at + 1 for at, item in enumerate(items) if key(item) == last), start - 1)
    length = 0 if rules.empty_first and not token else min(size, rules.size or size)
    page = list(items[start : start + length])
    end = start + len(page)
    if end >= len(items):
        return page, ""
    behind = key(page[-1]) if page else last
    return page, base64.urlsafe_b64encode(f"{digest}:{end}:{behind}".encode()).decode()


def _start(token: str, digest: str) -> tuple[int, str]:
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise invalid_argument("page_token is invalid") from error
    match = _TOKEN.fullmatch(text)
    if not match or match["digest"] != digest:
        raise invalid_argument("page_token is invalid for this request")
    return int(match["start"]), match["last"]


def clamp_page_size(asked: int, *, default: int, maximum: int, strict: bool = False) -> int:
    """The length of a page for the length that was asked for, 0 being none in particular.

    Args:
        asked: `page_size` of the request.
        default: The length when none was asked for.
        maximum: The longest page there is.
        strict: Refuses what is longer, instead of giving the longest page.

    Raises:
        ApiError: INVALID_ARGUMENT, for a negative length, or a too long one where that is strict.
    """
    if asked < 0 or (strict and asked > maximum):
        raise invalid_argument(f"page_size must be between 0 and {maximum}")
    return min(asked or default, maximum)


def newest_first(resources: Sequence[T]) -> list[T]:
    """Resources by the time of their creation; of two at once, the later listed one is newer."""
    return sorted(resources, key=lambda r: proto_json.timestamp_of(r, "create_time"))[::-1]
