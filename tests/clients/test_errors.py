"""Errors of Google's clients: each is translated and says what, on what, why, what to do."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.api_core import exceptions as google_api
from google.auth import exceptions as google_auth

from clients.cloud_run_writes import WRITE_PERMISSIONS
from clients.errors import google_call
from incident.model import (
    ChangeKind,
    Conflict,
    Denied,
    GiveUp,
    GrantScope,
    IncidentError,
    Kind,
    Missing,
    Permission,
    Retry,
)

# Google publishes both without types.
api: Any = google_api
auth: Any = google_auth

GET = Permission("run.services.get", GrantScope.WORKLOAD, "reads")
NAME = "projects/p/locations/l/services/x"

EXPECTED: dict[str, tuple[type[IncidentError], str]] = {
    "ABORTED": (Conflict, "another change to it is under way"),
    "PERMISSION_DENIED": (Denied, "permission run.services.get is missing"),
    "UNAUTHENTICATED": (Denied, "Check the service account that the responder runs as"),
    "NOT_FOUND": (Missing, "it does not exist"),
    "RESOURCE_EXHAUSTED": (Retry, "a quota of its project is used up"),
    "INVALID_ARGUMENT": (GiveUp, "Trying again would not help"),
    "FAILED_PRECONDITION": (GiveUp, "Trying again would not help"),
    "OUT_OF_RANGE": (GiveUp, "Trying again would not help"),
    "ALREADY_EXISTS": (GiveUp, "Trying again would not help"),
    "UNIMPLEMENTED": (GiveUp, "Trying again would not help"),
    "UNAVAILABLE": (Retry, "does not answer as it should"),
    "DEADLINE_EXCEEDED": (Retry, "does not answer as it should"),
    "INTERNAL": (Retry, "does not answer as it should"),
    "UNKNOWN": (Retry, "does not answer as it should"),
    "DATA_LOSS": (Retry, "does not answer as it should"),
    "CANCELLED": (Retry, "does not answer as it should"),
}


def translated_error(error: Exception) -> IncidentError:
    """What an error becomes while a service is read."""
    with (
        pytest.raises(IncidentError) as raised,
        google_call("read the settings of", NAME, GET),
    ):
        raise error
    return raised.value


@pytest.mark.parametrize("code", EXPECTED)
def test_each_code_says_what_to_do_about_it(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The class says whether to retry, the message what a person has to do."""
    monkeypatch.setenv("K_SERVICE", "responder")
    error_class, text = EXPECTED[code]
    error = api.from_grpc_status(grpc.StatusCode[code], "what Google said")
    found = translated_error(error)
    assert type(found) is error_class
    assert str(found).startswith(f"cannot read the settings of {NAME}: ")
    assert text in str(found)
    assert "what Google said" in str(found)
    assert found.__cause__ is error


def test_every_code_has_a_row() -> None:
    """No code of gRPC is left to chance."""
    assert set(EXPECTED) == {code.name for code in grpc.StatusCode} - {"OK"}


def test_a_missing_permission_is_named_with_where_to_grant_it() -> None:
    """The message is enough to correct it."""
    assert f"Grant it on {NAME} or projects/p to" in str(
        translated_error(api.PermissionDenied("no"))
    )


@pytest.mark.parametrize(
    ("google_text", "named", "where"),
    [
        ("no", "run.services.update is missing, or one that goes with it", NAME),
        (
            "Permission 'iam.serviceaccounts.actAs' denied on service account a@example.com",
            "iam.serviceAccounts.actAs is missing. ",
            "the workload's runtime service account",
        ),
        (
            "x" * 500 + " artifactregistry.repositories.downloadArtifacts",
            "artifactregistry.repositories.downloadArtifacts is missing. ",
            "the repository of the workload's images",
        ),
    ],
)
def test_the_permission_that_google_names_is_reported(
    google_text: str, named: str, where: str
) -> None:
    """An update may be denied for the account or the image as well as for the service."""
    needed = WRITE_PERMISSIONS[ChangeKind.FIELDS, Kind.SERVICE]
    with pytest.raises(Denied) as raised, google_call("change", NAME, *needed):
        raise api.PermissionDenied(google_text)
    assert f"permission {named}" in str(raised.value)
    assert f"Grant it on {where}" in str(raised.value)


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (auth.DefaultCredentialsError("none found"), Denied),
        (auth.RefreshError("invalid_grant"), Denied),
        (auth.RefreshError("the token service is slow", retryable=True), Retry),
        (auth.TransportError("no route"), Retry),
        (api.RetryError("gave up", cause=None), Retry),
        (api.TooManyRequests("slow down"), Retry),
        (api.GoogleAPIError("odd"), Retry),
    ],
)
def test_errors_without_a_code_are_translated(
    error: Exception, error_class: type[IncidentError]
) -> None:
    """Lacking credentials are for a person; what comes from the network, time may heal."""
    assert type(translated_error(error)) is error_class


LOGIN = "Not logged in. Run: gcloud auth application-default login ("


@pytest.mark.parametrize(
    "error",
    [
        api.Unauthenticated("invalid credentials"),
        auth.DefaultCredentialsError("none found"),
        auth.RefreshError("invalid_grant"),
        api.ServiceUnavailable(
            "Getting metadata from plugin failed with error: ('invalid_grant: Bad Request', {})"
        ),
        api.RetryError(
            "Timeout of 15.0s exceeded",
            cause=api.ServiceUnavailable(
                "Getting metadata from plugin failed with error: Reauthentication is needed."
            ),
        ),
    ],
)
def test_a_person_without_a_login_learns_how_to_log_in(error: Exception) -> None:
    """Missing and rejected credentials give the command to run, and nothing about accounts."""
    found = translated_error(error)
    assert type(found) is Denied
    assert str(found).startswith(LOGIN)
    assert "service account" not in str(found)


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (api.Unauthenticated("invalid credentials"), Denied),
        (auth.DefaultCredentialsError("none found"), Denied),
        (auth.RefreshError("metadata server is slow"), Retry),
    ],
)
def test_the_function_is_advised_about_its_service_account(
    error: Exception, error_class: type[IncidentError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody logs in to a function; a slow metadata server is retried."""
    monkeypatch.setenv("K_SERVICE", "responder")
    found = translated_error(error)
    assert type(found) is error_class
    assert "application-default" not in str(found)
    assert ("service account that the responder runs as" in str(found)) is (error_class is Denied)


def test_a_call_that_timed_out_names_the_address() -> None:
    """The last attempt's error has the address that did not answer."""
    refused = api.ServiceUnavailable("failed to connect to all addresses; ipv4:127.0.0.1:1")
    found = translated_error(api.RetryError("Timeout of 15.0s exceeded", cause=refused))
    assert type(found) is Retry
    assert "Timeout of 15.0s exceeded" in str(found)
    assert "127.0.0.1:1" in str(found)


@pytest.mark.parametrize("google_text", ["", "  \n ", "x" * 5000, "two\nlines\tof it"])
def test_what_google_says_is_one_short_line(google_text: str) -> None:
    """However much it was, the message stays readable."""
    text = str(translated_error(api.InternalServerError(google_text)))
    assert len(text) < 500
    assert "\n" not in text
    assert "()" not in text


@pytest.mark.parametrize("error", [ValueError("ours"), KeyError("ours"), Retry("ours")])
def test_other_exceptions_pass_through_unchanged(error: Exception) -> None:
    """Only what Google's clients raise is translated."""
    with pytest.raises(type(error)) as raised, google_call("read", "x", GET):
        raise error
    assert raised.value is error


def test_a_successful_call_is_unchanged() -> None:
    """A call that succeeds passes through."""
    with suppress(ZeroDivisionError), google_call("read", "x", GET):
        answer = 42
    assert answer == 42
