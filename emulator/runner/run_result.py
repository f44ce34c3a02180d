"""Result of one run, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.runner.function_process import LoggedOutcome
from emulator.services.gate import Call, Write
from emulator.services.pubsub.push import Delivery


@dataclass(frozen=True, slots=True)
class Renotification:
    """A notification of a finding that was written to, and what came of it.

    Attributes:
        deliveries: How it was answered; several times where it was asked for again.
        logged_outcome: What the function logged about it last; None where it said nothing.
    """

    deliveries: tuple[Delivery, ...]
    logged_outcome: LoggedOutcome | None

    def to_json(self) -> dict[str, object]:
        """The answer and the outcome, null where there is none."""
        return {
            "http_status": self.deliveries[-1].http_status if self.deliveries else None,
            "outcome": self.logged_outcome.outcome if self.logged_outcome else None,
        }


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run.

    Attributes:
        logged_outcomes: What the function logged per delivery, in the order of answering.
        deliveries: How each one was answered.
        calls: Every call that reached the emulator.
        writes: The mutating ones.
        world: The state afterwards.
        sent_at: When the first delivery was sent, in seconds of `time.monotonic`.
        store: Where the case files lie.
        errors: The last lines of the function's standard error.
        exited_early: Whether the function ended before it was asked to.
        command: The command that would do the same once more, without `--mode` and in a new
            store.
        mode: The mode that the command asked for; None where the policy alone decides.
        renotifications: What Security Command Center notified of again after the deliveries,
            because somebody wrote to the finding.
        notification_loop: Whether there was no end of them.
    """

    logged_outcomes: tuple[LoggedOutcome, ...]
    deliveries: tuple[Delivery, ...]
    calls: tuple[Call, ...]
    writes: tuple[Write, ...]
    world: dict[str, object]
    sent_at: float
    store: Path
    errors: tuple[str, ...]
    exited_early: bool
    command: tuple[str, ...]
    mode: str | None
    renotifications: tuple[Renotification, ...] = ()
    notification_loop: bool = False

    @property
    def outcomes(self) -> tuple[dict[str, Any] | None, ...]:
        """The outcome of each delivery; None where the answer was a retry."""
        return tuple(entry.outcome for entry in self.logged_outcomes)

    @property
    def failures(self) -> tuple[str, ...]:
        """What the function did not do as promised, in sentences; empty when all is well."""
        broken = [d.http_status for d in self.deliveries if not d.is_ack_or_retry]
        count = len(self.deliveries)
        silent = count - len(self.logged_outcomes)
        renotified = [delivery for one in self.renotifications for delivery in one.deliveries]
        refused = [d.http_status for d in renotified if not d.is_ack_or_retry]
        return tuple(
            text
            for wrong, text in (
                (broken, f"deliveries that failed: {len(broken)} of {count} ({_statuses(broken)})"),
                (silent > 0, f"deliveries without an outcome in the log: {silent} of {count}"),
                (refused, f"re-notifications that failed: {len(refused)} ({_statuses(refused)})"),
                (
                    self.notification_loop,
                    "its writes to the finding notify it again and again: a loop",
                ),
                (self.exited_early, "the function's process ended before it was asked to"),
            )
            if wrong
        )

    def to_json(self) -> dict[str, object]:
        """The object that `--json` prints."""
        return {
            "outcomes": list(self.outcomes),
            "deliveries": [{"http_status": d.http_status} for d in self.deliveries],
            "calls": [
                {"method": call.method, "at_ms": round((call.at - self.sent_at) * 1000, 1)}
                for call in self.calls
            ],
            "writes": [
                {
                    "method": write.method,
                    "request": write.request,
                    "mask": list(write.mask),
                    "validate_only": write.validate_only,
                }
                for write in self.writes
            ],
            "world": self.world,
            "renotifications": [one.to_json() for one in self.renotifications],
        }


def in_delivery_order(
    logged_outcomes: Sequence[LoggedOutcome], deliveries: Sequence[Delivery]
) -> tuple[LoggedOutcome, ...]:
    """The logged outcomes in the order of the deliveries.

    Of deliveries that end at the same moment, the first answer need not belong to the first log
    line. Where the log has as many retries as there were retried deliveries, they are paired;
    otherwise the lines keep their order.
    """
    retries = [entry for entry in logged_outcomes if entry.outcome is None]
    others = [entry for entry in logged_outcomes if entry.outcome is not None]
    asked = sum(delivery.asks_retry for delivery in deliveries)
    if len(logged_outcomes) != len(deliveries) or len(retries) != asked:
        return tuple(logged_outcomes)
    return tuple(retries.pop(0) if d.asks_retry else others.pop(0) for d in deliveries)


def _statuses(broken: Sequence[int | None]) -> str:
    names = ("no answer" if status is None else f"HTTP {status}" for status in broken)
    return ", ".join(dict.fromkeys(names))
