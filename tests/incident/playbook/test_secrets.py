"""Tasks that rotate secrets: add a version, update the references, disable old versions."""

from __future__ import annotations

import pytest

from incident.model import ContainerConfiguration, Kind, PlaybookTask, SecretUse
from incident.playbook.secrets import rotate_secrets
from tests.support.model import configuration, evidence, finding, template, workload

PLACE = "--region=europe-west1 --project=example-shop-prod"
OWN_PROJECT_FLAG = "--project=example-shop-prod"
#: gcloud names a secret in full by the number of its project.
FULL = "projects/210987654321/secrets/db"


def steps(
    *uses: SecretUse, names: tuple[str, ...] = (), kind: Kind = Kind.SERVICE
) -> list[PlaybookTask]:
    """The tasks for a template with secrets and variables."""
    what = template(
        revision="",
        secret_names=tuple(dict.fromkeys(use.secret for use in uses)),
        secret_uses=uses,
        containers=(ContainerConfiguration("c", "image", names),),
    )
    of = evidence(finding=finding(processes=()), configuration=configuration(template=what))
    return list(rotate_secrets(of, workload(kind=kind)))


def test_a_pinned_secret_is_added_moved_to_and_disabled_in_this_order() -> None:
    """Disabled earlier, the next instance would not start."""
    told = [step.command for step in steps(SecretUse("db", "3", "DB", mounted=False))]
    disable = "gcloud secrets versions disable projects/example-shop-prod/secrets/db/versions"
    assert told == [
        f"gcloud secrets versions add db --data-file=FILE {OWN_PROJECT_FLAG}",
        f"gcloud secrets get-iam-policy db {OWN_PROJECT_FLAG}",
        f"gcloud run services update storefront --update-secrets=DB={FULL}:latest {PLACE}",
        f"{disable}/3",
        f"{disable}/OLD_VERSION",
    ]


def test_the_latest_version_needs_no_other_settings() -> None:
    """A variable has it at the next start, a file at the next access."""
    variable = steps(SecretUse("db", "latest", "DB", mounted=False))
    assert not any("--update-secrets" in step.command for step in variable)
    assert any("keeps the old one" in step.text for step in variable)
    file = steps(SecretUse("db", "latest", "/etc/db", mounted=True))
    assert not any("keeps the old one" in step.text for step in file)
    assert "the file /etc/db (version latest)" in file[0].text


def test_all_pinned_uses_go_in_one_update() -> None:
    """A variable and a file, of the own and another project, share a command."""
    theirs = "projects/123/secrets/tls"
    told = steps(
        SecretUse("db", "3", "DB", mounted=False), SecretUse(theirs, "7", "/tls/key", mounted=True)
    )
    (update,) = (step.command for step in told if "--update-secrets" in step.command)
    assert f"--update-secrets=DB={FULL}:latest,/tls/key={theirs}:latest" in update
    assert any(f"disable {theirs}/versions/7" in step.command for step in told)
    assert "in project 123: ask its owner" in told[2].text


@pytest.mark.parametrize("project", ["example-shop-prod", "210987654321"])
def test_a_full_secret_name_may_be_in_the_own_project(project: str) -> None:
    """By the project's id or by its number."""
    told = steps(SecretUse(f"projects/{project}/secrets/db", "latest", "DB", mounted=False))
    assert "ask its owner" not in told[0].text
    assert f"--project={project}" in told[0].command


@pytest.mark.parametrize(
    ("kind", "update"),
    [
        (Kind.JOB, "gcloud run jobs update"),
        (Kind.WORKER_POOL, "gcloud beta run worker-pools update"),
    ],
)
def test_each_kind_is_updated_by_its_own_command(kind: Kind, update: str) -> None:
    """Services, jobs and pools have their own commands; a job has no revisions."""
    told = steps(SecretUse("db", "3", "DB", mounted=False), kind=kind)
    (step,) = (step for step in told if "--update-secrets" in step.command)
    assert step.command.startswith(update)
    assert ("revision" in step.text) is (kind is not Kind.JOB)


@pytest.mark.parametrize("hostile", ["DB=x,EVIL", "A B", "a,b", ""])
def test_a_name_that_would_be_another_pair_makes_no_command(hostile: str) -> None:
    """The flag separates pairs by commas, which shell quoting does not escape."""
    told = steps(SecretUse("db", "3", hostile, mounted=False))
    assert not any("--update-secrets" in step.command for step in told)


def test_variables_are_rotated_by_name_and_secrets_are_not_named_twice() -> None:
    """Names that suggest a secret come first, then the others."""
    names = ("MODE", "PARTNER_API_KEY", "DB", "DATABASE_URL", "AUTH_TOKEN")
    *_, telling, rest = steps(SecretUse("db", "latest", "DB", mounted=False), names=names)
    assert "AUTH_TOKEN, PARTNER_API_KEY. " in telling.text
    assert telling.command == f"gcloud run services describe storefront {PLACE}"
    assert "variables, DATABASE_URL, MODE: " in rest.text


def test_many_variables_are_counted() -> None:
    """A long list is cut and counted."""
    (rest,) = steps(names=tuple(f"N{number:03d}" for number in range(30)))
    assert "N019 and 10 more: " in rest.text


def test_a_secret_of_which_only_the_name_is_known_is_rotated_too() -> None:
    """A secret without known uses gets its task."""
    what = template(revision="", secret_names=("db",))
    told = list(rotate_secrets(evidence(configuration=configuration(template=what)), workload()))
    assert [step.command.split()[3] for step in told[:3]] == ["add", "db", "disable"]


def test_what_gcloud_cannot_name_is_left_to_the_console() -> None:
    """A secret of another project by id, or a pair that redaction would hide, has no command."""
    theirs = steps(SecretUse("projects/other/secrets/tls", "7", "TLS", mounted=False))
    assert not any("--update-secrets" in step.command for step in theirs)
    what = template(
        revision="",
        secret_names=("db",),
        secret_uses=(SecretUse("db", "3", "DB_PASSWORD", mounted=False),),
    )
    of = evidence(configuration=configuration(template=what))
    told = list(rotate_secrets(of, workload(project_number=None)))
    (move,) = (step for step in told if step.text.startswith("Point the settings"))
    assert not move.command
    assert move.link
