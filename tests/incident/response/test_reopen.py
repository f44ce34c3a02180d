"""Taking an incident up again, from what Security Command Center lists by now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clients import connect
from incident.case_file.index import CaseFileIndex, CaseSummary
from incident.model import GiveUp, JsonObject
from incident.response.reopen import reopen_claim
from tests.support.environment import policy_yaml, responder_environment
from tests.support.model import NOW, finding, listed_finding_json, record

NOTIFIED_FINDING = finding()
OTHER_NAME = NOTIFIED_FINDING.canonical_name.replace(NOTIFIED_FINDING.finding_id, "another")


@dataclass(frozen=True)
class ListingClient:
    """Security Command Center, as far as it lists findings of one source."""

    records: tuple[JsonObject, ...]
    source: str = NOTIFIED_FINDING.source_parent

    async def findings_at(self, source: str, since: datetime) -> tuple[JsonObject, ...]:
        """What is listed there since then."""
        assert (source, since) == (self.source, NOTIFIED_FINDING.event_time)
        return self.records

    async def findings_named(self, *_: Any) -> tuple[JsonObject, ...]:
        """Nobody asks by name: the list is whole."""
        raise AssertionError

    async def findings_on(self, *_: Any, **__: Any) -> tuple[JsonObject, ...]:
        """Nobody asks for related ones."""
        raise AssertionError


def listing_client(*given: Any, **named: Any) -> Any:
    """Security Command Center that lists these; it is asked for nothing else."""
    return ListingClient(*given, **named)


def open_incident(**changes: Any) -> CaseSummary:
    """An incident of which only the beginning is on record."""
    body = {
        "finding": NOTIFIED_FINDING.canonical_name,
        "event_time": NOTIFIED_FINDING.event_time.isoformat(),
    }
    began = record(1, "received", **{**body, **changes})
    return CaseSummary(
        NOTIFIED_FINDING.incident_id, f"incidents/{NOTIFIED_FINDING.incident_id}", (began,)
    )


async def test_a_reopened_incident_keeps_its_id() -> None:
    """Also if SCC's record has a later event time and another state by now."""
    later = (NOW + timedelta(hours=3)).isoformat()
    for changes in ({}, {"state": "INACTIVE"}, {"eventTime": later}):
        claim = await reopen_claim(
            open_incident(), listing_client((listed_finding_json(**changes),))
        )
        assert claim.incident_id == NOTIFIED_FINDING.incident_id
        assert (claim.event_time, claim.workload) == (
            NOTIFIED_FINDING.event_time,
            NOTIFIED_FINDING.workload,
        )


async def test_a_name_that_was_redacted_in_the_outcome_is_known_all_the_same() -> None:
    """The finding's name may be redacted in the outcome; the first record has it."""
    reported = {
        "canonical_name": "[redacted:12345678]",
        "event_time": NOTIFIED_FINDING.event_time.isoformat(),
    }
    done = record(1000, "done", outcome={"status": "held", "finding": reported})
    case = open_incident()
    case = replace(case, records=(*case.records, done))
    assert (
        await reopen_claim(case, listing_client((listed_finding_json(),)))
    ).incident_id == NOTIFIED_FINDING.incident_id


async def test_a_name_without_a_location_is_looked_up_in_global() -> None:
    """Older names leave it out."""
    name = NOTIFIED_FINDING.canonical_name.replace("/locations/global", "")
    claim = await reopen_claim(
        open_incident(finding=name), listing_client((listed_finding_json(),))
    )
    assert claim.incident_id == NOTIFIED_FINDING.incident_id


@pytest.mark.parametrize(
    "records",
    [
        (),
        ({"finding": {"name": "x"}},),
        (listed_finding_json(name=OTHER_NAME, canonicalName=OTHER_NAME),),
    ],
)
async def test_an_unlisted_finding_is_not_resumed(records: tuple[JsonObject, ...]) -> None:
    """Nothing at all, nothing readable, or another finding."""
    with pytest.raises(GiveUp, match="no longer lists its finding"):
        await reopen_claim(open_incident(), listing_client(records))


@pytest.mark.parametrize(
    "changes", [{"finding": None}, {"finding": "x"}, {"event_time": ""}, {"event_time": "today"}]
)
async def test_a_case_file_without_a_finding_is_reported(changes: dict[str, Any]) -> None:
    """Without the finding's name or time it cannot be looked up."""
    with pytest.raises(GiveUp, match="does not name its finding"):
        await reopen_claim(open_incident(**changes), listing_client(()))


async def test_an_incident_is_reopened_from_its_outcome(tmp_path: Path) -> None:
    """At the wire: the claim is the one that was delivered, as SCC has it."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("dry-run")) as env:
        incident = str((await env.deliver()).outcome.incident)
        clients = await connect(env.settings)
        try:
            case = await CaseFileIndex(clients.store).get(incident)
            claim = await reopen_claim(case, clients.security_center)
        finally:
            await clients.close()
        assert (claim.incident_id, claim.workload) == (incident, NOTIFIED_FINDING.workload)
