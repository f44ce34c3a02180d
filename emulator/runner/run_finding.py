"""Carries an order out: the emulator, the real function, and the message between them."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import AsyncIterator

from emulator.runner import pubsub_emulator
from emulator.runner.function_process import Function
from emulator.runner.renotifications import notify_again
from emulator.runner.run_request import Order, Say
from emulator.runner.run_result import Result, aligned
from emulator.server.emulator import Emulator
from emulator.services.pubsub import push
from emulator.services.pubsub.push import Delivery

# The function looks hashes up at the emulated VirusTotal, which takes any key.
_KEY, _FAKE_KEY = "VIRUSTOTAL_API_KEY", "emulator-takes-any-key"


async def carry_out(order: Order, say: Say) -> Result:
    """Starts everything, delivers the message, ends everything.

    Args:
        order: What to do.
        say: Is told of each phase as it begins.

    Raises:
        FunctionFailed: The function did not start.
        PubSubFailed: Google's Pub/Sub emulator cannot be used.
    """
    via = "Google's Pub/Sub emulator and ours" if order.via == "pubsub" else "the emulator"
    say(f"starting {via}")
    async with _pubsub(order) as pubsub, Emulator(order.world) as emulator:
        say("starting the function")
        async with Function(_settings(order, emulator.environment)) as function:
            seen = functools.partial(_seen, emulator, function)
            say(_delivering(order), seen)
            sent_at, deliveries = await _deliver(order, pubsub, function.url)
            say("waiting for the function's last words", seen)
            await function.told(len(deliveries))
            said = aligned(function.said, deliveries)
            say("delivering what our own writes notify of", seen)
            notified, endless = await notify_again(
                emulator.notifications,
                function,
                functools.partial(_push_again, order, pubsub, function.url),
            )
            died = not function.alive
            say("ending the function", seen)
    return Result(
        said=said,
        deliveries=deliveries,
        renotifications=notified,
        endless=endless,
        calls=tuple(emulator.calls),
        writes=tuple(emulator.writes),
        world=emulator.world.dump(),
        sent_at=sent_at,
        store=order.store,
        errors=function.errors,
        died=died,
        command=order.command,
        mode=order.mode,
    )


def _delivering(order: Order) -> str:
    if order.via == "pubsub":
        return "delivering through Google's Pub/Sub emulator"
    times = f"{order.deliveries} times at once" if order.deliveries > 1 else "once"
    return f"delivering the message {times}"


def _seen(emulator: Emulator, function: Function) -> str:
    """How far the function has got, as seen from here."""
    calls = emulator.calls
    last = f", the last one {calls[-1].method.rpartition('/')[2]}" if calls else ""
    return f"{len(calls)} calls so far{last}; {len(function.said)} answered"


@contextlib.asynccontextmanager
async def _pubsub(order: Order) -> AsyncIterator[str]:
    """The address of Google's Pub/Sub emulator, empty where the run does not need it."""
    if order.via != "pubsub":
        yield ""
        return
    async with pubsub_emulator.running() as address:
        yield address


async def _deliver(order: Order, pubsub: str, url: str) -> tuple[float, tuple[Delivery, ...]]:
    """When the first delivery was sent, in seconds of `time.monotonic`, and all of them."""
    if pubsub:
        pushed = await pubsub_emulator.publish(pubsub, order.data, url, order.deliveries)
        return pushed.first_at, pushed.deliveries
    body = push.push_of(order.data, order.now)
    sent_at = time.monotonic()
    return sent_at, await push.push(url, body, order.deliveries)


async def _push_again(
    order: Order, pubsub: str, url: str, data: bytes, number: int
) -> tuple[Delivery, ...]:
    if pubsub:
        return (await pubsub_emulator.publish(pubsub, data, url, 1)).deliveries
    body = push.push_of(data, order.now, f"renotification-{number + 1}")
    return await push.push(url, body, 1)


def _settings(order: Order, environment: str) -> dict[str, str]:
    """The settings of the product for this run."""
    return {
        "RESPONDER_EMULATOR": environment,
        "RESPONDER_POLICY": str(order.policy),
        "RESPONDER_STORE": order.store.as_uri(),
        # The ceiling; how far the run goes is for the policy to say.
        "RESPONDER_MODE": "enforce",
        "RESPONDER_NOW": order.now.isoformat(),
        **_virustotal(),
    }


def _virustotal() -> dict[str, str]:
    """A key, unless somebody has set it to nothing, to see a run without."""
    return {} if os.environ.get(_KEY) == "" else {_KEY: _FAKE_KEY}
