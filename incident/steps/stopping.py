"""The steps about the containment itself: stopping what runs, and giving it back. Pure.

They hang on the position alone, so that they can be made anew for an outcome that is carried on.
"""

from __future__ import annotations

from collections.abc import Iterator

from incident.links import workload_page
from incident.model import Kind, Part, Status, Step
from incident.steps.gcloud import gcloud, on, place
from incident.steps.situation import Position

#: The parts that are made here.
PARTS = frozenset({Part.STOP, Part.WAIT, Part.NO_ATTACK, Part.GIVE_BACK, Part.RESUME})
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
    Status.RESTRICTED: "Stop it, unless it must go on: access is cut, but what runs runs on",
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
    or_so = "Or do it without the responder, which then has no before-image to give back from:"
    if position.barred:
        or_so = "Stop it by hand, if it is what you mean; the responder will not give it back:"
    match workload.kind:
        case Kind.SERVICE:
            stop = gcloud("beta run services update", workload.name, scaling="0", **place(workload))
            text = f"{or_so} note its scaling and its traffic tags, then set it to no instances"
            yield Step(text, stop, "", Part.STOP)
            text = "…and take its traffic tags away: a tagged revision would still start"
            yield Step(text, on("update-traffic", workload, clear_tags=True), "", Part.STOP)
        case Kind.WORKER_POOL:
            text = f"{or_so} note its number of instances, then set it to none"
            yield Step(text, on("update", workload, scaling="0"), "", Part.STOP)
        case Kind.JOB:
            executions = "run jobs executions"
            text = f"{or_so.partition(';')[0].partition(',')[0]}: see which executions are running"
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
    if position.status is Status.CONTAINED and position.reversible:
        text = "If it was no attack, release it at once; no step below is needed then"
        yield Step(text, f"{_OURS} release {position.incident}", part=Part.NO_ATTACK)


def _give_back(position: Position) -> Iterator[Step]:
    if not position.held:
        return
    release, workload = f"{_OURS} release {position.incident}", position.workload
    if workload.kind is not Kind.SERVICE:
        what = "who may start it" if workload.kind is Kind.JOB else "its instances"
        yield Step(f"Release it: that restores {what}", release, part=Part.GIVE_BACK)
        return
    text = (
        "Release it: that restores exactly what was there before, the traffic split as well. Do not"
        " change by hand before what the containment set, or the release refuses"
    )
    yield Step(text, release, part=Part.GIVE_BACK)
    text = "Send all traffic to the clean revision at once: a restored split may name the old one"
    yield Step(text, on("update-traffic", workload, to_latest=True), "", Part.GIVE_BACK)


def _resume(position: Position) -> Iterator[Step]:
    if position.cancels and position.status in _CANCELLED:
        text = "Start the cancelled work again, from its beginning: an execution is not resumed"
        yield Step(text, on("execute", position.workload), part=Part.RESUME)
