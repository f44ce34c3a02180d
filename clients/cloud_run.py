"""Cloud Run Admin API v2 client: read workloads, IAM policies, revisions, executions.

The writes are in ``cloud_run_writes``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from google.cloud import run_v2
from google.iam.v1 import iam_policy_pb2, options_pb2

from clients.cloud_run_conversion import (
    access_of,
    configuration_of,
    execution_of,
    listed_workload_of,
    task_of,
    template_of,
)
from clients.cloud_run_writes import CONDITIONAL_POLICY_VERSION, WRITE_PERMISSIONS, send_change
from clients.errors import google_call
from clients.observed_secrets import ObservedSecrets
from clients.paging import ListBounds, read_all
from clients.retries import PATIENT, PROMPT
from clients.service_accounts import DISABLE, ENABLE, GET, ServiceAccounts
from incident.model import (
    Access,
    Change,
    ChangeKind,
    CutList,
    Execution,
    GiveUp,
    GrantScope,
    IncidentError,
    Kind,
    ListedWorkload,
    Listing,
    Missing,
    Permission,
    ServiceAccount,
    Task,
    Template,
    Workload,
    WorkloadConfiguration,
    found_in,
    with_found,
)

T = TypeVar("T", Template, Execution)

#: Length of one page; Cloud Run's own limit of a page is not documented.
_PAGE_SIZE = 100
#: Resources that are read by name at a time, and at most, where a list was cut.
_CONCURRENT_GETS, _MAX_NAMED = 20, 200


class CloudRunBounds(NamedTuple):
    """How much of each list is read.

    The defaults are above Cloud Run's quotas: 1,000 running executions per project and region and
    1,000 finished ones per job; 1,000 revisions and those of up to 2,000 tags.

    Attributes:
        revisions: Revisions of a service or worker pool. Supporting evidence waits for them.
        executions: Executions of a job. The decision and the verification wait for them.
        tasks: Tasks of an execution, which may have 10,000. Evidence only.
        workloads: Workloads of a kind in a region of a project.
    """

    revisions: ListBounds = ListBounds(3_000, 8)
    executions: ListBounds = ListBounds(3_000, 30)
    tasks: ListBounds = ListBounds(1_000, 8)
    workloads: ListBounds = ListBounds(5_000, 60)


BOUNDS = CloudRunBounds()


# How permissions name each kind of workload.
_RESOURCES = {
    Kind.SERVICE: "services",
    Kind.JOB: "jobs",
    Kind.WORKER_POOL: "workerpools",
    Kind.INSTANCE: "instances",
}


def _permission_by_kind(verb: str, reason: str) -> Mapping[Kind, Permission]:
    return {
        kind: Permission(f"run.{resource}.{verb}", GrantScope.WORKLOAD, reason)
        for kind, resource in _RESOURCES.items()
    }


#: What reading the settings of each kind of workload needs.
GET_PERMISSIONS = _permission_by_kind("get", "reads the settings, also before and after a write")
_ACCESS = _permission_by_kind(
    "getIamPolicy", "reads who may reach it or start it, also before and after an edit"
)
_REVISIONS = Permission("run.revisions.list", GrantScope.WORKLOAD, "reads what ran and what runs")
_EXECUTIONS = Permission(
    "run.executions.list",
    GrantScope.WORKLOAD,
    "finds running executions, and verifies that they have ended",
)
_REVISION = Permission(
    "run.revisions.get", GrantScope.WORKLOAD, "reads a revision by name where the list was cut"
)
#: What reading the revisions of a service or worker pool needs.
REVISION_PERMISSIONS = (_REVISIONS, _REVISION)
_EXECUTION = Permission(
    "run.executions.get", GrantScope.WORKLOAD, "reads an execution by name where the list was cut"
)
_TASKS = Permission(
    "run.tasks.list", GrantScope.WORKLOAD, "reads how the tasks of an execution ended"
)
#: What reading each kind of workload needs: its settings and the evidence about it.
READ_PERMISSIONS: Mapping[Kind, tuple[Permission, ...]] = {
    Kind.SERVICE: (
        GET_PERMISSIONS[Kind.SERVICE],
        _ACCESS[Kind.SERVICE],
        *REVISION_PERMISSIONS,
    ),
    Kind.WORKER_POOL: (
        GET_PERMISSIONS[Kind.WORKER_POOL],
        _ACCESS[Kind.WORKER_POOL],
        *REVISION_PERMISSIONS,
    ),
    Kind.JOB: (GET_PERMISSIONS[Kind.JOB], _ACCESS[Kind.JOB], _EXECUTIONS, _EXECUTION, _TASKS),
    Kind.INSTANCE: (GET_PERMISSIONS[Kind.INSTANCE],),
}

#: What listing workloads needs, once for each project.
LIST_PERMISSIONS: tuple[Permission, ...] = tuple(
    Permission(
        f"run.{resource}.list",
        GrantScope.PROJECT,
        "lists the workloads of a region where the inventory is off",
    )
    for resource in _RESOURCES.values()
)


def permissions_for_change(change: ChangeKind, kind: Kind) -> tuple[Permission, ...]:
    """Permissions for a kind of change to a kind of workload: read, write, read back."""
    read = {
        ChangeKind.FIELDS: (GET_PERMISSIONS[kind],),
        ChangeKind.IAM_POLICY: (_ACCESS[kind],),
        ChangeKind.CANCELLATION: (_EXECUTIONS, _EXECUTION),
        ChangeKind.SERVICE_ACCOUNT: (GET,),
    }[change]
    if change is ChangeKind.SERVICE_ACCOUNT:
        return (*read, DISABLE, ENABLE)
    return tuple(dict.fromkeys((GET_PERMISSIONS[kind], *read, *WRITE_PERMISSIONS[change, kind])))


@dataclass(frozen=True, slots=True)
class CloudRunApis:
    """Google's clients of Cloud Run, one for each kind of resource."""

    services: run_v2.ServicesAsyncClient
    worker_pools: run_v2.WorkerPoolsAsyncClient
    jobs: run_v2.JobsAsyncClient
    executions: run_v2.ExecutionsAsyncClient
    tasks: run_v2.TasksAsyncClient
    revisions: run_v2.RevisionsAsyncClient
    instances: run_v2.InstancesAsyncClient

    def for_kind(self, kind: Kind) -> Any:
        """The client of a kind of workload."""
        clients = {
            Kind.SERVICE: self.services,
            Kind.JOB: self.jobs,
            Kind.WORKER_POOL: self.worker_pools,
            Kind.INSTANCE: self.instances,
        }
        return clients[kind]


class CloudRun:
    """Reads and writes Cloud Run workloads.

    Args:
        apis: Google's clients.
        service_accounts: Reads and writes the service accounts that workloads run as.
        dry_run: Refuse every write unless it is validate-only.
        observed_secrets: Collects the environment values that are read; None to collect nothing.
        bounds: How much of each list is read.
    """

    def __init__(
        self,
        apis: CloudRunApis,
        service_accounts: ServiceAccounts,
        *,
        dry_run: bool = False,
        observed_secrets: ObservedSecrets | None = None,
        bounds: CloudRunBounds | None = None,
    ) -> None:
        self._apis = apis
        self._service_accounts = service_accounts
        self._bounds = bounds or BOUNDS
        self._observed_secrets = observed_secrets
        self._dry_run = dry_run

    async def configuration(self, workload: Workload) -> WorkloadConfiguration:
        """The workload's current settings.

        Raises:
            Retry: A transient failure.
            Missing: The workload does not exist.
            Denied: ``run.services.get``, or that of its kind, is missing.
        """
        name = workload.resource_name
        get = {
            Kind.SERVICE: self._apis.services.get_service,
            Kind.JOB: self._apis.jobs.get_job,
            Kind.WORKER_POOL: self._apis.worker_pools.get_worker_pool,
            Kind.INSTANCE: self._apis.instances.get_instance,
        }[workload.kind]
        with google_call("read the settings of", name, GET_PERMISSIONS[workload.kind]):
            found = configuration_of(await get(name=name, **PROMPT.options()))
        self._observe(name, (found.template,))
        return found

    async def list_workloads(
        self, project: str, region: str, kind: Kind
    ) -> tuple[ListedWorkload, ...]:
        """All workloads of a kind in one region of a project.

        Raises:
            Retry: A transient failure.
            GiveUp: A permanent failure, or more workloads than are read.
        """
        parent = f"projects/{project}/locations/{region}"
        permission = LIST_PERMISSIONS[list(_RESOURCES).index(kind)]
        listing: Any = {
            Kind.SERVICE: self._apis.services.list_services,
            Kind.JOB: self._apis.jobs.list_jobs,
            Kind.WORKER_POOL: self._apis.worker_pools.list_worker_pools,
            Kind.INSTANCE: self._apis.instances.list_instances,
        }[kind]
        with google_call(f"list the {kind.collection} in", parent, permission):
            found = await read_all(
                f"{kind.collection} in {parent}",
                lambda: listing(parent=parent, **PATIENT.options()),
                listed_workload_of,
                self._bounds.workloads,
            )
        if isinstance(found, CutList):
            raise GiveUp(f"cannot list the {kind.collection} in {parent}: {found.reason}")
        return found

    async def revisions(self, workload: Workload, named: Collection[str] = ()) -> Listing[Template]:
        """The revisions of a service or pool, newest first.

        Of a cut list, those named and those with traffic or a tag are read by name.

        Args:
            workload: The service or worker pool.
            named: Short names of revisions that the caller needs.

        Raises:
            Retry: A transient failure.
            GiveUp: A permanent failure.
        """
        name = workload.resource_name
        request = run_v2.ListRevisionsRequest(parent=name, page_size=_PAGE_SIZE)
        with google_call("list the revisions of", name, _REVISIONS):
            found = await read_all(
                f"revisions of {name}",
                lambda: self._apis.revisions.list_revisions(request, **PROMPT.options()),
                template_of,
                self._bounds.revisions,
                key=lambda template: template.revision,
            )
        if isinstance(found, CutList):
            wanted = [*named, *await self._live_revisions(workload)]
            known = {template.revision for template in found.found}
            found = await self._with_named(found, wanted, known, self._revision_reader(workload))
        self._observe(name, found_in(found))
        if isinstance(found, CutList):
            return found
        return tuple(sorted(found, key=_creation_key, reverse=True))

    async def executions(
        self, workload: Workload, named: Collection[str] = ()
    ) -> Listing[Execution]:
        """The executions of a job, newest first. The list takes no filter for those that run.

        Of a cut list, those named are read by name.

        Args:
            workload: The job.
            named: Short names of executions that the caller needs.

        Raises:
            Retry: A transient failure.
            GiveUp: A permanent failure.
        """
        name = workload.resource_name
        request = run_v2.ListExecutionsRequest(parent=name, page_size=_PAGE_SIZE)
        with google_call("list the executions of", name, _EXECUTIONS):
            found = await read_all(
                f"executions of {name}",
                lambda: self._apis.executions.list_executions(request, **PROMPT.options()),
                execution_of,
                self._bounds.executions,
                key=lambda execution: execution.name,
            )
        if isinstance(found, CutList):
            known = {execution.short_name for execution in found.found}
            found = await self._with_named(found, named, known, self._execution_reader(workload))
        self._observe(name, (execution.template for execution in found_in(found)))
        return found

    async def tasks(self, execution: str) -> Listing[Task]:
        """The tasks of an execution, given by its resource name.

        Raises:
            Retry: A transient failure.
            GiveUp: A permanent failure.
        """
        request = run_v2.ListTasksRequest(parent=execution, page_size=_PAGE_SIZE)
        with google_call("list the tasks of", execution, _TASKS):
            return await read_all(
                f"tasks of {execution}",
                lambda: self._apis.tasks.list_tasks(request, **PATIENT.options()),
                task_of,
                self._bounds.tasks,
                key=lambda task: task.name,
            )

    async def _live_revisions(self, workload: Workload) -> Sequence[str]:
        """The revisions with traffic or a tag, by the settings and by the serving state."""
        try:
            return (await self.configuration(workload)).addressed_revisions
        except IncidentError:
            return ()

    def _revision_reader(self, workload: Workload) -> Callable[[str], Awaitable[Template]]:
        async def read(short_name: str) -> Template:
            name = f"{workload.resource_name}/revisions/{short_name}"
            with google_call("read the revision", name, _REVISION):
                return template_of(
                    await self._apis.revisions.get_revision(name=name, **PROMPT.options())
                )

        return read

    def _execution_reader(self, workload: Workload) -> Callable[[str], Awaitable[Execution]]:
        async def read(short_name: str) -> Execution:
            name = f"{workload.resource_name}/executions/{short_name}"
            with google_call("read the execution", name, _EXECUTION):
                return execution_of(
                    await self._apis.executions.get_execution(name=name, **PROMPT.options())
                )

        return read

    async def _with_named(
        self,
        cut: CutList[T],
        wanted: Iterable[str],
        known: Collection[str],
        read: Callable[[str], Awaitable[T]],
    ) -> CutList[T]:
        """A cut list with what it lacks of some names, each read on its own.

        A name that does not exist any more is left out. Any other failure is part of the reason.
        """
        missing = [name for name in dict.fromkeys(wanted) if name and name not in known]
        turn = asyncio.Semaphore(_CONCURRENT_GETS)

        async def read_one(name: str) -> T | IncidentError:
            async with turn:
                try:
                    return await read(name)
                except IncidentError as error:
                    return error

        answers = await asyncio.gather(*(read_one(name) for name in missing[:_MAX_NAMED]))
        reasons = [
            str(answer)
            for answer in answers
            if isinstance(answer, IncidentError) and not isinstance(answer, Missing)
        ][:1]
        if len(missing) > _MAX_NAMED:
            reasons.append(f"only {_MAX_NAMED} of {len(missing)} were read by name")
        more = [answer for answer in answers if not isinstance(answer, IncidentError)]
        return with_found(cut, more, "; ".join(reasons))

    async def access(self, workload: Workload) -> Access:
        """The workload's own IAM policy, with conditional bindings.

        Raises:
            Retry: A transient failure.
            GiveUp: A permanent failure; always for an instance, whose policy v2 does not serve.
        """
        name = workload.resource_name
        if workload.kind is Kind.INSTANCE:
            raise GiveUp(
                f"cannot read the IAM policy of {name}: version 2 of the API has none of instances."
                f" Run: gcloud beta run instances get-iam-policy {workload.name} --project="
                f"{workload.project} --region={workload.location}"
            )
        options = options_pb2.GetPolicyOptions(requested_policy_version=CONDITIONAL_POLICY_VERSION)
        request = iam_policy_pb2.GetIamPolicyRequest(resource=name, options=options)
        with google_call("read the IAM policy of", name, _ACCESS[workload.kind]):
            policy = await self._apis.for_kind(workload.kind).get_iam_policy(
                request, **PROMPT.options()
            )
        return access_of(policy)

    async def service_account(self, email: str) -> ServiceAccount:
        """A service account as it is now.

        Raises:
            Retry: A transient failure.
            GiveUp: A permanent failure.
        """
        return await self._service_accounts.get(email)

    async def missing_permissions(
        self, workload: Workload, change: ChangeKind, target: str = ""
    ) -> tuple[str, ...]:
        """The permissions on the workload itself that a kind of change to it lacks.

        Of a change to a service account, the permissions on the account.

        TestIamPermissions itself needs no permission (Google's reference). Instances have none of
        it: only a validated write tells.

        Args:
            workload: The workload.
            change: The kind of change.
            target: Resource name of what the change writes to, where that is not the workload.

        Raises:
            Retry: A transient failure.
            GiveUp: A permanent failure.
        """
        if change is ChangeKind.SERVICE_ACCOUNT:
            return await self._service_accounts.missing_permissions(target)
        if workload.kind is Kind.INSTANCE:
            return ()
        name = workload.resource_name
        needed = permissions_for_change(change, workload.kind)
        wanted = [each.name for each in needed if each.scope is GrantScope.WORKLOAD]
        request = iam_policy_pb2.TestIamPermissionsRequest(resource=name, permissions=wanted)
        with google_call("test our permissions on", name):
            api = self._apis.for_kind(workload.kind)
            answer = await api.test_iam_permissions(request, **PATIENT.options())
        return tuple(sorted(set(wanted) - set(answer.permissions)))

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change: of fields, an IAM policy, an execution, an instance or an account.

        The API answers when it has accepted the write, not when the write is in effect. The
        only precondition sent is the etag of an IAM policy: the API checks no other.

        Returns:
            The generation that an update created, where the answer has it.

        Raises:
            Conflict: Another change to the workload is under way.
            Retry: Time may heal it. The write may have been accepted all the same.
            GiveUp: Google refuses the change, or this is a rehearsal.
        """
        if self._dry_run and not validate_only:
            raise GiveUp(f"cannot change {change.target}: this is a dry run, nothing is written")
        if change.kind is ChangeKind.SERVICE_ACCOUNT:
            if validate_only:
                raise ValueError(f"cannot validate a change of {change.target}: Google cannot")
            disabled = change.after.get("disabled") is True
            await self._service_accounts.set_disabled(change.target, disabled=disabled)
            return None
        return await send_change(change, self._apis, validate_only=validate_only)

    def _observe(self, name: str, templates: Iterable[Template]) -> None:
        if self._observed_secrets:
            self._observed_secrets.add_templates(name, templates)


def _creation_key(template: Template) -> tuple[float, str]:
    created = template.create_time
    return (created.timestamp() if created else 0.0, template.revision)
