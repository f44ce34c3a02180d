"""Deleting what ran: last, after the evidence is safe, and only what nothing needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from incident.actions.before_image import stated
from incident.model import ChangeState, Container, Evidence, Kind, Mode, Status, Step
from incident.playbook.close import delete_what_ran
from incident.playbook.situation import Situation, position
from tests.support.model import NOW, evidence, finding, scaled_to_zero, settings, template, workload

RAN = "storefront-00041"
PLACE = "--region=europe-west1 --project=example-shop-prod"
DELETE = f"gcloud run revisions delete {RAN} {PLACE}"
LIST = f"gcloud run revisions list --service=storefront {PLACE}"


def last(status: Status, of: Evidence, kind: Kind = Kind.SERVICE) -> Step:
    """The step after the one that secures the evidence."""
    changes = (stated(scaled_to_zero(), ChangeState.VERIFIED),)
    where = position(Situation("i-1", status, Mode.ENFORCE, of, changes), workload(kind=kind))
    first, second = delete_what_ran(of, where)
    assert first.command == "python cli.py verify i-1"
    return second


def named(**changes: Any) -> Evidence:
    """A finding that names the revision."""
    return evidence(finding=finding(revision=RAN), **changes)


def test_the_revision_that_the_finding_names_is_deleted_after_the_release() -> None:
    """Deleted before, the split that the release restores would lead to nothing."""
    step = last(Status.CONTAINED, named())
    assert step.command == DELETE
    assert "Not before the release" in step.text


@pytest.mark.parametrize("changes", [{"latest_ready_revision": RAN}, {"live_revisions": (RAN,)}])
def test_the_serving_revision_is_not_deleted_without_a_release_to_come(
    changes: dict[str, Any],
) -> None:
    """Another one has to serve before; the list tells when."""
    step = last(Status.HELD, named(settings=settings(**changes)))
    assert step.command == LIST
    assert "it serves now" in step.text
    assert last(Status.CONTAINED, named(settings=settings(**changes))).command == DELETE


def test_an_idle_revision_is_free_to_go_and_one_that_may_serve_is_not() -> None:
    """Nothing leads to it; where the settings could not be read, that is not known."""
    assert last(Status.HELD, named(settings=settings())).command == DELETE
    unread = last(Status.HELD, named(settings=None))
    assert unread.command == LIST
    assert "Whether it serves now is not known" in unread.text


def test_where_several_ran_the_image_a_person_finds_out_which() -> None:
    """They are named, and the command lists them; nothing is deleted on a guess."""
    this = replace(finding(revision=None), containers=(Container("c", "image", None),))
    runs = template(containers=(replace(template().containers[0], image="image"),))
    revisions = (replace(runs, revision=RAN), replace(runs, revision="b"))
    later = settings(update_time=NOW)
    step = last(Status.CONTAINED, evidence(finding=this, revisions=revisions, settings=later))
    assert step.command == LIST
    assert step.text.startswith("Find out which revision ran")
    assert RAN in step.text
    assert "b" in step.text
    one = last(Status.CONTAINED, evidence(finding=this, revisions=revisions[:1]))
    assert one.command == DELETE
    none = last(Status.CONTAINED, evidence(finding=this))
    assert (none.command, "a revision that is not known" in none.text) == (LIST, True)


def test_executions_of_a_job_are_listed_where_the_finding_names_none() -> None:
    """Else the one that ran is deleted."""
    job = workload(kind=Kind.JOB)
    this = replace(finding(), workload=job, revision=None, execution=None)
    step = last(Status.CONTAINED, evidence(finding=this), Kind.JOB)
    assert step.command == f"gcloud run jobs executions list --job=storefront {PLACE}"
    ran = last(Status.CONTAINED, evidence(finding=replace(this, execution="e-1")), Kind.JOB)
    assert ran.command == f"gcloud run jobs executions delete e-1 {PLACE}"
