"""Cloud Run function: entry points for Pub/Sub deliveries and the scheduled patrol.

Only wires: settings to clients, a delivery to the incident, its result to an HTTP status. The
only module that imports functions-framework.

What a start waits for is the framework, the settings and the clients of the services that a
containing write needs; a deployment in which one of these is broken fails. All else is imported in
the background as soon as the port listens, or by the first event if that comes before.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import flask
import functions_framework
from cloudevents.http import CloudEvent
from werkzeug.exceptions import HTTPException, MethodNotAllowed, ServiceUnavailable

from clients import Settings, SettingsError, read_settings
from incident.model import GiveUp, Retry

if TYPE_CHECKING:
    from incident.response.deliveries import DeliveryHandler
    from incident.response.log import Trace
    from incident.response.response import Response
    from wiring import RunningProcess

T = TypeVar("T")
_M_ARENA_MAX = -8  # of malloc.h

# Read when the process starts, so that a deployment with a wrong setting fails.
try:
    SETTINGS = read_settings()
except SettingsError as _error:
    sys.exit(str(_error))


@functions_framework.cloud_event
def respond(event: CloudEvent) -> None:
    """Handle one Pub/Sub message, from a push subscription or Eventarc.

    Returning acknowledges the message; after a 5xx status Pub/Sub delivers it again.
    """
    flask.g.function_reached = True
    data = _message_data(event.data)
    if data is None:
        reason = "the event has no Pub/Sub message data"
        _handle(lambda handler: handler.quarantine(_request_body(), reason))
    else:
        _handle(lambda handler: handler.receive(data), _publish_time(event.data))


@functions_framework.http
def patrol(request: flask.Request) -> str:
    """Run one round of the patrol; deployed as a function of its own, called by a schedule.

    An HTTP function, whose body is not parsed: as an event function it would reject a message
    that has attributes only. Rounds may overlap. An incomplete round is acknowledged too; the
    next one continues.
    """
    from incident.patrol import log as patrol_log

    flask.g.function_reached = True
    if request.method != "POST":
        raise MethodNotAllowed(["POST"])
    try:
        patrol_round = _LOOP_THREAD.run(lambda process: process.patrol().run_round())
    except (Retry, GiveUp) as error:
        _log_internal_error("Patrol failed; it will be retried", error)
        raise ServiceUnavailable from error
    patrol_log.log_round(patrol_round, _trace())
    _LOOP_THREAD.run(lambda process: process.patrol().record_logged(patrol_round))
    return "OK"


@functions_framework.errorhandler(Exception)  # type: ignore[untyped-decorator]
def handle_error(error: Exception) -> Any:
    """Quarantine what the framework rejects before the function runs.

    Otherwise a body that it cannot parse would be rejected and redelivered forever.
    """
    if isinstance(error, ServiceUnavailable):
        return error
    if flask.g.get("function_reached") and not isinstance(error, MethodNotAllowed):
        return _internal_error(error)
    if isinstance(error, HTTPException) and error.code not in (400, 415):
        return error
    reason = f"the request is not a Pub/Sub push or CloudEvent: {type(error).__name__}"
    try:
        _handle(lambda handler: handler.quarantine(_request_body(), reason))
    except ServiceUnavailable as unavailable:
        return unavailable
    except Exception as fault:  # noqa: BLE001 - whatever it is, the message must be redelivered
        return _internal_error(fault)
    return "OK"


def _internal_error(error: Exception) -> ServiceUnavailable:
    _log_internal_error("Internal error; Pub/Sub will redeliver the message", error)
    return ServiceUnavailable()


def _log_internal_error(text: str, error: Exception) -> None:
    from incident.response import log

    log.internal_error(text, error, _trace())


def _trace() -> Trace | None:
    from incident.response.log import parse_trace

    headers = flask.request.headers
    older = headers.get("X-Cloud-Trace-Context", "")
    return parse_trace(headers.get("traceparent", ""), older, SETTINGS.project)


def _handle(
    work: Callable[[DeliveryHandler], Coroutine[Any, Any, Response]],
    published: datetime | None = None,
) -> None:
    """Hand work to the loop, wait for it, log its result in one line, and record that."""
    from incident.response import log
    from incident.response.deliveries import RetryDelivery

    trace = _trace()
    try:
        result = _LOOP_THREAD.run(lambda process: work(process.delivery_handler))
    except RetryDelivery as error:
        log.delivery_retried(error, trace)
        raise ServiceUnavailable from error
    log.delivery_answered(result, trace, published)
    _LOOP_THREAD.run(lambda process: process.delivery_handler.record_logged(result))


def _message_data(data: object) -> bytes | None:
    """The message's bytes; None if the event has none."""
    message = data.get("message") if isinstance(data, dict) else None
    encoded = message.get("data") if isinstance(message, dict) else None
    if not isinstance(encoded, str):
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None


def _publish_time(data: object) -> datetime | None:
    """When Pub/Sub received the message, the same in every delivery; None if not given."""
    message = data.get("message") if isinstance(data, dict) else None
    text = message.get("publishTime") if isinstance(message, dict) else None
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time if time.tzinfo else None


def _request_body() -> bytes:
    return flask.request.get_data()


class _LoopThread:
    """One long-lived asyncio loop, created at the first event, after gunicorn has forked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process: RunningProcess | None = None

    def run(self, work: Callable[[RunningProcess], Coroutine[Any, Any, T]]) -> T:
        """Run work on the loop and wait for it."""
        with self._lock:
            if self._loop is None or self._process is None:
                self._loop, self._process = self._start()
        return asyncio.run_coroutine_threadsafe(work(self._process), self._loop).result()

    def _start(self) -> tuple[asyncio.AbstractEventLoop, RunningProcess]:
        from wiring import open_process

        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, name="incidents", daemon=True).start()
        try:
            return loop, asyncio.run_coroutine_threadsafe(
                open_process(self._settings), loop
            ).result()
        except BaseException:
            loop.call_soon_threadsafe(loop.stop)
            raise


_LOOP_THREAD = _LoopThread(SETTINGS)


def _use_one_heap() -> None:
    """Have all threads share one heap, where the C library is glibc.

    It gives each of the first dozens of threads a heap of its own, which keeps what they free: some
    20 MB in a burst. https://sourceware.org/glibc/manual/latest/html_node/Malloc-Tunable-Parameters.html
    """
    import ctypes

    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_ARENA_MAX, 1)


def _import_in_background() -> None:
    """Import and compile what the start has left out; in a worker, which gunicorn forks."""
    _use_one_heap()

    def import_and_compile() -> None:
        from wiring import warm_up

        warm_up(SETTINGS)

    threading.Thread(target=import_and_compile, name="warm-up", daemon=True).start()


os.register_at_fork(after_in_child=_import_in_background)
