"""Taking an incident up again, from what Security Command Center lists by now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clients import connect
from incident.case_file.index import Case, Cases
from incident.model import GiveUp, JsonObject
from incident.response.reopen import reopen
from tests.support.environment import policy, road
from tests.support.model import NOW, finding, raw_finding, record

CLAIM = finding()
OTHER = CLAIM.canonical_name.replace(CLAIM.finding_id, "another")


@dataclass(frozen=True)
class Listed:
    """Security Command Center, as far as it lists findings of one source."""

    records: tuple[JsonObject, ...]
    source: str = CLAIM.source_parent

    async def findings_at(self, source: str, since: datetime) -> tuple[JsonObject, ...]:
        """What is listed there since then."""
        assert (source, since) == (self.source, CLAIM.event_time)
        return self.records

    async def findings_on(self, *_: Any, **__: Any) -> tuple[JsonObject, ...]:
        """Nobody asks for related ones."""
        raise AssertionError


def received(**changes: Any) -> Case:
    """An incident of which only the beginning is on record."""
    body = {"finding": CLAIM.canonical_name, "event_time": CLAIM.event_time.isoformat()}
    began = record(1, "received", **{**body, **changes})
    return Case(CLAIM.incident_id, f"incidents/{CLAIM.incident_id}", (began,))


async def test_the_claim_has_the_incidents_own_id() -> None:
    """Also when the record tells a later event and another state by now."""
    later = (NOW + timedelta(hours=3)).isoformat()
    for changes in ({}, {"state": "INACTIVE"}, {"eventTime": later}):
        claim = await reopen(received(), Listed((raw_finding(**changes),)))
        assert claim.incident_id == CLAIM.incident_id
        assert (claim.event_time, claim.workload) == (CLAIM.event_time, CLAIM.workload)


async def test_a_name_that_was_redacted_in_the_outcome_is_known_all_the_same() -> None:
    """Whoever sets the environment could have it hidden there; the first record has it."""
    told = {"canonical_name": "[redacted:12345678]", "event_time": CLAIM.event_time.isoformat()}
    done = record(1000, "done", outcome={"status": "held", "finding": told})
    case = received()
    case = replace(case, records=(*case.records, done))
    assert (await reopen(case, Listed((raw_finding(),)))).incident_id == CLAIM.incident_id


async def test_a_name_without_a_location_is_looked_up_in_global() -> None:
    """Older names leave it out."""
    name = CLAIM.canonical_name.replace("/locations/global", "")
    claim = await reopen(received(finding=name), Listed((raw_finding(),)))
    assert claim.incident_id == CLAIM.incident_id


@pytest.mark.parametrize(
    "records",
    [
        (),
        ({"finding": {"name": "x"}},),
        (raw_finding(name=OTHER, canonicalName=OTHER),),
    ],
)
async def test_what_is_not_listed_any_more_is_not_taken_up(records: tuple[JsonObject, ...]) -> None:
    """Nothing at all, nothing readable, or another finding."""
    with pytest.raises(GiveUp, match="does not list its finding"):
        await reopen(received(), Listed(records))


@pytest.mark.parametrize(
    "changes", [{"finding": None}, {"finding": "x"}, {"event_time": ""}, {"event_time": "today"}]
)
async def test_a_case_file_that_names_no_finding_is_told(changes: dict[str, Any]) -> None:
    """Without its name or its time there is nothing to look up."""
    with pytest.raises(GiveUp, match="does not say which finding"):
        await reopen(received(**changes), Listed(()))


async def test_an_incident_is_reopened_from_its_outcome(tmp_path: Path) -> None:
    """At the wire: the claim is the one that was delivered, as SCC has it."""
    async with road(tmp_path, rules=policy("dry-run")) as way:
        incident = str((await way.deliver()).outcome["incident"])
        clients = await connect(way.settings)
        try:
            case = await Cases(clients.store).one(incident)
            claim = await reopen(case, clients.security_center)
        finally:
            await clients.close()
        assert (claim.incident_id, claim.workload) == (incident, CLAIM.workload)
