"""Cloud Run services: reading them, and what an update replaces."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from emulator.api.proto_json import timestamp_of
from emulator.world.cloud_run import service_rules
from tests.support.constants import LOCATION, PROJECT_ID, PROJECT_NUMBER, SERVICE
from tests.support.google_clients import (
    BY_NUMBER,
    MANUAL_ZERO,
    GoogleClients,
    code_of,
    google_clients,
    world_with_services,
)

NAME: dict[str, Any] = {"name": SERVICE}
RICH = NAME | {
    "description": "the shop",
    "labels": {"env": "prod", "team": "web"},
    "annotations": {"note": "kept"},
    "ingress": "INGRESS_TRAFFIC_INTERNAL_ONLY",
    "invokerIamDisabled": True,
    "scaling": {"minInstanceCount": 2, "maxInstanceCount": 9},
    "template": {"containers": [{"image": "example/web:1"}], "revision": "storefront-v1"},
}


async def test_a_service_is_found_by_either_spelling_of_its_project() -> None:
    """Project id and number lead to the same service, answered as the world spells it."""
    async with google_clients(world_with_services(NAME)) as google:
        by_id = await google.service(SERVICE)
        assert by_id == await google.service(BY_NUMBER)
        assert by_id.name == SERVICE


async def test_a_missing_service_is_not_found_in_googles_words() -> None:
    """The error names kind, region and project."""
    async with google_clients(world_with_services()) as google:
        with pytest.raises(exceptions.NotFound) as error:
            await google.service()
        assert error.value.message == (
            "Resource 'storefront' of kind 'SERVICE' in region 'europe-west1' in project "
            "'example-shop-prod' does not exist."
        )


async def test_services_are_listed_by_location_in_pages() -> None:
    """Pages continue where the one before ended, and `-` means every location."""
    elsewhere = LOCATION.replace("west1", "north1") + "/services/other"
    names = [f"{LOCATION}/services/s{n}" for n in range(5)]
    async with google_clients(
        world_with_services(*({"name": n} for n in [*names, elsewhere]))
    ) as google:

        async def listed(parent: str) -> list[str]:
            request = run_v2.ListServicesRequest(parent=parent, page_size=2)
            return [service.name async for service in await google.services.list_services(request)]

        assert await listed(LOCATION) == names
        assert await listed(LOCATION.replace(PROJECT_ID, PROJECT_NUMBER)) == names
        assert await listed(f"projects/{PROJECT_ID}/locations/-") == [*names, elsewhere]


async def test_a_token_of_another_query_is_refused() -> None:
    """A page token is good for the request that gave it."""
    async with google_clients(
        world_with_services(*({"name": f"{LOCATION}/services/s{n}"} for n in "abc"))
    ) as google:
        request = run_v2.ListServicesRequest(parent=LOCATION, page_size=1)
        token = (await google.services.list_services(request)).next_page_token
        for bad in ("x", "é", token):
            request = run_v2.ListServicesRequest(parent="projects/p/locations/l", page_token=bad)
            with pytest.raises(exceptions.InvalidArgument):
                await google.services.list_services(request)


async def test_a_mask_replaces_only_its_paths() -> None:
    """Fields outside the mask stay, whatever the body says about them."""
    async with google_clients(world_with_services(RICH)) as google:
        before = await google.service()
        await google.update("ingress", ingress="INGRESS_TRAFFIC_ALL", description="changed")
        after = await google.reconciled_service()
        assert after.ingress == run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL
        assert after.description == before.description
        assert after.labels == before.labels
        assert after.template == before.template
        assert after.scaling == before.scaling


async def test_a_mask_may_lead_into_a_field() -> None:
    """A sub-path replaces one field of a message and leaves the ones beside it."""
    async with google_clients(world_with_services(RICH)) as google:
        await google.update(
            "scaling.min_instance_count", scaling=run_v2.ServiceScaling(min_instance_count=5)
        )
        scaling = (await google.service()).scaling
        assert (scaling.min_instance_count, scaling.max_instance_count) == (5, 9)


async def test_a_masked_map_is_replaced_as_a_whole() -> None:
    """Labels that are not sent are gone."""
    async with google_clients(world_with_services(RICH)) as google:
        await google.update("labels", labels={"env": "test"})
        assert dict((await google.service()).labels) == {"env": "test"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ingress", run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL),
        ("invoker_iam_disabled", False),
        ("default_uri_disabled", True),
        ("labels", {"env": "test"}),
        ("annotations", {"incident": "x"}),
    ],
)
async def test_settings_that_the_template_lacks_make_no_revision(field: str, value: Any) -> None:
    """Each is changed by its own path and taken back by it, and nothing else changes."""
    async with google_clients(world_with_services(RICH)) as google:
        before = await google.service()
        await google.update(field, **{field: value})
        after = await google.reconciled_service()
        assert getattr(after, field) == value
        assert after.latest_created_revision == before.latest_created_revision
        assert len(google.emulator.world.revisions) == 1
        await google.update(field, **{field: getattr(before, field)})
        again = await google.reconciled_service()
        for name in service_rules.MUTABLE_FIELDS:
            assert getattr(again, name) == getattr(before, name)


@pytest.mark.parametrize(
    "path",
    ["scaling.manualInstanceCount", "invokerIamDisabled", "nonsense", "scaling.nonsense",
     "traffic.percent", "labels.env", "scaling.", ""],
)  # fmt: skip
async def test_a_path_that_does_not_resolve_is_refused_and_changes_nothing(path: str) -> None:
    """Names in masks are snake_case; a camelCase one must not do what it seems to say."""
    async with google_clients(world_with_services(RICH)) as google:
        before = await google.service()
        with pytest.raises(exceptions.InvalidArgument, match="update_mask"):
            await google.update(path, "ingress", scaling=MANUAL_ZERO, ingress=1)
        assert await google.service() == before
        assert google.emulator.writes[0].mask == [path, "ingress"]


async def test_without_a_mask_every_field_that_is_not_sent_gets_its_default() -> None:
    """A full replacement takes away labels, ingress, scaling and so on."""
    async with google_clients(world_with_services(RICH)) as google:
        template = (await google.service()).template
        await google.update(template=template, labels={"env": "test"})
        after = await google.reconciled_service()
        assert dict(after.labels) == {"env": "test"}
        assert not after.description
        assert not after.annotations
        assert not after.invoker_iam_disabled
        assert after.ingress == run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL
        assert after.scaling.min_instance_count == after.scaling.max_instance_count == 0


async def test_a_mask_of_a_star_replaces_everything() -> None:
    """The one path `*` is a full replacement."""
    async with google_clients(world_with_services(RICH)) as google:
        await google.update("*", template=(await google.service()).template)
        assert not (await google.service()).labels


async def test_output_only_fields_of_a_body_are_ignored() -> None:
    """A caller cannot write what Cloud Run decides, with a mask or without."""
    async with google_clients(world_with_services(RICH)) as google:
        before = await google.service()
        await google.update("generation", "uri", "creator", generation=99, uri="x", creator="y")
        assert await google.service() == before
        await google.update(generation=99, uri="x", creator="y", template=before.template)
        after = await google.reconciled_service()
        assert after.generation == before.generation + 1
        assert (after.uri, after.creator) == (before.uri, before.creator)


async def test_a_change_shows_in_generation_time_etag_and_modifier() -> None:
    """Each write that changes something leaves its traces."""
    async with google_clients(world_with_services(RICH)) as google:
        before = await google.service()
        await google.update("ingress", ingress="INGRESS_TRAFFIC_ALL")
        after = await google.reconciled_service()
        assert after.generation == before.generation + 1
        assert timestamp_of(after, "update_time") > timestamp_of(before, "update_time")
        assert after.etag != before.etag
        assert after.last_modifier != before.last_modifier
        assert (after.uid, after.create_time) == (before.uid, before.create_time)


async def test_an_identical_write_changes_nothing() -> None:
    """Writing what is already there is answered at once and leaves no trace."""
    async with google_clients(world_with_services(RICH)) as google:
        await google.update("scaling", scaling=MANUAL_ZERO)
        before = await google.reconciled_service()
        operation = await google.update("scaling", scaling=MANUAL_ZERO)
        assert operation.operation.done
        assert await google.service() == before


@pytest.mark.parametrize("etag", ["stale", '"bogus"'])
async def test_a_masked_write_is_accepted_whatever_its_etag(etag: str) -> None:
    """The API has no compare-and-swap on masked updates."""
    async with google_clients(world_with_services(RICH)) as google:
        await google.update("scaling", scaling=MANUAL_ZERO, etag=etag)
        assert (await google.service()).generation == 2


async def test_a_full_replacement_of_another_version_is_a_conflict() -> None:
    """Without a mask, an etag has to be the current one."""
    async with google_clients(world_with_services(RICH)) as google:
        before = await google.service()
        with pytest.raises(exceptions.Aborted):
            await google.update(template=before.template, etag="stale")
        await google.update(template=before.template, etag=before.etag)
        assert (await google.service()).generation == 2


async def test_validating_only_answers_the_outcome_and_keeps_nothing() -> None:
    """The answer is done and shows defaults and erasures; the service is as before."""
    async with google_clients(world_with_services(RICH)) as google:
        before = await google.service()
        operation = await google.update("scaling", scaling=MANUAL_ZERO, validate_only=True)
        assert operation.operation.done
        planned = await operation.result()
        assert planned.scaling.scaling_mode == run_v2.ServiceScaling.ScalingMode.MANUAL
        assert planned.scaling.min_instance_count == 0
        assert await google.service() == before
        (write,) = google.emulator.writes
        assert write.validate_only
        assert write.code == "OK"


async def test_validating_only_refuses_what_a_write_would_refuse() -> None:
    """A validated request and the write after it get the same answer."""
    async with google_clients(world_with_services(RICH)) as google:
        bad = run_v2.ServiceScaling(scaling_mode="MANUAL", max_instance_count=3)
        for validate_only in (True, False):
            with pytest.raises(exceptions.InvalidArgument):
                await google.update("scaling", scaling=bad, validate_only=validate_only)


async def test_a_missing_service_is_updated_only_where_that_may_create_it() -> None:
    """NOT_FOUND, unless the request allows the service to be missing."""
    async with google_clients(world_with_services()) as google:
        with pytest.raises(exceptions.NotFound):
            await google.update("scaling", scaling=MANUAL_ZERO)
        container = run_v2.Container(image="example/web:1")
        template = run_v2.RevisionTemplate(containers=[container])
        request = run_v2.UpdateServiceRequest(
            service=run_v2.Service(name=SERVICE, template=template), allow_missing=True
        )
        await google.services.update_service(request)
        created = await google.reconciled_service()
        assert created.generation == created.observed_generation == 1
        assert created.latest_ready_revision.startswith(f"{SERVICE}/revisions/storefront-00001-")
        request.service.name = "nonsense"
        with pytest.raises(exceptions.InvalidArgument):
            await google.services.update_service(request)


@pytest.mark.parametrize("field", ["labels", "annotations"])
async def test_labels_and_annotations_of_reserved_namespaces_are_refused(field: str) -> None:
    """What v1 kept there has fields of its own in v2."""
    async with google_clients(world_with_services(RICH)) as google:
        reserved: dict[str, Any] = {field: {"run.googleapis.com/ingress": "all"}}
        free: dict[str, Any] = {field: {"example.com/incident": "x"}}
        with pytest.raises(exceptions.InvalidArgument, match=field):
            await google.update(field, **reserved)
        await google.update(field, **free)
        assert getattr(await google.service(), field) == {"example.com/incident": "x"}


async def test_a_service_that_is_being_deleted_takes_no_update() -> None:
    """It is still there to be read, and stays as it is."""
    going = {"deleteTime": "2026-10-02T08:14:11Z"}
    async with google_clients(world_with_services(RICH | going)) as google:
        before = await google.service()
        with pytest.raises(exceptions.FailedPrecondition, match="is being deleted"):
            await google.update("description", description="new")
        assert await google.service() == before


async def test_unknown_methods_are_unimplemented() -> None:
    """Methods of known services that nobody has built say so, and are remembered."""
    async with google_clients(world_with_services(RICH)) as google:
        with pytest.raises(exceptions.MethodNotImplemented) as error:
            await google.services.create_service(parent=LOCATION, service_id="other")
        assert code_of(error.value) == "UNIMPLEMENTED"
        assert google.emulator.calls[0].method == "/google.cloud.run.v2.Services/CreateService"


async def test_a_refused_write_is_remembered_with_its_code(google: GoogleClients) -> None:
    """Writes are remembered whatever became of them, in full."""
    with pytest.raises(exceptions.NotFound):
        await google.update("scaling", name=f"{LOCATION}/services/other", scaling=MANUAL_ZERO)
    (write,) = google.emulator.writes
    assert write.code == "NOT_FOUND"
    assert write.method == "/google.cloud.run.v2.Services/UpdateService"
    assert write.request["service"]["scaling"] == {
        "scalingMode": "MANUAL",
        "manualInstanceCount": 0,
    }
    assert write.mask == ["scaling"]
    assert not write.validate_only
