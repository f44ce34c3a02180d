"""Cloud Run instances: get, list, start, stop."""

from __future__ import annotations

from google.cloud import run_v2
from google.longrunning import operations_pb2

from emulator.api import proto_json
from emulator.api.errors import being_deleted
from emulator.services.cloud_logging.activity_log import current_caller
from emulator.services.cloud_run.get_and_list import ResourceApi, ResourceTable
from emulator.services.cloud_run.write_operations import WriteOperations, check_etag
from emulator.services.gate import Method, method
from emulator.world.cloud_run import instance_rules, resources
from emulator.world.cloud_run.operation_progress import OperationProgress
from emulator.world.cloud_run.resources import State

GRPC_SERVICE = "google.cloud.run.v2.Instances"
_Change = run_v2.StartInstanceRequest | run_v2.StopInstanceRequest


class Instances:
    """The instances of one world. They have no update here, as in the locked client library."""

    def __init__(self, writes: WriteOperations) -> None:
        api: ResourceApi[run_v2.Instance] = ResourceApi(
            GRPC_SERVICE,
            run_v2.GetInstanceRequest,
            run_v2.ListInstancesRequest,
            lambda page, token: run_v2.ListInstancesResponse(instances=page, next_page_token=token),
        )
        self._writes = writes
        self._world = writes.world
        self._table = ResourceTable(self._world, "INSTANCE", self._world.instances, api)

    def methods(self) -> list[Method]:
        """The methods of `google.cloud.run.v2.Instances`."""
        return [
            *self._table.methods(),
            method(
                f"/{GRPC_SERVICE}/StopInstance",
                run_v2.StopInstanceRequest,
                self.stop,
                writes_to=self._target,
            ),
            method(
                f"/{GRPC_SERVICE}/StartInstance",
                run_v2.StartInstanceRequest,
                self.start,
                writes_to=self._target,
            ),
        ]

    async def stop(self, request: run_v2.StopInstanceRequest) -> operations_pb2.Operation:
        """Stops an instance; nothing changes where it is stopped."""
        return self._change(request, stop=True)

    async def start(self, request: run_v2.StartInstanceRequest) -> operations_pb2.Operation:
        """Starts an instance; nothing changes where it runs."""
        return self._change(request, stop=False)

    def _change(self, request: _Change, *, stop: bool) -> operations_pb2.Operation:
        key = self._writes.take_quota(request.name)
        stored = self._table.get(request.name)
        if proto_json.unwrap(stored).HasField("delete_time"):
            raise being_deleted("INSTANCE", request.name)
        check_etag(stored, request.etag)
        instance = proto_json.copy(stored)
        if instance_rules.is_stopped(stored) is stop:
            return self._writes.finished(key, instance)
        instance_rules.begin_change(instance, stop=stop, now=resources.current_time())
        instance.last_modifier = current_caller()
        instance.etag = resources.make_etag(instance.name, instance.generation)
        if request.validate_only:
            return self._writes.finished(key, instance)
        self._world.instances[key] = instance
        return self._writes.started(key, _progress)

    def _target(self, request: _Change) -> str:
        return "" if request.validate_only else self._world.canonical(request.name)


def _progress(instance: run_v2.Instance) -> OperationProgress:
    failed = instance.terminal_condition.state == State.CONDITION_FAILED
    error = instance.terminal_condition.message if failed else ""
    return OperationProgress(done=not instance.reconciling, error=error)
