"""The response plan: what the responder did by itself, and what is left to people, in order. Pure.

Every command can be pasted into a shell: what comes from outside stands in it quoted.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from incident.actions import INVOKER, PUBLIC
from incident.links import account_page, finding_page, logs_page, secret_page, workload_page
from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    Evidence,
    Finding,
    Json,
    JsonObject,
    Kind,
    Mode,
    Status,
    Step,
    Template,
    Workload,
    is_default,
)

_LOGS = {
    Kind.SERVICE: ("cloud_run_revision", "service_name"),
    Kind.JOB: ("cloud_run_job", "job_name"),
    Kind.WORKER_POOL: ("cloud_run_worker_pool", "worker_pool_name"),
}
_HELD = frozenset({Status.CONTAINED, Status.RESTRICTED, Status.UNVERIFIED})
_DID = {
    ChangeState.VERIFIED: "done, and read back in effect",
    ChangeState.UNVERIFIED: "written, but not seen in effect",
    ChangeState.FAILED: "failed",
    ChangeState.APPLIED: "written",
}
_OURS = "python cli.py "
_MOST_NAMES = 20
#: Whoever changed the file came in before that: how far back to look.
_BEFORE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Situation:
    """What a plan is made of.

    Attributes:
        incident: The incident's id.
        status: What became of it.
        mode: The mode that applied.
        evidence: What was gathered.
        changes: The changes and how far they came.
    """

    incident: str
    status: Status
    mode: Mode
    evidence: Evidence
    changes: tuple[Change, ...]


def automatic(situation: Situation) -> tuple[Step, ...]:
    """What the responder did, or what it would do if it were let."""
    steps = [Step("Gathered and kept the evidence: it stands in the case file")]
    for change in situation.changes:
        state = _DID.get(change.state, "planned; nothing was written")
        undone = "" if change.reversible else "; this cannot be taken back"
        steps.append(Step(f"{change.action} on {change.target}: {state}{undone}"))
    return tuple(steps)


def for_people(situation: Situation) -> tuple[Step, ...]:
    """What is left to people, in the order in which it should be done."""
    evidence = situation.evidence
    workload = evidence.finding.workload
    if workload is None:
        link = finding_page(evidence.finding)
        return (Step("Look at the finding: it names no workload of Cloud Run", link=link),)
    return (
        *_contain(situation, workload),
        *_owner(evidence.finding),
        *_logs(evidence.finding, workload),
        *_identity(evidence, workload),
        *_secrets(evidence.affected, workload),
        *_entry(situation, workload),
        *_volumes(evidence.affected),
        *_rebuild(evidence, workload),
        *_afterwards(situation, workload),
    )


def _contain(situation: Situation, workload: Workload) -> Iterator[Step]:
    """Whether it is stopped, and how to stop it if not."""
    reversible = any(change.reversible for change in situation.changes)
    page = workload_page(workload) or ""
    yield from _first(situation.status, situation.incident, workload.kind, page, reversible)


def _first(
    status: Status,
    incident: str,
    kind: Kind,
    page: str,
    reversible: bool,  # noqa: FBT001 - the last of five plain facts
) -> Iterator[Step]:
    """What comes first, which hangs on how far the incident has come."""
    contain = f"python cli.py contain {incident}"
    # Held, or only restricted: the policy names nothing that stops it, so a person does.
    stop = f"{contain} --action {'cancel-executions' if kind is Kind.JOB else 'scale-to-zero'}"
    match status:
        case Status.CONTAINED:
            if reversible:
                text = "If this was no attack, take the containment back"
                yield Step(text, f"python cli.py release {incident}")
        case Status.RELEASED:
            yield Step("The containment was taken back, and the workload runs: watch it", link=page)
        case Status.ALREADY_CONTAINED:
            text = "Find out who stopped the workload before us, and keep it stopped"
            yield Step(text, link=page)
        case Status.AWAITING_APPROVAL:
            text = "Read the plan and approve it: the workload goes on running until then"
            yield Step(text, f"python cli.py approve {incident}")
        case Status.UNVERIFIED:
            text = "Look at the workload now: the containment is not seen in effect"
            yield Step(text, contain, page)
        case Status.RESTRICTED:
            text = "Decide whether to stop it: access is cut, but what runs goes on running"
            yield Step(text, stop, page)
        case Status.HELD:
            text = "Decide whether to stop it: the workload goes on running"
            yield Step(text, stop, page)
        case _:
            text = "Decide whether to stop it: the workload goes on running"
            yield Step(text, contain, page)


def replanned(outcome: JsonObject) -> JsonObject:
    """An outcome that was carried on, with its plan as it is by now.

    What is left to people stays, but for what comes first and the end of the containment.
    """
    assessment, place = outcome.get("assessment"), outcome.get("workload")
    plan = assessment.get("plan") if isinstance(assessment, Mapping) else None
    if not isinstance(plan, Mapping) or not isinstance(place, Mapping):
        return outcome
    assert isinstance(assessment, Mapping)  # noqa: S101 - it has a plan
    status, incident = Status(str(outcome["status"])), str(outcome["incident"])
    changes = [each for each in _list(outcome.get("changes")) if isinstance(each, Mapping)]
    reversible = any(change.get("reversible") for change in changes)
    links = outcome.get("links")
    page = links.get("workload") if isinstance(links, Mapping) else None
    first = _first(status, incident, Kind(str(place["kind"])), str(page or ""), reversible)
    people = [s for s in _list(plan.get("people")) if not _command_of(s).startswith(_OURS)]
    people = [*map(_told, first), *people]
    if status in _HELD and reversible:
        people.insert(len(people) - 1, _told(_given_back(incident)))
    done = [f"{c.get('action')} on {c.get('target')}: {_so_far(c, status)}" for c in changes]
    automatic = [*_list(plan.get("automatic"))[:1], *(_told(Step(text)) for text in done)]
    renewed = {**plan, "automatic": automatic, "people": people}
    return {**outcome, "assessment": {**assessment, "plan": renewed}}


def _so_far(change: JsonObject, status: Status) -> str:
    if status is Status.RELEASED and change.get("reversible"):
        return "taken back since"
    return _DID.get(ChangeState(str(change.get("state"))), "planned; nothing was written")


def _given_back(incident: str) -> Step:
    text = (
        "When a clean deployment is there, take the containment back. That restores exactly what"
        " was there before, the traffic split as well: send the traffic to the clean revision"
    )
    return Step(text, f"python cli.py release {incident}")


def _told(step: Step) -> JsonObject:
    return {"text": step.text, "command": step.command or None, "link": step.link or None}


def _command_of(step: Json) -> str:
    return str(step.get("command") or "") if isinstance(step, Mapping) else ""


def _list(value: Json) -> list[Json]:
    return list(value) if isinstance(value, list | tuple) else []


def _owner(finding: Finding) -> Iterator[Step]:
    if finding.contacts:
        yield Step(f"Tell the owners: {', '.join(finding.contacts[:_MOST_NAMES])}")
    else:
        yield Step("Tell the owner of the workload: the finding names no contact")


def _logs(finding: Finding, workload: Workload) -> Iterator[Step]:
    """Reading what it did, and what was done with its identity."""
    kind, label = _LOGS[workload.kind]
    query = (
        f'resource.type="{kind}" resource.labels.{label}="{workload.name}"'
        f' resource.labels.location="{workload.location}"'
        f' timestamp>="{finding.event_time - _BEFORE:%Y-%m-%dT00:00:00Z}"'
    )
    yield Step(
        "Read and export its logs before they expire: the way in is older than the finding",
        _command("gcloud", "logging", "read", query, f"--project={workload.project}"),
        logs_page(workload.project, query),
    )


def _identity(evidence: Evidence, workload: Workload) -> Iterator[Step]:
    """An account of each revision that may have run."""
    for account in evidence.ran.accounts:
        yield from _account(account, evidence, workload)


def _account(account: str, evidence: Evidence, workload: Workload) -> Iterator[Step]:
    project = workload.project
    if account:
        since = f'timestamp>="{evidence.finding.event_time:%Y-%m-%dT00:00:00Z}"'
        query = f'protoPayload.authenticationInfo.principalEmail="{_plain(account)}" {since}'
        yield Step(
            f"See what was done as {account} since the day of the event, here and in every other"
            " project that trusts it",
            _command("gcloud", "logging", "read", query, f"--project={project}"),
            logs_page(project, query),
        )
    if is_default(account):
        text = (
            "Revoke its tokens. It runs as a default account that other workloads share: disabling"
            " it stops them too, so move this workload to an account of its own first"
        )
        yield Step(text, link=account_page(project, account) if account else "")
        return
    text = (
        f"Revoke the tokens of {account}. Disabling it is all that stops one already taken. See"
        " first which other workloads run as it; they lose their access too"
    )
    command = _command(
        *("gcloud", "iam", "service-accounts", "disable", account, f"--project={project}")
    )
    yield Step(text, command, account_page(project, account))


def _secrets(affected: Template | None, workload: Workload) -> Iterator[Step]:
    for secret in affected.secret_names[:_MOST_NAMES] if affected else ():
        project, name = _secret(secret, workload)
        yield Step(
            f"Rotate the secret {name}. Issue a new value where it is used, add it, and disable"
            " the version that was in reach",
            _command("gcloud", "secrets", "versions", "list", name, f"--project={project}"),
            secret_page(project, name),
        )
    names = {n for c in affected.containers for n in c.environment_names} if affected else set()
    if names:
        listed = ", ".join(sorted(names)[:_MOST_NAMES])
        text = f"Rotate what is secret among the environment variables it had: {listed}"
        yield Step(text, link=workload_page(workload) or "")


def _entry(situation: Situation, workload: Workload) -> Iterator[Step]:
    """Closing the way in: what was restricted already is not asked for again."""
    settings, access = situation.evidence.settings, situation.evidence.access
    place = (f"--region={workload.location}", f"--project={workload.project}")
    done = {
        name
        for change in situation.changes
        if change.state is ChangeState.VERIFIED
        for name in change.action.split("+")
    }
    yield Step("Find the way in and close it: the code that runs has a hole, or its build has")
    if settings is None or workload.kind is not Kind.SERVICE:
        return
    if settings.fields.get("ingress") == "INGRESS_TRAFFIC_ALL" and "restrict-ingress" not in done:
        yield Step(
            "Consider closing it to the internet until it is rebuilt",
            _command(
                *("gcloud", "run", "services", "update", workload.name, "--ingress=internal"),
                *place,
            ),
        )
    if "require-authentication" in done:
        return
    text = "Consider requiring authentication until it is rebuilt"
    service = ("gcloud", "run", "services")
    if settings.fields.get("invokerIamDisabled"):
        check = _command(*service, "update", workload.name, "--invoker-iam-check", *place)
        yield Step(text, check)
    invited = {m for b in access.bindings if b.role == INVOKER for m in b.members} if access else ()
    for member in sorted(PUBLIC.intersection(invited)):
        said = (f"--member={member}", f"--role={INVOKER}")
        remove = (*service, "remove-iam-policy-binding", workload.name)
        yield Step(text, _command(*remove, *said, *place))


def _volumes(affected: Template | None) -> Iterator[Step]:
    for volume in affected.volumes if affected else ():
        if volume.persists:
            kind, _, bucket = volume.source.replace("://", " ", 1).partition(" ")
            command = ""
            if kind == "gcs":
                command = _command("gcloud", "storage", "ls", "--long", f"gs://{bucket}/**")
            text = f"Look for changed files on {volume.source}: they come back with each instance"
            yield Step(text, command)


def _rebuild(evidence: Evidence, workload: Workload) -> Iterator[Step]:
    container = next(iter(evidence.finding.containers), None)
    image = container.image if container else ""
    if not image and evidence.affected and evidence.affected.containers:
        image = evidence.affected.containers[0].image
    digest = container.digest if container else None
    pinned = f"{image.partition('@')[0].rpartition(':')[0] or image}@{digest}" if digest else image
    text = (
        "Rebuild the image from its source, look into what goes into it, and deploy that: the way"
        " in is in the image, or the hostile code itself"
    )
    command = _command("gcloud", "artifacts", "docker", "images", "describe", pinned)
    yield Step(text, command if pinned else "", workload_page(workload) or "")


def _afterwards(situation: Situation, workload: Workload) -> Iterator[Step]:
    """What comes when a clean revision is there."""
    finding, affected = situation.evidence.finding, situation.evidence.affected
    reversible = any(change.reversible for change in situation.changes)
    if situation.status in _HELD and reversible:
        yield _given_back(situation.incident)
    if any(change.kind is ChangeKind.CANCELLATION for change in situation.changes):
        command = _command(
            *("gcloud", "run", "jobs", "execute", workload.name, f"--region={workload.location}"),
            f"--project={workload.project}",
        )
        yield Step("Start the cancelled work again with the clean image", command)
    if affected and affected.revision and workload.kind is Kind.SERVICE:
        command = _command(
            *("gcloud", "run", "revisions", "delete", affected.revision),
            *(f"--region={workload.location}", f"--project={workload.project}"),
        )
        yield Step(f"When nothing needs it any more, delete revision {affected.revision}", command)
    elif workload.kind is Kind.SERVICE and situation.evidence.revisions:
        text = f"Find out what ran, {situation.evidence.ran.which}, before a revision is deleted"
        yield Step(text, link=workload_page(workload) or "")
    command = _command(
        *("gcloud", "scc", "findings", "update", finding.canonical_name, "--state=INACTIVE")
    )
    yield Step("Close the finding", command, finding_page(finding))


def _secret(secret: str, workload: Workload) -> tuple[str, str]:
    """Project and name of a secret, which may be named in full or within its project."""
    parts = secret.split("/")
    if len(parts) >= 4 and parts[0] == "projects" and parts[2] == "secrets":  # noqa: PLR2004 - projects/P/secrets/S
        return parts[1], parts[3]
    return workload.project, secret


def _plain(text: str) -> str:
    """A text that cannot end the quotes that it stands in."""
    return text.replace("\\", "").replace('"', "")


def _command(*words: str) -> str:
    return shlex.join(words)
