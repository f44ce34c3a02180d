"""Alerts and runbooks: every line that needs a person reaches one, with words that help."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.cloud.logging_v2.types import ListLogEntriesRequest

from emulator.services.cloud_logging.list_entries import Logging
from emulator.world.state import parse_world
from incident.model import Kind, Status
from incident.model.outcome import Outcome, ReportedDecision, ReportedFinding, ReportedWorkload
from incident.patrol import log as patrol_log
from incident.patrol.checked_containment import CheckState, ContainmentCheck
from incident.patrol.round import PatrolFault, RoundResult
from incident.patrol.unfinished import UnfinishedIncident
from incident.response import log
from incident.response.deliveries import RetryDelivery
from incident.response.response import Response
from tests.deploy.terraform import DEPLOY, GIVEN, log_alerts, module, source
from tests.support.constants import CONTAINMENTS_FOLDER, INCIDENT_ID, SERVICE
from tests.support.environment import (
    JsonDict,
    ResponderEnvironment,
    captured_output,
    deliver_and_log,
    policy_yaml,
    responder_environment,
)
from tests.support.findings import findings_on_other_workloads, sample_notification
from tests.support.model import finding
from tests.support.worlds import world_around as around
from tests.support.worlds import world_around_all

PROJECT = GIVEN["project_id"]
RUNBOOKS = DEPLOY / "runbooks"
#: The least time between two notifications, and the longest filter, that a log condition takes.
SHORTEST_PAUSE_S = 300
LONGEST_FILTER = 2000
#: Words of runbooks that Monitoring fills in, and the label of the log line that it takes.
LABELLED = {"INCIDENT_ID": "incident", "WORKLOAD_NAME": "workload", "PRINCIPAL": "principal"}
PLACEHOLDERS = {"PROJECT_ID", "DEPLOYMENT", "REGION", *LABELLED}


def as_log_entry(line: str, name: str, service: str = "threat-responder-respond") -> JsonDict:
    """A printed line as Cloud Logging keeps it: severity and time are taken out of the payload."""
    payload = json.loads(line)
    return {
        "logName": f"projects/{PROJECT}/logs/run.googleapis.com%2Fstdout",
        "timestamp": payload.pop("time"),
        "severity": payload.pop("severity"),
        "insertId": name,
        "resource": {
            "type": "cloud_run_revision",
            "labels": {"service_name": service, "location": GIVEN["region"]},
        },
        "jsonPayload": payload,
    }


async def alerts_on(*entries: JsonDict) -> dict[str, set[str]]:
    """Which alerts' filters match which entries, by the entries' names."""
    world = {"projects": [{"projectId": PROJECT, "projectNumber": "42"}], "logEntries": entries}
    google = Logging(parse_world(json.loads(json.dumps(world)), source="test"))
    matched: dict[str, set[str]] = {str(entry["insertId"]): set() for entry in entries}
    for name, alert in log_alerts().items():
        request = ListLogEntriesRequest(
            resource_names=[f"projects/{PROJECT}"],
            filter=module().text(alert["filter"]),
            page_size=1000,
        )
        for entry in (await google.list_entries(request)).entries:
            matched[entry.insert_id].add(name)
    return matched


async def alerts_of(printed: str) -> set[str]:
    """The alerts that the printed lines raise, each at most once: nobody is paged twice."""
    lines = [as_log_entry(line, str(at)) for at, line in enumerate(printed.splitlines())]
    raised = [alert for of_one in (await alerts_on(*lines)).values() for alert in of_one]
    assert len(raised) == len(set(raised))
    return set(raised)


def world_with_fault(method: str, code: str) -> JsonDict:
    """A world in which a call always fails."""
    return around(sample_notification(), faults=[{"method": method, "code": code, "times": 1000}])


def inactive() -> JsonDict:
    """The sample's notification, once somebody has closed the finding."""
    message = sample_notification()
    message["finding"]["state"] = "INACTIVE"
    return message


# Every way an incident ends, and who hears of it.
ENDS: list[Any] = [
    pytest.param({"policy_text": policy_yaml("dry-run")}, "planned", set(), id="dry run"),
    pytest.param({}, "contained", {"contained"}, id="contained"),
    pytest.param({"policy_text": policy_yaml("approve")}, "awaiting-approval",
    {"awaiting-approval"},
                 id="waiting for approval"),
    pytest.param({"policy_text": "mode: enforce\ncontain: {service: [restrict-ingress]}\n"},
                 "restricted", {"restricted"}, id="restricted"),
    pytest.param({"world": world_with_fault("UpdateService", "PERMISSION_DENIED")}, "failed",
    {"failed"},
                 id="failed"),
    pytest.param({"world": around(sample_notification(), latency={"reconcile": "3600s"}),
                  "verify_timeout": timedelta(milliseconds=50)},
                 "unverified", {"unverified"}, id="unverified"),
    pytest.param({"policy_text": policy_yaml(extra="guards: {max_containments_per_hour: 0}\n")},
                 "held", {"held"}, id="held by the cap"),
    pytest.param({"policy_text": policy_yaml(extra="protect: [{labels: {env: '*'}}]\n")},
                 "held", {"held"}, id="held by a label"),
    pytest.param({"policy_text": policy_yaml(extra="protect: [{projects: ['*']}]\n")},
                 "held", set(), id="held as the operator wants it"),
    pytest.param({"policy_text": "mode: enforce\nsurprise: 1\n"}, "held", {"policy-invalid"},
                 id="policy with a mistake"),
    pytest.param({"policy": ""}, "held", {"policy-invalid"}, id="no policy named"),
    pytest.param({"policy": "/nowhere/policy.yaml"}, "held", {"policy-invalid"}, id="no policy"),
    pytest.param({"notification": inactive()}, "ignored", set(), id="ignored"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "status", "expected"), ENDS)
async def test_each_outcome_raises_the_expected_alerts(
    tmp_path: Path, given: dict[str, Any], status: str, expected: set[str]
) -> None:
    """What the function prints on the real road is matched by the filters of Terraform."""
    async with responder_environment(tmp_path, **given) as env:
        answer, printed = await deliver_and_log(env)
    assert answer is not None
    assert answer.outcome.status == status
    assert await alerts_of(printed) == expected


async def test_a_malformed_message_raises_its_own_alert(tmp_path: Path) -> None:
    """The alert names quarantined messages as such."""
    async with responder_environment(tmp_path) as env:
        _, printed = await deliver_and_log(env, b"not a notification")
    assert await alerts_of(printed) == {"malformed"}


async def test_a_fault_that_time_heals_raises_nothing(tmp_path: Path) -> None:
    """Pub/Sub brings the message again, and the backlog's alert watches over that."""
    async with responder_environment(
        tmp_path, world=around(sample_notification(), findings=[])
    ) as env:
        answer, printed = await deliver_and_log(env)
    assert answer is None
    assert await alerts_of(printed) == set()


def outcome(status: Status) -> Outcome:
    """An outcome with what logs and alerts look at."""
    workload = ReportedWorkload(Kind.SERVICE, "", None, "", "", "services/x")
    decision = ReportedDecision(reasons=("because",))
    finding = ReportedFinding("finding-1")
    return Outcome(status, INCIDENT_ID, finding, workload, decision=decision)


def all_log_lines() -> dict[str, str]:
    """Every kind of line that the functions print, by what it is about."""

    def line(write: Callable[[], None]) -> str:
        with captured_output() as output:
            write()
        return output.getvalue()

    lines = {
        f"{status} {'with' if alarm else 'without'} alarm": line(
            lambda status=status, alarm=alarm: log.delivery_answered(  # type: ignore[misc]
                Response(outcome(status), alarm=alarm), None
            )
        )
        for status in Status
        for alarm in (True, False)
    }
    for urgent in (True, False):
        again = RetryDelivery("the store does not answer", finding(), urgent=urgent)
        lines[f"retried, urgent {urgent}"] = line(
            functools.partial(log.delivery_retried, again, None)
        )
    lines["a fault of ours"] = line(lambda: log.internal_error("it failed", ValueError("x"), None))
    return lines


@pytest.mark.parametrize("service", ["threat-responder-respond", "threat-responder-patrol"])
async def test_every_error_line_raises_an_alert(service: str) -> None:
    """Each line of severity ERROR raises an alert, whichever function prints it."""
    entries = [as_log_entry(line, name, service) for name, line in all_log_lines().items()]
    matched = await alerts_on(*entries)
    urgent = {str(entry["insertId"]) for entry in entries if entry["severity"] == "ERROR"}
    assert urgent
    assert {name for name in urgent if not matched[name]} == set()


async def test_lines_that_need_no_action_raise_no_alert() -> None:
    """What is not an error raises an alert only where somebody should know of it."""
    entries = [as_log_entry(line, name) for name, line in all_log_lines().items()]
    matched = await alerts_on(*entries)
    calm = {str(entry["insertId"]) for entry in entries if entry["severity"] != "ERROR"}
    raised = set().union(*(matched[name] for name in calm))
    assert raised == {"contained", "restricted", "awaiting-approval"}


def patrol_lines(**found: Any) -> list[str]:
    """The lines that the patrol prints of a round."""
    with captured_output() as output:
        patrol_log.log_round(RoundResult(**found), None)
    return output.getvalue().splitlines()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param({}, [set()], id="all stands"),
        pytest.param(
            {"checks": [ContainmentCheck(CheckState.REVERTED, SERVICE, incidents=(INCIDENT_ID,))]},
            [{"patrol-reverted"}, set()],
            id="something was lifted",
        ),
        pytest.param(
            {"faults": [PatrolFault("containments/x", "no answer")]},
            [{"patrol-reverted"}, set()],
            id="it could not look",
        ),
        pytest.param(
            {"incidents": [UnfinishedIncident(INCIDENT_ID, None, "not permitted")]},
            [{"patrol-reverted"}, set()],
            id="an incident stays unfinished",
        ),
        pytest.param(
            {"problem": "gs://sec-responder-threat-responder-policy/policy.yaml:1: unknown key"},
            [{"policy-invalid"}],
            id="no policy",
        ),
        pytest.param(
            {"problem": "cannot read the policy: the store does not answer (HTTP 503)"},
            [{"cannot-finish"}],
            id="the policy's store does not answer",
        ),
    ],
)
async def test_a_patrol_finding_raises_one_alert(
    found: dict[str, Any], expected: list[set[str]]
) -> None:
    """Each thing that it found raises its alert; the line that sums them up does not repeat it."""
    entries = [
        as_log_entry(line, f"line {number}", "threat-responder-patrol")
        for number, line in enumerate(patrol_lines(**found))
    ]
    assert [*(await alerts_on(*entries)).values()] == expected


def extracted(entry: JsonDict, expression: str) -> str:
    """What a label is filled with: a field of the entry, as a text."""
    path = re.fullmatch(r"EXTRACT\(([a-zA-Z.]+)\)", expression)
    assert path
    value: Any = entry
    for piece in path[1].split("."):
        value = value[piece]
    return str(value or "")


async def test_alerts_of_two_containments_are_separate(tmp_path: Path) -> None:
    """What Monitoring notifies apart differs between workloads, and names incident and workload."""
    fields = module().locals["label_fields"]
    seen = []
    first, second = findings_on_other_workloads(sample_notification(), 2)
    async with responder_environment(
        tmp_path, notification=first, world=world_around_all([first, second])
    ) as env:
        for message in (first, second):
            answer, printed = await deliver_and_log(env, message)
            assert answer is not None
            assert await alerts_of(printed) == {"contained"}
            entry = as_log_entry(printed.splitlines()[0], "x")
            labels = [extracted(entry, fields[label]) for label in log_alerts()["contained"]["by"]]
            place: Any = answer.outcome.to_json()["workload"]
            assert labels == [answer.outcome.incident, place["resource_name"]]
            seen.append(labels)
    assert seen[0] != seen[1]


def test_event_alerts_match_log_lines_directly() -> None:
    """No metric in between, whose open incident would swallow the next event."""
    body = module().one("google_monitoring_alert_policy", "log_alert")
    (condition,) = body["conditions"]  # with a log condition Google takes no other beside it
    assert set(condition) == {"display_name", "condition_matched_log"}
    assert body["alert_strategy"][0]["notification_rate_limit"] == [
        {"period": "${each.value.again}"}
    ]
    for name, alert in log_alerts().items():
        assert int(alert["again"].removesuffix("s")) >= SHORTEST_PAUSE_S, name
        assert set(alert["by"]) <= set(module().locals["label_fields"]), name
        assert len(module().text(alert["filter"])) <= LONGEST_FILTER, name


@pytest.mark.parametrize("name", ["held", "malformed", "cannot-finish", "patrol-reverted"])
def test_noisy_events_do_not_suppress_other_alerts(name: str) -> None:
    """Frequent events make one alert for all incidents and have a longer pause."""
    assert "incident" not in log_alerts()[name]["by"]
    assert int(log_alerts()[name]["again"].removesuffix("s")) > SHORTEST_PAUSE_S


def test_a_condition_on_a_metric_has_no_pause() -> None:
    """Google refuses a rate limit on a policy without a log condition."""
    for name, body in module().all("google_monitoring_alert_policy").items():
        limited = "notification_rate_limit" in body["alert_strategy"][0]
        assert limited == (name == "log_alert")


async def test_a_lookalike_raises_nothing() -> None:
    """A workload that prints our lines is not us, nor is another log of our own service."""
    entries = []
    for number, (name, line) in enumerate(all_log_lines().items()):
        entry = as_log_entry(line, f"{name} {number}", "storefront")
        other_log = as_log_entry(line, f"{name} {number} stderr")
        other_log["logName"] = f"projects/{PROJECT}/logs/run.googleapis.com%2Fstderr"
        entries += [entry, other_log]
    assert set().union(*(await alerts_on(*entries)).values()) == set()


@pytest.mark.parametrize(
    ("method", "heard"),
    [
        ("storage.objects.create", True),
        ("storage.objects.delete", True),
        ("storage.setIamPermissions", True),
        ("storage.objects.get", False),
    ],
)
@pytest.mark.parametrize("bucket", ["policy", "evidence"])
async def test_a_changed_policy_raises_an_alert(method: str, bucket: str, *, heard: bool) -> None:
    """Writing to the policy's bucket, or opening it, raises an alert; records do not."""
    entry = {
        "logName": f"projects/{PROJECT}/logs/cloudaudit.googleapis.com%2Fdata_access",
        "timestamp": "2026-10-02T08:14:07Z",
        "insertId": "x",
        "resource": {
            "type": "gcs_bucket",
            "labels": {"bucket_name": f"{PROJECT}-threat-responder-{bucket}"},
        },
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "methodName": method,
            "authenticationInfo": {"principalEmail": "someone@example.com"},
        },
    }
    expected = {"policy-changed"} if heard and bucket == "policy" else set()
    assert (await alerts_on(entry))["x"] == expected


def metric_value(printed: str) -> Any:
    """What the metric of the time to contain extracts from a line."""
    metric = module().one("google_logging_metric", "time_to_contain")
    assert metric["metric_descriptor"][0]["unit"] == "s"
    path = re.fullmatch(r"EXTRACT\(jsonPayload\.([a-z_]+)\)", str(metric["value_extractor"]))
    assert path
    return json.loads(printed.splitlines()[0])[path[1]]


def record_times(env: ResponderEnvironment, pattern: str, kind: str) -> list[datetime]:
    """When records of a kind were written."""
    found = [env.read_record(path) for path in env.stored_objects(f"{pattern}/*-{kind}.json")]
    return [datetime.fromisoformat(record["recorded_at"]) for record in found]


async def test_the_time_to_contain_ends_at_the_read_back(tmp_path: Path) -> None:
    """From the publication, over the write, to the read-back; not to the end of the evidence."""
    async with responder_environment(tmp_path) as env:
        assert env.settings.now
        published = env.settings.now - timedelta(seconds=90)
        _, printed = await deliver_and_log(env, published=published)
        seen = published + timedelta(seconds=metric_value(printed))
        (written,) = record_times(env, f"{CONTAINMENTS_FOLDER}/1", "written")
        (verified,) = record_times(env, f"{CONTAINMENTS_FOLDER}/1", "verified")
        (concluded,) = record_times(env, "incidents/*", "concluded")
    assert written < seen < verified + timedelta(milliseconds=1) < concluded
    assert metric_value(printed) > 90


async def test_the_time_to_contain_is_in_the_line_of_the_outcome(tmp_path: Path) -> None:
    """A delivery that only finishes tells when the one before it had seen the stop."""
    faults = [{"method": "UpdateSecurityMarks", "code": "INTERNAL", "times": 1}]
    async with responder_environment(
        tmp_path, world=around(sample_notification(), faults=faults)
    ) as env:
        published = env.settings.now
        assert published
        answer, _ = await deliver_and_log(env, published=published)
        assert answer is None
        _, printed = await deliver_and_log(env.later(3600), published=published)
        (contained,) = record_times(env, "incidents/*", "contained")
    assert metric_value(printed) == round((contained - published).total_seconds(), 3)
    assert metric_value(printed) < 3600


@pytest.mark.parametrize(
    ("policy_text", "published"),
    [
        pytest.param(policy_yaml("dry-run"), True, id="dry run"),
        pytest.param(
            "mode: enforce\ncontain: {service: [restrict-ingress]}\n", True, id="restricted"
        ),
        pytest.param(policy_yaml(), False, id="published nobody knows when"),
    ],
)
async def test_what_is_no_containment_has_no_time_to_contain(
    tmp_path: Path, policy_text: str, *, published: bool
) -> None:
    """The metric counts containments only, and makes nothing up."""
    async with responder_environment(tmp_path, policy_text=policy_text) as env:
        _, printed = await deliver_and_log(env, published=env.settings.now if published else None)
    assert metric_value(printed) is None


def test_the_buckets_of_the_metric_tell_a_minute_from_a_little_more() -> None:
    """Each is at most a tenth longer than the one before, up to what deliveries last."""
    metric = module().one("google_logging_metric", "time_to_contain")
    buckets = metric["bucket_options"][0]["exponential_buckets"][0]
    assert buckets["growth_factor"] <= 1.1
    seven_hours_s = 7 * 60 * 60
    longest_s = buckets["scale"] * buckets["growth_factor"] ** buckets["num_finite_buckets"]
    assert longest_s > seven_hours_s


@pytest.mark.parametrize(
    ("taken_s", "late"), [(None, False), (60, False), (60.001, True), (7200, True)]
)
async def test_a_late_containment_is_heard_of(taken_s: float | None, *, late: bool) -> None:
    """Measured in the unit of its threshold, on the line itself."""
    line = {
        "severity": "INFO",
        "time": "2026-10-02T08:14:07Z",
        "time_to_contain_s": taken_s,
        "outcome": outcome(Status.CONTAINED).to_json(),
    }
    (raised,) = (await alerts_on(as_log_entry(json.dumps(line), "x"))).values()
    assert raised == {"contained", *(["slow-containment"] if late else [])}


def test_the_names_that_are_filled_in_are_the_ones_used() -> None:
    """Terraform replaces each placeholder, and no other word."""
    replaced = set(re.findall(r'"([A-Z_]{3,})", (?:var|"\$\$)', source()))
    for word, label in LABELLED.items():
        assert f'"{word}", "$${{log.extracted_label.{label}}}"' in source()
    assert replaced == PLACEHOLDERS
