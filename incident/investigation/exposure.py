"""What an attacker inside the workload came through and could get at, from the evidence. Pure.

Says nothing about the finding itself: that is the responder's business. Every topic is always told:
where its evidence is lacking, that it is not known, and why.
"""

from __future__ import annotations

from incident.investigation.callers import callers
from incident.investigation.deployments import deployment
from incident.investigation.volumes import volumes
from incident.model import (
    Evidence,
    Kind,
    Point,
    Ran,
    Related,
    Topic,
    is_default,
)

_INGRESS = {
    "INGRESS_TRAFFIC_ALL": "anybody on the internet reaches it",
    "INGRESS_TRAFFIC_INTERNAL_ONLY": "only this project's networks and Google services reach it",
    "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER": "internal networks and load balancers reach it",
    "INGRESS_TRAFFIC_NONE": "nothing reaches it",
}
_MOST = 5


def reach(evidence: Evidence) -> tuple[Point, ...]:
    """How one gets in, what is in reach from inside, and who put the code there."""
    workload = evidence.finding.workload
    if workload is None:
        return ()
    return (
        _entry(evidence, workload.kind),
        *callers(evidence, workload.kind),
        _ran(evidence),
        *_identity(evidence),
        *_secrets(evidence),
        *volumes(evidence),
        *deployment(evidence),
    )


def related(evidence: Evidence) -> tuple[Related, ...]:
    """The other findings on the workload in time order, each with what speaks for one attack."""
    return evidence.relations or ()


def _entry(evidence: Evidence, kind: Kind) -> Point:
    settings = evidence.settings
    if kind is not Kind.SERVICE:
        text = f"a {kind.spelled} takes no requests: it is reached by what it reads and fetches"
        return Point(Topic.ENTRY, text, "finding")
    if settings is None:
        text = f"from where it is reached is {evidence.unknown('settings')}"
        return Point(Topic.ENTRY, text, "settings", known=False)
    ingress = str(settings.fields.get("ingress") or "INGRESS_TRAFFIC_ALL")
    text = _INGRESS.get(ingress, f"its ingress is {ingress}")
    open_wide = ingress == "INGRESS_TRAFFIC_ALL"
    names = (settings.uri,) if settings.uri else ()
    at = f" at {settings.uri}" if settings.uri else ""
    return Point(Topic.ENTRY, f"{text}{at}, by ingress", "settings", names, serious=open_wide)


def _ran(evidence: Evidence) -> Point:
    """Which revision or execution it was: what is in reach may differ from one to the other."""
    ran = evidence.ran
    union = "; what is in reach is told for all of them together" if len(ran.templates) > 1 else ""
    return Point(Topic.RAN, f"it ran in {ran.which}: {ran.why}{union}", ran.evidence)


def _identity(evidence: Evidence) -> tuple[Point, ...]:
    if not evidence.ran.templates:
        text = f"the service account that it ran as is {evidence.unknown('settings')}"
        return (Point(Topic.IDENTITY, text, "settings", known=False),)
    ran = evidence.ran
    return tuple(_account(account, ran) for account in ran.accounts)


def _account(account: str, ran: Ran) -> Point:
    runs = [each.revision for each in ran.templates if each.service_account == account]
    within = f"in {', '.join(runs[:_MOST])} " if len(ran.accounts) > 1 and all(runs) else ""
    stolen = "its tokens may have been taken, and stay good for up to an hour after a containment"
    called = account or "the project's default service account"
    if is_default(account):
        what = ", a default service account" if account else ""
        text = (
            f"{within}it runs as {called}{what}: {stolen}. Often it may edit all of the project;"
            " other workloads of the project may run as it too (not checked)"
        )
    else:
        text = (
            f"{within}it runs as {called}, a user-managed service account: {stolen}. What it may"
            " do, and which other workloads run as it, is not checked"
        )
    return Point(Topic.IDENTITY, text, ran.source, (called,), serious=True)


def _secrets(evidence: Evidence) -> tuple[Point, ...]:
    affected, source = evidence.affected, evidence.ran.source
    if affected is None:
        text = f"which secrets were in its reach is {evidence.unknown('settings')}"
        return (Point(Topic.SECRETS, text, "settings", known=False), *_environment(evidence))
    if affected.secret_names:
        text = "it could read these secrets, which are to be rotated"
        point = Point(Topic.SECRETS, text, source, affected.secret_names, serious=True)
    else:
        text = (
            f"no secret of Secret Manager is given to it{evidence.ran.as_now}; what its account"
            " may read besides is not checked"
        )
        point = Point(Topic.SECRETS, text, source)
    return (point, *_environment(evidence))


def _environment(evidence: Evidence) -> tuple[Point, ...]:
    affected = evidence.affected
    told = {name for each in evidence.finding.processes for name in each.environment_names}
    names = {
        name for c in (affected.containers if affected else ()) for name in c.environment_names
    }
    source = evidence.ran.source if affected else "finding"
    if affected is None:
        text = f"which environment variables its settings have is {evidence.unknown('settings')}"
        seen = "; rotate what is secret among those that the finding names" if told else ""
        named = tuple(sorted(told))
        return (Point(Topic.ENVIRONMENT, f"{text}{seen}", source, named, known=False),)
    if not names | told:
        text = f"it has no environment variables{evidence.ran.as_now}"
        return (Point(Topic.ENVIRONMENT, text, source),)
    text = "its environment variables were in reach as well; rotate what is secret among them"
    return (Point(Topic.ENVIRONMENT, text, source, tuple(sorted(names | told))),)
