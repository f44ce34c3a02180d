"""Backtest of a policy: exactly the incidents that it would have decided otherwise."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from clients import Settings
from clients.store import open_store
from incident.model import Mode
from incident.policy.resolve import parse_policy
from incident.readiness.backtest import Backtest, backtest
from responders import route
from tests.support.environment import responder_environment
from tests.support.findings import (
    findings_on_other_workloads,
    sample_notification,
    similar_findings,
)
from tests.support.worlds import world_around, world_around_all

THEN = """
mode: enforce
contain:
  service: [scale-to-zero]
  worker-pool: [scale-to-zero]
  job: [cancel-executions, require-authentication]
rules:
  - name: jobs wait
    match: {jobs: ["*"]}
    mode: approve
guards: {max_per_project_per_hour: 4}
"""
SHELL_CATEGORY = "Reverse Shell"


async def _deliver_all(folder: Path) -> dict[str, str]:
    """Incidents of all kinds in one store; returns their ids by a name for each."""
    service, job, pool, shell, disagreeing = (
        sample_notification(name)
        for name in (
            "cloud-run-service",
            "v1-job-execution",
            "worker-pool-without-containers",
            "reverse-shell",
            "detector-disagrees",
        )
    )
    second, unlisted = similar_findings(service, 2)
    others = findings_on_other_workloads(service, 3, project="7")
    listed = {
        "service": service,
        "job": job,
        "pool": pool,
        "shell": shell,
        "disagreeing": disagreeing,
        "second": second,
        **{f"other-{at}": each for at, each in enumerate(others)},
    }
    incidents = {}
    async with responder_environment(
        folder, world=world_around_all(list(listed.values())), policy_text=THEN, after_s=400
    ) as env:
        for name, message in {**listed, "unlisted": unlisted}.items():
            outcome = (await env.deliver(message)).outcome
            incidents[name] = str(outcome.incident)
    return incidents


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with a store of incidents, and their ids; tests only read it."""
    folder = tmp_path_factory.mktemp("backtest")
    return folder, asyncio.run(_deliver_all(folder))


async def result_of(folder: Path, policy: str, **options: Any) -> Backtest:
    """The backtest of a policy on the store in a folder."""
    store = open_store(Settings(store=str(folder / "store")))
    return await backtest(store, parse_policy(policy, source="new.yaml"), route, **options)


async def test_the_policy_of_then_decides_everything_as_it_did(
    recorded: tuple[Path, dict[str, str]],
) -> None:
    """Every incident is judged, none differs, and nothing is written."""
    folder, incidents = recorded
    before = sorted((folder / "store").rglob("*"))
    result = await result_of(folder, THEN)
    assert {each.incident[:21] for each in result.judged} == {
        each[:21] for each in incidents.values()
    }
    assert (result.differing, result.by_another_rule, result.not_judged) == ((), (), ())
    assert sorted((folder / "store").rglob("*")) == before


SERVICES = {"service", "second", "other-0", "other-1", "other-2"}


@pytest.mark.parametrize(
    ("old", "new", "differing"),
    [
        pytest.param("mode: enforce", "mode: approve", {*SERVICES, "pool"}, id="mode"),
        pytest.param(
            "rules:",
            "protect: [{services: [storefront], regions: [europe-*]}]\nrules:",
            {"service", "second"},
            id="protected",
        ),
        pytest.param(
            "[cancel-executions, require-authentication]",
            "[cancel-executions]",
            {"job"},
            id="action",
        ),
        pytest.param("    mode: approve", "    mode: enforce", {"job"}, id="rule's mode"),
        pytest.param("jobs wait", "nightly jobs", set(), id="rule's name"),
        pytest.param(
            "mode: enforce\n",
            f'mode: enforce\ncategories: ["{SHELL_CATEGORY}"]\n',
            {*SERVICES, "pool", "job", "shell"},
            id="category",
        ),
        pytest.param(
            "max_per_project_per_hour: 4",
            "max_per_project_per_hour: 1",
            {"job", "pool", "other-1", "other-2"},
            id="a lower cap, counted anew",
        ),
        pytest.param(
            "max_per_project_per_hour: 4",
            "max_finding_age: 1s",
            {*SERVICES, "pool", "job"},
            id="age",
        ),
        pytest.param(
            "guards:",
            "virustotal: {min_malicious: 100}\nguards:",
            {*SERVICES, "pool", "job"},
            id="VirusTotal",
        ),
        pytest.param(
            "service: [scale-to-zero]", "service: [restrict-ingress]", SERVICES, id="another action"
        ),
    ],
)
async def test_exactly_the_incidents_that_differ_are_named(
    recorded: tuple[Path, dict[str, str]], old: str, new: str, differing: set[str]
) -> None:
    """Each change of the policy changes the incidents that it is about, and no other."""
    folder, incidents = recorded
    assert old in THEN
    result = await result_of(folder, THEN.replace(old, new, 1))
    names = {incident: name for name, incident in incidents.items()}
    assert {names[each.incident] for each in result.differing} == differing
    renamed = {names[each.incident] for each in result.by_another_rule}
    assert renamed == ({"job"} if new == "nightly jobs" else set())


async def test_what_was_a_dry_run_is_compared_under_the_ceiling_of_then(tmp_path: Path) -> None:
    """RESPONDER_MODE is no difference of the policy, unless one is asked for."""
    async with responder_environment(tmp_path, mode=Mode.DRY_RUN) as env:
        policy = (env.folder / "policy.yaml").read_text()
        assert (await env.deliver()).outcome.status == "planned"
        assert not (await result_of(tmp_path, policy)).differing
        (only,) = (await result_of(tmp_path, policy, ceiling=Mode.ENFORCE)).differing
        assert (only.recorded.mode, only.tested.mode) == (Mode.DRY_RUN, Mode.ENFORCE)
        # The incident that then acts counts instead of its dry run.
        acting = env.settings.model_copy(update={"mode": Mode.ENFORCE})
        env.settings = acting
        env.processes.clear()
        assert (await env.deliver()).outcome.status == "contained"
        (only,) = (await result_of(tmp_path, policy)).judged
        assert only.recorded.mode is Mode.ENFORCE


async def test_the_responder_itself_is_held_as_it_was(tmp_path: Path) -> None:
    """The guard that protects the responder knew its name then."""
    async with responder_environment(tmp_path, K_SERVICE="storefront") as env:
        assert (await env.deliver()).outcome.status == "held"
        policy = (env.folder / "policy.yaml").read_text()
        (only,) = (await result_of(tmp_path, policy)).judged
        assert not only.differs
        assert "the responder itself" in only.tested.reasons[0]


async def test_incidents_that_cannot_be_judged_are_named_with_the_reason(tmp_path: Path) -> None:
    """Settings that could not be read, a case file without a decision, one of somebody else."""
    fault = {"method": "GetService", "code": "PERMISSION_DENIED"}
    world = world_around(sample_notification(), faults=[fault])
    async with responder_environment(tmp_path, world=world) as env:
        incident = str((await env.deliver()).outcome.incident)
        store = tmp_path / "store/incidents"
        begun, foreign = store / "20261002-000000000001", store / "20261002-000000000002"
        record = {"kind": "received", "recorded_at": "2026-10-02T08:00:00Z", "run": "x"}
        for folder, text in ((begun, json.dumps(record)), (foreign, "garbage")):
            folder.mkdir()
            (folder / "0001-received.json").write_text(text)
        result = await result_of(tmp_path, (env.folder / "policy.yaml").read_text())
        assert result.judged == ()
        reasons = dict(result.not_judged)
        assert reasons.pop(incident) == "the workload's settings could not be read then"
        assert reasons.pop(begun.name) == "no decision is on record"
        assert "it is not a JSON object" in reasons.pop(f"incidents/{foreign.name}")
        assert not reasons


async def test_a_key_that_is_newer_than_the_record_has_its_default(tmp_path: Path) -> None:
    """A new version of the responder judges what an older one recorded."""
    async with responder_environment(tmp_path) as env:
        incident = str((await env.deliver()).outcome.incident)
        file = tmp_path / "store/incidents" / incident / "evidence/settings.json"
        settings = json.loads(file.read_text())
        del settings["iap_enabled"], settings["template"]["secret_uses"]
        file.write_text(json.dumps(settings))
        result = await result_of(tmp_path, (env.folder / "policy.yaml").read_text())
        assert [each.differs for each in result.judged] == [False]


@pytest.mark.parametrize(
    ("path", "old", "new", "reason"),
    [
        ("evidence/settings.json", '"observed_generation": ', '"observed_generation": 1.', "gener"),
        ("evidence/settings.json", '"iap_enabled": false', '"iap_enabled": "no"', "iap_enabled"),
        ("evidence/settings.json", '"template": {', '"template": [{', "is not JSON"),
        ("evidence/settings.json", '"uid"', '"uids"', "evidence/settings.json cannot be read back"),
        ("evidence/finding.json", '"category"', '"categories"', "cannot be read back"),
        ("0002-decided.json", '"verdict"', '"verdicts"', "record of the decision is incomplete"),
    ],
)
async def test_evidence_that_cannot_be_read_back_judges_nothing(
    tmp_path: Path, path: str, old: str, new: str, reason: str
) -> None:
    """No decision is made of half of the facts."""
    async with responder_environment(tmp_path) as env:
        incident = str((await env.deliver()).outcome.incident)
        file = tmp_path / "store/incidents" / incident / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))
        result = await result_of(tmp_path, (env.folder / "policy.yaml").read_text())
        assert result.judged == ()
        ((named, why),) = result.not_judged
        assert named == incident
        assert reason in why
