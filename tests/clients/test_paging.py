"""Paged lists: read to their end whatever the pages are, or cut with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from clients import rest
from clients.cloud_run import CloudRun, CloudRunBounds
from clients.paging import ListBounds
from incident.model import CutList, GiveUp, Kind, Listing, Retry, Template, found_in
from tests.clients.conftest import ConnectClients, ConnectedClients
from tests.support.constants import LOCATION
from tests.support.model import NOW, finding, listed_finding_json, whole, workload

PROJECT = "projects/example-shop-prod"
SERVICE, JOB = f"{LOCATION}/services/storefront", f"{LOCATION}/jobs/storefront"
THE_JOB = workload(kind=Kind.JOB)
PAGES = [{}, {"size": 1}, {"size": 7}, {"size": 3, "emptyFirst": True}]


def revision_name(number: int) -> str:
    """The short name of a revision; the higher the number, the newer it is."""
    return f"storefront-{number:05d}"


def world(revisions: int = 0, executions: int = 0, **others: Any) -> dict[str, Any]:
    """A world with a service of some revisions and a job of some executions, the last runs."""
    containers = [{"image": "registry.example/shop:1"}]
    return {
        "projects": [{"projectId": "example-shop-prod", "projectNumber": "210987654321"}],
        "services": [{"name": SERVICE, "template": {"containers": containers}}],
        "revisions": [
            {
                "name": f"{SERVICE}/revisions/{revision_name(number)}",
                "containers": containers,
                "createTime": f"2026-09-01T{number // 60:02d}:{number % 60:02d}:00Z",
            }
            for number in range(revisions)
        ],
        "jobs": [{"name": JOB, "template": {"template": {"containers": containers}}}],
        "executions": [
            {
                "name": f"{JOB}/executions/storefront-{number:05d}",
                "createTime": f"2026-09-01T{number // 60:02d}:{number % 60:02d}:00Z",
                "conditions": [{"type": "Completed", "state": "CONDITION_SUCCEEDED"}],
            }
            if number
            else {
                "name": f"{JOB}/executions/storefront-{number:05d}",
                "createTime": "2026-09-01T00:00:00Z",
            }
            for number in range(executions)
        ],
        **others,
    }


def bounded(cloud: ConnectedClients, **bounds: ListBounds) -> CloudRun:
    """A client that reads only so much of each list."""
    clients = cloud.clients
    return CloudRun(
        clients.cloud_run._apis,  # noqa: SLF001
        clients.service_accounts,
        bounds=CloudRunBounds(**bounds),
    )


def names(listing: Listing[Template]) -> list[str]:
    """The revisions that were read."""
    return [template.revision for template in found_in(listing)]


@pytest.mark.parametrize("pages", PAGES)
async def test_a_list_is_read_to_its_end(
    connect_clients: ConnectClients, pages: dict[str, Any]
) -> None:
    """Whatever the length of the pages, also where they are empty and have a successor."""
    async with connect_clients(world(130, 121, pages=pages)) as cloud:
        run = cloud.clients.cloud_run
        revisions = whole(await run.revisions(workload()))
        executions = whole(await run.executions(THE_JOB))
        tasks = whole(await run.tasks(f"{JOB}/executions/storefront-00000"))
    assert names(revisions) == [revision_name(number) for number in reversed(range(130))]
    assert len(executions) == 121
    assert [each.short_name for each in executions if each.running] == ["storefront-00000"]
    assert len(tasks) == 1


@pytest.mark.parametrize("pages", PAGES)
async def test_every_finding_and_log_entry_is_listed(
    connect_clients: ConnectClients, pages: dict[str, Any]
) -> None:
    """The confirmation and the evidence do not depend on the length of the pages."""
    findings = []
    for number in range(12):
        item = listed_finding_json()
        for key in ("name", "canonicalName"):
            item["finding"][key] += f"-{number}"
        findings.append(item)
    entries = [
        {
            "logName": f"{PROJECT}/logs/run.googleapis.com%2Fstdout",
            "resource": {
                "type": "cloud_run_revision",
                "labels": {"service_name": "storefront", "location": "europe-west1"},
            },
            "timestamp": f"2026-10-02T08:00:{number:02d}Z",
            "textPayload": f"line {number}",
        }
        for number in range(12)
    ]
    given = world(findings=findings, logEntries=entries, pages=pages)
    about = finding()
    async with connect_clients(given) as cloud:
        center, logging = cloud.clients.security_center, cloud.clients.logging
        listed = whole(await center.findings_at(about.source_parent, about.event_time))
        start = about.event_time.replace(hour=7)
        logs = await logging.entries(workload(), start, NOW, limit=500)
    assert len(listed) == 12
    assert [entry.text for entry in logs.entries] == [f"line {n}" for n in reversed(range(12))]
    assert not logs.truncated


async def test_of_a_cut_list_named_and_addressed_revisions_are_read(
    connect_clients: ConnectClients,
) -> None:
    """Those that the finding names, that have traffic and that have a tag."""
    by_revision = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
    given = world(40)
    given["services"][0]["traffic"] = [
        {"type": by_revision, "revision": revision_name(1), "percent": 100},
        {"type": by_revision, "revision": revision_name(2), "tag": "canary"},
    ]
    async with connect_clients(given) as cloud:
        run = bounded(cloud, revisions=ListBounds(5, 8))
        found = await run.revisions(workload(), [revision_name(0), "storefront-gone"])
    assert isinstance(found, CutList)
    assert names(found)[:5] == [revision_name(number) for number in (39, 38, 37, 36, 35)]
    assert set(names(found)[5:]) == {revision_name(number) for number in (0, 1, 2)}
    assert found.reason == (f"not all revisions of {SERVICE} were read: only the first 5 were read")


async def test_of_a_cut_list_named_executions_are_read(connect_clients: ConnectClients) -> None:
    """The list takes no filter for executions that run, so the finding's is read by its name."""
    async with connect_clients(world(executions=40)) as cloud:
        run = bounded(cloud, executions=ListBounds(5, 8))
        found = await run.executions(THE_JOB, ["storefront-00000"])
        without = await run.executions(THE_JOB)
    assert isinstance(found, CutList)
    assert [each.short_name for each in found.found if each.running] == ["storefront-00000"]
    assert len(found_in(without)) == 5


async def test_a_cut_list_says_what_could_not_be_read_by_name(
    connect_clients: ConnectClients,
) -> None:
    """A denied read is part of the reason; a resource that is gone is not."""
    denied = [{"method": "GetExecution", "code": "PERMISSION_DENIED"}]
    async with connect_clients(world(executions=9, faults=denied)) as cloud:
        run = bounded(cloud, executions=ListBounds(5, 8))
        found = await run.executions(THE_JOB, ["storefront-00000"])
    assert isinstance(found, CutList)
    assert len(found.found) == 5
    assert "only the first 5 were read; cannot read the execution" in found.reason
    assert "permission run.executions.get is missing" in found.reason


async def test_a_slow_list_is_cut(connect_clients: ConnectClients) -> None:
    """What came within the time is kept; no answer at all is a transient failure."""
    slow: dict[str, Any] = {
        "pages": {"size": 1},
        "latency": {"ListTasks": "100ms", "ListExecutions": "150ms"},
    }
    given = world(executions=1, **slow)
    given["executions"][0]["taskCount"] = 9
    async with connect_clients(given) as cloud:
        run = bounded(cloud, tasks=ListBounds(99, 0.35), executions=ListBounds(99, 0.05))
        tasks = await run.tasks(f"{JOB}/executions/storefront-00000")
        with pytest.raises(Retry, match=r"no answer within 0\.05 s"):
            await run.executions(THE_JOB)
    assert isinstance(tasks, CutList)
    assert 0 < len(tasks.found) < 9
    assert "were read within 0.35 s" in tasks.reason


async def test_too_many_workloads_are_an_error(connect_clients: ConnectClients) -> None:
    """Coverage lists what it could not list; it never reports a part as all."""
    async with connect_clients(world()) as cloud:
        run = bounded(cloud, workloads=ListBounds(0, 8))
        with pytest.raises(GiveUp, match=r"not all services in .* were read"):
            await run.list_workloads("example-shop-prod", "europe-west1", Kind.SERVICE)


async def test_an_endless_list_is_an_error(
    connect_clients: ConnectClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the lists over HTTP no part is ever taken for all; two services are two pages."""
    monkeypatch.setattr(rest, "_MAX_PAGES", 1)
    (service,) = world()["services"]
    two = world(services=[service, {**service, "name": f"{SERVICE}-two"}], pages={"size": 1})
    async with connect_clients(two) as cloud:
        with pytest.raises(GiveUp, match="has more than 1 pages"):
            await cloud.clients.inventory.workloads(PROJECT)


async def test_findings_are_read_by_name(connect_clients: ConnectClients) -> None:
    """By either spelling; others are not returned."""
    other = listed_finding_json()
    for key in ("name", "canonicalName"):
        other["finding"][key] += "-other"
    about = finding()
    async with connect_clients(world(findings=[other, listed_finding_json()])) as cloud:
        center = cloud.clients.security_center
        found = whole(await center.findings_named(about.source_parent, about.name))
        none = await center.findings_named(about.source_parent, 'x" OR name="y', "")
    assert [each["finding"]["name"] for each in found] == [about.name]  # type: ignore[call-overload, index]
    assert none == ()
