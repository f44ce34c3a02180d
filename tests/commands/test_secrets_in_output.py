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
from tests.support.environment import SERVICE, Road, World, printed_by, road, sample
from tests.support.patrol import called
from tests.support.releases import (
    SAMPLES,
    comparable,
    contained,
    dumped,
    rich_world,
    rules,
    workload_in,
)

SERVICE_SAMPLE = SAMPLES[Kind.SERVICE]
SET_POLICY = "/google.cloud.run.v2.Services/SetIamPolicy"
TOPIC = "projects/example-shop-prod/topics/outcomes"
TOKEN = "ghp_" + "Fake0Fake1" * 3
KNOWN = "fake-setting-of-the-service-52"  # what the service has in its environment
NAMED = "fake-thing-under-a-telling-name"
ANNOTATIONS = {
    "example.com/note": f"token {TOKEN}",
    "example.com/api-token": NAMED,
    "example.com/copy": KNOWN,
    "example.com/long": "x" * 100_000,
}


def poisoned(**changes: Any) -> World:
    """A service whose environment and annotations hold secrets."""
    world = rich_world(Kind.SERVICE, annotations=dict(ANNOTATIONS), **changes)
    (container, *_) = workload_in(world, Kind.SERVICE)["template"]["containers"]
    container.setdefault("env", []).append({"name": "SETTING", "value": KNOWN})
    return world


async def invoked(way: Road, *arguments: str) -> tuple[int, str]:
    """A command of the command line in a thread of this process: its status and all it printed."""
    assert way.settings.emulator
    assert way.settings.now
    environment = {
        "RESPONDER_EMULATOR": way.settings.emulator.model_dump_json(),
        "RESPONDER_STORE": way.settings.store,
        "RESPONDER_POLICY": way.settings.policy,
        "RESPONDER_NOW": way.settings.now.isoformat(),
    }
    runner = CliRunner(env=environment)
    result = await asyncio.to_thread(runner.invoke, cli, arguments)
    return result.exit_code, result.output


def leaked(way: Road, *printed: str, but: str = "no such record") -> set[str]:
    """Which secrets stand in what was printed and stored, before-images excepted."""
    stored = [data.decode() for path, data in way.stored().items() if but not in path]
    everything = "\n".join((*printed, *stored))
    return {secret for secret in (TOKEN, KNOWN, NAMED, MEMBER) if secret in everything}


async def test_a_release_tells_no_annotation_of_others(tmp_path: Path) -> None:
    """Neither at the terminal nor on record; and all of them are there afterwards, untouched."""
    async with contained(tmp_path, Kind.SERVICE, world=poisoned()) as case:
        code, printed = await invoked(case.way, "release", case.outcome["incident"], "--yes")
        assert (code, case.is_restored()) == (0, True), printed
        (record,) = case.records("released")
        (change,) = [c for c in record["changes"] if "annotations" in c["mask"]]
        ours = {"scc-responder-incident": case.outcome["incident"]}
        assert change["before"]["annotations"] == ours
        assert change["after"]["annotations"] == {}
        assert "scc-responder-incident" in printed
        assert len(printed) < 20_000
        assert leaked(case.way, printed) == set()


async def test_a_drill_tells_no_annotation_of_others(tmp_path: Path) -> None:
    """It gives back by the same code."""
    world = poisoned()
    text = rules(Kind.SERVICE).replace("mode: enforce", "mode: dry-run")
    async with road(tmp_path, world=world, rules=text) as way:
        before = workload_in(dumped(way), Kind.SERVICE)["annotations"]
        code, printed = await invoked(way, "drill", SERVICE, "--yes", "--json")
        assert code == 0, printed
        told = json.loads(printed[printed.index("\n{") :])
        assert any("annotations" in change["mask"] for change in told["released"])
        assert workload_in(dumped(way), Kind.SERVICE)["annotations"] == before == ANNOTATIONS
        assert leaked(way, printed) == set()


# What Google answers, told and stored.

SAYING = f"bad; Authorization: Bearer {TOKEN}; password={NAMED}; SETTING is {KNOWN}"


def fails(way: Road, *methods: str, code: StatusCode = StatusCode.INVALID_ARGUMENT) -> None:
    """From now on these methods are refused with a text full of secrets."""
    way.emulator.world.faults = Faults(tuple(Fault(m, code, message=SAYING) for m in methods))


async def test_a_release_that_google_refuses_tells_none_of_its_secrets(tmp_path: Path) -> None:
    """Neither on record, as the reason of what was withdrawn, nor in the JSON that is printed."""
    async with contained(tmp_path, Kind.SERVICE, world=poisoned()) as case:
        fails(case.way, "UpdateService")
        code, printed = await invoked(
            case.way, "release", case.outcome["incident"], "--yes", "--json"
        )
        (withdrawn,) = case.records("release-withdrawn")
        assert (code, "[redacted:" in withdrawn["reason"]) == (1, True)
        assert "cannot release" in printed
        assert leaked(case.way, printed, but="-before.json") == set()


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
    text = rules(Kind.SERVICE).replace("mode: enforce", "mode: approve")
    async with road(
        tmp_path, notification=sample(SERVICE_SAMPLE), world=poisoned(), rules=text
    ) as way:
        incident = str((await way.deliver()).outcome["incident"])
        fails(way, *methods)
        named = [incident if each == "INCIDENT" else each for each in arguments]
        code, printed = await invoked(way, *named)
        assert code == 1
        assert "[redacted:" in printed, printed
        assert leaked(way, printed, but="-before.json") == set()


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
    notification = sample(SERVICE_SAMPLE)
    (process, *_) = notification["finding"]["processes"]
    process["envVariables"] = [{"name": "OTHER", "val": NAMED}]
    world = poisoned()
    for listed in world["findings"]:
        if listed["finding"]["name"] == notification["finding"]["name"]:
            listed["finding"]["processes"] = notification["finding"]["processes"]
    async with road(
        tmp_path, notification=notification, world=world, rules=rules(Kind.SERVICE), topic=TOPIC
    ) as way:
        said = f"{KNOWN} and {NAMED} are no good"
        way.emulator.world.faults = Faults((Fault(method, code, message=said),))
        answer, printed = await printed_by(way)
        assert (answer is None) == (code is StatusCode.INTERNAL)
        assert "are no good" in printed
        assert leaked(way, printed, but="-before.json") == set()


# Members and conditions of an IAM policy.

MEMBER = "ghp_" + "Fake1Fake2" * 3
BOUND: list[World] = [
    {"role": "roles/run.invoker", "members": ["allUsers", f"user:{MEMBER}@example.com"]},
    {
        "role": "roles/run.invoker",
        "members": ["allUsers"],
        "condition": {"title": "t", "expression": f'request.host == "{KNOWN}" && t=="{TOKEN}"'},
    },
]


def bound() -> World:
    """A service whose IAM policy holds secrets as well."""
    world = poisoned()
    (name,) = world["iamPolicies"]
    world["iamPolicies"][name]["bindings"] = copy.deepcopy(BOUND)
    return world


async def test_an_iam_policy_is_told_without_its_secrets(tmp_path: Path) -> None:
    """Planned, approved, undone and seen so, approved anew and released: told nowhere, kept whole.

    The plan is read back from a record with marks, and each command has another key for them.
    """
    text = rules(Kind.SERVICE).replace("mode: enforce", "mode: approve")
    async with road(
        tmp_path, notification=sample(SERVICE_SAMPLE), world=bound(), rules=text, topic=TOPIC
    ) as way:
        answer, logged = await printed_by(way)
        assert answer
        before, incident = dumped(way), str(answer.outcome["incident"])
        printed = [logged]
        for arguments in (
            ("show", incident),
            ("show", incident, "--json"),
            ("approve", incident, "--yes", "--json"),
            ("patrol", "--json"),
            ("release", incident, "--yes", "--json"),
        ):
            code, said = await invoked(way, *arguments)
            assert code == 0, said
            printed.append(said)
        assert any("allUsers" in said and "[redacted:" in said for said in printed)
        (policy,) = dumped(way)["iamPolicies"].values()
        assert policy["bindings"] == BOUND
        assert comparable(dumped(way), Kind.SERVICE) == comparable(before, Kind.SERVICE)
        told = json.dumps(way.emulator.world.published)
        assert leaked(way, *printed, told, but="-before.json") == set()


async def test_an_iam_policy_that_somebody_undid_is_told_without_its_secrets(
    tmp_path: Path,
) -> None:
    """By the patrol, on record and in why a release is refused; said once."""
    async with contained(
        tmp_path, Kind.SERVICE, world=bound(), steps="[require-authentication]"
    ) as case:
        await let_in(case.way)
        later = case.way.later(600)
        printed = [(await invoked(later, "patrol", *form))[1] for form in ((), ("--json",))]
        assert len(case.records("reverted")) == 1
        code, said = await invoked(later, "release", case.outcome["incident"], "--yes", "--json")
        assert (code, "somebody changed" in said) == (1, True)
        assert all("[redacted:" in each for each in printed)
        assert leaked(case.way, *printed, said, but="-before.json") == set()


async def let_in(way: Road) -> None:
    """Somebody lets everybody in again, and one more."""
    (policy,) = dumped(way)["iamPolicies"].values()
    members = ["allUsers", f"user:{MEMBER}@example.com", "user:one-more@example.com"]
    edited = [*policy["bindings"], {"role": "roles/run.invoker", "members": members}]
    request = iam_policy_pb2.SetIamPolicyRequest(resource=SERVICE)
    ParseDict({"bindings": edited, "version": 3}, request.policy)
    await called(way, SET_POLICY, request.SerializeToString(), "somebody@example.com")
