"""Error text of a denied call: the missing permission, and where to grant it."""

from __future__ import annotations

from incident.model import GrantScope, Permission

# Google's messages for user credentials without a quota project, and for those that may not use
# theirs (its troubleshooting page for Application Default Credentials).
_NO_QUOTA_PROJECT = "requires a quota project"
_USE_QUOTA = "serviceusage.services.use"


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
        " to yourself for a command. Then do again what failed: `cloud-run-responder contain` for a"
        " containment; `replay` is only a dry run"
    )
