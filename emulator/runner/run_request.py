"""What one run of a finding does, and how it reports progress."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from emulator.world.state import World


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a run is to do.

    Attributes:
        data: The message's data, verbatim.
        world: The world to do it in.
        policy: The policy file, with the wanted mode.
        store: Folder for the case files.
        now: The time that the function believes it is when the message arrives.
        via: `http`, or `pubsub` for Google's own Pub/Sub emulator.
        deliveries: How many deliveries arrive at once.
        command: The command that would do the same once more, without `--mode` and in a new
            store.
        mode: The mode that the command asked for; None where the policy alone decides.
    """

    data: bytes
    world: World
    policy: Path
    store: Path
    now: dt.datetime
    via: str
    deliveries: int
    command: tuple[str, ...]
    mode: str | None


# What tells how far a phase has got; asked as often as somebody looks.
ProgressText = Callable[[], str]


class ReportProgress(Protocol):
    """How a run says what it is about to do."""

    def __call__(self, phase: str, progress_text: ProgressText | None = None) -> None:
        """A phase begins; the one before is over."""
