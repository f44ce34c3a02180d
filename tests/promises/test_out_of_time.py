"""An incident whose deliveries run out of time is concluded from what there is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from incident.model import Retry
from incident.response import pipeline
from incident.response.response import Response
from tests.support.environment import (
    JsonDict,
    ResponderEnvironment,
    policy_yaml,
    responder_environment,
)
from tests.support.findings import sample_notification
from tests.support.worlds import world_around

BUDGET = timedelta(seconds=2)
#: A busy machine may need so many deliveries until two have come as far as the case file.
MOST_DELIVERIES = 6
PATIENT = policy_yaml("enforce", "evidence: {deadline: 60s}\n")


def slow_world(**latency: str) -> JsonDict:
    """A world in which some calls take longer than an incident may."""
    return world_around(sample_notification(), latency={"reconcile": "0ms", **latency})


async def delivered_until_answered(env: ResponderEnvironment) -> Response:
    """The first answer that is no retry; two deliveries at least come again before it."""
    for count in range(MOST_DELIVERIES):
        try:
            response = await env.deliver()
        except Retry:
            continue
        assert count > 1
        return response
    raise AssertionError("never answered")


async def test_evidence_that_takes_too_long_is_left_out_at_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two deliveries come again; the third concludes, and its gap says what is missing."""
    monkeypatch.setattr(pipeline, "INCIDENT_BUDGET", BUDGET)
    world = slow_world(ListLogEntries="60s")
    async with responder_environment(tmp_path, policy_text=PATIENT, world=world) as env:
        outcome = (await delivered_until_answered(env)).outcome
        assert outcome.status == "contained"
        assert [gap.reason for gap in outcome.gaps if gap.collector == "evidence"] == [
            "Not collected: two deliveries of the incident ran out of time before it"
        ]
        assert len(env.containment_writes) == 1
        assert len(env.stored_objects("incidents/*/*-timed-out.json")) == 2
        assert await env.status() == "duplicate"


async def test_a_containment_that_never_ends_is_reported_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write was begun and is not read back: unverified, with the alarm."""
    monkeypatch.setattr(pipeline, "INCIDENT_BUDGET", BUDGET)
    world = slow_world(UpdateService="60s")
    async with responder_environment(tmp_path, policy_text=PATIENT, world=world) as env:
        result = await delivered_until_answered(env)
        assert (result.outcome.status, result.alarm) == ("unverified", True)
        assert "ran out of time" in result.outcome.decision.reasons[0]
        assert result.outcome.containment
