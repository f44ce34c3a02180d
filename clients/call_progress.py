"""Which calls to the outside are under way, for whoever looks on; in the function nobody does.

Nothing depends on it: what an onlooker is told is the words that an error of the call would use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Called with what is begun, such as ``read the settings of`` and a resource name; returns what
# is called when it is over, however it ended. Must not raise.
CallObserver = Callable[[str, str], Callable[[], None]]

_OBSERVER: ContextVar[CallObserver | None] = ContextVar("onlooker", default=None)


@contextmanager
def observed_by(observer: CallObserver) -> Iterator[None]:
    """Have an onlooker told of every call that is made in here, by tasks begun in here too."""
    before = _OBSERVER.set(observer)
    try:
        yield
    finally:
        _OBSERVER.reset(before)


@contextmanager
def call_in_progress(verb: str, target: str) -> Iterator[None]:
    """One call, while it lasts.

    Args:
        verb: Verb and object, the verb first and in its plain form.
        target: What it is about: a resource name, an address.
    """
    observer = _OBSERVER.get()
    finish = observer(verb, target) if observer else None
    try:
        yield
    finally:
        if finish:
            finish()
