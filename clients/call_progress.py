"""Report remote calls in progress to an observer; the function itself has none.

The observer gets the words that an error of the call would use. Nothing depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Called at the start of a call with its verb, such as ``read the settings of``, and the resource
# name; returns a function that is called when the call ends, also by an error. Must not raise.
CallObserver = Callable[[str, str], Callable[[], None]]

_OBSERVER: ContextVar[CallObserver | None] = ContextVar("call_observer", default=None)


@contextmanager
def observed_by(observer: CallObserver) -> Iterator[None]:
    """Report every call inside the context to an observer, those of tasks started in it too.

    An observer that was there before gets them as well.
    """
    outer = _OBSERVER.get()
    before = _OBSERVER.set(_both(outer, observer) if outer else observer)
    try:
        yield
    finally:
        _OBSERVER.reset(before)


def _both(outer: CallObserver, inner: CallObserver) -> CallObserver:
    def begin(verb: str, target: str) -> Callable[[], None]:
        ends = (outer(verb, target), inner(verb, target))

        def end() -> None:
            for each in ends:
                each()

        return end

    return begin


@contextmanager
def call_in_progress(verb: str, target: str) -> Iterator[None]:
    """Report one call for as long as the context lasts.

    Args:
        verb: Verb and object, the verb first and in its plain form.
        target: A resource name or an address.
    """
    observer = _OBSERVER.get()
    finish = observer(verb, target) if observer else None
    try:
        yield
    finally:
        if finish:
            finish()
