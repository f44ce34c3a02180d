"""Revoking what was taken of the identity: a true command for every kind of account."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from incident.model import Step
from incident.playbook.credentials import read_its_deeds, revoke
from incident.playbook.service_accounts import Owner, account_of
from tests.support.model import evidence, settings, template, workload

COMPUTE = "210987654321-compute@developer.gserviceaccount.com"
SHOP = "storefront@example-shop-prod.iam.gserviceaccount.com"


def steps(account: str, **place: Any) -> tuple[Step, ...]:
    """The steps for a workload that runs as an account."""
    runs = template(revision="", service_account=account)
    of = evidence(settings=settings(template=runs))
    return tuple(revoke(of, replace(workload(), **place)))


def commands(account: str, **place: Any) -> str:
    """Their commands, a line each."""
    return "\n".join(step.command for step in steps(account, **place))


@pytest.mark.parametrize(
    ("email", "owner", "project", "elsewhere"),
    [
        (SHOP, Owner.USER, "example-shop-prod", False),
        ("x@other.iam.gserviceaccount.com", Owner.USER, "other", True),
        ("x@shop.example.com.iam.gserviceaccount.com", Owner.USER, "example.com:shop", True),
        (COMPUTE, Owner.COMPUTE, "210987654321", False),
        ("1-compute@developer.gserviceaccount.com", Owner.COMPUTE, "1", True),
        ("example-shop-prod@appspot.gserviceaccount.com", Owner.APP_ENGINE, None, False),
        ("service-1@gcp-sa-run.iam.gserviceaccount.com", Owner.GOOGLE, "", False),
        ("1@cloudservices.gserviceaccount.com", Owner.GOOGLE, "", False),
        ("me@example.com", Owner.UNKNOWN, "", False),
        ("--x@p.iam.gserviceaccount.com", Owner.UNKNOWN, "", False),
        ("x'; touch y@p.iam.gserviceaccount.com", Owner.UNKNOWN, "", False),
        ("x@p.iam.gserviceaccount.com.example", Owner.UNKNOWN, "", False),
    ],
)
def test_an_account_tells_who_made_it_and_where(
    email: str, owner: Owner, project: str | None, elsewhere: object
) -> None:
    """By the form of its name, and nothing else."""
    told = account_of(email, workload())
    named = "example-shop-prod" if project is None else project
    assert (told.owner, told.project, told.elsewhere) == (owner, named, elsewhere)


def test_a_workload_that_names_no_account_runs_as_the_default_one() -> None:
    """Whose name is made of the project's number."""
    assert account_of("", workload()).email == COMPUTE


@pytest.mark.parametrize(
    "email", [SHOP, COMPUTE, "", "example-shop-prod@appspot.gserviceaccount.com"]
)
def test_every_account_that_can_be_disabled_is_told_how(email: str) -> None:
    """Who shares it is looked up before, its keys and roles after; side effects are said."""
    named = email or COMPUTE
    told = [step.command for step in steps(email)]
    verbs = [" ".join(command.split()[1:4]) for command in told]
    assert any(command.startswith("gcloud beta run worker-pools list") for command in told)
    assert "Nobody has looked yet whether it is shared" in steps(email)[0].text or not email
    assert verbs.index("run services list") < verbs.index("iam service-accounts disable")
    assert f"--iam-account={named} --managed-by=user" in commands(email)
    assert f"--member=serviceAccount:{named}" in commands(email)
    (disable,) = (step for step in steps(email) if "disable" in step.command)
    assert f"disable {named} --project=" in disable.command
    assert "stops all that runs as" in disable.text
    assert "old tokens would be good again" in disable.text


def test_a_default_account_is_never_disabled_without_another_choice() -> None:
    """It stops most of a project: taking its roles away is the smaller harm."""
    assert "compute instances list" in commands(COMPUTE)
    assert "--role=roles/editor" in commands(COMPUTE)
    assert "compute instances list" not in commands(SHOP)


def test_an_account_of_another_project_is_disabled_there() -> None:
    """Its roles in our project are taken away here."""
    told = commands("x@other.iam.gserviceaccount.com")
    assert "disable x@other.iam.gserviceaccount.com --project=other" in told
    assert "remove-iam-policy-binding example-shop-prod --member=serviceAccount:x@other" in told
    texts = " ".join(step.text for step in steps("x@other.iam.gserviceaccount.com"))
    assert "It is in project other" in texts


def test_a_project_that_is_known_by_number_alone_is_not_taken_for_another() -> None:
    """What cannot be compared is not claimed."""
    assert not account_of(SHOP, workload(project_id=None)).elsewhere
    assert not account_of(COMPUTE, workload(project_number=None)).elsewhere


def test_googles_own_account_only_loses_roles() -> None:
    """Nobody can disable it."""
    told = commands("service-1@gcp-sa-run.iam.gserviceaccount.com")
    assert "disable" not in told
    assert "remove-iam-policy-binding" in told


def test_an_account_that_is_not_known_is_looked_up() -> None:
    """Without the project's number, without settings, or by a name that is none."""
    assert commands("", project_number=None) == (
        "gcloud iam service-accounts list --project=example-shop-prod"
    )
    assert commands("me@example.com").startswith("gcloud run services describe storefront")
    (deeds,) = read_its_deeds(evidence(), workload())
    assert "to find none proves nothing" in deeds.text
    (step,) = revoke(evidence(settings=None), workload())
    assert step.command.startswith("gcloud run services describe storefront")
    assert not tuple(read_its_deeds(evidence(settings=None), workload()))
