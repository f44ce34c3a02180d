"""VirusTotal in a delivery: the gate in every mode, one request a run, and nothing that fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from clients.virustotal import VirusTotal, VirusTotalEndpoint
from emulator.services.gate import CallPoint, Hook
from incident.investigation.collect import merge_evidence
from incident.investigation.virustotal import ReputationLookup
from incident.model import File, Finding, Lookup, Mode, Reputation
from responders import route
from tests.support.constants import SHA256, TOPIC, UPDATE_SERVICE
from tests.support.environment import (
    JsonDict,
    ResponderEnvironment,
    deliver_and_log,
    policy_yaml,
    responder_environment,
    statuses_of,
)
from tests.support.findings import sample_notification
from tests.support.model import evidence, finding, notification
from tests.support.worlds import two_findings_on_one_service, world_around

ANOTHER = "9" * 64
KEY = "planted-virustotal-key"
WITH_KEY: dict[str, Any] = {"VIRUSTOTAL_API_KEY": KEY}
REPORT = "GetFileReport"
NO_GATE = ""
GATE = "virustotal: {min_malicious: 3}\n"


def virustotal_calls(asked: list[str]) -> Hook:
    """A hook of the emulator that notes what reaches VirusTotal."""

    def hook(moment: CallPoint) -> None:
        if moment.method == REPORT and moment.phase == "before":
            asked.append(moment.method)

    return hook


@asynccontextmanager
async def environment_with_key(
    folder: Path, extra: str = GATE, mode: Mode = Mode.ENFORCE, **given: Any
) -> AsyncIterator[tuple[ResponderEnvironment, list[str]]]:
    """A road with a key, a gate unless it says otherwise, and what was asked of VirusTotal."""
    asked: list[str] = []
    settings = {**WITH_KEY, **given}
    async with responder_environment(
        folder, hook=virustotal_calls(asked), policy_text=policy_yaml(mode, extra), **settings
    ) as env:
        yield env, asked


def virustotal_report(malicious: int, digest: str = SHA256) -> JsonDict:
    """A world's answer about a file that so many of 70 engines call malicious."""
    stats = {"malicious": malicious, "undetected": 70 - malicious}
    return {digest: {"data": {"id": digest, "attributes": {"last_analysis_stats": stats}}}}


def partly_hashed() -> JsonDict:
    """A notification of a file of which only the beginning was hashed."""
    message = sample_notification()
    message["finding"]["processes"][0]["binary"]["partiallyHashed"] = True
    return message


def world_with_report(
    virustotal: JsonDict, message: JsonDict | None = None, **changes: Any
) -> JsonDict:
    """A world of which VirusTotal knows this and nothing else."""
    return world_around(message or sample_notification(), virustotal=virustotal, **changes)


#: The gate's cases: what VirusTotal says, what the policy makes of it, whether it is contained,
#: and what the reasons say.
CASES: dict[str, tuple[dict[str, Any], str, bool, str]] = {
    "enough": (
        {"world": world_with_report(virustotal_report(3))},
        "hold",
        True,
        "VirusTotal: 3 of 70 engines",
    ),
    "too few": (
        {"world": world_with_report(virustotal_report(2))},
        "contain",
        False,
        "VirusTotal: 2 of 70 engines",
    ),
    "unknown, held": (
        {"world": world_with_report({})},
        "hold",
        False,
        "does not know the executed file",
    ),
    "unknown, let through": (
        {"world": world_with_report({})},
        "contain",
        True,
        "contains what is unknown",
    ),
    "no quota": (
        {
            "world": world_with_report(
                virustotal_report(9), faults=[{"method": REPORT, "code": "RESOURCE_EXHAUSTED"}]
            )
        },
        "hold",
        False,
        "the quota of the key is used up",
    ),
    "a bad key, let through": (
        {
            "world": world_with_report(
                virustotal_report(0), faults=[{"method": REPORT, "code": "UNAUTHENTICATED"}]
            )
        },
        "contain",
        True,
        "it does not accept the key",
    ),
    "no key": ({"VIRUSTOTAL_API_KEY": None}, "hold", False, "VIRUSTOTAL_API_KEY is not set"),
    "a partial hash": (
        {
            "notification": partly_hashed(),
            "world": world_with_report(virustotal_report(70), partly_hashed()),
        },
        "hold",
        False,
        "the hash covers only the beginning",
    ),
}


@pytest.mark.parametrize(("given", "unknown", "enforced_run", "reason"), CASES.values(), ids=CASES)
async def test_the_gate_says_the_same_in_every_mode(
    tmp_path: Path, given: dict[str, Any], unknown: str, *, enforced_run: bool, reason: str
) -> None:
    """A dry run plans what enforcing writes: the same reasons, the same changes."""
    gate = f"virustotal: {{min_malicious: 3, when_unknown: {unknown}}}\n"
    statuses, reasons, changes = [], [], []
    for mode in Mode:
        folder = tmp_path / mode
        folder.mkdir()
        async with environment_with_key(folder, gate, mode, **given) as (env, _):
            made: Any = (await env.deliver()).outcome.to_json()
            assert len(env.containment_writes) == (enforced_run and mode is Mode.ENFORCE)
        statuses.append(made["status"])
        reasons.append(made["decision"]["reasons"])
        changes.append([(c["mask"], c["before"], c["after"]) for c in made["changes"]])
    done = ["planned", "awaiting-approval", "contained"]
    assert statuses == (done if enforced_run else ["held"] * 3)
    assert reason in str(reasons[0])
    assert reasons[0] == reasons[1] == reasons[2]
    assert changes[0] == changes[1] == changes[2]
    assert bool(changes[0]) is enforced_run


async def test_one_run_looks_a_hash_up_once(tmp_path: Path) -> None:
    """The decision, the one at the moment of writing, and the evidence share the answer."""
    aborted = [{"method": "UpdateService", "code": "ABORTED", "times": 2}]
    async with environment_with_key(
        tmp_path, world=world_with_report(virustotal_report(58), faults=aborted)
    ) as (env, asked):
        made: Any = (await env.deliver()).outcome.to_json()
        stored = json.loads(_only(env.stored_objects("**/evidence/virustotal*.json")))
    assert made["status"] == "contained"
    assert asked == [REPORT]
    assert (stored["malicious"], stored["engines"], stored["sha256"]) == (58, 70, SHA256)
    assert made["detected"]["virustotal"]["malicious"] == 58
    assert made["gaps"] == []
    assert "58 of 70 engines" in str(made["assessment"]["reasons"])
    assert "from 30 min before the event to 5 s after it" in str(made["assessment"]["reasons"])


def _only(found: dict[str, bytes]) -> bytes:
    (content,) = found.values()
    return content


async def test_virustotal_is_asked_beside_everything_else(tmp_path: Path) -> None:
    """About the claim's file at once, and about SCC's, if that is another, before anything else."""
    order: list[str] = []
    message = sample_notification()
    message["finding"]["processes"][0]["binary"]["sha256"] = ANOTHER
    slow = world_with_report(
        virustotal_report(58), latency={"ListFindings": "200ms", "UpdateService": "200ms"}
    )
    async with responder_environment(
        tmp_path,
        hook=lambda moment: order.append(f"{moment.method.rpartition('/')[2]} {moment.phase}"),
        notification=message,
        world=slow,
        **WITH_KEY,
    ) as env:
        assert await env.status() == "contained"
    asked = [place for place, moment in enumerate(order) if moment == f"{REPORT} before"]
    confirmed, written = order.index("ListFindings after"), order.index("UpdateService before")
    assert [asked[0] < confirmed, confirmed < asked[1] < written] == [True, True]


def test_the_answer_used_for_the_decision_is_kept() -> None:
    """The outcome does not contradict its decision because an answer came late."""
    silence = Reputation(Lookup.NO_ANSWER, SHA256, "no answer within 1 s")
    assert merge_evidence(evidence(reputation=silence), evidence()).reputation == silence


async def test_without_a_gate_the_write_does_not_wait(tmp_path: Path) -> None:
    """What VirusTotal says joins the evidence when it comes."""
    order: list[str] = []
    slow = world_with_report(virustotal_report(58), latency={REPORT: "600ms"})
    async with responder_environment(
        tmp_path, hook=lambda moment: order.append(moment.method), world=slow, **WITH_KEY
    ) as env:
        made: Any = (await env.deliver()).outcome.to_json()
    assert order.index(UPDATE_SERVICE) < order.index(REPORT)
    assert (made["status"], made["gaps"]) == ("contained", [])
    assert made["detected"]["virustotal"]["malicious"] == 58


async def test_with_a_gate_the_write_waits_as_long_as_the_policy_says(tmp_path: Path) -> None:
    """Then the file is unknown, for the decision and the evidence alike, and nothing is left."""
    before = asyncio.all_tasks()
    slow = world_with_report(virustotal_report(58), latency={REPORT: "30s"})
    async with environment_with_key(
        tmp_path, f"{GATE}evidence: {{deadline: 1s}}\n", world=slow
    ) as (env, _):
        answer = await env.deliver()
        left = {task for task in asyncio.all_tasks() - before if "_ask(" in repr(task)}
    made: Any = answer.outcome.to_json()
    assert (made["status"], answer.alarm) == ("held", True)
    assert "no answer within 1 s" in str(made["decision"]["reasons"])
    assert made["detected"]["virustotal"]["lookup"] == "no-answer"
    assert [gap["collector"] for gap in made["gaps"]] == ["virustotal"]
    assert "no answer within 1 s" in made["gaps"][0]["reason"]
    assert made["timings_ms"]["total"] < 5000
    assert left == set()


async def test_a_gate_that_comes_in_between_is_heeded(tmp_path: Path) -> None:
    """The policy is read again at the moment of writing, VirusTotal is not asked again."""
    asked: list[str] = []
    count = virustotal_calls(asked)

    def hook(moment: CallPoint) -> None:
        count(moment)
        if moment.method.endswith("ListFindings") and moment.phase == "after":
            # The policy was read when this answer goes out: both are asked for at once.
            (tmp_path / "policy.yaml").write_text(policy_yaml("enforce", GATE))

    late = world_with_report(virustotal_report(2), latency={"ListFindings": "100ms"})
    async with responder_environment(tmp_path, hook=hook, world=late, **WITH_KEY) as env:
        made: Any = (await env.deliver()).outcome.to_json()
        assert env.containment_writes == []
        (decided,) = (json.loads(one) for one in env.stored_objects("**/*-decided.json").values())
    assert decided["verdict"] == "contain"
    assert made["status"] == "held"
    assert "VirusTotal: 2 of 70 engines" in str(made["decision"]["reasons"])
    assert asked == [REPORT]


async def test_only_the_hash_that_scc_names_decides(tmp_path: Path) -> None:
    """A notification may claim the hash of a known file, or that of a harmless one."""
    message = sample_notification()
    world = world_with_report({**virustotal_report(70), **virustotal_report(0, ANOTHER)})
    message["finding"]["processes"][0]["binary"]["sha256"] = ANOTHER
    async with environment_with_key(tmp_path, notification=message, world=world) as (env, _):
        made: Any = (await env.deliver()).outcome.to_json()
    assert made["status"] == "contained"
    assert made["detected"]["virustotal"]["malicious"] == 70


async def test_a_hash_that_the_notification_alone_names_is_unknown(tmp_path: Path) -> None:
    """It is looked up, since it may be true, and decides nothing."""
    message, world = (
        sample_notification(),
        world_with_report({**virustotal_report(70), **virustotal_report(0, ANOTHER)}),
    )
    del world["findings"][0]["finding"]["processes"]
    shell = {"binary": {"path": "/bin/sh", "sha256": ANOTHER}}
    message["finding"]["processes"].insert(0, shell)
    async with environment_with_key(tmp_path, notification=message, world=world) as (env, _):
        made: Any = (await env.deliver()).outcome.to_json()
    assert made["status"] == "held"
    assert "Security Command Center names no hash" in str(made["decision"]["reasons"])
    assert made["detected"]["virustotal"]["malicious"] == 70


async def test_a_partial_hash_is_not_looked_up_and_the_outcome_says_so(tmp_path: Path) -> None:
    """It is the hash of another file, if of any."""
    message = partly_hashed()
    world = world_with_report(virustotal_report(70), message)
    async with environment_with_key(tmp_path, NO_GATE, notification=message, world=world) as (
        env,
        asked,
    ):
        made: Any = (await env.deliver()).outcome.to_json()
        assert env.stored_objects("**/virustotal*") == {}
    assert asked == []
    assert made["status"] == "contained"
    assert made["detected"]["virustotal"]["lookup"] == "partial-hash"
    assert made["links"]["virustotal"] is None
    assert [gap["collector"] for gap in made["gaps"]] == ["virustotal"]
    assert "only the beginning" in made["gaps"][0]["reason"]


async def test_without_a_key_there_is_the_link_only(tmp_path: Path) -> None:
    """Nothing is asked, nothing is lacking, and the assessment says why."""
    async with environment_with_key(tmp_path, NO_GATE, VIRUSTOTAL_API_KEY=None) as (env, asked):
        made: Any = (await env.deliver()).outcome.to_json()
    assert asked == []
    assert made["gaps"] == []
    assert made["links"]["virustotal"].endswith(SHA256)
    assert made["detected"]["virustotal"]["lookup"] == "no-key"
    assert "VIRUSTOTAL_API_KEY is not set" in str(made["assessment"]["reasons"])


async def test_findings_in_a_burst_share_an_answer(tmp_path: Path) -> None:
    """The same file in many places is the rule; the public quota is four requests a minute."""
    one, other, world = two_findings_on_one_service()
    async with environment_with_key(tmp_path, notification=one, world=world) as (env, asked):
        statuses = await statuses_of(env.deliver(one), env.deliver(other), env.deliver(one))
    assert statuses == ["contained", "contained", "duplicate"]
    assert asked == [REPORT]


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"])
async def test_the_key_never_leaves(tmp_path: Path, code: str) -> None:
    """Not into the store, a log line or an announcement, even where VirusTotal repeats it."""
    fault = {"method": REPORT, "code": code, "message": f"no such key: {KEY}"}
    given: dict[str, Any] = {
        "world": world_with_report(virustotal_report(58), faults=[fault]),
        "topic": TOPIC,
    }
    async with environment_with_key(tmp_path, **given) as (env, _):
        answer, printed = await deliver_and_log(env)
        published = json.dumps(env.emulator.world.dump()["published"])
        stored = b"".join(env.stored_objects().values()).decode()
    assert answer
    assert answer.outcome.status == "held"
    assert "virustotal" in stored
    assert SHA256 in published
    for text in (json.dumps(answer.outcome.to_json()), printed, published, stored):
        assert KEY not in text


HOSTILE = "<script>alert(1)</script>\x1b[31m=cmd|'/C calc'!A0 ../../x"


async def test_what_virustotal_names_is_hostile_text(tmp_path: Path) -> None:
    """The uploader of a file chooses its name: nothing but the evidence changes."""
    (answer,) = virustotal_report(58).values()
    answer["data"]["attributes"] |= {
        "names": [HOSTILE],
        "meaningful_name": HOSTILE,
        "type_description": HOSTILE,
        "tags": [HOSTILE],
        "popular_threat_classification": {"suggested_threat_label": HOSTILE},
    }
    world = world_with_report({SHA256: answer})
    async with environment_with_key(tmp_path, world=world) as (env, _):
        answered, printed = await deliver_and_log(env)
        assert len(env.containment_writes) == 1
        stored = json.loads(_only(env.stored_objects("**/evidence/virustotal.json")))
    assert answered
    assert answered.outcome.status == "contained"
    assert json.loads(printed.splitlines()[0])["outcome"] == answered.outcome.to_json()
    assert stored["names"] == [HOSTILE]
    decision: Any = answered.outcome.to_json()["decision"]
    assert "script" not in str(decision["reasons"])


def finding_with_two_files(linked: str | None) -> Finding:
    """A finding of two whole files, of which its link to VirusTotal names one, or none."""
    (first,) = finding().processes
    second = replace(first, sha256=ANOTHER, binary_path="/bin/sh")
    return finding(processes=(second, first), virustotal_url=linked)


@pytest.mark.parametrize(
    ("found", "digest"),
    [
        (
            finding_with_two_files(
                f"https://www.virustotal.com/gui/file/{SHA256.upper()}/detection"
            ),
            SHA256,
        ),
        (finding_with_two_files(f"https://www.virustotal.com/gui/file/{ANOTHER}"), ANOTHER),
        (finding_with_two_files(None), ANOTHER),
        (notification("several-processes").finding, SHA256),
    ],
    ids=["the linked one", "the other one", "the first without a link", "the sample"],
)
def test_of_several_files_the_one_that_the_finding_links_is_meant(
    found: Finding, digest: str
) -> None:
    """A shell and what it started are both there; only one of them was detected."""
    assert found.main_process
    assert found.main_process.sha256 == digest


class _Broken(VirusTotal):
    async def file(self, sha256: str) -> Reputation:
        raise ZeroDivisionError(sha256)


def _binary(of: Finding) -> File | None:
    """The file that most findings are about."""
    return of.suspect.file


@pytest.fixture
def broken_client() -> VirusTotal:
    """A client with a programming error."""
    return _Broken(VirusTotalEndpoint("http://127.0.0.1:1", SecretStr("planted")))


async def test_an_internal_error_is_a_gap(broken_client: VirusTotal) -> None:
    """It must not stop a containment."""
    reputations = ReputationLookup(broken_client, _binary)
    reputations.prefetch(finding())
    found = await reputations.reputation_of(finding(), timedelta(seconds=5))
    assert found.lookup is Lookup.NO_ANSWER
    assert "ZeroDivisionError" in found.reason
    assert found.gap
    await reputations.close()


async def test_an_answer_that_is_there_is_taken_after_its_deadline(tmp_path: Path) -> None:
    """The deadline counts from the first question; who comes late still gets what came."""
    async with responder_environment(tmp_path) as env:
        source = VirusTotal(
            VirusTotalEndpoint(f"http://{env.emulator.http_address}", SecretStr(KEY))
        )
        reputations = ReputationLookup(source, _binary)
        assert (await reputations.reputation_of(finding(), timedelta(seconds=5))).malicious == 58
        assert (await reputations.reputation_of(finding(), timedelta(0))).malicious == 58
        await reputations.close()


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("cloud-run-service", "executed file"),
        ("added-malicious-library", "library"),
        ("malicious-script", "script"),
    ],
)
async def test_the_file_is_called_what_it_is(name: str, called: str) -> None:
    """A library is loaded and a script is read: it is not the program that VirusTotal judged."""
    (process,) = notification(name).finding.processes
    cut = [replace(library, partially_hashed=True) for library in process.libraries]
    script = process.script and replace(process.script, partially_hashed=True, sha256=SHA256)
    partly = replace(process, partially_hashed=True, libraries=tuple(cut), script=script)
    found = notification(name, processes=(partly,))
    responder = route(found).responder
    assert responder
    suspect = responder.suspect
    reputations = ReputationLookup(None, lambda reported: suspect(reported).file)
    reputation = await reputations.reputation_of(found.finding, timedelta(seconds=1))
    assert reputation.summary.endswith(f"covers only the beginning of the {called}")
    assert (
        f"engines call the {called} malicious" in replace(reputation, lookup=Lookup.KNOWN).summary
    )
    reasons = responder.assess(evidence(finding=found.finding, reputation=reputation)).reasons
    assert f"covers only the beginning of the {called}: VirusTotal was not asked" in str(reasons)
