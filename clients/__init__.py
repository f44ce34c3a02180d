"""Clients of all external services; errors are mapped to Retry or GiveUp.

Nothing connects at import time: gunicorn forks after import. What a containing write does without
is imported with the first connection, not at the start: logs, the topic, VirusTotal, the webhook.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.cloud import run_v2
from google.cloud import securitycenter_v2 as scc

from clients.asset_inventory import AssetInventory
from clients.cloud_run import CloudRun, CloudRunApis
from clients.emulator_connection import require_emulator
from clients.errors import google_call
from clients.impersonation import impersonated
from clients.observed_secrets import ObservedSecrets
from clients.security_center import SecurityCenter
from clients.service_accounts import ServiceAccounts
from clients.settings import Settings, SettingsError, read_settings
from clients.store import PolicySource, Store, open_store

if TYPE_CHECKING:
    from clients.cloud_logging import CloudLogging
    from clients.pubsub import Topic
    from clients.virustotal import VirusTotal
    from clients.webhook import Webhook

__all__ = [
    "Clients",
    "Settings",
    "SettingsError",
    "connect",
    "import_clients",
    "read_settings",
    "require_emulator",
]

# Pages of log entries and revisions exceed gRPC's default of 4 MB; the library lifts the limit on
# the channels that it creates itself.
# A proxy of the environment must not be used for a loopback address.
_CHANNEL_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0))


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients that an incident needs, one for each service."""

    cloud_run: CloudRun
    service_accounts: ServiceAccounts
    security_center: SecurityCenter
    logging: CloudLogging
    inventory: AssetInventory
    store: Store
    policy: PolicySource
    topic: Topic | None
    webhook: Webhook | None
    virustotal: VirusTotal | None
    transports: tuple[Any, ...]
    observed_secrets: ObservedSecrets | None = None

    async def close(self) -> None:
        """Close every channel. The function never does: its loop lives as long as it does."""
        await self.service_accounts.close()
        for transport in self.transports:
            await transport.close()


async def connect(
    settings: Settings,
    *,
    dry_run: bool = False,
    impersonate: str = "",
    observed_secrets: ObservedSecrets | None = None,
) -> Clients:
    """Create the clients, on the event loop that will use them.

    With the emulator, every client connects to its loopback address without credentials; none of
    Google's own addresses is used.

    Args:
        settings: The environment.
        dry_run: Refuse every write to a workload unless it is validate-only.
        impersonate: E-mail address of a service account to impersonate; our own credentials must
            be allowed to create its tokens. Empty to use our own.
        observed_secrets: Collects secret values from all that is read; None to collect nothing.

    Raises:
        Denied: No credentials were found.
    """
    with google_call("connect", "to Google Cloud"):
        credentials = impersonated(impersonate) if impersonate and not settings.emulator else None
        return _make_clients(
            _ClientFactory(settings, credentials), settings, observed_secrets, dry_run=dry_run
        )


def import_clients(settings: Settings) -> None:
    """Import what :func:`connect` will need."""
    modules = {
        "cloud_logging": True,
        "rest": True,
        "pubsub": bool(settings.topic),
        "webhook": settings.webhook is not None,
        "virustotal": settings.virustotal_api_key is not None,
    }
    for name, needed in modules.items():
        if needed:
            importlib.import_module(f"clients.{name}")


def _make_clients(
    make: _ClientFactory,
    settings: Settings,
    observed_secrets: ObservedSecrets | None,
    *,
    dry_run: bool,
) -> Clients:
    from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2AsyncClient

    from clients.cloud_logging import CloudLogging

    service_accounts = ServiceAccounts(make.client)
    return Clients(
        cloud_run=CloudRun(
            _run_apis(make),
            service_accounts,
            dry_run=dry_run,
            observed_secrets=observed_secrets,
        ),
        service_accounts=service_accounts,
        security_center=SecurityCenter(
            make.client(scc.SecurityCenterAsyncClient), observed_secrets
        ),
        logging=CloudLogging(make.client(LoggingServiceV2AsyncClient)),
        inventory=AssetInventory(settings),
        store=open_store(settings),
        policy=PolicySource(settings),
        topic=_topic(make, settings),
        webhook=None if dry_run else _webhook(settings),
        virustotal=_virustotal(settings),
        transports=tuple(make.transports),
        observed_secrets=observed_secrets,
    )


def _topic(make: _ClientFactory, settings: Settings) -> Topic | None:
    if not settings.topic:
        return None
    from google.pubsub_v1 import PublisherAsyncClient

    from clients.pubsub import Topic

    return Topic(make.client(PublisherAsyncClient), settings.topic, settings.topic_format)


def _webhook(settings: Settings) -> Webhook | None:
    if settings.webhook is None:
        return None
    from clients.webhook import Webhook

    return Webhook(settings.webhook, settings.webhook_format, settings.runbooks)


def _virustotal(settings: Settings) -> VirusTotal | None:
    if settings.virustotal_api_key is None:
        return None
    from clients.virustotal import VirusTotal, VirusTotalEndpoint

    return VirusTotal(VirusTotalEndpoint(settings.virustotal_origin, settings.virustotal_api_key))


def _run_apis(make: _ClientFactory) -> CloudRunApis:
    return CloudRunApis(
        services=make.client(run_v2.ServicesAsyncClient),
        worker_pools=make.client(run_v2.WorkerPoolsAsyncClient),
        jobs=make.client(run_v2.JobsAsyncClient),
        executions=make.client(run_v2.ExecutionsAsyncClient),
        tasks=make.client(run_v2.TasksAsyncClient),
        revisions=make.client(run_v2.RevisionsAsyncClient),
        instances=make.client(run_v2.InstancesAsyncClient),
    )


class _ClientFactory:
    """Creates Google's clients, each with a channel of its own, as they make it themselves.

    Each transport adds an interceptor to its channel: on a shared one, a call would pass them all.
    """

    def __init__(self, settings: Settings, credentials: Any = None) -> None:
        self.transports: list[Any] = []
        self._given = {"credentials": credentials} if credentials else {}
        self._emulator = settings.emulator

    def client(self, kind: Any) -> Any:
        client = self._emulated(kind) if self._emulator else kind(**self._given)
        self.transports.append(client.transport)
        return client

    def _emulated(self, kind: Any) -> Any:
        assert self._emulator  # noqa: S101 - the only caller has checked it
        channel = grpc.aio.insecure_channel(self._emulator.grpc, options=_CHANNEL_OPTIONS)
        return kind(transport=kind.get_transport_class("grpc_asyncio")(channel=channel))
