"""What an attacker came through and could get at, told from the evidence and from nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from incident.model import (
    Access,
    AuditEvent,
    Binding,
    Evidence,
    Kind,
    Point,
    Topic,
    is_default,
)
from incident.reach import reach
from tests.values import NOW, evidence, finding, settings, template, workload


def point(of: Evidence, topic: Topic) -> Point | None:
    """The first point about a topic."""
    return next((each for each in reach(of) if each.topic is topic), None)


@pytest.mark.parametrize(
    ("ingress", "words", "serious"),
    [
        ("INGRESS_TRAFFIC_ALL", "anybody on the internet", True),
        ("INGRESS_TRAFFIC_INTERNAL_ONLY", "this project's networks", False),
        ("INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER", "load balancers", False),
        ("INGRESS_TRAFFIC_NONE", "nothing reaches it", False),
        ("INGRESS_TRAFFIC_ODD", "INGRESS_TRAFFIC_ODD", False),
    ],
)
def test_the_way_in_is_what_the_ingress_says(ingress: str, words: str, *, serious: bool) -> None:
    """Each ingress is told in words; only the open one makes it worse."""
    told = point(evidence(settings=settings(fields={"ingress": ingress})), Topic.ENTRY)
    assert told
    assert (words in told.text, told.serious) == (True, serious)


def test_callers_are_told_from_the_policy() -> None:
    """Public, granted and nobody are three different things; a policy not read is none of them."""
    public = Access((Binding("roles/run.invoker", ("allUsers",), None),))
    anybody = Access((Binding("roles/run.invoker", ("allAuthenticatedUsers",), None),))
    granted = Access((Binding("roles/run.invoker", ("user:a@example.com",), None),))
    for access, words, serious in (
        (public, "everybody may call it", True),
        (anybody, "everybody with a Google account may call it", True),
        (granted, "callers need a grant", False),
        (Access(()), "lets nobody call it", False),
    ):
        told = point(evidence(access=access), Topic.CALLERS)
        assert told
        assert (words in told.text, told.serious) == (True, serious)


def test_who_opened_it_to_the_public_is_told_where_the_audit_log_shows_it() -> None:
    """It may be a step of the attack; a refused call opened nothing."""
    let_in = AuditEvent(
        NOW, "m@example.com", "x.SetIamPolicy", "", "", "", ("ADD roles/run.invoker allUsers",)
    )
    public = Access((Binding("roles/run.invoker", ("allUsers",), None),))
    for audit, said in (
        ((let_in,), True),
        ((replace(let_in, error="denied"),), False),
        ((), False),
    ):
        told = point(evidence(access=public, audit=audit), Topic.CALLERS)
        assert told
        assert ("m@example.com opened it on 2026-10-02 08:14:12 UTC" in told.text) is said


def test_what_takes_no_requests_is_not_told_as_reachable() -> None:
    """A job is started, and a worker pool is not called at all."""
    for kind, start in ((Kind.JOB, "to start it"), (Kind.WORKER_POOL, None)):
        about = finding(workload=workload(kind=kind))
        of = evidence(finding=about, access=Access(()), settings=settings(kind=kind))
        entry, callers = point(of, Topic.ENTRY), point(of, Topic.CALLERS)
        assert entry
        assert "takes no requests" in entry.text
        assert (callers is None) is (start is None)
        assert callers is None or "nobody start it" in callers.text


@pytest.mark.parametrize(
    ("account", "default"),
    [
        ("", True),
        ("210987654321-compute@developer.gserviceaccount.com", True),
        ("example-shop-prod@appspot.gserviceaccount.com", True),
        ("storefront@example-shop-prod.iam.gserviceaccount.com", False),
    ],
)
def test_a_default_account_is_told_as_shared(account: str, *, default: bool) -> None:
    """What everything in a project runs as reaches further than one workload."""
    assert is_default(account) is default
    what = template(service_account=account, revision="")
    told = point(evidence(settings=settings(template=what)), Topic.IDENTITY)
    assert told
    assert ("share" in told.text) is default


def test_what_is_said_is_of_the_revision_that_the_finding_names() -> None:
    """The template may have changed since; the revision that ran is what matters."""
    default = "210987654321-compute@developer.gserviceaccount.com"
    ran = template(revision="storefront-00041", service_account=default)
    of = evidence(finding=finding(revision="storefront-00041"), revisions=(template(), ran))
    told = point(of, Topic.IDENTITY)
    assert told
    assert told.names == (default,)
    gone = evidence(finding=finding(revision="storefront-00001"), revisions=(template(), ran))
    told = point(gone, Topic.RAN)
    assert told
    assert "not listed any more; the settings as they are now stand in" in told.text


def test_where_several_may_have_run_everything_in_reach_of_any_is_told() -> None:
    """Two revisions, two accounts, two secrets: none is left out, and it says why."""
    shared = {"percent": 50}
    one, two = (
        template(revision=f"shop-{n}", service_account=f"{n}@x.example", secret_names=(f"key-{n}",))
        for n in (1, 2)
    )
    split = settings(traffic=[{"revision": f"shop-{n}", **shared} for n in (1, 2)])
    served = replace(split, live_revisions=("shop-1", "shop-2"))
    points = reach(evidence(settings=served, revisions=(two, one)))
    names = {name for each in points if each.topic is Topic.IDENTITY for name in each.names}
    assert names == {"1@x.example", "2@x.example"}
    secrets = next(each for each in points if each.topic is Topic.SECRETS)
    assert set(secrets.names) == {"key-1", "key-2"}
    ran = next(each for each in points if each.topic is Topic.RAN)
    assert "one of the revisions shop-2 (50 %), shop-1 (50 %)" in ran.text
    assert ran.text.endswith("what is in reach is told for all of them together")


def test_secrets_are_named_never_their_values() -> None:
    """The rotation list has every name; values are not even known here."""
    told = point(evidence(), Topic.SECRETS)
    assert told
    assert told.names == ("db-password",)
    names = point(evidence(), Topic.ENVIRONMENT)
    assert names
    # Those of the service, and those that the finding saw in the process.
    assert set(names.names) == {"MODE", "DB_PASSWORD", "PATH"}
    assert "planted-value" not in str(reach(evidence()))
