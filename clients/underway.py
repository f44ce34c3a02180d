"""Which calls to the outside are under way, for whoever looks on; in the function nobody does.

Nothing depends on it: what an onlooker is told is the words that an error of the call would use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Called with what is begun, such as ``read the settings of`` and a resource name; returns what
# is called when it is over, however it ended. Must not raise.
Onlooker = Callable[[str, str], Callable[[], None]]

_ONLOOKER: ContextVar[Onlooker | None] = ContextVar("onlooker", default=None)


@contextmanager
def watched_by(onlooker: Onlooker) -> Iterator[None]:
    """Have an onlooker told of every call that is made in here, by tasks begun in here too."""
    before = _ONLOOKER.set(onlooker)
    try:
        yield
    finally:
        _ONLOOKER.reset(before)


@contextmanager
def underway(what: str, on: str) -> Iterator[None]:
    """One call, while it lasts.

    Args:
        what: Verb and object, the verb first and in its plain form.
        on: What it is about: a resource name, an address.
    """
    onlooker = _ONLOOKER.get()
    over = onlooker(what, on) if onlooker else None
    try:
        yield
    finally:
        if over:
            over()
