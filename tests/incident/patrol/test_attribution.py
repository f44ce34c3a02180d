"""Who undid a containment: what the audit log says, and what is left where it does not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from incident.model import AuditEvent, ChangeKind
from incident.patrol.attribution import Attribution, attribute_drift, attribution_from_json
from tests.support.model import NOW, configuration

V1, V2 = "google.cloud.run.v1.Services.ReplaceService", "google.cloud.run.v2.Services.UpdateService"
IAM = "google.cloud.run.v1.Services.SetIamPolicy"
FIELDS = {ChangeKind.FIELDS}


def audit_event(
    minutes: float, who: str = "ci@example.com", method: str = V2, **more: Any
) -> AuditEvent:
    """One call, some minutes after our write."""
    at = NOW + timedelta(minutes=minutes)
    return AuditEvent(at, who, method, "", "", more.get("error", ""), ())


@pytest.mark.parametrize("method", [V1, V2, "google.cloud.run.v2.WorkerPools.UpdateWorkerPool"])
def test_either_version_of_the_api_names_who_it_was(method: str) -> None:
    """Gcloud speaks v1, Terraform v2."""
    found = attribute_drift(FIELDS, [audit_event(1, method=method)], NOW, configuration())
    assert (found.principal, found.changed_at, found.method) == (
        "ci@example.com",
        NOW + timedelta(minutes=1),
        method,
    )
    assert found.from_audit_log


def test_own_and_refused_calls_are_not_attributed() -> None:
    """What came before our last record may be ours; what was refused changed nothing."""
    events = [audit_event(0), audit_event(-1, "us"), audit_event(2, "mallory", error="denied")]
    found = attribute_drift(FIELDS, events, NOW, configuration())
    assert (found.principal, found.source) == ("", "unknown")


def test_only_calls_that_can_have_done_it_count() -> None:
    """A new image does not open an IAM policy, nor the other way round."""
    events = [audit_event(1, "deployer"), audit_event(2, "admin", IAM)]
    assert attribute_drift(FIELDS, events, NOW, configuration()).principal == "deployer"
    assert (
        attribute_drift({ChangeKind.IAM_POLICY}, events, NOW, configuration()).principal == "admin"
    )
    both = attribute_drift({ChangeKind.IAM_POLICY, *FIELDS}, events, NOW, configuration())
    assert (both.principal, both.other_principals) == ("admin", ("deployer",))


def test_every_possible_principal_is_named() -> None:
    """The newest first; the log does not say what a call changed."""
    events = [audit_event(1, "a"), audit_event(3, "c"), audit_event(2, "b"), audit_event(1.5, "b")]
    found = attribute_drift(FIELDS, events, NOW, configuration())
    assert (found.principal, found.other_principals) == ("c", ("b", "a"))
    assert "also changed since by b, a" in found.clause


def test_a_deletion_is_found_where_the_workload_is_gone() -> None:
    """Whatever else was done before."""
    events = [
        audit_event(3, "d", "google.cloud.run.v2.Services.DeleteService"),
        audit_event(2, "c"),
    ]
    assert attribute_drift((), events, NOW, None).principal == "d"


@pytest.mark.parametrize(("minutes", "who"), [(5, "someone@example.com"), (-5, "")])
def test_the_last_modifier_counts_only_after_the_containing_write(minutes: int, who: str) -> None:
    """Before it, it is ourselves or somebody who has nothing to do with it."""
    at = NOW + timedelta(minutes=minutes)
    now = configuration(last_modifier="someone@example.com", update_time=at)
    assert attribute_drift(FIELDS, [], NOW, now).principal == who


def test_an_attribution_survives_being_recorded() -> None:
    """What is written down is what was found."""
    full = Attribution("a", NOW, V2, "audit-log", ("b",))
    assert attribution_from_json(full.json) == full
    nobody = Attribution("", None, "", "unknown")
    assert attribution_from_json(nobody.json) == nobody
    assert attribution_from_json(None) is None
    assert f"undone{full.clause}".startswith("undone by a at 20")
    assert f"undone{nobody.clause}".startswith("undone; principal unknown: neither")
