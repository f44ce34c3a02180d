"""The outcome as an OCSF Detection Finding, held against the published schema."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from commands import cli
from incident.model import Connection, Status
from incident.model.outcome import Detected, Outcome
from incident.report.ocsf import OCSF_VERSION, detection_finding
from tests.support.constants import TOPIC
from tests.support.environment import responder_environment
from tests.support.findings import sample_notification
from tests.support.model import repeatable

SCHEMA = json.loads(
    (Path(__file__).parent / f"ocsf/detection_finding-{OCSF_VERSION}.json").read_bytes()
)
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
NOW = datetime(2026, 10, 2, 8, 15, tzinfo=UTC)


def event_of(outcome: Outcome) -> dict[str, Any]:
    """The event of an outcome, which the schema takes, and which is JSON."""
    event = dict(detection_finding(outcome, NOW))
    VALIDATOR.validate(json.loads(json.dumps(event)))
    return event


async def outcome_of(folder: Path, sample: str = "cloud-run-service") -> Outcome:
    """The outcome of a sample, contained where the policy can."""
    policy = (
        "mode: enforce\ncontain: {service: [scale-to-zero], worker-pool: [scale-to-zero],"
        " job: [cancel-executions]}\n"
    )
    async with responder_environment(
        folder,
        notification=sample_notification(sample),
        policy_text=policy,
        after_s=400,
        VIRUSTOTAL_API_KEY="key",
    ) as env:
        return (await env.deliver()).outcome


def test_the_schema_is_what_it_is_taken_for() -> None:
    """The pinned version and class; what it does not know, it refuses."""
    Draft202012Validator.check_schema(SCHEMA)
    assert f"/{OCSF_VERSION}/classes/detection_finding" in SCHEMA["$id"]
    event = event_of(Outcome(Status.HELD))
    assert not VALIDATOR.is_valid({**event, "verdict": "x"})
    assert not VALIDATOR.is_valid({**event, "severity_id": 7})
    assert not VALIDATOR.is_valid({**event, "finding_info": {"title": "x"}})


async def test_a_containment_is_a_detection_finding(tmp_path: Path) -> None:
    """What, where, how bad, what was done, what to search for."""
    outcome = await outcome_of(tmp_path)
    event = event_of(outcome)
    assert (event["class_uid"], event["type_uid"], event["activity_id"]) == (2004, 200401, 1)
    assert (event["severity_id"], event["confidence_id"], event["status_id"]) == (5, 3, 2)
    assert (event["action_id"], event["disposition_id"]) == (2, 2)
    assert (event["status"], event["is_alert"]) == ("contained", False)
    assert event["metadata"]["labels"] == ["simulated"]
    assert event["message"].startswith("SIMULATED CONTAINED storefront: ")
    assert event_of(replace(outcome, simulated=None))["is_alert"]
    assert event["time"] == 1790928847318
    assert event["metadata"]["version"] == OCSF_VERSION
    assert event["metadata"]["correlation_uid"] == "20261002-6255b37a8bf0"
    assert event["cloud"] == {
        "provider": "GCP",
        "region": "europe-west1",
        "account": {"uid": "example-shop-prod", "type_id": 11},
    }
    (resource,) = event["resources"]
    workload = "projects/example-shop-prod/locations/europe-west1/services/storefront"
    assert resource["uid"] == f"//run.googleapis.com/{workload}"
    assert {each["technique"]["uid"] for each in event["finding_info"]["attacks"]} == {
        "T1105",
        "T1106",
    }
    process = event["evidences"][0]["process"]
    sha256 = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"
    assert process["file"]["hashes"] == [{"algorithm_id": 3, "value": sha256}]
    assert process["file"]["path"] == "/usr/local/bin/healthcheck"
    observed = {each["type_id"]: each["value"] for each in event["observables"]}
    assert (observed[8], observed[10]) == (sha256, resource["uid"])
    assert event["enrichments"][0]["data"]["malicious"] == 58
    assert event["unmapped"]["changes"][0]["state"] == "verified"
    assert event["unmapped"]["rule"] == "defaults"


@pytest.mark.parametrize(
    "sample",
    [
        "v1-job-execution",
        "worker-pool-without-containers",
        "reverse-shell",
        "malicious-url",
        "malicious-script",
        "without-resource",
        "detector-disagrees",
        "several-processes",
        "unknown-finding-type",
    ],
)
async def test_every_kind_of_finding_is_valid(tmp_path: Path, sample: str) -> None:
    """Jobs, pools, scripts, connections, addresses, and what names no workload."""
    event_of(await outcome_of(tmp_path, sample))


async def test_every_status_is_valid(tmp_path: Path) -> None:
    """Of a whole outcome, and of one that has nothing else."""
    outcome = await outcome_of(tmp_path)
    for status in Status:
        event = event_of(replace(outcome, status=status))
        assert event["status"] == status.value
        event_of(Outcome(status))
        contained = status is Status.CONTAINED
        assert (event["disposition_id"] == 2) is contained
    assert event_of(replace(outcome, status=Status.RELEASED))["type_uid"] == 200402


async def test_the_topic_gets_ocsf_where_a_setting_says_so(tmp_path: Path) -> None:
    """Valid, and with an attribute that tells it from an outcome."""
    async with responder_environment(tmp_path, topic=TOPIC, topic_format="ocsf") as env:
        await env.deliver()
        published: Any = env.emulator.world.dump()["published"]
    (message,) = published
    event = message["data"]
    VALIDATOR.validate(event)
    assert event["status"] == "contained"
    assert message["attributes"]["format"] == "ocsf"


async def test_show_prints_the_event(tmp_path: Path) -> None:
    """One JSON value and nothing else; of the newest outcome."""
    async with responder_environment(tmp_path) as env:
        incident = (await env.deliver()).outcome.incident
        command = ["show", str(incident), "--format=ocsf"]
        environment = {"RESPONDER_STORE": env.settings.store}
        result = await asyncio.to_thread(CliRunner().invoke, cli, command, env=environment)
    assert result.exit_code == 0, result.output
    event = json.loads(result.stdout)
    VALIDATOR.validate(event)
    assert event["metadata"]["correlation_uid"] == incident


def test_connection_addresses_and_a_partial_hash() -> None:
    """What was detected without a process; a hash of a beginning is not the file's."""
    detected = Detected(
        binary_path="/tmp/x",  # noqa: S108 - a path in a container
        sha256="ab" * 32,
        hash_is_partial=True,
        urls=("https://evil.example/x",),
        connection=Connection("203.0.113.7", 4444, "", None),
    )
    event = event_of(Outcome(Status.HELD, detected=detected))
    assert event["evidences"] == [
        {"file": {"name": "x", "path": "/tmp/x", "type_id": 1}},  # noqa: S108 - the same
        {"dst_endpoint": {"ip": "203.0.113.7", "port": 4444}},
        {"url": {"url_string": "https://evil.example/x"}},
    ]
    assert 8 not in [each["type_id"] for each in event["observables"]]


@repeatable
@given(st.text(max_size=50), st.sampled_from(list(Status)))
def test_hostile_texts_stay_texts(hostile: str, status: Status) -> None:
    """Any text in any place of what was detected is valid, be it empty."""
    detected = Detected(
        binary_path=hostile,
        process=hostile,
        pid=1,
        arguments=(hostile,),
        sha256=hostile,
        urls=(hostile,),
        container=hostile,
        image=hostile,
    )
    event_of(Outcome(status, incident=hostile, responder=hostile, rule=hostile, detected=detected))
