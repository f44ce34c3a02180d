"""A release in words: who changed what, and what a person can do about what stays lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from incident.actions.require_authentication import CALLER_BINDINGS_LABEL
from incident.case_file.containments import ContainmentHistory, containment_from_records
from incident.containment.release_plan import ReleasePlan
from incident.containment.release_text import (
    changed_by_text,
    irreversible_text,
    release_json,
    release_refusal_text,
)
from incident.containment.restored_values import Difference
from incident.model import AuditEvent, Change, ChangeKind, Kind
from incident.redaction.redactor import Redactor
from tests.support.constants import CONTAINMENTS_FOLDER
from tests.support.model import (
    NOW,
    configuration,
    record,
    scale_to_zero_change,
    snapshot_record,
    workload,
)

UPDATE = "google.cloud.run.v2.Services.UpdateService"
REDACTOR = Redactor(b"key")
EDIT = "google.cloud.run.v2.Services.SetIamPolicy"
# The snapshot is one second after NOW, the record of the write two.
CONTAINMENT = containment_from_records(
    f"{CONTAINMENTS_FOLDER}/1",
    1,
    (snapshot_record(1, scale_to_zero_change()), record(2, "written", snapshot=1)),
)
JOB = replace(workload(), kind=Kind.JOB, name="nightly; rm -rf ~")
CANCELLED = Change(
    action="cancel-executions",
    target=f"{JOB.resource_name}/executions/nightly-x7",
    mask=(),
    before={},
    after={},
    stops=True,
    reversible=False,
    kind=ChangeKind.CANCELLATION,
)


def plan(*names: str) -> ReleasePlan:
    """A plan against which some differences stand."""
    return ReleasePlan(
        workload=workload(),
        containment=CONTAINMENT,
        history=ContainmentHistory((CONTAINMENT,)),
        snapshot=CONTAINMENT.effective_snapshot,
        changes=(),
        irreversible_changes=(),
        differences=tuple(Difference(name, "as we left it", "as it is") for name in names),
        configuration=configuration(),
    )


def event(after_s: float, who: str, method: str = UPDATE, error: str = "") -> AuditEvent:
    """An audit entry so many seconds after the snapshot was taken."""
    at = NOW + timedelta(seconds=1 + after_s)
    deltas = ("ADD roles/run.invoker allUsers",) if method == EDIT else ()
    return AuditEvent(at, who, method, "", "", error, deltas)


def test_who_changed_it_since_is_named_with_what_and_when() -> None:
    """In the order of time, each once; what came before, or was refused, is not it."""
    events = (
        event(60, "late@example.com"),
        event(30, "early@example.com"),
        event(40, "denied@example.com", error="permission denied"),
        event(-30, "before@example.com"),
        event(50, ""),
    )
    text = changed_by_text(plan("scaling"), events)
    early, late = text.split(", late@")
    assert early == "early@example.com (UpdateService, 2026-10-02 08:14:43 UTC)"
    assert late == "example.com (UpdateService, 2026-10-02 08:15:13 UTC)"


def test_own_writes_are_not_attributed_to_others() -> None:
    """A write between snapshot and record is our own, also with what came later."""
    own_events = (event(0.5, "responder@example.com"), event(3, "responder@example.com"))
    person = event(90, "person@example.com")
    assert "responder" not in changed_by_text(plan("scaling"), (*own_events, person))
    assert "responder" in changed_by_text(plan("scaling"), own_events), (
        "but nobody else is there to name"
    )


def test_only_what_may_have_made_the_difference_is_named() -> None:
    """An edit of the policy for the policy, an update for fields."""
    events = (event(30, "policy@example.com", EDIT), event(40, "fields@example.com"))
    assert "fields@" not in changed_by_text(plan(CALLER_BINDINGS_LABEL), events)
    assert "ADD roles/run.invoker allUsers" in changed_by_text(plan(CALLER_BINDINGS_LABEL), events)
    assert "policy@" not in changed_by_text(plan("ingress"), events)
    assert all(
        who in changed_by_text(plan("ingress", CALLER_BINDINGS_LABEL), events)
        for who in ("policy@", "fields@")
    )


def test_without_an_audit_log_the_last_modifier_is_named() -> None:
    """Which is that of its settings: of its policy nothing is known."""
    assert "last modifier ci@example.com" in changed_by_text(plan("scaling"), ())
    assert "unknown" in changed_by_text(plan(CALLER_BINDINGS_LABEL), ())


def test_a_refusal_shows_the_differences_and_what_to_do() -> None:
    """Field by field: as we left it, as it is; a long value is cut."""
    text = release_refusal_text(plan("scaling", "traffic"), "somebody", REDACTOR)
    assert 'scaling (left as "as we left it", is now "as it is"); traffic (' in text
    assert "somebody" in text
    assert "--force" in text
    long = replace(plan(), differences=(Difference("traffic", [], ["x" * 9999]),))
    assert len(release_refusal_text(long, "somebody", REDACTOR)) < 1000


def test_a_cancelled_execution_comes_with_the_command_that_starts_the_job() -> None:
    """Safe to paste, whatever the job is called."""
    text = irreversible_text(CANCELLED, JOB)
    assert "nightly-x7 was cancelled" in text
    assert "gcloud run jobs execute 'nightly; rm -rf ~' --region=europe-west1" in text
    other = replace(CANCELLED, kind=ChangeKind.FIELDS, action="melt")
    assert irreversible_text(other, JOB) == f"melt of {CANCELLED.target} cannot be taken back"


def test_the_plan_as_json_says_all_of_it() -> None:
    """Changes with their states, differences, what is lost."""
    whole = replace(plan("scaling"), irreversible_changes=(CANCELLED,))
    as_json = release_json(whole, REDACTOR, [scale_to_zero_change()])
    assert as_json["containment"] == f"{CONTAINMENTS_FOLDER}/1"
    assert as_json["incidents"] == ["i-1"]
    assert as_json["changed_since"] == [
        {"name": "scaling", "left": "as we left it", "now": "as it is"}
    ]
    assert [c["state"] for c in as_json["changes"]] == ["planned"]  # type: ignore[union-attr, index, call-overload]
    assert [lost["target"] for lost in as_json["not_restored"]] == [CANCELLED.target]  # type: ignore[union-attr, index, call-overload]
    nothing = replace(plan(), containment=None, snapshot=None)
    as_json = release_json(nothing, REDACTOR)
    assert (as_json["containment"], as_json["incidents"]) == (None, [])
