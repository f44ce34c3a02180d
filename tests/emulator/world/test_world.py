"""Worlds: what they take, what they refuse, what they fill in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.cloud import run_v2

from emulator.world.state import BadWorld, load_world, parse_world
from tests.support.constants import LATEST, REVISION, SAMPLES_FOLDER, SERVICE
from tests.support.google_clients import BY_NUMBER, PROJECTS

NAME = {"name": SERVICE}
FULL = {
    "projects": PROJECTS,
    "services": [
        {
            "name": SERVICE,
            "labels": {"env": "prod"},
            "generation": "7",
            "scaling": {"minInstanceCount": 2, "maxInstanceCount": 9},
            "traffic": [
                {"type": REVISION, "revision": "storefront-00041-old", "percent": 10, "tag": "old"},
                {"type": LATEST, "percent": 90},
            ],
            "template": {"containers": [{"image": "example/web:1", "env": [{"name": "A"}]}]},
        }
    ],
    "revisions": [
        {"name": f"{SERVICE}/revisions/storefront-00041-old"},
        {"name": f"{SERVICE}/revisions/storefront-00042-new"},
        {"name": "projects/p/locations/l/workerPools/w/revisions/w-1"},
    ],
    "jobs": [{"name": "projects/p/locations/l/jobs/j", "labels": {"a": "b"}}],
    "executions": [{"name": "projects/p/locations/l/jobs/j/executions/e", "runningCount": 1}],
    "tasks": [{"name": "projects/p/locations/l/jobs/j/executions/e/tasks/t", "retried": 2}],
    "workerPools": [
        {"name": "projects/p/locations/l/workerPools/w", "scaling": {"manualInstanceCount": 0}}
    ],
    "iamPolicies": {
        SERVICE: {
            "version": 3,
            "bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}],
            "etag": "BwWWja0YfJA=",
        }
    },
    "findings": [{"finding": {"name": "organizations/1/sources/2/findings/3", "category": "C"}}],
    "logEntries": [
        {
            "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity",
            "timestamp": "2026-10-02T08:00:00.123456789Z",
            "protoPayload": {
                "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
                "methodName": "google.cloud.run.v2.Services.UpdateService",
                "request": {"service": {"template": {"containers": [{"image": "i"}]}}},
            },
        }
    ],
    "virustotal": {"0" * 64: {"data": {"id": "0"}}},
    "published": [
        {"topic": "projects/p/topics/t", "data": {"a": 1}, "attributes": {}, "messageId": "1001"}
    ],
    "latency": {"default": "1ms", "ListLogEntries": "2s", "reconcile": 5},
    "faults": [{"method": "UpdateService", "code": "ABORTED", "times": 2, "after": 1}],
}


def dumped(world: dict[str, Any]) -> dict[str, Any]:
    """A world after a round through the emulator's state."""
    return dict(parse_world(world, source="w.json").dump())


def test_a_dump_is_read_back_to_the_same_dump() -> None:
    """What a world prints is itself a world, and it prints the same."""
    first = dumped(FULL)
    assert dumped(json.loads(json.dumps(first))) == first


def test_a_dump_keeps_every_value_of_the_world() -> None:
    """No value of any kind of resource is lost or respelled in a round trip."""

    def assert_within(part: Any, whole: Any, path: str) -> None:
        if isinstance(part, dict):
            for key, value in part.items():
                assert_within(value, whole[key], f"{path}.{key}")
        elif isinstance(part, list):
            assert len(part) == len(whole), path
            for index, value in enumerate(part):
                assert_within(value, whole[index], f"{path}[{index}]")
        else:
            assert part == whole, path

    assert_within(
        {k: v for k, v in FULL.items() if k not in ("latency", "faults")}, dumped(FULL), ""
    )


def test_a_dump_has_no_latency_and_no_faults() -> None:
    """What goes wrong belongs to a run and not to the state."""
    assert not {"latency", "faults"} & set(dumped(FULL))


def test_the_same_world_always_gets_the_same_values() -> None:
    """Generated values depend on nothing but the world."""
    assert dumped({"services": [NAME]}) == dumped({"services": [NAME]})


def test_a_service_needs_only_a_name() -> None:
    """Everything else that Cloud Run would show gets a plausible value."""
    (service,) = dumped({"projects": PROJECTS, "services": [NAME]})["services"]
    assert service["uid"]
    assert service["etag"]
    assert service["createTime"] == service["updateTime"]
    assert service["generation"] == service["observedGeneration"] == "1"
    assert service["creator"] == service["lastModifier"]
    assert service["uri"] == "https://storefront-210987654321.europe-west1.run.app"
    assert service["ingress"] == "INGRESS_TRAFFIC_ALL"
    assert service["scaling"] == {"scalingMode": "AUTOMATIC", "manualInstanceCount": 0}
    assert service["terminalCondition"]["state"] == "CONDITION_SUCCEEDED"
    assert service["trafficStatuses"] == [{"type": LATEST, "percent": 100}]
    assert service["latestReadyRevision"] == service["latestCreatedRevision"]


def test_a_service_without_listed_revisions_gets_one_of_its_template() -> None:
    """The revision that must exist is made from the template."""
    template = {"containers": [{"image": "example/web:1"}], "timeout": "60s", "labels": {"a": "b"}}
    dump = dumped({"services": [NAME | {"template": template}]})
    (revision,) = dump["revisions"]
    assert revision["name"] == dump["services"][0]["latestReadyRevision"]
    assert revision["containers"] == [{"image": "example/web:1"}]
    assert revision["timeout"] == "60s"
    assert revision["labels"] == {"a": "b"}
    assert revision["service"] == "storefront"


def test_every_revision_that_a_service_names_is_made() -> None:
    """A world may split traffic between revisions without listing them."""
    traffic = [
        {"type": REVISION, "revision": "storefront-a", "percent": 40},
        {"type": REVISION, "revision": "storefront-b", "percent": 60, "tag": "blue"},
    ]
    latest = f"{SERVICE}/revisions/storefront-c"
    dump = dumped({"services": [NAME | {"traffic": traffic, "latestCreatedRevision": latest}]})
    names = [revision["name"].rsplit("/", 1)[-1] for revision in dump["revisions"]]
    assert names == ["storefront-a", "storefront-b", "storefront-c"]
    (status, *_) = dump["services"][0]["trafficStatuses"]
    assert status == {"type": REVISION, "revision": "storefront-a", "percent": 40}


def test_the_latest_of_listed_revisions_is_the_last() -> None:
    """Revisions are listed oldest first, and their times say so."""
    dump = dumped(FULL)
    older, newer, _ = dump["revisions"]
    assert dump["services"][0]["latestCreatedRevision"] == newer["name"]
    assert older["createTime"] < newer["createTime"]


def test_a_listed_revision_that_failed_leaves_the_service_failed() -> None:
    """A newest revision that is not ready makes a failed service that serves from an older one."""
    failed = [{"type": "Ready", "state": "CONDITION_FAILED"}]
    revisions = [
        {"name": f"{SERVICE}/revisions/storefront-1"},
        {"name": f"{SERVICE}/revisions/storefront-2", "conditions": failed},
    ]
    (service,) = dumped({"services": [NAME], "revisions": revisions})["services"]
    assert service["terminalCondition"]["state"] == "CONDITION_FAILED"
    assert service["latestReadyRevision"].endswith("/storefront-1")
    assert service["latestCreatedRevision"].endswith("/storefront-2")


def test_a_service_that_failed_has_a_revision_that_failed() -> None:
    """The terminal condition of a service alone says that its template is broken."""
    condition = {"type": "Ready", "state": "CONDITION_FAILED", "message": "no such image"}
    dump = dumped({"services": [NAME | {"terminalCondition": condition}]})
    assert dump["revisions"][0]["conditions"][0]["state"] == "CONDITION_FAILED"
    assert "latestReadyRevision" not in dump["services"][0]


@pytest.mark.parametrize("path", sorted(SAMPLES_FOLDER.glob("cloud-run-service.json")))
def test_a_copied_notification_is_a_finding_of_a_world(path: Path) -> None:
    """Fields that the API does not have are kept, so that real messages can be copied in."""
    message = json.loads(path.read_text())
    message["finding"]["contextUris"] = {"mitreUri": {"url": "https://attack.mitre.org/"}}
    assert dumped({"findings": [message]})["findings"] == [message]


def test_names_are_found_under_both_spellings_of_a_project() -> None:
    """Project number and project id make one name, answered as the world spelled it."""
    world = parse_world({"projects": PROJECTS, "services": [{"name": BY_NUMBER}]}, source="w")
    assert world.services[world.canonical(SERVICE)].name == BY_NUMBER
    assert isinstance(world.services[world.canonical(BY_NUMBER)], run_v2.Service)


BAD: dict[str, tuple[object, list[str]]] = {
    "unknown key": ({"service": []}, ["service", "is not a key", "services, revisions"]),
    "not an object": ([], ["top level", "is a list, not an object"]),
    "list expected": ({"services": {}}, ["services", "is an object, not a list"]),
    "no name": ({"services": [{}]}, ["services[0].name", "is missing"]),
    "wrong kind of name": (
        {"services": [{"name": "projects/p/services/s"}]},
        ["services[0].name", "projects/p/services/s", "projects/*/locations/*/services/*"],
    ),
    "duplicate": (
        {"projects": PROJECTS, "services": [NAME, {"name": BY_NUMBER}]},
        ["services[1]", BY_NUMBER, "twice"],
    ),
    "unknown field": (
        {"services": [NAME | {"template": {"containers": [{"imge": "x"}]}}]},
        ["services[0].template.containers[0]", SERVICE, "imge"],
    ),
    "unknown enum": (
        {"services": [NAME | {"ingress": "ALL"}]},
        ["services[0].ingress", SERVICE, "ALL", "enum"],
    ),
    "traffic": (
        {"services": [NAME | {"traffic": [{"type": LATEST, "percent": 90}]}]},
        ["services[0].traffic", SERVICE, "sum to 90", "make it 100"],
    ),
    "full revision name": (
        {
            "services": [
                NAME | {"traffic": [{"revision": f"{SERVICE}/revisions/x", "percent": 100}]}
            ]
        },
        ["services[0].traffic[0].revision", "short name"],
    ),
    "unlisted revision": (
        {
            "services": [NAME | {"traffic": [{"revision": "storefront-x", "percent": 100}]}],
            "revisions": [{"name": f"{SERVICE}/revisions/storefront-y"}],
        },
        ["services[0]", SERVICE, "storefront-x", "not listed"],
    ),
    "tag twice": (
        {
            "services": [
                NAME
                | {
                    "traffic": [
                        {"type": LATEST, "percent": 100, "tag": "a"},
                        {"revision": "storefront-x", "tag": "a"},
                    ]
                }
            ]
        },
        ["services[0]", SERVICE, "traffic[1].tag", "more than once"],
    ),
    "manual without a count": (
        {"services": [NAME | {"scaling": {"scalingMode": "MANUAL"}}]},
        ["services[0]", SERVICE, "scaling.manual_instance_count", "required"],
    ),
    "orphan revision": (
        {"revisions": [{"name": f"{SERVICE}/revisions/storefront-y"}]},
        ["revisions[0]", f"{SERVICE}/revisions/storefront-y", "services"],
    ),
    "finding without a name": ({"findings": [{"finding": {}}]}, ["findings[0].finding.name"]),
    "finding is a text": ({"findings": [{"finding": "x"}]}, ["findings[0].finding", "a text"]),
    "finding twice": (
        {"findings": [{"finding": {"name": "a/b/findings/c"}}] * 2},
        ["findings[1]", "a/b/findings/c", "twice"],
    ),
    "finding with a wrong type": (
        {"findings": [{"finding": {"name": "a/b/findings/c", "eventTime": "yesterday"}}]},
        ["findings[0].finding.eventTime", "a/b/findings/c"],
    ),
    "log entry without a time": (
        {"logEntries": [{"logName": "projects/p/logs/x"}]},
        ["logEntries[0].timestamp", "is missing"],
    ),
    "log entry of an unknown type": (
        {
            "logEntries": [
                {
                    "logName": "projects/p/logs/x",
                    "timestamp": "2026-01-01T00:00:00Z",
                    "protoPayload": {"@type": "type.googleapis.com/nobody.Knows", "a": 1},
                }
            ]
        },
        ["logEntries[0].protoPayload", "nobody.Knows"],
    ),
    "policy": ({"iamPolicies": {SERVICE: {"binding": []}}}, ["iamPolicies", SERVICE, "binding"]),
    "project number": (
        {"projects": [{"projectId": "p", "projectNumber": "p"}]},
        ["projects[0].projectNumber", "write digits"],
    ),
    "project twice": (
        {"projects": [PROJECTS[0], {"projectId": "other", "projectNumber": "210987654321"}]},
        ["projects[1]", "other", "twice"],
    ),
    "misspelled method": (
        {"faults": [{"method": "UpdateServices", "code": "ABORTED"}]},
        ["faults[0].method", "UpdateServices", "is not a method"],
    ),
    "misspelled code": (
        {"faults": [{"method": "UpdateService", "code": "ABORT"}]},
        ["faults[0].code", "ABORT", "UNAVAILABLE"],
    ),
    "times": (
        {"faults": [{"method": "UpdateService", "code": "ABORTED", "times": -1}]},
        ["faults[0].times", "whole number"],
    ),
    "unknown fault key": (
        {"faults": [{"method": "UpdateService", "code": "ABORTED", "count": 1}]},
        ["faults[0].count", "is not a key"],
    ),
    "duration": ({"latency": {"default": "2 minutes"}}, ["latency.default", "100ms"]),
    "slow nothing": ({"latency": {"GetServices": "1s"}}, ["latency.GetServices", "not a method"]),
    "lone surrogate": ({"services": [NAME | {"description": "\ud800"}]}, ["services[0]", SERVICE]),
}


@pytest.mark.parametrize(("data", "words"), BAD.values(), ids=BAD)
def test_a_bad_world_is_refused_with_what_and_where(data: object, words: list[str]) -> None:
    """The refusal names the file, the place, the resource, the reason and a remedy."""
    with pytest.raises(BadWorld) as refusal:
        parse_world(data, source="w.json")
    for word in ["w.json", *words]:
        assert word in str(refusal.value)
    assert "; " in str(refusal.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"services": [], "services": []}',
        '{"latency": {"default": NaN}}',
        "[" * 100_000,
        '{"services": [{"name": "a", "name": "b"}]}',
    ],
)
def test_a_file_that_is_not_json_is_refused(tmp_path: Path, text: str) -> None:
    """What Python's parser would let pass or crash on is refused too."""
    path = tmp_path / "world.json"
    path.write_text(text)
    with pytest.raises(BadWorld, match=r"world\.json: .*is not JSON"):
        load_world(path)


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    """A path that leads nowhere says so, and so does a file that is not text."""
    with pytest.raises(BadWorld, match="cannot be read"):
        load_world(tmp_path / "nowhere.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    with pytest.raises(BadWorld, match="UTF-8"):
        load_world(tmp_path / "binary.json")


def test_a_file_is_loaded(tmp_path: Path) -> None:
    """A world in a file is the world that the same data is."""
    path = tmp_path / "world.json"
    path.write_text(json.dumps(FULL))
    assert load_world(path).dump() == dumped(FULL)


def test_the_example_of_the_readme_is_a_world() -> None:
    """What people copy first works."""
    text = (Path(__file__).parents[3] / "emulator" / "README.md").read_text(encoding="utf-8")
    example = text.partition("```json\n")[2].partition("```")[0]
    world = parse_world(json.loads(example), source="README.md")
    assert len(world.services) == len(world.findings) == len(world.log_entries) == 1
    assert len(world.jobs) == len(world.worker_pools) == 1
    assert [execution.reconciling for execution in world.executions.values()] == [False, True]
