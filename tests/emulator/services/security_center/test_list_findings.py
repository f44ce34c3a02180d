"""Listing findings."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import securitycenter_v2
from google.protobuf import field_mask_pb2

from tests.support.constants import CATEGORY, PROJECT_ID, PROJECT_NUMBER
from tests.support.google_clients import GoogleClients, google_clients, world_with_services

ORGANIZATION = "organizations/123456789012"
ALL = f"{ORGANIZATION}/sources/-/locations/global"


def entry(
    number: int, *, source: str = "77", location: str = "/locations/global", **finding: Any
) -> Any:
    """An entry of `findings`; number 0 happened at 08:00 and each next one a minute later."""
    tail = f"sources/{source}{location}/findings/f{number}"
    when = dt.datetime(2026, 10, 2, 8, number, tzinfo=dt.UTC)
    return {
        "finding": {
            "name": f"{ORGANIZATION}/{tail}",
            "canonicalName": f"projects/{PROJECT_NUMBER}/{tail}",
            "parent": f"{ORGANIZATION}/sources/{source}{location}",
            "resourceName": f"//run.googleapis.com/projects/{PROJECT_ID}/services/s{number}",
            "category": CATEGORY,
            "state": "ACTIVE",
            "severity": "CRITICAL",
            "eventTime": when.isoformat().replace("+00:00", "Z"),
            "contextUris": {"mitreUri": {}},
        }
        | finding,
        "resource": {
            "name": "//run.googleapis.com/r",
            "type": "google.cloud.run.Service",
            "gcpMetadata": {
                "project": f"//cloudresourcemanager.googleapis.com/projects/{PROJECT_NUMBER}",
                "projectDisplayName": PROJECT_ID,
                "parentDisplayName": "retail",
                "folders": [{"resourceFolder": "//cloudresourcemanager.googleapis.com/folders/5"}],
            },
        },
    }


async def listed(google: GoogleClients, parent: str = ALL, **request: Any) -> list[str]:
    """Short names of the findings that a request lists, all pages of them."""
    pages = await google.security_center.list_findings(
        request={"parent": parent, **request}, retry=None
    )
    return [result.finding.name.rsplit("/", 1)[-1] async for result in pages]


async def test_a_finding_is_answered_with_its_resource() -> None:
    """Both parts of an entry are there; what the API has no field for is passed over."""
    async with google_clients(world_with_services(findings=[entry(0)])) as google:
        page = await google.security_center.list_findings(parent=ALL)
        (result,) = [found async for found in page]
        assert result.finding.category == CATEGORY
        assert result.resource.gcp_metadata.project_display_name == PROJECT_ID
        assert page.total_size == 1
        assert google.emulator.world.dump()["findings"] == [entry(0)]


@pytest.mark.parametrize(
    ("parent", "found"),
    [
        (f"{ORGANIZATION}/sources/-", ["f0", "f1", "f3"]),
        (f"{ORGANIZATION}/sources/-/locations/global", ["f0", "f1", "f3"]),
        (f"{ORGANIZATION}/sources/-/locations/eu", ["f2"]),
        (f"{ORGANIZATION}/sources/77", ["f0", "f3"]),
        (f"{ORGANIZATION}/sources/88/locations/global", ["f1"]),
        (f"projects/{PROJECT_NUMBER}/sources/-", ["f0", "f1", "f3"]),
        (f"projects/{PROJECT_ID}/sources/77/locations/global", ["f0", "f3"]),
        ("folders/345678901234/sources/-", ["f0", "f1", "f3"]),
        ("folders/5/sources/77", ["f0", "f3"]),
        ("folders/6/sources/-", []),
        ("projects/other/sources/-", []),
        ("organizations/1234/sources/-", []),
    ],
)
async def test_findings_lie_under_both_of_their_names(parent: str, found: list[str]) -> None:
    """Organisation, folder and project; any source or one; no location means global."""
    entries = [entry(0), entry(1, source="88"), entry(2, location="/locations/eu"),
               entry(3, location="")]  # fmt: skip
    async with google_clients(world_with_services(findings=entries)) as google:
        assert await listed(google, parent) == found


@pytest.mark.parametrize("parent", ["", "organizations/1", "projects/p/sources/", "x/1/sources/-"])
async def test_a_parent_that_is_no_source_is_refused(parent: str, google: GoogleClients) -> None:
    """The parent has to be a source or every source."""
    with pytest.raises(exceptions.InvalidArgument):
        await listed(google, parent)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f'category="{CATEGORY}"', "0123"),
        ('category="Execution"', ""),
        ('category:"Malicious"', "0123"),
        ('state="ACTIVE" AND severity="CRITICAL"', "013"),
        ('-state="ACTIVE"', "2"),
        ('state:"ACTIVE"', "0123"),
        ('resource_name:"/services/s1"', "1"),
        ('resource_name:"/services/s1" OR resource_name:"/services/s2" state="ACTIVE"', "1"),
        (f'name="{ORGANIZATION}/sources/77/locations/global/findings/f3"', "3"),
        (f'parent="{ORGANIZATION}/sources/77/locations/global"', "0123"),
        ('event_time>="2026-10-02T08:01:00Z" AND event_time<"2026-10-02T10:03:00+02:00"', "12"),
        ('event_time="2026-10-02T08:01:00.000000000Z"', "1"),
        ("event_time > 1790928060000", "23"),
        ("event_time <= 1790928060000", "01"),
        ('security_marks.marks.owner="web"', "3"),
        ('security_marks.marks.owner:"w" AND -security_marks.marks.other:""', "3"),
        ('external_uri=""', "0123"),
        ('resource.type="google.cloud.run.Service"', "0123"),
        (f'resource.project_display_name="{PROJECT_ID}"', "0123"),
        (f'resource.project_name:"{PROJECT_NUMBER}"', "0123"),
        ('resource.parent_display_name="retail" AND resource.folders.resource_folder:"folders/5"',
         "0123"),
        ('resource.name="x" OR resource.display_name="x" OR resource.parent_name="x"', ""),
        ("", "0123"),
    ],
)  # fmt: skip
async def test_filters_choose_findings(text: str, found: str) -> None:
    """Every documented field and operator."""
    marks: dict[str, Any] = {"securityMarks": {"marks": {"owner": "web"}}}
    entries = [entry(0), entry(1), entry(2, state="INACTIVE", severity="LOW"), entry(3, **marks)]
    async with google_clients(world_with_services(findings=entries)) as google:
        assert "".join(name[1:] for name in await listed(google, filter=text)) == found


@pytest.mark.parametrize(
    "text",
    [
        'finding_class="THREAT"', 'resourceName="x"', 'source_properties.a="x"', 'marks.a="x"',
        "state=ACTIVE", 'state>"ACTIVE"', 'name:"x"', 'event_time:"2026-10-02T08:01:00Z"',
        'event_time>="yesterday"', 'event_time>="2026-02-30T00:00:00Z"', "event_time>=1.5",
        'security_marks.marks="x"', 'category="a', "category", 'resource.labels.a="b"',
    ],
)  # fmt: skip
async def test_filters_that_the_api_does_not_document_are_refused(
    text: str, google: GoogleClients
) -> None:
    """Unknown fields, unsupported operators and malformed values."""
    with pytest.raises(exceptions.InvalidArgument, match="Invalid filter"):
        await listed(google, filter=text)


HOSTILE = ['a"', 'a\\"', "a\\", 'x" OR category:"', "a\nb", "*", "é", "AND", ""]


async def test_a_quoted_hostile_text_matches_only_itself() -> None:
    """Names that try to leave their quotation marks are just names."""
    entries = [entry(n, resourceName=text) for n, text in enumerate(HOSTILE)]
    async with google_clients(world_with_services(findings=entries)) as google:
        for number, text in enumerate(HOSTILE):
            value = text.replace("\\", "\\\\").replace('"', '\\"')
            assert await listed(google, filter=f'resource_name="{value}"') == [f"f{number}"]


@pytest.mark.parametrize(
    ("order_by", "found"),
    [
        ("event_time", "012"),
        ("event_time desc", "210"),
        (" state ,  event_time desc ", "201"),
        ("category, resource_name desc", "210"),
        ("", "102"),
    ],
)
async def test_findings_are_ordered_as_asked(order_by: str, found: str) -> None:
    """Several fields, each in its own direction."""
    entries = [entry(1, state="INACTIVE"), entry(0), entry(2)]
    async with google_clients(world_with_services(findings=entries)) as google:
        names = await listed(google, order_by=order_by)
        assert "".join(name[1:] for name in names) == found


async def test_an_unknown_order_is_refused(google: GoogleClients) -> None:
    """Only the documented fields can be sorted by."""
    for order_by in ("severity", "event_time down", "event_time desc desc"):
        with pytest.raises(exceptions.InvalidArgument, match="order_by"):
            await listed(google, order_by=order_by)


async def test_pages_are_of_ten_and_at_most_a_thousand() -> None:
    """The sizes that the API documents; the total counts all pages."""
    entries = [entry(n % 60, source=str(n)) for n in range(1005)]
    async with google_clients(world_with_services(findings=entries)) as google:
        for asked, given in ((0, 10), (3, 3), (1000, 1000), (5000, 1000)):
            pages = await google.security_center.list_findings(
                request={"parent": ALL, "page_size": asked}
            )
            first = await anext(pages.pages)
            assert len(first.list_findings_results) == given
            assert first.total_size == 1005
        assert len(await listed(google, page_size=300)) == 1005
        with pytest.raises(exceptions.InvalidArgument):
            await listed(google, page_size=-1)


async def test_a_token_of_another_query_is_refused() -> None:
    """A page token belongs to parent, filter and order."""
    async with google_clients(world_with_services(findings=[entry(0), entry(1)])) as google:
        pages = await google.security_center.list_findings(request={"parent": ALL, "page_size": 1})
        token = pages.next_page_token
        assert await listed(google, page_token=token) == ["f1"]
        with pytest.raises(exceptions.InvalidArgument, match="page_token"):
            await listed(google, page_token=token, filter='state="ACTIVE"')


async def test_a_field_mask_leaves_only_the_fields_asked_for() -> None:
    """Other fields of the finding are empty; a field that does not exist is refused."""
    async with google_clients(world_with_services(findings=[entry(0)])) as google:
        for paths, good in itertools.product((["name"], ["finding.name"], ["nonsense"]), (True,)):
            request = securitycenter_v2.ListFindingsRequest(
                parent=ALL, field_mask=field_mask_pb2.FieldMask(paths=paths)
            )
            if paths == ["nonsense"]:
                with pytest.raises(exceptions.InvalidArgument):
                    await google.security_center.list_findings(request)
                continue
            pages = await google.security_center.list_findings(request)
            (result,) = [found async for found in pages]
            assert good
            assert result.finding.name
            assert not result.finding.category
