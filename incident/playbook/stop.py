"""The steps about the containment itself: stopping what runs, and giving it back. Pure.

They hang on the position alone, so that they can be made anew for an outcome that is carried on.
"""

from __future__ import annotations

from collections.abc import Iterator

from incident.model import Kind, Part, Status, Step, Workload
from incident.playbook.gcloud import gcloud, on, place
from incident.playbook.links import workload_page
from incident.playbook.situation import Position

#: The parts that are made here.
PARTS = frozenset({Part.STOP, Part.WAIT, Part.NO_ATTACK, Part.GIVE_BACK, Part.RESUME})
#: What a release gives back, by the first parts of field paths, in the order of a sentence.
_RESTORED = {
    "scaling": "its scaling",
    "traffic": "the traffic split with its tags",
    "ingress": "its ingress",
    "invoker_iam_disabled": "whether callers are checked",
    "iam-policy": "who may call it",
}
_OURS = "python cli.py"
#: Executions may have been cancelled by then, and not before.
_CANCELLED = (Status.CONTAINED, Status.RESTRICTED, Status.UNVERIFIED, Status.RELEASED)
_STOPS = {
    Kind.SERVICE: "scale-to-zero",
    Kind.JOB: "cancel-executions",
    Kind.WORKER_POOL: "scale-to-zero",
}
_TO_DO = {
    Status.UNVERIFIED: "Look whether it still runs, and contain it again: the containment was"
    " written, but is not seen in effect",
    Status.RESTRICTED: "Stop it, unless it must go on: access is restricted, but what runs runs on",
    Status.HELD: "Decide whether it is to be stopped, and stop it: nothing was done to it",
    Status.FAILED: "Mend what the reasons name and contain it: nothing shows that it is stopped",
    Status.EXPIRED: "Make a fresh plan and apply it: the old one expired, and nothing was done",
    Status.PLANNED: "Contain it, if this plan is right: this was a dry run, and it goes on running",
}


def about_the_containment(position: Position) -> tuple[Step, ...]:
    """Stopping it, waiting for what still runs, and what comes when a clean version is there."""
    return (
        *_stop(position),
        *_wait(position),
        *_no_attack(position),
        *_give_back(position),
        *_resume(position),
    )


def _stop(position: Position) -> Iterator[Step]:
    """What stops it, which hangs on how far the incident has come."""
    incident, status = position.incident, position.status
    page = workload_page(position.workload) or ""
    contain = f"{_OURS} contain {incident}"
    match status:
        case Status.CONTAINED:
            return
        case Status.ALREADY_CONTAINED:
            text = "Find out who stopped it before us, and keep it stopped"
            yield Step(text, on("describe", position.workload), page, Part.STOP)
        case Status.RELEASED:
            text = "Watch it: a person took the containment back, and it runs"
            yield Step(text, "", page, Part.STOP)
            text = "If it is hostile after all, contain it anew"
            yield Step(text, contain, "", Part.STOP)
        case Status.AWAITING_APPROVAL:
            text = "Read the plan and approve it: nothing is done to the workload until then"
            yield Step(text, f"{_OURS} approve {incident}", page, Part.STOP)
            yield from _by_hand(position)
        case _ if position.barred:
            yield from _barred(position)
            yield from _by_hand(position)
        case _:
            # Held, or only restricted: the policy names nothing that stops it, so a person does.
            named = status in (Status.HELD, Status.RESTRICTED) or not position.stops
            action = f" --action {_STOPS[position.workload.kind]}" if named else ""
            text = _TO_DO.get(status, "Stop it: it goes on running")
            yield Step(text, f"{contain}{action}", page, Part.STOP)
            yield from _by_hand(position)


def _barred(position: Position) -> Iterator[Step]:
    """What is in the way of a containment by the responder: no command that it refuses."""
    decide = "Decide whether it is to be stopped: nothing was done to it. "
    page = workload_page(position.workload) or ""
    for bar in position.barred:
        text = (
            f"{decide}The responder would refuse to contain it as things are: {bar.text}."
            f" {bar.first}"
        )
        yield Step(text, bar.command, page, Part.STOP)
        decide, page = "", ""


def _by_hand(position: Position) -> Iterator[Step]:
    """The same with nothing but gcloud, for whoever has no access to the case file."""
    workload = position.workload
    how, image = "Or do it without the responder", ", which then has no before-image of that"
    if position.status is Status.UNVERIFIED:
        image = ", which kept how it was before its attempt"
    if position.barred:
        how, image = (
            "Stop it by hand, if it is what is meant",
            "; the responder keeps no image then",
        )
    match workload.kind:
        case Kind.SERVICE:
            stop = gcloud("beta run services update", workload.name, scaling="0", **place(workload))
            text = (
                f"{how}{image}: note its scaling and its traffic tags, then set it to no instances"
            )
            yield Step(text, stop, "", Part.STOP)
            text = "…and take its traffic tags away: a tagged revision would still start"
            yield Step(text, on("update-traffic", workload, clear_tags=True), "", Part.STOP)
        case Kind.WORKER_POOL:
            text = f"{how}{image}: note its number of instances, then set it to none"
            yield Step(text, on("update", workload, scaling="0"), "", Part.STOP)
        case Kind.JOB:
            executions = "run jobs executions"
            text = f"{how}: see which executions are running"
            listed = gcloud(f"{executions} list", job=workload.name, **place(workload))
            yield Step(text, listed, "", Part.STOP)
            name = position.execution or "EXECUTION"
            text = "…and cancel each; what is cancelled cannot be resumed"
            cancel = gcloud(f"{executions} cancel", name, **place(workload))
            yield Step(text, cancel, "", Part.STOP)


def _wait(position: Position) -> Iterator[Step]:
    if position.status is Status.CONTAINED and position.drains_until:
        text = f"Wait until {position.drains_until}: requests in flight may run until then"
        yield Step(text, part=Part.WAIT)


def _no_attack(position: Position) -> Iterator[Step]:
    if position.held:
        text = (
            "If it was no attack, release it at once and close the finding; no other step below is"
            " needed then"
        )
        yield Step(text, f"{_OURS} release {position.incident}", part=Part.NO_ATTACK)


def _give_back(position: Position) -> Iterator[Step]:
    if not position.held:
        return
    release, workload = f"{_OURS} release {position.incident}", position.workload
    text = (
        f"Release it: that restores {restored(position)}, exactly as before. Do not change that by"
        " hand first, or the release refuses"
    )
    yield Step(text, release, part=Part.GIVE_BACK)
    if "traffic" not in position.restores or workload.kind is not Kind.SERVICE:
        return
    text = "Send all traffic to the clean revision at once: a restored split may name the old one"
    yield Step(text, on("update-traffic", workload, to_latest=True), "", Part.GIVE_BACK)


def restored(position: Position) -> str:
    """What a release gives back, for a sentence."""
    own = {Kind.JOB: {"iam-policy": "who may start it"}, Kind.WORKER_POOL: {}, Kind.SERVICE: {}}
    words = {**_RESTORED, **own[position.workload.kind]}
    if position.workload.kind is Kind.WORKER_POOL:
        words["scaling"] = "its number of instances"
    told = [text for name, text in words.items() if name in position.restores]
    return (
        " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told) or "what we set"
    )


def _resume(position: Position) -> Iterator[Step]:
    if position.cancels and position.status in _CANCELLED:
        text = "Start the cancelled work again, from its beginning: an execution is not resumed"
        yield Step(text, on("execute", position.workload), part=Part.RESUME)
    elif position.running and position.status is not Status.RELEASED:
        yield from _resume_by_hand(position.workload)


def _resume_by_hand(workload: Workload) -> Iterator[Step]:
    """What a person stopped without the responder, a person starts again."""
    by_hand = "If it was stopped by hand, start it again as it was noted then"
    match workload.kind:
        case Kind.SERVICE:
            where = place(workload)
            start = gcloud(
                "beta run services update", workload.name, scaling="FORMER_SCALING", **where
            )
            text = f"{by_hand}: its scaling, which is auto where no number was set, then its tags"
            yield Step(text, start, part=Part.RESUME)
        case Kind.WORKER_POOL:
            start = on("update", workload, scaling="FORMER_NUMBER")
            yield Step(f"{by_hand}, with its number of instances", start, part=Part.RESUME)
        case Kind.JOB:
            text = "If executions were cancelled by hand, start that work again from its beginning"
            yield Step(text, on("execute", workload), part=Part.RESUME)
