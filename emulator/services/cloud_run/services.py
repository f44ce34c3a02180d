"""Cloud Run services: get, list, update."""

from __future__ import annotations

from google.cloud import run_v2

from emulator.services.cloud_run import revisions
from emulator.services.cloud_run.get_and_list import ResourceApi
from emulator.services.cloud_run.workload_updates import UpdateRequest, WorkloadApi, Workloads
from emulator.services.cloud_run.write_operations import WriteOperations
from emulator.world.cloud_run import service_defaults, service_rules

GRPC_SERVICE = "google.cloud.run.v2.Services"
_API: WorkloadApi[run_v2.Service] = WorkloadApi(
    collection="services",
    resource_api=ResourceApi(
        GRPC_SERVICE,
        run_v2.GetServiceRequest,
        run_v2.ListServicesRequest,
        lambda page, token: run_v2.ListServicesResponse(services=page, next_page_token=token),
    ),
    update_request=run_v2.UpdateServiceRequest,
    request_field="service",
    mutable_fields=service_rules.MUTABLE_FIELDS,
)


class Services(Workloads[run_v2.Service]):
    """Cloud Run services of one world."""

    def __init__(self, writes: WriteOperations) -> None:
        super().__init__(writes, _API)

    def apply_rules(
        self, before: run_v2.Service, after: run_v2.Service, change: UpdateRequest[run_v2.Service]
    ) -> None:
        """Fills in defaults, settles the scaling, checks scaling, traffic and template."""
        is_new = not before.uid
        service_defaults.apply_service_defaults(after, self._world.projects)
        paths = [] if is_new else change.paths
        service_rules.check_service_scaling(change.sent.scaling, after, paths)
        service_rules.apply_scaling_mode(before, after)
        revisions.check_revisions(self._world, before, after)
        service_rules.check_tags(after)

    def on_create(self, workload: run_v2.Service) -> None:
        """Gives a new service its address."""
        workload.uri = service_defaults.service_uri(workload, self._world.projects)
        workload.urls = [workload.uri]

    def on_template_change(self, workload: run_v2.Service) -> None:
        """Makes the revision of a changed template."""
        revisions.add_revision(self._world, workload)
