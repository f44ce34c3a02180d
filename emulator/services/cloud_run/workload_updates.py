"""Update services, jobs and worker pools.

What a kind of its own allows, erases and defaults stands in the module named after it.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from google.cloud import run_v2
from google.longrunning import operations_pb2

from emulator.api import field_masks, proto_json
from emulator.api.errors import FieldError, being_deleted, invalid_argument, resource_not_found
from emulator.services.cloud_logging.activity_log import current_caller
from emulator.services.cloud_run.get_and_list import ERROR_KINDS, ResourceApi, ResourceTable
from emulator.services.cloud_run.write_operations import WriteOperations, check_etag
from emulator.services.gate import Method, method
from emulator.world.cloud_run import resources
from emulator.world.cloud_run.operation_progress import OperationProgress
from emulator.world.cloud_run.resources import State

W = TypeVar("W", run_v2.Service, run_v2.Job, run_v2.WorkerPool)

# What callers decide of each kind.
COMMON_MUTABLE_FIELDS = frozenset(
    {
        "labels",
        "annotations",
        "client",
        "client_version",
        "launch_stage",
        "binary_authorization",
        "template",
    }
)
_LOCATION = re.compile(r"projects/[^/]+/locations/[^/]+")
_SHORT_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_RESERVED = (
    "run.googleapis.com",
    "cloud.googleapis.com",
    "serving.knative.dev",
    "autoscaling.knative.dev",
)


@dataclass(frozen=True, slots=True)
class UpdateRequest(Generic[W]):
    """An update as it was asked for.

    Attributes:
        sent: The body of the request.
        paths: Its mask; empty for a full replacement.
        validate_only: It only asks whether it would be accepted.
        allow_missing: What does not exist is created.
        new_revision: A revision is wanted even if the template does not change.
    """

    sent: W
    paths: list[str]
    validate_only: bool = False
    allow_missing: bool = False
    new_revision: bool = False

    @classmethod
    def from_request(cls, request: Any, sent: W) -> UpdateRequest[W]:
        """The change that a request asks for. Not every kind's request has all of its fields."""
        fields = proto_json.unwrap(request).DESCRIPTOR.fields_by_name
        return cls(
            sent=sent,
            paths=list(request.update_mask.paths) if "update_mask" in fields else [],
            validate_only=request.validate_only,
            allow_missing=request.allow_missing,
            new_revision="force_new_revision" in fields and request.force_new_revision,
        )


@dataclass(frozen=True, slots=True)
class WorkloadApi(Generic[W]):
    """How a kind of workload is spelled at the wire.

    Attributes:
        collection: The collection that it is in.
        resource_api: How one is got and how they are listed.
        update_request: The request for an update.
        request_field: The field of that request which the workload is in.
        mutable_fields: Names of the fields of the workload that callers decide.
        max_name_length: How long the short name of one may be.
    """

    collection: str
    resource_api: ResourceApi[W]
    update_request: type[Any]
    request_field: str
    mutable_fields: frozenset[str]
    max_name_length: int = 49


class Workloads(ABC, Generic[W]):
    """The services, jobs or worker pools of one world; what differs is left to each kind."""

    def __init__(self, writes: WriteOperations, api: WorkloadApi[W]) -> None:
        self._writes = writes
        self._world = writes.world
        self._api: WorkloadApi[W] = api
        table: dict[str, W] = writes.world.tables()[api.collection]
        self._table: ResourceTable[W] = ResourceTable(
            writes.world, ERROR_KINDS[api.collection], table, api.resource_api
        )

    def methods(self) -> list[Method]:
        """The methods of a kind's service: get, list, update."""
        update = self._api.update_request
        name = f"/{self._api.resource_api.service}/{update.__name__.removesuffix('Request')}"
        return [
            *self._table.methods(),
            method(name, update, self._update, writes_to=self._target),
        ]

    @abstractmethod
    def apply_rules(self, before: W, after: W, change: UpdateRequest[W]) -> None:
        """Fills in defaults and erases what Cloud Run erases; refuses what it refuses."""

    @abstractmethod
    def on_create(self, workload: W) -> None:
        """Gives a new workload what it has for good."""

    @abstractmethod
    def on_template_change(self, workload: W) -> None:
        """Makes what a changed template brings along."""

    async def _update(self, request: Any) -> operations_pb2.Operation:
        """Changes a workload, or creates it where the request allows that."""
        change: UpdateRequest[W] = UpdateRequest.from_request(
            request, getattr(request, self._api.request_field)
        )
        key = self._writes.take_quota(change.sent.name)
        found = self._table.resources.get(key)
        if found is None:
            self._check_creation(change)
        elif found.delete_time:
            raise being_deleted(self._table.error_kind, change.sent.name)
        before = type(change.sent)(name=change.sent.name) if found is None else found
        after = self._updated(before, change, is_new=found is None)
        unchanged = after == before and not change.new_revision
        if change.validate_only or unchanged:
            return self._writes.finished(key, after)
        self._store(key, before, after, change)
        return self._writes.started(key, partial(_progress, after.generation))

    def _target(self, request: Any) -> str:
        """The key of what a request writes to; empty if it only asks."""
        sent = getattr(request, self._api.request_field)
        return "" if request.validate_only else self._world.canonical(sent.name)

    def _check_creation(self, change: UpdateRequest[W]) -> None:
        name = change.sent.name
        if not change.allow_missing:
            raise resource_not_found(self._table.error_kind, name)
        owner, _, short = name.rpartition(f"/{self._api.collection}/")
        good = _LOCATION.fullmatch(owner) and _SHORT_NAME.fullmatch(short)
        if not good or len(short) > self._api.max_name_length:
            raise invalid_argument(f"{name!r} is not a name of the kind {self._table.error_kind}")

    def _updated(self, before: W, change: UpdateRequest[W], *, is_new: bool) -> W:
        """The workload as it would be.

        A masked update is accepted whatever its etag: that was seen of the live API. For full
        replacements there are only reports of conflicts.
        """
        paths = [] if is_new else change.paths
        if not paths:
            check_etag(before, change.sent.etag)
        after = field_masks.apply_mask(before, change.sent, paths, mutable=self._api.mutable_fields)
        _check_metadata(before, after)
        self.apply_rules(before, after, change)
        return after

    def _store(self, key: str, before: W, after: W, change: UpdateRequest[W]) -> None:
        """Puts a changed workload into the world, reconciling."""
        now = resources.current_time()
        after.generation = before.generation + 1
        proto_json.set_timestamp(after, "update_time", now)
        after.last_modifier = current_caller()
        after.reconciling = True
        after.terminal_condition = resources.condition("Ready", State.CONDITION_RECONCILING, now)
        if not after.uid:
            after.uid = resources.make_uid(after.name)
            after.creator = current_caller()
            proto_json.set_timestamp(after, "create_time", now)
            self.on_create(after)
        if change.new_revision or after.template != before.template:
            self.on_template_change(after)
        after.etag = resources.make_etag(before.etag, after.generation, now)
        self._table.resources[key] = after


def _check_metadata(before: W, after: W) -> None:
    """Refuses new labels and annotations in the namespaces that v2 has fields for instead."""
    for kind in ("labels", "annotations"):
        for key in set(getattr(after, kind)) - set(getattr(before, kind)):
            if key.partition("/")[0] in _RESERVED:
                reason = f"the namespace of {key!r} is not supported in v2"
                raise FieldError(type(after).__name__, kind, reason)


def _progress(generation: int, workload: W) -> OperationProgress:
    """How far a workload is with the write that made this generation of it."""
    reached = workload.observed_generation >= generation
    failed = workload.terminal_condition.state == State.CONDITION_FAILED
    message = workload.terminal_condition.message or "The desired state was not reached."
    return OperationProgress(
        done=reached or not workload.reconciling, error=message if failed else ""
    )
