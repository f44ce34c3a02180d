"""Dependency wiring: build the process and the patrol from settings and clients."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from clients import Clients, Settings, connect, import_clients
from incident.decision.guards import ResponderIdentity
from incident.decision.process import Process
from incident.model import Mode
from incident.playbook.plan import compile_playbook
from incident.playbook.schema import shipped_playbook
from incident.redaction.redactor import Redactor
from incident.report.html_template import report_template
from incident.response.deliveries import DeliveryHandler
from responders import route

if TYPE_CHECKING:
    from incident.patrol.round import Patrol, PatrolLimits


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """A process, its clients and its delivery handler."""

    process: Process
    clients: Clients
    delivery_handler: DeliveryHandler

    def patrol(self) -> Patrol:
        """The patrol; only the function that runs it imports it."""
        from incident.patrol.round import Patrol

        return Patrol(self.process, self.clients.store)


async def open_process(settings: Settings) -> RunningProcess:
    """Connect the clients; call it on the loop that will use them."""
    clients = await connect(settings)
    process = build_process(settings, clients)
    return RunningProcess(process, clients, DeliveryHandler(process))


def warm_up(settings: Settings) -> None:
    """Import and compile what the start has left out, in the order in which incidents need it."""
    import_clients(settings)
    Redactor(b"any").text("compiles the patterns")
    report_template()
    compile_playbook(shipped_playbook())


def build_patrol(
    settings: Settings, clients: Clients, bounds: PatrolLimits | None = None
) -> Patrol:
    """Build the patrol."""
    from incident.patrol.round import Patrol

    return Patrol(build_process(settings, clients), clients.store, bounds)


def build_process(settings: Settings, clients: Clients, *, by_person: bool = False) -> Process:
    """Build what holds for all incidents of a process; ``by_person`` for an operator's command."""
    ceiling, reason = _mode_ceiling(settings, by_person=by_person)
    key = settings.redaction_key
    return Process(
        route=route,
        clock=build_clock(settings),
        mode_ceiling=ceiling,
        mode_ceiling_reason=reason,
        responder_identity=ResponderIdentity(
            settings.k_service,
            settings.project,
            frozenset(filter(None, settings.service_accounts.split(","))),
        ),
        store_url=settings.store,
        redaction_key=key.get_secret_value().encode() if key else secrets.token_bytes(32),
        verify_timeout=settings.verify_timeout,
        peer_wait=settings.peer_wait,
        cloud_run=clients.cloud_run,
        security_center=clients.security_center,
        logging=clients.logging,
        store=clients.store,
        policy=clients.policy,
        inventory=clients.inventory,
        topic=clients.topic,
        webhook=clients.webhook,
        virustotal=clients.virustotal,
        simulated=settings.emulator is not None,
    )


def _mode_ceiling(settings: Settings, *, by_person: bool) -> tuple[Mode, str]:
    if not settings.store_is_durable:
        text = (
            f"the store {settings.store} is lost with this instance, which forbids every mode"
            " above dry-run: set RESPONDER_STORE to a gs:// URL"
        )
        return Mode.DRY_RUN, text
    if by_person:
        return Mode.ENFORCE, "requested by a person, within their own permissions"
    return settings.mode, f"RESPONDER_MODE allows no more than {settings.mode.value}"


def build_clock(settings: Settings) -> Callable[[], datetime]:
    """The current time; with the emulator, time starts at ``RESPONDER_NOW``."""
    ahead = settings.now - datetime.now(UTC) if settings.now else timedelta(0)
    return lambda: datetime.now(UTC) + ahead
