"""Reopen an incident: rebuild its finding from SCC's record, without its notification."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from incident.case_file.index import CaseSummary
from incident.model import (
    CutList,
    Finding,
    GiveUp,
    IncidentError,
    JsonObject,
    Malformed,
    found_in,
    with_found,
)
from incident.model.json_text import json_string, parse_time
from incident.model.outcome import ReportedFinding
from incident.model.ports import SecurityCenterPort
from incident.notification.parse import parse_record
from incident.notification.resource_names import parse_finding_name


async def reopen_claim(case: CaseSummary, findings: SecurityCenterPort) -> Finding:
    """Rebuild the finding that an incident began with from SCC's record.

    SCC may report a later event time or another state by now. The result has the event time and
    state of the incident, so that it has the incident's id.

    Raises:
        Retry: SCC does not answer.
        GiveUp: SCC refuses or no longer lists the finding, or the case file does not name it.
    """
    name, event_time = _subject(case)
    source = name.rpartition("/findings/")[0]
    parent = source if "/locations/" in source else f"{source}/locations/global"
    listing = await findings.findings_at(parent, event_time)
    if isinstance(listing, CutList):
        by_name = await findings.findings_named(parent, name)
        listing = with_found(listing, found_in(by_name))
    for listed in found_in(listing):
        record = _parsed_record(listed)
        if record is None:
            continue
        for state in (record.state, "ACTIVE", "INACTIVE"):
            claim = replace(record, event_time=event_time, state=state)
            if claim.incident_id == case.event_id:
                return claim
    if isinstance(listing, CutList):
        raise GiveUp(f"cannot reopen incident {case.incident}: {listing.reason}")
    raise GiveUp(
        f"cannot reopen incident {case.incident}: Security Command Center no longer lists its"
        f" finding {name}. Look for the finding in the console"
    )


def _subject(case: CaseSummary) -> tuple[str, datetime]:
    """Name and event time of the finding, from the first record or else from the outcome.

    The first record takes precedence: the outcome is redacted, and who controls the workload's
    environment could have the name redacted there.
    """
    reported = (case.outcome.finding if case.outcome else None) or ReportedFinding()
    first: JsonObject = case.records[0].body if case.records else {}
    names = (json_string(first.get("finding")), reported.canonical_name or "")
    name = next((name for name in names if parse_finding_name(name)), None)
    event_time = reported.event_time or parse_time(first.get("event_time"))
    if event_time is None or name is None:
        raise _unknown_finding(case)
    return name, event_time


def _unknown_finding(case: CaseSummary) -> IncidentError:
    return GiveUp(
        f"cannot reopen incident {case.incident}: its case file does not name its finding."
        " Publish the finding's notification again instead"
    )


def _parsed_record(record: JsonObject) -> Finding | None:
    """Parse a listed finding; None if it lacks required fields, as other kinds of finding do."""
    try:
        return parse_record(record)
    except Malformed:
        return None
