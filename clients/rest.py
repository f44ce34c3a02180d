"""Google's JSON APIs over HTTP, for the few calls that its gRPC clients here do not have."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import google.auth
from google.api_core.exceptions import ServiceUnavailable, from_http_response
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession

from clients.settings import Settings

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_TIMEOUT_S = 15
_OK = 200


def response_pages(
    host: str, path: str, settings: Settings, parameters: Mapping[str, str] | None = None
) -> Generator[Any]:
    """Every page of an answer; one that has no pages is one.

    Args:
        host: Scheme and host; with the emulator, its own address instead.
        path: What follows it.
        settings: Whether there is an emulator.
        parameters: What is asked for.

    Raises:
        GoogleAPICallError: As Google's clients raise it.
    """
    address, session = _session(host, settings)
    token = ""
    with session:
        while True:
            query = {**(parameters or {}), **({"pageToken": token} if token else {})}
            try:
                answer = session.get(f"{address}{path}", params=query, timeout=_TIMEOUT_S)
                page = answer.json() if answer.status_code == _OK else {}
            except (OSError, ValueError) as error:
                raise ServiceUnavailable(str(error)) from error  # type: ignore[no-untyped-call]
            if answer.status_code != _OK:
                raise from_http_response(answer)  # type: ignore[no-untyped-call]
            yield page
            token = str(page.get("nextPageToken", ""))
            if not token:
                return


def _session(host: str, settings: Settings) -> tuple[str, Any]:
    if settings.emulator:
        session: Any = AuthorizedSession(AnonymousCredentials())  # type: ignore[no-untyped-call]
        session.trust_env = False  # a proxy has no business before a loopback address
        return f"http://{settings.emulator.http}", session
    own, _ = google.auth.default(scopes=_SCOPES)
    return host, AuthorizedSession(own)  # type: ignore[no-untyped-call]
