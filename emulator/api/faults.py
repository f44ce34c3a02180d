"""Injected faults and latency, set by a world or over HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc

from emulator.api import method_names
from emulator.api.errors import ApiError

DEFAULT_RECONCILE_S = 0.1
DEFAULT_MESSAGE = "injected by the emulator"


@dataclass(frozen=True, slots=True)
class Latency:
    """How long calls wait before they are handled.

    Attributes:
        default_s: Seconds for every call that has no time of its own.
        methods_s: Seconds by method, spelled in full or by the last part.
        reconcile_s: Seconds from a write to Cloud Run until its effect is complete.
    """

    default_s: float = 0.0
    methods_s: dict[str, float] = field(default_factory=dict)
    reconcile_s: float = DEFAULT_RECONCILE_S

    def seconds_for(self, method: str) -> float:
        """Seconds to wait before a call of this method; a full name beats a last part."""
        by_last_part = self.methods_s.get(method.rsplit("/", 1)[-1], self.default_s)
        return self.methods_s.get(method, by_last_part)


@dataclass(frozen=True, slots=True)
class Fault:
    """An error that calls of a method are answered with.

    Attributes:
        method: The method, in full or by its last part; or `reconcile`.
        code: The status code of the answer.
        times: How many calls it hits; `None` for all of them.
        after: How many calls pass unharmed before the first hit.
        message: The text of the answer.
        applied: The call takes effect, and only its answer is lost.
    """

    method: str
    code: grpc.StatusCode
    times: int | None = None
    after: int = 0
    message: str = DEFAULT_MESSAGE
    applied: bool = False

    def error(self) -> ApiError:
        """The error as it is answered."""
        return ApiError(self.code, self.message)


@dataclass(slots=True)
class _ActiveFault:
    """A fault and how far it has got."""

    fault: Fault
    call_count: int = 0
    hit_count: int = 0

    @property
    def hits_next_call(self) -> bool:
        """Whether the next call that it sees is hit."""
        spent = self.fault.times is not None and self.hit_count >= self.fault.times
        return not spent and self.call_count >= self.fault.after


class Faults:
    """The faults of a world, in order. Of several that could hit a call, the first one does."""

    def __init__(self, faults: tuple[Fault, ...] = ()) -> None:
        self._active = [_ActiveFault(fault) for fault in faults]

    def next_fault(self, method: str) -> Fault | None:
        """The fault that hits a call of this method, if any; the call counts for all of them."""
        hit: _ActiveFault | None = None
        for active in self._active:
            if method_names.spelling_matches(active.fault.method, method):
                if hit is None and active.hits_next_call:
                    hit = active
                active.call_count += 1
        if hit is None:
            return None
        hit.hit_count += 1
        return hit.fault

    def denies(self, method: str) -> bool:
        """Whether the next call of this method would be answered with PERMISSION_DENIED."""
        hitting = [
            a
            for a in self._active
            if method_names.spelling_matches(a.fault.method, method) and a.hits_next_call
        ]
        return bool(hitting) and hitting[0].fault.code is grpc.StatusCode.PERMISSION_DENIED
