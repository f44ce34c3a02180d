"""Log entries as a person reads them, and which of them decide what happened. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from incident.model import Json, JsonObject
from incident.model.json_text import json_object, json_objects, json_string, parse_time

#: Entries this near to the event show what happened.
_NEAR = timedelta(minutes=1)
_MOST_DECISIVE = 12
_QUIET_SEVERITIES = frozenset({"DEFAULT", "DEBUG", "INFO", "NOTICE"})
_READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_MESSAGE_KEYS = ("message", "msg", "textPayload", "event")
_SHORTEST_MARK = 6


@dataclass(frozen=True, slots=True)
class LogLine:
    """A log entry.

    Attributes:
        at: When.
        kind: Short name of its log: ``request``, ``stdout``, ``stderr``, ``system``.
        severity: Such as ``ERROR``.
        text: What it says, in one line.
        remote_ip: Who sent the request; empty for other entries.
        method: The request's method; empty for other entries.
    """

    at: datetime
    kind: str
    severity: str
    text: str
    remote_ip: str = ""
    method: str = ""

    @property
    def short_text(self) -> str:
        """The text for a line of the timeline: a request without its query and its client."""
        if not self.is_request:
            return f"{self.kind}: {self.text}"
        path, mark, _ = self.text.partition("?")
        rest = self.text.partition(": ")[2].partition(" with ")[0]
        return f"{path}?…: {rest}" if mark else self.text.partition(" with ")[0]

    @property
    def is_request(self) -> bool:
        """Whether it is a request."""
        return bool(self.method)


def log_lines(entries: Json) -> tuple[LogLine, ...]:
    """The entries that have a time, the oldest first."""
    lines = (_line(entry) for entry in json_objects(entries))
    return tuple(sorted((line for line in lines if line), key=lambda line: line.at))


def decisive_lines(
    lines: Sequence[LogLine], event_time: datetime | None, marks: Collection[str]
) -> tuple[LogLine, ...]:
    """The lines that show what happened: at most a dozen, the nearest to the event.

    Those are lines that name a suspected file or address; and within a minute of the event
    warnings, requests that write, and every request of the same sender.

    Args:
        lines: All lines.
        event_time: When the finding was detected; None where not known.
        marks: Paths, hashes and addresses of the finding.
    """
    if event_time is None:
        return ()
    near = [line for line in lines if abs(line.at - event_time) <= _NEAR]
    senders = {line.remote_ip for line in near if _writes(line)} - {""}
    named = [mark for mark in marks if len(mark) >= _SHORTEST_MARK]
    chosen = [
        line
        for line in lines
        if any(mark in line.text for mark in named)
        or (line in near and (_loud(line) or _writes(line) or line.remote_ip in senders))
    ]
    nearest = sorted(chosen, key=lambda line: abs(line.at - event_time))[:_MOST_DECISIVE]
    return tuple(sorted(nearest, key=lambda line: line.at))


def _loud(line: LogLine) -> bool:
    return line.severity not in _QUIET_SEVERITIES and line.severity != ""


def _writes(line: LogLine) -> bool:
    return line.is_request and line.method not in _READING_METHODS


def _line(entry: JsonObject) -> LogLine | None:
    at = parse_time(entry.get("timestamp"))
    if at is None:
        return None
    name, severity = json_string(entry.get("log")), json_string(entry.get("severity"))
    request = json_object(entry.get("request"))
    if request:
        method = json_string(request.get("requestMethod")) or "request"
        sender = json_string(request.get("remoteIp"))
        return LogLine(at, "request", severity, _request_text(request, method), sender, method)
    text = json_string(entry.get("text")) or _payload_text(json_object(entry.get("payload")))
    return LogLine(at, name.removeprefix("varlog/") or "log", severity, text)


def _request_text(request: JsonObject, method: str) -> str:
    """Such as ``POST /upload: 200, from 203.0.113.77 with curl/8.5.0``."""
    url = json_string(request.get("requestUrl"))
    path = "/" + url.partition("://")[2].partition("/")[2] if "://" in url else url
    status = request.get("status")
    result = f": {status}" if isinstance(status, int) else ""
    sender, agent = json_string(request.get("remoteIp")), json_string(request.get("userAgent"))
    return (
        f"{method} {path}{result}{f', from {sender}' if sender else ''}"
        f"{f' with {agent}' if agent else ''}"
    )


def _payload_text(payload: JsonObject) -> str:
    """The message first, then the other members."""
    message = next((text for key in _MESSAGE_KEYS if (text := json_string(payload.get(key)))), "")
    rest = {key: value for key, value in payload.items() if key not in _MESSAGE_KEYS}
    return " ".join(filter(None, (message, *_members(rest))))


def _members(value: Mapping[str, Json], prefix: str = "") -> Iterator[str]:
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _members(item, f"{prefix}{key}.")
        elif isinstance(item, list | tuple):
            yield f"{prefix}{key}={', '.join(map(str, item))}"
        elif item is not None:
            yield f"{prefix}{key}={item}"
