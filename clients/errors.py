"""Map errors of Google's clients to Retry or GiveUp."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from google.api_core import exceptions as api
from google.auth import exceptions as auth

from clients.call_progress import call_in_progress
from clients.permissions import missing_permission_text
from incident.model import Conflict, Denied, GiveUp, IncidentError, Missing, Permission, Retry

_DETAIL_CHARACTERS = 300
# What gRPC's message quotes of google-auth's errors about a person's expired or revoked login.
_LOGIN_REJECTED = re.compile(
    r"Getting metadata from plugin failed.*(invalid_|[Rr]eauth|unauthorized_client|deleted_client)",
    re.DOTALL,
)

_Meaning = tuple[tuple[type[Exception], ...], type[IncidentError], str]

# The first row that matches an error decides. ``{missing}`` is the missing permission and where to
# grant it, ``{detail}`` is Google's message.
_MEANINGS: tuple[_Meaning, ...] = (
    (
        (api.Aborted,),
        Conflict,
        "another change to it is under way ({detail})",
    ),
    (
        (api.Forbidden,),
        Denied,
        "{missing}. Google says: {detail}",
    ),
    (
        (api.NotFound,),
        Missing,
        (
            "it does not exist ({detail}). It may have been deleted since, or the finding names it"
            " in a way that we do not know"
        ),
    ),
    (
        (api.ResourceExhausted, api.TooManyRequests),
        Retry,
        "a quota of its project is used up ({detail})",
    ),
    (
        (api.BadRequest, api.AlreadyExists, api.MethodNotImplemented),
        GiveUp,
        "Google refuses the call ({detail}). Trying again would not help",
    ),
    (
        (Exception,),
        Retry,
        "Google does not answer as it should ({detail})",
    ),
)


@contextmanager
def google_call(verb: str, target: str, *permissions: Permission) -> Iterator[None]:
    """Translate errors of a Google client, and report the call in progress.

    Args:
        verb: Verb and object for the message, such as ``read the settings of``.
        target: Resource name.
        permissions: What the call needs, the likeliest to be missing first; named in the error
            when the call is denied.

    Raises:
        Conflict: Another change to the resource is in progress.
        Retry: A transient failure.
        Denied: The permission is missing.
        Missing: The resource does not exist.
        GiveUp: Any other permanent failure.
    """
    try:
        with call_in_progress(verb, target):
            yield
    except (api.GoogleAPIError, auth.GoogleAuthError) as error:
        raise _translated(error, verb, target, permissions) from error


def _translated(
    error: Exception, verb: str, target: str, permissions: tuple[Permission, ...]
) -> IncidentError:
    whole = " ".join(_message(error).split())
    if is_rejected_login(error):
        return not_logged_in(f"cannot {verb} {target}", whole[:_DETAIL_CHARACTERS])
    detail = whole[:_DETAIL_CHARACTERS] or type(error).__name__
    kind, text = next((kind, text) for types, kind, text in _MEANINGS if isinstance(error, types))
    missing_text = missing_permission_text(permissions, target, whole)
    return kind(f"cannot {verb} {target}: " + text.format(missing=missing_text, detail=detail))


def _message(error: Exception) -> str:
    """Google's message; after retries that of the last attempt too, which has the address."""
    text = str(getattr(error, "message", error))
    if isinstance(error, api.RetryError) and error.cause is not None:
        return f"{text}; last attempt: {getattr(error.cause, 'message', error.cause)}"
    return text


def is_rejected_login(error: Exception) -> bool:
    """Whether there are no credentials, or Google rejects them.

    On Cloud Run a failed refresh may be a fault of the metadata server, so it is retried there.
    """
    if isinstance(error, api.Unauthorized | auth.DefaultCredentialsError):
        return True
    if _on_cloud_run():
        return False
    if isinstance(error, auth.RefreshError):
        return not error.retryable
    return bool(_LOGIN_REJECTED.search(_message(error)))


def not_logged_in(failed: str, detail: str) -> Denied:
    """The error for missing or rejected credentials, with advice for the reader.

    Args:
        failed: What failed.
        detail: Google's message.
    """
    detail = detail or "no credentials"
    if _on_cloud_run():
        return Denied(
            f"{failed}: Google does not accept the responder's credentials ({detail}). Check the"
            " service account that the responder runs as. Then repeat what failed:"
            " `cloud-run-responder contain` for a containment"
        )
    return Denied(f"Not logged in. Run: gcloud auth application-default login ({failed}: {detail})")


def _on_cloud_run() -> bool:
    return bool(os.environ.get("K_SERVICE"))
