"""A hold because the responder does not know something alarms; an operator's choice does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.environment import JsonDict, deliver_and_log, policy_yaml, responder_environment
from tests.support.findings import sample_notification
from tests.support.worlds import world_around

_LOCATION = "//run.googleapis.com/projects/example-shop-prod/locations/europe-west1"


def named(resource: str) -> JsonDict:
    """The sample finding about another resource."""
    message: JsonDict = sample_notification()
    name = f"{_LOCATION}/{resource}"
    message["finding"]["resourceName"] = message["resource"]["name"] = name
    return message


def of_category(category: str) -> JsonDict:
    """The sample finding with another category."""
    message: JsonDict = sample_notification()
    message["finding"]["category"] = category
    return message


async def held_severity(folder: Path, notification: JsonDict, **environment: Any) -> str:
    """The severity of the log line of a finding that is held."""
    async with responder_environment(folder, notification=notification, **environment) as env:
        result, output = await deliver_and_log(env)
    assert result
    assert result.outcome.status == "held"
    severity: str = json.loads(output.splitlines()[0])["severity"]
    return severity


@pytest.mark.parametrize(
    "notification",
    [
        pytest.param(named("functions/storefront"), id="kind"),
        pytest.param(named("services/storefront/replicas/1/x"), id="form"),
        pytest.param(of_category("Execution: Something New"), id="category"),
        pytest.param(sample_notification("detector-unnamed"), id="detector"),
    ],
)
async def test_what_the_responder_does_not_know_is_held_with_an_error(
    notification: JsonDict, tmp_path: Path
) -> None:
    """Security Command Center lists the finding as active, and nothing was stopped."""
    assert await held_severity(tmp_path, notification) == "ERROR"


async def test_a_claim_that_nobody_confirms_is_held_with_a_warning(tmp_path: Path) -> None:
    """A publisher must not be able to raise alarms with invented findings."""
    notification = of_category("Execution: Something New")
    world = {**world_around(notification), "findings": []}
    severity = await held_severity(tmp_path, notification, world=world, after_s=600)
    assert severity == "WARNING"


@pytest.mark.parametrize(
    "rule", ['categories: ["Reverse Shell"]\n', "protect:\n- services: [storefront]\n"]
)
async def test_what_an_operator_chose_to_hold_stays_a_warning(rule: str, tmp_path: Path) -> None:
    """The policy names other categories, or protects the service."""
    severity = await held_severity(
        tmp_path, sample_notification(), policy_text=policy_yaml(extra=rule)
    )
    assert severity == "WARNING"
