"""Outcome: to JSON and back, whole or as far as it can be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest

from incident.model import (
    Change,
    ChangeState,
    Confidence,
    Connection,
    ExposureFact,
    ExposureTopic,
    Gap,
    Kind,
    Lookup,
    Mode,
    PlaybookTask,
    Reason,
    Status,
    TaskDetail,
    Technique,
    Verdict,
    Workload,
)
from incident.model.outcome import (
    Detected,
    Links,
    Outcome,
    ReportedAssessment,
    ReportedBlocker,
    ReportedDecision,
    ReportedFinding,
    ReportedPlaybook,
    ReportedProcess,
    ReportedRelatedFinding,
    ReportedReputation,
    ReportedWorkload,
    SourceProperty,
)

NOW = datetime(2026, 10, 2, 8, 14, 7, 123456, tzinfo=UTC)
WORKLOAD = Workload.of_project(
    "example-shop-prod",
    kind=Kind.SERVICE,
    location="europe-west1",
    name="storefront",
    number="123456789012",
)
CHANGE = Change(
    action="scale-to-zero",
    target=WORKLOAD.resource_name,
    mask=("scaling.manual_instance_count",),
    before={"scaling": {"minInstanceCount": 1}},
    after={"scaling": {"manualInstanceCount": 0}},
    stops=True,
    reversible=True,
    affected_revision="storefront-00007-abc",
    state=ChangeState.UNVERIFIED,
    error="not seen in effect",
)
OUTCOME = Outcome(
    status=Status.UNVERIFIED,
    incident="20261002-6255b37a8bf0",
    finding=ReportedFinding("a", "b", "Execution: X", "detector", "CRITICAL", "ACTIVE", NOW),
    workload=ReportedWorkload.of(
        WORKLOAD,
        revision="storefront-00007-abc",
        execution=None,
        function="buy",
        other_regions=("europe-west4",),
        execution_ended=None,
        uid="1234",
    ),
    responder="malicious-binary",
    rule="web",
    mode=Mode.ENFORCE,
    decision=ReportedDecision(
        Verdict.CONTAIN, ("listed", "rule web"), (ReportedBlocker("protected", "ask", None),)
    ),
    assessment=ReportedAssessment(
        summary="A known-malicious file ran",
        confidence=Confidence.HIGH,
        reasons=(Reason("known", "virustotal"),),
        techniques=(Technique("T1105", "Ingress Tool Transfer", "c2", "fetched", "https://x"),),
        exposure=(
            ExposureFact(ExposureTopic.CALLERS, "anyone", "access", ("allUsers",), serious=True),
        ),
        related=(ReportedRelatedFinding("Shell", "HIGH", NOW, "c", same_attack=True, text="same"),),
        playbook=ReportedPlaybook(
            "gs://b/p.yaml",
            {"workload": None},
            (
                PlaybookTask(
                    "rotate",
                    "Rotate",
                    "secret",
                    "leaked",
                    "gcloud x",
                    details=(TaskDetail("more"), TaskDetail("most", "gcloud y")),
                ),
            ),
        ),
        investigation_steps=("look",),
    ),
    detected=Detected(
        binary_path="/tmp/x",  # noqa: S108 - the finding's path
        process="x",
        pid=7,
        parent_pid=1,
        arguments=("x", "-v"),
        arguments_truncated=True,
        libraries=("/lib/y",),
        user_id_claimed=0,
        parents=(ReportedProcess(process="sh", pid=1),),
        file="/tmp/x",  # noqa: S108 - the finding's path
        sha256="0" * 64,
        urls=("https://example.com",),
        connection=Connection("203.0.113.7", 443, "", None),
        container="app",
        image="registry.example.com/shop",
        digest="sha256:1",
        reputation=ReportedReputation(Lookup.KNOWN, "40 of 70", 40, 70, "miner", first_seen=NOW),
        source_properties=(SourceProperty("a", "b"),),
    ),
    changes=(CHANGE,),
    containment="containments/example-shop-prod/europe-west1/service/storefront/1",
    drains_until=NOW,
    gaps=(Gap("logs", "refused"),),
    timings_ms={"read": 12.5},
    links=Links(console="https://x", mitre=("https://y",), case_file="gs://b/incidents/i"),
)


def stored(outcome: Outcome) -> dict[str, Any]:
    """The outcome as the store returns it."""
    value: dict[str, Any] = json.loads(json.dumps(outcome.to_json()))
    return value


def paths(value: Any, *prefix: str) -> Iterator[tuple[str, ...]]:
    """The path of every member and element, but of what is kept as it is."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        path = (*prefix, str(key))
        yield path
        if isinstance(item, dict | list) and key not in ("before", "after", "timings_ms", "facts"):
            yield from paths(item, *path)


def edited(value: Any, path: tuple[str, ...], *, remove: bool) -> Any:
    """The same JSON with the part at a path removed, or of a type that nothing has."""
    changed = json.loads(json.dumps(value))
    parent = changed
    for key in path[:-1]:
        parent = parent[int(key) if isinstance(parent, list) else key]
    last = int(path[-1]) if isinstance(parent, list) else path[-1]
    if remove:
        del parent[last]
    else:
        parent[last] = [{"no": "such type"}] if not isinstance(parent[last], list) else 7.5
    return changed


def test_an_outcome_reads_back_as_it_was_written() -> None:
    """There is one way to JSON and one way back."""
    assert Outcome.from_json(stored(OUTCOME)) == OUTCOME
    assert not Outcome.from_json(stored(OUTCOME)).partial
    assert stored(Outcome.from_json(stored(OUTCOME))) == stored(OUTCOME)


def test_a_small_outcome_reads_back_as_it_was_written() -> None:
    """A malformed message has neither incident nor finding."""
    outcome = Outcome(Status.MALFORMED, message_sha256="0" * 64)
    assert Outcome.from_json(stored(outcome)) == outcome
    assert "message_sha256" not in Outcome(Status.HELD).to_json()


@pytest.mark.parametrize("path", list(paths(stored(OUTCOME))), ids="/".join)
@pytest.mark.parametrize("remove", [True, False], ids=["missing", "ill-typed"])
def test_what_cannot_be_read_is_named_and_costs_nothing_else(
    path: tuple[str, ...], *, remove: bool
) -> None:
    """A record that somebody else wrote gives as much of the outcome as it has."""
    if path == ("status",):
        with pytest.raises(ValueError, match="status"):
            Outcome.from_json(edited(stored(OUTCOME), path, remove=remove))
        return
    element = path[-1].isdigit()
    outcome = Outcome.from_json(edited(stored(OUTCOME), path, remove=remove))
    assert outcome.partial is not (element and remove)
    assert all(each.split("/")[0] == path[0] for each in outcome.unreadable)
    for field in fields(Outcome):
        if field.metadata.get("key", field.name) not in (path[0], "unreadable"):
            assert getattr(outcome, field.name) == getattr(OUTCOME, field.name)


def test_a_change_is_read_as_a_whole_or_not_at_all() -> None:
    """Half a change would be shown, or undone, as another one."""
    outcome = Outcome.from_json(edited(stored(OUTCOME), ("changes", "0", "state"), remove=True))
    assert outcome.changes == ()
    assert outcome.unreadable == ("changes/0/state",)


@pytest.mark.parametrize("value", [None, [], "contained", {}, {"status": "unheard-of"}])
def test_what_has_no_status_is_no_outcome(value: Any) -> None:
    """Nothing is made up for a record of somebody else."""
    with pytest.raises(ValueError, match=r"status|Outcome"):
        Outcome.from_json(value)
