"""The Cloud Run function: a Pub/Sub message in, acknowledged or to be retried out.

Only wires: settings to clients, clients to the incident, its answer to an HTTP status. The
only module that knows functions-framework.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import sys
import threading
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, TypeVar

import flask
import functions_framework
from cloudevents.http import CloudEvent
from werkzeug.exceptions import HTTPException, MethodNotAllowed, ServiceUnavailable

from clients import Settings, SettingsError, read_settings
from incident.model import GiveUp, Retry
from incident.patrol import log as patrol_log
from incident.response import log
from incident.response.context import Answer, Say
from incident.response.deliveries import Inbox, Unfinished
from incident.response.trace import Trace, trace_of
from wiring import Desk, open_desk

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
        reason = "the event has no Pub/Sub message data"
        _answer(lambda inbox, _: inbox.refuse(_everything(), reason))
    else:
        _answer(lambda inbox, say: inbox.receive(data, say), _published(event.data))


@functions_framework.http
def patrol(request: flask.Request) -> str:
    """Go one round over what is held; deployed as a function of its own, called by a schedule.

    What is posted does not matter, so it is not parsed: as an event, a message that has
    attributes only would be refused before it came here. Rounds that overlap do no harm.
    Returning acknowledges it, also where a round did not get all around: the next one goes on.
    """
    flask.g.reached_us = True
    if request.method != "POST":
        raise MethodNotAllowed(["POST"])
    try:
        found = _PROCESS.run(lambda desk: desk.patrol.go())
    except (Retry, GiveUp) as error:
        log.failure("the patrol could not go its round; it is retried", error, _trace())
        raise ServiceUnavailable from error
    patrol_log.patrolled(found, _trace())
    return "OK"


@functions_framework.errorhandler(Exception)  # type: ignore[untyped-decorator]
def refuse(error: Exception) -> Any:
    """Take over what the framework rejects before our function runs.

    A body that it cannot read would otherwise be refused, and so be delivered again for ever.
    """
    if isinstance(error, ServiceUnavailable):
        return error
    if flask.g.get("reached_us") and not isinstance(error, MethodNotAllowed):
        return _fault(error)
    if isinstance(error, HTTPException) and error.code not in (400, 415):
        return error
    reason = f"the request is not a Pub/Sub push or CloudEvent: {type(error).__name__}"
    try:
        _answer(lambda inbox, _: inbox.refuse(_everything(), reason))
    except ServiceUnavailable as unavailable:
        return unavailable
    except Exception as fault:  # noqa: BLE001 - whatever it is, the delivery must come again
        return _fault(fault)
    return "OK"


def _fault(error: Exception) -> ServiceUnavailable:
    log.failure("the responder failed; the delivery is retried", error, _trace())
    return ServiceUnavailable()


def _trace() -> Trace | None:
    headers = flask.request.headers
    older = headers.get("X-Cloud-Trace-Context", "")
    return trace_of(headers.get("traceparent", ""), older, SETTINGS.project)


def _answer(
    work: Callable[[Inbox, Say], Coroutine[Any, Any, Answer]], published: datetime | None = None
) -> None:
    """Hand work to the loop, wait for it, and log what it came to, in one line with an outcome.

    An outcome that this delivery puts on record is logged right then, from the loop; its seal
    follows in a line of its own.
    """
    trace, said = _trace(), list[Answer]()

    def say(answer: Answer) -> None:
        log.answered(answer, trace, published)
        said.append(answer)

    try:
        answer = _PROCESS.run(lambda desk: work(desk.inbox, say))
    except Unfinished as error:
        log.retried(error, trace)
        raise ServiceUnavailable from error
    if said:
        log.sealed(answer, trace)
    else:
        log.answered(answer, trace, published)


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


def _published(data: object) -> datetime | None:
    """When Pub/Sub took the message, the same in every delivery of it; None if it does not say."""
    message = data.get("message") if isinstance(data, dict) else None
    told = message.get("publishTime") if isinstance(message, dict) else None
    try:
        time = datetime.fromisoformat(str(told))
    except ValueError:
        return None
    return time if time.tzinfo else None


def _everything() -> bytes:
    return flask.request.get_data()


class _Process:
    """One long-lived asyncio loop, made at the first event: gunicorn forks before that."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._desk: Desk | None = None

    def run(self, work: Callable[[Desk], Coroutine[Any, Any, T]]) -> T:
        """Run work on the loop and wait for it."""
        with self._lock:
            if self._loop is None or self._desk is None:
                self._loop, self._desk = self._start()
        return asyncio.run_coroutine_threadsafe(work(self._desk), self._loop).result()

    def _start(self) -> tuple[asyncio.AbstractEventLoop, Desk]:
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, name="incidents", daemon=True).start()
        try:
            return loop, asyncio.run_coroutine_threadsafe(open_desk(self._settings), loop).result()
        except BaseException:
            loop.call_soon_threadsafe(loop.stop)
            raise


_PROCESS = _Process(SETTINGS)
