"""What a finding costs does not depend on how many others there are; counted, not timed."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

from clients import connect
from incident.response.deliveries import DeliveryHandler
from tests.support.environment import policy_yaml, responder_environment
from tests.support.findings import findings_on_other_workloads, sample_notification
from tests.support.stores import CountingStore
from tests.support.worlds import world_around_all
from wiring import build_process

CAPS = "guards: {max_containments_per_hour: 100, max_per_project_per_hour: 100}\n"
#: Requests to the store for one containment, from the first read to the record of the log line.
MOST_STORE_REQUESTS = 50


async def test_each_of_many_findings_costs_the_same(tmp_path: Path) -> None:
    """The same calls to Google and the same requests to the store, for the first and the tenth."""
    findings = findings_on_other_workloads(sample_notification(), 10)
    world, policy = world_around_all(findings), policy_yaml(extra=CAPS)
    async with responder_environment(tmp_path, world=world, policy_text=policy) as env:
        clients = await connect(env.settings)
        store = CountingStore(clients.store)
        process = DeliveryHandler(replace(build_process(env.settings, clients), store=store))
        costs = []
        for finding in findings:
            store.requests.clear()
            before = len(env.emulator.calls)
            answer = await env.deliver(finding, process=process)
            assert answer.outcome.status == "contained"
            calls = Counter(call.method for call in env.emulator.calls[before:])
            del calls["/google.cloud.run.v2.Services/GetService"]  # polls until it is in effect
            costs.append((calls, store.requests.copy()))
        assert all(calls == costs[0][0] for calls, _ in costs)
        # A number of the hourly slots that another containment has taken costs one more.
        assert all(requests.total() <= MOST_STORE_REQUESTS for _, requests in costs)
        await clients.close()


async def test_findings_at_once_cost_no_more_store_requests(tmp_path: Path) -> None:
    """Whoever loses a number of the hourly slots to another does not read what the others have."""
    findings = findings_on_other_workloads(sample_notification(), 20)
    world, policy = world_around_all(findings), policy_yaml(extra=CAPS)
    async with responder_environment(tmp_path, world=world, policy_text=policy) as env:
        clients = await connect(env.settings)
        store = CountingStore(clients.store)
        process = DeliveryHandler(replace(build_process(env.settings, clients), store=store))
        answers = await asyncio.gather(*(env.deliver(each, process=process) for each in findings))
        assert {str(answer.outcome.status) for answer in answers} == {"contained"}
        assert store.requests.total() <= 1.3 * MOST_STORE_REQUESTS * len(findings)
        await clients.close()
