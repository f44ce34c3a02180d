"""Cloud Run services."""

from __future__ import annotations

from google.cloud import run_v2

from emulator.services.cloud_run import revisions
from emulator.services.cloud_run.get_and_list import Calls
from emulator.services.cloud_run.workload_updates import Change, Kind, Workloads
from emulator.services.cloud_run.write_operations import Writes
from emulator.world.cloud_run import service_defaults, service_rules

SERVICE = "google.cloud.run.v2.Services"
_KIND: Kind[run_v2.Service] = Kind(
    collection="services",
    calls=Calls(
        SERVICE,
        run_v2.GetServiceRequest,
        run_v2.ListServicesRequest,
        lambda page, token: run_v2.ListServicesResponse(services=page, next_page_token=token),
    ),
    update=run_v2.UpdateServiceRequest,
    field="service",
    mutable=service_rules.MUTABLE,
)


class Services(Workloads[run_v2.Service]):
    """Cloud Run services of one world."""

    def __init__(self, writes: Writes) -> None:
        super().__init__(writes, _KIND)

    def settle(
        self, before: run_v2.Service, after: run_v2.Service, change: Change[run_v2.Service]
    ) -> None:
        """Fills in defaults, settles the scaling, checks scaling, traffic and template."""
        is_new = not before.uid
        service_defaults.apply_defaults(after, self._world.projects)
        paths = [] if is_new else change.paths
        service_rules.check_scaling(change.sent.scaling, after, paths)
        service_rules.settle_scaling(before, after)
        revisions.check(self._world, before, after)
        service_rules.check_tags(after)

    def appear(self, workload: run_v2.Service) -> None:
        """Gives a new service its address."""
        workload.uri = service_defaults.uri(workload, self._world.projects)
        workload.urls = [workload.uri]

    def renew(self, workload: run_v2.Service) -> None:
        """Makes the revision of a changed template."""
        revisions.add(self._world, workload)
