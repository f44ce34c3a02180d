"""Facts of the evidence: secrets, variables, service accounts, images, callers."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.model import (
    AuditEvent,
    Container,
    ContainerConfiguration,
    Kind,
    PlaybookTask,
    SecretUse,
    Status,
)
from incident.playbook.images import parse_image
from incident.playbook.links import image_page
from incident.playbook.service_accounts import AccountKind, runtime_account
from tests.support.model import (
    NOW,
    configuration,
    evidence,
    finding,
    repeatable,
    template,
    workload,
)
from tests.support.playbook import PLACE, plan, plan_commands, task_commands, task_text

OWN = "--project=example-shop-prod"
#: gcloud names a secret in full by the number of its project.
FULL = "projects/210987654321/secrets/db"
SHA = f"sha256:{'0123456789abcdef' * 4}"
AR = "europe-west1-docker.pkg.dev/example-shop-prod/shop/storefront"
DESCRIBE = "gcloud artifacts docker images describe"
INSPECT = "docker buildx imagetools inspect"
COMPUTE = "210987654321-compute@developer.gserviceaccount.com"
SHOP = "storefront@example-shop-prod.iam.gserviceaccount.com"


def rotation(
    *uses: SecretUse, names: tuple[str, ...] = (), kind: Kind = Kind.SERVICE, **place: Any
) -> PlaybookTask:
    """The rotation of a template with secrets and variables."""
    what = template(
        revision="",
        secret_names=tuple(dict.fromkeys(use.secret for use in uses)),
        secret_uses=uses,
        containers=(ContainerConfiguration("c", "image", names),),
    )
    this = finding(processes=(), workload=workload(kind=kind, **place))
    of = evidence(finding=this, configuration=configuration(template=what, kind=kind))
    return plan(Status.CONTAINED, of)["rotate-secrets"]


def added(name: str, project: str = "example-shop-prod") -> str:
    """The command that adds a version, which does nothing where no value is set."""
    add = f"gcloud secrets versions add {name} --data-file=- --project={project}"
    return f'[ -n "$V" ] && printf %s "$V" | {add}; unset V'


def test_a_pinned_secret_is_added_moved_to_and_disabled_in_this_order() -> None:
    """Disabled earlier, the next instance would not start."""
    disable = "gcloud secrets versions disable projects/example-shop-prod/secrets/db/versions"
    assert task_commands(rotation(SecretUse("db", "3", "DB", mounted=False))) == [
        added("db"),
        f"gcloud run services update storefront {PLACE} --update-secrets=DB={FULL}:latest",
        f"gcloud secrets get-iam-policy db {OWN}",
        f"{disable}/3",
        f"{disable}/OLD_VERSION",
    ]


def test_the_latest_version_needs_no_other_settings() -> None:
    """A variable has it at the next start, a file at the next access."""
    for use in (
        SecretUse("db", "latest", "DB", mounted=False),
        SecretUse("db", "latest", "/etc/db", mounted=True),
    ):
        assert not any("--update-secrets" in each for each in task_commands(rotation(use)))


def test_all_pinned_uses_go_in_one_update() -> None:
    """A variable and a file, of the own and another project, share a command."""
    theirs = "projects/123/secrets/tls"
    task = rotation(
        SecretUse("db", "3", "DB", mounted=False), SecretUse(theirs, "7", "/tls/key", mounted=True)
    )
    (update,) = (each for each in task_commands(task) if "--update-secrets" in each)
    assert update.endswith(f"--update-secrets=DB={FULL}:latest,/tls/key={theirs}:latest")
    assert "gcloud secrets versions disable projects/123/secrets/tls/versions/7" in task_commands(
        task
    )
    assert "tls is in project 123: ask its owner" in task.text


@pytest.mark.parametrize("project", ["example-shop-prod", "210987654321"])
def test_a_full_secret_name_may_be_in_the_own_project(project: str) -> None:
    """By the project's id or by its number."""
    task = rotation(SecretUse(f"projects/{project}/secrets/db", "latest", "DB", mounted=False))
    assert "ask its owner" not in task.text
    assert added("db", project) in task_commands(task)


@pytest.mark.parametrize(
    ("kind", "update"),
    [
        (Kind.JOB, "gcloud run jobs update"),
        (Kind.WORKER_POOL, "gcloud beta run worker-pools update"),
    ],
)
def test_each_kind_is_updated_by_its_own_command(kind: Kind, update: str) -> None:
    """Services, jobs and pools have their own commands."""
    task = rotation(SecretUse("db", "3", "DB", mounted=False), kind=kind)
    (command,) = (each for each in task_commands(task) if "--update-secrets" in each)
    assert command.startswith(update)


@pytest.mark.parametrize("hostile", ["DB=x,EVIL", "A B", "a,b", ""])
def test_a_name_that_would_be_another_pair_makes_no_command(hostile: str) -> None:
    """The flag separates pairs by commas, which shell quoting does not escape."""
    task = rotation(SecretUse("db", "3", hostile, mounted=False))
    assert not any("--update-secrets" in each for each in task_commands(task))
    assert "The settings name versions of db by number" in task_text(task)


def test_what_gcloud_cannot_name_is_left_to_the_console() -> None:
    """A secret of another project by id, or a pair that redaction would hide."""
    theirs = rotation(SecretUse("projects/other/secrets/tls", "7", "TLS", mounted=False))
    unnumbered = rotation(SecretUse("db", "3", "DB_PASSWORD", mounted=False), project_number=None)
    for task in (theirs, unnumbered):
        assert not any("--update-secrets" in each for each in task_commands(task))
        assert "by number: point them to the latest in the console" in task_text(task)
        assert task.link


def test_variables_are_rotated_by_name_and_secrets_are_not_named_twice() -> None:
    """Names that suggest a secret come before all others."""
    names = ("MODE", "PARTNER_API_KEY", "DB", "DATABASE_URL", "AUTH_TOKEN")
    task = rotation(SecretUse("db", "latest", "DB", mounted=False), names=names)
    assert "hold secrets by their names: AUTH_TOKEN, PARTNER_API_KEY. " in task.text
    alone = rotation(names=("MODE", "DATABASE_URL"))
    assert alone.text == "Look for passwords in DATABASE_URL, MODE."
    assert alone.title == "Check its variables for secrets"
    many = rotation(names=tuple(f"N{number:03d}" for number in range(30)))
    assert "N019." in many.text


@pytest.mark.parametrize(
    ("email", "kind", "project", "elsewhere"),
    [
        (SHOP, AccountKind.USER, "example-shop-prod", False),
        ("x@other.iam.gserviceaccount.com", AccountKind.USER, "other", True),
        ("x@shop.example.com.iam.gserviceaccount.com", AccountKind.USER, "example.com:shop", True),
        (COMPUTE, AccountKind.COMPUTE, "210987654321", False),
        ("1-compute@developer.gserviceaccount.com", AccountKind.COMPUTE, "1", True),
        (
            "example-shop-prod@appspot.gserviceaccount.com",
            AccountKind.APP_ENGINE,
            "example-shop-prod",
            False,
        ),
        *(
            (email, kind, "example-shop-prod", False)
            for email, kind in (
                ("service-1@gcp-sa-run.iam.gserviceaccount.com", AccountKind.GOOGLE),
                ("1@cloudservices.gserviceaccount.com", AccountKind.GOOGLE),
                ("me@example.com", AccountKind.UNKNOWN),
                ("--x@p.iam.gserviceaccount.com", AccountKind.UNKNOWN),
                ("x'; touch y@p.iam.gserviceaccount.com", AccountKind.UNKNOWN),
                ("x@p.iam.gserviceaccount.com.example", AccountKind.UNKNOWN),
            )
        ),
    ],
)
def test_an_account_name_shows_its_kind_and_project(
    email: str, kind: AccountKind, project: str, *, elsewhere: bool
) -> None:
    """The email alone gives the account's kind and project."""
    account = runtime_account(email, workload())
    assert (account.kind, account.project) == (kind, project)
    assert account.in_other_project is elsewhere


def test_projects_by_number_and_by_id_are_not_compared() -> None:
    """Nor is a workload without an account without one: it runs as the default account."""
    assert runtime_account("", workload()).email == COMPUTE
    assert not runtime_account(SHOP, workload(project_id=None)).in_other_project
    assert not runtime_account(COMPUTE, workload(project_number=None)).in_other_project


def identity(account: str, **place: Any) -> PlaybookTask:
    """The task for a workload that runs as a service account."""
    runs = template(revision="", service_account=account)
    this = finding(workload=replace(workload(), **place))
    of = evidence(finding=this, configuration=configuration(template=runs))
    return plan(Status.CONTAINED, of)["disable-identity"]


@pytest.mark.parametrize(
    "email", [SHOP, COMPUTE, "", "example-shop-prod@appspot.gserviceaccount.com"]
)
def test_every_account_that_can_be_disabled_is(email: str) -> None:
    """With what else runs as it, its keys and its roles; and it is enabled again."""
    named, task = email or COMPUTE, identity(email)
    commands = task_commands(task)
    assert str(task.command).startswith(f"gcloud iam service-accounts disable {named} --project=")
    assert any(each.startswith("gcloud beta run worker-pools list --filter=") for each in commands)
    assert any(f"keys list --iam-account={named} --managed-by=user" in each for each in commands)
    assert any(f"--member=serviceAccount:{named}" in each for each in commands)
    assert f"Disabling {named} stops all that runs as" in task.text
    assert "Enable it no sooner than an hour later" in task.text
    default = named != SHOP
    assert any("compute instances list" in each for each in commands) is default
    assert any("--role=roles/editor" in each for each in commands) is default
    assert ("take its roles away (below)" in task.text) is default


def test_an_account_of_another_project_is_disabled_there() -> None:
    """Disabling names the account's project; roles are removed in the workload's project."""
    task = identity("x@other.iam.gserviceaccount.com")
    disable = "gcloud iam service-accounts disable x@other.iam.gserviceaccount.com --project=other"
    assert task.command == disable
    remove = "remove-iam-policy-binding example-shop-prod --member=serviceAccount:x@other"
    assert any(remove in each for each in task_commands(task))
    assert "Its owner is project other" in task.text


def test_accounts_that_cannot_be_disabled_are_not() -> None:
    """Google's own loses roles; what is not known is looked up."""
    google = identity("service-1@gcp-sa-run.iam.gserviceaccount.com")
    assert not any("disable" in each for each in task_commands(google))
    assert any("remove-iam-policy-binding" in each for each in task_commands(google))
    assert "cannot be disabled" in google.text
    unnamed = identity("", project_number=None)
    assert unnamed.command == f"gcloud iam service-accounts list {OWN}"
    describe = f"gcloud run services describe storefront {PLACE}"
    assert identity("me@example.com").command == describe
    unread = plan(Status.CONTAINED, evidence(configuration=None))
    assert unread["disable-identity"].command == describe
    logs = task_commands(unread["save-logs"])
    assert len(logs) == 1
    assert not any("principalEmail" in each for each in logs)


def test_what_was_done_as_the_account_is_saved() -> None:
    """Since the day of the event; reads show only where they are logged."""
    task = plan(Status.CONTAINED)["save-logs"]
    of_workload, of_account = task_commands(task)
    assert 'resource.labels.service_name="storefront"' in of_workload
    assert of_workload.endswith("> storefront-logs.json")
    assert f'principalEmail="{SHOP}" timestamp>="2026-10-02T00:00:00Z"' in of_account
    assert "Data Access logs" in task.text


def image_tasks(image: str, digest: str | None = SHA, **more: Any) -> list[str]:
    """The commands on the image of a finding."""
    this = replace(finding(), containers=(Container("c", image, digest),), revision=None)
    tasks = plan(Status.CONTAINED, evidence(finding=replace(this, **more)))
    return [*task_commands(tasks["root-cause"]), *task_commands(tasks["rebuild"])]


@pytest.mark.parametrize(
    ("reference", "command"),
    [
        (f"{AR}:v2", f"{DESCRIBE} {AR}@{SHA}"),
        (AR, f"{DESCRIBE} {AR}@{SHA}"),
        (f"{AR}@{SHA}", f"{DESCRIBE} {AR}@{SHA}"),
        ("gcr.io/p/shop:v2", f"{DESCRIBE} gcr.io/p/shop@{SHA}"),
        ("eu.gcr.io/p/shop", f"{DESCRIBE} eu.gcr.io/p/shop@{SHA}"),
        ("mirror.gcr.io/library/nginx", f"{INSPECT} mirror.gcr.io/library/nginx@{SHA}"),
        ("nginx", f"{INSPECT} docker.io/library/nginx@{SHA}"),
        ("nginx:1.25", f"{INSPECT} docker.io/library/nginx@{SHA}"),
        ("bitnami/redis:7", f"{INSPECT} docker.io/bitnami/redis@{SHA}"),
        ("docker.io/bitnami/redis", f"{INSPECT} docker.io/bitnami/redis@{SHA}"),
        ("ghcr.io/o/app:1", f"{INSPECT} ghcr.io/o/app@{SHA}"),
        ("registry.example:5000/app:1", f"{INSPECT} registry.example:5000/app@{SHA}"),
        ("gcr.io.example.net/p/app", f"{INSPECT} gcr.io.example.net/p/app@{SHA}"),
    ],
)
def test_each_registry_is_asked_by_what_can_read_it(reference: str, command: str) -> None:
    """By the digest that ran, since a tag may have moved."""
    commands = image_tasks(reference)
    assert command in commands
    name = command.rsplit(maxsplit=1)[-1].partition("@")[0]
    assert f"--image={name}@sha256:NEW_DIGEST" in commands[-1]


@pytest.mark.parametrize("reference", ["--help", "a b", "A/B", "x'; touch /tmp/owned; '", "a\nb"])
def test_what_is_no_reference_makes_no_command(reference: str) -> None:
    """Without a valid reference the task lists the revisions' digests."""
    commands = image_tasks(reference)
    listed = "gcloud run revisions list --service=storefront"
    assert any(each.startswith(listed) for each in commands)
    assert not any("--image=" in each or DESCRIBE in each for each in commands)


def test_every_possible_image_is_checked() -> None:
    """Where the finding names none, every candidate template's image is."""
    one = template().containers[0]
    revisions = tuple(
        template(revision=name, containers=(replace(one, image=f"{AR}:{name}"),))
        for name in ("a", "b")
    )
    this = replace(finding(), containers=(), revision=None)
    of = evidence(finding=this, revisions=revisions, configuration=configuration(update_time=NOW))
    commands = plan_commands(plan(Status.CONTAINED, of))
    assert {f"{DESCRIBE} {AR}:a", f"{DESCRIBE} {AR}:b"} <= {*commands}


@repeatable
@given(st.text(max_size=80), st.text(max_size=80))
def test_no_reference_is_more_than_one_word(reference: str, digest: str) -> None:
    """Any reference stays one word of a command."""
    pinned = parse_image(reference, digest).pinned
    assert not pinned or shlex.split(pinned) == [pinned]
    assert not pinned.startswith("-")


@pytest.mark.parametrize(
    ("kind", "ran", "command"),
    [
        (Kind.SERVICE, {"revision": "r-1"}, "gcloud run revisions describe r-1"),
        (Kind.SERVICE, {}, "gcloud run revisions list --service=storefront"),
        (Kind.WORKER_POOL, {}, "gcloud beta run worker-pools revisions list"),
        (Kind.WORKER_POOL, {"revision": "r"}, "gcloud beta run worker-pools revisions describe r"),
        (Kind.JOB, {"execution": "e-1"}, "gcloud run jobs executions describe e-1"),
        (Kind.JOB, {}, "gcloud run jobs describe storefront"),
    ],
)
def test_an_unknown_digest_has_a_lookup_command(
    kind: Kind, ran: dict[str, str], command: str
) -> None:
    """By revision, by execution, or in the list of revisions."""
    place: Any = {"workload": workload(kind=kind), "revision": None, "execution": None, **ran}
    commands = image_tasks(f"{AR}:v2", None, **place)
    assert any(each.startswith(command) and each.endswith(PLACE) for each in commands)
    assert f"{DESCRIBE} {AR}:v2" in commands


def test_an_image_of_artifact_registry_has_its_page() -> None:
    """Images of other registries have no console page."""
    assert image_page(AR) == (
        "https://console.cloud.google.com/artifacts/docker/example-shop-prod/europe-west1/shop"
        "/storefront?project=example-shop-prod"
    )
    assert image_page("gcr.io/p/shop") is None
    assert image_page("x-docker.pkg.dev/p") is None


def test_the_public_that_the_audit_log_shows_is_kept_out_though_the_policy_is_not_read() -> None:
    """Public members of the audit log get a command, unless removed or refused."""

    def event(verb: str, error: str = "") -> AuditEvent:
        member = f"{verb} roles/run.invoker allUsers"
        return AuditEvent(NOW, "a@example.com", "SetIamPolicy", "", "", error, (member,))

    for events, taken_out in (
        ((event("ADD"),), True),
        ((event("REMOVE"), event("ADD")), False),
        ((event("ADD", "denied"),), False),
    ):
        task = plan(Status.HELD, evidence(access=None, audit=events))["root-cause"]
        assert ("opened to allUsers" in task.text) is taken_out
        assert any("--member=allUsers" in each for each in task_commands(task)) is taken_out
