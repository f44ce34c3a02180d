"""Who deployed what ran, who started it, and who changed it since: from the audit log if it can."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from incident.investigation.deployments import describe_deployment
from incident.model import (
    AuditEvent,
    CutList,
    Evidence,
    Execution,
    Gap,
    Kind,
    WorkloadConfiguration,
)
from tests.support.model import configuration, evidence, finding, template, workload

EVENT = finding().event_time
MADE = EVENT - timedelta(days=4)
JOB = workload(kind=Kind.JOB, name="nightly")
DENIED = Gap("audit-log", "permission denied")


def audit_call(
    at: datetime, method: str, who: str = "deployer@example.com", ip: str = ""
) -> AuditEvent:
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
    of = configuration(kind=Kind.JOB, update_time=EVENT - timedelta(days=2))
    about = finding(workload=JOB, revision=None)
    made = evidence(finding=about, configuration=of, executions=(execution(),), audit=audit)
    return replace(made, **changes)


def sentences(of: Evidence) -> list[str]:
    """Every sentence."""
    return [point.text for point in describe_deployment(of)]


def test_no_workload_can_forge_who_deployed_it() -> None:
    """The audit log says who; a refused call and a read deployed nothing."""
    soon = MADE + timedelta(seconds=30)
    deploy = audit_call(soon, "Services.UpdateService", ip="203.0.113.5")
    refused = replace(
        audit_call(MADE, "Services.UpdateService", "mallory@example.com"), error="denied"
    )
    read = audit_call(MADE, "Services.GetService", "reader@example.com")
    (point,) = describe_deployment(service(refused, read, deploy))
    assert point.names == ("deployer@example.com",)
    assert point.evidence == "audit-log"
    assert point.text == (
        f"revision storefront-00042 was deployed on {MADE:%Y-%m-%d %H:%M:%S} UTC by"
        " deployer@example.com, from 203.0.113.5"
    )
    (nameless,) = sentences(service(audit_call(soon, "Services.UpdateService", "")))
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
            replace(service(), audit=CutList((audit_call(EVENT, "Services.SetIamPolicy"),), "x")),
            "of the audit log only the newest 1 entries were read",
        ),
    ],
)
def test_a_silent_audit_log_is_explained(of: Evidence, why: str) -> None:
    """Cloud Run's own word stands in; that nobody did it is never claimed."""
    (point,) = describe_deployment(of)
    assert "by ci@example.com, as Cloud Run says" in point.text
    assert why in point.text


def test_a_deployment_after_the_event_is_reported() -> None:
    """What is there now is not what ran."""
    later = EVENT + timedelta(minutes=3)
    of = service(configuration=configuration(update_time=later, last_modifier="ops@example.com"))
    _, since = sentences(of)
    assert since.startswith(
        "the service was changed after the event, on 2026-10-02 08:17:07 UTC by"
    )
    assert "ops@example.com, as Cloud Run says" in since
    audit = (audit_call(later, "Services.UpdateService", "ops@example.com"),)
    _, since = sentences(replace(of, audit=audit))
    assert since.endswith("by ops@example.com")


def test_starter_and_deployer_of_a_job_are_reported() -> None:
    """Starting an execution may be the attack itself."""
    start = audit_call(EVENT - timedelta(minutes=6), "Jobs.RunJob", "mallory@example.com")
    old, new = (
        audit_call(EVENT - timedelta(days=d), "Jobs.UpdateJob", f"{d}@x.example") for d in (5, 3)
    )
    later = audit_call(EVENT, "Jobs.UpdateJob", "later@example.com")
    assert sentences(job(later, start, new, old)) == [
        "execution nightly-1 was started on 2026-10-02 08:08:07 UTC by mallory@example.com",
        "the job had been deployed last on 2026-09-29 08:14:07 UTC by 3@x.example",
    ]


def changed_job(update_time: datetime | None) -> WorkloadConfiguration:
    """A job that was changed then."""
    return configuration(kind=Kind.JOB, update_time=update_time)


@pytest.mark.parametrize(
    ("of", "started", "deployed"),
    [
        (
            job(),
            "by scheduler@example.com, as Cloud Run says; the audit log does not show it",
            "the job had been changed last on 2026-09-30 08:14:07 UTC by ci@example.com",
        ),
        (
            job(configuration=changed_job(None)),
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
            job(configuration=None).with_gap(Gap("settings", "denied")),
            "was started",
            "who deployed the job is not known, because its settings could not be read (denied)",
        ),
    ],
)
def test_unknown_job_facts_are_reported_as_unknown(
    of: Evidence, started: str, deployed: str
) -> None:
    """Each with its reason."""
    first, second = sentences(of)
    assert started in first
    assert deployed in second


def test_the_revision_of_a_worker_pool_is_reported() -> None:
    """As of a service."""
    pool = finding(workload=workload(kind=Kind.WORKER_POOL))
    deploy = audit_call(MADE, "WorkerPools.CreateWorkerPool")
    (text,) = sentences(
        service(deploy, finding=pool, configuration=configuration(kind=Kind.WORKER_POOL))
    )
    assert text.endswith("by deployer@example.com")


def test_no_workload_has_no_deployment_sentences() -> None:
    """Nobody deployed what is not there."""
    assert describe_deployment(evidence(finding=finding(workload=None))) == ()
