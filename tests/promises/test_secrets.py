"""No secret leaves: planted in every place that one can stand in, and looked for everywhere."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from pydantic import SecretStr

from incident.model import Json
from incident.response.response import Response
from tests.support.chat_webhook import chat_room
from tests.support.constants import SHA256, TOPIC
from tests.support.environment import (
    JsonDict,
    ResponderEnvironment,
    deliver_and_log,
    policy_yaml,
    responder_environment,
)
from tests.support.findings import encode, sample_notification
from tests.support.worlds import service_of, world_around

_WINDOW = 10  # as many characters of a secret in a row are a leak
_DIGEST = "sha256:80e1d5aa030afcb9ce40070d8b24b74eb95162c91a4d8379b2422b4538fc73f5"

# What credentials look like; {} stands for what must not be shown. None of them is one.
_CREDENTIALS = {
    "google-api-key": "AIza{}abcdefg",
    "google-access-token": "ya29.{}",
    "google-refresh-token": "1//0{}",
    "github": "ghp_{}",
    "github-fine-grained": "github_pat_{}",
    "gitlab": "glpat-{}",
    "slack": "xoxb-{}",
    "slack-webhook": "https://hooks.slack.com/services/T0/B0/{}",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJ{}.{}",
    "pem": "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
    "assignment": "password={}",
    "shell": "export DB_PASSWORD='{}'",
    "yaml": "client_secret: {}",
    "json": '{"client_secret": "{}"}',
    "bearer": "Authorization: Bearer {}",
    "basic": "authorization: Basic {}",
    "cookie": "Cookie: session={}",
    "api-key-header": "X-Api-Key: {}",
    "connection-string": "postgres://app:{}@db.example.net/shop",
    "connection-string-without-user": "redis://:{}@cache.example.net:6379/0",
    "odbc": "Server=db.example.net;User Id=app;Password={};",
    "storage-account": "AccountName=shop;AccountKey={}==;EndpointSuffix=example.net",
    "signed-url": "https://storage.example.net/b/o?X-Goog-Signature={}",
    "curl-user": "curl -u app:{} https://example.net/",
    "flag": "backup --token {} --verbose",
}


def random_text(label: str) -> str:
    """Text that nobody would guess, the same on every run."""
    digest = base64.b64encode(hashlib.sha512(label.encode()).digest()).decode()
    return re.sub(r"[+/=]", "x", digest)[:28]


@dataclass
class PlantedSecrets:
    """The secrets that were planted, each by the place that it stands in."""

    secrets: dict[str, str] = field(default_factory=dict)

    def __call__(self, place: str, form: str = "{}") -> str:
        """A new secret for a place, in the form that it has there."""
        self.secrets[place] = random_text(place)
        return form.replace("{}", self.secrets[place])

    def known(self, place: str, secret: str) -> str:
        """A secret of a given value."""
        self.secrets[place] = secret
        return secret

    def found_in(self, texts: Mapping[str, str]) -> list[str]:
        """Which secrets show, in which texts: any part of them, in any encoding."""
        windows = {
            window: place
            for place, secret in self.secrets.items()
            for form in _encodings(secret)
            for window in _windows(form)
        }
        leaks = [
            f"{windows[window]} in {name}"
            for name, text in texts.items()
            for window in _windows(text) & windows.keys()
        ]
        return sorted(set(leaks))


def _windows(text: str) -> set[str]:
    return {text[start : start + _WINDOW] for start in range(len(text) - _WINDOW + 1)}


def _encodings(secret: str) -> Iterable[str]:
    """A secret as programs print it."""
    data = secret.encode()
    escaped = json.dumps(secret)[1:-1]
    shifted = (base64.b64encode(b"x" * shift + data).decode() for shift in range(3))
    inside = (text[4 : len(text) // 4 * 4 - 4] for text in shifted)
    whole = (secret, quote(secret, safe=""), quote_plus(secret), escaped, data.hex())
    return *whole, json.dumps(escaped)[1:-1], base64.b64encode(data).decode(), *inside


def _log_forms(secret: str) -> list[str]:
    """What a workload may log of a value that it has."""
    data = secret.encode()
    return [
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret),
        base64.b64encode(data).decode(),
        base64.b64encode(b"user:" + data + b"\n").decode(),
    ]


def notification_with_secrets(plants: PlantedSecrets, *, subtle: bool = True) -> JsonDict:
    """A notification with a secret in every place that an attacker or a developer can fill.

    Args:
        plants: Where they are remembered.
        subtle: Whether some can be recognised only by who reads the whole: environment values
            that recur with nothing around them that hints at a secret, and an environment
            that is a map.
    """
    notification = sample_notification()
    finding = notification["finding"]
    (process,) = finding["processes"]
    setting = plants("finding environment")
    odd = plants.known("odd environment value", f'p"ss w/é&+%{random_text("odd")[:12]}')
    child = plants("environment of a child process")
    again = [text for secret in (setting, odd, child) for text in _log_forms(secret) if subtle]
    echo = setting if subtle else "no echo"
    process["envVariables"] += [
        {"name": "SHOP_SETTING", "val": setting},
        {"name": "ODD_SETTING", "val": odd},
        {"name": "UNUSED_SETTING", "val": plants("environment value that never recurs")},
    ]
    process["args"] += [
        *("--password", plants("argument after its flag")),
        plants("argument with its flag", "--api-key={}"),
        *("-H", plants("header argument", "Authorization: Bearer {}")),
        *("-H", plants("custom header argument", "X-Vault-Token: {}")),
        plants("userinfo argument", "https://app:{}@repo.example.net/tool"),
        plants("query argument", "https://drop.example.net/get?anything={}&page=2"),
        *(
            "sh",
            "-c",
            plants("script argument", "TOKEN={} ./run; curl 'https://example.net/?k={}'"),
        ),
        plants("argument beyond the cut", f"{'x' * 990} password={{}}"),
        *again,
        *_credentials(plants, "argument"),
    ]
    process["binary"]["path"] = f"/srv/{echo}/{plants('binary path', 'ghp_{}')}/healthcheck"
    process["script"] = {"contents": plants("script", "#!/bin/sh\nAPI_TOKEN={}\n")}
    process["libraries"] = [{"path": plants("library path", "/srv/glpat-{}/lib.so")}]
    finding["processes"].append(
        {
            "name": plants("process name", "ghp_{}"),
            "args": ["sh", "-c", f"echo {again[-1:]}", "--token", plants("argument of a child")],
            "envVariables": [{"name": "CHILD_SETTING", "val": child}],
        }
    )
    finding["files"] = [{"path": "/srv/f", "contents": plants("file contents", "password={}\n")}]
    finding["containers"][0] |= {
        "name": plants("container name", "ghp_{}"),
        "uri": plants("image", "https://oauth2:{}@registry.example.net/shop:1"),
        "labels": [
            {"name": "api-token", "value": plants("container label")},
            {"name": "note", "value": echo},
        ],
    }
    finding["sourceProperties"] |= {
        "Api_Key": plants("source property with a telling name"),
        "Process_Arguments": ["x", plants("argument in a source property", "--secret={}")],
        "Notes": _credentials(plants, "source property"),
    }
    if subtle:
        environment = {"WHATEVER": plants("environment in a source property")}
        finding["sourceProperties"]["Environment"] = environment
    link = {"displayName": "Log", "url": plants("context link", "https://logs.example.net/?q={}")}
    finding["sourceProperties"]["contextUris"]["cloudLoggingQueryUri"] = [link]
    outer = {
        "url": plants("outer context link", f"https://www.virustotal.com/{SHA256}?apikey={{}}")
    }
    finding["contextUris"] = {"virustotalIndicatorQueryUri": [outer]}
    finding["description"] = f"matched; {plants('description', 'password={}')}; {echo}"
    finding["externalUri"] = plants("external link", "https://example.net/?t={}")
    finding["nextSteps"] = plants("next steps", "call it with Authorization: Bearer {}")
    finding["securityMarks"]["marks"] = {"note": plants("security mark", "ghp_{}")}
    finding["indicator"] = {"uris": [plants("indicator", "http://example.net/?id={}")]}
    return notification


def world_with_secrets(plants: PlantedSecrets, notification: JsonDict) -> JsonDict:
    """A world around a notification with secrets in whatever is read as evidence."""
    world = world_around(notification)
    world["latency"] = {"reconcile": "1ms"}
    configured, older = plants("service environment"), plants("environment of an older revision")
    service = service_of(world)
    (container,) = service["template"]["containers"]
    container["env"].append({"name": "SERVICE_SETTING", "value": configured})
    container["command"] = ["/bin/app", plants("container command", "--token={}")]
    container["args"] = ["--secret", plants("container argument")]
    service["annotations"] = {
        "example.com/note": plants("annotation", "ghp_{}"),
        "example.com/api-token": plants("annotation with a telling name"),
        "example.com/copy": configured,
    }
    service["labels"]["note"] = f"ghp_{plants.known('label', random_text('label').lower())}"
    service["template"]["annotations"] = {"note": plants("annotation of the template", "ghp_{}")}
    world["revisions"][0]["containers"][0]["env"] = [{"name": "OLD_SETTING", "value": older}]
    recurring = (configured, older, *(plants.secrets[place] for place in _RECURRING))
    _poison_logs(plants, world, recurring)
    _poison_audit_log(plants, world)
    _poison_related(plants, world, notification)
    return world


_RECURRING = ("finding environment", "odd environment value", "environment of a child process")


def _poison_logs(plants: PlantedSecrets, world: JsonDict, recurring: Iterable[str]) -> None:
    model = next(entry for entry in world["logEntries"] if "textPayload" in entry)
    payloads: list[JsonDict] = []
    for secret in recurring:
        for text in _log_forms(secret):
            payloads.append({"textPayload": f"got {text} of it"})
            payloads.append({"jsonPayload": {"message": f"got {text}", "in": {"deep": [text]}}})
    payloads += [{"textPayload": text} for text in _credentials(plants, "text log")]
    payloads += [{"jsonPayload": {"say": text}} for text in _credentials(plants, "JSON log")]
    headers = {"Cookie": plants("logged cookie"), "x-api-key": plants("logged header")}
    payloads.append({"jsonPayload": {"password": plants("logged password"), "headers": headers}})
    payloads.append({"jsonPayload": {"args": ["run", "--secret", plants("logged argument")]}})
    request = {
        "requestMethod": "GET",
        "requestUrl": plants("query of a request", "https://www.example.com/a?b={}"),
        "referer": plants("query of a referer", "https://www.example.com/?c={}"),
        "userAgent": plants("user agent", "tool ghp_{}"),
    }
    payloads.append({"httpRequest": request})
    for number, payload in enumerate(payloads):
        entry = {key: value for key, value in model.items() if key != "textPayload"}
        world["logEntries"].append({**entry, **payload, "insertId": f"planted-{number}"})


def _poison_audit_log(plants: PlantedSecrets, world: JsonDict) -> None:
    audits = [entry["protoPayload"] for entry in world["logEntries"] if "protoPayload" in entry]
    for number, audit in enumerate(audits):
        for part in ("request", "response", "metadata"):
            variable = {"name": "SETTING", "value": plants(f"environment in {part} {number}")}
            body = {"note": plants(f"{part} {number}"), "containers": [{"env": [variable]}]}
            struct = {"@type": "type.googleapis.com/google.protobuf.Struct", "value": body}
            audit[part] = body if part == "metadata" else struct
        audit["status"] = {"code": 7, "message": plants(f"refusal {number}", "password={} is bad")}


def _poison_related(plants: PlantedSecrets, world: JsonDict, notification: JsonDict) -> None:
    own = notification["finding"]["name"]
    for number, entry in enumerate(world["findings"]):
        finding = entry["finding"]
        if finding["name"] != own:
            (process,) = finding["processes"]
            process["args"] = ["x", "--password", plants(f"argument of a related finding {number}")]
            value = plants(f"environment of a related finding {number}")
            process["envVariables"] = [{"name": "RELATED_SETTING", "val": value}]
            finding["description"] = plants(f"related description {number}", "token={}")


def _credentials(plants: PlantedSecrets, place: str) -> list[str]:
    return [plants(f"{name} in {place}", f"so: {form}") for name, form in _CREDENTIALS.items()]


def all_output(
    env: ResponderEnvironment, *deliveries: tuple[Response | None, str]
) -> dict[str, str]:
    """All that left: objects and their names, outcomes, log lines, announcements."""
    left = {path: f"{path}\n{data.decode()}" for path, data in env.stored_objects().items()}
    for number, (answer, printed) in enumerate(deliveries):
        lines = [json.loads(line) for line in printed.splitlines()]
        left[f"log lines {number}"] = f"{printed}\n{_decoded(lines)}"
        left[f"outcome {number}"] = _decoded(answer.outcome.to_json() if answer else None)
    left["published"] = _decoded(env.emulator.world.published)
    left["written back"] = _decoded(
        [write.request for write in env.emulator.writes if "securitycenter" in write.method]
    )
    return left


def _decoded(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Scenario:
    """A way to an outcome.

    Attributes:
        statuses: Of the deliveries, in order.
        claim: What the notification says differently from the sample.
        faults: What goes wrong at the wire.
        rules: The policy.
        webhook: What the chat room answers.
        settings: The responder's environment.
    """

    statuses: tuple[str, ...]
    claim: Mapping[str, Json] = field(default_factory=dict)
    faults: tuple[JsonDict, ...] = ()
    rules: str = policy_yaml()
    webhook: int = 200
    settings: Mapping[str, Any] = field(default_factory=dict)
    latency: str = "1ms"


_SCENARIOS = {
    "contained": Scenario(("contained", "duplicate")),
    "planned": Scenario(("planned", "duplicate"), rules=policy_yaml("dry-run")),
    "awaiting approval": Scenario(("awaiting-approval",), rules=policy_yaml("approve")),
    "held for its age": Scenario(("held",), settings={"after_s": 86_401}),
    "held in a dry run": Scenario(
        ("held",), rules=policy_yaml("dry-run"), settings={"after_s": 86_401}
    ),
    "held for its detector": Scenario(("held",), claim={"parentDisplayName": "Somebody"}),
    "held without a policy": Scenario(("held",), rules="mode: enfroce"),
    "ignored": Scenario(("ignored",), claim={"mute": "MUTED"}),
    "failed for the settings": Scenario(
        ("failed",), faults=({"method": "GetService", "code": "NOT_FOUND"},)
    ),
    "failed for the write": Scenario(
        ("failed", "duplicate"), faults=({"method": "UpdateService", "code": "INVALID_ARGUMENT"},)
    ),
    "not validated": Scenario(
        ("planned",),
        rules=policy_yaml("dry-run"),
        faults=({"method": "UpdateService", "code": "PERMISSION_DENIED"},),
    ),
    "unverified": Scenario(
        ("unverified",), settings={"verify_timeout": timedelta(seconds=0.3)}, latency="30s"
    ),
    "retried for its settings": Scenario(
        ("retry", "contained"), faults=({"method": "GetService", "code": "INTERNAL", "times": 1},)
    ),
    "retried for its announcement": Scenario(
        ("retry", "contained"), faults=({"method": "Publish", "code": "INTERNAL", "times": 1},)
    ),
    "retried in a dry run": Scenario(
        ("retry", "planned"),
        rules=policy_yaml("dry-run"),
        faults=({"method": "Publish", "code": "INTERNAL", "times": 1},),
    ),
    "retried for its write-back": Scenario(
        ("retry", "contained"),
        faults=({"method": "UpdateSecurityMarks", "code": "INTERNAL", "times": 1},),
    ),
    "not written back": Scenario(
        ("contained",), faults=({"method": "UpdateExternalSystem", "code": "PERMISSION_DENIED"},)
    ),
    "not sent": Scenario(("contained", "duplicate"), webhook=404),
    "sent to Slack": Scenario(("contained",), settings={"webhook_format": "slack"}),
    "sent to Google Chat": Scenario(("contained",), settings={"webhook_format": "google-chat"}),
    "published as OCSF": Scenario(("contained",), settings={"topic_format": "ocsf"}),
    "with gaps": Scenario(
        ("contained",), faults=({"method": "ListLogEntries", "code": "PERMISSION_DENIED"},)
    ),
}


@pytest.mark.parametrize("name", _SCENARIOS)
async def test_no_secret_leaves_in_any_outcome(tmp_path: Path, name: str) -> None:
    """No object, outcome, log line or announcement has any part of any planted secret."""
    scenario, plants = _SCENARIOS[name], PlantedSecrets()
    notification = notification_with_secrets(plants)
    notification["finding"] |= scenario.claim
    world = world_with_secrets(plants, notification)
    world |= {"faults": list(scenario.faults), "latency": {"reconcile": scenario.latency}}
    async with (
        chat_room(scenario.webhook) as room,
        responder_environment(
            tmp_path,
            notification=notification,
            world=world,
            policy_text=scenario.rules,
            topic=TOPIC,
            webhook=SecretStr(room.url + plants("address of the webhook")),
            **scenario.settings,
        ) as env,
    ):
        deliveries = [await deliver_and_log(env) for _ in scenario.statuses]
        left = all_output(env, *deliveries)
    left["sent"] = _decoded(room.bodies)
    assert bool(room.texts) == any(path.endswith("notified.json") for path in left)
    statuses = [answer.outcome.status if answer else "retry" for answer, _ in deliveries]
    assert statuses == list(scenario.statuses)
    assert len(plants.secrets) > 100
    assert plants.found_in(left) == []


async def test_the_search_finds_secrets_in_unredacted_text(tmp_path: Path) -> None:
    """The search itself is sound: in what is delivered and read it finds every single secret."""
    plants = PlantedSecrets()
    notification = notification_with_secrets(plants)
    world = world_with_secrets(plants, notification)
    async with responder_environment(tmp_path, notification=notification, world=world) as env:
        there = {
            "message": encode(notification).decode(),
            "world": json.dumps(env.emulator.world.dump()),
        }
    found = {leak.rpartition(" in ")[0] for leak in plants.found_in(there)}
    assert found == set(plants.secrets)


# What must not be lost by it.


async def test_the_rotation_list_stays(tmp_path: Path) -> None:
    """Names of secrets and of environment variables are kept: they say what to rotate."""
    plants = PlantedSecrets()
    notification = notification_with_secrets(plants)
    world = world_with_secrets(plants, notification)
    async with responder_environment(
        tmp_path, notification=notification, world=world, topic=TOPIC
    ) as env:
        answer, _ = await deliver_and_log(env)
        assert answer
        left = all_output(env)
    settings, revisions, finding = (
        next(text for path, text in left.items() if path.endswith(f"evidence/{name}.json"))
        for name in ("settings", "revisions", "finding")
    )
    secrets = ("projects/example-shop-prod/secrets/storefront-session-key", "storefront-tls")
    for name in ("SERVICE_SETTING", "PARTNER_API_KEY", "SESSION_KEY", *secrets):
        assert name in settings
    for name in ("OLD_SETTING", "SESSION_KEY", *secrets):
        assert name in revisions
    for name in ("SHOP_SETTING", "ODD_SETTING", "CHILD_SETTING", "DB_PASSWORD"):
        assert name in finding
    for name in secrets:
        assert name in json.dumps(answer.outcome.to_json()["assessment"])
        assert name in left["published"]


async def test_what_identifies_the_attack_stays(tmp_path: Path) -> None:
    """Hashes, digests, paths, hosts, principals and the words around a secret are evidence."""
    plants = PlantedSecrets()
    notification = notification_with_secrets(plants)
    world = world_with_secrets(plants, notification)
    async with responder_environment(tmp_path, notification=notification, world=world) as env:
        answer, _ = await deliver_and_log(env)
        left = all_output(env)
    assert answer
    detected: Any = answer.outcome.to_json()["detected"]
    assert detected["sha256"] == SHA256
    assert detected["digest"] == _DIGEST
    assert detected["binary_path"].startswith("/srv/[redacted:")
    assert detected["binary_path"].endswith("/healthcheck")
    assert detected["arguments"][:3] == [
        "/usr/local/bin/healthcheck",
        "--url",
        "stratum+tcp://pool.example.net:3333",
    ]
    assert "--password" in detected["arguments"]
    stored = "\n".join(left.values())
    for kept in (
        SHA256,
        _DIGEST,
        "deployer@example-shop-prod.example.com",
        "storefront@example-shop-prod.iam.gserviceaccount.com",
        "allUsers",
        "google.cloud.run.v2.Services.UpdateService",
        "192.0.2.200",
        "https://drop.example.net/get?anything=[redacted:",
        "@repo.example.net/tool",
        "@db.example.net/shop",
        "https://www.example.com/a?b=[redacted:",
        "europe-west1-docker.pkg.dev/example-shop-prod/web/storefront",
        "soc@example.com",
        "backup --token [redacted:",
    ):
        assert kept in stored, kept


async def test_equal_secrets_stay_recognisable_within_one_key_only(tmp_path: Path) -> None:
    """One secret has one mark in arguments, environment and logs; another key, another mark."""
    secret = random_text("reused")
    marks: list[set[str]] = []
    for key in ("one key", "another key"):
        folder = tmp_path / key.split()[0]
        folder.mkdir()
        notification = sample_notification()
        (process,) = notification["finding"]["processes"]
        process["envVariables"] = [{"name": "SHOP_SETTING", "val": secret}]
        process["args"] = ["run", f"say={secret}"]
        world = {**world_around(notification), "latency": {"reconcile": "1ms"}}
        entry = copy.deepcopy(next(e for e in world["logEntries"] if "textPayload" in e))
        world["logEntries"].append({**entry, "textPayload": f"say={secret}", "insertId": "said"})
        async with responder_environment(
            folder, notification=notification, world=world, redaction_key=SecretStr(key)
        ) as env:
            answer, _ = await deliver_and_log(env)
            assert answer
            (logs,) = env.stored_objects("incidents/*/logs.jsonl").values()
            (finding,) = env.stored_objects("incidents/*/evidence/finding.json").values()
        detected: Any = answer.outcome.to_json()["detected"]
        mark = detected["arguments"][1].removeprefix("say=")
        assert re.fullmatch(r"\[redacted:[0-9a-f]{8}\]", mark)
        assert f"say={mark}" in logs.decode()
        assert f'"val": "{mark}"' in finding.decode()
        marks.append({mark})
    assert marks[0] != marks[1]


# Messages that nobody can read.


def _cut_notifications(plants: PlantedSecrets) -> list[JsonDict]:
    """Poisoned notifications, each with another part of the evidence at its beginning."""
    notification = notification_with_secrets(plants, subtle=False)
    finding = notification["finding"]
    (process, child) = finding["processes"]
    count = len(process["args"])
    parts: list[JsonDict] = [
        {"processes": [process | {"args": process["args"][start : start + 8]}, child]}
        for start in range(0, count, 8)
    ]
    parts.append({"processes": [{"envVariables": process["envVariables"]}, child]})
    keys = ("containers", "sourceProperties", "contextUris", "description", "nextSteps", "files")
    parts += [{key: finding[key]} for key in (*keys, "indicator", "securityMarks", "externalUri")]
    return [{"finding": {**part, **finding, **part}} for part in parts]


def _without_names(message: JsonDict) -> JsonDict:
    return {"finding": {**message["finding"], "name": "", "canonicalName": ""}}


_WAYS_TO_BREAK: dict[str, Callable[[JsonDict], bytes]] = {
    "cut off": lambda m: encode(m)[:1500],
    "cut off early": lambda m: encode(m)[:130],
    "evidence alone": lambda m: encode(next(iter(m["finding"].values()))),
    "with a tail": lambda m: encode(m) + b"}",
    "with a byte order mark": lambda m: b"\xef\xbb\xbf" + encode(m),
    "not in UTF-8": lambda m: encode(m)[:-1] + b',"x":"\xff\xfe"}',
    "in UTF-16": lambda m: encode(m).decode().encode("utf-16"),
    "over several lines": lambda m: json.dumps(m, indent=1).encode()[:-1],
    "in a list": lambda m: b"[" + encode(m) + b"]",
    "a text of JSON": lambda m: json.dumps(encode(m).decode()).encode(),
    "in base64": lambda m: base64.b64encode(encode(m)),
    "in base64 for URLs": lambda m: base64.urlsafe_b64encode(encode(m)),
    "a push in a push": lambda m: encode(
        {"message": {"data": base64.b64encode(encode(m)).decode()}}
    ),
    "without a name": lambda m: encode(_without_names(m)),
    "with a number for a text": lambda m: encode({"finding": {**m["finding"], "category": 7}}),
    "with a key twice": lambda m: encode(m)[:-1] + b', "finding": 1}',
    "with a lone surrogate": lambda m: encode(m)[:-1] + b', "x": "\\ud800"}',
    "with single quotes": lambda m: repr(m).encode(),
}


@pytest.mark.parametrize("way_to_break", _WAYS_TO_BREAK)
async def test_a_malformed_message_is_kept_without_its_secrets(
    tmp_path: Path, way_to_break: str
) -> None:
    """The redacted beginning in quarantine, the outcome and the ERROR have none of them."""
    plants = PlantedSecrets()
    beginnings = _cut_notifications(plants)
    if not way_to_break.startswith("cut off"):
        beginnings = beginnings[::3]  # where all of a message is there, what it begins with is not
    messages = [_WAYS_TO_BREAK[way_to_break](message) for message in beginnings]
    async with responder_environment(tmp_path) as env:
        deliveries = [await deliver_and_log(env, data) for data in messages]
        left = all_output(env, *deliveries)
    answers = [answer for answer, _ in deliveries if answer]
    assert {(answer.outcome.status, answer.alarm) for answer in answers} == {("malformed", True)}
    assert {f"quarantine/{hashlib.sha256(data).hexdigest()}.json" for data in messages} < set(left)
    assert plants.found_in(left) == []


async def test_a_request_that_is_no_event_is_kept_without_its_secrets(tmp_path: Path) -> None:
    """What was posted as it is, such as a push whose data is cut, is redacted as well."""
    plants = PlantedSecrets()
    data = base64.b64encode(encode(notification_with_secrets(plants, subtle=False))).decode()
    pushed = encode({"message": {"data": data[:-1], "attributes": {"token": plants("attribute")}}})
    async with responder_environment(tmp_path) as env:
        inbox = await env.start_process()
        answer = await inbox.quarantine(pushed, "the event has no Pub/Sub message data")
        left = all_output(env)
    assert answer.outcome.status == "malformed"
    assert plants.found_in({**left, "outcome": _decoded(answer.outcome.to_json())}) == []
