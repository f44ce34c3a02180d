"""Shells in running containers: who, when, and what that means for the finding."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from incident.investigation.exposure import describe_exposure
from incident.investigation.shells import describe_shells
from incident.model import AuditEvent, Evidence, ExposureTopic
from tests.support.environment import responder_environment
from tests.support.findings import sample_notification
from tests.support.model import evidence, finding
from tests.support.worlds import world_around

EVENT = finding().event_time
WINDOW = (EVENT - timedelta(minutes=30), EVENT)
WHO = "someone@example.com"


def shell(minutes_before: float = 10, **changes: Any) -> AuditEvent:
    """An audit entry of a shell, so long before the event."""
    default = AuditEvent(
        timestamp=EVENT - timedelta(minutes=minutes_before),
        principal=WHO,
        method="google.cloud.run.v2.Services.Connect",
        resource="",
        caller_ip="192.0.2.7",
        error="",
        bindings=(),
        permissions=("run.services.sshRoot",),
    )
    return replace(default, **changes)


def seen(*events: AuditEvent) -> Evidence:
    """Evidence with these audit entries."""
    return replace(evidence(), audit=events, window=WINDOW)


@pytest.mark.parametrize(
    ("changes", "opened"),
    [
        ({}, True),
        ({"permissions": ("run.workerpools.sshRead",)}, True),
        ({"permissions": (), "method": "google.cloud.run.v2.Instances.SshInstance"}, True),
        ({"permissions": (), "method": "run.ssh.v1.Services.Get"}, False),
        ({"permissions": ("run.services.update",)}, False),
        ({"error": "PERMISSION_DENIED"}, False),
    ],
)
def test_a_shell_is_known_by_its_permission_or_its_method(
    changes: dict[str, Any], *, opened: bool
) -> None:
    """Google documents no method name; a refused call opened none."""
    assert shell(**changes).opens_shell is opened
    assert bool(describe_shells(seen(shell(**changes)))) is opened


def test_one_in_the_window_is_a_likely_cause_and_entry_point() -> None:
    """The newest first; an older one is only listed, and one after the event is none of it."""
    newest, older = describe_shells(seen(shell(60), shell(5), shell(-1)))
    assert (newest.topic, newest.serious, newest.names) == (ExposureTopic.SHELL, True, (WHO,))
    assert f"{WHO} opened a shell in it on 2026-10-02 08:09:07 UTC from 192.0.2.7" in newest.text
    assert "a likely cause" in newest.text
    assert "a likely entry point" in newest.text
    assert (older.serious, "likely" in older.text) == (False, False)
    assert newest in describe_exposure(seen(shell(5)))
    assert describe_shells(evidence()) == ()


async def test_a_shell_in_the_audit_log_is_in_the_outcome(tmp_path: Path) -> None:
    """Read as the audit log has it; a request's body stays behind."""
    notification = sample_notification()
    world = world_around(notification)
    entry = {
        "logName": "projects/example-shop-prod/logs/cloudaudit.googleapis.com%2Factivity",
        "timestamp": "2026-10-02T08:05:00Z",
        "resource": {
            "type": "cloud_run_revision",
            "labels": {"service_name": "storefront", "location": "europe-west1"},
        },
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "methodName": "google.cloud.run.v2.Services.Connect",
            "authenticationInfo": {"principalEmail": WHO},
            "authorizationInfo": [{"permission": "run.services.sshRoot", "granted": True}],
        },
    }
    world["logEntries"].append(entry)
    async with responder_environment(tmp_path, notification=notification, world=world) as env:
        outcome = (await env.deliver()).outcome
        assert outcome.assessment
        (fact,) = (f for f in outcome.assessment.exposure if f.topic is ExposureTopic.SHELL)
        assert fact.text.startswith(f"{WHO} opened a shell in it on 2026-10-02 08:05:00 UTC")
        (page,) = env.stored_objects("**/report.html").values()
        assert WHO.encode() in page
