"""Log lines of the patrol: one for each containment that it checked, and a summary."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from incident.model import Json
from incident.patrol.result import Sight
from incident.patrol.round import Round
from incident.response.log import answered, log_line, manifest_keys
from incident.response.trace import Trace

_SIGHTS = {
    Sight.REVERTED: logging.ERROR,
    Sight.REAPPLIED: logging.ERROR,
    Sight.PENDING: logging.ERROR,
    Sight.VERIFIED: logging.INFO,
    Sight.LEFT_ALONE: logging.INFO,
}


def patrolled(found: Round, trace: Trace | None) -> None:
    """The lines of one round: one for each thing that was found, and one that sums it up."""
    for sighting in found.sightings:
        level = logging.ERROR if sighting.alarm else _SIGHTS.get(sighting.sight, logging.WARNING)
        incident = next(iter(sighting.incidents), None)
        names: dict[str, Json] = {"stage": "patrol", "incident": incident, "finding": None}
        log_line(level, f"containment {sighting.sight.value}", {**names, **sighting.json}, trace)
    for leftover in found.leftovers:
        if leftover.answer:
            answered(leftover.answer, trace)
        else:
            keys = {"incident": leftover.incident, "reason": leftover.note}
            _unchecked("incident unfinished", keys, trace)
    for folder, sha256 in sorted(found.seals.items()):
        incident = folder.rpartition("/")[2]
        named: dict[str, Json] = {"incident": incident, "finding": None, "workload": None}
        seal = {"stage": "patrol", **named, **manifest_keys(folder, sha256, "")}
        log_line(logging.INFO, "case file sealed", seal, trace)
    for fault in found.faults:
        keys = {"folder": fault.folder, "reason": fault.reason}
        _unchecked("cannot look after what is in a folder", keys, trace)
    names = dict.fromkeys(("incident", "finding", "workload"))
    summed = {"patrol": {**found.summary}, "problem": found.problem or None}
    level = logging.ERROR if found.alarm else logging.INFO
    log_line(level, "patrol ended", {"stage": "patrol", **names, **summed}, trace)


def _unchecked(message: str, keys: Mapping[str, Json], trace: Trace | None) -> None:
    names: dict[str, Json] = dict.fromkeys(("incident", "finding", "workload"))
    log_line(logging.ERROR, message, {"stage": "patrol", **names, **keys}, trace)
