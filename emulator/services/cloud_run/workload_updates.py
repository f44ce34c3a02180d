"""Updating services, jobs and worker pools: what the three have in common.

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
from emulator.api.errors import Violation, being_deleted, invalid, missing
from emulator.services.cloud_logging.activity_log import caller
from emulator.services.cloud_run.get_and_list import KINDS, Calls, Shelf
from emulator.services.cloud_run.write_operations import Writes, check_etag
from emulator.services.gate import Method, method
from emulator.world.cloud_run import resources
from emulator.world.cloud_run.operation_progress import Progress
from emulator.world.cloud_run.resources import State

W = TypeVar("W", run_v2.Service, run_v2.Job, run_v2.WorkerPool)

# What callers decide of each kind.
COMMON = frozenset(
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
_SHORT = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_RESERVED = (
    "run.googleapis.com",
    "cloud.googleapis.com",
    "serving.knative.dev",
    "autoscaling.knative.dev",
)


@dataclass(frozen=True, slots=True)
class Change(Generic[W]):
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
    def of(cls, request: Any, sent: W) -> Change[W]:
        """The change that a request asks for. Not every kind's request has all of its fields."""
        fields = proto_json.raw(request).DESCRIPTOR.fields_by_name
        return cls(
            sent=sent,
            paths=list(request.update_mask.paths) if "update_mask" in fields else [],
            validate_only=request.validate_only,
            allow_missing=request.allow_missing,
            new_revision="force_new_revision" in fields and request.force_new_revision,
        )


@dataclass(frozen=True, slots=True)
class Kind(Generic[W]):
    """How a kind of workload is spelled at the wire.

    Attributes:
        collection: The collection that it is in.
        calls: How one is got and how they are listed.
        update: The request for an update.
        field: The field of that request which the workload is in.
        mutable: Names of the fields of the workload that callers decide.
        longest: How long the short name of one may be.
    """

    collection: str
    calls: Calls[W]
    update: type[Any]
    field: str
    mutable: frozenset[str]
    longest: int = 49


class Workloads(ABC, Generic[W]):
    """The services, jobs or worker pools of one world; what differs is left to each kind."""

    def __init__(self, writes: Writes, kind: Kind[W]) -> None:
        self._writes = writes
        self._world = writes.world
        self._kind: Kind[W] = kind
        table: dict[str, W] = writes.world.tables()[kind.collection]
        self._shelf: Shelf[W] = Shelf(writes.world, KINDS[kind.collection], table, kind.calls)

    def methods(self) -> list[Method]:
        """The methods of a kind's service: get, list, update."""
        update = self._kind.update
        name = f"/{self._kind.calls.service}/{update.__name__.removesuffix('Request')}"
        return [
            *self._shelf.methods(),
            method(name, update, self._update, writes_to=self._target),
        ]

    @abstractmethod
    def settle(self, before: W, after: W, change: Change[W]) -> None:
        """Fills in defaults and erases what Cloud Run erases; refuses what it refuses."""

    @abstractmethod
    def appear(self, workload: W) -> None:
        """Gives a new workload what it has for good."""

    @abstractmethod
    def renew(self, workload: W) -> None:
        """Makes what a changed template brings along."""

    async def _update(self, request: Any) -> operations_pb2.Operation:
        """Changes a workload, or creates it where the request allows that."""
        change: Change[W] = Change.of(request, getattr(request, self._kind.field))
        key = self._writes.admit(change.sent.name)
        found = self._shelf.table.get(key)
        if found is None:
            self._check_creation(change)
        elif found.delete_time:
            raise being_deleted(self._shelf.kind, change.sent.name)
        before = type(change.sent)(name=change.sent.name) if found is None else found
        after = self._planned(before, change, is_new=found is None)
        unchanged = after == before and not change.new_revision
        if change.validate_only or unchanged:
            return self._writes.answered(key, after)
        self._store(key, before, after, change)
        return self._writes.begun(key, partial(_progress, after.generation))

    def _target(self, request: Any) -> str:
        """The key of what a request writes to; empty if it only asks."""
        sent = getattr(request, self._kind.field)
        return "" if request.validate_only else self._world.canonical(sent.name)

    def _check_creation(self, change: Change[W]) -> None:
        name = change.sent.name
        if not change.allow_missing:
            raise missing(self._shelf.kind, name)
        owner, _, short = name.rpartition(f"/{self._kind.collection}/")
        good = _LOCATION.fullmatch(owner) and _SHORT.fullmatch(short)
        if not good or len(short) > self._kind.longest:
            raise invalid(f"{name!r} is not a name of the kind {self._shelf.kind}")

    def _planned(self, before: W, change: Change[W], *, is_new: bool) -> W:
        """The workload as it would be.

        A masked update is accepted whatever its etag: that was seen of the live API. For full
        replacements there are only reports of conflicts.
        """
        paths = [] if is_new else change.paths
        if not paths:
            check_etag(before, change.sent.etag)
        after = field_masks.merge(before, change.sent, paths, mutable=self._kind.mutable)
        _check_metadata(before, after)
        self.settle(before, after, change)
        return after

    def _store(self, key: str, before: W, after: W, change: Change[W]) -> None:
        """Puts a changed workload into the world, reconciling."""
        now = resources.now()
        after.generation = before.generation + 1
        proto_json.set_moment(after, "update_time", now)
        after.last_modifier = caller()
        after.reconciling = True
        after.terminal_condition = resources.condition("Ready", State.CONDITION_RECONCILING, now)
        if not after.uid:
            after.uid = resources.uid(after.name)
            after.creator = caller()
            proto_json.set_moment(after, "create_time", now)
            self.appear(after)
        if change.new_revision or after.template != before.template:
            self.renew(after)
        after.etag = resources.etag(before.etag, after.generation, now)
        self._shelf.table[key] = after


def _check_metadata(before: W, after: W) -> None:
    """Refuses new labels and annotations in the namespaces that v2 has fields for instead."""
    for kind in ("labels", "annotations"):
        for key in set(getattr(after, kind)) - set(getattr(before, kind)):
            if key.partition("/")[0] in _RESERVED:
                reason = f"the namespace of {key!r} is not supported in v2"
                raise Violation(type(after).__name__, kind, reason)


def _progress(generation: int, workload: W) -> Progress:
    """How far a workload is with the write that made this generation of it."""
    reached = workload.observed_generation >= generation
    failed = workload.terminal_condition.state == State.CONDITION_FAILED
    message = workload.terminal_condition.message or "The desired state was not reached."
    return Progress(done=reached or not workload.reconciling, error=message if failed else "")
