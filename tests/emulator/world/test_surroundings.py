"""The world that is generated around a notification."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.world import state
from emulator.world.surroundings import event_time, world_around
from tests.support.constants import SAMPLES_FOLDER, SERVICE

SAMPLE = json.loads((SAMPLES_FOLDER / "cloud-run-service.json").read_text())
PROJECT = "projects/example-shop-prod/locations/europe-west1"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def notification_about(resource_name: str, **finding: Any) -> bytes:
    """The sample notification, about another resource or with other fields of the finding."""
    message = copy.deepcopy(SAMPLE)
    message["finding"] |= {"resourceName": resource_name, **finding}
    message["resource"]["name"] = resource_name
    return json.dumps(message).encode()


def sample(**finding: Any) -> bytes:
    """The sample notification with other fields of the finding."""
    return notification_about(SAMPLE["finding"]["resourceName"], **finding)


@pytest.mark.parametrize("file", sorted(SAMPLES_FOLDER.glob("*.json")), ids=lambda file: file.stem)
def test_every_sample_has_a_world_that_the_emulator_accepts(file: Path) -> None:
    """The world around each sample is valid, and its dump is a world again."""
    dumped = state.parse_world(world_around(file.read_bytes()), source=file.name).dump()

    assert state.parse_world(json.loads(json.dumps(dumped)), source="dump").dump() == dumped


def test_the_same_notification_lies_in_the_same_world() -> None:
    """Nothing in a world is random."""
    assert world_around(sample()) == world_around(sample())


def test_the_listed_finding_is_the_notification_in_version_2_form() -> None:
    """What SCC lists has located names, and the metadata that a v1 notification lacks."""
    v1 = (SAMPLES_FOLDER / "v1-job-execution.json").read_bytes()

    record = world_around(v1)["findings"][0]

    claimed = json.loads(v1)["finding"]
    assert "/locations/global/findings/" in record["finding"]["name"]
    assert record["finding"]["canonicalName"].startswith("projects/210987654321/sources/")
    assert record["resource"]["gcpMetadata"]["projectDisplayName"] == "example-shop-prod"
    kept = ("state", "category", "eventTime", "resourceName")
    assert {key: record["finding"][key] for key in kept} == {key: claimed[key] for key in kept}


def test_a_service_has_everything_that_a_containment_touches() -> None:
    """The service scales by itself, serves the public, and has a tagged earlier revision."""
    found = world_around(sample())

    service = found["services"][0]
    tagged = [target for target in service["traffic"] if "tag" in target]
    assert service["name"] == SERVICE
    assert service["scaling"]["minInstanceCount"] == 1
    assert service["ingress"] == "INGRESS_TRAFFIC_ALL"
    assert tagged[0]["revision"] in {r["name"].rpartition("/")[2] for r in found["revisions"]}
    assert found["iamPolicies"][SERVICE]["bindings"][0]["members"] == ["allUsers"]


def test_the_latest_revision_runs_what_the_finding_names() -> None:
    """The newest of the two revisions has the finding's image, and the name that it gives."""
    name = f"//run.googleapis.com/{SERVICE}/revisions/storefront-00042-xyz"

    earlier, newest = world_around(notification_about(name))["revisions"]

    image = SAMPLE["finding"]["containers"][0]["uri"]
    assert newest["name"] == f"{SERVICE}/revisions/storefront-00042-xyz"
    assert [container["image"] for container in newest["containers"]] == [image]
    assert earlier["containers"][0]["image"] != image


def test_one_other_finding_is_related_and_one_is_a_lookalike() -> None:
    """Minutes before, another detector saw the workload, and one saw a similarly named one."""
    names = [finding["finding"]["resourceName"] for finding in world_around(sample())["findings"]]

    claimed = f"//run.googleapis.com/{SERVICE}"
    assert names == [claimed, claimed, f"{claimed}-admin"]


def test_the_logs_show_who_deployed_and_contain_secrets() -> None:
    """There are requests with query strings, a leaked key, a deployment and an IAM change."""
    entries = state.parse_world(world_around(sample()), source="world").dump()["logEntries"]

    assert isinstance(entries, list)
    text = json.dumps(entries)
    assert "session=not-a-real-session" in text
    assert text.count("not-a-real-key") == 2  # once logged, once in the audited request
    assert "Services.UpdateService" in text
    assert '"bindingDeltas": [{"action": "ADD"' in text
    assert {entry["logName"].rpartition("%2F")[2] for entry in entries} == {
        *("activity", "requests", "stdout", "stderr", "system")
    }


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("jobs", "report/executions/report-x7k2p", {"jobs": 1, "executions": 2, "tasks": 1}),
        ("workerPools", "queue", {"workerPools": 1, "revisions": 2}),
    ],
)
def test_jobs_and_worker_pools_have_their_resources(
    kind: str, name: str, expected: dict[str, int]
) -> None:
    """A job comes with executions and a task, a worker pool with revisions."""
    found = world_around(notification_about(f"//run.googleapis.com/{PROJECT}/{kind}/{name}"))

    lists = ("services", "revisions", "jobs", "executions", "tasks", "workerPools")
    assert {key: len(found[key]) for key in lists if found.get(key)} == expected
    if kind == "jobs":
        assert found["executions"][1]["name"].endswith("/executions/report-x7k2p")


def test_what_is_not_on_cloud_run_has_a_record_and_no_workload() -> None:
    """The look-alike of another product is listed by SCC, and nothing else exists."""
    found = world_around((SAMPLES_FOLDER / "gke-lookalike.json").read_bytes())

    assert len(found["findings"]) == 1
    assert not {"services", "jobs", "workerPools", "logEntries"} & found.keys()


def test_the_missing_spelling_of_a_project_is_invented_and_stable() -> None:
    """With only a number known, the project gets an id, under which the workload lies."""
    name = "//run.googleapis.com/projects/42/locations/europe-west1/services/api"
    message = {"finding": {"name": "organizations/1/sources/2/findings/3", "resourceName": name}}

    found = world_around(json.dumps(message).encode())

    assert found["projects"] == [{"projectId": "example-42", "projectNumber": "42", "folders": []}]
    assert found["services"][0]["name"].startswith("projects/example-42/")
    assert found["findings"][0]["finding"]["canonicalName"].startswith("projects/42/sources/2/")


@pytest.mark.parametrize(
    "garbage",
    [
        *(b"", b"{", b"[]", b"null", b'"x"', b'{"finding": 3}', b"\xff\xfe\x00"),
        *(b'{"finding": {"x": NaN}}', b'{"finding": {}, "finding": {}}', b"[" * 100_000),
    ],
)
def test_garbage_lies_in_an_empty_world(garbage: bytes) -> None:
    """What is no notification has nothing around it, and no event time."""
    assert world_around(garbage) == {}
    assert event_time(garbage) is None


@pytest.mark.parametrize("unreadable", ["soon", "", "2026-10-02", "0001-01-01T00:00:00Z"])
def test_an_unreadable_event_time_is_none(unreadable: str) -> None:
    """The world around such a finding is generated nevertheless."""
    notification = sample(eventTime=unreadable)

    assert event_time(notification) is None
    state.parse_world(world_around(notification), source="world")


def test_the_event_time_is_understood_in_any_zone() -> None:
    """An offset and nanoseconds are read."""
    moment = event_time(sample(eventTime="2026-10-02T10:14:07.318000001+02:00"))

    assert moment is not None
    assert moment.isoformat() == "2026-10-02T08:14:07.318000+00:00"


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_field_may_be_nonsense(data: st.DataObject) -> None:
    """Whatever stands in the fields of a notification, the world is one that can be read."""
    message = copy.deepcopy(SAMPLE)
    for key in data.draw(st.sets(st.sampled_from(sorted(message["finding"])), max_size=3)):
        message["finding"][key] = data.draw(JSON)
    for key in data.draw(st.sets(st.sampled_from(sorted(message["resource"])), max_size=2)):
        message["resource"][key] = data.draw(JSON)

    state.parse_world(world_around(json.dumps(message).encode()), source="world")


def test_virustotal_knows_every_file_that_the_finding_names() -> None:
    """A library's and a script's hash can be looked up like a binary's; each is there once."""
    named = [{"sha256": letter * 64} for letter in "abca"]
    processes = [
        {"binary": named[0], "script": named[1], "libraries": [named[2], named[3]]},
        {"script": "text", "libraries": {}},
    ]
    known = world_around(sample(processes=processes))["virustotal"]
    assert list(known) == ["a" * 64, "b" * 64, "c" * 64]


def test_a_record_has_the_metadata_of_one_cloud() -> None:
    """A notification may carry empty metadata of other clouds; the record's is a oneof."""
    message = copy.deepcopy(SAMPLE)
    message["resource"] |= {"awsMetadata": {}, "azureMetadata": {}}

    world = world_around(json.dumps(message).encode())

    dumped: Any = state.parse_world(world, source="test").dump()
    resource = dumped["findings"][0]["resource"]
    assert resource["gcpMetadata"]["projectDisplayName"] == "example-shop-prod"
    assert not {"awsMetadata", "azureMetadata"} & resource.keys()
