"""Read a workload's settings, IAM policy, revisions and executions; cache within a run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection
from dataclasses import replace
from typing import Any, Protocol

from incident.investigation.runtime_accounts import (
    runtime_accounts,
    with_accounts,
    with_templates,
)
from incident.model import (
    Access,
    CutList,
    Execution,
    Finding,
    Kind,
    Listing,
    Secret,
    ServiceAccount,
    Template,
    Workload,
    WorkloadConfiguration,
    WorkloadDetail,
    found_in,
)
from incident.model.concurrency import gather_all

#: The details that exist for each kind of workload.
READABLE_NEEDS = {
    Kind.SERVICE: (WorkloadDetail.ACCESS, WorkloadDetail.REVISIONS),
    Kind.JOB: (WorkloadDetail.ACCESS, WorkloadDetail.EXECUTIONS),
    Kind.WORKER_POOL: (),
    Kind.INSTANCE: (),
}
#: How often a job's executions are listed until its latest one is among them.
_EXECUTION_LISTS = 3
_ACCOUNT_NEEDS = frozenset({WorkloadDetail.ACCOUNTS, WorkloadDetail.RUNTIME_ACCOUNTS})


class WorkloadReader(Protocol):
    """Reads workloads from Cloud Run, and the service accounts that they run as."""

    async def configuration(self, workload: Workload) -> WorkloadConfiguration:
        """Its current settings."""

    async def service_account(self, email: str) -> ServiceAccount:
        """A service account as it is now."""

    async def access(self, workload: Workload) -> Access:
        """Its IAM policy."""

    async def revisions(self, workload: Workload, named: Collection[str] = ()) -> Listing[Template]:
        """Its revisions, newest first; of a cut list also those named, by short name."""

    async def executions(
        self, workload: Workload, named: Collection[str] = ()
    ) -> Listing[Execution]:
        """The executions of a job, newest first; of a cut list also those named."""


async def read_workload(
    workload: Workload,
    needs: Collection[WorkloadDetail],
    reader: WorkloadReader,
    named: Collection[str] = (),
) -> WorkloadConfiguration:
    """The settings with the needed details, read concurrently.

    Args:
        workload: What is read.
        needs: The details.
        reader: Reads from Cloud Run.
        named: Short names of revisions and executions that the caller needs, whatever the length
            of the list.

    Raises:
        Retry: A transient failure.
        GiveUp: A permanent failure.
    """
    of_workload = _without_accounts(needs)
    configuration, *values = await gather_all(
        reader.configuration(workload),
        *(_read_need(need, workload, reader, named) for need in of_workload),
    )
    values_by_field = {need.value: value for need, value in zip(of_workload, values, strict=True)}
    filled: WorkloadConfiguration = replace(configuration, **values_by_field)
    return await _with_accounts(filled, workload, needs, reader, named)


async def read_executions_first(
    workload: Workload,
    needs: Collection[WorkloadDetail],
    reader: WorkloadReader,
    named: Collection[str] = (),
) -> WorkloadConfiguration:
    """The same, with the executions read before the rest, to verify that nothing runs.

    A list of many pages takes seconds. The IAM policy is read after it, and so is the job, which
    names its latest execution: if that began while the pages were read, both are read again, three
    times at most.

    Args:
        workload: What is read.
        needs: The details.
        reader: Reads from Cloud Run.
        named: As for :func:`read_workload`.

    Raises:
        Retry: A transient failure.
        GiveUp: A permanent failure.
    """
    if WorkloadDetail.EXECUTIONS not in needs:
        return await read_workload(workload, needs, reader, named)
    rest, missing = frozenset(needs) - {WorkloadDetail.EXECUTIONS}, ""
    for _ in range(_EXECUTION_LISTS):
        listed = await reader.executions(workload, named)
        configuration = await read_workload(workload, rest, reader, named)
        latest = configuration.latest_execution
        configuration = replace(configuration, executions=listed)
        if isinstance(listed, CutList):
            return configuration
        # What an earlier reading named and no list has is deleted.
        if latest in {"", missing, *(each.short_name for each in listed)}:
            return configuration
        missing = latest
        cut = CutList(listed, f"{latest} began while the executions were listed")
    return replace(configuration, executions=cut)


async def add_needs(
    configuration: WorkloadConfiguration,
    workload: Workload,
    needs: Collection[WorkloadDetail],
    reader: WorkloadReader,
    named: Collection[str] = (),
) -> WorkloadConfiguration:
    """The same settings with further details; ``named`` as for :func:`read_workload`."""
    of_workload = _without_accounts(needs)
    values = await gather_all(*(_read_need(need, workload, reader, named) for need in of_workload))
    values_by_field = {need.value: value for need, value in zip(of_workload, values, strict=True)}
    filled: WorkloadConfiguration = replace(configuration, **values_by_field)
    return await _with_accounts(filled, workload, needs, reader, named)


def _without_accounts(needs: Collection[WorkloadDetail]) -> tuple[WorkloadDetail, ...]:
    """The details of the workload itself; which accounts it runs as is known after them."""
    return tuple(need for need in needs if need not in _ACCOUNT_NEEDS)


async def _with_accounts(
    configuration: WorkloadConfiguration,
    workload: Workload,
    needs: Collection[WorkloadDetail],
    reader: WorkloadReader,
    named: Collection[str],
) -> WorkloadConfiguration:
    """The settings with the accounts that are needed: those that are named, those it runs as."""
    emails: list[str] = []
    if WorkloadDetail.ACCOUNTS in needs:
        emails = [name for name in named if "@" in name]
    if WorkloadDetail.RUNTIME_ACCOUNTS in needs:
        configuration = await with_templates(configuration, workload, reader, named)
        emails += runtime_accounts(configuration, named)
    if not emails and not _ACCOUNT_NEEDS & frozenset(needs):
        return configuration
    return await with_accounts(configuration, emails, reader)


def names_in(finding: Finding) -> frozenset[str]:
    """The revision and the execution that a finding names, by short name."""
    return frozenset(name for name in (finding.revision, finding.execution) if name)


def _read_need(
    need: WorkloadDetail, workload: Workload, reader: WorkloadReader, named: Collection[str]
) -> Awaitable[Any]:
    match need:
        case WorkloadDetail.ACCESS:
            return reader.access(workload)
        case WorkloadDetail.REVISIONS:
            return reader.revisions(workload, named)
        case WorkloadDetail.EXECUTIONS:
            return reader.executions(workload, named)
        case WorkloadDetail.ACCOUNTS | WorkloadDetail.RUNTIME_ACCOUNTS:
            raise ValueError("accounts are read once the other details are known")


class CachedWorkloadReader:
    """Reads workloads for one run of an incident; details are read once and shared.

    Settings are read again each time. Details are requested when the run begins, before it is
    known whether the policy needs them: they are evidence in any case, and only what needs them
    waits for them.
    """

    def __init__(self, reader: WorkloadReader) -> None:
        self._reader = reader
        self._pending: dict[tuple[WorkloadDetail, str], asyncio.Future[Any]] = {}
        self._names: frozenset[str] = frozenset()
        self._names_read: dict[WorkloadDetail, frozenset[str]] = {}
        self._configuration: WorkloadConfiguration | None = None

    def prefetch(self, finding: Finding) -> None:
        """Start reading all details of a finding's workload; a cut list also has what it names."""
        self._names |= names_in(finding)
        workload = finding.workload
        if workload is None:
            return
        for need in READABLE_NEEDS[workload.kind]:
            self._read_once(need, workload)

    def close(self) -> None:
        """Cancel pending reads."""
        for pending in self._pending.values():
            pending.cancel()

    async def configuration(self, workload: Workload) -> WorkloadConfiguration:
        """The workload's current settings, not cached."""
        self._configuration = await self._reader.configuration(workload)
        return self._configuration

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Secret values in everything read so far, also where other reads failed."""
        templates = [self._configuration.template] if self._configuration else []
        for (need, _), pending in self._pending.items():
            if not pending.done() or pending.cancelled() or pending.exception():
                continue
            if need is WorkloadDetail.REVISIONS:
                templates += found_in(pending.result())
            elif need is WorkloadDetail.EXECUTIONS:
                templates += [execution.template for execution in found_in(pending.result())]
        return tuple(secret for template in templates for secret in template.secrets)

    async def service_account(self, email: str) -> ServiceAccount:
        """A service account as it is now, not cached."""
        return await self._reader.service_account(email)

    async def access(self, workload: Workload) -> Access:
        """Its IAM policy."""
        found: Access = await asyncio.shield(self._read_once(WorkloadDetail.ACCESS, workload))
        return found

    async def revisions(self, workload: Workload, named: Collection[str] = ()) -> Listing[Template]:
        """Its revisions, newest first; of a cut list also those named, by short name."""
        found: Listing[Template] = await self._list(WorkloadDetail.REVISIONS, workload, named)
        return found

    async def executions(
        self, workload: Workload, named: Collection[str] = ()
    ) -> Listing[Execution]:
        """The executions of a job, newest first; of a cut list also those named."""
        found: Listing[Execution] = await self._list(WorkloadDetail.EXECUTIONS, workload, named)
        return found

    async def _list(self, need: WorkloadDetail, workload: Workload, named: Collection[str]) -> Any:
        """A list; if it was cut before a name was known that is needed now, it is read again."""
        self._names |= frozenset(named)
        found = await asyncio.shield(self._read_once(need, workload))
        if isinstance(found, CutList) and not self._names <= self._names_read[need]:
            del self._pending[need, workload.resource_name]
            found = await asyncio.shield(self._read_once(need, workload))
        return found

    def _read_once(self, need: WorkloadDetail, workload: Workload) -> asyncio.Future[Any]:
        key = (need, workload.resource_name)
        if key not in self._pending:
            self._names_read[need] = self._names
            pending = asyncio.ensure_future(_read_need(need, workload, self._reader, self._names))
            pending.add_done_callback(_ignore_failure)
            self._pending[key] = pending
        return self._pending[key]


def _ignore_failure(pending: asyncio.Future[Any]) -> None:
    """Retrieve the exception, so that asyncio does not log a read that nobody waits for."""
    if not pending.cancelled():
        pending.exception()
