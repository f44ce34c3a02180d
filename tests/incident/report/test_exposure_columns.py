"""Exposure of a workload: entry point, what ran, blast radius."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from incident.model import ExposureFact, ExposureTopic, Gap, Status
from incident.model.outcome import (
    Detected,
    Outcome,
    ReportedAssessment,
    ReportedProcess,
    ReportedWorkload,
)
from incident.report.exposure_columns import Weight, exposure_columns
from tests.support.model import workload

SECRETS = ExposureFact(
    ExposureTopic.SECRETS, "rotate", "settings", ("projects/p/secrets/key",), serious=True
)


def items(
    *facts: ExposureFact, gaps: tuple[Gap, ...] = (), **detected: Any
) -> dict[str, tuple[str, Weight]]:
    """Text and weight of the items by title, in order."""
    outcome = Outcome(
        Status.HELD,
        workload=ReportedWorkload.of(workload()),
        assessment=ReportedAssessment(exposure=facts),
        detected=Detected(**detected),
        gaps=gaps,
    )
    return {
        item.title: (item.text, item.weight)
        for column in exposure_columns(outcome)
        for item in column.items
    }


def test_it_goes_from_ingress_to_secrets() -> None:
    """Ingress, callers, workload, process, then what it could read."""
    found = items(
        SECRETS,
        ExposureFact(ExposureTopic.ENTRY_POINT, "anybody", "settings", serious=True),
        ExposureFact(ExposureTopic.IDENTITY, "tokens", "settings", ("me@p",)),
        binary_path="/bin/sh",
        arguments=("sh", "-c"),
        pid=7,
        parent_pid=1,
    )
    assert list(found) == [
        *("Ingress: open", "Callers: not known", "Service"),
        *("Parent process (PID 1)", "Detected process (PID 7)"),
        *("Runs as", "Secrets: rotate", "Volumes: not known"),
    ]
    assert found["Secrets: rotate"] == ("key", Weight.SERIOUS)
    assert found["Detected process (PID 7)"][0] == "/bin/sh: sh -c"


def test_what_was_not_read_is_not_known() -> None:
    """With the reason, never as empty."""
    found = items(gaps=(Gap("access", "permission denied"),))
    assert found["Callers: not known"] == ("permission denied", Weight.UNKNOWN)
    assert found["Secrets: not known"][1] is Weight.UNKNOWN
    none = replace(SECRETS, text="its settings name no secrets", names=(), serious=False)
    assert items(none)["Secrets"] == ("its settings name no secrets", Weight.PLAIN)
    unread = replace(none, known=False)
    assert items(unread)["Secrets: not known"][1] is Weight.UNKNOWN


def test_an_item_names_what_all_facts_of_its_topic_name() -> None:
    """Where several revisions may be affected, each account is named; paths stay whole."""
    accounts = [
        ExposureFact(ExposureTopic.IDENTITY, "t", "settings", (name,), serious=serious)
        for name, serious in (("web@p", False), ("shop@p", True))
    ]
    share = ExposureFact(ExposureTopic.VOLUMES, "t", "settings", ("nfs 10.0.0.4:/export",))
    found = items(*accounts, share)
    assert found["Runs as: its tokens may be stolen"] == ("web@p, shop@p", Weight.SERIOUS)
    assert found["Volumes"][0] == "nfs 10.0.0.4:/export"


def test_no_workload_has_no_columns() -> None:
    """An outcome without a workload has none."""
    assert exposure_columns(Outcome(Status.HELD)) == ()


def test_parents_stand_above_their_children() -> None:
    """The farthest parent comes first."""
    parents = (
        ReportedProcess(pid=12, parent_pid=1, arguments=("nginx: worker",), binary_path="/nginx"),
        ReportedProcess(pid=1, binary_path="/init"),
    )
    found = items(parents=parents, binary_path="/bin/sh", pid=81, parent_pid=12)
    assert list(found)[3:6] == [
        *("Parent process (PID 1)", "Parent process (PID 12)", "Detected process (PID 81)"),
    ]
