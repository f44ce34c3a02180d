"""Playbook tasks that stop the workload, release it and start it again. Pure.

They depend on `PlaybookFacts` only, so that a stored outcome's playbook can be updated.
"""

from __future__ import annotations

from collections.abc import Iterator

from incident.model import Kind, PlaybookTask, Status, TaskPurpose, Workload
from incident.playbook.commands_and_links import (
    gcloud,
    location_flags,
    workload_command,
    workload_page,
)
from incident.playbook.inputs import PlaybookFacts

#: The purposes of the tasks of this module.
CONTAINMENT_PURPOSES = frozenset(
    {
        TaskPurpose.STOP,
        TaskPurpose.REGIONS,
        TaskPurpose.WAIT,
        TaskPurpose.FALSE_POSITIVE,
        TaskPurpose.RELEASE,
        TaskPurpose.RESUME,
    }
)
#: What a release restores, by the first part of the field path; in order of mention.
_RESTORED_TEXTS = {
    "scaling": "its scaling",
    "traffic": "the traffic split with its tags",
    "ingress": "its ingress",
    "invoker_iam_disabled": "whether callers are checked",
    "iam-policy": "who may call it",
}
_CLI = "cloud-run-responder"
#: Statuses in which executions may have been cancelled.
_MAY_HAVE_CANCELLED = (Status.CONTAINED, Status.RESTRICTED, Status.UNVERIFIED, Status.RELEASED)
_STOP_ACTIONS = {
    Kind.SERVICE: "scale-to-zero",
    Kind.JOB: "cancel-executions",
    Kind.WORKER_POOL: "scale-to-zero",
}
_STOP_TEXTS = {
    Status.UNVERIFIED: "Look whether it still runs, and contain it again: the containment was"
    " written, but is not seen in effect",
    Status.RESTRICTED: "Stop it, unless it must go on: access is restricted, but what runs runs on",
    Status.HELD: "Decide whether it is to be stopped, and stop it: nothing was done to it",
    Status.FAILED: "Fix the cause and contain it: not confirmed stopped",
    Status.EXPIRED: "Make a fresh plan and apply it: the old one expired, and nothing was done",
    Status.PLANNED: "Contain it, if this plan is right: this was a dry run, and it goes on running",
}


def containment_tasks(facts: PlaybookFacts) -> tuple[PlaybookTask, ...]:
    """Tasks that stop the workload, wait, release it and start it again."""
    return (
        *_stop(facts),
        *_stop_other_regions(facts),
        *_wait(facts),
        *_false_positive(facts),
        *_release(facts),
        *_resume(facts),
    )


def _stop(facts: PlaybookFacts) -> Iterator[PlaybookTask]:
    """Tasks that stop the workload, by incident status."""
    incident, status = facts.incident, facts.status
    page = workload_page(facts.workload) or ""
    contain = f"{_CLI} contain {incident}"
    match status:
        case Status.CONTAINED:
            return
        case Status.ALREADY_CONTAINED if facts.ended:
            text = (
                f"Nobody stopped it: {facts.ended}, by itself. See what it did, and keep the job"
                " from starting again: pause its schedule and whatever else starts it"
            )
            yield PlaybookTask(text, _show_execution(facts), page, TaskPurpose.STOP)
        case Status.ALREADY_CONTAINED:
            text = "Find out who stopped it before us, and keep it stopped"
            if facts.workload.kind is Kind.JOB:
                text = (
                    "Find out who stopped it before us, or whether it ended by itself, and keep"
                    " the job from starting again"
                )
            yield PlaybookTask(
                text, workload_command("describe", facts.workload), page, TaskPurpose.STOP
            )
        case Status.RELEASED:
            text = "Watch it: a person took the containment back, and it runs"
            yield PlaybookTask(text, "", page, TaskPurpose.STOP)
            text = "If it is hostile after all, contain it again"
            yield PlaybookTask(text, contain, "", TaskPurpose.STOP)
        case Status.AWAITING_APPROVAL:
            text = "Read the plan and approve it: nothing is done to the workload until then"
            yield PlaybookTask(text, f"{_CLI} approve {incident}", page, TaskPurpose.STOP)
            yield from _stop_with_gcloud(facts)
        case _ if facts.blockers:
            yield from _blocked_stop(facts)
            yield from _stop_with_gcloud(facts)
        case _:
            # The plan has no action that stops the workload, so the command names one.
            named = status in (Status.HELD, Status.RESTRICTED) or not facts.stops
            action = f" --action {_STOP_ACTIONS[facts.workload.kind]}" if named else ""
            text = _STOP_TEXTS.get(status, "Stop it: it goes on running")
            yield PlaybookTask(text, f"{contain}{action}", page, TaskPurpose.STOP)
            yield from _stop_with_gcloud(facts)


def _show_execution(facts: PlaybookFacts) -> str:
    where = location_flags(facts.workload)
    if facts.execution:
        return gcloud("run jobs executions describe", facts.execution, **where)
    return gcloud("run jobs executions list", job=facts.workload.name, **where)


def _stop_other_regions(facts: PlaybookFacts) -> Iterator[PlaybookTask]:
    """A task for each other region of a multi-region service, which no containment reaches."""
    if facts.workload.kind is not Kind.SERVICE or facts.status is Status.RELEASED:
        return
    for region in facts.other_regions:
        text = (
            f"Stop it in {region} too, if it is hostile: the same code runs there, and nothing was"
            " done there. Note its scaling and its traffic tags first"
        )
        yield PlaybookTask(text, _scale_in(facts, region, "0"), "", TaskPurpose.REGIONS)
        text = f"…and take its traffic tags in {region} away: a tagged revision would still start"
        name, project = facts.workload.name, facts.workload.project
        untag = gcloud(
            "run services update-traffic", name, clear_tags=True, region=region, project=project
        )
        yield PlaybookTask(text, untag, "", TaskPurpose.REGIONS)


def _restart_other_regions(facts: PlaybookFacts) -> Iterator[PlaybookTask]:
    for region in facts.other_regions if facts.workload.kind is Kind.SERVICE else ():
        text = f"If it was stopped in {region}, start it there again as noted"
        start = _scale_in(facts, region, "FORMER_SCALING")
        yield PlaybookTask(text, start, "", TaskPurpose.RESUME)


def _scale_in(facts: PlaybookFacts, region: str, scaling: str) -> str:
    name, project = facts.workload.name, facts.workload.project
    return gcloud("beta run services update", name, scaling=scaling, region=region, project=project)


def _blocked_stop(facts: PlaybookFacts) -> Iterator[PlaybookTask]:
    """Tasks that fix each blocker, where the responder would refuse to contain."""
    intro = "Decide whether it is to be stopped: nothing was done to it. "
    page = workload_page(facts.workload) or ""
    for blocker in facts.blockers:
        text = (
            f"{intro}The responder would refuse to contain it as things are: {blocker.text}."
            f" {blocker.fix}"
        )
        yield PlaybookTask(text, blocker.command, page, TaskPurpose.STOP)
        intro, page = "", ""


def _stop_with_gcloud(facts: PlaybookFacts) -> Iterator[PlaybookTask]:
    """Manual alternative with gcloud, for people without access to the case file."""
    workload = facts.workload
    intro, snapshot_note = (
        "Or do it without the responder",
        ", which then has no before-image of that",
    )
    if facts.status is Status.UNVERIFIED:
        snapshot_note = ", which kept how it was before its attempt"
    if facts.blockers:
        intro, snapshot_note = (
            "Stop it manually, if it is what is meant",
            "; the responder keeps no image then",
        )
    match workload.kind:
        case Kind.SERVICE:
            stop = gcloud(
                "beta run services update", workload.name, scaling="0", **location_flags(workload)
            )
            text = (
                f"{intro}{snapshot_note}: note its scaling and its traffic tags, then"
                " set it to no instances"
            )
            yield PlaybookTask(text, stop, "", TaskPurpose.STOP)
            text = "…and take its traffic tags away: a tagged revision would still start"
            yield PlaybookTask(
                text,
                workload_command("update-traffic", workload, clear_tags=True),
                "",
                TaskPurpose.STOP,
            )
        case Kind.WORKER_POOL:
            text = f"{intro}{snapshot_note}: note its number of instances, then set it to none"
            yield PlaybookTask(
                text, workload_command("update", workload, scaling="0"), "", TaskPurpose.STOP
            )
        case Kind.JOB:
            executions = "run jobs executions"
            text = f"{intro}: see which executions are running"
            listed = gcloud(f"{executions} list", job=workload.name, **location_flags(workload))
            yield PlaybookTask(text, listed, "", TaskPurpose.STOP)
            name = facts.execution or "EXECUTION"
            text = "…and cancel each; what is cancelled cannot be resumed"
            cancel = gcloud(f"{executions} cancel", name, **location_flags(workload))
            yield PlaybookTask(text, cancel, "", TaskPurpose.STOP)


def _wait(facts: PlaybookFacts) -> Iterator[PlaybookTask]:
    if facts.status is Status.CONTAINED and facts.drains_until:
        text = f"Wait until {facts.drains_until}: requests in flight may run until then"
        yield PlaybookTask(text, purpose=TaskPurpose.WAIT)


def _false_positive(facts: PlaybookFacts) -> Iterator[PlaybookTask]:
    if facts.releasable:
        text = (
            "If it was no attack, release it at once and close the finding; no other step below is"
            " needed then"
        )
        yield PlaybookTask(
            text, f"{_CLI} release {facts.incident}", purpose=TaskPurpose.FALSE_POSITIVE
        )


def _release(facts: PlaybookFacts) -> Iterator[PlaybookTask]:
    if not facts.releasable:
        return
    release, workload = f"{_CLI} release {facts.incident}", facts.workload
    text = (
        f"Release it: that restores {restored_text(facts)}, exactly as before. Do not"
        " change that by"
        " hand first, or the release refuses"
    )
    yield PlaybookTask(text, release, purpose=TaskPurpose.RELEASE)
    if "traffic" not in facts.restored_fields or workload.kind is not Kind.SERVICE:
        return
    text = "Send all traffic to the clean revision at once: a restored split may name the old one"
    yield PlaybookTask(
        text, workload_command("update-traffic", workload, to_latest=True), "", TaskPurpose.RELEASE
    )


def restored_text(facts: PlaybookFacts) -> str:
    """What a release restores, as part of a sentence."""
    by_kind = {Kind.JOB: {"iam-policy": "who may start it"}, Kind.WORKER_POOL: {}, Kind.SERVICE: {}}
    words = {**_RESTORED_TEXTS, **by_kind[facts.workload.kind]}
    if facts.workload.kind is Kind.WORKER_POOL:
        words["scaling"] = "its number of instances"
    phrases = [text for name, text in words.items() if name in facts.restored_fields]
    return (
        " and ".join([", ".join(phrases[:-1]), phrases[-1]] if len(phrases) > 1 else phrases)
        or "what we set"
    )


def _resume(facts: PlaybookFacts) -> Iterator[PlaybookTask]:
    if facts.cancels and facts.status in _MAY_HAVE_CANCELLED:
        text = "Start the cancelled work again, from its beginning: an execution is not resumed"
        yield PlaybookTask(
            text, workload_command("execute", facts.workload), purpose=TaskPurpose.RESUME
        )
    elif facts.may_be_running and facts.status is not Status.RELEASED:
        yield from _restart_with_gcloud(facts.workload)
    yield from _restart_other_regions(facts)


def _restart_with_gcloud(workload: Workload) -> Iterator[PlaybookTask]:
    """Tasks that start again what was stopped without the responder."""
    if_stopped_manually = "If it was stopped manually, start it again as noted then"
    match workload.kind:
        case Kind.SERVICE:
            where = location_flags(workload)
            start = gcloud(
                "beta run services update", workload.name, scaling="FORMER_SCALING", **where
            )
            text = (
                f"{if_stopped_manually}: its scaling, which is auto where no number was"
                " set, then its tags"
            )
            yield PlaybookTask(text, start, purpose=TaskPurpose.RESUME)
        case Kind.WORKER_POOL:
            start = workload_command("update", workload, scaling="FORMER_NUMBER")
            yield PlaybookTask(
                f"{if_stopped_manually}, with its number of instances",
                start,
                purpose=TaskPurpose.RESUME,
            )
        case Kind.JOB:
            text = "If executions were cancelled manually, start that work again from its beginning"
            yield PlaybookTask(
                text, workload_command("execute", workload), purpose=TaskPurpose.RESUME
            )
