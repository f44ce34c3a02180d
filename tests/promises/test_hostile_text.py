"""Finding text is hostile: whatever it says, it stays text; and a notification is only a claim."""

from __future__ import annotations

import copy
import json
import re
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from emulator.api import list_filters
from incident.response import log
from incident.response.deliveries import RetryDelivery
from incident.response.log import parse_trace
from incident.response.response import Response
from tests.support.constants import CONTAINMENTS_FOLDER, INCIDENT_ID, SERVICE, TOPIC
from tests.support.environment import (
    JsonDict,
    ResponderEnvironment,
    captured_output,
    deliver_and_log,
    policy_yaml,
    responder_environment,
)
from tests.support.findings import encode, sample_notification
from tests.support.worlds import service_of, world_around

_LARGEST_ENTRY = 256 * 1024  # what Cloud Logging takes as one entry
_OBJECT = re.compile(
    r"(?:incidents|dry-runs|claims)/[0-9]{8}-[0-9a-f]{12}(?:-[0-9a-f]{8})?/"
    r"(?:[0-9]{4}-[a-z-]+\.json|evidence/[a-z-]+\.json|logs\.jsonl|report\.html|manifest(-[0-9]+)?\.json)"
    r"|containments/[a-z][a-z0-9-]{4,28}[a-z0-9]/[a-z0-9-]+/service/[a-z][a-z0-9-]{0,62}"
    r"/[0-9]+/[0-9]{4}-[a-z]+\.json"
    r"|slots/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}/(?:all|projects/[a-z0-9-]+)/[0-9]{4}-(?:slot|[0-9a-f]{16})\.json"
    r"|quarantine/[0-9a-f]{64}\.json"
)
_OWN_LOGS = ("requests", "stdout", "stderr", "varlog%2Fsystem")
_RUN_LOGS = {f"projects/example-shop-prod/logs/run.googleapis.com%2F{log}" for log in _OWN_LOGS}
_AUDIT_LOGS = {
    f"projects/example-shop-prod/logs/cloudaudit.googleapis.com%2F{log}"
    for log in ("activity", "system_event")
}
_ALLOWED_COMPARISONS = {
    "resource_name": {"//run.googleapis.com/", "/services/storefront"},
    "logName": _RUN_LOGS | _AUDIT_LOGS,
    "resource.type": {"cloud_run_revision"},
    "resource.labels.service_name": {"storefront"},
    "resource.labels.location": {"europe-west1"},
}
_TIMES = {"event_time", "timestamp"}

_HOSTILE = {
    "filter": '" OR resource.type="gce_instance" OR logName="',
    "filter with an escape": '\\" OR name:"',
    "lines": 'one\ntwo\r\n{"severity":"ERROR","outcome":{"status":"contained"}}\n',
    "unicode lines": "one\u2028two\u2029three\x85four\x0bfive\x0csix",
    "terminal": "\x1b[2J\x1b[31mred\x1b]0;title\x07\x08\x7f\x9b31m",
    "NUL": "a\0b\0",
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;'\"",
    "right to left": "\u202etxt.exe\u2066\u2069\u200b\ufeff",
    "path": "../../../../etc/passwd",
    "encoded path": "..%2F..%2f%2e%2e%5c..\\..\\x/%00",
    "record name": f"incidents/{INCIDENT_ID}/1000-done.json",
    "format": "{} {0} {outcome} {0.__class__} %s %d %(message)s %n ${jndi:ldap://x} $(id) `id`",
    "template": "{{ 7 * 7 }}{% raw %}{# c #}[bold red]rich[/bold red][link=file:///]x[/link]",
    "JSON": '","status":"ignored","x":{"',
    "YAML": "!!python/object/apply:os.system ['id']\n---\nmode: enforce",
    "look-alike": "ѕtorefront ℝ ﬀ İ ß",  # noqa: RUF001 - that is the point
    "marks of ours": "[redacted:deadbeef][redacted:",
    "noncharacters": "\ufffe\uffff\U0010ffff\ud7ff\ue000",
    "spaces": "   \t  ",
    "number": "1e999999",
    "long": "A" * 10_000,
    "long markup": "<" * 10_000,
    "long announcement": "PWD=/" * 2_000,
}


def hostile_finding(text: str) -> JsonDict:
    """A notification whose every text that decides nothing is hostile."""
    notification = sample_notification()
    finding = notification["finding"]
    (process,) = finding["processes"]
    process["name"] = text
    process["binary"]["path"] = f"/{text}"
    process["binary"]["contents"] = text
    process["script"] = {"contents": text, "path": text}
    process["libraries"] = [{"path": text}]
    process["args"] = [text, "--flag", text, f"--flag={text}", "-H", text]
    process["envVariables"] = [{"name": text, "val": "x"}, {"name": "X", "val": f"v {text}"}]
    finding["processes"].append({"name": text, "args": [text]})
    finding["containers"][0] |= {
        "name": text,
        "uri": text,
        "labels": [{"name": text, "value": text}],
    }
    finding["containers"].append({"name": text, "uri": text, "imageId": text})
    finding["sourceProperties"] |= {
        "Text": text,
        "List": [text, {"args": [text]}],
        text: {text: text},
    }
    link = {"displayName": text, "url": f"https://www.virustotal.com/gui/file/{text}"}
    finding["sourceProperties"]["contextUris"] = {"virustotalIndicatorQueryUri": [link]}
    finding["contextUris"] = {"virustotalIndicatorQueryUri": [link]}
    finding["files"] = [{"path": text, "contents": text}]
    finding["indicator"] = {"uris": [text], "domains": [text], "ipAddresses": [text]}
    for key in ("description", "externalUri", "nextSteps", "moduleName"):
        finding[key] = text
    finding["contacts"] = {text: {"contacts": [{"email": text}]}}
    finding["mitreAttack"] = {"primaryTechniques": [text], "version": text}
    notification["resource"] |= {"displayName": text, "type": text, "service": text}
    return notification


def hostile_world(text: str, notification: JsonDict) -> JsonDict:
    """A world whose logs, annotations and related findings say the same."""
    world = world_around(notification)
    world["latency"] = {"reconcile": "1ms"}
    service_of(world)["annotations"] = {"example.com/note": text}
    own = notification["finding"]["name"]
    for entry in world["findings"]:
        if entry["finding"]["name"] != own:
            entry["finding"] |= {"category": f"Reverse Shell {text}", "description": text}
            entry["finding"]["processes"] = [{"name": text, "args": [text]}]
    model = next(entry for entry in world["logEntries"] if "textPayload" in entry)
    bare = {key: value for key, value in model.items() if key != "textPayload"}
    request = {"requestUrl": text, "referer": text, "userAgent": text, "requestMethod": text[:99]}
    payloads: list[JsonDict] = [
        {"textPayload": text},
        {"jsonPayload": {"message": text, text[:500] or "x": [text]}},
        {"httpRequest": request},
        {"textPayload": text, "labels": {"instanceId": text}, "trace": text, "severity": "ERROR"},
    ]
    for number, payload in enumerate(payloads):
        world["logEntries"].append({**bare, **payload, "insertId": f"hostile-{number}"})
    return world


@pytest.fixture
def filter_comparisons(monkeypatch: pytest.MonkeyPatch) -> list[list_filters.Comparison]:
    """Every comparison of every filter that arrives; one that does not parse is an error."""
    seen: list[list_filters.Comparison] = []
    original = list_filters.parse_filter

    def parse(text: str, dialect: list_filters.Dialect) -> list_filters.Node:
        try:
            node = original(text, dialect)
        except list_filters.FilterSyntaxError as error:
            pytest.fail(f"a filter does not parse: {text!r}: {error}")
        seen.extend(list_filters.comparisons(node))
        return node

    monkeypatch.setattr(list_filters, "parse_filter", parse)
    return seen


async def deliver_and_log_line(
    env: ResponderEnvironment, message: JsonDict | bytes | None = None
) -> tuple[Response | None, JsonDict]:
    """One delivery, answered and logged as the function does.

    Checks what holds whatever is delivered: nothing is raised but a retry, one line of bounded
    size is printed, which is one JSON object with an outcome, and every object's name has its
    form.
    """
    answer, printed = await deliver_and_log(env, message)
    assert printed.endswith("\n")
    lines = printed[:-1].split("\n")
    assert printed.splitlines() == lines, "the same lines, however lines are told apart"
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert all(len(line) < _LARGEST_ENTRY for line in lines)
    (line,) = [json.loads(line) for line in lines]
    assert "outcome" in line
    assert [path for path in env.stored_objects() if not _OBJECT.fullmatch(path)] == []
    return answer, line


async def status_of_delivery(
    env: ResponderEnvironment, message: JsonDict | bytes | None = None
) -> str:
    """The result of a delivery: a status, or ``retry``."""
    answer, _ = await deliver_and_log_line(env, message)
    return str(answer.outcome.status) if answer else "retry"


def compares_only_workload_names(asked: list[list_filters.Comparison]) -> bool:
    """Whether filters asked about the workload and about nothing else."""
    for comparison in asked:
        field, value = ".".join(comparison.path), comparison.value.text
        if field in _TIMES:
            datetime.fromisoformat(value)
        elif value not in _ALLOWED_COMPARISONS.get(field, set()):
            return False
    return bool(asked)


# Text that decides nothing.


@pytest.mark.parametrize("name", _HOSTILE)
async def test_hostile_text_changes_nothing_but_the_evidence(
    tmp_path: Path, name: str, filter_comparisons: list[list_filters.Comparison]
) -> None:
    """In every field of a finding and in its logs, it is contained, kept and reported bounded."""
    notification = hostile_finding(_HOSTILE[name])
    world = hostile_world(_HOSTILE[name], notification)
    async with responder_environment(
        tmp_path, notification=notification, world=world, topic=TOPIC
    ) as env:
        answer, line = await deliver_and_log_line(env)
        assert answer
        outcome: Any = answer.outcome.to_json()
        assert (outcome["status"], outcome["gaps"]) == ("contained", [])
        assert outcome["workload"]["resource_name"] == SERVICE
        assert line["message"].startswith(
            "SIMULATED CONTAINED storefront (example-shop-prod, europe-west1): "
        )
        assert line["message"].isprintable()
        assert len(line["message"]) < 600
        assert line["severity"] == "WARNING"
        assert line["outcome"] == outcome
        assert len(env.containment_writes) == 1
        (logs,) = env.stored_objects("incidents/*/logs.jsonl").values()
        entries = [json.loads(text) for text in logs.decode().split("\n") if text]
        assert len(entries) == len([e for e in world["logEntries"] if "protoPayload" not in e])
        assert {entry["written_by"] for entry in entries} == {
            "the workload: an attacker may have forged it"
        }
        (published,) = env.emulator.world.published
        assert published["attributes"]["status"] == "contained"
    assert compares_only_workload_names(filter_comparisons)


async def test_hostile_text_is_kept_as_it_was(tmp_path: Path) -> None:
    """What harms nobody in a JSON string is evidence, character by character."""
    kept = [_HOSTILE[name] for name in ("terminal", "NUL", "right to left", "format", "template")]
    notification = sample_notification()
    notification["finding"]["processes"][0]["args"] = kept
    async with responder_environment(tmp_path, notification=notification) as env:
        answer, line = await deliver_and_log_line(env)
        assert answer
        assert line["outcome"]["detected"]["arguments"] == kept
        (path,) = env.stored_objects("incidents/*/evidence/finding.json")
        assert env.read_record(path)["finding"]["processes"][0]["args"] == kept


@pytest.mark.parametrize(
    "evidence",
    [
        {"processes": [{"name": "x", "args": ["y" * 200] * 5000}]},
        {"processes": [{"name": "x", "args": ["z" * 100_000] * 5}]},
        {"processes": [{"name": "x" * 100, "args": ["y"], "pid": str(n)} for n in range(1000)]},
        {"containers": [{"name": "x" * 100, "uri": "y" * 500} for _ in range(1000)]},
        {"sourceProperties": {f"Key_{n}": "y" * 100 for n in range(4_000)}},
        {"description": "word " * 100_000},
        {"contacts": {"security": {"contacts": [{"email": f"{n}@x"} for n in range(4_000)]}}},
    ],
    ids="/".join,
)
async def test_much_text_makes_no_large_outcome(tmp_path: Path, evidence: JsonDict) -> None:
    """A finding of megabytes is contained, and its log line stays within an entry's limit."""
    notification = sample_notification()
    notification["finding"] |= evidence
    async with responder_environment(tmp_path, notification=notification) as env:
        assert await status_of_delivery(env) == "contained"


@pytest.mark.parametrize("character", ["x", "\U0001f600"], ids=ascii)
@pytest.mark.parametrize(
    "path", ["finding.category", "finding.parentDisplayName", "finding.severity", "finding.mute"]
)
async def test_a_long_name_makes_no_large_outcome(
    tmp_path: Path, path: str, character: str
) -> None:
    """Reasons show what they refuse in bounds, whatever its characters take as JSON."""
    async with responder_environment(
        tmp_path, notification=_with(sample_notification(), path, character * 100_000)
    ) as env:
        assert await status_of_delivery(env) in {"ignored", "held", "contained"}


async def test_a_long_host_makes_no_large_outcome(tmp_path: Path) -> None:
    """The same holds for the host of a resource that is not on Cloud Run."""
    named = _with(sample_notification(), "finding.resourceName", f"//{'x' * 300_000}/x")
    async with responder_environment(tmp_path, notification=named) as env:
        assert await status_of_delivery(env) == "held"


@pytest.mark.parametrize("depth", [40, 70, 5000])
async def test_deep_nesting_is_either_kept_or_refused(tmp_path: Path, depth: int) -> None:
    """What is nested too deeply to be walked is malformed; nothing runs out of stack."""
    notification = encode(sample_notification()).decode()
    nested = '{"a":' * depth + "1" + "}" * depth
    data = notification.replace('"sourceProperties": {', f'"sourceProperties": {{"N": {nested}, ')
    async with responder_environment(tmp_path) as env:
        assert await status_of_delivery(env, data.encode()) == (
            "contained" if depth < 64 else "malformed"
        )


@pytest.mark.parametrize(
    "escape", [r"\ud800", r"\udfff", r"\ude00\ud83d", r"\ud83d", r"x\ud83dx\ude00"]
)
async def test_a_lone_surrogate_is_refused(tmp_path: Path, escape: str) -> None:
    """Text that no UTF-8 can hold is malformed, wherever it stands."""
    data = encode(sample_notification()).decode()
    async with responder_environment(tmp_path) as env:
        for found in ('"healthcheck"', '"ACTIVE"', '"storefront-1"', '"finding"'):
            assert (
                await status_of_delivery(env, data.replace(found, f'"{escape}"').encode())
                == "malformed"
            )


async def test_a_trace_header_cannot_break_the_line() -> None:
    """An invalid trace that a caller sends does not get into the one line."""
    hostile = '00-"}\n{"severity":"EMERGENCY"}\u2028%s{}'
    with captured_output() as output:
        log.delivery_retried(
            RetryDelivery("why", None, urgent=False),
            parse_trace(hostile, hostile, "example-security"),
        )
    assert len(output.getvalue().splitlines()) == 1
    assert json.loads(output.getvalue())["severity"] == "WARNING"
    assert "EMERGENCY" not in output.getvalue()


# Text that decides.

_DECIDING_FIELDS = (
    "finding.canonicalName",
    "finding.resourceName",
    "finding.category",
    "finding.state",
    "finding.parentDisplayName",
    "finding.eventTime",
    "resource.name",
)
_SHORT = [text for text in _HOSTILE.values() if len(text) < 1000]
_SHORT += [_HOSTILE[name] for name in ("lines", "NUL", "path", "encoded path", "record name")]


# What the API's own types have no text for.
_UNREADABLE = {"finding.eventTime": "1971-01-01T00:00:00Z", "finding.state": "STATE_UNSPECIFIED"}
_FINDING_NAME = sample_notification()["finding"]["name"]


def _with_short_latency(world: JsonDict) -> JsonDict:
    return {**world, "latency": {"reconcile": "1ms"}}


def _at(place: Any, path: str) -> Any:
    for step in path.split("."):
        place = place[step]
    return place


def _with(notification: JsonDict, path: str, value: object) -> JsonDict:
    """A notification with one field changed."""
    changed = copy.deepcopy(notification)
    folder, _, last = path.rpartition(".")
    place = _at(changed, folder) if folder else changed
    place[last] = value
    return changed


CANONICAL_NAME = sample_notification()["finding"]["canonicalName"]


def written_resources(env: ResponderEnvironment) -> set[str]:
    """The services and the findings that were written to."""
    names = {
        part["name"]
        for write in env.emulator.writes
        for part in write.request.values()
        if isinstance(part, dict)
    }
    return {re.sub("/(securityMarks|externalSystems/.*)$", "", name) for name in names}


@pytest.mark.parametrize("path", _DECIDING_FIELDS)
async def test_hostile_text_in_a_notification_decides_nothing(tmp_path: Path, path: str) -> None:
    """Whatever a claim says in a field that decides: at most SCC's own finding is contained."""
    every_other = slice(_DECIDING_FIELDS.index(path) % 2, None, 2)  # neighbours take the rest
    async with responder_environment(
        tmp_path, world=_with_short_latency(world_around(sample_notification()))
    ) as env:
        for number, text in [*enumerate(_SHORT)][every_other]:
            genuine = _at(sample_notification(), path)
            value = (text, f"{genuine}{text}", genuine[:3] + text + genuine[3:])[number % 3]
            became = await status_of_delivery(env, _with(sample_notification(), path, value))
            assert became in {"malformed", "ignored", "retry", "contained", "duplicate"}, value
        assert written_resources(env) <= {SERVICE, CANONICAL_NAME}
        assert len(env.containment_writes) <= 1


@pytest.mark.parametrize("path", _DECIDING_FIELDS)
async def test_hostile_text_in_sccs_own_record_contains_nothing(tmp_path: Path, path: str) -> None:
    """Where the record itself is not exactly right, it stops at a person."""
    text = _HOSTILE["filter"] + _HOSTILE["path"] + _HOSTILE["lines"]
    world = world_around(sample_notification())
    (entry,) = (e for e in world["findings"] if e["finding"]["name"] == _FINDING_NAME)
    entry |= _with(entry, path, _UNREADABLE.get(path, f"{text}{_at(entry, path)}"))
    async with responder_environment(tmp_path, world=world, after_s=301) as env:
        assert await status_of_delivery(env) in {"held", "ignored"}
        assert env.emulator.writes == []


@pytest.mark.parametrize(
    ("path", "value", "became"),
    [
        ("finding.category", "Еxecution: Modified Malicious Binary Executed", "held"),  # noqa: RUF001
        ("finding.category", "Execution: Modified Malicious Binary Executed ", "held"),
        ("finding.category", "execution: modified malicious binary executed", "held"),
        ("finding.parentDisplayName", "Cloud Run Тhreat Detection", "held"),  # noqa: RUF001
        ("finding.parentDisplayName", "Cloud Run Threat Detection\u200b", "held"),
        ("finding.state", "АCTIVE", "held"),  # noqa: RUF001
        ("finding.resourceName", f"//run.gооgleapis.com/{SERVICE}", "held"),  # noqa: RUF001
        ("finding.resourceName", f"//run.googleapis.com.example.net/{SERVICE}", "held"),
        ("finding.resourceName", f"//run.googleapis.com/{SERVICE}".replace("t", "т", 1), "held"),
        ("finding.resourceName", f"//run.googleapis.com/{SERVICE}%2F..%2Fcheckout", "held"),
        ("finding.resourceName", f"//run.googleapis.com/{SERVICE}/../checkout", "held"),
        ("finding.resourceName", f"//run.googleapis.com/{SERVICE}\n", "held"),
        ("finding.eventTime", "２０２６-10-02T08:14:07.318Z", "malformed"),  # noqa: RUF001
        ("finding.name", "organizations/１/sources/1/findings/1", "malformed"),  # noqa: RUF001
    ],
)
async def test_lookalike_characters_do_not_match(
    tmp_path: Path, path: str, value: str, became: str
) -> None:
    """Nothing is normalised into what is looked for: another character is another text."""
    async with responder_environment(
        tmp_path, notification=_with(sample_notification(), path, value)
    ) as env:
        assert await status_of_delivery(env) == became
        assert env.emulator.writes == []


@pytest.mark.parametrize("name", ["all", "projects", "service", "slots", "a", "x-1000-done-json"])
async def test_a_service_named_like_a_part_of_the_store_has_a_place_of_its_own(
    tmp_path: Path, name: str
) -> None:
    """Names of workloads stand where nothing else can stand."""
    named = json.loads(
        encode(sample_notification()).replace(b"services/storefront", f"services/{name}".encode())
    )
    async with responder_environment(tmp_path, notification=named) as env:
        assert await status_of_delivery(env) == "contained"
        folder = f"containments/example-shop-prod/europe-west1/service/{name}/1"
        assert env.stored_objects(f"{folder}/*-snapshot.json")


# Forged notifications.

_FINDING_ID = CANONICAL_NAME.rpartition("/")[2]


def forged_notification(
    folder: Path, path: str, value: object, **given: Any
) -> AbstractAsyncContextManager[ResponderEnvironment]:
    """A road on which a claim is delivered that is false in one field; SCC lists the genuine."""
    claim = _with(sample_notification(), path, value)
    return responder_environment(
        folder, notification=claim, world=world_around(sample_notification()), **given
    )


@pytest.mark.parametrize(
    "elsewhere",
    [
        SERVICE.replace("storefront", "checkout"),
        SERVICE.replace("storefront", "checkout/revisions/checkout-00001-abc"),
        SERVICE.replace("services/storefront", "jobs/nightly"),
        SERVICE.replace("services/storefront", "workerPools/queue"),
        SERVICE.replace("europe-west1", "us-central1"),
        SERVICE.replace("example-shop-prod", "example-bank-prod"),
    ],
)
async def test_a_notification_cannot_redirect_the_containment(
    tmp_path: Path, elsewhere: str
) -> None:
    """The workload that SCC's own record names is contained, and no other is written to."""
    claim = _with(
        sample_notification(), "finding.resourceName", f"//run.googleapis.com/{elsewhere}"
    )
    claim["resource"]["name"] = f"//run.googleapis.com/{elsewhere}"
    world = world_around(sample_notification())
    victim = elsewhere.partition("/revisions/")[0]
    if "/services/" in victim:
        world["services"].append({"name": victim})
    async with responder_environment(tmp_path, notification=claim, world=world) as env:
        assert await status_of_delivery(env) == "contained"
        assert written_resources(env) == {SERVICE, CANONICAL_NAME}
        assert all(
            path.startswith(CONTAINMENTS_FOLDER) for path in env.stored_objects("containments/**/*")
        )


@pytest.mark.parametrize(
    "canonical_name",
    [
        CANONICAL_NAME.replace("210987654321", "666666666666"),
        CANONICAL_NAME.replace("projects/210987654321", "projects/example-attacker"),
        CANONICAL_NAME.replace("projects/210987654321", "organizations/666"),
        CANONICAL_NAME.replace("projects/210987654321", "folders/666"),
        CANONICAL_NAME.replace("sources/1234567890123456789", "sources/4242"),
        CANONICAL_NAME.replace("locations/global", "locations/eu"),
        CANONICAL_NAME.replace(_FINDING_ID, "0" * 32),
    ],
)
async def test_a_notification_with_a_wrong_name_contains_nothing(
    tmp_path: Path, canonical_name: str
) -> None:
    """Another project, source, location or id is another finding: retried while young, held."""
    async with forged_notification(tmp_path, "finding.canonicalName", canonical_name) as env:
        assert await status_of_delivery(env) == "retry"
        assert await status_of_delivery(env.later(300)) == "held"
        assert env.emulator.writes == []


@pytest.mark.parametrize(
    "canonical_name",
    [
        CANONICAL_NAME.replace("sources/1234567890123456789", "sources/-"),
        CANONICAL_NAME.replace("sources/1234567890123456789", "sources/*"),
        CANONICAL_NAME.replace("projects/210987654321", "projects/-"),
        CANONICAL_NAME.replace("projects/210987654321", "projects/.."),
        CANONICAL_NAME.replace("locations/global", "locations/-"),
        CANONICAL_NAME.replace(_FINDING_ID, "-/../" + _FINDING_ID),
        CANONICAL_NAME.replace(_FINDING_ID, _FINDING_ID + "/x"),
        CANONICAL_NAME + "\n",
        f" {CANONICAL_NAME}",
        "",
    ],
)
async def test_a_name_that_could_mean_many_findings_is_malformed(
    tmp_path: Path, canonical_name: str
) -> None:
    """No wildcard and no way up stands in a finding's name, canonical or not."""
    claim = _with(sample_notification(), "finding.canonicalName", canonical_name)
    claim["finding"]["name"] = canonical_name
    async with responder_environment(tmp_path) as env:
        assert await status_of_delivery(env, claim) == "malformed"
        assert env.emulator.calls == []


def custom_source_imitation(owner: str, **changes: str) -> tuple[JsonDict, JsonDict]:
    """A custom source of an attacker's that imitates the detector: the claim, and a world."""
    claim = sample_notification()
    name = f"{owner}/sources/4242/locations/global/findings/f00d"
    claim["finding"] |= {
        "name": name,
        "canonicalName": name,
        "parent": name.rpartition("/findings/")[0],
        **changes,
    }
    world = world_around(sample_notification())
    kept = ("name", "canonicalName", "parent", "resourceName", "state", "category", "eventTime")
    finding = {key: claim["finding"][key] for key in (*kept, "parentDisplayName")}
    world["findings"] = [{"finding": finding, "resource": claim["resource"]}]
    return claim, world


@pytest.mark.parametrize("owner", ["projects/666666666666", "organizations/666"])
@pytest.mark.parametrize(
    "rules", [policy_yaml(), policy_yaml(extra='sources: ["1234567890123456789"]\n')]
)
@pytest.mark.parametrize("resource", ["none", "name", "whole"])
async def test_an_attackers_source_cannot_report_a_victims_service(
    tmp_path: Path, owner: str, rules: str, resource: str
) -> None:
    """A finding that is filed elsewhere than its workload is held, with an alarm; pinned or not."""
    claim, world = custom_source_imitation(owner)
    if resource != "whole":
        name = {"name": f"//run.googleapis.com/{SERVICE}"}
        world["findings"][0]["resource"] = name if resource == "name" else {}
    async with responder_environment(
        tmp_path, notification=claim, world=world, policy_text=rules
    ) as env:
        answer, line = await deliver_and_log_line(env)
        assert answer
        assert (answer.outcome.status, line["severity"]) == ("held", "ERROR")
        assert env.emulator.writes == []


@pytest.mark.parametrize("detector", ["", "Custom", "Container Threat Detection"])
async def test_a_custom_source_that_imitates_nothing_is_held(tmp_path: Path, detector: str) -> None:
    """A source of another name is not the detector, whatever its findings say."""
    claim, world = custom_source_imitation("organizations/666", parentDisplayName=detector)
    async with responder_environment(tmp_path, notification=claim, world=world) as env:
        assert await status_of_delivery(env) == "held"
        assert env.emulator.writes == []


@pytest.mark.parametrize(
    ("event_time", "became"),
    [
        ("2026-10-02T08:14:07.318Z", "contained"),
        ("2026-10-02T08:14:06.400Z", "contained"),
        ("2026-09-01T00:00:00Z", "contained"),
        ("1971-01-01T00:00:00Z", "contained"),
        ("2026-10-02T08:14:09Z", "retry"),
        ("2099-01-01T00:00:00Z", "held"),
        ("2026-10-02T25:00:00Z", "malformed"),
        ("0000-01-01T00:00:00Z", "malformed"),
        ("10000-01-01T00:00:00Z", "malformed"),
        ("2026-10-02", "malformed"),
    ],
)
async def test_a_forged_event_time_does_not_bypass_the_age_limit(
    tmp_path: Path, event_time: str, became: str
) -> None:
    """SCC's record gives the time; a claim of a time that it has not reached yet is no proof."""
    now = datetime(2026, 10, 2, 8, 14, 20, tzinfo=UTC)
    async with forged_notification(tmp_path, "finding.eventTime", event_time, now=now) as env:
        assert await status_of_delivery(env) == became
        assert bool(env.emulator.writes) is (became == "contained")


async def test_the_age_is_taken_from_the_listed_finding(tmp_path: Path) -> None:
    """Its age is counted from the time in SCC's record, whatever the notification says."""
    claimed, now = "2026-10-02T08:14:06.500Z", datetime(2026, 10, 3, 8, 14, 20, tzinfo=UTC)
    async with forged_notification(tmp_path, "finding.eventTime", claimed, now=now) as env:
        answer, _ = await deliver_and_log_line(env)
        assert answer
        outcome: Any = answer.outcome.to_json()
        assert outcome["status"] == "held"
        assert "old; the policy's limit" in outcome["decision"]["reasons"][0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("deletedFinding", True),
        ("finding.mute", "MUTED"),
        ("finding.category", "Something else"),
        ("finding.parentDisplayName", "Container Threat Detection"),
        ("finding.resourceName", "//container.googleapis.com/projects/p/locations/l/clusters/c"),
        ("finding.resourceName", "//run.googleapis.com/whatever"),
    ],
)
async def test_a_false_copy_does_not_block_the_genuine_notification(
    tmp_path: Path, path: str, value: object
) -> None:
    """A publisher cannot have a finding passed over by sending a false one first."""
    async with responder_environment(tmp_path) as env:
        assert await status_of_delivery(env, _with(sample_notification(), path, value)) in {
            "ignored",
            "contained",
        }
        assert await status_of_delivery(env) in {"contained", "duplicate"}
        assert len(env.containment_writes) == 1


async def test_an_unlisted_notification_does_not_block_the_genuine_one(
    tmp_path: Path,
) -> None:
    """A copy of the notification that points to a foreign project leaves the finding's own."""
    claim = _with(
        sample_notification(),
        "finding.canonicalName",
        CANONICAL_NAME.replace("210987654321", "666666666666"),
    )
    async with responder_environment(tmp_path) as env:
        assert await status_of_delivery(env, claim) == "retry"
        assert await status_of_delivery(env) == "contained"


async def test_many_forged_notifications_make_one_containment(tmp_path: Path) -> None:
    """Each forged time is an incident of its own, but there is nothing more to write."""
    async with responder_environment(
        tmp_path, policy_text=policy_yaml(extra="guards: {max_per_project_per_hour: 1}\n")
    ) as env:
        for second in range(5):
            claim = _with(
                sample_notification(), "finding.eventTime", f"2026-10-02T08:00:0{second}Z"
            )
            assert await status_of_delivery(env, claim) == "contained"
        assert len(env.containment_writes) == 1
        assert len(env.stored_objects("slots/**/*-slot.json")) == 2
