"""An outcome is logged at least once: after a crash, by the next delivery or patrol run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from clients import connect
from clients.store import Store
from incident.patrol import log as patrol_log
from incident.response import log
from incident.response.deliveries import DeliveryHandler
from incident.response.duplicates import LoggedCases
from tests.support.environment import (
    JsonDict,
    ResponderEnvironment,
    captured_output,
    deliver_and_log,
    responder_environment,
)
from tests.support.findings import encode, sample_notification
from tests.support.patrol import ProcessKilled, run_patrol
from tests.support.stores import CountingStore, StoreKilledAt
from tests.support.worlds import world_around as around
from wiring import build_process

#: Refused for good: an ERROR that must not be lost.
FAILING: JsonDict = around(
    sample_notification(),
    faults=[{"method": "UpdateService", "code": "PERMISSION_DENIED", "times": 9}],
)


def logged_outcomes(printed: str) -> list[tuple[str, str]]:
    """Outcomes with their severities, as the log has them."""
    lines = [json.loads(line) for line in printed.splitlines()]
    return [(line["severity"], line["outcome"]["status"]) for line in lines if "outcome" in line]


async def deliver_until_killed(env: ResponderEnvironment, name: str, when: str) -> str:
    """One delivery to a process that is killed at an object; what it logged until then."""
    clients = await connect(env.settings)
    store = StoreKilledAt(clients.store, name, when)
    process = replace(build_process(env.settings, clients), store=store)
    handler = DeliveryHandler(process)

    async def receive_and_log() -> None:
        result = await handler.receive(encode(env.notification))
        log.delivery_answered(result, None)
        await handler.record_logged(result)

    with captured_output() as output, pytest.raises(ProcessKilled):
        await receive_and_log()
    await clients.close()
    return output.getvalue()


async def test_an_unlogged_outcome_is_logged_by_the_redelivery(tmp_path: Path) -> None:
    """As loud as it would have been, and once: the delivery after that is a duplicate."""
    async with responder_environment(tmp_path, world=FAILING) as env:
        assert logged_outcomes(await deliver_until_killed(env, "/1000-done.json", "after")) == []
        later = env.later(60)
        _, printed = await deliver_and_log(later)
        assert logged_outcomes(printed) == [("ERROR", "failed")]
        _, printed = await deliver_and_log(later)
        assert logged_outcomes(printed) == [("INFO", "duplicate")]


async def test_an_unlogged_outcome_is_logged_by_the_patrol(tmp_path: Path) -> None:
    """Where no delivery comes any more; once as well."""
    async with responder_environment(tmp_path, world=FAILING) as env:
        await deliver_until_killed(env, "/1000-done.json", "after")
        with captured_output() as output:
            for later in (900, 1200):
                patrol_log.log_round(await run_patrol(env.later(later)), None)
        assert logged_outcomes(output.getvalue()) == [("ERROR", "failed")]


@pytest.mark.parametrize(
    ("step", "when", "logged_by_then", "logged_again"),
    [
        ("/1000-done.json", "after", False, True),
        ("/manifest.json", "before", False, True),
        ("/manifest.json", "after", False, True),
        ("/1000-logged.json", "before", True, True),
        ("/1000-logged.json", "after", True, False),
    ],
)
async def test_an_outcome_without_its_record_is_logged_again(
    tmp_path: Path,
    step: str,
    when: str,
    logged_by_then: bool,  # noqa: FBT001
    logged_again: bool,  # noqa: FBT001
) -> None:
    """It is logged twice where the process was killed right after the line, and never not at all.

    Whether anything is in a manifest makes no difference.
    """
    failed, duplicate = [("ERROR", "failed")], [("INFO", "duplicate")]
    async with responder_environment(tmp_path, world=FAILING) as env:
        printed = await deliver_until_killed(env, step, when)
        assert logged_outcomes(printed) == (failed if logged_by_then else [])
        later = env.later(60)
        for path in env.stored_objects("incidents/*/manifest*.json"):
            (tmp_path / "store" / path).unlink()
        _, printed = await deliver_and_log(later)
        assert logged_outcomes(printed) == (failed if logged_again else duplicate)
        _, printed = await deliver_and_log(later)
        assert logged_outcomes(printed) == duplicate


class LateStore(Store):
    """A store in which an object of another process appears at the third list of a case file."""

    def __init__(self, store: Store, late: Path, target: Path) -> None:
        super().__init__(store._store, store.url)  # noqa: SLF001 - the same store
        self._late, self._target, self._listed = late, target, 0

    async def list(self, prefix: str) -> tuple[str, ...]:
        """What is there; of the case file, after the object was not found."""
        if prefix.startswith("incidents/"):
            self._listed += 1
            if self._listed > 2 and self._late.exists():
                self._late.rename(self._target)
        return await super().list(prefix)


async def test_a_redelivery_waits_for_the_run_that_is_about_to_log(tmp_path: Path) -> None:
    """A delivery that comes between the log line and its record does not log it as well."""
    async with responder_environment(tmp_path) as env:
        folder = str((await env.deliver()).case_file)
        target, late = tmp_path / "store" / folder / "1000-logged.json", tmp_path / "late"
        target.rename(late)
        clients = await connect(env.settings)
        process = replace(
            build_process(env.settings, clients), store=LateStore(clients.store, late, target)
        )
        handler = DeliveryHandler(process)
        result = await handler.receive(encode(env.notification))
        await clients.close()
        assert target.exists()
        assert (result.outcome.status, result.logged_record) == ("duplicate", None)


@pytest.mark.parametrize(("same_process", "reads"), [(True, 1), (False, 2)])
async def test_an_event_of_a_done_incident_asks_google_nothing(
    tmp_path: Path, *, same_process: bool, reads: int
) -> None:
    """Neither our own marks coming back nor the message itself once more; the store answers."""
    async with responder_environment(tmp_path) as env:
        clients = await connect(env.settings)
        store = CountingStore(clients.store)
        process = replace(build_process(env.settings, clients), store=store)
        counted = DeliveryHandler(process)
        first = counted if same_process else await env.start_process()
        assert (await env.deliver(process=first)).outcome.status == "contained"
        calls = len(env.emulator.calls)
        echoes = [json.loads(message) for message in env.emulator.notifications.messages]
        assert len(echoes) == 2
        for message in (*echoes, env.notification):
            store.requests.clear()
            answer = await env.deliver(message, process=counted)
            assert answer.outcome.status == "duplicate"
            assert store.requests == {"read": reads}
        assert len(env.emulator.calls) == calls
        await clients.close()


def test_few_case_files_are_remembered_as_logged() -> None:
    """Memory is bounded; the oldest is asked of the store again."""
    logged = LoggedCases(most=2)
    for folder in ("a", "b", "c"):
        logged.add(folder)
    assert [folder in logged for folder in ("a", "b", "c")] == [False, True, True]
