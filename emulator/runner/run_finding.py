"""Deliver a finding to the real function against the emulator."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import AsyncIterator

from emulator.runner import pubsub_emulator
from emulator.runner.function_process import FunctionProcess
from emulator.runner.renotifications import deliver_renotifications
from emulator.runner.run_request import ReportProgress, RunRequest
from emulator.runner.run_result import RunResult, in_delivery_order
from emulator.server.emulator import Emulator
from emulator.services.pubsub import push
from emulator.services.pubsub.push import Delivery

# The function looks hashes up at the emulated VirusTotal, which takes any key.
_VIRUSTOTAL_KEY_NAME, _FAKE_VIRUSTOTAL_KEY = "VIRUSTOTAL_API_KEY", "emulator-takes-any-key"


async def run_finding(request: RunRequest, report_progress: ReportProgress) -> RunResult:
    """Starts everything, delivers the message, ends everything.

    Args:
        request: What to do.
        report_progress: Called with each phase as it begins.

    Raises:
        FunctionFailed: The function did not start.
        PubSubFailed: Google's Pub/Sub emulator cannot be used.
    """
    via = "Google's Pub/Sub emulator and ours" if request.via == "pubsub" else "the emulator"
    report_progress(f"starting {via}")
    async with _pubsub_address(request) as pubsub_address, Emulator(request.world) as emulator:
        report_progress("starting the function")
        async with FunctionProcess(
            _function_environment(request, emulator.environment)
        ) as function:
            progress_text = functools.partial(_progress_text, emulator, function)
            report_progress(_delivery_text(request), progress_text)
            sent_at, deliveries = await _deliver_finding(request, pubsub_address, function.url)
            report_progress("waiting for the function's last words", progress_text)
            await function.wait_for_outcomes(len(deliveries))
            outcomes = in_delivery_order(function.logged_outcomes, deliveries)
            report_progress("delivering what our own writes notify of", progress_text)
            renotifications, notification_loop = await deliver_renotifications(
                emulator.notifications,
                function,
                functools.partial(_deliver_renotification, request, pubsub_address, function.url),
            )
            exited_early = not function.alive
            report_progress("ending the function", progress_text)
    return RunResult(
        logged_outcomes=outcomes,
        deliveries=deliveries,
        renotifications=renotifications,
        notification_loop=notification_loop,
        calls=tuple(emulator.calls),
        writes=tuple(emulator.writes),
        world=emulator.world.dump(),
        sent_at=sent_at,
        store=request.store,
        errors=function.errors,
        exited_early=exited_early,
        command=request.command,
        mode=request.mode,
    )


def _delivery_text(request: RunRequest) -> str:
    if request.via == "pubsub":
        return "delivering through Google's Pub/Sub emulator"
    times = f"{request.deliveries} times at once" if request.deliveries > 1 else "once"
    return f"delivering the message {times}"


def _progress_text(emulator: Emulator, function: FunctionProcess) -> str:
    """How far the function has got, as seen from here."""
    calls = emulator.calls
    last_method = f", the last one {calls[-1].method.rpartition('/')[2]}" if calls else ""
    return f"{len(calls)} calls so far{last_method}; {len(function.logged_outcomes)} answered"


@contextlib.asynccontextmanager
async def _pubsub_address(request: RunRequest) -> AsyncIterator[str]:
    """The address of Google's Pub/Sub emulator, empty where the run does not need it."""
    if request.via != "pubsub":
        yield ""
        return
    async with pubsub_emulator.pubsub_emulator() as address:
        yield address


async def _deliver_finding(
    request: RunRequest, pubsub_address: str, url: str
) -> tuple[float, tuple[Delivery, ...]]:
    """When the first delivery was sent, in seconds of `time.monotonic`, and all of them."""
    if pubsub_address:
        pushed = await pubsub_emulator.publish_and_collect(
            pubsub_address, request.data, url, request.deliveries
        )
        return pushed.first_at, pushed.deliveries
    body = push.push_body(request.data, request.now)
    sent_at = time.monotonic()
    return sent_at, await push.push_message(url, body, request.deliveries)


async def _deliver_renotification(
    request: RunRequest, pubsub_address: str, url: str, data: bytes, number: int
) -> tuple[Delivery, ...]:
    if pubsub_address:
        return (await pubsub_emulator.publish_and_collect(pubsub_address, data, url, 1)).deliveries
    body = push.push_body(data, request.now, f"renotification-{number + 1}")
    return await push.push_message(url, body, 1)


def _function_environment(request: RunRequest, environment: str) -> dict[str, str]:
    """The settings of the product for this run."""
    return {
        "RESPONDER_EMULATOR": environment,
        "RESPONDER_POLICY": str(request.policy),
        "RESPONDER_STORE": request.store.as_uri(),
        # The ceiling; how far the run goes is for the policy to say.
        "RESPONDER_MODE": "enforce",
        "RESPONDER_NOW": request.now.isoformat(),
        **_virustotal_environment(),
    }


def _virustotal_environment() -> dict[str, str]:
    """A key, unless somebody has set it to nothing, to see a run without."""
    return (
        {}
        if os.environ.get(_VIRUSTOTAL_KEY_NAME) == ""
        else {_VIRUSTOTAL_KEY_NAME: _FAKE_VIRUSTOTAL_KEY}
    )
