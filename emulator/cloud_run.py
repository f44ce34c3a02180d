"""Cloud Run Admin API v2: services.

What a change does to a service stands in `service_rules`, what happens after it in `reconciling`.
"""

from __future__ import annotations

import re

from google.cloud import run_v2
from google.longrunning import operations_pb2

from emulator import masks, paging, protos, service_rules, service_state
from emulator.names import last, parent, part
from emulator.operations import Operations
from emulator.quota import Quota
from emulator.reconciling import Reconciler
from emulator.refusal import Refusal, conflict, invalid, not_found
from emulator.service_state import State
from emulator.wire import Method, method
from emulator.world import World

# Who calls are made by, since anonymous callers have no name.
CALLER = "caller@emulator.example.com"
_PAGE = 100
_NAME = re.compile(r"projects/[^/]+/locations/[^/]+/services/[a-z]([-a-z0-9]{0,47}[a-z0-9])?")
_SERVICE = "/google.cloud.run.v2.Services"


def missing(kind: str, name: str) -> Refusal:
    """The error for a resource that does not exist, in Cloud Run's words."""
    return not_found(
        f"Resource '{last(name)}' of kind '{kind}' in region '{part(name, 'locations')}' in "
        f"project '{part(name, 'projects')}' does not exist."
    )


class Services:
    """Cloud Run services of one world."""

    def __init__(self, world: World, reconciler: Reconciler, operations: Operations) -> None:
        self._world = world
        self._reconciler = reconciler
        self._operations = operations
        self._writes = Quota("Write requests per region", "run.googleapis.com")

    def methods(self) -> list[Method]:
        """The methods of `google.cloud.run.v2.Services` that are about services."""
        return [
            method(f"{_SERVICE}/GetService", run_v2.GetServiceRequest, self.get),
            method(f"{_SERVICE}/ListServices", run_v2.ListServicesRequest, self.list),
            method(
                f"{_SERVICE}/UpdateService",
                run_v2.UpdateServiceRequest,
                self.update,
                writes_to=self._target,
            ),
        ]

    async def get(self, request: run_v2.GetServiceRequest) -> run_v2.Service:
        """One service."""
        service = self._world.services.get(self._world.canonical(request.name))
        if service is None:
            raise missing("SERVICE", request.name)
        return service

    async def list(self, request: run_v2.ListServicesRequest) -> run_v2.ListServicesResponse:
        """The services of a location, or of a project in all locations when that is `-`."""
        where = self._world.canonical(request.parent)
        found = [
            service
            for key, service in self._world.services.items()
            if parent(key) == where or (last(where) == "-" and key.startswith(where[:-1]))
        ]
        length = paging.size(request.page_size, default=_PAGE, maximum=_PAGE)
        page, token = paging.page(found, size=length, token=request.page_token, query=where)
        return run_v2.ListServicesResponse(services=page, next_page_token=token)

    async def update(self, request: run_v2.UpdateServiceRequest) -> operations_pb2.Operation:
        """Changes a service, or creates it where the request allows that."""
        key = self._world.canonical(request.service.name)
        self._writes.take(f"{part(key, 'projects')}/{part(key, 'locations')}")
        stored = self._world.services.get(key)
        if stored is None:
            self._check_creation(request)
        before = run_v2.Service(name=request.service.name) if stored is None else stored
        after = self._planned(before, request, is_new=stored is None)
        if request.validate_only or after == before:
            return self._operations.done(key, after)
        self._store(key, before, after)
        operation = self._operations.start(key)
        self._reconciler.start(key)
        return operation

    def _check_creation(self, request: run_v2.UpdateServiceRequest) -> None:
        name = request.service.name
        if not request.allow_missing:
            raise missing("SERVICE", name)
        if not _NAME.fullmatch(name):
            raise invalid(f"service.name {name!r} is not the name of a service")

    def _planned(
        self, before: run_v2.Service, request: run_v2.UpdateServiceRequest, *, is_new: bool
    ) -> run_v2.Service:
        """The service as it would be, defaults filled in; refuses what Cloud Run refuses."""
        paths = [] if is_new else list(request.update_mask.paths)
        _check_etag(before, request.service.etag, paths)
        after = masks.merge(before, request.service, paths, mutable=service_rules.MUTABLE)
        service_state.apply_defaults(after, self._world.projects)
        service_rules.check_scaling(request.service.scaling, after, paths)
        service_rules.settle_scaling(before, after)
        revisions = {last(r.name): r for r in self._world.revisions_of(before.name)}
        service_rules.check_traffic(after, set(revisions))
        service_rules.check_metadata(before, after)
        service_rules.check_template(before, after, revisions)
        return after

    def _store(self, key: str, before: run_v2.Service, after: run_v2.Service) -> None:
        """Puts a changed service into the world, reconciling, with a revision if it needs one."""
        now = service_state.now()
        after.generation = before.generation + 1
        protos.set_moment(after, "update_time", now)
        after.last_modifier = CALLER
        after.reconciling = True
        after.terminal_condition = service_state.condition(
            "Ready", State.CONDITION_RECONCILING, now
        )
        if not after.uid:
            after.uid = service_state.uid(after.name)
            after.creator = CALLER
            protos.set_moment(after, "create_time", now)
            after.uri = service_state.uri(after, self._world.projects)
            after.urls = [after.uri]
        if after.template != before.template:
            self._add_revision(after)
        after.etag = service_state.etag(before.etag, after.generation, now)
        self._world.services[key] = after

    def _add_revision(self, service: run_v2.Service) -> None:
        made_up = service_state.suffix(service.name, service.generation)
        short_name = (
            service.template.revision or f"{last(service.name)}-{service.generation:05d}-{made_up}"
        )
        revision = service_state.revision_from(service, short_name, service_state.now(), CALLER)
        service.latest_created_revision = revision.name
        self._world.revisions[self._world.canonical(revision.name)] = revision

    def _target(self, request: run_v2.UpdateServiceRequest) -> str:
        return "" if request.validate_only else self._world.canonical(request.service.name)


def _check_etag(stored: run_v2.Service, sent: str, paths: list[str]) -> None:
    """Refuses a full replacement of another version than the stored one.

    A masked update is accepted whatever its etag: that was seen of the live API. For full
    replacements there are only reports of conflicts.
    """
    if sent and sent != stored.etag and not paths:
        raise conflict(last(stored.name), stored.generation)


class Revisions:
    """Revisions of services and worker pools."""

    def __init__(self, world: World) -> None:
        self._world = world

    def methods(self) -> list[Method]:
        """The methods of `google.cloud.run.v2.Revisions`."""
        service = "/google.cloud.run.v2.Revisions"
        return [
            method(f"{service}/GetRevision", run_v2.GetRevisionRequest, self.get),
            method(f"{service}/ListRevisions", run_v2.ListRevisionsRequest, self.list),
        ]

    async def get(self, request: run_v2.GetRevisionRequest) -> run_v2.Revision:
        """One revision."""
        revision = self._world.revisions.get(self._world.canonical(request.name))
        if revision is None:
            raise missing("REVISION", request.name)
        return revision

    async def list(self, request: run_v2.ListRevisionsRequest) -> run_v2.ListRevisionsResponse:
        """The revisions of a service or worker pool, newest first."""
        where = self._world.canonical(request.parent)
        if not {"services", "workerPools"} & set(where.split("/")):
            raise invalid("parent must be a service or a worker pool")
        if last(where) != "-" and not self._exists(where):
            raise missing("SERVICE", request.parent)
        found = [
            protos.copy(revision)
            for key, revision in self._world.revisions.items()
            if parent(key) == where or (last(where) == "-" and key.startswith(where[:-1]))
        ]
        found.sort(key=lambda revision: protos.moment(revision, "create_time"), reverse=True)
        length = paging.size(request.page_size, default=_PAGE, maximum=_PAGE)
        page, token = paging.page(found, size=length, token=request.page_token, query=where)
        return run_v2.ListRevisionsResponse(revisions=page, next_page_token=token)

    def _exists(self, key: str) -> bool:
        return key in self._world.services or key in self._world.worker_pools
