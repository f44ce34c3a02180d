"""Security Command Center: the findings of a source, and those around a workload."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clients.security_center import LIST, UPDATE_FINDING
from incident.model import Denied, GiveUp, Listing, Missing, Retry
from tests.clients.conftest import ConnectClients
from tests.support.constants import CATEGORY
from tests.support.model import finding, listed_finding_json, whole, workload

SOURCE = "projects/210987654321/sources/1234567890123456789/locations/global"
AT = finding().event_time
HOUR = timedelta(hours=1)


def listed(number: int, **changes: Any) -> dict[str, Any]:
    """A finding with an id of its own."""
    made = listed_finding_json(**changes)
    for key in ("name", "canonicalName"):
        parent = made["finding"][key].rpartition("/")[0]
        made["finding"][key] = f"{parent}/{number:032d}"
    return made


def finding_on(name: str, number: int, **changes: Any) -> dict[str, Any]:
    """A finding on a resource of the project."""
    place = "//run.googleapis.com/projects/example-shop-prod/locations/europe-west1"
    return listed(number, resourceName=f"{place}/{name}", **changes)


def event_time_after(seconds: float) -> str:
    """An event time, some seconds after the sample's."""
    return (AT + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def world(*findings: dict[str, Any], **others: Any) -> dict[str, Any]:
    """A world with findings."""
    projects = [{"projectId": "example-shop-prod", "projectNumber": "210987654321"}]
    return {"projects": projects, "findings": list(findings), **others}


def ids(found: Listing[Any]) -> list[int]:
    """The numbers of findings."""
    return sorted(int(result["finding"]["name"].rpartition("/")[2]) for result in whole(found))


async def test_a_finding_is_listed_at_its_source(connect_clients: ConnectClients) -> None:
    """As proto JSON, with its resource."""
    async with connect_clients(world(listed_finding_json())) as cloud:
        (found,) = whole(await cloud.clients.security_center.findings_at(SOURCE, AT))
    result: Any = found
    assert result["finding"]["category"] == CATEGORY
    assert result["finding"]["canonicalName"] == finding().canonical_name
    assert result["finding"]["state"] == "ACTIVE"
    assert result["resource"]["name"] == finding().resource_name


async def test_only_what_is_new_enough_is_listed(connect_clients: ConnectClients) -> None:
    """Updates count; a second of grace is given for times that are kept less finely."""
    findings = [
        listed(number, eventTime=event_time_after(seconds))
        for number, seconds in enumerate((-3600, -1.5, -0.9, 0, 3600))
    ]
    async with connect_clients(world(*findings)) as cloud:
        found = await cloud.clients.security_center.findings_at(SOURCE, AT)
    assert ids(found) == [2, 3, 4]


async def test_another_source_is_not_listed(connect_clients: ConnectClients) -> None:
    """Nor another location, nor another project."""
    async with connect_clients(world(listed_finding_json())) as cloud:
        center = cloud.clients.security_center
        assert await center.findings_at(SOURCE.replace("1234", "4321"), AT) == ()
        assert await center.findings_at(SOURCE.replace("global", "eu"), AT) == ()
        assert await center.findings_at(SOURCE.replace("2109", "9012"), AT) == ()


async def test_every_page_is_read(connect_clients: ConnectClients) -> None:
    """A burst of findings hides none."""
    async with connect_clients(world(*(listed(number) for number in range(1050)))) as cloud:
        found = await cloud.clients.security_center.findings_at(SOURCE, AT)
    assert ids(found) == list(range(1050))


async def test_findings_around_a_workload_are_those_whose_name_contains_it(
    connect_clients: ConnectClients,
) -> None:
    """Namesakes are listed too: the caller compares exactly."""
    findings = [
        finding_on("services/storefront", 1),
        finding_on("services/storefront/revisions/storefront-00042", 2),
        finding_on("services/storefront-2", 3),
        finding_on("services/checkout", 4),
        finding_on("jobs/storefront", 5),
        listed(6, resourceName="//container.googleapis.com/x/services/storefront"),
        finding_on("services/storefront", 7, eventTime=event_time_after(3601)),
        finding_on("services/storefront", 8, eventTime=event_time_after(-3601)),
        finding_on("services/storefront", 9, category="Reverse Shell", state="INACTIVE"),
    ]
    async with connect_clients(world(*findings)) as cloud:
        found = await cloud.clients.security_center.findings_on(
            workload(), AT - HOUR, AT + HOUR, location="global"
        )
    assert ids(found) == [1, 2, 3, 9]


@pytest.mark.parametrize("name", ['x" OR resource_name:"', "a\\", '"', "x\nOR y"])
async def test_a_hostile_name_finds_nothing_more(
    connect_clients: ConnectClients, name: str
) -> None:
    """It is a text to look for, never a part of the question."""
    async with connect_clients(world(listed_finding_json())) as cloud:
        found = await cloud.clients.security_center.findings_on(
            workload(name=name), AT - HOUR, AT + HOUR, location="global"
        )
    assert found == ()


async def test_another_location_of_the_data_is_asked(connect_clients: ConnectClients) -> None:
    """Under data residency SCC keeps findings elsewhere."""
    made = listed_finding_json()
    for key in ("name", "canonicalName"):
        made["finding"][key] = made["finding"][key].replace("locations/global", "locations/eu")
    async with connect_clients(world(made)) as cloud:
        center = cloud.clients.security_center
        around = (workload(), AT - HOUR, AT + HOUR)
        assert len(whole(await center.findings_on(*around, location="eu"))) == 1
        assert await center.findings_on(*around, location="global") == ()


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [
        ("PERMISSION_DENIED", Denied, "permission securitycenter.findings.list is missing"),
        ("NOT_FOUND", Missing, "it does not exist"),
        ("INVALID_ARGUMENT", GiveUp, "Google refuses the call"),
        ("RESOURCE_EXHAUSTED", Retry, "a quota"),
    ],
)
async def test_what_cannot_be_listed_says_why(
    connect_clients: ConnectClients, code: str, error: type[Exception], text: str
) -> None:
    """The message names the source and what to grant."""
    async with connect_clients(world(faults=[{"method": "ListFindings", "code": code}])) as cloud:
        with pytest.raises(error, match=f"list the findings of {SOURCE}: .*{text}"):
            await cloud.clients.security_center.findings_at(SOURCE, AT)


async def test_a_short_outage_of_reading_is_retried(connect_clients: ConnectClients) -> None:
    """The call is tried again before anybody hears of it."""
    fault = {"method": "ListFindings", "code": "UNAVAILABLE", "times": 2}
    async with connect_clients(world(listed_finding_json(), faults=[fault])) as cloud:
        assert len(whole(await cloud.clients.security_center.findings_at(SOURCE, AT))) == 1


async def test_a_time_without_fractions_is_a_time(connect_clients: ConnectClients) -> None:
    """Whatever the precision of the moment asked for."""
    async with connect_clients(world(listed_finding_json())) as cloud:
        whole = datetime(2026, 10, 2, 8, 14, 7, tzinfo=UTC)
        assert await cloud.clients.security_center.findings_at(SOURCE, whole)


# Writing back.

NAME = finding().filed_name
MARKS = {"responder-status": "contained", "responder-incident": "i-1"}
CASE = {"status": "contained", "external_uid": "i-1", "case_uri": "gs://case-files/i-1"}


def current_finding(cloud: Any) -> dict[str, Any]:
    """The finding as it is now."""
    (entry,) = cloud.emulator.world.dump()["findings"]
    found: dict[str, Any] = entry["finding"]
    return found


async def test_marks_are_set_at_the_canonical_name_beside_those_of_others(
    connect_clients: ConnectClients,
) -> None:
    """The mask names each of the responder's marks, so that nothing else is replaced."""
    made = listed_finding_json(securityMarks={"marks": {"owner": "web", "Responder-Status": "old"}})
    async with connect_clients(world(made)) as cloud:
        await cloud.clients.security_center.set_marks(NAME, MARKS)
        (write,) = cloud.emulator.writes
        assert current_finding(cloud)["securityMarks"]["marks"] == {"owner": "web", **MARKS}
    assert NAME.startswith("projects/210987654321/sources/1234567890123456789/locations/global/")
    assert write.request["securityMarks"]["name"] == f"{NAME}/securityMarks"
    assert write.mask == ["marks.responder-status", "marks.responder-incident"]


async def test_an_external_system_is_written_beside_others(connect_clients: ConnectClients) -> None:
    """Other systems stay, and so do the other fields of the responder's own entry."""
    systems = {"jira": {"status": "open"}, "scc-responder": {"assignees": ["a"]}}
    async with connect_clients(world(listed_finding_json(externalSystems=systems))) as cloud:
        await cloud.clients.security_center.set_external_system(NAME, "scc-responder", CASE)
        (write,) = cloud.emulator.writes
        written = current_finding(cloud)["externalSystems"]
    assert write.request["externalSystem"]["name"] == f"{NAME}/externalSystems/scc-responder"
    assert write.mask == ["status", "external_uid", "case_uri"]
    assert written["jira"] == {"status": "open"}
    assert written["scc-responder"]["assignees"] == ["a"]
    assert written["scc-responder"]["caseUri"] == "gs://case-files/i-1"


@pytest.mark.parametrize("method", ["UpdateSecurityMarks", "UpdateExternalSystem"])
@pytest.mark.parametrize(
    ("code", "error", "text"),
    [
        ("PERMISSION_DENIED", Denied, "permission securitycenter.finding.*update is missing"),
        ("NOT_FOUND", Missing, "it does not exist"),
        ("FAILED_PRECONDITION", GiveUp, "Google refuses the call"),
        ("INTERNAL", Retry, "does not answer"),
        ("RESOURCE_EXHAUSTED", Retry, "a quota"),
    ],
)
async def test_what_cannot_be_written_says_why(
    connect_clients: ConnectClients, method: str, code: str, error: type[Exception], text: str
) -> None:
    """The message names the finding and what to grant."""
    faults = [{"method": method, "code": code}]
    async with connect_clients(world(listed_finding_json(), faults=faults)) as cloud:
        center = cloud.clients.security_center
        writing = (
            center.set_marks(NAME, MARKS)
            if method == "UpdateSecurityMarks"
            else center.set_external_system(NAME, "scc-responder", CASE)
        )
        with pytest.raises(error, match=f"the finding {NAME}: .*{text}"):
            await writing


async def test_a_short_outage_of_writing_is_retried(connect_clients: ConnectClients) -> None:
    """To write the same once more does no harm."""
    fault = {"method": "UpdateSecurityMarks", "code": "UNAVAILABLE", "times": 1}
    async with connect_clients(world(listed_finding_json(), faults=[fault])) as cloud:
        await cloud.clients.security_center.set_marks(NAME, MARKS)
        assert current_finding(cloud)["securityMarks"]["marks"] == MARKS


def test_every_permission_has_a_reason() -> None:
    """They are what the three calls of this module need."""
    assert {each.name for each in (LIST, *UPDATE_FINDING)} == {
        "securitycenter.findings.list",
        "securitycenter.findingsecuritymarks.update",
        "securitycenter.findingexternalsystems.update",
    }
    assert all(each.reason for each in (LIST, *UPDATE_FINDING))
