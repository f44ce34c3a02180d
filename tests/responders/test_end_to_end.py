"""Findings of other types on the whole road: investigated always, contained only if named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from incident.policy.resolve import DEFAULT_CATEGORY
from tests.support.environment import deliver_and_log, policy_yaml, responder_environment
from tests.support.findings import sample_notification
from tests.support.worlds import world_around

EVERYTHING = policy_yaml(
    extra="rules:\n  - {name: everything, match: {categories: ['*'], services: ['*']}}\n"
)
SECRETS = ("sample-not-a-real-secret", "sample-not-a-real-key", "sample-not-a-real-token")


@pytest.mark.parametrize(
    ("name", "rules", "because"),
    [
        ("unknown-finding-type", EVERYTHING, "no responder knows the category"),
        ("malicious-url", EVERYTHING, "crawlers, link checkers"),
        ("reverse-shell", policy_yaml(), "categories"),
    ],
)
async def test_what_is_held_is_investigated(
    tmp_path: Path, name: str, rules: str, because: str
) -> None:
    """All evidence is kept, the reasons say why, and nothing is written: also while enforcing."""
    async with responder_environment(
        tmp_path, notification=sample_notification(name), policy_text=rules
    ) as env:
        answer, _ = await deliver_and_log(env)
        stored, writes = set(env.stored_objects("incidents/*/evidence/*")), env.emulator.writes
        again = await env.status()
    assert answer
    outcome: Any = answer.outcome.to_json()
    assert (outcome["status"], again) == ("held", "duplicate")
    assert because in json.dumps(outcome["decision"])
    assert outcome["responder"] == name
    assert isinstance(outcome["assessment"], dict)
    assert outcome["assessment"]["look_at"]
    assert outcome["gaps"] == []
    assert {path.rpartition("/")[2] for path in stored} >= {
        "access.json",
        "audit-log.json",
        "finding.json",
        "related-findings.json",
        "revisions.json",
        "settings.json",
    }
    assert writes == []


async def test_a_category_named_by_the_policy_is_contained(tmp_path: Path) -> None:
    """A hostile finding type, once named, goes the same way as the default one."""
    named = policy_yaml(extra=f"categories: ['Reverse Shell', '{DEFAULT_CATEGORY}']\n")
    async with responder_environment(
        tmp_path, notification=sample_notification("reverse-shell"), policy_text=named
    ) as env:
        assert await env.status() == "contained"
        assert len(env.containment_writes) == 1


async def test_a_notification_of_another_category_contains_nothing(tmp_path: Path) -> None:
    """What SCC lists is what counts: a claim of the default category about an unknown type."""
    listed = sample_notification("unknown-finding-type")
    claimed = sample_notification("unknown-finding-type")
    claimed["finding"]["category"] = DEFAULT_CATEGORY
    world = world_around(listed)
    async with responder_environment(tmp_path, notification=claimed, world=world) as env:
        answer = await env.deliver()
        assert (answer.outcome.status, env.emulator.writes) == ("held", [])
    assert "no responder knows" in json.dumps(answer.outcome.to_json()["decision"])


@pytest.mark.parametrize("name", ["malicious-script", "malicious-url"])
async def test_secrets_in_scripts_and_addresses_are_redacted(tmp_path: Path, name: str) -> None:
    """What a script exports and an address carries is marked; their plain words are evidence."""
    message = sample_notification(name)
    assert any(secret in json.dumps(message) for secret in SECRETS[1:])
    async with responder_environment(tmp_path, notification=message) as env:
        answer, printed = await deliver_and_log(env)
        left = "\n".join(
            [printed, *(data.decode(errors="replace") for data in env.stored_objects().values())]
        )
    assert answer
    assert [secret for secret in SECRETS if secret in left] == []
    assert {"malicious-script": "198.51.100.23/x", "malicious-url": "malware.example.net/x.bin"}[
        name
    ] in left
