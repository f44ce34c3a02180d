"""IAM permissions that calls need: scope, reason, error text.

Each client module declares the permissions of its calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# projects/P/locations/L/services/S: what lies below, such as an execution, has no IAM policy.
_WORKLOAD_SEGMENTS = 6


class GrantScope(StrEnum):
    """The narrowest resource that a permission can be granted on."""

    WORKLOAD = "workload"
    PROJECT = "project"
    SECURITY_CENTER = "security-center"
    RUNTIME_ACCOUNT = "runtime-service-account"
    IMAGE_REPOSITORY = "image-repository"
    STORE = "store"
    POLICY = "policy"
    TOPIC = "topic"
    QUOTA_PROJECT = "quota-project"
    RESPONDER_ACCOUNT = "responder-account"
    HIERARCHY = "hierarchy"

    @property
    def described(self) -> str:
        """Where to grant it, in words."""
        return _DESCRIBED[self]

    def grant_target(self, target: str) -> str:
        """Where to grant it, for a call with this target."""
        parts = target.split("/")
        project = "/".join(parts[:2]) if parts[0] == "projects" else "its project"
        match self:
            case GrantScope.WORKLOAD:
                return f"{'/'.join(parts[:_WORKLOAD_SEGMENTS])} or {project}"
            case GrantScope.PROJECT:
                return project
            case GrantScope.SECURITY_CENTER:
                return f"{'/'.join(parts[:2])} or what is above it"
            case GrantScope.TOPIC | GrantScope.STORE | GrantScope.POLICY:
                return target
            case _:
                return self.described


_DESCRIBED = {
    GrantScope.WORKLOAD: "each workload, or its project",
    GrantScope.PROJECT: "each workload's project",
    GrantScope.SECURITY_CENTER: "the organization, folder or project that Security Command Center"
    " lists the findings of",
    GrantScope.RUNTIME_ACCOUNT: "the workload's runtime service account, never the project",
    GrantScope.IMAGE_REPOSITORY: "the repository of the workload's images, never the project",
    GrantScope.STORE: "the bucket of RESPONDER_STORE",
    GrantScope.POLICY: "the bucket of RESPONDER_POLICY",
    GrantScope.TOPIC: "the topic of RESPONDER_TOPIC",
    GrantScope.QUOTA_PROJECT: "the project that a person's calls count on:"
    " GOOGLE_CLOUD_QUOTA_PROJECT, or that of gcloud auth application-default set-quota-project",
    GrantScope.RESPONDER_ACCOUNT: "the impersonated service account, only for as long as needed",
    GrantScope.HIERARCHY: "the organization or folder whose projects are listed",
}


# Google's messages for user credentials without a quota project, and for those that may not use
# theirs (its troubleshooting page for Application Default Credentials).
_NO_QUOTA_PROJECT = "requires a quota project"
_USE_QUOTA = "serviceusage.services.use"


@dataclass(frozen=True, slots=True)
class Permission:
    """One IAM permission.

    Attributes:
        name: Such as ``run.services.get``.
        scope: The narrowest resource to grant it on.
        reason: What it is for, as the end of a sentence.
    """

    name: str
    scope: GrantScope
    reason: str


def missing_permission_text(permissions: tuple[Permission, ...], target: str, message: str) -> str:
    """The permission that a denied call lacks and where to grant it, as a sentence.

    Args:
        permissions: What the call needs, the likeliest one first.
        target: The call's resource name.
        message: Google's message. If it names one of the permissions, that one is reported.
    """
    if _NO_QUOTA_PROJECT in message:
        return (
            "your credentials name no project that your calls count on. Run: gcloud auth"
            " application-default set-quota-project PROJECT, with the responder's project"
        )
    if _USE_QUOTA in message:
        return (
            f"permission {_USE_QUOTA} is missing. Grant it on {GrantScope.QUOTA_PROJECT.described}"
        )
    if not permissions:
        return "Google does not permit it"
    named = next((each for each in permissions if each.name.lower() in message.lower()), None)
    likeliest, *others = (named,) if named else permissions
    text = f"permission {likeliest.name} is missing"
    if others:
        alternatives = " or ".join(
            f"{each.name} on {each.scope.grant_target(target)}" for each in others
        )
        text += f", or one that goes with it: {alternatives}"
    return (
        f"{text}. Grant it on {likeliest.scope.grant_target(target)} to the responder's"
        " service account, or"
        " to yourself for a command. Then do again what failed: `python cli.py contain` for a"
        " containment; `replay` is only a dry run"
    )
