"""Read the service accounts that a workload runs as, or those that a change was made to."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Protocol

from incident.model import (
    Execution,
    IncidentError,
    Kind,
    Listing,
    Missing,
    ServiceAccount,
    Template,
    Workload,
    WorkloadConfiguration,
    found_in,
    is_user_managed,
)
from incident.model.concurrency import gather_all

_WITH_REVISIONS = (Kind.SERVICE, Kind.WORKER_POOL)
#: How many accounts of one workload are read: a revision has one, and few revisions are served.
_MAX_ACCOUNTS = 10


class AccountReader(Protocol):
    """Reads service accounts, and what a workload has run."""

    async def service_account(self, email: str) -> ServiceAccount:
        """A service account as it is now."""

    async def revisions(self, workload: Workload, named: Collection[str] = ()) -> Listing[Template]:
        """Its revisions, newest first; of a cut list also those named, by short name."""

    async def executions(
        self, workload: Workload, named: Collection[str] = ()
    ) -> Listing[Execution]:
        """The executions of a job, newest first; of a cut list also those named."""


async def with_accounts(
    configuration: WorkloadConfiguration, emails: Iterable[str], reader: AccountReader
) -> WorkloadConfiguration:
    """The same settings with service accounts. Of what cannot be read the reason is kept."""
    distinct = list(dict.fromkeys(emails))[:_MAX_ACCOUNTS]
    accounts = await gather_all(*(_read(email, reader) for email in distinct))
    filled: WorkloadConfiguration = replace(configuration, accounts=tuple(accounts))
    return filled


async def with_templates(
    configuration: WorkloadConfiguration,
    workload: Workload,
    reader: AccountReader,
    named: Collection[str],
) -> WorkloadConfiguration:
    """The settings with what tells which account it ran as: its revisions or executions.

    Without, where they cannot be read.
    """
    try:
        if workload.kind is Kind.JOB and configuration.executions is None:
            executions = await reader.executions(workload, named)
            return replace(configuration, executions=executions)
        if workload.kind in _WITH_REVISIONS and configuration.revisions is None:
            return replace(configuration, revisions=await reader.revisions(workload, named))
    except IncidentError:
        pass
    return configuration


def runtime_accounts(configuration: WorkloadConfiguration, named: Collection[str]) -> list[str]:
    """The user-managed accounts that it runs as, or that the named revision or execution had."""
    templates = [configuration.template]
    relevant = {*configuration.addressed_revisions, *named}
    templates += [each for each in found_in(configuration.revisions) if each.revision in relevant]
    templates += [
        each.template
        for each in found_in(configuration.executions)
        if each.running or each.short_name in relevant
    ]
    return [each.service_account for each in templates if is_user_managed(each.service_account)]


async def _read(email: str, reader: AccountReader) -> ServiceAccount:
    try:
        return await reader.service_account(email)
    except IncidentError as error:
        return ServiceAccount(email, unread=str(error), exists=not isinstance(error, Missing))
