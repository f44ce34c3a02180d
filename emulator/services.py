"""Cloud Run services."""

from __future__ import annotations

import re
from typing import ClassVar

from google.cloud import run_v2
from google.longrunning import operations_pb2

from emulator import revisions, service_rules, service_state
from emulator.shelf import Calls, Shelf
from emulator.wire import Method, method
from emulator.workloads import Change, Workloads
from emulator.writing import Writes

SERVICE = "google.cloud.run.v2.Services"


class Services(Workloads[run_v2.Service]):
    """Cloud Run services of one world."""

    mutable = service_rules.MUTABLE
    name: ClassVar[re.Pattern[str]] = re.compile(
        r"projects/[^/]+/locations/[^/]+/services/[a-z]([-a-z0-9]{0,47}[a-z0-9])?"
    )

    def __init__(self, writes: Writes) -> None:
        calls: Calls[run_v2.Service] = Calls(
            SERVICE,
            run_v2.GetServiceRequest,
            run_v2.ListServicesRequest,
            lambda page, token: run_v2.ListServicesResponse(services=page, next_page_token=token),
        )
        super().__init__(Shelf(writes.world, "SERVICE", writes.world.services, calls), writes)

    def methods(self) -> list[Method]:
        """The methods of `google.cloud.run.v2.Services` that are about services."""
        return [
            *self._shelf.methods(),
            method(
                f"/{SERVICE}/UpdateService",
                run_v2.UpdateServiceRequest,
                self.update,
                writes_to=lambda request: self.target(request, request.service),
            ),
        ]

    async def update(self, request: run_v2.UpdateServiceRequest) -> operations_pb2.Operation:
        """Changes a service, or creates it where the request allows that."""
        return self.change(Change.of(request, request.service))

    def settle(
        self, before: run_v2.Service, after: run_v2.Service, change: Change[run_v2.Service]
    ) -> None:
        """Fills in defaults, settles the scaling, checks scaling, traffic and template."""
        is_new = not before.uid
        service_state.apply_defaults(after, self._world.projects)
        paths = [] if is_new else change.paths
        service_rules.check_scaling(change.sent.scaling, after, paths)
        service_rules.settle_scaling(before, after)
        revisions.check(self._world, before, after)
        service_rules.check_tags(after)

    def appear(self, workload: run_v2.Service) -> None:
        """Gives a new service its address."""
        workload.uri = service_state.uri(workload, self._world.projects)
        workload.urls = [workload.uri]

    def renew(self, workload: run_v2.Service) -> None:
        """Makes the revision of a changed template."""
        revisions.add(self._world, workload)
