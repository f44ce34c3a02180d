"""Google's own clients, connected to an emulator of a test's world."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from functools import cached_property
from typing import Any

import grpc
import grpc.aio
import obstore.store
from google import pubsub_v1
from google.api_core import exceptions
from google.cloud import run_v2, securitycenter_v2
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2AsyncClient
from google.cloud.logging_v2.services.logging_service_v2.transports import (
    LoggingServiceV2GrpcAsyncIOTransport,
)
from google.cloud.run_v2.services.executions.transports import ExecutionsGrpcAsyncIOTransport
from google.cloud.run_v2.services.instances.transports import InstancesGrpcAsyncIOTransport
from google.cloud.run_v2.services.jobs.transports import JobsGrpcAsyncIOTransport
from google.cloud.run_v2.services.revisions.transports import RevisionsGrpcAsyncIOTransport
from google.cloud.run_v2.services.services.transports import ServicesGrpcAsyncIOTransport
from google.cloud.run_v2.services.tasks.transports import TasksGrpcAsyncIOTransport
from google.cloud.run_v2.services.worker_pools.transports import WorkerPoolsGrpcAsyncIOTransport
from google.cloud.securitycenter_v2.services.security_center.transports import (
    SecurityCenterGrpcAsyncIOTransport,
)
from google.protobuf import field_mask_pb2
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport

from emulator.server.emulator import Emulator
from emulator.services.gate import Hook
from emulator.world.state import parse_world
from tests.support.constants import LOCATION, PROJECT_ID, PROJECT_NUMBER, SERVICE

JOB = f"{LOCATION}/jobs/nightly"
EXECUTION = f"{JOB}/executions/nightly-abcde"
POOL = f"{LOCATION}/workerPools/crunch"
BY_NUMBER = SERVICE.replace(PROJECT_ID, PROJECT_NUMBER)
PROJECTS = [{"projectId": PROJECT_ID, "projectNumber": PROJECT_NUMBER, "folders": ["345678901234"]}]
MANUAL_ZERO = run_v2.ServiceScaling(scaling_mode="MANUAL", manual_instance_count=0)


def world_with_services(*services_: dict[str, Any], **others: Any) -> dict[str, Any]:
    """A world with these services, in the known project and with a quick reconciliation."""
    latency = {"reconcile": "5ms"} | others.pop("latency", {})
    return {"projects": PROJECTS, "services": list(services_), "latency": latency} | others


class GoogleClients:
    """An emulator and clients of everything in it, each made when it is first used."""

    def __init__(self, emulator: Emulator, channel: grpc.aio.Channel) -> None:
        self.emulator = emulator
        self.channel = channel

    @cached_property
    def services(self) -> run_v2.ServicesAsyncClient:
        """Cloud Run services, their policies and operations."""
        transport = ServicesGrpcAsyncIOTransport(channel=self.channel)
        return run_v2.ServicesAsyncClient(transport=transport)

    @cached_property
    def revisions(self) -> run_v2.RevisionsAsyncClient:
        """Cloud Run revisions."""
        transport = RevisionsGrpcAsyncIOTransport(channel=self.channel)
        return run_v2.RevisionsAsyncClient(transport=transport)

    @cached_property
    def jobs(self) -> run_v2.JobsAsyncClient:
        """Cloud Run jobs and their policies."""
        return run_v2.JobsAsyncClient(transport=JobsGrpcAsyncIOTransport(channel=self.channel))

    @cached_property
    def executions(self) -> run_v2.ExecutionsAsyncClient:
        """Cloud Run executions."""
        transport = ExecutionsGrpcAsyncIOTransport(channel=self.channel)
        return run_v2.ExecutionsAsyncClient(transport=transport)

    @cached_property
    def tasks(self) -> run_v2.TasksAsyncClient:
        """Cloud Run tasks."""
        return run_v2.TasksAsyncClient(transport=TasksGrpcAsyncIOTransport(channel=self.channel))

    @cached_property
    def instances(self) -> run_v2.InstancesAsyncClient:
        """Cloud Run instances."""
        transport = InstancesGrpcAsyncIOTransport(channel=self.channel)
        return run_v2.InstancesAsyncClient(transport=transport)

    @cached_property
    def worker_pools(self) -> run_v2.WorkerPoolsAsyncClient:
        """Cloud Run worker pools and their policies."""
        transport = WorkerPoolsGrpcAsyncIOTransport(channel=self.channel)
        return run_v2.WorkerPoolsAsyncClient(transport=transport)

    @cached_property
    def security_center(self) -> securitycenter_v2.SecurityCenterAsyncClient:
        """Security Command Center."""
        transport = SecurityCenterGrpcAsyncIOTransport(channel=self.channel)
        return securitycenter_v2.SecurityCenterAsyncClient(transport=transport)

    @cached_property
    def logging(self) -> LoggingServiceV2AsyncClient:
        """Cloud Logging."""
        transport = LoggingServiceV2GrpcAsyncIOTransport(channel=self.channel)
        return LoggingServiceV2AsyncClient(transport=transport)

    @cached_property
    def publisher(self) -> pubsub_v1.PublisherAsyncClient:
        """Pub/Sub publishing."""
        transport = PublisherGrpcAsyncIOTransport(channel=self.channel)
        return pubsub_v1.PublisherAsyncClient(transport=transport)

    async def service(self, name: str = SERVICE) -> run_v2.Service:
        """A service as it is now."""
        return await self.services.get_service(name=name, retry=None)

    async def update(
        self, *paths: str, name: str = SERVICE, validate_only: bool = False, **fields: Any
    ) -> Any:
        """Sends an update of these fields with a mask of these paths and returns its operation."""
        request = run_v2.UpdateServiceRequest(
            service=run_v2.Service(name=name, **fields),
            update_mask=field_mask_pb2.FieldMask(paths=paths) if paths else None,
            validate_only=validate_only,
        )
        return await self.services.update_service(request)

    async def reconciled_service(self, name: str = SERVICE) -> run_v2.Service:
        """A service when its reconciliation is over."""
        async with asyncio.timeout(5):
            while (service := await self.service(name)).reconciling:  # noqa: ASYNC110  seen from outside
                await asyncio.sleep(0.002)
        return service

    def store(self, bucket: str = "case-files", prefix: str = "") -> obstore.store.ObjectStore:
        """A Cloud Storage client for a bucket, without retries."""
        return obstore.store.from_url(
            f"gs://{bucket}/{prefix}",
            config={
                "base_url": f"http://{self.emulator.http_address}",
                "bearer_token": "emulator",
            },
            client_options={"allow_http": True},
            retry_config={"max_retries": 0, "retry_timeout": dt.timedelta(seconds=5)},
        )


@contextlib.asynccontextmanager
async def google_clients(
    world: dict[str, Any], *, hook: Hook | None = None
) -> AsyncIterator[GoogleClients]:
    """An emulator of a world while the context lasts."""
    async with (
        Emulator(parse_world(world, source="test"), hook=hook) as emulator,
        grpc.aio.insecure_channel(emulator.grpc_address) as channel,
    ):
        yield GoogleClients(emulator, channel)


def code_of(error: exceptions.GoogleAPICallError) -> str:
    """The name of the gRPC status that an error came with."""
    return error.grpc_status_code.name if error.grpc_status_code else ""
