"""Accept a Cloud Run write: quota, etag check, long-running operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.longrunning import operations_pb2

from emulator.api.errors import write_conflict
from emulator.api.rate_limit import Quota
from emulator.api.resource_names import last_segment, segment_after
from emulator.services.cloud_run.long_running_operations import Operations
from emulator.services.cloud_run.reconciliation import Reconciler
from emulator.world.cloud_run.operation_progress import OperationProgress
from emulator.world.state import World


class WriteOperations:
    """What the writes to all kinds of resources share.

    Attributes:
        world: Where they are stored.
    """

    def __init__(self, world: World, reconciler: Reconciler, operations: Operations) -> None:
        self.world = world
        self._reconciler = reconciler
        self._operations = operations
        self._quota = Quota("Write requests per region", "run.googleapis.com")

    def take_quota(self, name: str) -> str:
        """The key of a resource that is about to be written, within the quota of its region."""
        key = self.world.canonical(name)
        self._quota.consume(f"{segment_after(key, 'projects')}/{segment_after(key, 'locations')}")
        return key

    def finished(self, key: str, result: Any) -> operations_pb2.Operation:
        """The answer to a write that keeps nothing."""
        return self._operations.finished(key, result)

    def started(
        self, key: str, progress: Callable[[Any], OperationProgress], *, reconcile: bool = True
    ) -> operations_pb2.Operation:
        """The answer to a write that was just stored; brings about what it asks for."""
        operation = self._operations.start(key, progress)
        if reconcile:
            self._reconciler.start(key)
        return operation


def check_etag(stored: Any, sent: str) -> None:
    """Refuses a write that is meant for another version than the stored one."""
    if sent and sent != stored.etag:
        raise write_conflict(last_segment(stored.name), stored.generation)
