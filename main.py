"""The Cloud Run function: a Pub/Sub message in, acknowledged or to be retried out.

Only wires: settings to clients, clients to the incident, its answer to an HTTP status. The
only module that knows functions-framework.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
import sys
import threading
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import flask
import functions_framework
from cloudevents.http import CloudEvent
from werkzeug.exceptions import HTTPException, ServiceUnavailable

from clients import Settings, SettingsError, connect, read_settings
from incident import log
from incident.guards import Ourselves
from incident.inbox import Inbox, Unfinished
from incident.model import Mode
from incident.standing import Answer, Outside, Standing
from responders import route

T = TypeVar("T")

# Read when the process starts: a wrong setting stops the deployment that brings it.
try:
    SETTINGS = read_settings()
except SettingsError as _error:
    sys.exit(str(_error))


@functions_framework.cloud_event
def respond(event: CloudEvent) -> None:
    """Answer one Pub/Sub message, pushed or through Eventarc.

    Returning acknowledges the message; a 5xx status has Pub/Sub deliver it again.
    """
    flask.g.reached_us = True
    data = _message(event.data)
    if data is None:
        _answer(lambda inbox: inbox.refuse(_everything(), "the event has no Pub/Sub message data"))
    else:
        _answer(lambda inbox: inbox.receive(data))


@functions_framework.errorhandler(Exception)  # type: ignore[untyped-decorator]
def refuse(error: Exception) -> Any:
    """Take over what the framework rejects before our function runs.

    A body that it cannot read would otherwise be refused, and so be delivered again for ever.
    """
    if isinstance(error, ServiceUnavailable):
        return error
    if flask.g.get("reached_us"):
        return _fault(error)
    if isinstance(error, HTTPException) and error.code not in (400, 415):
        return error
    reason = f"the request is not a Pub/Sub push or CloudEvent: {type(error).__name__}"
    try:
        _answer(lambda inbox: inbox.refuse(_everything(), reason))
    except ServiceUnavailable as unavailable:
        return unavailable
    except Exception as fault:  # noqa: BLE001 - whatever it is, the delivery must come again
        return _fault(fault)
    return "OK"


def _fault(error: Exception) -> ServiceUnavailable:
    log.failure("the responder failed; the delivery is retried", error, _trace())
    return ServiceUnavailable()


def _trace() -> str:
    return str(flask.request.headers.get("traceparent", ""))


def _answer(work: Callable[[Inbox], Coroutine[Any, Any, Answer]]) -> None:
    """Hand work to the loop, wait for it, and log what it came to, in one line."""
    try:
        answer = _PROCESS.run(work)
    except Unfinished as error:
        log.retried(error, _trace())
        raise ServiceUnavailable from error
    log.answered(answer, _trace())


def _message(data: object) -> bytes | None:
    """The message's bytes; None when there are none to be found."""
    message = data.get("message") if isinstance(data, dict) else None
    encoded = message.get("data") if isinstance(message, dict) else None
    if not isinstance(encoded, str):
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None


def _everything() -> bytes:
    return flask.request.get_data()


class _Process:
    """One long-lived asyncio loop, made at the first event: gunicorn forks before that."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inbox: Inbox | None = None

    def run(self, work: Callable[[Inbox], Coroutine[Any, Any, T]]) -> T:
        """Run work on the loop and wait for it."""
        with self._lock:
            if self._loop is None or self._inbox is None:
                self._loop, self._inbox = self._start()
        return asyncio.run_coroutine_threadsafe(work(self._inbox), self._loop).result()

    def _start(self) -> tuple[asyncio.AbstractEventLoop, Inbox]:
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, name="incidents", daemon=True).start()
        try:
            return loop, asyncio.run_coroutine_threadsafe(open_inbox(self._settings), loop).result()
        except BaseException:
            loop.call_soon_threadsafe(loop.stop)
            raise


async def open_inbox(settings: Settings) -> Inbox:
    """Connect to the outside and take messages; on the loop that will do the work."""
    clients = await connect(settings)
    outside = Outside(
        run=clients.run,
        security_center=clients.security_center,
        logging=clients.logging,
        store=clients.store,
        policy=clients.policy,
        topic=clients.topic,
        virustotal=clients.virustotal,
    )
    return Inbox(_standing(settings), outside)


def _standing(settings: Settings) -> Standing:
    ceiling, reason = _ceiling(settings)
    key = settings.redaction_key
    return Standing(
        route=route,
        clock=_clock(settings),
        ceiling=ceiling,
        ceiling_reason=reason,
        ourselves=Ourselves(settings.k_service, settings.project),
        store_url=settings.store,
        redaction_key=key.get_secret_value().encode() if key else secrets.token_bytes(32),
        verify_timeout=settings.verify_timeout,
        peer_wait=settings.peer_wait,
    )


def _ceiling(settings: Settings) -> tuple[Mode, str]:
    if not settings.store_lasts:
        text = (
            f"the store {settings.store} is lost with this instance, which forbids every mode"
            " above dry-run: set RESPONDER_STORE to a gs:// URL"
        )
        return Mode.DRY_RUN, text
    return settings.mode, f"RESPONDER_MODE allows no more than {settings.mode.value}"


def _clock(settings: Settings) -> Callable[[], datetime]:
    """The time; with the emulator, from the time that it wants it to be at the first event."""
    ahead = settings.now - datetime.now(UTC) if settings.now else timedelta(0)
    return lambda: datetime.now(UTC) + ahead


_PROCESS = _Process(SETTINGS)
