"""Read paged lists to their end, within a bound in time and number; a cut list says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import NamedTuple, TypeVar

from incident.model import CutList, Listing, Retry

T = TypeVar("T")
M = TypeVar("M")


class ListBounds(NamedTuple):
    """How much of a list is read.

    Attributes:
        items: Maximum number of items.
        seconds: Maximum time for all pages.
    """

    items: int
    seconds: float


async def read_all(
    what: str,
    pages: Callable[[], Awaitable[AsyncIterable[M]]],
    convert: Callable[[M], T],
    bounds: ListBounds,
    key: Callable[[T], object] | None = None,
) -> Listing[T]:
    """Every item of a paged list, or a cut list at a bound.

    Pages may be empty and still have a successor; the clients follow the tokens, so only an item
    or the end of the time ends the reading. A list that changes meanwhile may repeat an item.

    Args:
        what: What is listed and where, for the reason of a cut.
        pages: Sends the first request.
        convert: Converts an item.
        bounds: How much is read.
        key: What tells items apart: of those with the same key the first counts.

    Raises:
        Retry: There was no answer at all within the time.
        GoogleAPICallError: As Google's clients raise it.
    """
    found: dict[object, T] = {}
    answered = False
    try:
        async with asyncio.timeout(bounds.seconds) as limit:
            answer = await pages()
            answered = True
            async for item in answer:
                if len(found) == bounds.items:
                    return _cut(found, what, f"only the first {bounds.items} were read")
                converted = convert(item)
                found.setdefault(key(converted) if key else len(found), converted)
    except TimeoutError as error:
        if not limit.expired():
            raise
        if not answered:
            raise Retry(f"cannot list {what}: no answer within {bounds.seconds:g} s") from error
        text = f"only the first {len(found)} were read within {bounds.seconds:g} s"
        return _cut(found, what, text)
    return tuple(found.values())


def _cut(found: dict[object, T], what: str, why: str) -> CutList[T]:
    return CutList(tuple(found.values()), f"not all {what} were read: {why}")
