"""What Security Command Center notifies of again: findings that somebody wrote to."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import securitycenter_v2
from google.cloud.securitycenter_v2.types import ExternalSystem, SecurityMarks

from emulator.runner.function_process import FunctionProcess, LoggedOutcome
from emulator.runner.renotifications import deliver_renotifications
from emulator.services.pubsub.push import Delivery
from emulator.services.security_center.notifications import Notifications, Subscription
from emulator.world.document.world_parts import FindingEntry
from tests.support.chat_webhook import ChatRoom, chat_room
from tests.support.constants import PROJECT_ID, PROJECT_NUMBER
from tests.support.google_clients import GoogleClients, google_clients, world_with_services

TAIL = "sources/77/locations/eu/findings/f0"
NAME = f"organizations/123456789012/{TAIL}"
ENTRY: dict[str, Any] = {
    "finding": {
        "name": NAME,
        "canonicalName": f"projects/{PROJECT_NUMBER}/{TAIL}",
        "category": "C",
        "eventTime": "2026-10-02T08:14:07.318Z",
        "state": "ACTIVE",
        "contextUris": {"kept": "though the API has no such field"},
    },
    "resource": {"name": f"//run.googleapis.com/projects/{PROJECT_ID}/x", "type": "t"},
}


async def mark(google: GoogleClients, value: str = "x") -> None:
    """Writes a security mark."""
    marks = SecurityMarks(name=f"{NAME}/securityMarks", marks={"k": value})
    request = securitycenter_v2.UpdateSecurityMarksRequest(security_marks=marks)
    await google.security_center.update_security_marks(request)


async def test_every_write_to_a_finding_is_notified_with_the_finding_as_it_is() -> None:
    """With its resource and what the API has no field for; neither time nor state moves."""
    async with google_clients(world_with_services(findings=[copy.deepcopy(ENTRY)])) as google:
        await mark(google)
        system = ExternalSystem(name=f"{NAME}/externalSystems/jira", status="open")
        request = securitycenter_v2.UpdateExternalSystemRequest(external_system=system)
        await google.security_center.update_external_system(request)
        first, second = map(json.loads, google.emulator.notifications.messages)
    config = "organizations/123456789012/locations/eu/notificationConfigs/emulator"
    assert first["notificationConfigName"] == second["notificationConfigName"] == config
    assert first["resource"] == ENTRY["resource"]
    assert {**first["finding"], **ENTRY["finding"]} == first["finding"]
    assert first["finding"]["securityMarks"]["marks"] == {"k": "x"}
    assert "externalSystems" not in first["finding"]
    assert second["finding"]["externalSystems"]["jira"]["status"] == "open"


async def test_what_is_refused_is_not_notified() -> None:
    """Nothing has changed."""
    faults = [{"method": "UpdateSecurityMarks", "code": "PERMISSION_DENIED"}]
    async with google_clients(
        world_with_services(findings=[copy.deepcopy(ENTRY)]) | {"faults": faults}
    ) as google:
        with pytest.raises(exceptions.PermissionDenied):
            await mark(google)
        assert google.emulator.notifications.messages == []


async def posted(room: ChatRoom, count: int) -> list[dict[str, Any]]:
    """The first posts to a room, once there are so many."""
    async with asyncio.timeout(10):
        while len(room.bodies) < count:  # noqa: ASYNC110 - a room tells nobody
            await asyncio.sleep(0.005)
    return room.bodies[:count]


async def test_a_subscription_pushes_until_it_is_acknowledged() -> None:
    """As Pub/Sub does: raw pushes, each message with an id of its own, again after a refusal."""
    world = world_with_services(findings=[copy.deepcopy(ENTRY)])
    async with chat_room(503, 200) as room, google_clients(world) as google:
        notifications = google.emulator.notifications
        async with Subscription(notifications, room.url, backoff_s=0.01):
            await mark(google)
            refused, taken = await posted(room, 2)
            await mark(google, "y")
            *_, other = await posted(room, 3)
        await mark(google, "z")
    assert refused == taken
    assert taken["message"]["messageId"] != other["message"]["messageId"]
    assert base64.b64decode(taken["message"]["data"]) == notifications.messages[0]
    assert (len(room.bodies), len(notifications.messages)) == (3, 3)


async def test_a_run_ends_even_if_every_notification_causes_a_write() -> None:
    """A loop is reported, not followed."""
    notifications, function = Notifications(), FunctionProcess({})
    entry = FindingEntry(ENTRY, securitycenter_v2.ListFindingsResponse.ListFindingsResult())
    notifications.add(entry)

    async def push(_: bytes, __: int) -> tuple[Delivery, ...]:
        function.logged_outcomes.append(LoggedOutcome({"status": "contained"}, ""))
        notifications.add(entry)
        return (Delivery(200),)

    notified, endless = await deliver_renotifications(notifications, function, push)
    assert endless
    assert len(notified) == 20
    assert notified[0].to_json() == {"http_status": 200, "outcome": {"status": "contained"}}
