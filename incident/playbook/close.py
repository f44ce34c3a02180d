"""Playbook tasks for triage, deletion of the affected revision, closing of the finding. Pure.

Cloud Run refuses to delete a revision that has traffic or a tag, or is the latest or only one
(Cloud Run documentation, "Managing revisions"). Deletion cannot be undone.
"""

from __future__ import annotations

from collections.abc import Iterator

from incident.model import (
    Evidence,
    Finding,
    Kind,
    PlaybookTask,
    TaskPurpose,
    Workload,
    WorkloadConfiguration,
)
from incident.playbook.commands_and_links import finding_page, gcloud, location_flags
from incident.playbook.inputs import PlaybookFacts, PlaybookInputs

_WHEN_UNUSED = "When nothing needs it any more"


def delete_affected(evidence: Evidence, facts: PlaybookFacts) -> Iterator[PlaybookTask]:
    """Tasks that verify the case file, then delete the affected revision or execution."""
    text = "See that the case file is whole, and export what else you need of logs and settings"
    yield PlaybookTask(
        text, f"cloud-run-responder verify {facts.incident}", purpose=TaskPurpose.DELETE
    )
    if facts.workload.kind is Kind.JOB:
        yield _execution(evidence, facts.workload)
    else:
        yield _revision(evidence, facts)


def triage(inputs: PlaybookInputs, facts: PlaybookFacts) -> Iterator[PlaybookTask]:
    """Tasks for an undecided incident: what to check, and how to mute a false positive."""
    if not facts.undecided:
        return
    finding = inputs.evidence.finding
    if inputs.investigation_steps:
        checks = "; ".join(text.rstrip(".") for text in inputs.investigation_steps)
        intro = "It may well be harmless, so first look" if inputs.often_benign else "Look"
        yield PlaybookTask(
            f"{intro} at this: {checks}", "", finding_page(finding), TaskPurpose.TRIAGE
        )
    mute = gcloud("scc findings set-mute", finding.canonical_name, mute="muted")
    text = (
        "If it is harmless, say so to the owners and mute the finding, or close it; nothing below"
        " is needed then"
    )
    if inputs.often_benign:
        text += ". All that follows is for what is not harmless"
    yield PlaybookTask(text, mute, finding_page(finding), TaskPurpose.TRIAGE)


def close_finding(finding: Finding) -> Iterator[PlaybookTask]:
    """The task that closes the finding."""
    close = gcloud("scc findings update", finding.canonical_name, state="INACTIVE")
    text = "Close the finding: the responder never changes its state"
    yield PlaybookTask(text, close, finding_page(finding), TaskPurpose.CLOSE)


def _execution(evidence: Evidence, workload: Workload) -> PlaybookTask:
    """Delete the affected execution. This stops it if it runs, and deletes its record."""
    executions, where = "run jobs executions", location_flags(workload)
    name = evidence.affected_revision.name
    if not name:
        text = f"{_WHEN_UNUSED}, delete the executions that ran the image; these there are"
        listed = gcloud(f"{executions} list", job=workload.name, **where)
        return PlaybookTask(text, listed, purpose=TaskPurpose.DELETE)
    text = f"{_WHEN_UNUSED}, delete the execution {name}"
    delete = gcloud(f"{executions} delete", name, **where)
    return PlaybookTask(text, delete, purpose=TaskPurpose.DELETE)


def _revision(evidence: Evidence, facts: PlaybookFacts) -> PlaybookTask:
    """Delete the affected revision if it is known, serves nothing and no release needs it."""
    workload, ran = facts.workload, evidence.affected_revision
    name = ran.name
    if not name:
        text = (
            f"Find out which revision ran before any is deleted: {ran.description} ({ran.reason})"
        )
        return PlaybookTask(text, _list(workload), purpose=TaskPurpose.DELETE)
    if facts.releasable and workload.kind is Kind.SERVICE and "traffic" in facts.restored_fields:
        text = (
            f"{_WHEN_UNUSED}, delete revision {name}. Not before the release: that"
            " restores a traffic"
            " split which may name it, and is impossible once it is deleted"
        )
        return PlaybookTask(text, _delete(name, workload), purpose=TaskPurpose.DELETE)
    if evidence.configuration is None:
        text = (
            f"When a clean revision has taken over, delete revision {name}. Whether it serves now"
            f" is {evidence.describe_gap('settings')}: it is free to go when this list"
            " shows it as no"
            " longer active"
        )
        return PlaybookTask(text, _list(workload), purpose=TaskPurpose.DELETE)
    if _serves(name, evidence.configuration):
        text = (
            f"When a clean revision has taken over, delete revision {name}: it serves now. It is"
            " free to go when this list shows it as no longer active"
        )
        return PlaybookTask(text, _list(workload), purpose=TaskPurpose.DELETE)
    return PlaybookTask(
        f"{_WHEN_UNUSED}, delete revision {name}",
        _delete(name, workload),
        purpose=TaskPurpose.DELETE,
    )


def _serves(name: str, configuration: WorkloadConfiguration) -> bool:
    return name == configuration.latest_ready_revision or name in configuration.live_revisions


def _group(workload: Workload) -> str:
    pool = workload.kind is Kind.WORKER_POOL
    return "beta run worker-pools revisions" if pool else "run revisions"


def _delete(name: str, workload: Workload) -> str:
    return gcloud(f"{_group(workload)} delete", name, **location_flags(workload))


def _list(workload: Workload) -> str:
    flag = "worker_pool" if workload.kind is Kind.WORKER_POOL else "service"
    return gcloud(f"{_group(workload)} list", **{flag: workload.name}, **location_flags(workload))
