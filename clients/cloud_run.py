"""Cloud Run Admin API v2: what there is to be read of a workload, of every kind.

Writing is next door, in ``cloud_run_writing``.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.cloud import run_v2
from google.iam.v1 import iam_policy_pb2, options_pb2

from clients.cloud_run_reading import (
    access_of,
    execution_of,
    settings_of,
    task_of,
    template_of,
)
from clients.cloud_run_writing import send
from clients.errors import calling
from clients.retries import PATIENT, PROMPT
from incident.model import (
    Access,
    Change,
    Execution,
    Kind,
    Settings,
    Task,
    Template,
    Workload,
)

T = TypeVar("T")

#: How permissions name each kind of workload.
_RESOURCES = {Kind.SERVICE: "services", Kind.JOB: "jobs", Kind.WORKER_POOL: "workerpools"}
_MOST = 100
_CONDITIONAL_POLICY_VERSION = 3


@dataclass(frozen=True, slots=True)
class RunApis:
    """Google's clients of Cloud Run, one for each kind of resource."""

    services: run_v2.ServicesAsyncClient
    worker_pools: run_v2.WorkerPoolsAsyncClient
    jobs: run_v2.JobsAsyncClient
    executions: run_v2.ExecutionsAsyncClient
    tasks: run_v2.TasksAsyncClient
    revisions: run_v2.RevisionsAsyncClient

    def of(self, kind: Kind) -> Any:
        """The client of a kind of workload."""
        clients = {
            Kind.SERVICE: self.services,
            Kind.JOB: self.jobs,
            Kind.WORKER_POOL: self.worker_pools,
        }
        return clients[kind]


class CloudRun:
    """Reads and writes Cloud Run workloads."""

    def __init__(self, apis: RunApis) -> None:
        self._apis = apis

    async def settings(self, workload: Workload) -> Settings:
        """The workload's settings as they are now.

        Raises:
            Retry: Time may heal it.
            Missing: The workload does not exist.
            Denied: ``run.services.get``, or that of its kind, is missing.
        """
        name = workload.resource_name
        get = {
            Kind.SERVICE: self._apis.services.get_service,
            Kind.JOB: self._apis.jobs.get_job,
            Kind.WORKER_POOL: self._apis.worker_pools.get_worker_pool,
        }[workload.kind]
        with calling("read the settings of", name, _permission(workload.kind, "get")):
            return settings_of(await get(name=name, **PROMPT.options()))

    async def revisions(self, workload: Workload) -> tuple[Template, ...]:
        """The revisions of a service or pool, newest first, at most a hundred.

        Raises:
            Retry: Time may heal it.
            GiveUp: It will not.
        """
        name = workload.resource_name
        with calling("list the revisions of", name, "run.revisions.list"):
            request = run_v2.ListRevisionsRequest(parent=name, page_size=_MOST)
            pages = await self._apis.revisions.list_revisions(request, **PROMPT.options())
            found = await _first(pages, template_of)
        return tuple(sorted(found, key=_age, reverse=True))

    async def executions(self, workload: Workload) -> tuple[Execution, ...]:
        """The executions of a job, newest first, at most a hundred.

        Raises:
            Retry: Time may heal it.
            GiveUp: It will not.
        """
        name = workload.resource_name
        with calling("list the executions of", name, "run.executions.list"):
            request = run_v2.ListExecutionsRequest(parent=name, page_size=_MOST)
            pages = await self._apis.executions.list_executions(request, **PROMPT.options())
            return await _first(pages, execution_of)

    async def tasks(self, execution: str) -> tuple[Task, ...]:
        """The tasks of an execution by its resource name, at most a hundred.

        Raises:
            Retry: Time may heal it.
            GiveUp: It will not.
        """
        with calling("list the tasks of", execution, "run.tasks.list"):
            request = run_v2.ListTasksRequest(parent=execution, page_size=_MOST)
            pages = await self._apis.tasks.list_tasks(request, **PATIENT.options())
            return await _first(pages, task_of)

    async def access(self, workload: Workload) -> Access:
        """The workload's own IAM policy, with conditional bindings.

        Raises:
            Retry: Time may heal it.
            GiveUp: It will not.
        """
        name = workload.resource_name
        options = options_pb2.GetPolicyOptions(requested_policy_version=_CONDITIONAL_POLICY_VERSION)
        request = iam_policy_pb2.GetIamPolicyRequest(resource=name, options=options)
        with calling("read the IAM policy of", name, _permission(workload.kind, "getIamPolicy")):
            policy = await self._apis.of(workload.kind).get_iam_policy(request, **PROMPT.options())
        return access_of(policy)

    async def lacking(self, workload: Workload, permissions: Sequence[str]) -> tuple[str, ...]:
        """Which of some permissions on the workload we do not have.

        Raises:
            Retry: Time may heal it.
            GiveUp: It will not.
        """
        name = workload.resource_name
        request = iam_policy_pb2.TestIamPermissionsRequest(resource=name, permissions=permissions)
        with calling("test our permissions on", name, _permission(workload.kind, "get")):
            api = self._apis.of(workload.kind)
            answer = await api.test_iam_permissions(request, **PATIENT.options())
        return tuple(sorted(set(permissions) - set(answer.permissions)))

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change: a masked update, an edit of an IAM policy, or a cancellation.

        The API answers when it has accepted the write, not when it is in effect; and no
        condition on what was there before is sent but the etag of an IAM policy, since the
        API holds to no other.

        Returns:
            The generation that an update made, where the answer tells it.

        Raises:
            Conflict: Another change to the workload is under way.
            Retry: Time may heal it. The write may have been accepted all the same.
            GiveUp: Google refuses the change.
        """
        return await send(change, self._apis, validate_only=validate_only)


def _permission(kind: Kind, verb: str) -> str:
    return f"run.{_RESOURCES[kind]}.{verb}"


async def _first(pages: AsyncIterable[Any], read: Callable[[Any], T]) -> tuple[T, ...]:
    """The first hundred of a list that comes in pages."""
    found: list[T] = []
    async for item in pages:
        found.append(read(item))
        if len(found) == _MOST:
            break
    return tuple(found)


def _age(template: Template) -> tuple[float, str]:
    made = template.create_time
    return (made.timestamp() if made else 0.0, template.revision)
