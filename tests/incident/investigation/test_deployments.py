"""Who deployed what ran, who started it, and who changed it since: from the audit log if it can."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from incident.investigation.deployments import deployment
from incident.model import (
    AUDIT_EVENTS,
    AuditEvent,
    Evidence,
    Execution,
    Gap,
    Kind,
    Settings,
)
from tests.support.model import evidence, finding, settings, template, workload

EVENT = finding().event_time
MADE = EVENT - timedelta(days=4)
JOB = workload(kind=Kind.JOB, name="nightly")
DENIED = Gap("audit-log", "permission denied")


def call(at: datetime, method: str, who: str = "deployer@example.com", ip: str = "") -> AuditEvent:
    """A call that the audit log has."""
    return AuditEvent(at, who, f"google.cloud.run.v2.{method}", "", ip, "", ())


def service(*audit: AuditEvent, **changes: Any) -> Evidence:
    """A service of one revision, and what the audit log has of it."""
    made = evidence(revisions=(template(create_time=MADE),), audit=audit)
    return replace(made, **changes)


def execution(name: str = "nightly-1", at: datetime = EVENT - timedelta(minutes=6)) -> Execution:
    """An execution that runs at the event."""
    ran = template(revision="", create_time=None)
    return Execution(f"x/{name}", name, at, at, None, "", "", {}, ran, "scheduler@example.com")


def job(*audit: AuditEvent, **changes: Any) -> Evidence:
    """A job with one execution, changed last two days before the event."""
    of = settings(kind=Kind.JOB, update_time=EVENT - timedelta(days=2))
    about = finding(workload=JOB, revision=None)
    made = evidence(finding=about, settings=of, executions=(execution(),), audit=audit)
    return replace(made, **changes)


def said(of: Evidence) -> list[str]:
    """Every sentence."""
    return [point.text for point in deployment(of)]


def test_no_workload_can_forge_who_deployed_it() -> None:
    """The audit log says who; a refused call and a read deployed nothing."""
    soon = MADE + timedelta(seconds=30)
    deploy = call(soon, "Services.UpdateService", ip="203.0.113.5")
    refused = replace(call(MADE, "Services.UpdateService", "mallory@example.com"), error="denied")
    read = call(MADE, "Services.GetService", "reader@example.com")
    (point,) = deployment(service(refused, read, deploy))
    assert point.names == ("deployer@example.com",)
    assert point.evidence == "audit-log"
    assert point.text == (
        f"revision storefront-00042 was deployed on {MADE:%Y-%m-%d %H:%M:%S} UTC by"
        " deployer@example.com, from 203.0.113.5"
    )
    (nameless,) = said(service(call(soon, "Services.UpdateService", "")))
    assert "by an account that the audit log does not name" in nameless


@pytest.mark.parametrize(
    ("of", "why"),
    [
        (service(), "the audit log does not show it"),
        (
            replace(service(), audit=None).with_gap(DENIED),
            "is not known, because the audit log could not be read (permission denied)",
        ),
        (
            service(revisions=(template(create_time=EVENT - timedelta(days=8)),)),
            "the audit log was read for the 7 days before the event only",
        ),
        (
            service(*[call(EVENT, "Services.SetIamPolicy")] * AUDIT_EVENTS),
            f"of the audit log only the newest {AUDIT_EVENTS} entries were read",
        ),
    ],
)
def test_where_the_audit_log_is_silent_it_is_said_why(of: Evidence, why: str) -> None:
    """Cloud Run's own word stands in; that nobody did it is never claimed."""
    (point,) = deployment(of)
    assert "by ci@example.com, as Cloud Run says" in point.text
    assert why in point.text


def test_a_deployment_between_the_event_and_our_reading_is_told() -> None:
    """What is there now is not what ran."""
    later = EVENT + timedelta(minutes=3)
    of = service(settings=settings(update_time=later, last_modifier="ops@example.com"))
    _, since = said(of)
    assert since.startswith(
        "the service was changed after the event, on 2026-10-02 08:17:07 UTC by"
    )
    assert "ops@example.com, as Cloud Run says" in since
    audit = (call(later, "Services.UpdateService", "ops@example.com"),)
    _, since = said(replace(of, audit=audit))
    assert since.endswith("by ops@example.com")


def test_of_a_job_who_started_it_is_told_and_who_deployed_it() -> None:
    """Starting an execution may be the attack itself."""
    start = call(EVENT - timedelta(minutes=6), "Jobs.RunJob", "mallory@example.com")
    old, new = (call(EVENT - timedelta(days=d), "Jobs.UpdateJob", f"{d}@x.example") for d in (5, 3))
    later = call(EVENT, "Jobs.UpdateJob", "later@example.com")
    assert said(job(later, start, new, old)) == [
        "execution nightly-1 was started on 2026-10-02 08:08:07 UTC by mallory@example.com",
        "the job had been deployed last on 2026-09-29 08:14:07 UTC by 3@x.example",
    ]


def changed(update_time: datetime | None) -> Settings:
    """A job that was changed then."""
    return settings(kind=Kind.JOB, update_time=update_time)


@pytest.mark.parametrize(
    ("of", "started", "deployed"),
    [
        (
            job(),
            "by scheduler@example.com, as Cloud Run says; the audit log does not show it",
            "the job had been changed last on 2026-09-30 08:14:07 UTC by ci@example.com",
        ),
        (
            job(settings=changed(None)),
            "the audit log does not show it",
            "not known: the audit log was read for the 7 days",
        ),
        (
            job(executions=None).with_gap(Gap("executions", "no answer")),
            "who started what ran is not known, because its executions could not be read (no",
            "had been changed last",
        ),
        (job(executions=()), "who started what ran is not known: it is not listed", "changed last"),
        (
            job(settings=None).with_gap(Gap("settings", "denied")),
            "was started",
            "who deployed the job is not known, because its settings could not be read (denied)",
        ),
    ],
)
def test_what_a_job_does_not_tell_is_told_to_be_unknown(
    of: Evidence, started: str, deployed: str
) -> None:
    """Each with its reason."""
    first, second = said(of)
    assert started in first
    assert deployed in second


def test_of_a_worker_pool_its_revision_is_told() -> None:
    """As of a service."""
    pool = finding(workload=workload(kind=Kind.WORKER_POOL))
    deploy = call(MADE, "WorkerPools.CreateWorkerPool")
    (text,) = said(service(deploy, finding=pool, settings=settings(kind=Kind.WORKER_POOL)))
    assert text.endswith("by deployer@example.com")


def test_of_no_workload_nothing_is_said() -> None:
    """Nobody deployed what is not there."""
    assert deployment(evidence(finding=finding(workload=None))) == ()
