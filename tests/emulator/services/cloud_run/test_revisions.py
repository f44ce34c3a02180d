"""Revisions: when one appears, and how they are read."""

from __future__ import annotations

import datetime as dt

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from tests.support.constants import LOCATION, SERVICE
from tests.support.google_clients import (
    BY_NUMBER,
    MANUAL_ZERO,
    GoogleClients,
    google_clients,
    world_with_services,
)

NAMED = {
    "name": SERVICE,
    "template": {"revision": "storefront-v1", "containers": [{"image": "example/web:1"}]},
}


def template(image: str, revision: str = "") -> run_v2.RevisionTemplate:
    """A template of one container."""
    return run_v2.RevisionTemplate(revision=revision, containers=[run_v2.Container(image=image)])


async def images(google: GoogleClients) -> list[str]:
    """The images of the service's revisions, newest first."""
    found = await google.revisions.list_revisions(parent=SERVICE)
    return [revision.containers[0].image async for revision in found]


async def test_only_a_changed_template_makes_a_revision() -> None:
    """Scaling, traffic, ingress and labels leave the revisions alone."""
    async with google_clients(world_with_services(NAMED)) as google:
        await google.update("scaling", "ingress", "labels", scaling=MANUAL_ZERO, ingress=2)
        assert await images(google) == ["example/web:1"]
        await google.update("template", template=template("example/web:2"))
        assert await images(google) == ["example/web:2", "example/web:1"]


async def test_a_new_revision_serves_once_it_is_reconciled() -> None:
    """It is the latest created one at once, and the latest ready one later."""
    async with google_clients(world_with_services(NAMED, latency={"reconcile": "30ms"})) as google:
        await google.update("template", template=template("example/web:2"))
        during = await google.service()
        assert during.latest_created_revision.startswith(f"{SERVICE}/revisions/storefront-00002-")
        assert during.latest_ready_revision == f"{SERVICE}/revisions/storefront-v1"
        after = await google.reconciled_service()
        assert after.latest_ready_revision == after.latest_created_revision


async def test_a_named_template_names_its_revision() -> None:
    """`template.revision` is the name that the revision gets."""
    async with google_clients(world_with_services(NAMED)) as google:
        await google.update("template", template=template("example/web:2", "storefront-v2"))
        assert (await google.reconciled_service()).latest_ready_revision.endswith("/storefront-v2")


async def test_a_used_revision_name_with_other_content_is_refused() -> None:
    """Sending a template back that was read and changed collides with its own revision."""
    async with google_clients(world_with_services(NAMED)) as google:
        with pytest.raises(exceptions.AlreadyExists) as error:
            await google.update("template", template=template("example/web:2", "storefront-v1"))
        assert error.value.message == (
            "Revision named 'storefront-v1' with different configuration already exists."
        )
        assert await images(google) == ["example/web:1"]


async def test_clearing_the_revision_name_makes_a_revision() -> None:
    """A full replacement without the name is a changed template."""
    async with google_clients(world_with_services(NAMED)) as google:
        await google.update(template=template("example/web:1"), scaling=MANUAL_ZERO)
        assert len(await images(google)) == 2


async def test_a_full_replacement_without_a_template_is_refused() -> None:
    """A service cannot be without a container."""
    async with google_clients(world_with_services(NAMED)) as google:
        with pytest.raises(exceptions.InvalidArgument, match=r"template\.containers"):
            await google.update(scaling=MANUAL_ZERO)
        with pytest.raises(exceptions.InvalidArgument, match=r"template\.revision"):
            await google.update("template", template=template("example/web:2", "other-v1"))


async def test_revisions_are_read_by_either_spelling_of_the_project() -> None:
    """One revision, and the list of a service, by project id and by number."""
    async with google_clients(world_with_services(NAMED)) as google:
        name = f"{BY_NUMBER}/revisions/storefront-v1"
        revision = await google.revisions.get_revision(name=name)
        assert revision.name == f"{SERVICE}/revisions/storefront-v1"
        listed = await google.revisions.list_revisions(parent=BY_NUMBER)
        assert [r async for r in listed] == [revision]
        with pytest.raises(exceptions.NotFound, match="of kind 'REVISION'"):
            await google.revisions.get_revision(name=f"{SERVICE}/revisions/other")


async def test_revisions_of_a_worker_pool_are_listed_too() -> None:
    """The parent is a service, a worker pool, or every one of a location; nothing else."""
    pool = f"{LOCATION}/workerPools/crunch"
    pools = {"workerPools": [{"name": pool}]}
    revisions = {"revisions": [{"name": f"{pool}/revisions/crunch-1"}]}
    async with google_clients(world_with_services(NAMED, **pools, **revisions)) as google:
        for parent, count in ((pool, 1), (f"{LOCATION}/services/-", 1), (SERVICE, 1)):
            found = await google.revisions.list_revisions(parent=parent)
            assert len([revision async for revision in found]) == count
        with pytest.raises(exceptions.NotFound):
            await google.revisions.list_revisions(parent=f"{LOCATION}/services/other")
        with pytest.raises(exceptions.InvalidArgument):
            await google.revisions.list_revisions(parent=LOCATION)


async def test_a_revision_shows_what_it_was_made_with() -> None:
    """Session affinity, and that it is ready; one that only has a name is like the template."""
    affine = {
        "containers": [{"image": "example/web:1"}],
        "sessionAffinity": True,
        "timeout": "30s",
    }
    older = {"name": f"{SERVICE}/revisions/storefront-v0", "containers": [{"image": "old"}]}
    newer = {"name": f"{SERVICE}/revisions/storefront-v1"}
    service = {"name": SERVICE, "template": affine}
    async with google_clients(world_with_services(service, revisions=[older, newer])) as google:
        found = await google.revisions.list_revisions(parent=SERVICE)
        shown = {r.name.rpartition("/")[2]: r async for r in found}
        assert shown["storefront-v1"].session_affinity
        assert shown["storefront-v1"].timeout == dt.timedelta(seconds=30)
        assert not shown["storefront-v0"].session_affinity
        for revision in shown.values():
            (ready,) = [c for c in revision.conditions if c.type_ == "Ready"]
            assert ready.state == run_v2.Condition.State.CONDITION_SUCCEEDED
        await google.update("template.session_affinity", template=run_v2.RevisionTemplate())
        latest = (await google.reconciled_service()).latest_ready_revision
        assert not (await google.revisions.get_revision(name=latest)).session_affinity
