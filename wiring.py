"""Introduces clients, responders and incidents to one another, for ``main.py`` and the commands."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from clients import Clients, Settings, connect
from incident.decision.context import Standing
from incident.decision.guards import Attendance, Ourselves
from incident.model import Mode
from incident.patrol.round import Bounds, Patrol
from incident.response.context import Outside
from incident.response.deliveries import Inbox
from responders import route


@dataclass(frozen=True, slots=True)
class Desk:
    """What one process works with: the inbox that messages go to, and the patrol."""

    inbox: Inbox
    patrol: Patrol


async def open_desk(settings: Settings) -> Desk:
    """Connect to the outside, on the loop that will do the work."""
    clients = await connect(settings)
    inbox = Inbox(standing_of(settings), outside_of(clients))
    return Desk(inbox, patrol_of(settings, clients))


def patrol_of(settings: Settings, clients: Clients, bounds: Bounds | None = None) -> Patrol:
    """The patrol of a process with these settings."""
    return Patrol(standing_of(settings), outside_of(clients), clients.store, bounds)


def outside_of(clients: Clients) -> Outside:
    """The clients, as an incident sees them."""
    return Outside(
        run=clients.run,
        security_center=clients.security_center,
        logging=clients.logging,
        store=clients.store,
        policy=clients.policy,
        topic=clients.topic,
        webhook=clients.webhook,
        virustotal=clients.virustotal,
    )


def standing_of(settings: Settings, attendance: Attendance | None = None) -> Standing:
    """What holds for every incident of a process with these settings."""
    ceiling, reason = _ceiling(settings, attendance)
    key = settings.redaction_key
    return Standing(
        route=route,
        clock=clock_of(settings),
        ceiling=ceiling,
        ceiling_reason=reason,
        ourselves=Ourselves(settings.k_service, settings.project),
        store_url=settings.store,
        redaction_key=key.get_secret_value().encode() if key else secrets.token_bytes(32),
        verify_timeout=settings.verify_timeout,
        peer_wait=settings.peer_wait,
        attendance=attendance,
    )


def _ceiling(settings: Settings, attendance: Attendance | None) -> tuple[Mode, str]:
    if not settings.store_lasts:
        text = (
            f"the store {settings.store} is lost with this instance, which forbids every mode"
            " above dry-run: set RESPONDER_STORE to a gs:// URL"
        )
        return Mode.DRY_RUN, text
    if attendance and attendance.person:
        return Mode.ENFORCE, "a person asks for it; their own permissions are the bound"
    return settings.mode, f"RESPONDER_MODE allows no more than {settings.mode.value}"


def clock_of(settings: Settings) -> Callable[[], datetime]:
    """The time; with the emulator, from the time that it wants it to be at the first event."""
    ahead = settings.now - datetime.now(UTC) if settings.now else timedelta(0)
    return lambda: datetime.now(UTC) + ahead
