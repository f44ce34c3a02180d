"""Outcome, report and chat text of workloads that need other words and commands than most."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incident.model.outcome import Outcome
from incident.report.chat_text import chat_message
from tests.support.environment import JsonDict, deliver_and_log, responder_environment
from tests.support.findings import sample_notification
from tests.support.worlds import service_of, world_around

_REGISTRY = "europe-west1-docker.pkg.dev"
_OTHER_REGION = "us-central1"


@dataclass(frozen=True)
class Answer:
    """What a person reads of an incident."""

    outcome: JsonDict
    page: str
    chat: str
    log_message: str

    @property
    def tasks(self) -> list[JsonDict]:
        """The tasks left to people."""
        tasks: list[JsonDict] = self.outcome["assessment"]["plan"]["people"]
        return tasks

    @property
    def commands(self) -> list[str]:
        """The commands of the tasks, one a line, those of their details included."""
        blocks = [part["command"] for task in self.tasks for part in (task, *task["details"])]
        return [line for block in blocks if block for line in block.splitlines()]

    def exposure(self, topic: str) -> str:
        """The texts on a topic of the exposure."""
        facts = self.outcome["assessment"]["reach"]
        return "; ".join(fact["text"] for fact in facts if fact["topic"] == topic)


async def answer_to(
    folder: Path, notification: JsonDict, world: JsonDict, policy_text: str | None = None
) -> Answer:
    """The answer of one delivery."""
    async with responder_environment(
        folder, notification=notification, world=world, policy_text=policy_text
    ) as env:
        result, output = await deliver_and_log(env)
        assert result
        outcome = result.outcome.to_json()
        page = env.stored_objects(f"incidents/{outcome['incident']}/report.html")
        (text,) = page.values()
    message = json.loads(output.splitlines()[0])["message"]
    return Answer(outcome, text.decode(), chat_message(Outcome.from_json(outcome)).text, message)


def with_containers(notification: JsonDict, world: JsonDict, *containers: JsonDict) -> None:
    """Give the service and its revisions these containers; the finding names the last one."""
    service = service_of(world)
    for template in (service["template"], *world["revisions"]):
        template["containers"] = copy.deepcopy(list(containers))
        template["volumes"] = []
    last = containers[-1]
    named = {"name": last["name"], "uri": last["image"], "imageId": f"sha256:{'b' * 64}"}
    notification["finding"]["containers"] = [named]


def secret_variable(name: str, secret: str) -> JsonDict:
    """A variable with a version of a secret."""
    return {"name": name, "valueSource": {"secretKeyRef": {"secret": secret, "version": "3"}}}


async def test_commands_name_the_container_of_several(tmp_path: Path) -> None:
    """Each container with a pinned secret has its command; the image's names the affected one."""
    notification = sample_notification()
    world = world_around(notification)
    app = {
        "name": "app",
        "image": f"{_REGISTRY}/example-shop-prod/web/storefront:1",
        "ports": [{"containerPort": 8080}],
        "env": [secret_variable("APP_KEY", "app-key")],
    }
    sidecar = {
        "name": "otel-sidecar",
        "image": f"{_REGISTRY}/example-shop-prod/web/otel:1.4",
        "env": [secret_variable("OTEL_KEY", "otel-key")],
    }
    with_containers(notification, world, app, sidecar)
    world = {**world, "findings": world_around(notification)["findings"]}
    answer = await answer_to(tmp_path, notification, world)
    updates = [each for each in answer.commands if "run services update storefront" in each]
    secrets = [each for each in updates if "--update-secrets=" in each]
    assert sorted(each.partition("--container=")[2].split("=")[0] for each in secrets) == [
        "app --update-secrets",
        "otel-sidecar --update-secrets",
    ]
    (image,) = (each for each in updates if "--image=" in each)
    assert f"--container=otel-sidecar --image={_REGISTRY}/example-shop-prod/web/otel@" in image
    assert "--container=otel-sidecar --image=" in answer.page


async def test_a_multi_region_service_names_its_other_regions_first(tmp_path: Path) -> None:
    """Report, chat text and log line name them at once, with the command for each."""
    notification = sample_notification()
    world = world_around(notification)
    service_of(world)["multiRegionSettings"] = {"regions": ["europe-west1", _OTHER_REGION]}
    answer = await answer_to(tmp_path, notification, world)
    assert answer.outcome["status"] == "contained"
    assert answer.outcome["workload"]["other_regions"] == [_OTHER_REGION]
    assert any(_OTHER_REGION in reason for reason in answer.outcome["decision"]["reasons"])
    assert _OTHER_REGION in answer.page.partition('<p class="status">')[2].partition("</p>")[0]
    assert f"ALSO RUNS in {_OTHER_REGION}" in answer.chat.splitlines()[0]
    assert answer.log_message.endswith(f"also runs in {_OTHER_REGION}, where nothing was done")
    assert answer.tasks[0]["id"] == "stop"
    stop = f"gcloud beta run services update storefront --scaling=0 --region={_OTHER_REGION}"
    assert answer.tasks[0]["command"].startswith(stop)
    assert f"`{stop} --project=example-shop-prod`" in answer.chat


async def test_a_service_of_one_region_says_nothing_of_others(tmp_path: Path) -> None:
    """Nor that it is a function."""
    notification = sample_notification()
    answer = await answer_to(tmp_path, notification, world_around(notification))
    assert answer.outcome["workload"]["other_regions"] == []
    assert answer.outcome["workload"]["function"] is None
    for text in (answer.page, answer.chat, answer.log_message):
        assert "lso runs in" not in text
        assert "lifts the containment" not in text


async def test_a_function_is_deployed_from_its_source(tmp_path: Path) -> None:
    """By its own command, which lifts the containment; an image is never deployed."""
    notification = sample_notification()
    world = world_around(notification)
    service_of(world)["labels"] = {
        "goog-managed-by": "cloudfunctions",
        "goog-drz-cloudfunctions-id": "checkout",
    }
    service_of(world)["buildConfig"] = {
        "functionTarget": "handler",
        "sourceLocation": "gs://gcf-v2-sources-1/x.zip",
    }
    answer = await answer_to(tmp_path, notification, world)
    deploy = "gcloud functions deploy checkout --gen2 --source=SOURCE_DIRECTORY"
    assert any(
        each.startswith(f"{deploy} --entry-point=handler --region=") for each in answer.commands
    )
    assert any("gs://gcf-v2-sources-1/x.zip" in each for each in answer.commands)
    assert not any("--image=" in each for each in answer.commands)
    assert answer.outcome["workload"]["function"] == "checkout"
    for text in (answer.page, answer.chat):
        assert "deploying it lifts the containment" in text


async def test_a_function_is_known_by_its_label_alone(tmp_path: Path) -> None:
    """A service whose build is not described, but which the Cloud Functions API manages."""
    notification = sample_notification()
    world = world_around(notification)
    service_of(world)["labels"] = {"goog-managed-by": "cloudfunctions"}
    answer = await answer_to(tmp_path, notification, world)
    deploy = "gcloud functions deploy storefront --gen2 --source=SOURCE_DIRECTORY --region="
    assert any(each.startswith(deploy) for each in answer.commands)
    assert not any("--image=" in each for each in answer.commands)


async def test_a_function_of_cloud_run_alone_is_deployed_by_run_deploy(tmp_path: Path) -> None:
    """Without the labels of the Cloud Functions API; a plain source deployment has no function."""
    notification = sample_notification()
    world = world_around(notification)
    build: JsonDict = {"sourceLocation": "gs://b/x.zip", "functionTarget": "main"}
    service_of(world)["buildConfig"] = {**build, "baseImage": "python312"}
    answer = await answer_to(tmp_path, notification, world)
    deploy = "gcloud run deploy storefront --source=SOURCE_DIRECTORY"
    assert any(
        each.startswith(f"{deploy} --function=main --base-image=python312")
        for each in answer.commands
    )
    del build["functionTarget"]
    service_of(world)["buildConfig"] = build
    plain = await answer_to(_folder(tmp_path), notification, world)
    assert any(each.startswith(f"{deploy} --region=") for each in plain.commands)
    assert plain.outcome["workload"]["function"] is None


async def test_a_domain_and_its_project_are_one_project(tmp_path: Path) -> None:
    """The image's console page has the project ``DOMAIN:PROJECT`` and the right repository."""
    project = "example.com:shop-prod"
    notification: Any = sample_notification()
    name = f"//run.googleapis.com/projects/{project}/locations/europe-west1/services/storefront"
    notification["finding"]["resourceName"] = notification["resource"]["name"] = name
    notification["resource"]["gcpMetadata"]["projectDisplayName"] = project
    notification["resource"]["resourcePath"]["nodes"][0]["displayName"] = project
    image = f"{_REGISTRY}/example.com/shop-prod/web/storefront:1"
    notification["finding"]["containers"][0]["uri"] = image
    answer = await answer_to(tmp_path, notification, world_around(notification))
    links = [task["link"] for task in answer.tasks if "artifacts/docker" in str(task["link"])]
    page = "artifacts/docker/example.com%3Ashop-prod/europe-west1/web/storefront"
    query = "project=example.com%3Ashop-prod"
    assert links == [f"https://console.cloud.google.com/{page}?{query}"]


async def test_an_execution_that_ended_by_itself_was_stopped_by_nobody(tmp_path: Path) -> None:
    """The first task, the headline and the chat text say when and how it ended."""
    notification = sample_notification("v1-job-execution")
    world = world_around(notification)
    named = notification["finding"]["resourceName"].rpartition("/")[2]
    policy = "mode: enforce\ncontain:\n  job: [cancel-executions]\n"
    world["tasks"] = []
    over = [e for e in world["executions"] if "completionTime" not in e]
    for execution in over:
        del execution["runningCount"]
        execution.update(_completed("CONDITION_SUCCEEDED"))
    ended = await answer_to(tmp_path, notification, world, policy)
    assert ended.outcome["status"] == "already-contained"
    assert ended.tasks[0]["text"].startswith(f"Nobody stopped it: execution {named} succeeded on")
    for text in (ended.page, ended.chat):
        assert f"{named} succeeded on 2026-10-02 08:14:09 UTC, by itself" in text
        assert "somebody had stopped it" not in text.lower()
    for execution in over:
        execution["conditions"][0] |= {
            "state": "CONDITION_FAILED",
            "executionReason": "CANCELLED",
        }
    cancelled = await answer_to(_folder(tmp_path), notification, world, policy)
    assert cancelled.tasks[0]["text"].startswith("Find out who stopped it")
    assert cancelled.outcome["workload"]["execution_ended"] is None


async def test_details_of_source_properties_are_shown_and_marked(tmp_path: Path) -> None:
    """What no field of the finding has; environment values stay hidden, and many are counted."""
    notification: Any = sample_notification()
    finding = notification["finding"]
    finding["processes"] = []
    finding["sourceProperties"] |= {
        "Process_Binary_Fullpath": "/opt/only-here",
        "Process_Arguments": ["/opt/only-here", "--password", "hunter2-not-real"],
        "Environment_Variables": ["HOME=/root", "DB_PASSWORD=planted-value-7261"],
        "Container_Image_Uri": finding["containers"][0]["uri"],
        **{f"Detail_{n:02}": f"value {n}" for n in range(30)},
    }
    answer = await answer_to(tmp_path, notification, world_around(notification))
    shown = {each["name"]: each["text"] for each in answer.outcome["detected"]["source_properties"]}
    assert shown["Process_Binary_Fullpath"] == "/opt/only-here"
    assert shown["Environment_Variables"] == "HOME DB_PASSWORD"
    assert "Container_Image_Uri" not in shown
    assert len(shown) == 20
    assert "(from sourceProperties only)" in answer.page
    assert "Detected: /opt/only-here (from sourceProperties)" in answer.chat
    for text in (str(answer.outcome), answer.page, answer.chat):
        assert "hunter2-not-real" not in text
        assert "planted-value-7261" not in text
    (gap,) = (g for g in answer.outcome["gaps"] if g["collector"] == "source-properties")
    assert gap["reason"].startswith("13 more entries are not shown")


async def test_default_url_and_identity_aware_proxy_are_part_of_the_exposure(
    tmp_path: Path,
) -> None:
    """No address is named that does not answer, and the proxy's own policy has a command."""
    notification = sample_notification()
    world = world_around(notification)
    service_of(world)["defaultUriDisabled"] = True
    service_of(world)["iapEnabled"] = True
    answer = await answer_to(tmp_path, notification, world)
    assert "its default URL is switched off" in answer.exposure("entry")
    assert "run.app" not in answer.exposure("entry")
    assert "Identity-Aware Proxy checks its callers" in answer.exposure("callers")
    assert any(
        each.startswith("gcloud beta iap web get-iam-policy --resource-type=cloud-run")
        for each in answer.commands
    )


def _completed(state: str) -> JsonDict:
    return {
        "completionTime": "2026-10-02T08:14:09Z",
        "conditions": [{"type": "Completed", "state": state}],
    }


def _folder(parent: Path) -> Path:
    folder = parent / "second"
    folder.mkdir()
    return folder
