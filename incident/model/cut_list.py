"""Lists read from Google: whole, or cut with the reason. A cut list is a type of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CutList(Generic[T]):
    """A part of a list: paging ended at a bound. Not a sequence, so nobody takes it for the whole.

    Attributes:
        found: What was read, in the list's order; what was read by name comes last.
        reason: Why the rest was not read, as a sentence without its end.
    """

    found: tuple[T, ...]
    reason: str


#: A tuple is the whole list, read to its end.
Listing: TypeAlias = tuple[T, ...] | CutList[T]


def found_in(listing: Listing[T] | None) -> tuple[T, ...]:
    """What was read of a list. For what is there; never for a statement about what is not."""
    if listing is None:
        return ()
    return listing.found if isinstance(listing, CutList) else listing


def cut_reason(listing: Listing[T] | None) -> str:
    """Why a list was cut; empty for a whole list and for one that was not read at all."""
    return listing.reason if isinstance(listing, CutList) else ""


def with_found(listing: CutList[T], more: Sequence[T], reason: str = "") -> CutList[T]:
    """A cut list with what was read by name besides, and with why some of that failed."""
    also = f"; {reason}" if reason else ""
    return CutList((*listing.found, *more), f"{listing.reason}{also}")
