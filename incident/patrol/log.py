"""Log lines of the patrol: one for each containment that it checked, and a summary."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from incident.model import Json
from incident.patrol.checked_containment import CheckState
from incident.patrol.round import RoundResult
from incident.response.log import Trace, delivery_answered, log_line, manifest_keys

_CHECK_LEVELS = {
    CheckState.REVERTED: logging.ERROR,
    CheckState.REAPPLIED: logging.ERROR,
    CheckState.PENDING: logging.ERROR,
    CheckState.VERIFIED: logging.INFO,
    CheckState.RELEASING: logging.INFO,
    CheckState.ATTEMPT_OPEN: logging.INFO,
}


def log_round(patrol_round: RoundResult, trace: Trace | None) -> None:
    """Log one round: a line for each finding of it, and a summary."""
    for check in patrol_round.checks:
        level = logging.ERROR if check.alarm else _CHECK_LEVELS.get(check.state, logging.WARNING)
        incident = next(iter(check.incidents), None)
        names: dict[str, Json] = {"stage": "patrol", "incident": incident, "finding": None}
        log_line(level, f"Containment {check.state.value}", {**names, **check.json}, trace)
    for unfinished in patrol_round.incidents:
        if unfinished.result:
            delivery_answered(unfinished.result, trace)
        else:
            keys: dict[str, Json] = {
                "incident": unfinished.incident,
                "reason": unfinished.note,
                **manifest_keys(unfinished.case_file, unfinished.manifest_sha256),
            }
            _patrol_error("Patrol could not finish an incident", keys, trace)
    for fault in patrol_round.faults:
        keys = {
            "folder": fault.folder,
            "reason": fault.reason,
            **manifest_keys(fault.case_file, fault.manifest_sha256),
        }
        _patrol_error("Patrol could not check a folder", keys, trace)
    names = dict.fromkeys(("incident", "finding", "workload"))
    summed = {"patrol": {**patrol_round.summary}, "problem": patrol_round.problem or None}
    level = logging.ERROR if patrol_round.alarm else logging.INFO
    log_line(level, "Patrol finished", {"stage": "patrol", **names, **summed}, trace)


def _patrol_error(message: str, keys: Mapping[str, Json], trace: Trace | None) -> None:
    names: dict[str, Json] = dict.fromkeys(("incident", "finding", "workload"))
    log_line(logging.ERROR, message, {"stage": "patrol", **names, **keys}, trace)
