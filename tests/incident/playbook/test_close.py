"""Last tasks of the playbook: secure the evidence, delete what is affected and unused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from incident.actions.changes import with_state
from incident.model import ChangeState, Container, Evidence, Kind, Mode, PlaybookTask, Status
from incident.playbook.close import delete_affected
from incident.playbook.inputs import PlaybookInputs, facts_from_inputs
from tests.support.model import (
    NOW,
    configuration,
    evidence,
    finding,
    scale_to_zero_change,
    template,
    workload,
)

RUNNING_REVISION = "storefront-00041"
PLACE = "--region=europe-west1 --project=example-shop-prod"
DELETE = f"gcloud run revisions delete {RUNNING_REVISION} {PLACE}"
LIST = f"gcloud run revisions list --service=storefront {PLACE}"


def final_steps(status: Status, of: Evidence, kind: Kind = Kind.SERVICE) -> PlaybookTask:
    """The tasks after the one that secures the evidence."""
    changes = (with_state(scale_to_zero_change(), ChangeState.VERIFIED),)
    where = facts_from_inputs(
        PlaybookInputs("i-1", status, Mode.ENFORCE, of, changes), workload(kind=kind)
    )
    first, second = delete_affected(of, where)
    assert first.command == "cloud-run-responder verify i-1"
    return second


def finding_with_revision(**changes: Any) -> Evidence:
    """A finding that names the affected revision."""
    return evidence(finding=finding(revision=RUNNING_REVISION), **changes)


def test_the_revision_that_the_finding_names_is_deleted_after_the_release() -> None:
    """Deletion waits for the release, which restores a traffic split that may name the revision."""
    step = final_steps(Status.CONTAINED, finding_with_revision())
    assert step.command == DELETE
    assert "Not before the release" in step.text


@pytest.mark.parametrize(
    "changes",
    [{"latest_ready_revision": RUNNING_REVISION}, {"live_revisions": (RUNNING_REVISION,)}],
)
def test_the_serving_revision_is_not_deleted_without_a_release_to_come(
    changes: dict[str, Any],
) -> None:
    """Deletion waits until another revision serves; the task lists the revisions."""
    step = final_steps(Status.HELD, finding_with_revision(configuration=configuration(**changes)))
    assert step.command == LIST
    assert "it serves now" in step.text
    assert (
        final_steps(
            Status.CONTAINED, finding_with_revision(configuration=configuration(**changes))
        ).command
        == DELETE
    )


def test_an_idle_revision_is_free_to_go_and_one_that_may_serve_is_not() -> None:
    """A revision without traffic gets a delete command; an unread configuration gets a list."""
    assert (
        final_steps(Status.HELD, finding_with_revision(configuration=configuration())).command
        == DELETE
    )
    unread = final_steps(Status.HELD, finding_with_revision(configuration=None))
    assert unread.command == LIST
    assert "Whether it serves now is not known" in unread.text


def test_an_uncertain_revision_has_a_lookup_step() -> None:
    """Where several revisions may be affected, the task lists them and deletes none."""
    this = replace(finding(revision=None), containers=(Container("c", "image", None),))
    runs = template(containers=(replace(template().containers[0], image="image"),))
    revisions = (replace(runs, revision=RUNNING_REVISION), replace(runs, revision="b"))
    later = configuration(update_time=NOW)
    step = final_steps(
        Status.CONTAINED, evidence(finding=this, revisions=revisions, configuration=later)
    )
    assert step.command == LIST
    assert step.text.startswith("Find out which revision ran")
    assert RUNNING_REVISION in step.text
    assert "b" in step.text
    one = final_steps(Status.CONTAINED, evidence(finding=this, revisions=revisions[:1]))
    assert one.command == DELETE
    none = final_steps(Status.CONTAINED, evidence(finding=this))
    assert (none.command, "a revision that is not known" in none.text) == (LIST, True)


def test_executions_of_a_job_are_listed_where_the_finding_names_none() -> None:
    """A job's task lists its executions, or deletes the one that the finding names."""
    job = workload(kind=Kind.JOB)
    this = replace(finding(), workload=job, revision=None, execution=None)
    step = final_steps(Status.CONTAINED, evidence(finding=this), Kind.JOB)
    assert step.command == f"gcloud run jobs executions list --job=storefront {PLACE}"
    ran = final_steps(Status.CONTAINED, evidence(finding=replace(this, execution="e-1")), Kind.JOB)
    assert ran.command == f"gcloud run jobs executions delete e-1 {PLACE}"
