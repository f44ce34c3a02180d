"""What a status means for the workload: one table for page, terminal and chat. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from incident.model import Kind, Status
from incident.model.outcome import Outcome


class RunState(StrEnum):
    """Whether the workload runs, as a reader has to know it first."""

    STOPPED = "STOPPED"
    RUNNING = "RUNNING"
    UNKNOWN = "MAY BE RUNNING"
    NONE = ""


class Tone(StrEnum):
    """How urgent it looks."""

    GOOD = "good"
    CALM = "calm"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class StatusText:
    """What a status means.

    Attributes:
        state: Whether the workload runs.
        tone: How urgent it is.
        meaning: What was done, in a sentence.
    """

    state: RunState
    tone: Tone
    meaning: str

    @property
    def sentence(self) -> str:
        """Whether it runs, and what was done: for a line of text."""
        return f"{self.state}. {self.meaning}" if self.state else self.meaning


#: What each status means, by itself.
STATUS_TEXTS: Mapping[Status, StatusText] = {
    Status.CONTAINED: StatusText(
        RunState.STOPPED, Tone.GOOD, "Contained and verified: nothing of it runs."
    ),
    Status.ALREADY_CONTAINED: StatusText(
        RunState.STOPPED, Tone.GOOD, "Stopped before the responder looked. Nothing was written."
    ),
    Status.RESTRICTED: StatusText(
        RunState.RUNNING, Tone.WARN, "Access is restricted and verified. What runs was not stopped."
    ),
    Status.UNVERIFIED: StatusText(
        RunState.UNKNOWN, Tone.BAD, "Containment written, not seen in effect. Look now."
    ),
    Status.FAILED: StatusText(
        RunState.RUNNING, Tone.BAD, "Containment FAILED. The workload is still running."
    ),
    Status.AWAITING_APPROVAL: StatusText(
        RunState.RUNNING, Tone.WARN, "The code still runs until an approver approves the plan."
    ),
    Status.HELD: StatusText(
        RunState.RUNNING, Tone.WARN, "Held for a person to decide. Nothing was written."
    ),
    Status.PLANNED: StatusText(
        RunState.RUNNING, Tone.CALM, "Dry run. Nothing was written; this is what enforcing writes."
    ),
    Status.EXPIRED: StatusText(
        RunState.RUNNING, Tone.WARN, "The plan expired without approval. Nothing was written."
    ),
    Status.RELEASED: StatusText(
        RunState.RUNNING, Tone.CALM, "The containment was released; the workload runs again."
    ),
    Status.IGNORED: StatusText(RunState.NONE, Tone.CALM, "Out of scope. Nothing was done."),
    Status.MALFORMED: StatusText(RunState.NONE, Tone.WARN, "The message is no notification."),
    Status.DUPLICATE: StatusText(RunState.NONE, Tone.CALM, "This event was answered before."),
}


def status_text(outcome: Outcome) -> StatusText:
    """What an outcome's status means for its workload."""
    text, workload = STATUS_TEXTS[outcome.status], outcome.workload
    if outcome.status is Status.UNVERIFIED and is_reverted(outcome):
        return StatusText(RunState.UNKNOWN, Tone.BAD, "The containment was undone. Look now.")
    if outcome.status is Status.ALREADY_CONTAINED and workload and workload.kind is Kind.JOB:
        ended = workload.execution_ended
        meaning = f"{ended}, by itself" if ended else "nothing of the job ran any more"
        return StatusText(RunState.STOPPED, Tone.GOOD, f"{meaning[0].upper()}{meaning[1:]}.")
    if workload is None:
        return StatusText(RunState.NONE, text.tone, text.meaning)
    if workload.execution_ended and text.state is RunState.RUNNING:
        ended = f"{text.meaning} Over by itself: {workload.execution_ended}."
        return StatusText(RunState.STOPPED, text.tone, ended)
    if workload.other_regions and text.tone is Tone.GOOD:
        return StatusText(text.state, Tone.WARN, text.meaning)
    return text


def elsewhere_text(outcome: Outcome) -> str:
    """Where the same code still runs; empty where nothing is known of it."""
    regions = outcome.workload.other_regions if outcome.workload else ()
    return f"Also runs in {', '.join(regions)}, where nothing was done." if regions else ""


def is_reverted(outcome: Outcome) -> bool:
    """Whether somebody undid the containment."""
    return any(change.reverted for change in outcome.changes)
