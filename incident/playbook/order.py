"""The response plan: what the responder did by itself, and what is left to people, in order. Pure.

What the steps are is for ``incident.playbook``; here is in which order they stand, and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from incident.actions.catalogue import INVOKER
from incident.model import ChangeState, Json, JsonObject, Part, Status, Step
from incident.playbook.close import close_finding, delete_what_ran, look_first
from incident.playbook.credentials import read_its_deeds, revoke
from incident.playbook.entry_point import close_entry, find_way_in, read_logs, tell_owner
from incident.playbook.links import finding_page
from incident.playbook.rebuild import look_at_files, rebuild
from incident.playbook.secrets import rotate
from incident.playbook.situation import Position, Situation, objects, position, position_told
from incident.playbook.stop import PARTS, about_the_containment

__all__ = ["Situation", "automatic", "for_people", "replanned", "step_told"]

_DID = {
    ChangeState.VERIFIED: "done, and read back in effect",
    ChangeState.UNVERIFIED: "written, but not seen in effect",
    ChangeState.FAILED: "failed",
    ChangeState.APPLIED: "written",
}
#: In which order the parts stand while what was found may run on, and why there.
RUNNING: Mapping[Part, str] = {
    Part.STOP: "first: what runs goes on reading secrets and calling out",
    Part.LOOK: "before anything else is done; whoever doubts stops it first",
    Part.NO_ATTACK: "as soon as that is known: what is cut off may be somebody's work",
    Part.INGRESS: "at once after, or instead if it must go on: it keeps others out, and stops"
    " nothing that is in",
    Part.AUTHENTICATION: "with it: whoever came in may come again",
    Part.TELL: "now: they see it go down, and know what is normal for it",
    Part.ROTATE: "not before it is stopped: what still runs would read the new version as well",
    Part.REVOKE: "not before it is stopped: what still runs gets new tokens by itself",
    Part.READ: "while the logs are kept, and before the way in is looked for",
    Part.WAY_IN: "before the rebuild: what is built with the hole is taken again",
    Part.FILES: "before anything starts anew: a changed file comes back with each instance",
    Part.REBUILD: "once the way in is known",
    Part.GIVE_BACK: "not before the clean version is there: it undoes what holds this one",
    Part.RESUME: "when the clean version is there and may be started again",
    Part.OPEN: "not before the clean version serves",
    Part.INVITE: "not before the clean version is there",
    Part.DELETE: "last but one: it cannot be undone, and takes evidence away",
    Part.CLOSE: "last: while it is open it reminds of what is left to do",
}
#: The same where the responder itself leaves it to a person, since it may well be harmless.
DOUBTFUL: Mapping[Part, str] = {part: RUNNING[part] for part in (Part.LOOK, *RUNNING)} | {
    Part.LOOK: "first: what may well be harmless is not stopped unseen",
    Part.STOP: "if it is hostile: what runs goes on reading secrets and calling out",
}
#: The same once it is stopped.
STOPPED: Mapping[Part, str] = {
    Part.STOP: "first: whoever stopped it may start it again",
    Part.WAIT: "first: what still runs would read a new secret version as well",
    Part.TELL: "now: they see it down, and know what is normal for it",
    Part.NO_ATTACK: "as soon as that is known: every minute more is an outage for nothing",
    Part.ROTATE: "before all repairs: what was taken outlives the containment",
    Part.REVOKE: "with it: a token that was taken is good for up to an hour, a key for ever",
    Part.READ: "while the logs are kept, and before the way in is looked for",
    Part.WAY_IN: "before the rebuild: what is built with the hole is taken again",
    Part.FILES: "before anything starts anew: a changed file comes back with each instance",
    Part.REBUILD: "once the way in is known",
    Part.INGRESS: "before it runs again: whoever came in will try again",
    Part.AUTHENTICATION: "before it runs again: whoever came in will try again",
    Part.GIVE_BACK: "not before the clean version is there: it undoes what holds this one",
    Part.RESUME: "when the clean version is there and may be started again",
    Part.OPEN: "not before the clean version serves",
    Part.INVITE: "not before the clean version is there",
    Part.DELETE: "last but one: it cannot be undone, and takes evidence away",
    Part.CLOSE: "last: while it is open it reminds of what is left to do",
}
#: The same once a person has given it back: it serves, and should be clean.
RELEASED: Mapping[Part, str] = {
    **STOPPED,
    Part.STOP: "first: it runs again, and whoever came in will try again",
    Part.ROTATE: "unless it is done: what was taken outlives the containment",
    Part.REVOKE: "unless it is done: a key that was taken is good for ever",
    Part.TELL: "now: they see it up again",
    Part.REBUILD: "unless what serves now is the clean version",
    Part.INGRESS: "unless the way in is closed: it runs again",
    Part.AUTHENTICATION: "unless the way in is closed: it runs again",
}
#: What each part is called where steps stand under headings.
TITLES: Mapping[Part, str] = {
    Part.LOOK: "See whether it is an attack",
    Part.STOP: "Stop it",
    Part.WAIT: "Wait for what still runs",
    Part.INGRESS: "Close it to the internet",
    Part.AUTHENTICATION: "Keep callers out",
    Part.TELL: "Tell the owners",
    Part.ROTATE: "Rotate its secrets",
    Part.REVOKE: "Revoke its identity",
    Part.READ: "Read what it did",
    Part.NO_ATTACK: "If it was no attack",
    Part.WAY_IN: "Find the way in",
    Part.FILES: "Look for changed files",
    Part.REBUILD: "Build it anew",
    Part.GIVE_BACK: "Release it",
    Part.RESUME: "Start it again",
    Part.OPEN: "Open it to the internet again",
    Part.INVITE: "Let callers in again",
    Part.DELETE: "Delete what ran",
    Part.CLOSE: "Close the finding",
}
#: What a person is asked to close by hand, and to open again, unless we did: a release opens that.
_OURS = {
    Part.INGRESS: "restrict-ingress",
    Part.OPEN: "restrict-ingress",
    Part.AUTHENTICATION: "require-authentication",
    Part.INVITE: "require-authentication",
}


def automatic(situation: Situation) -> tuple[Step, ...]:
    """What the responder did, or what it would do if it were let."""
    steps = [Step(_gathered(situation))]
    for change in situation.changes:
        state = _DID.get(change.state, "planned; nothing was written")
        undone = "" if change.reversible else "; this cannot be taken back"
        steps.append(Step(f"{change.action} on {change.target}: {state}{undone}"))
    return tuple(steps)


def _gathered(situation: Situation) -> str:
    lacking = list(dict.fromkeys(gap.collector for gap in situation.evidence.gaps))
    kept = "Gathered and kept what evidence could be read: it stands in the case file"
    if not lacking:
        return kept
    return f"{kept}; {len(lacking)} could not be ({', '.join(lacking)})"


def for_people(situation: Situation) -> tuple[Step, ...]:
    """What is left to people, in the order in which it should be done, each with its why."""
    evidence = situation.evidence
    finding, workload = evidence.finding, evidence.finding.workload
    if workload is None:
        link = finding_page(finding)
        return (Step("Look at the finding: it names no workload of Cloud Run", link=link),)
    where = position(situation, workload)
    steps = (
        *about_the_containment(where),
        *look_first(situation, where),
        *close_entry(evidence, where),
        *tell_owner(finding, workload),
        *rotate(evidence, workload),
        *revoke(evidence, workload),
        *read_logs(finding, workload),
        *read_its_deeds(evidence, workload),
        *find_way_in(evidence, workload),
        *look_at_files(evidence, workload),
        *rebuild(evidence, workload),
        *delete_what_ran(evidence, where),
        *close_finding(finding),
    )
    return _in_order(steps, where)


def step_told(step: Step) -> JsonObject:
    """A step as the outcome has it."""
    return {
        "part": step.part.value if step.part else None,
        "part_title": TITLES[step.part] if step.part else None,
        "text": step.text,
        "why": step.why or None,
        "command": step.command or None,
        "link": step.link or None,
    }


def replanned(outcome: JsonObject) -> JsonObject:
    """An outcome that was carried on, with its plan as it is by now.

    What the evidence came to stays; what the containment comes to is made anew, and all of it is
    put in the order of how things stand now.
    """
    assessment, where = outcome.get("assessment"), position_told(outcome)
    plan = assessment.get("plan") if isinstance(assessment, Mapping) else None
    if not isinstance(plan, Mapping) or where is None:
        return outcome
    assert isinstance(assessment, Mapping)  # noqa: S101 - it has a plan
    kept = (_step(told) for told in objects(plan.get("people")) if not _outdated(told))
    left = (step for step in kept if step.part not in PARTS and not _is_done(step, where))
    people = _in_order((*about_the_containment(where), *left), where)
    changes = objects(outcome.get("changes"))
    done = (f"{c.get('action')} on {c.get('target')}: {_so_far(c, where.status)}" for c in changes)
    automatic: list[Json] = [*objects(plan.get("automatic"))[:1]]
    automatic += [step_told(Step(text)) for text in done]
    renewed = {**plan, "automatic": automatic, "people": [step_told(step) for step in people]}
    return {**outcome, "assessment": {**assessment, "plan": renewed}}


def _in_order(steps: Iterable[Step], where: Position) -> tuple[Step, ...]:
    """Steps by their parts; the first of each part says why it stands there.

    What has no part that we know stands where a person finds it: at the end.
    """
    order = RUNNING if where.running else STOPPED
    order = RELEASED if where.status is Status.RELEASED else order
    order = DOUBTFUL if where.doubtful and where.undecided else order
    places = {part: place for place, part in enumerate(order)}
    ordered, said = [], set[Part]()
    for step in sorted(steps, key=lambda step: places.get(step.part or Part.CLOSE, len(places))):
        new = step.part is not None and step.part not in said
        ordered.append(replace(step, why=order.get(step.part, "") if step.part and new else ""))
        said |= {step.part} if step.part else set()
    return tuple(ordered)


def _is_done(step: Step, where: Position) -> bool:
    """Whether we have done since what a step asks of people, or it has no place any more."""
    if step.part is Part.LOOK:
        return not where.undecided
    callers = step.part in (Part.AUTHENTICATION, Part.INVITE)
    if callers and "invoker-iam-check" not in step.command:
        # Ours took the public out of one role; any other role is left to people.
        return f"--role={INVOKER}" in step.command and "require-authentication" in where.done
    return step.part is not None and _OURS.get(step.part) in where.done


def _outdated(told: JsonObject) -> bool:
    """Whether a step is a command of ours in a plan that did not tell its parts yet."""
    return not told.get("part") and str(told.get("command") or "").startswith("python cli.py ")


def _step(told: JsonObject) -> Step:
    part = told.get("part")
    text, command, link = (str(told.get(key) or "") for key in ("text", "command", "link"))
    return Step(text, command, link, Part(str(part)) if part in list(Part) else None)


def _so_far(change: JsonObject, status: Status) -> str:
    if status is Status.RELEASED and change.get("reversible"):
        return "taken back since"
    return _DID.get(ChangeState(str(change.get("state"))), "planned; nothing was written")
