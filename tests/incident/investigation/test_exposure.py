"""Exposure: how an attacker came in and what he could reach, from the evidence alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.cloud import run_v2

from clients.cloud_run_conversion import template_of
from incident.investigation.exposure import describe_exposure, describe_volumes
from incident.model import (
    Access,
    AffectedWorkload,
    AffectedWorkloads,
    AuditEvent,
    Binding,
    Evidence,
    ExposureFact,
    ExposureTopic,
    Kind,
    Relation,
    Volume,
    is_default_service_account,
)
from tests.support.model import NOW, configuration, evidence, finding, template, workload


def point(of: Evidence, topic: ExposureTopic) -> ExposureFact | None:
    """The first point about a topic."""
    return next((each for each in describe_exposure(of) if each.topic is topic), None)


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
def test_the_entry_point_is_the_ingress_setting(ingress: str, words: str, *, serious: bool) -> None:
    """Each ingress is described in words; only the open one makes it worse."""
    reported = point(
        evidence(configuration=configuration(fields={"ingress": ingress})),
        ExposureTopic.ENTRY_POINT,
    )
    assert reported
    assert (words in reported.text, reported.serious) == (True, serious)


def iam_binding(role: str, *members: str, condition: str | None = None) -> Binding:
    """A binding of a role of Cloud Run."""
    return Binding(f"roles/run.{role}", members, condition)


DEFAULT = "the project's default service account"
ALL, ANY, EVE = "allUsers", "allAuthenticatedUsers", "user:eve@example.com"
INVOKER = "roles/run.invoker"
EVERYBODY, ACCOUNTS = "everybody may", "everybody with a Google account may"
GIVES, ALONE = "its IAM policy gives", "only those with a grant may"


@pytest.mark.parametrize(
    ("kind", "bindings", "texts"),
    [
        ("service", (iam_binding("invoker", ALL),), [f"{EVERYBODY} call it: {GIVES} allUsers"]),
        ("service", (iam_binding("invoker", ANY),), [f"{ACCOUNTS} call it: {GIVES} {ANY}"]),
        (
            "service",
            (iam_binding("servicesInvoker", ALL), iam_binding("admin", ANY)),
            [
                f"{EVERYBODY} call it: {GIVES} allUsers roles/run.servicesInvoker",
                f"{ACCOUNTS} call it: {GIVES} {ANY} roles/run.admin, which allows much else",
            ],
        ),
        (
            "job",
            (iam_binding("developer", EVE), iam_binding("jobsExecutor", ANY)),
            [
                f"{ACCOUNTS} start it: {GIVES} {ANY} roles/run.jobsExecutor",
                f"its IAM policy has these bindings as well: roles/run.developer for {EVE}",
            ],
        ),
        (
            "service",
            (iam_binding("viewer", ALL),),
            [f"{EVERYBODY} do what roles/run.viewer allows: its IAM policy gives it to allUsers"],
        ),
        (
            "service",
            (iam_binding("invoker", ALL, condition="office hours"),),
            [f"{EVERYBODY} call it under the condition “office hours”: {GIVES} allUsers"],
        ),
        (
            "service",
            (iam_binding("invoker", EVE), iam_binding("viewer", EVE)),
            [f"{ALONE} call it, from its own IAM policy or one above it: {INVOKER} for {EVE};"],
        ),
        (
            "service",
            (iam_binding("developer", EVE),),
            [f"its own IAM policy has no binding of {INVOKER}; these other roles may allow it:"],
        ),
        ("service", (), ["its own IAM policy lets nobody call it; a policy above it may"]),
    ],
)
def test_callers_of_every_role_are_reported(
    kind: str, bindings: tuple[Binding, ...], texts: list[str]
) -> None:
    """The public is serious in any role; "nobody" is reported only without any binding."""
    about = finding(workload=workload(kind=Kind(kind)))
    of = evidence(
        finding=about, access=Access(bindings), configuration=configuration(kind=Kind(kind))
    )
    reported = [each for each in describe_exposure(of) if each.topic is ExposureTopic.CALLERS]
    assert len(reported) == len(texts)
    for sentence, text in zip(reported, texts, strict=True):
        assert sentence.text.startswith(text)
        assert sentence.serious is text.startswith("everybody")
        assert ("nobody" in sentence.text) is (bindings == ())
    assert all(each.role in str(reported) for each in bindings)
    assert all(member in str(reported) for each in bindings for member in each.members)


def test_who_opened_it_to_the_public_is_named_from_the_audit_log() -> None:
    """It may be a step of the attack; a refused call opened nothing. Its evidence is the log."""
    added = ("ADD roles/run.servicesInvoker allUsers",)
    let_in = AuditEvent(NOW, "m@example.com", "x.SetIamPolicy", "", "", "", added)
    public = Access((iam_binding("servicesInvoker", ALL),))
    for audit, count in (((let_in,), 1), ((replace(let_in, error="denied"),), 0), ((), 0)):
        points = describe_exposure(evidence(access=public, audit=audit))
        sources = [
            each.evidence
            for each in points
            if each.text == "it was opened to allUsers by m@example.com on 2026-10-02 08:14:12 UTC"
        ]
        assert sources == ["audit-log"] * count


def test_a_workload_without_requests_is_not_called_reachable() -> None:
    """A job is started, and a worker pool is not called at all."""
    for kind, start in ((Kind.JOB, "to start it"), (Kind.WORKER_POOL, None)):
        about = finding(workload=workload(kind=kind))
        of = evidence(finding=about, access=Access(()), configuration=configuration(kind=kind))
        entry, callers = point(of, ExposureTopic.ENTRY_POINT), point(of, ExposureTopic.CALLERS)
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
def test_a_default_account_is_reported_as_shared(account: str, *, default: bool) -> None:
    """An account that others may run as reaches further; the sentence names it."""
    assert is_default_service_account(account) is default
    what = template(service_account=account, revision="")
    reported = point(evidence(configuration=configuration(template=what)), ExposureTopic.IDENTITY)
    assert reported
    assert (
        "other workloads of the project may run as it too (not checked)" in reported.text
    ) is default
    assert reported.text.startswith(f"it runs as {account or DEFAULT}")


def test_exposure_is_that_of_the_affected_revision() -> None:
    """The template may have changed since; the revision that ran is what matters."""
    default = "210987654321-compute@developer.gserviceaccount.com"
    ran = template(revision="storefront-00041", service_account=default)
    of = evidence(finding=finding(revision="storefront-00041"), revisions=(template(), ran))
    reported = point(of, ExposureTopic.IDENTITY)
    assert reported
    assert reported.names == (default,)
    gone = evidence(finding=finding(revision="storefront-00001"), revisions=(template(), ran))
    reported = point(gone, ExposureTopic.AFFECTED_REVISION)
    assert reported
    assert "not listed any more; the settings as they are now stand in" in reported.text


def test_the_exposure_of_every_possible_revision_is_reported() -> None:
    """Two revisions, two accounts, two secrets: none is left out, and it says why."""
    shared = {"percent": 50}
    one, two = (
        template(revision=f"shop-{n}", service_account=f"{n}@x.example", secret_names=(f"key-{n}",))
        for n in (1, 2)
    )
    split = configuration(traffic=[{"revision": f"shop-{n}", **shared} for n in (1, 2)])
    served = replace(split, live_revisions=("shop-1", "shop-2"))
    points = describe_exposure(evidence(configuration=served, revisions=(two, one)))
    names = {name for each in points if each.topic is ExposureTopic.IDENTITY for name in each.names}
    assert names == {"1@x.example", "2@x.example"}
    secrets = next(each for each in points if each.topic is ExposureTopic.SECRETS)
    assert set(secrets.names) == {"key-1", "key-2"}
    ran = next(each for each in points if each.topic is ExposureTopic.AFFECTED_REVISION)
    assert "one of the revisions shop-2 (50 %), shop-1 (50 %)" in ran.text
    assert ran.text.endswith("what is in reach is told for all of them together")


def test_names_stand_where_they_belong() -> None:
    """Only a list of names trails its sentence, and then the sentence ends in what they are."""
    what = template(revision="", volumes=(Volume("data", "gcs://uploads", persists=True),))
    points = describe_exposure(
        evidence(
            configuration=configuration(template=what), access=Access((iam_binding("x", ALL),))
        )
    )
    trailing = {
        each.text for each in points for name in each.names if name and name not in each.text
    }
    assert trailing == {
        "it could read these secrets, which are to be rotated",
        "its environment variables were in reach as well; rotate what is secret among them",
    }


def test_secrets_are_named_never_their_values() -> None:
    """The rotation list has every name; values are not even known here."""
    reported = point(evidence(), ExposureTopic.SECRETS)
    assert reported
    assert reported.names == ("db-password",)
    names = point(evidence(), ExposureTopic.ENVIRONMENT)
    assert names
    # Those of the service, and those that the finding saw in the process.
    assert set(names.names) == {"MODE", "DB_PASSWORD", "PATH"}
    assert "planted-value" not in str(describe_exposure(evidence()))


BUCKET = run_v2.GCSVolumeSource(bucket="uploads")
SHARE = run_v2.NFSVolumeSource(server="10.0.0.2", path="/share")


def volume_sentences(*mounted: Volume) -> tuple[ExposureFact, ...]:
    """What is said of a service that mounts so."""
    return describe_volumes(
        evidence(configuration=configuration(template=template(revision="", volumes=mounted)))
    )


@pytest.mark.parametrize(
    ("volume", "text", "serious"),
    [
        (run_v2.Volume(name="v", gcs=BUCKET), "comes back with every instance that mounts", True),
        (run_v2.Volume(name="v", nfs=SHARE), "every other machine that mounts it", True),
        (
            run_v2.Volume(name="v", gcs=run_v2.GCSVolumeSource(bucket="b", read_only=True)),
            "buckets mounted read-only could be read, not changed",
            False,
        ),
        (
            run_v2.Volume(name="v", nfs=run_v2.NFSVolumeSource(server="s", read_only=True)),
            "file shares mounted read-only could be read, not changed",
            False,
        ),
        (
            run_v2.Volume(name="v", empty_dir=run_v2.EmptyDirVolumeSource()),
            "what is in memory is lost with its instance",
            False,
        ),
        (
            run_v2.Volume(
                name="v", cloud_sql_instance=run_v2.CloudSqlInstance(instances=["p:r:db"])
            ),
            "keep what was changed in them",
            True,
        ),
        (
            run_v2.Volume(name="v"),
            "whether a change to a volume of type unknown lasts is not",
            False,
        ),
    ],
)
def test_each_volume_kind_is_described(volume: run_v2.Volume, text: str, *, serious: bool) -> None:
    """As the client reads it from Cloud Run."""
    read = template_of(run_v2.Revision(name="r", volumes=[volume])).volumes
    (point,) = [each for each in volume_sentences(*read) if each.names]
    assert text in point.text
    assert point.serious is serious


def test_an_ephemeral_volume_is_not_called_gone_while_it_runs() -> None:
    """A held or planned incident's workload still runs; the sentence is true for it as well."""
    (point,) = volume_sentences()
    assert point.text == (
        "it mounts nothing that keeps a changed file, by its settings as they are now: what was"
        " changed in the container's own file system lasts as long as its instance, and is lost"
        " when that stops"
    )
    listed = evidence(revisions=(template(),))
    assert "as they are now" not in describe_volumes(listed)[0].text


def test_volumes_of_one_kind_are_one_point() -> None:
    """Buckets together, and before what is not kept; secrets are on a list of their own."""
    first, second = volume_sentences(
        Volume("s", "secret key", persists=False),
        Volume("scratch", "empty_dir", persists=False),
        Volume("a", "gcs one", persists=True),
        Volume("b", "gcs two", persists=True),
    )
    assert first.names == ("gcs one", "gcs two")
    assert second.names == ("scratch",)


def test_the_other_users_of_an_account_are_those_of_the_inventory() -> None:
    """Named where it was searched to the end; else it says that it was not checked."""
    account = "storefront@example-shop-prod.iam.gserviceaccount.com"
    other = AffectedWorkload(
        workload(name="copy"), frozenset({Relation.ACCOUNT}), service_accounts=(account,)
    )
    scope = "projects/example-shop-prod"
    for affected, words in (
        (AffectedWorkloads((other,), scope=scope), "these run as it too: copy"),
        (AffectedWorkloads(scope=scope), f"in {scope} the inventory lists no other workload"),
        (AffectedWorkloads((other,), complete=False), "which other workloads run as it, is not"),
        (None, "which other workloads run as it, is not checked"),
    ):
        of = evidence(configuration=configuration(), revisions=(template(),), affected=affected)
        (fact,) = (f for f in describe_exposure(of) if f.topic is ExposureTopic.IDENTITY)
        assert words in fact.text
