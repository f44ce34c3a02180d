"""The trace that a delivery is part of, from its headers and as log lines name it. Pure.

Cloud Logging takes some keys of a JSON line out of it and makes them fields of the entry, which
the Logs Explorer then links: ``logging.googleapis.com/trace`` is ``projects/PROJECT_ID/traces/ID``,
as Cloud Run writes it into the entry of the request; ``spanId`` is 16 hex digits; and
``trace_sampled`` is a boolean.

Sources: https://cloud.google.com/logging/docs/structured-logging (special fields),
https://cloud.google.com/run/docs/logging (linking lines to their request),
https://www.w3.org/TR/trace-context/ (``traceparent``),
https://cloud.google.com/trace/docs/trace-context (``X-Cloud-Trace-Context``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from incident.model import Json

_SPECIAL = "logging.googleapis.com"
# Versions after 00 may say more, behind another hyphen; ff is none.
_W3C = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-[!-~]{0,200})?"
)
_GOOGLE = re.compile(
    r"(?P<trace>[0-9a-fA-F]{32})(/(?P<span>[0-9]{1,20}))?(;o=(?P<options>[0-9]{1,3}))?"
)
_FIRST, _NO_VERSION = "00", "ff"
_SAMPLED = 1
_SPANS = 1 << 64


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace of one delivery.

    Attributes:
        trace_id: 32 lower-case hex digits, not all of them 0.
        span_id: 16 lower-case hex digits: the caller's span; empty where none is named.
        sampled: Whether Cloud Trace keeps it.
        project: Id of the project whose trace it is; empty where it is not known.
    """

    trace_id: str
    span_id: str
    sampled: bool
    project: str

    @property
    def keys(self) -> Mapping[str, Json]:
        """What it adds to a log line; without a project only what can be said without it."""
        plain: dict[str, Json] = {"trace": self.trace_id}
        if not self.project:
            return plain
        span = {f"{_SPECIAL}/spanId": self.span_id} if self.span_id else {}
        name = f"projects/{self.project}/traces/{self.trace_id}"
        return {
            **plain,
            f"{_SPECIAL}/trace": name,
            **span,
            f"{_SPECIAL}/trace_sampled": self.sampled,
        }


def parse_trace(traceparent: str, cloud_trace_context: str, project: str) -> Trace | None:
    """The trace that a request's headers name; None where neither is well-formed.

    Args:
        traceparent: The header of the W3C; empty where there is none. Goes first.
        cloud_trace_context: The older header ``X-Cloud-Trace-Context``; empty likewise.
        project: The responder's own project. Traces are named by its id: a number counts as
            not known.
    """
    project_id = "" if project.isdecimal() else project
    trace, span, sampled = _w3c(traceparent) or _google(cloud_trace_context) or ("", "", False)
    if not trace.strip("0"):
        return None
    return Trace(trace, span, sampled, project_id)


def _w3c(header: str) -> tuple[str, str, bool] | None:
    found = _W3C.fullmatch(header)
    if not found or found["version"] == _NO_VERSION:
        return None
    if found["version"] == _FIRST and found["more"]:
        return None
    if not found["trace"].strip("0") or not found["span"].strip("0"):
        return None
    return found["trace"], found["span"], bool(int(found["flags"], 16) & _SAMPLED)


def _google(header: str) -> tuple[str, str, bool] | None:
    """The same of Google's own form, whose span is a decimal number of 64 bits."""
    found = _GOOGLE.fullmatch(header)
    span = int(found["span"] or 0) if found else 0
    if not found or span >= _SPANS:
        return None
    sampled = bool(int(found["options"] or 0) & _SAMPLED)
    return found["trace"].lower(), f"{span:016x}" if span else "", sampled
