"""IAM permissions: the name, the narrowest resource to grant it on, and what it is for.

The code that needs a permission declares it: a client beside its calls, an action in its file.
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
    DISABLED_ACCOUNT = "disabled-service-account"
    IMAGE_REPOSITORY = "image-repository"
    STORE = "store"
    POLICY = "policy"
    TOPIC = "topic"
    QUOTA_PROJECT = "quota-project"
    RESPONDER_ACCOUNT = "responder-account"
    INVENTORY = "inventory"

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
            case GrantScope.DISABLED_ACCOUNT:
                return target
            case GrantScope.TOPIC | GrantScope.STORE | GrantScope.POLICY | GrantScope.INVENTORY:
                return target
            case _:
                return self.described


_DESCRIBED = {
    GrantScope.WORKLOAD: "each workload, or its project",
    GrantScope.PROJECT: "each workload's project",
    GrantScope.SECURITY_CENTER: "the organization, folder or project that Security Command Center"
    " lists the findings of",
    GrantScope.RUNTIME_ACCOUNT: "the workload's runtime service account, never the project",
    GrantScope.DISABLED_ACCOUNT: "each runtime service account that may be disabled, never the"
    " project",
    GrantScope.IMAGE_REPOSITORY: "the repository of the workload's images, never the project",
    GrantScope.STORE: "the bucket of RESPONDER_STORE",
    GrantScope.POLICY: "the bucket of RESPONDER_POLICY",
    GrantScope.TOPIC: "the topic of RESPONDER_TOPIC",
    GrantScope.QUOTA_PROJECT: "the project that a person's calls count on:"
    " GOOGLE_CLOUD_QUOTA_PROJECT, or that of gcloud auth application-default set-quota-project",
    GrantScope.RESPONDER_ACCOUNT: "the impersonated service account, only for as long as needed",
    GrantScope.INVENTORY: "the project, folder or organization that is searched",
}


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


#: Google checks both at every update of a service or worker pool, whatever the mask: the caller
#: must be allowed to act as the runtime service account and to pull the image.
DEPLOY_PERMISSIONS = (
    Permission(
        "iam.serviceAccounts.actAs",
        GrantScope.RUNTIME_ACCOUNT,
        "Google requires it at every update; on the project it would allow acting as any account",
    ),
    Permission(
        "artifactregistry.repositories.downloadArtifacts",
        GrantScope.IMAGE_REPOSITORY,
        "Google requires it at every update",
    ),
)
