"""Who undid a containment: what the audit log says, and what is left where it does not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from incident.investigation.attribution import Blame, blame, blamed
from incident.model import AuditEvent, ChangeKind
from tests.support.model import NOW, settings

V1, V2 = "google.cloud.run.v1.Services.ReplaceService", "google.cloud.run.v2.Services.UpdateService"
IAM = "google.cloud.run.v1.Services.SetIamPolicy"
FIELDS = {ChangeKind.FIELDS}


def event(minutes: float, who: str = "ci@example.com", method: str = V2, **more: Any) -> AuditEvent:
    """One call, some minutes after our write."""
    at = NOW + timedelta(minutes=minutes)
    return AuditEvent(at, who, method, "", "", more.get("error", ""), ())


@pytest.mark.parametrize("method", [V1, V2, "google.cloud.run.v2.WorkerPools.UpdateWorkerPool"])
def test_either_version_of_the_api_names_who_it_was(method: str) -> None:
    """Gcloud speaks v1, Terraform v2."""
    found = blame(FIELDS, [event(1, method=method)], NOW, settings())
    assert (found.who, found.when, found.how) == (
        "ci@example.com",
        NOW + timedelta(minutes=1),
        method,
    )
    assert found.certain


def test_our_own_calls_and_refused_ones_are_nobodys_fault() -> None:
    """What came before our last record may be ours; what was refused changed nothing."""
    events = [event(0), event(-1, "us"), event(2, "mallory", error="denied")]
    found = blame(FIELDS, events, NOW, settings())
    assert (found.who, found.source) == ("", "unknown")


def test_only_calls_that_can_have_done_it_count() -> None:
    """A new image does not open an IAM policy, nor the other way round."""
    events = [event(1, "deployer"), event(2, "admin", IAM)]
    assert blame(FIELDS, events, NOW, settings()).who == "deployer"
    assert blame({ChangeKind.IAM_POLICY}, events, NOW, settings()).who == "admin"
    both = blame({ChangeKind.IAM_POLICY, *FIELDS}, events, NOW, settings())
    assert (both.who, both.others) == ("admin", ("deployer",))


def test_everybody_who_may_have_done_it_is_named() -> None:
    """The newest first; the log does not say what a call changed."""
    events = [event(1, "a"), event(3, "c"), event(2, "b"), event(1.5, "b")]
    found = blame(FIELDS, events, NOW, settings())
    assert (found.who, found.others) == ("c", ("b", "a"))
    assert "also changed since by b, a" in found.clause


def test_a_deletion_is_found_where_the_workload_is_gone() -> None:
    """Whatever else was done before."""
    events = [event(3, "d", "google.cloud.run.v2.Services.DeleteService"), event(2, "c")]
    assert blame((), events, NOW, None).who == "d"


@pytest.mark.parametrize(("minutes", "who"), [(5, "someone@example.com"), (-5, "")])
def test_the_last_modifier_counts_only_after_our_own_write(minutes: int, who: str) -> None:
    """Before it, it is ourselves or somebody who has nothing to do with it."""
    at = NOW + timedelta(minutes=minutes)
    now = settings(last_modifier="someone@example.com", update_time=at)
    assert blame(FIELDS, [], NOW, now).who == who


def test_a_record_tells_it_back() -> None:
    """What is written down is what was found."""
    full = Blame("a", NOW, V2, "audit-log", ("b",))
    assert blamed(full.json) == full
    nobody = Blame("", None, "", "unknown")
    assert blamed(nobody.json) == nobody
    assert blamed(None) is None
    assert f"undone{full.clause}".startswith("undone by a at 20")
    assert f"undone{nobody.clause}".startswith("undone; who did it is not known: neither")
