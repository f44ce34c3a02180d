"""What the commands say, and what they leave in the store, holds no secret of the workload."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from google.iam.v1 import iam_policy_pb2
from google.protobuf.json_format import ParseDict
from grpc import StatusCode

from commands import cli
from emulator.api.faults import Fault, Faults
from incident.model import Kind
from tests.support.constants import SAMPLE_OF_KIND, SERVICE, TOPIC
from tests.support.environment import (
    JsonDict,
    ResponderEnvironment,
    deliver_and_log,
    responder_environment,
)
from tests.support.findings import sample_notification
from tests.support.patrol import call_as
from tests.support.releases import (
    comparable_world,
    contained_workload,
    dump_world,
    enforcing_policy,
)
from tests.support.worlds import rich_world, workload_in

SERVICE_SAMPLE = SAMPLE_OF_KIND[Kind.SERVICE]
SET_POLICY = "/google.cloud.run.v2.Services/SetIamPolicy"
TOKEN = "ghp_" + "Fake0Fake1" * 3
KNOWN = "fake-setting-of-the-service-52"  # what the service has in its environment
NAMED = "fake-thing-under-a-telling-name"
ANNOTATIONS = {
    "example.com/note": f"token {TOKEN}",
    "example.com/api-token": NAMED,
    "example.com/copy": KNOWN,
    "example.com/long": "x" * 100_000,
}


def world_with_secrets(**changes: Any) -> JsonDict:
    """A service whose environment and annotations hold secrets."""
    world = rich_world(Kind.SERVICE, annotations=dict(ANNOTATIONS), **changes)
    (container, *_) = workload_in(world, Kind.SERVICE)["template"]["containers"]
    container.setdefault("env", []).append({"name": "SETTING", "value": KNOWN})
    return world


async def invoke_command(env: ResponderEnvironment, *arguments: str) -> tuple[int, str]:
    """A command of the command line in a thread of this process: its status and all it printed."""
    assert env.settings.emulator
    assert env.settings.now
    environment = {
        "RESPONDER_EMULATOR": env.settings.emulator.model_dump_json(),
        "RESPONDER_STORE": env.settings.store,
        "RESPONDER_POLICY": env.settings.policy,
        "RESPONDER_NOW": env.settings.now.isoformat(),
    }
    runner = CliRunner(env=environment)
    result = await asyncio.to_thread(runner.invoke, cli, arguments)
    return result.exit_code, result.output


def leaked_secrets(
    env: ResponderEnvironment, *printed: str, but: str = "no such record"
) -> set[str]:
    """Secrets found in output and stored objects, snapshots excepted."""
    stored = [data.decode() for path, data in env.stored_objects().items() if but not in path]
    everything = "\n".join((*printed, *stored))
    return {secret for secret in (TOKEN, KNOWN, NAMED, MEMBER) if secret in everything}


async def test_a_release_prints_no_annotation_of_others(tmp_path: Path) -> None:
    """Neither at the terminal nor on record; and all of them are there afterwards, untouched."""
    async with contained_workload(tmp_path, Kind.SERVICE, world=world_with_secrets()) as case:
        code, printed = await invoke_command(
            case.env, "release", case.outcome["incident"], "--yes", "--now"
        )
        assert (code, case.is_restored()) == (0, True), printed
        (record,) = case.read_records("released")
        (change,) = [c for c in record["changes"] if "annotations" in c["mask"]]
        own_annotations = {"scc-responder-incident": case.outcome["incident"]}
        assert change["before"]["annotations"] == own_annotations
        assert change["after"]["annotations"] == {}
        assert "scc-responder-incident" in printed
        assert len(printed) < 20_000
        assert leaked_secrets(case.env, printed) == set()


async def test_a_drill_prints_no_annotation_of_others(tmp_path: Path) -> None:
    """It gives back by the same code."""
    world = world_with_secrets()
    text = enforcing_policy(Kind.SERVICE).replace("mode: enforce", "mode: dry-run")
    async with responder_environment(tmp_path, world=world, policy_text=text) as env:
        before = workload_in(dump_world(env), Kind.SERVICE)["annotations"]
        code, printed = await invoke_command(env, "drill", SERVICE, "--yes", "--json")
        assert code == 0, printed
        reported = json.loads(printed[printed.index("\n{") :])
        assert any("annotations" in change["mask"] for change in reported["released"])
        assert workload_in(dump_world(env), Kind.SERVICE)["annotations"] == before == ANNOTATIONS
        assert leaked_secrets(env, printed) == set()


# What Google answers, printed and stored.

SECRET_ERROR_TEXT = f"bad; Authorization: Bearer {TOKEN}; password={NAMED}; SETTING is {KNOWN}"


def deny_methods(
    env: ResponderEnvironment, *methods: str, code: StatusCode = StatusCode.INVALID_ARGUMENT
) -> None:
    """From now on these methods are refused with a text full of secrets."""
    env.emulator.world.faults = Faults(
        tuple(Fault(m, code, message=SECRET_ERROR_TEXT) for m in methods)
    )


async def test_a_release_that_google_refuses_prints_no_secret(tmp_path: Path) -> None:
    """Neither on record, as the reason of what was withdrawn, nor in the JSON that is printed."""
    async with contained_workload(tmp_path, Kind.SERVICE, world=world_with_secrets()) as case:
        deny_methods(case.env, "UpdateService")
        code, printed = await invoke_command(
            case.env, "release", case.outcome["incident"], "--yes", "--now", "--json"
        )
        (withdrawn,) = case.read_records("release-cancelled")
        assert (code, "[redacted:" in withdrawn["reason"]) == (1, True)
        assert "cannot release" in printed
        assert leaked_secrets(case.env, printed, but="-snapshot.json") == set()


_REFUSED = ("UpdateService", "GetIamPolicy")


@pytest.mark.parametrize(
    ("arguments", "methods"),
    [
        (("contain", "INCIDENT", "--yes", "--json"), _REFUSED),
        (("approve", "INCIDENT", "--yes", "--json"), _REFUSED),
        (("drill", SERVICE, "--yes"), ("UpdateService",)),
        (("coverage", "--project", "example-shop-prod", "--json"), ("UpdateService",)),
    ],
)
async def test_no_command_repeats_what_google_quotes(
    tmp_path: Path, arguments: tuple[str, ...], methods: tuple[str, ...]
) -> None:
    """Whichever call is refused: what the command has read by then is known to be secret."""
    text = enforcing_policy(Kind.SERVICE).replace("mode: enforce", "mode: approve")
    async with responder_environment(
        tmp_path,
        notification=sample_notification(SERVICE_SAMPLE),
        world=world_with_secrets(),
        policy_text=text,
    ) as env:
        incident = str((await env.deliver()).outcome.incident)
        deny_methods(env, *methods)
        named = [incident if each == "INCIDENT" else each for each in arguments]
        code, printed = await invoke_command(env, *named)
        assert code == 1
        assert "[redacted:" in printed, printed
        assert leaked_secrets(env, printed, but="-snapshot.json") == set()


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("Publish", StatusCode.INTERNAL),
        ("Publish", StatusCode.PERMISSION_DENIED),
        ("UpdateSecurityMarks", StatusCode.PERMISSION_DENIED),
    ],
)
async def test_no_delivery_repeats_what_google_quotes(
    tmp_path: Path, method: str, code: StatusCode
) -> None:
    """Neither the line of a retry nor an outcome, a record or a page; process values likewise."""
    notification = sample_notification(SERVICE_SAMPLE)
    (process, *_) = notification["finding"]["processes"]
    process["envVariables"] = [{"name": "OTHER", "val": NAMED}]
    world = world_with_secrets()
    for listed in world["findings"]:
        if listed["finding"]["name"] == notification["finding"]["name"]:
            listed["finding"]["processes"] = notification["finding"]["processes"]
    async with responder_environment(
        tmp_path,
        notification=notification,
        world=world,
        policy_text=enforcing_policy(Kind.SERVICE),
        topic=TOPIC,
    ) as env:
        reported_text = f"{KNOWN} and {NAMED} are no good"
        env.emulator.world.faults = Faults((Fault(method, code, message=reported_text),))
        answer, printed = await deliver_and_log(env)
        assert (answer is None) == (code is StatusCode.INTERNAL)
        assert "are no good" in printed
        assert leaked_secrets(env, printed, but="-snapshot.json") == set()


# Members and conditions of an IAM policy.

MEMBER = "ghp_" + "Fake1Fake2" * 3
BOUND: list[JsonDict] = [
    {"role": "roles/run.invoker", "members": ["allUsers", f"user:{MEMBER}@example.com"]},
    {
        "role": "roles/run.invoker",
        "members": ["allUsers"],
        "condition": {"title": "t", "expression": f'request.host == "{KNOWN}" && t=="{TOKEN}"'},
    },
]


def world_with_secret_bindings() -> JsonDict:
    """A service whose IAM policy holds secrets as well."""
    world = world_with_secrets()
    (name,) = world["iamPolicies"]
    world["iamPolicies"][name]["bindings"] = copy.deepcopy(BOUND)
    return world


async def test_an_iam_policy_is_printed_without_its_secrets(tmp_path: Path) -> None:
    """Plan, approval, drift, second approval and release print no secret and keep the policy.

    The plan is read back from a record with marks, and each command has another key for them.
    """
    text = enforcing_policy(Kind.SERVICE).replace("mode: enforce", "mode: approve")
    async with responder_environment(
        tmp_path,
        notification=sample_notification(SERVICE_SAMPLE),
        world=world_with_secret_bindings(),
        policy_text=text,
        topic=TOPIC,
    ) as env:
        answer, logged = await deliver_and_log(env)
        assert answer
        before, incident = dump_world(env), str(answer.outcome.incident)
        printed = [logged]
        for arguments in (
            ("show", incident),
            ("show", incident, "--json"),
            ("approve", incident, "--yes", "--json"),
            ("patrol", "--json"),
            ("release", incident, "--yes", "--now", "--json"),
        ):
            code, reported_text = await invoke_command(env, *arguments)
            assert code == 0, reported_text
            printed.append(reported_text)
        assert any(
            "allUsers" in reported_text and "[redacted:" in reported_text
            for reported_text in printed
        )
        (policy,) = dump_world(env)["iamPolicies"].values()
        assert policy["bindings"] == BOUND
        assert comparable_world(dump_world(env), Kind.SERVICE) == comparable_world(
            before, Kind.SERVICE
        )
        reported = json.dumps(env.emulator.world.published)
        assert leaked_secrets(env, *printed, reported, but="-snapshot.json") == set()


async def test_a_reverted_iam_policy_is_printed_without_its_secrets(
    tmp_path: Path,
) -> None:
    """Neither the patrol, the records nor the refusal of a release print the secrets."""
    async with contained_workload(
        tmp_path,
        Kind.SERVICE,
        world=world_with_secret_bindings(),
        actions="[require-authentication]",
    ) as case:
        await open_to_public(case.env)
        later = case.env.later(600)
        printed = [(await invoke_command(later, "patrol", *form))[1] for form in ((), ("--json",))]
        assert len(case.read_records("reverted")) == 1
        code, reported_text = await invoke_command(
            later, "release", case.outcome["incident"], "--yes", "--json"
        )
        assert (code, "somebody changed" in reported_text) == (1, True)
        assert all("[redacted:" in each for each in printed)
        assert leaked_secrets(case.env, *printed, reported_text, but="-snapshot.json") == set()


async def open_to_public(env: ResponderEnvironment) -> None:
    """Somebody lets everybody in again, and one more."""
    (policy,) = dump_world(env)["iamPolicies"].values()
    members = ["allUsers", f"user:{MEMBER}@example.com", "user:one-more@example.com"]
    edited = [*policy["bindings"], {"role": "roles/run.invoker", "members": members}]
    request = iam_policy_pb2.SetIamPolicyRequest(resource=SERVICE)
    ParseDict({"bindings": edited, "version": 3}, request.policy)
    await call_as(env, SET_POLICY, request.SerializeToString(), "somebody@example.com")
