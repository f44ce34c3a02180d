"""Investigation steps that many finding types share."""

from __future__ import annotations

from incident.model import Finding, Kind

RELATED = "related findings near in time: alone it may be a bad practice, among others it is not"
ENTRY_POINT = "the entry point: requests and log lines just before the event"
FILE_WRITE = f"{ENTRY_POINT}, and how the file could be written"
REQUESTS = "the requests just before it: an exploit's is often strange by its path or its length"
TRANSFERS = "uploads and downloads around the event, in the request log"
SERVICE_ACCOUNT = (
    "what the runtime service account did since, in the audit log: its tokens may be taken"
)
PARENT_PROCESS = "the parent process and the user id: what started it, and as whom"
IMAGE = "the image: whether the program belongs in it, and who built and deployed it"

_JOB_ENTRY_POINT = (
    "the entry point: who started it, what it reads, and log lines just before the event"
)
_POOL_ENTRY_POINT = "the entry point: what it reads, and log lines just before the event"
_INPUT_READ = (
    "what it read just before it: an exploit's input is often strange by its name or its length"
)
_FILES_READ = "what it read and wrote around the event: files, buckets, messages"
#: Replacement for a text about requests, for kinds without requests.
_BY_KIND = {
    Kind.JOB: {
        ENTRY_POINT: _JOB_ENTRY_POINT,
        FILE_WRITE: f"{_JOB_ENTRY_POINT}, and how the file could be written",
        REQUESTS: _INPUT_READ,
        TRANSFERS: _FILES_READ,
    },
    Kind.WORKER_POOL: {
        ENTRY_POINT: _POOL_ENTRY_POINT,
        FILE_WRITE: f"{_POOL_ENTRY_POINT}, and how the file could be written",
        REQUESTS: _INPUT_READ,
        TRANSFERS: _FILES_READ,
    },
}


def steps_for_workload(texts: tuple[str, ...], finding: Finding) -> tuple[str, ...]:
    """The steps for the kind of workload that a finding is about."""
    replacements = _BY_KIND.get(finding.workload.kind, {}) if finding.workload else {}
    return tuple(replacements.get(text, text) for text in texts)
