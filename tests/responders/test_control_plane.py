"""Control plane findings of Event Threat Detection on the whole road, from composed samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.environment import JsonDict, deliver_and_log, responder_environment
from tests.support.findings import sample_notification

STOPPING = "mode: enforce\ncontain: {service: [scale-to-zero], job: [cancel-executions]}\n"
NAMED = STOPPING + (
    'categories: ["Execution: Cryptomining Docker Image", "Impact: Cryptomining Commands",'
    ' "Privilege Escalation: Default Compute Engine Service Account SetIAMPolicy"]\n'
)
DOCKER_IMAGE, COMMANDS, SET_POLICY = (
    "cryptomining-docker-image",
    "cryptomining-commands",
    "default-account-set-iam-policy",
)


async def delivered(
    folder: Path, notification: JsonDict, policy: str
) -> tuple[JsonDict, str, list[Any]]:
    """The outcome of a delivery, the severity of its log line, and the writes."""
    async with responder_environment(folder, notification=notification, policy_text=policy) as env:
        answer, printed = await deliver_and_log(env)
        writes = [write for write in env.emulator.writes if not write.validate_only]
    assert answer
    outcome: JsonDict = json.loads(json.dumps(answer.outcome.to_json()))
    return outcome, json.loads(printed.splitlines()[0])["severity"], writes


@pytest.mark.parametrize("name", [DOCKER_IMAGE, COMMANDS])
async def test_mining_is_contained_where_the_policy_names_it(tmp_path: Path, name: str) -> None:
    """Without a process, and without missing one: no gap, no word of a hash."""
    outcome, _, writes = await delivered(tmp_path, sample_notification(name), NAMED)
    assert (outcome["status"], outcome["responder"], outcome["gaps"]) == ("contained", name, [])
    assert writes
    assert outcome["detected"]["binary_path"] is None
    assert "hash" not in json.dumps(outcome["assessment"]["reasons"])


@pytest.mark.parametrize(
    ("name", "policy", "because"),
    [
        (DOCKER_IMAGE, STOPPING, "categories"),
        (COMMANDS, STOPPING, "categories"),
        (SET_POLICY, STOPPING, "categories"),
        (SET_POLICY, NAMED, "leaves findings of this type to a person"),
    ],
)
async def test_what_the_policy_or_the_responder_leaves_to_people_is_held(
    tmp_path: Path, name: str, policy: str, because: str
) -> None:
    """All evidence is gathered, nothing is written, and nobody is alarmed."""
    outcome, severity, writes = await delivered(tmp_path, sample_notification(name), policy)
    assert (outcome["status"], severity, writes) == ("held", "WARNING", [])
    assert because in json.dumps(outcome["decision"]["reasons"])
    assert outcome["gaps"] == []
    assert outcome["assessment"]["look_at"]


def on_resource(resource: str) -> JsonDict:
    """A mining finding about a resource whose form is not the expected one."""
    message = sample_notification(DOCKER_IMAGE)
    message["finding"]["resourceName"] = message["resource"]["name"] = resource
    return message


@pytest.mark.parametrize(
    "resource",
    [
        "//cloudresourcemanager.googleapis.com/projects/210987654321",
        "//run.googleapis.com/projects/example-shop-prod/locations/europe-west1/domainmappings/x",
        "//run.googleapis.com/namespaces/example-shop-prod/services/storefront",
    ],
)
async def test_a_shape_that_is_not_understood_is_held_with_an_error(
    tmp_path: Path, resource: str
) -> None:
    """The JSON of these findings was never seen: what it does not name is a person's to find."""
    outcome, severity, writes = await delivered(tmp_path, on_resource(resource), NAMED)
    assert (outcome["status"], severity, writes) == ("held", "ERROR", [])


async def test_other_findings_of_the_detector_on_cloud_run_are_held_with_an_error(
    tmp_path: Path,
) -> None:
    """A detector that we know, a type that we do not."""
    message = sample_notification(DOCKER_IMAGE)
    message["finding"] |= {"category": "Persistence: Something New", "moduleName": "SOMETHING_NEW"}
    outcome, severity, _ = await delivered(tmp_path, message, NAMED)
    assert (outcome["status"], severity) == ("held", "ERROR")
    assert outcome["responder"] == "unknown-finding-type"


@pytest.mark.parametrize(
    "place",
    [
        {"moduleName": "CLOUD_RUN_CRYPTOMINING_DOCKER_IMAGES"},
        {
            "moduleName": "",
            "sourceProperties": {
                "detectionCategory": {"ruleName": "CLOUD_RUN_CRYPTOMINING_DOCKER_IMAGES"}
            },
        },
    ],
)
async def test_a_new_spelling_is_recognised_by_the_api_name(
    tmp_path: Path, place: JsonDict
) -> None:
    """The policy names the type as it was documented, and it is the same type."""
    message = sample_notification(DOCKER_IMAGE)
    message["finding"] |= {"category": "Execution: Mining Image Deployed", **place}
    outcome, _, _ = await delivered(tmp_path, message, NAMED)
    assert (outcome["status"], outcome["responder"]) == ("contained", DOCKER_IMAGE)
    assert outcome["finding"]["category"] == "Execution: Mining Image Deployed"


async def test_the_policy_change_behind_the_finding_is_named(tmp_path: Path) -> None:
    """Which binding was set, by whom and from where."""
    outcome, _, _ = await delivered(tmp_path, sample_notification(SET_POLICY), STOPPING)
    reasons = json.dumps(outcome["assessment"]["reasons"])
    assert "IAM policy by the finding: ADD roles/run.invoker allUsers" in reasons
    assert "210987654321-compute@developer.gserviceaccount.com from 198.51.100.23" in reasons
