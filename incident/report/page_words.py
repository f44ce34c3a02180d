"""Words of the page: times, durations, and what a finding type says happened. Pure."""

from __future__ import annotations

import re
from datetime import datetime

from incident.model.durations import format_milliseconds
from incident.model.outcome import Outcome

#: Words of finding types that keep their capitals.
_NAMES = frozenset({"Google", "Cloud", "Compute", "Engine", "Docker", "Kubernetes", "Python"})
#: First words that say how a file came in: a title of a few words does without.
_ORIGINS = re.compile(r"^(?:Modified|Added|Built in|Newly added)\s+", re.IGNORECASE)


def stamp(moment: datetime) -> str:
    """A time as people read it everywhere."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def duration_between(start: datetime, end: datetime) -> str:
    """A span of time for a sentence."""
    return format_milliseconds(max(0.0, (end - start).total_seconds() * 1000))


def what_happened(outcome: Outcome) -> str:
    """The finding's type as a few plain words, such as ``malicious binary executed``."""
    category = outcome.finding.category if outcome.finding else None
    if not category:
        return "finding of an unknown type"
    words = _ORIGINS.sub("", category.rpartition(": ")[2]).split()
    return " ".join(_plain(word) for word in words)


def _plain(word: str) -> str:
    keeps = word in _NAMES or not re.fullmatch(r"[A-Z]?[a-z]+[.,]?", word)
    return word if keeps else word.lower()
