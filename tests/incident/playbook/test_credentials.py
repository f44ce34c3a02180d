"""Tasks that revoke the credentials of each kind of service account."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from incident.model import PlaybookTask
from incident.playbook.credentials import (
    AccountKind,
    review_account_activity,
    revoke_credentials,
    runtime_account,
)
from tests.support.model import configuration, evidence, template, workload

COMPUTE = "210987654321-compute@developer.gserviceaccount.com"
SHOP = "storefront@example-shop-prod.iam.gserviceaccount.com"


def steps(account: str, **place: Any) -> tuple[PlaybookTask, ...]:
    """The tasks for a workload that runs as a service account."""
    runs = template(revision="", service_account=account)
    of = evidence(configuration=configuration(template=runs))
    return tuple(revoke_credentials(of, replace(workload(), **place)))


def commands(account: str, **place: Any) -> str:
    """Their commands, one a line."""
    return "\n".join(step.command for step in steps(account, **place))


@pytest.mark.parametrize(
    ("email", "owner", "project", "elsewhere"),
    [
        (SHOP, AccountKind.USER, "example-shop-prod", False),
        ("x@other.iam.gserviceaccount.com", AccountKind.USER, "other", True),
        ("x@shop.example.com.iam.gserviceaccount.com", AccountKind.USER, "example.com:shop", True),
        (COMPUTE, AccountKind.COMPUTE, "210987654321", False),
        ("1-compute@developer.gserviceaccount.com", AccountKind.COMPUTE, "1", True),
        ("example-shop-prod@appspot.gserviceaccount.com", AccountKind.APP_ENGINE, None, False),
        ("service-1@gcp-sa-run.iam.gserviceaccount.com", AccountKind.GOOGLE, "", False),
        ("1@cloudservices.gserviceaccount.com", AccountKind.GOOGLE, "", False),
        ("me@example.com", AccountKind.UNKNOWN, "", False),
        ("--x@p.iam.gserviceaccount.com", AccountKind.UNKNOWN, "", False),
        ("x'; touch y@p.iam.gserviceaccount.com", AccountKind.UNKNOWN, "", False),
        ("x@p.iam.gserviceaccount.com.example", AccountKind.UNKNOWN, "", False),
    ],
)
def test_an_account_name_shows_its_kind_and_project(
    email: str, owner: AccountKind, project: str | None, elsewhere: object
) -> None:
    """The email alone gives the account's kind and project."""
    told = runtime_account(email, workload())
    named = "example-shop-prod" if project is None else project
    assert (told.kind, told.project, told.in_other_project) == (owner, named, elsewhere)


def test_a_workload_that_names_no_account_runs_as_the_default_one() -> None:
    """The default account's email starts with the project number."""
    assert runtime_account("", workload()).email == COMPUTE


@pytest.mark.parametrize(
    "email", [SHOP, COMPUTE, "", "example-shop-prod@appspot.gserviceaccount.com"]
)
def test_every_account_that_can_be_disabled_has_its_command(email: str) -> None:
    """Tasks list shared use first, then disable, keys and roles; they name side effects."""
    named = email or COMPUTE
    told = [step.command for step in steps(email)]
    verbs = [" ".join(command.split()[1:4]) for command in told]
    assert any(command.startswith("gcloud beta run worker-pools list") for command in told)
    assert "does not check whether it is shared" in steps(email)[0].text or not email
    assert verbs.index("run services list") < verbs.index("iam service-accounts disable")
    assert f"--iam-account={named} --managed-by=user" in commands(email)
    assert f"--member=serviceAccount:{named}" in commands(email)
    (disable,) = (step for step in steps(email) if "disable" in step.command)
    assert f"disable {named} --project=" in disable.command
    assert "stops all that runs as" in disable.text
    assert "old tokens would be good again" in disable.text


def test_a_default_account_is_never_disabled_without_another_choice() -> None:
    """The task also offers to remove roles, since disabling stops most of a project."""
    assert "compute instances list" in commands(COMPUTE)
    assert "--role=roles/editor" in commands(COMPUTE)
    assert "compute instances list" not in commands(SHOP)


def test_an_account_of_another_project_is_disabled_there() -> None:
    """Disabling names the account's project; roles are removed in the workload's project."""
    told = commands("x@other.iam.gserviceaccount.com")
    assert "disable x@other.iam.gserviceaccount.com --project=other" in told
    assert "remove-iam-policy-binding example-shop-prod --member=serviceAccount:x@other" in told
    texts = " ".join(step.text for step in steps("x@other.iam.gserviceaccount.com"))
    assert "It is in project other" in texts


def test_a_project_that_is_known_by_number_alone_is_not_taken_for_another() -> None:
    """An id and a number are not compared."""
    assert not runtime_account(SHOP, workload(project_id=None)).in_other_project
    assert not runtime_account(COMPUTE, workload(project_number=None)).in_other_project


def test_googles_own_account_only_loses_roles() -> None:
    """A Google-managed account gets no disable command."""
    told = commands("service-1@gcp-sa-run.iam.gserviceaccount.com")
    assert "disable" not in told
    assert "remove-iam-policy-binding" in told


def test_an_account_that_is_not_known_is_looked_up() -> None:
    """A lookup command replaces the missing project number, settings or email."""
    assert commands("", project_number=None) == (
        "gcloud iam service-accounts list --project=example-shop-prod"
    )
    assert commands("me@example.com").startswith("gcloud run services describe storefront")
    (deeds,) = review_account_activity(evidence(), workload())
    assert "to find none proves nothing" in deeds.text
    (step,) = revoke_credentials(evidence(configuration=None), workload())
    assert step.command.startswith("gcloud run services describe storefront")
    assert not tuple(review_account_activity(evidence(configuration=None), workload()))
