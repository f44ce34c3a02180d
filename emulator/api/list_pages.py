"""Paginate a list with page sizes and page tokens."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import TypeVar

from emulator.api import proto_json
from emulator.api.errors import invalid_argument

T = TypeVar("T")

_TOKEN = re.compile(r"(?P<digest>[0-9a-f]{16}):(?P<start>\d{1,9})")


def paginate(items: Sequence[T], *, size: int, token: str, query: object) -> tuple[list[T], str]:
    """One page of a list, and the token of the next one, empty after the last.

    Args:
        items: The whole list.
        size: Length of a page, at least 1.
        token: What the answer before this one gave, empty for the first page.
        query: What was asked for. A token is good for the query that it came from only.

    Raises:
        ApiError: INVALID_ARGUMENT, for a token that this query never gave.
    """
    digest = proto_json.fingerprint(query)[:16]
    start = _start(token, digest) if token else 0
    end = start + size
    following = base64.urlsafe_b64encode(f"{digest}:{end}".encode()).decode()
    return list(items[start:end]), following if end < len(items) else ""


def _start(token: str, digest: str) -> int:
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise invalid_argument("page_token is invalid") from error
    match = _TOKEN.fullmatch(text)
    if not match or match["digest"] != digest:
        raise invalid_argument("page_token is invalid for this request")
    return int(match["start"])


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
