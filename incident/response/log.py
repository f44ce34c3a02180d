"""Structured JSON log lines for Cloud Logging: severity, labels, trace.

Each line is one JSON object on standard output. ``severity``, ``time``,
``logging.googleapis.com/labels``, ``logging.googleapis.com/trace``, ``spanId`` and
``trace_sampled`` become fields of the log entry; filter by a label with ``labels.incident="…"``.
All other keys become its ``jsonPayload``. The trace links a line to its request: Cloud Run writes
``projects/PROJECT_ID/traces/ID`` into the request's entry.

Text of a finding is an argument of the message, never its format, and is escaped and cut.

Sources: https://cloud.google.com/logging/docs/structured-logging (special fields),
https://cloud.google.com/run/docs/logging (linking lines to their request),
https://www.w3.org/TR/trace-context/ (``traceparent``),
https://cloud.google.com/trace/docs/trace-context (``X-Cloud-Trace-Context``).
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

from incident.model import Json, Kind, Status
from incident.model.outcome import Outcome
from incident.report.terminal import escape_unprintable
from incident.response.deliveries import RetryDelivery
from incident.response.log_size import fit_keys
from incident.response.response import Response

_LOGGER = logging.getLogger("responder")
_SETTING_UP = Lock()  # two first lines at once would add two handlers, which print each line
_SPECIAL = "logging.googleapis.com"
_LABELS = f"{_SPECIAL}/labels"
_KINDS = {kind.collection: kind.value for kind in Kind}
_WORKLOAD = re.compile(r"projects/([^/\s]+)/locations/[^/]+/([A-Za-z]+)/[^/]+")
_ERROR_STATUSES = frozenset({Status.FAILED, Status.UNVERIFIED, Status.MALFORMED})
_WARNING_STATUSES = frozenset(
    {Status.CONTAINED, Status.RESTRICTED, Status.HELD, Status.AWAITING_APPROVAL}
)

# Versions after 00 may append fields behind another hyphen; ff is invalid.
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
#: Longest part of a message that a finding supplies.
_MAX_PART = 120
#: Longest traceback of an internal error, in characters.
_MAX_TRACEBACK = 20_000


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace of one delivery.

    Attributes:
        trace_id: 32 lower-case hex digits, not all of them 0.
        span_id: 16 lower-case hex digits: the caller's span; empty if the header has none.
        sampled: Whether Cloud Trace keeps it.
        project: Id of the trace's project; empty if unknown.
    """

    trace_id: str
    span_id: str
    sampled: bool
    project: str

    @property
    def keys(self) -> Mapping[str, Json]:
        """Keys that the trace adds to a log line; without a project only the trace id."""
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
    """Parse the trace of a request from its headers; None if neither is well-formed.

    Args:
        traceparent: The W3C header, which takes precedence; empty if absent.
        cloud_trace_context: The older header ``X-Cloud-Trace-Context``; empty if absent.
        project: The responder's own project. Trace names contain the project's id, so a number
            counts as unknown.
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
    """Parse Google's header, whose span id is a decimal number of up to 64 bits."""
    found = _GOOGLE.fullmatch(header)
    span = int(found["span"] or 0) if found else 0
    if not found or span >= _SPANS:
        return None
    sampled = bool(int(found["options"] or 0) & _SAMPLED)
    return found["trace"].lower(), f"{span:016x}" if span else "", sampled


class _Formatter(JsonFormatter):
    """Writes a traceback in full, unless the error quotes something very long."""

    def formatException(self, exc_info: Any) -> str:  # noqa: N802 - the logging module's name
        """The traceback; of a long one beginning and end."""
        text = str(super().formatException(exc_info))
        if len(text) <= _MAX_TRACEBACK:
            return text
        half = _MAX_TRACEBACK // 2
        return f"{text[:half]}\n… ({len(text) - 2 * half} characters) …\n{text[-half:]}"


class _Handler(logging.StreamHandler[TextIO]):
    """Marks the handler that this module adds, so that it is added once."""


def delivery_answered(
    result: Response, trace: Trace | None, published: datetime | None = None
) -> None:
    """Log the outcome of an acknowledged delivery, in one line.

    Args:
        result: The delivery's result.
        trace: The request's trace.
        published: When Pub/Sub received the message; None if unknown.
    """
    outcome = result.outcome
    status = outcome.status
    level = logging.INFO
    if status in _WARNING_STATUSES or result.warning:
        level = logging.WARNING
    if result.alarm or status in _ERROR_STATUSES:
        level = logging.ERROR
    keys: dict[str, Json] = {
        **_incident_keys(outcome),
        **manifest_keys(result.case_file, result.manifest_sha256),
        "time_to_contain_s": _time_to_contain_s(result, published),
        "outcome": outcome.to_json(),
    }
    log_line(level, _outcome_message(outcome), keys, trace)


def _outcome_message(outcome: Outcome) -> str:
    """``HELD storefront (example-shop-prod, europe-west1): Unexpected Child Shell, ID``."""
    workload, finding = outcome.workload, outcome.finding
    text = f"{'SIMULATED ' if outcome.simulated else ''}{outcome.status.value.upper()}"
    if workload and workload.name:
        parts = (workload.name, workload.project, workload.location)
        name, project, location = map(_message_part, parts)
        text = f"{text} {name} ({project}, {location})"
    category = _message_part(finding.category if finding else None)
    details = [part for part in (category, _message_part(outcome.incident)) if part]
    text = f"{text}: {', '.join(details)}" if details else f"{text} message"
    if not workload or not workload.other_regions:
        return text
    named = _message_part(", ".join(workload.other_regions))
    return f"{text}; also runs in {named}, where nothing was done"


def _message_part(text: str | None) -> str:
    """A text of the outcome, which is redacted, escaped and cut."""
    return escape_unprintable(text or "")[:_MAX_PART]


def _time_to_contain_s(result: Response, published: datetime | None) -> float | None:
    """Seconds from the message's publication to the read-back that verified the containment.

    Failed deliveries count, since Pub/Sub keeps the first publish time; gathering evidence does
    not. None unless the outcome is ``contained``. Never negative, although clocks may differ.
    """
    if result.outcome.status is not Status.CONTAINED or not result.contained_at or not published:
        return None
    return max(round((result.contained_at - published).total_seconds(), 3), 0.0)


def delivery_retried(error: RetryDelivery, trace: Trace | None) -> None:
    """Log a delivery that was not acknowledged, in one line."""
    keys = {
        "stage": "retried",
        "incident": error.incident,
        "finding": error.finding,
        "workload": error.workload,
        "reason": str(error),
        **manifest_keys(error.case_file, error.manifest_sha256),
        "outcome": None,
    }
    level = logging.ERROR if error.urgent else logging.WARNING
    log_line(level, "Delivery not acknowledged; Pub/Sub will redeliver it", keys, trace)


def manifest_keys(folder: str | None, sha256: str | None) -> dict[str, Json]:
    """The digest of a run's manifest, and the folder that it lies in.

    The incident's id does not name the folder: a dry run of the incident has the same id.
    """
    return {"case_file": folder, "manifest_sha256": sha256}


def internal_error(message: str, error: Exception, trace: Trace | None) -> None:
    """Log an internal error with its traceback and no outcome."""
    names = dict.fromkeys(("incident", "finding", "workload"))
    keys = {"stage": "failed", **names, "outcome": None}
    log_line(logging.ERROR, message, keys, trace, error)


def log_line(
    level: int,
    message: str,
    keys: Mapping[str, Json],
    trace: Trace | None,
    error: Exception | None = None,
) -> None:
    """Write one structured log line below 64 KiB, with labels and the request's trace.

    What does not fit is cut and counted: see ``fit_keys``.
    """
    fitted = fit_keys(keys)
    labels = _labels(fitted)
    labelled = {_LABELS: labels} if labels else {}
    extra = {"stage": "done", **fitted, **labelled, **(trace.keys if trace else {})}
    _logger().log(level, message, exc_info=error, extra=extra)


def _labels(keys: Mapping[str, Json]) -> dict[str, str]:
    """Labels to filter by; the same names as the attributes of the outcome's Pub/Sub message."""
    outcome, workload = keys.get("outcome"), _WORKLOAD.fullmatch(str(keys.get("workload")))
    labels = {
        "incident": keys.get("incident"),
        "status": outcome.get("status") if isinstance(outcome, Mapping) else None,
        "workload_kind": _KINDS.get(workload[2]) if workload else None,
        "project": workload[1] if workload else None,
    }
    return {name: value for name, value in labels.items() if isinstance(value, str) and value}


def _incident_keys(outcome: Outcome) -> dict[str, Json]:
    return {
        "incident": outcome.incident,
        "finding": outcome.finding.name if outcome.finding else None,
        "workload": outcome.workload.resource_name if outcome.workload else None,
    }


def _logger() -> logging.Logger:
    """The responder's logger, set up at the first line: importing this module changes nothing."""
    with _SETTING_UP:
        if not any(isinstance(handler, _Handler) for handler in _LOGGER.handlers):
            handler = _Handler(sys.stdout)
            formatter = _Formatter(
                "%(levelname)s %(message)s %(asctime)s",
                rename_fields={"levelname": "severity", "asctime": "time"},
                datefmt="%Y-%m-%dT%H:%M:%SZ",
            )
            formatter.converter = time.gmtime
            handler.setFormatter(formatter)
            _LOGGER.addHandler(handler)
            _LOGGER.setLevel(logging.INFO)
            _LOGGER.propagate = False
    return _LOGGER
