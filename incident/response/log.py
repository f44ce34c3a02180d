"""Structured log lines, as Cloud Logging reads them from standard output: one JSON object each.

``severity``, ``time``, ``logging.googleapis.com/labels`` and the keys of the trace become fields
of the log entry (https://cloud.google.com/logging/docs/structured-logging, special fields): the
labels can be filtered by as ``labels.incident="…"``. All other keys make up its ``jsonPayload``.
Text of a finding stands in values only, never in a message's format.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from typing import TextIO

from pythonjsonlogger.json import JsonFormatter

from incident.model import Json, Kind, Status
from incident.response.context import DeliveryResult
from incident.response.deliveries import RetryDelivery
from incident.response.trace import Trace

_LOGGER = logging.getLogger("responder")
_LABELS = "logging.googleapis.com/labels"
_KINDS = {kind.collection: kind.value for kind in Kind}
_WORKLOAD = re.compile(r"projects/([^/\s]+)/locations/[^/]+/([A-Za-z]+)/[^/]+")
_ERROR_STATUSES = frozenset({Status.FAILED, Status.UNVERIFIED, Status.MALFORMED})
_WARNING_STATUSES = frozenset(
    {Status.CONTAINED, Status.RESTRICTED, Status.HELD, Status.AWAITING_APPROVAL}
)


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, whatever other handlers there are."""


def delivery_answered(
    result: DeliveryResult, trace: Trace | None, published: datetime | None = None
) -> None:
    """The one line of a delivery that was acknowledged.

    Args:
        result: What it came to.
        trace: The request's.
        published: When Pub/Sub took the message; None where nobody tells.
    """
    outcome = result.outcome
    status = Status(str(outcome["status"]))
    level = logging.INFO
    if status in _WARNING_STATUSES or result.warning:
        level = logging.WARNING
    if result.alarm or result.unlisted or status in _ERROR_STATUSES:
        level = logging.ERROR
    keys: dict[str, Json] = {
        **_incident_keys(outcome),
        **manifest_keys(result.case_file, result.manifest_sha256, result.unlisted),
        "time_to_contain_s": _time_to_contain_s(result, published),
        "outcome": outcome,
    }
    log_line(level, f"incident {status.value}", keys, trace)


def case_file_sealed(result: DeliveryResult, trace: Trace | None) -> None:
    """The line that follows that of a delivery which had its case file listed after that.

    It has no outcome. What could not be listed is an ERROR of its own.
    """
    keys = {
        "stage": "failed" if result.unlisted else "sealed",
        **_incident_keys(result.outcome),
        **manifest_keys(result.case_file, result.manifest_sha256, result.unlisted),
    }
    if result.unlisted:
        log_line(logging.ERROR, "case file not sealed", keys, trace)
    else:
        log_line(logging.INFO, "case file sealed", keys, trace)


def _time_to_contain_s(result: DeliveryResult, published: datetime | None) -> float | None:
    """Seconds from the finding's publication to the moment when its workload was seen stopped.

    Deliveries in vain are in it, since Pub/Sub keeps the time of the first; gathering evidence is
    not. None for everything but a containment. Clocks may differ by a little: never negative.
    """
    if result.outcome["status"] != Status.CONTAINED or not result.contained_at or not published:
        return None
    return max(round((result.contained_at - published).total_seconds(), 3), 0.0)


def delivery_retried(error: RetryDelivery, trace: Trace | None) -> None:
    """The one line of a delivery that is to come again."""
    keys = {
        "stage": "retried",
        "incident": error.incident,
        "finding": error.finding,
        "workload": error.workload,
        "reason": str(error),
        "outcome": None,
    }
    level = logging.ERROR if error.urgent else logging.WARNING
    log_line(level, "delivery to be retried", keys, trace)


def manifest_keys(case_file: str | None, sha256: str | None, unlisted: str) -> dict[str, Json]:
    """The digest that vouches for a case file, out of the store's reach; or why there is none.

    The folder stands beside it: a dry run and the incident that comes of it have the same id.
    """
    keys: dict[str, Json] = {"case_file": case_file, "manifest_sha256": sha256}
    return {**keys, "unlisted": unlisted} if unlisted else keys


def internal_error(message: str, error: Exception, trace: Trace | None) -> None:
    """A fault of our own, with its traceback and no outcome."""
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
    """Write one structured log line, with labels and the request's trace."""
    labels = _labels(keys)
    labelled = {_LABELS: labels} if labels else {}
    extra = {"stage": "done", **keys, **labelled, **(trace.keys if trace else {})}
    _logger().log(level, message, exc_info=error, extra=extra)


def _labels(keys: Mapping[str, Json]) -> dict[str, str]:
    """What lines are filtered by most: the same names as the attributes on the outcome's topic."""
    outcome, workload = keys.get("outcome"), _WORKLOAD.fullmatch(str(keys.get("workload")))
    labels = {
        "incident": keys.get("incident"),
        "status": outcome.get("status") if isinstance(outcome, Mapping) else None,
        "workload_kind": _KINDS.get(workload[2]) if workload else None,
        "project": workload[1] if workload else None,
    }
    return {name: value for name, value in labels.items() if isinstance(value, str) and value}


def _incident_keys(outcome: Mapping[str, Json]) -> dict[str, Json]:
    finding, workload = outcome.get("finding"), outcome.get("workload")
    return {
        "incident": outcome.get("incident"),
        "finding": finding.get("name") if isinstance(finding, Mapping) else None,
        "workload": workload.get("resource_name") if isinstance(workload, Mapping) else None,
    }


def _logger() -> logging.Logger:
    """Ours alone, set up at the first line: importing this module changes nothing."""
    if not any(isinstance(handler, _Handler) for handler in _LOGGER.handlers):
        handler = _Handler(sys.stdout)
        formatter = JsonFormatter(
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
