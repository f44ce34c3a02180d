"""What an attacker inside the workload came through and could get at, from the evidence. Pure.

Says nothing about the finding itself: that is the responder's business.
"""

from __future__ import annotations

from incident.deployment import deployment
from incident.model import (
    Evidence,
    Kind,
    Point,
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


def reach(evidence: Evidence) -> tuple[Point, ...]:
    """How one gets in, what is in reach from inside, and who put the code there."""
    return (
        *_entry(evidence),
        *_callers(evidence),
        *_ran(evidence),
        *_identity(evidence),
        *_secrets(evidence),
        *_volumes(evidence),
        *deployment(evidence),
    )


def related(evidence: Evidence) -> tuple[Related, ...]:
    """The other findings on the workload in time order, each with what speaks for one attack."""
    return evidence.relations or ()


def _entry(evidence: Evidence) -> tuple[Point, ...]:
    settings = evidence.settings
    if settings is None or settings.kind is not Kind.SERVICE:
        return ()
    ingress = str(settings.fields.get("ingress") or "INGRESS_TRAFFIC_ALL")
    text = _INGRESS.get(ingress, f"its ingress is {ingress}")
    open_wide = ingress == "INGRESS_TRAFFIC_ALL"
    names = (settings.uri,) if settings.uri else ()
    return (Point(Topic.ENTRY, f"{text}, by its ingress", "settings", names, serious=open_wide),)


def _callers(evidence: Evidence) -> tuple[Point, ...]:
    """Who may invoke it: of a service to reach its code, of a job to start it."""
    settings, access = evidence.settings, evidence.access
    if settings is not None and settings.fields.get("invokerIamDisabled"):
        text = "everybody may call it: the check of invokers is off"
        return (Point(Topic.CALLERS, text, "settings", serious=True),)
    if access is None or (settings is not None and settings.kind is Kind.WORKER_POOL):
        return ()
    granted = [b for b in access.bindings if b.role == "roles/run.invoker"]
    members = tuple(dict.fromkeys(member for binding in granted for member in binding.members))
    if access.public:
        text = "everybody may call it, by its IAM policy"
        return (Point(Topic.CALLERS, text, "access", members, serious=True),)
    if members:
        text = "callers need a grant, by its IAM policy or one above it"
        return (Point(Topic.CALLERS, text, "access", members),)
    text = "its own IAM policy lets nobody call it; a policy above it may"
    return (Point(Topic.CALLERS, text, "access"),)


def _ran(evidence: Evidence) -> tuple[Point, ...]:
    """Which revision or execution it was: what is in reach may differ from one to the other."""
    if evidence.finding.workload is None:
        return ()
    ran = evidence.ran
    union = "; what is in reach is told for all of them together" if len(ran.templates) > 1 else ""
    text = f"it ran in {ran.which}: {ran.why}{union}"
    return (Point(Topic.RAN, text, ran.evidence),)


def _identity(evidence: Evidence) -> tuple[Point, ...]:
    return tuple(_account(account) for account in evidence.ran.accounts)


def _account(account: str) -> Point:
    if is_default(account):
        text = (
            "it runs as a default service account, which other workloads of the project share and"
            " which often may edit all of the project"
        )
    else:
        text = (
            "its tokens may have been taken, and stay good for up to an hour after any"
            " containment; whether other workloads run as it is not checked"
        )
    names = (account or "the project's default service account",)
    return Point(Topic.IDENTITY, text, "settings", names, serious=True)


def _secrets(evidence: Evidence) -> tuple[Point, ...]:
    affected = evidence.affected
    if affected is None:
        return ()
    points = []
    if affected.secret_names:
        text = "it could read these secrets: rotate them"
        points.append(
            Point(Topic.SECRETS, text, "settings", affected.secret_names, serious=True),
        )
    names = {name for each in affected.containers for name in each.environment_names}
    names |= {name for each in evidence.finding.processes for name in each.environment_names}
    if names:
        text = "these environment variables were in its reach: rotate what is secret among them"
        points.append(Point(Topic.ENVIRONMENT, text, "settings", tuple(sorted(names))))
    return tuple(points)


def _volumes(evidence: Evidence) -> tuple[Point, ...]:
    affected = evidence.affected
    if affected is None:
        return ()
    kept = tuple(volume.source for volume in affected.volumes if volume.persists)
    if kept:
        text = "a file that was changed there comes back with every new instance"
        return (Point(Topic.VOLUMES, text, "settings", kept, serious=True),)
    text = "it mounts nothing that outlives an instance: the changed file went with it"
    return (Point(Topic.VOLUMES, text, "settings"),)
