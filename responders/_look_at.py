"""What to look at with findings of many types, in the words of all of them."""

from __future__ import annotations

from incident.model import Finding, Kind

RELATED = "related findings near in time: alone it may be a bad practice, among others it is not"
WAY_IN = "the way in: requests and log lines just before the event"
WRITTEN = f"{WAY_IN}, and how the file could be written"
REQUESTS = "the requests just before it: an exploit's is often strange by its path or its length"
TRANSFERS = "uploads and downloads around the event, in the request log"
ACCOUNT = "what the runtime service account did since, in the audit log: its tokens may be taken"
PARENT = "the parent process and the user id: what started it, and as whom"
IMAGE = "the image: whether the program belongs in it, and who built and deployed it"

_OF_A_JOB = "the way in: who started it, what it reads, and log lines just before the event"
_OF_A_POOL = "the way in: what it reads, and log lines just before the event"
_INPUT = (
    "what it read just before it: an exploit's input is often strange by its name or its length"
)
_FILES = "what it read and wrote around the event: files, buckets, messages"
#: What stands for a text about requests where there are none.
_INSTEAD = {
    Kind.JOB: {
        WAY_IN: _OF_A_JOB,
        WRITTEN: f"{_OF_A_JOB}, and how the file could be written",
        REQUESTS: _INPUT,
        TRANSFERS: _FILES,
    },
    Kind.WORKER_POOL: {
        WAY_IN: _OF_A_POOL,
        WRITTEN: f"{_OF_A_POOL}, and how the file could be written",
        REQUESTS: _INPUT,
        TRANSFERS: _FILES,
    },
}


def look_at(texts: tuple[str, ...], finding: Finding) -> tuple[str, ...]:
    """What to look at, for the kind of workload that a finding is about."""
    instead = _INSTEAD.get(finding.workload.kind, {}) if finding.workload else {}
    return tuple(instead.get(text, text) for text in texts)
