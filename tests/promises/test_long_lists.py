"""Promise 8: what lies behind a page counts, and a list that was cut is never taken for all."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from google.cloud import run_v2

from clients import cloud_run
from clients.cloud_run import CloudRunBounds
from clients.paging import ListBounds
from emulator.cli.run import run_command
from emulator.services.cloud_run import executions
from emulator.services.gate import CallPoint
from emulator.world.cloud_run import execution_phases
from tests.support.constants import REVISION
from tests.support.environment import JsonDict, ResponderEnvironment, responder_environment
from tests.support.findings import sample_notification
from tests.support.worlds import service_of, world_around

JOB_SAMPLE, SERVICE_SAMPLE = "v1-job-execution", "revision-by-number"
EXECUTION = "nightly-report-x7k2p"
STOP_JOBS = "mode: enforce\ncontain:\n  job: [cancel-executions]\n"
STOP_AND_CLOSE_JOBS = (
    "mode: enforce\ncontain:\n  job: [cancel-executions, require-authentication]\n"
)
ISOLATE = "mode: enforce\ncontain:\n  service: [isolate-revision]\n"
#: Old revisions run with what no newer one has; the workload logs the token.
LEGACY_TOKEN, LEGACY_ACCOUNT = "three-blind-mice-77", "old-runtime@example-shop-prod.iam"
LEGACY = "storefront-00001-old"
CONTAINED = ("contained", False)
SHORT = CloudRunBounds(revisions=ListBounds(9, 8), executions=ListBounds(9, 8))


def job_world(newer: int, **changes: Any) -> JsonDict:
    """The finding's execution runs; so many newer ones are over."""
    notification = sample_notification(JOB_SAMPLE)
    world = world_around(notification, **changes)
    event = datetime.fromisoformat(notification["finding"]["eventTime"])
    running = next(e for e in world["executions"] if e["name"].endswith(EXECUTION))
    job = running["name"].rpartition("/executions/")[0]
    for counted in ("executionCount", "latestCreatedExecution"):
        world["jobs"][0].pop(counted, None)
    for number in range(newer):
        begun = (event - timedelta(seconds=newer - number)).isoformat()
        world["executions"].append(
            {
                "name": f"{job}/executions/nightly-report-n{number:04d}",
                "template": running["template"],
                "createTime": begun,
                "startTime": begun,
                "completionTime": begun,
                "conditions": [{"type": "Completed", "state": "CONDITION_SUCCEEDED"}],
            }
        )
    return world


def service_world(newer: int, named: str = LEGACY) -> tuple[JsonDict, JsonDict]:
    """All traffic goes to a revision behind so many newer ones; a finding on one of them."""
    notification = sample_notification(SERVICE_SAMPLE)
    place = notification["finding"]["resourceName"].rpartition("/")[0]
    notification["finding"]["resourceName"] = f"{place}/{named}"
    notification["resource"]["name"] = f"{place}/{named}"
    world = world_around(notification)
    service, bare = service_of(world), world["revisions"][0]
    old: JsonDict = json.loads(json.dumps(bare))
    old["name"] = f"{service['name']}/revisions/{LEGACY}"
    old["createTime"] = "2026-03-20T08:00:00Z"
    old["serviceAccount"] = f"{LEGACY_ACCOUNT}.gserviceaccount.com"
    old["containers"][0]["image"] = "europe-west1-docker.pkg.dev/example-shop-prod/web/shop:lts"
    old["containers"][0]["env"] = [
        {"name": "LEGACY_TOKEN", "value": LEGACY_TOKEN},
        {"name": "DB", "valueSource": {"secretKeyRef": {"secret": "legacy-db", "version": "1"}}},
    ]
    revisions = [old]
    for number in range(newer):
        name = f"{service['name']}/revisions/storefront-c{number:04d}-abc"
        made = f"2026-09-{1 + number // 1000:02d}T{number // 60 % 24:02d}:{number % 60:02d}:00Z"
        revisions.append({**bare, "name": name, "createTime": made})
    world["revisions"] = revisions
    service["traffic"] = [
        {"type": REVISION, "revision": LEGACY, "percent": 100},
        {"type": REVISION, "revision": "storefront-c0000-abc", "tag": "known-good"},
    ]
    latest = revisions[-1]["name"]
    service["latestReadyRevision"] = service["latestCreatedRevision"] = latest
    line = next(e for e in world["logEntries"] if "textPayload" in e)
    world["logEntries"].append(
        {**line, "insertId": "legacy", "textPayload": f"connecting with {LEGACY_TOKEN} to db"}
    )
    return notification, world


def running(env: ResponderEnvironment) -> list[str]:
    """The executions that run in the world."""
    executions: Any = env.emulator.world.dump()["executions"]
    return [e["name"].rpartition("/")[2] for e in executions if "completionTime" not in e]


def run_emulator(folder: Path, notification: JsonDict, world: JsonDict, *options: str) -> Any:
    """What `emulator run` prints."""
    for name, content in (("finding", notification), ("world", world)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    (folder / "policy.yaml").write_text(ISOLATE)
    arguments = [str(folder / "finding.json"), "--world", str(folder / "world.json"), "--json"]
    arguments += ["--store", str(folder / "store"), *options]
    result = CliRunner().invoke(run_command, arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("policy", [STOP_JOBS, STOP_AND_CLOSE_JOBS])
@pytest.mark.parametrize(("newer", "size"), [(120, None), (120, 100), (30, 7), (5, 1)])
async def test_a_running_execution_behind_a_page_is_cancelled(
    tmp_path: Path, policy: str, newer: int, size: int | None
) -> None:
    """The job is contained only once the finding's execution has been read back as over."""
    world = job_world(newer, pages={} if size is None else {"size": size})
    async with responder_environment(
        tmp_path, notification=sample_notification(JOB_SAMPLE), world=world, policy_text=policy
    ) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "contained"
        assert [c["target"].rpartition("/")[2] for c in outcome["changes"] if c["stops"]] == [
            EXECUTION
        ]
        assert running(env) == []


def test_the_emulator_cancels_a_running_execution_behind_a_page(tmp_path: Path) -> None:
    """The same with `--mode enforce`, as somebody tries it on a laptop."""
    notification = sample_notification(JOB_SAMPLE)
    answer = run_emulator(tmp_path, notification, job_world(120), "--mode", "enforce")
    (outcome,) = answer["outcomes"]
    assert outcome["status"] == "contained"
    assert outcome["gaps"] == []
    assert [w["request"]["name"] for w in answer["writes"] if "CancelExecution" in w["method"]] == [
        f"projects/example-shop-prod/locations/europe-west1/jobs/nightly-report/executions/{EXECUTION}"
    ]


async def test_a_cut_list_of_executions_is_never_contained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The finding's execution is read by its name and cancelled; that others run is possible."""
    monkeypatch.setattr(cloud_run, "BOUNDS", SHORT)
    async with responder_environment(
        tmp_path,
        notification=sample_notification(JOB_SAMPLE),
        world=job_world(30),
        policy_text=STOP_JOBS,
        verify_timeout=timedelta(seconds=1),
    ) as env:
        result = await env.deliver()
        outcome: Any = result.outcome.to_json()
        assert outcome["status"] == "unverified"
        assert result.alarm
        assert running(env) == []
    (change,) = outcome["changes"]
    assert change["target"].endswith(EXECUTION)
    assert "whether another execution runs is not known: not all executions" in change["error"]
    gap = next(each for each in outcome["gaps"] if each["collector"] == "executions")
    assert "only the first 9 were read" in gap["reason"]


async def test_a_cut_list_without_running_executions_is_not_already_contained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is known to run, and that is not the same as that nothing runs: held, with alarm."""
    monkeypatch.setattr(cloud_run, "BOUNDS", SHORT)
    world = job_world(30)
    hidden = next(e for e in world["executions"] if e["name"].endswith(EXECUTION))
    hidden["name"] = hidden["name"].replace(EXECUTION, "nightly-report-hidden")
    async with responder_environment(
        tmp_path,
        notification=sample_notification(JOB_SAMPLE),
        world={**world, "tasks": []},
        policy_text=STOP_JOBS,
    ) as env:
        result = await env.deliver()
    outcome: Any = result.outcome.to_json()
    assert outcome["status"] == "held"
    assert result.alarm
    assert "whether an execution runs is not known: not all executions of" in str(
        outcome["decision"]["reasons"]
    )
    assert [each["collector"] for each in outcome["gaps"]].count("executions") == 1


@pytest.mark.parametrize(("newer", "cut"), [(51, False), (130, False), (130, True)])
async def test_the_revision_of_the_finding_is_found_behind_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newer: int, *, cut: bool
) -> None:
    """Its account and its secrets are reported, and its token is nowhere in the store."""
    if cut:
        monkeypatch.setattr(cloud_run, "BOUNDS", SHORT)
    notification, world = service_world(newer)
    async with responder_environment(tmp_path, notification=notification, world=world) as env:
        result = await env.deliver()
        outcome: Any = result.outcome.to_json()
        stored = env.stored_objects()
    assert (outcome["status"], result.alarm) == (("unverified", True) if cut else CONTAINED)
    exposure = str(outcome["assessment"])
    assert f"it runs as {LEGACY_ACCOUNT}" in exposure
    assert "legacy-db" in exposure
    assert not [path for path, data in stored.items() if LEGACY_TOKEN.encode() in data]
    assert any(b"connecting with" in data for path, data in stored.items() if "logs" in path)
    gaps = [each["reason"] for each in outcome["gaps"] if each["collector"] == "revisions"]
    assert len(gaps) == cut
    assert all("only the first 9 were read" in gap for gap in gaps)


@pytest.mark.parametrize("cut", [False, True])
async def test_a_revision_behind_a_page_is_isolated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, cut: bool
) -> None:
    """The affected revision and the known-good one are read by name where the list was cut."""
    if cut:
        monkeypatch.setattr(cloud_run, "BOUNDS", SHORT)
    notification, world = service_world(130)
    async with responder_environment(
        tmp_path, notification=notification, world=world, policy_text=ISOLATE
    ) as env:
        result = await env.deliver()
        traffic = env.service["traffic"]
    assert (result.outcome.status, result.alarm) == (("unverified", True) if cut else CONTAINED)
    assert {t["revision"]: t.get("percent") for t in traffic if t.get("percent")} == {
        "storefront-c0000-abc": 100
    }


@pytest.mark.parametrize("options", [("--mode", "enforce"), ("--policy", "policy.yaml")])
def test_the_emulator_finds_a_revision_behind_a_page(
    tmp_path: Path, options: tuple[str, str]
) -> None:
    """With the default policy and with one that isolates; the token is nowhere in the store."""
    notification, world = service_world(130)
    given = [str(tmp_path / each) if each.endswith(".yaml") else each for each in options]
    answer = run_emulator(tmp_path, notification, world, *given)
    (outcome,) = answer["outcomes"]
    assert outcome["status"] == "contained"
    assert f"it runs as {LEGACY_ACCOUNT}" in str(outcome["assessment"])
    stored = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert stored
    assert not [path for path in stored if LEGACY_TOKEN.encode() in path.read_bytes()]


@pytest.mark.parametrize("act", ["start", "let in"])
async def test_what_changes_between_the_pages_of_the_last_list_is_seen(
    tmp_path: Path, act: str
) -> None:
    """The policy is read after the list, and the job names an execution that is not in it."""
    acted: list[str] = []

    def interfere(point: CallPoint) -> None:
        cancelled = any("CancelExecution" in w.method for w in env.emulator.writes)
        pages = [c.method for c in env.emulator.calls if "ListExecutions" in c.method]
        if acted or not cancelled or point.phase != "after" or "ListExec" not in point.method:
            return
        listed.append(len(pages))
        if len(listed) < 2:  # the first page of the last list is there
            return
        acted.append(act)
        world = env.emulator.world
        if act == "let in":
            (policy,) = world.iam_policies.values()
            policy.bindings.add(role="roles/run.invoker", members=["allUsers"])
            policy.etag = b"another"
            return
        ((key, job),) = world.jobs.items()
        started = executions.new_execution(job, run_v2.RunJobRequest.Overrides())
        world.executions[f"{key}/executions/{started.name.rpartition('/')[2]}"] = started
        job.latest_created_execution = execution_phases.execution_reference(started)

    listed: list[int] = []
    async with responder_environment(
        tmp_path,
        notification=sample_notification(JOB_SAMPLE),
        world=job_world(30, pages={"size": 5}),
        policy_text=STOP_AND_CLOSE_JOBS,
        hook=interfere,
    ) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        assert acted == [act]
        assert running(env) == []
        (policy,) = env.emulator.world.iam_policies.values()
        assert "roles/run.invoker" not in [b.role for b in policy.bindings]
    assert outcome["status"] == "contained"
