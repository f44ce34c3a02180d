"""Promise 13 and issue 12.13: however large a part of a finding or of the evidence is, it ends.

All parts were tried at the 10 MB that a message may have; here they are a few MB, for the time.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.environment import JsonDict, deliver_and_log, responder_environment
from tests.support.findings import sample_notification
from tests.support.worlds import world_around

SIZE = 1_000_000
LIMIT_S = 100
Edit = Callable[[JsonDict, JsonDict], None]


def huge_argument(notification: JsonDict, _: JsonDict) -> None:
    """One argument without an end of a word, and one with many."""
    notification["finding"]["processes"][0]["args"] = ["aB3=" * (SIZE // 8), "-p x " * (SIZE // 10)]


def huge_environment(notification: JsonDict, world: JsonDict) -> None:
    """Values that begin alike, one of them huge, and logs of the same letter."""
    values = ["a" * length for length in range(6, 500)]
    notification["finding"]["processes"][0]["envVariables"] = [
        {"name": f"N{number}", "val": value} for number, value in enumerate([*values, "x" * SIZE])
    ]
    line = next(entry for entry in world["logEntries"] if "textPayload" in entry)
    world["logEntries"] += [
        {**line, "insertId": f"more-{number}", "textPayload": "a" * 200_000} for number in range(10)
    ]


def huge_source_properties(notification: JsonDict, _: JsonDict) -> None:
    """Many keys, and one text."""
    properties = notification["finding"]["sourceProperties"]
    properties |= {f"key{number}": "value" for number in range(20_000)}
    properties["text"] = "y " * (SIZE // 2)


def huge_container(notification: JsonDict, _: JsonDict) -> None:
    """Its image, and its labels."""
    (container,) = notification["finding"]["containers"]
    container["uri"] = "a/" * (SIZE // 4)
    container["labels"] = [{"name": f"l{number}", "value": "v"} for number in range(20_000)]


def huge_conditions(_: JsonDict, world: JsonDict) -> None:
    """As deep as brackets go, and as many as a policy holds."""
    (policy,) = world["iamPolicies"].values()
    expressions = ["(" * 5_000 + "true" + ")" * 5_000, "true && " * 100_000 + "true"]
    expressions += [f"request.time < {number}" * 20 for number in range(700)]
    policy["version"] = 3
    policy["bindings"] += [
        {"role": "roles/run.invoker", "members": ["allUsers"], "condition": {"expression": text}}
        for text in expressions
    ]


def huge_labels(_: JsonDict, world: JsonDict) -> None:
    """Of the service, of its logs, and an annotation."""
    service = world["services"][0]
    service["labels"] = {f"k{number}": "v" * 60 for number in range(10_000)}
    service["annotations"] = {"example.com/x": "z" * SIZE}
    for entry in world["logEntries"]:
        entry["labels"] = {f"k{number}": "v" * 60 for number in range(2_000)}


def huge_templates(_: JsonDict, world: JsonDict) -> None:
    """A thousand variables in each revision."""
    for template in (world["services"][0]["template"], *world["revisions"]):
        template["containers"][0]["env"] = [
            {"name": f"V{number}", "value": f"{number:06d}" * 100} for number in range(1_000)
        ]


EDITS: tuple[Edit, ...] = (
    huge_argument,
    huge_environment,
    huge_source_properties,
    huge_container,
    huge_conditions,
    huge_labels,
    huge_templates,
)
POLICY = "mode: enforce\ncontain:\n  service: [scale-to-zero, require-authentication]\n"


@pytest.mark.parametrize("edit", EDITS)
async def test_an_incident_ends_whatever_is_huge(tmp_path: Path, edit: Edit) -> None:
    """Contained, concluded, logged in one line that Cloud Logging keeps whole."""
    notification = sample_notification()
    world = world_around(notification)
    world["latency"] = {"reconcile": "1ms"}
    edit(notification, world)
    world["findings"][0]["finding"] = copy.deepcopy(notification["finding"])
    async with responder_environment(
        tmp_path, notification=notification, world=world, policy_text=POLICY
    ) as env:
        async with asyncio.timeout(LIMIT_S):
            answer, printed = await deliver_and_log(env)
        assert env.stored_objects("incidents/*/1000-done.json")
    (text,) = printed.splitlines()
    line: Any = json.loads(text)
    assert answer
    assert (answer.outcome.status, line["outcome"]["status"]) == ("contained", "contained")
    assert len(text.encode()) < 64 * 1024
