"""What goes slow and what goes wrong: latency and faults, set by a world or while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc

from emulator.api import method_names
from emulator.api.errors import Refusal

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

    def of(self, method: str) -> float:
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

    def refusal(self) -> Refusal:
        """The error as it is answered."""
        return Refusal(self.code, self.message)


@dataclass(slots=True)
class _Armed:
    """A fault and how far it has got."""

    fault: Fault
    seen: int = 0
    hits: int = 0

    @property
    def live(self) -> bool:
        """Whether the next call that it sees is hit."""
        spent = self.fault.times is not None and self.hits >= self.fault.times
        return not spent and self.seen >= self.fault.after


class Faults:
    """The faults of a world, in order. Of several that could hit a call, the first one does."""

    def __init__(self, faults: tuple[Fault, ...] = ()) -> None:
        self._armed = [_Armed(fault) for fault in faults]

    def take(self, method: str) -> Fault | None:
        """The fault that hits a call of this method, if any; the call counts for all of them."""
        hit: _Armed | None = None
        for armed in self._armed:
            if method_names.matches(armed.fault.method, method):
                if hit is None and armed.live:
                    hit = armed
                armed.seen += 1
        if hit is None:
            return None
        hit.hits += 1
        return hit.fault

    def deny(self, method: str) -> bool:
        """Whether the next call of this method would be answered with PERMISSION_DENIED."""
        live = [a for a in self._armed if method_names.matches(a.fault.method, method) and a.live]
        return bool(live) and live[0].fault.code is grpc.StatusCode.PERMISSION_DENIED
