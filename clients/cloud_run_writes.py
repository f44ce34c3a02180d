"""Cloud Run Admin API v2 writes: masked update, IAM policy edit, cancellation, start and stop.

Never sends a template, and never an update without a mask: without a mask, every field that the
update does not name is replaced; with a template, a new revision may be created or the update
refused. A job is never updated: its update takes no mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from google.api_core.exceptions import from_grpc_status
from google.cloud import run_v2
from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from clients.errors import google_call
from clients.retries import WRITE
from clients.service_accounts import DISABLE_VERB, ENABLE_VERB
from clients.unknown_fields import parse_with_unknown
from incident.model import (
    DEPLOY_PERMISSIONS,
    UNKNOWN_FIELDS,
    Change,
    ChangeKind,
    GrantScope,
    Kind,
    Permission,
)

_UPDATE_REASON = "writes the masked fields, and the annotation that names the incident"
_EDIT_REASON = "removes invokers from the IAM policy"
_UPDATE_SERVICE = (
    Permission("run.services.update", GrantScope.WORKLOAD, _UPDATE_REASON),
    *DEPLOY_PERMISSIONS,
)
_UPDATE_POOL = (
    Permission("run.workerpools.update", GrantScope.WORKLOAD, _UPDATE_REASON),
    *DEPLOY_PERMISSIONS,
)
_STOP = Permission("run.instances.stop", GrantScope.WORKLOAD, "stops an instance")
_START = Permission("run.instances.start", GrantScope.WORKLOAD, "starts it again, in a release")
_CANCEL = Permission("run.executions.cancel", GrantScope.WORKLOAD, "cancels running executions")
_SET_POLICY = {
    Kind.SERVICE: Permission("run.services.setIamPolicy", GrantScope.WORKLOAD, _EDIT_REASON),
    Kind.JOB: Permission("run.jobs.setIamPolicy", GrantScope.WORKLOAD, _EDIT_REASON),
}
#: What each kind of change to each kind of workload needs. Other combinations are never sent.
WRITE_PERMISSIONS: Mapping[tuple[ChangeKind, Kind], tuple[Permission, ...]] = {
    (ChangeKind.FIELDS, Kind.SERVICE): _UPDATE_SERVICE,
    (ChangeKind.FIELDS, Kind.WORKER_POOL): _UPDATE_POOL,
    (ChangeKind.FIELDS, Kind.INSTANCE): (_STOP, _START),
    (ChangeKind.IAM_POLICY, Kind.SERVICE): (_SET_POLICY[Kind.SERVICE],),
    (ChangeKind.IAM_POLICY, Kind.JOB): (_SET_POLICY[Kind.JOB],),
    (ChangeKind.CANCELLATION, Kind.JOB): (_CANCEL,),
}

#: The version of an IAM policy that supports conditions.
CONDITIONAL_POLICY_VERSION = 3
_CHANGE, _CHANGE_POLICY, _CANCEL_VERB = "change", "change the IAM policy of", "cancel"
#: The verbs of calls that change a workload, as observers of calls get them.
WRITE_VERBS = frozenset(
    {_CHANGE, _CHANGE_POLICY, _CANCEL_VERB, "start", "stop", DISABLE_VERB, ENABLE_VERB}
)


class WriteApis(Protocol):
    """Google's clients for the writes."""

    @property
    def services(self) -> run_v2.ServicesAsyncClient:
        """Services, and their IAM policies."""

    @property
    def worker_pools(self) -> run_v2.WorkerPoolsAsyncClient:
        """Worker pools, and their IAM policies."""

    @property
    def jobs(self) -> run_v2.JobsAsyncClient:
        """Jobs: their IAM policies only."""

    @property
    def instances(self) -> run_v2.InstancesAsyncClient:
        """Instances."""

    @property
    def executions(self) -> run_v2.ExecutionsAsyncClient:
        """Executions."""


async def send_change(change: Change, apis: WriteApis, *, validate_only: bool) -> int | None:
    """Send one change. Returns the generation that it created, where the answer has it.

    Raises:
        Conflict: Another change to the workload is in progress.
        Retry: A transient failure. The write may have been accepted nevertheless.
        GiveUp: Google refuses it.
        ValueError: An IAM policy change cannot be validated, and a job cannot be updated.
    """
    match change.kind:
        case ChangeKind.CANCELLATION:
            await _cancel(change, apis, validate_only=validate_only)
        case ChangeKind.IAM_POLICY if not validate_only:
            await _set_policy(change, apis)
        case ChangeKind.FIELDS if "/services/" in change.target:
            return await _update_service(change, apis, validate_only=validate_only)
        case ChangeKind.FIELDS if "/workerPools/" in change.target:
            return await _update_pool(change, apis, validate_only=validate_only)
        case ChangeKind.FIELDS if "/instances/" in change.target and "running" in change.after:
            return await _start_or_stop(change, apis, validate_only=validate_only)
        case _:
            raise ValueError(
                f"cannot send a {change.kind} change to {change.target}: no such write exists"
            )
    return None


async def _update_service(change: Change, apis: WriteApis, *, validate_only: bool) -> int | None:
    service = parse_with_unknown({"name": change.target, **change.after}, run_v2.Service.pb()())
    request = run_v2.UpdateServiceRequest(
        service=run_v2.Service.wrap(service),
        update_mask=FieldMask(paths=change.mask),
        validate_only=validate_only,
    )
    with google_call(_verb(validate_only=validate_only), change.target, *_UPDATE_SERVICE):
        operation = await apis.services.update_service(request, **WRITE.options())
        await _check(operation)
    return _generation(operation.operation, run_v2.Service.pb()())


async def _update_pool(change: Change, apis: WriteApis, *, validate_only: bool) -> int | None:
    pool = parse_with_unknown({"name": change.target, **change.after}, run_v2.WorkerPool.pb()())
    request = run_v2.UpdateWorkerPoolRequest(
        worker_pool=run_v2.WorkerPool.wrap(pool),
        update_mask=FieldMask(paths=change.mask),
        validate_only=validate_only,
    )
    with google_call(_verb(validate_only=validate_only), change.target, *_UPDATE_POOL):
        operation = await apis.worker_pools.update_worker_pool(request, **WRITE.options())
        await _check(operation)
    return _generation(operation.operation, run_v2.WorkerPool.pb()())


async def _cancel(change: Change, apis: WriteApis, *, validate_only: bool) -> None:
    request = run_v2.CancelExecutionRequest(name=change.target, validate_only=validate_only)
    verb = "validate the cancellation of" if validate_only else _CANCEL_VERB
    with google_call(verb, change.target, _CANCEL):
        operation = await apis.executions.cancel_execution(request, **WRITE.options())
        await _check(operation)


async def _start_or_stop(change: Change, apis: WriteApis, *, validate_only: bool) -> int | None:
    """Start or stop an instance: the client has no update of one."""
    verb, permission = ("start", _START) if change.after["running"] else ("stop", _STOP)
    request: Any = {"name": change.target, "validate_only": validate_only}
    call: Any = apis.instances.start_instance if verb == "start" else apis.instances.stop_instance
    with google_call(
        f"validate the {verb} of" if validate_only else verb, change.target, permission
    ):
        operation = await call(request, **WRITE.options())
        await _check(operation)
    return _generation(operation.operation, run_v2.Instance.pb()())


async def _set_policy(change: Change, apis: WriteApis) -> None:
    """Replace all bindings of the policy that was read, guarded by its etag.

    Audit configs stay, and so do fields that the locked client does not know. The policy's version
    stays too, but must be 3 where there are conditions, or Google would drop them.
    """
    names = ("bindings", UNKNOWN_FIELDS)
    sent = {name: change.after[name] for name in names if name in change.after}
    policy = parse_with_unknown(sent, policy_pb2.Policy())
    conditional = any(binding.HasField("condition") for binding in policy.bindings)
    version = CONDITIONAL_POLICY_VERSION if conditional else change.after.get("version")
    policy.version = version if isinstance(version, int) else 0
    policy.etag = bytes.fromhex(change.etag)
    request = iam_policy_pb2.SetIamPolicyRequest(resource=change.target, policy=policy)
    kind = Kind.JOB if "/jobs/" in change.target else Kind.SERVICE
    api: Any = apis.jobs if kind is Kind.JOB else apis.services
    with google_call(_CHANGE_POLICY, change.target, _SET_POLICY[kind]):
        await api.set_iam_policy(request, **WRITE.options())


def _verb(*, validate_only: bool) -> str:
    return "validate a change of" if validate_only else _CHANGE


async def _check(operation: Any) -> None:
    """Raise the error of an operation that has failed already."""
    if not operation.operation.done or await operation.exception() is None:
        return
    error = operation.operation.error
    raise from_grpc_status(error.code, error.message)  # type: ignore[no-untyped-call]


def _generation(operation: Any, resource: Any) -> int | None:
    """The generation that an accepted update created, where the operation has it."""
    if not operation.metadata.Unpack(resource):
        return None
    return int(resource.generation) or None
