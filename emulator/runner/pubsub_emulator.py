"""Deliver through Google's own Pub/Sub emulator.

What the other emulator of this package knows of Pub/Sub is publishing only, for the product's
own announcements; this is about the message that triggers the function.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from emulator.runner.child_process import ProcessGroup
from emulator.runner.push_recorder import PushRecorder
from emulator.services.loopback import LOOPBACK, NO_TLS, ReservedPort, is_listening
from emulator.services.pubsub.push import PUSH_TIMEOUT_S, Delivery

_START_TIMEOUT_S = 60.0
_REDELIVERY_TIMEOUT_S = 20.0
_POLL_S = 0.02
_ACK_DEADLINE_S = 600
_BACKOFF = "1s"
_PROJECT = "projects/emulator"
_INHERITED = ("PATH", "HOME", "LANG", "JAVA_HOME", "TMPDIR")


class PubSubFailed(Exception):  # noqa: N818 - named for what happened
    """Google's Pub/Sub emulator cannot be used. The text says why and what to do about it."""


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What came of one published message.

    Attributes:
        deliveries: Every push that arrived, in the order of answering.
        first_at: When the first one arrived, in seconds of `time.monotonic`.
    """

    deliveries: tuple[Delivery, ...]
    first_at: float


@contextlib.asynccontextmanager
async def pubsub_emulator() -> AsyncIterator[str]:
    """The address of a Pub/Sub emulator: `PUBSUB_EMULATOR_HOST`, or one started for this run.

    Raises:
        PubSubFailed: None is running, and none can be started.
    """
    if address := os.environ.get("PUBSUB_EMULATOR_HOST"):
        if address.rpartition(":")[0].strip("[]") not in {"localhost", "127.0.0.1", "::1"}:
            raise PubSubFailed(
                f"cannot use the Pub/Sub at PUBSUB_EMULATOR_HOST={address}: it is not on this "
                "machine, and the emulator speaks to loopback only; unset it, or name a local one"
            )
        yield address
        return
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        raise PubSubFailed(
            "cannot start Google's Pub/Sub emulator: gcloud is not on the PATH; install the Cloud "
            "SDK with its component pubsub-emulator, or set PUBSUB_EMULATOR_HOST, or leave out "
            "--via pubsub"
        )
    with tempfile.TemporaryDirectory(prefix="pubsub-emulator-") as folder:
        async with _start_pubsub_emulator(gcloud, Path(folder)) as address:
            yield address


@contextlib.asynccontextmanager
async def _start_pubsub_emulator(gcloud: str, folder: Path) -> AsyncIterator[str]:
    with ReservedPort() as port:
        command = (
            gcloud, "beta", "emulators", "pubsub", "start", "--quiet", "--project=emulator",
            f"--host-port={LOOPBACK}:{port}", f"--data-dir={folder}",
        )  # fmt: skip
        # A configuration of its own: whatever account gcloud is logged in with stays out of it.
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment["CLOUDSDK_CONFIG"] = str(folder / "gcloud")
        async with ProcessGroup(command, environment, folder) as group:
            problem = await _start_problem(group, port)
            if problem:
                await group.end()
                words = "\n".join(group.tail)
                remedy = "try the command `gcloud beta emulators pubsub start` by itself"
                text = f"cannot start Google's Pub/Sub emulator: {problem}; {remedy}\n{words}"
                raise PubSubFailed(text)
            yield f"{LOOPBACK}:{port}"


async def _start_problem(group: ProcessGroup, port: int) -> str:
    """Waits until the emulator listens; empty then, otherwise why it does not."""
    try:
        async with asyncio.timeout(_START_TIMEOUT_S):
            while not await is_listening(LOOPBACK, port):
                if group.exit_code is not None:
                    return f"gcloud ended with status {group.exit_code}"
    except TimeoutError:
        return f"it did not listen within {_START_TIMEOUT_S:g} s"
    return ""


async def publish_and_collect(
    address: str, data: bytes, url: str, subscriptions: int
) -> PublishResult:
    """Publishes a message once, and lets every subscription push it to the function.

    Several subscriptions of one topic deliver the same message id at once; what is answered
    with a retry comes again, for a bounded time.

    Args:
        address: Of the Pub/Sub emulator, `host:port`.
        data: The message's data, verbatim.
        url: Where the function listens.
        subscriptions: How many deliveries are wanted at once.

    Raises:
        PubSubFailed: The emulator cannot be reached, refuses, or delivers nothing.
    """
    name = f"findings-{secrets.token_hex(4)}"
    topic = f"{_PROJECT}/topics/{name}"
    subscribed = [f"{_PROJECT}/subscriptions/{name}-{i}" for i in range(subscriptions)]
    base = f"http://{address}/v1/"
    with PushRecorder(url) as recorder:
        async with httpx.AsyncClient(
            base_url=base, timeout=30, trust_env=False, verify=NO_TLS
        ) as api:
            await _call(api, "PUT", topic, {})
            for subscription in subscribed:
                await _call(api, "PUT", subscription, _subscription(topic, recorder.url))
            message = {"data": base64.b64encode(data).decode()}
            await _call(api, "POST", f"{topic}:publish", {"messages": [message]})
            try:
                await _wait_for_deliveries(recorder, len(subscribed))
            finally:
                for resource in (*subscribed, topic):
                    with contextlib.suppress(PubSubFailed):
                        await _call(api, "DELETE", resource)
    if recorder.first_at is None:
        raise PubSubFailed(
            f"no push arrived from the Pub/Sub emulator at {address}; it must be able to reach "
            f"this machine's loopback address: run it here, not in a container"
        )
    return PublishResult(tuple(recorder.deliveries), recorder.first_at)


def _subscription(topic: str, endpoint: str) -> dict[str, object]:
    return {
        "topic": topic,
        "ackDeadlineSeconds": _ACK_DEADLINE_S,
        "pushConfig": {"pushEndpoint": endpoint},
        "retryPolicy": {"minimumBackoff": _BACKOFF, "maximumBackoff": _BACKOFF},
    }


async def _wait_for_deliveries(recorder: PushRecorder, count: int) -> None:
    """Waits until every subscription's message was acknowledged or failed, or time is up."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_TIMEOUT_S):
            await _wait_until(lambda: recorder.first_at is not None)
        async with asyncio.timeout(PUSH_TIMEOUT_S):
            await _wait_until(lambda: len(recorder.last_deliveries()) == count)
        async with asyncio.timeout(_REDELIVERY_TIMEOUT_S):
            await _wait_until(
                lambda: not any(last.asks_retry for last in recorder.last_deliveries().values())
            )
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PUSH_TIMEOUT_S):
            await _wait_until(lambda: not recorder.in_flight)


async def _wait_until(done: Callable[[], bool]) -> None:
    while not done():  # noqa: ASYNC110 - what it waits for, threads set
        await asyncio.sleep(_POLL_S)


async def _call(
    api: httpx.AsyncClient, method: str, path: str, body: dict[str, object] | None = None
) -> None:
    try:
        answer = await api.request(method, path, json=body)
        answer.raise_for_status()
    except httpx.HTTPStatusError as error:
        text = f"{error.response.status_code} {error.response.text[:300]}"
        raise PubSubFailed(f"cannot {method} {path} at the Pub/Sub emulator: {text}") from error
    except httpx.HTTPError as error:
        where = f"{api.base_url.host}:{api.base_url.port}"
        reason = f"{error or type(error).__name__}; is it running at {where}?"
        raise PubSubFailed(f"cannot {method} {path} at the Pub/Sub emulator: {reason}") from error
