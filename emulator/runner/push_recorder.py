"""Reverse proxy on loopback that records pushes and their answers."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import httpx

from emulator.services.loopback import LOOPBACK, NO_TLS
from emulator.services.pubsub.push import PUSH_TIMEOUT_S, Delivery

_BAD_GATEWAY = 502


class PushRecorder:
    """A context manager that stands between Pub/Sub and the function.

    Args:
        target: URL of the function.

    Attributes:
        deliveries: Every push that was answered, in that order.
        first_at: When the first push arrived, in seconds of `time.monotonic`; None before that.
        in_flight: How many pushes are not answered yet.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._last_deliveries: dict[str, Delivery] = {}
        self.deliveries: list[Delivery] = []
        self.first_at: float | None = None
        self.in_flight = 0

    @property
    def url(self) -> str:
        """Where pushes are to go."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}/"

    def last_deliveries(self) -> dict[str, Delivery]:
        """The last answer that each subscription got, by the subscription's name."""
        with self._lock:
            return dict(self._last_deliveries)

    def __enter__(self) -> Self:
        self._client = httpx.Client(timeout=PUSH_TIMEOUT_S, trust_env=False, verify=NO_TLS)
        self._server = _Server((LOOPBACK, 0), _handler_class(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._client.close()

    def forward(self, body: bytes) -> int:
        """Sends a push to the function, and returns the status for Pub/Sub."""
        with self._lock:
            self.first_at = self.first_at or time.monotonic()
            self.in_flight += 1
        delivery = Delivery(None)
        try:
            headers = {"Content-Type": "application/json"}
            answer = self._client.post(self._target, content=body, headers=headers)
            delivery = Delivery(answer.status_code)
        except httpx.HTTPError:
            pass
        finally:
            with self._lock:
                self.in_flight -= 1
                self.deliveries.append(delivery)
                self._last_deliveries[_subscription(body)] = delivery
        return delivery.http_status or _BAD_GATEWAY


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """Says nothing: a push that was cut off shows as one without an answer."""


def _handler_class(recorder: PushRecorder) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            status = recorder.forward(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing: deliveries are shown at the end."""

    return Handler


def _subscription(body: bytes) -> str:
    return str(json.loads(body)["subscription"])
