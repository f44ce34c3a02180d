"""The last steps: what is deleted when nothing needs it any more, and the finding. Pure.

Cloud Run deletes no revision that has traffic or a tag, is the latest or the only one (its
documentation of managing revisions). What is deleted can be restored by nobody.
"""

from __future__ import annotations

from collections.abc import Iterator

from incident.model import Evidence, Finding, Kind, Part, Settings, Step, Workload
from incident.playbook.gcloud import gcloud, place
from incident.playbook.links import finding_page
from incident.playbook.situation import Position, Situation

_WHEN_DONE = "When nothing needs it any more"


def delete_what_ran(evidence: Evidence, position: Position) -> Iterator[Step]:
    """Deleting the revision or the execution that ran, once the evidence is safe."""
    text = "See that the case file is whole, and export what else you need of logs and settings"
    yield Step(text, f"python cli.py verify {position.incident}", part=Part.DELETE)
    if position.workload.kind is Kind.JOB:
        yield _execution(evidence, position.workload)
    else:
        yield _revision(evidence, position)


def look_first(situation: Situation, position: Position) -> Iterator[Step]:
    """The way out for what is no attack, where nothing has been decided yet."""
    if not position.undecided:
        return
    finding = situation.evidence.finding
    if situation.look_at:
        asked = "; ".join(text.rstrip(".") for text in situation.look_at)
        often = "It may well be harmless, so first look" if situation.doubtful else "Look"
        yield Step(f"{often} at this: {asked}", "", finding_page(finding), Part.LOOK)
    mute = gcloud("scc findings set-mute", finding.canonical_name, mute="muted")
    text = (
        "If it is harmless, say so to the owners and mute the finding, or close it; nothing below"
        " is needed then"
    )
    if situation.doubtful:
        text += ". All that follows is for what is not harmless"
    yield Step(text, mute, finding_page(finding), Part.LOOK)


def close_finding(finding: Finding) -> Iterator[Step]:
    """Closing the finding."""
    close = gcloud("scc findings update", finding.canonical_name, state="INACTIVE")
    text = "Close the finding: the responder never changes its state"
    yield Step(text, close, finding_page(finding), Part.CLOSE)


def _execution(evidence: Evidence, workload: Workload) -> Step:
    """An execution is a record: deleting it stops a running one, and takes its details away."""
    executions, where = "run jobs executions", place(workload)
    name = evidence.ran.name
    if not name:
        text = f"{_WHEN_DONE}, delete the executions that ran the image; these there are"
        listed = gcloud(f"{executions} list", job=workload.name, **where)
        return Step(text, listed, part=Part.DELETE)
    text = f"{_WHEN_DONE}, delete the execution {name}"
    delete = gcloud(f"{executions} delete", name, **where)
    return Step(text, delete, part=Part.DELETE)


def _revision(evidence: Evidence, position: Position) -> Step:
    """The revision that ran, where there is no doubt which, and nothing needs it."""
    workload, ran = position.workload, evidence.ran
    name = ran.name
    if not name:
        text = f"Find out which revision ran before any is deleted: {ran.which} ({ran.why})"
        return Step(text, _list(workload), part=Part.DELETE)
    if position.held and workload.kind is Kind.SERVICE and "traffic" in position.restores:
        text = (
            f"{_WHEN_DONE}, delete revision {name}. Not before the release: that restores a traffic"
            " split which may name it, and is impossible once it is deleted"
        )
        return Step(text, _delete(name, workload), part=Part.DELETE)
    if evidence.settings is None:
        text = (
            f"When a clean revision has taken over, delete revision {name}. Whether it serves now"
            f" is {evidence.unknown('settings')}: it is free to go when this list shows it as no"
            " longer active"
        )
        return Step(text, _list(workload), part=Part.DELETE)
    if _serves(name, evidence.settings):
        text = (
            f"When a clean revision has taken over, delete revision {name}: it serves now. It is"
            " free to go when this list shows it as no longer active"
        )
        return Step(text, _list(workload), part=Part.DELETE)
    return Step(f"{_WHEN_DONE}, delete revision {name}", _delete(name, workload), part=Part.DELETE)


def _serves(name: str, settings: Settings) -> bool:
    return name == settings.latest_ready_revision or name in settings.live_revisions


def _group(workload: Workload) -> str:
    pool = workload.kind is Kind.WORKER_POOL
    return "beta run worker-pools revisions" if pool else "run revisions"


def _delete(name: str, workload: Workload) -> str:
    return gcloud(f"{_group(workload)} delete", name, **place(workload))


def _list(workload: Workload) -> str:
    flag = "worker_pool" if workload.kind is Kind.WORKER_POOL else "service"
    return gcloud(f"{_group(workload)} list", **{flag: workload.name}, **place(workload))
