"""Cloud Asset Inventory: scopes, asset types, queries, masks and pages, by Google's own client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from google.api_core import exceptions
from google.cloud import asset_v1
from google.cloud.asset_v1.services.asset_service.transports import (
    AssetServiceGrpcAsyncIOTransport,
)
from google.protobuf.json_format import MessageToDict

from clients import rest
from clients.settings import Settings
from emulator.server.emulator import Emulator
from emulator.world.state import BadWorld, parse_world

IMAGE = "europe-west1-docker.pkg.dev/p/web/app@sha256:" + "a" * 64
TEMPLATE = {"containers": [{"image": IMAGE}], "serviceAccount": "web@a.iam.gserviceaccount.com"}
WORLD: dict[str, Any] = {
    "projects": [
        {"projectId": "a", "projectNumber": "11", "folders": ["2", "1"]},
        {"projectId": "b", "projectNumber": "12", "folders": ["1"]},
        {"projectId": "c", "projectNumber": "13", "folders": []},
    ],
    "services": [
        {
            "name": "projects/a/locations/europe-west1/services/web",
            "template": TEMPLATE,
            "labels": {"env": "prod"},
        },
        {"name": "projects/c/locations/us-east4/services/loose", "template": TEMPLATE},
    ],
    "jobs": [
        {"name": "projects/b/locations/us-east4/jobs/night", "template": {"template": TEMPLATE}}
    ],
    "workerPools": [{"name": "projects/b/locations/us-east4/workerPools/dig"}],
}
Search = Callable[..., Any]


@asynccontextmanager
async def searching(**changes: Any) -> AsyncIterator[Search]:
    """Google's client of an emulator of this world; a search gives all results, page by page."""
    async with (
        Emulator(parse_world({**WORLD, **changes}, source="test")) as emulator,
        grpc.aio.insecure_channel(emulator.grpc_address) as channel,
    ):
        transport = AssetServiceGrpcAsyncIOTransport(channel=channel)
        client = asset_v1.AssetServiceAsyncClient(transport=transport)

        async def search(scope: str, **given: Any) -> list[asset_v1.ResourceSearchResult]:
            pager = await client.search_all_resources({"scope": scope, **given}, retry=None)
            return [result async for result in pager]

        yield search


def names(found: list[asset_v1.ResourceSearchResult]) -> list[str]:
    """Short names, in order."""
    return [each.display_name for each in found]


async def test_a_scope_has_what_lies_below_it() -> None:
    """By id or number of a project; with folders, project number and organization."""
    async with searching() as search:
        assert names(await search("projects/a")) == names(await search("projects/11")) == ["web"]
        assert names(await search("folders/1")) == ["web", "night", "dig"]
        assert names(await search("folders/2")) == ["web"]
        (found,) = await search("projects/a")
        assert found.name == "//run.googleapis.com/projects/a/locations/europe-west1/services/web"
        assert (found.project, list(found.folders)) == ("projects/11", ["folders/2", "folders/1"])
        assert found.asset_type == "run.googleapis.com/Service"
        assert not found.versioned_resources
        assert len(await search("organizations/9")) == 4
        with pytest.raises(exceptions.PermissionDenied):
            await search("folders/7")
        with pytest.raises(exceptions.InvalidArgument):
            await search("nothing")


async def test_asset_types_are_names_or_expressions() -> None:
    """One that matches no type is refused, as Google documents it."""
    async with searching() as search:
        job = "run.googleapis.com/Job"
        assert names(await search("organizations/1", asset_types=[job])) == ["night"]
        some = r"run\.googleapis\.com/(Service|WorkerPool|Other)"
        assert names(await search("organizations/1", asset_types=[some])) == ["web", "loose", "dig"]
        for wrong in ("run.googleapis.com/Other", "("):
            with pytest.raises(exceptions.InvalidArgument):
                await search("organizations/1", asset_types=[job, wrong])


async def test_the_mask_decides_what_is_returned() -> None:
    """The resource itself only where the mask names it, or everything."""
    async with searching() as search:
        for paths in (["name", "versioned_resources"], ["*"]):
            (found,) = await search("projects/a", read_mask={"paths": paths})
            (version,) = found.versioned_resources
            resource = MessageToDict(type(version).pb(version).resource)
            assert version.version == "v2"
            assert resource["template"]["containers"][0]["image"] == IMAGE
            assert bool(found.display_name) is (paths == ["*"])
        with pytest.raises(exceptions.InvalidArgument):
            await search("projects/a", read_mask={"paths": ["nonsense"]})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("location:us-east4", ["loose", "night", "dig"]),
        ("labels.env:prod", ["web"]),
        ("labels.env:*", ["web"]),
        ("displayName=night OR displayName:we*", ["web", "night"]),
        ("NOT location:us-east4", ["web"]),
        ("folders:2", ["web"]),
    ],
)
async def test_queries_compare_fields(query: str, expected: list[str]) -> None:
    """`=` the whole text, `:` its words, `*` the end of a word."""
    async with searching() as search:
        assert names(await search("organizations/1", query=query)) == expected


async def test_pages_and_order() -> None:
    """Tokens are followed; a first page may be empty."""
    async with searching(pages={"size": 1, "emptyFirst": True}) as search:
        found = await search("organizations/1", order_by="displayName DESC")
        assert names(found) == ["web", "night", "loose", "dig"]
        for wrong in ({"query": "size>1"}, {"order_by": "colour"}, {"query": "bare"}):
            with pytest.raises(exceptions.InvalidArgument):
                await search("organizations/1", **wrong)


async def test_it_lags_behind_and_may_be_off() -> None:
    """As the world says: workloads that are not there yet, and as they were before."""
    web = WORLD["services"][0]
    old = {**web, "labels": {"env": "old"}}
    gone = {"name": "projects/a/locations/europe-west1/jobs/gone"}
    lag = {
        "notYetListed": ["projects/12/locations/us-east4/jobs/night"],
        "stillListed": [old, gone],
    }
    async with searching(inventory=lag) as search:
        found = await search("folders/1")
        assert names(found) == ["web", "gone", "dig"]
        assert dict(found[0].labels) == {"env": "old"}
    async with searching(inventory={"enabled": False}) as search:
        with pytest.raises(exceptions.PermissionDenied, match="has not been used in project a"):
            await search("projects/a")
    with pytest.raises(BadWorld, match="'off' is not a key"):
        parse_world({"inventory": {"off": True}}, source="test")


async def test_over_http_it_answers_the_same() -> None:
    """As the JSON API does; faults and the record of calls know it by the same name."""
    faults = [{"method": "SearchAllResources", "code": "UNAVAILABLE", "times": 1}]
    world = {**WORLD, "faults": faults, "pages": {"size": 3}}
    async with Emulator(parse_world(world, source="test")) as emulator:
        addresses = {"grpc": emulator.grpc_address, "http": emulator.http_address}
        settings = Settings.model_validate({"emulator": addresses})

        def read(**given: str) -> list[Any]:
            pages = rest.response_pages(
                "", "/v1/organizations/1:searchAllResources", settings, given
            )
            return [each for page in pages for each in page["results"]]

        with pytest.raises(exceptions.ServiceUnavailable):
            await asyncio.to_thread(read)
        found = await asyncio.to_thread(read, readMask="name,labels")
        assert len(found) == 4
        assert {*found[0]} == {"name", "labels"}
        with pytest.raises(exceptions.BadRequest):
            await asyncio.to_thread(read, pageSize="x")
