"""Findings of other types on the whole road: investigated always, contained only if named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from incident.policy.resolve import CATEGORY
from tests.support.environment import policy, printed_by, road, sample, world_around

EVERYTHING = policy(
    extra="rules:\n  - {name: everything, match: {categories: ['*'], services: ['*']}}\n"
)
SECRETS = ("sample-not-a-real-secret", "sample-not-a-real-key", "sample-not-a-real-token")


@pytest.mark.parametrize(
    ("name", "rules", "because"),
    [
        ("unknown-finding-type", EVERYTHING, "no responder knows the category"),
        ("malicious-url", EVERYTHING, "crawlers, link checkers"),
        ("reverse-shell", policy(), "categories"),
    ],
)
async def test_what_is_held_is_investigated(
    tmp_path: Path, name: str, rules: str, because: str
) -> None:
    """All evidence is kept, the reasons say why, and nothing is written: also while enforcing."""
    async with road(tmp_path, notification=sample(name), rules=rules) as way:
        answer, _ = await printed_by(way)
        stored, writes = set(way.stored("incidents/*/evidence/*")), way.emulator.writes
        again = await way.status()
    assert answer
    told = answer.outcome
    assert (told["status"], again) == ("held", "duplicate")
    assert because in json.dumps(told["decision"])
    assert told["responder"] == name
    assert isinstance(told["assessment"], dict)
    assert told["assessment"]["look_at"]
    assert told["gaps"] == []
    assert {path.rpartition("/")[2] for path in stored} >= {
        "access.json",
        "audit-log.json",
        "finding.json",
        "related-findings.json",
        "revisions.json",
        "settings.json",
    }
    assert writes == []


async def test_what_the_policy_names_besides_is_contained(tmp_path: Path) -> None:
    """A hostile finding type, once named, goes the same way as the default one."""
    named = policy(extra=f"categories: ['Reverse Shell', '{CATEGORY}']\n")
    async with road(tmp_path, notification=sample("reverse-shell"), rules=named) as way:
        assert await way.status() == "contained"
        assert len(way.containing) == 1


async def test_a_claim_of_another_category_arms_nothing(tmp_path: Path) -> None:
    """What SCC lists is what counts: a claim of the default category about an unknown type."""
    listed = sample("unknown-finding-type")
    claimed = sample("unknown-finding-type")
    claimed["finding"]["category"] = CATEGORY
    world = world_around(listed)
    async with road(tmp_path, notification=claimed, world=world) as way:
        answer = await way.deliver()
        assert (answer.outcome["status"], way.emulator.writes) == ("held", [])
    assert "no responder knows" in json.dumps(answer.outcome["decision"])


@pytest.mark.parametrize("name", ["malicious-script", "malicious-url"])
async def test_secrets_in_scripts_and_addresses_stay_here(tmp_path: Path, name: str) -> None:
    """What a script exports and an address carries is marked; their plain words are evidence."""
    message = sample(name)
    assert any(secret in json.dumps(message) for secret in SECRETS[1:])
    async with road(tmp_path, notification=message) as way:
        answer, printed = await printed_by(way)
        left = "\n".join(
            [printed, *(data.decode(errors="replace") for data in way.stored().values())]
        )
    assert answer
    assert [secret for secret in SECRETS if secret in left] == []
    assert {"malicious-script": "198.51.100.23/x", "malicious-url": "malware.example.net/x.bin"}[
        name
    ] in left
