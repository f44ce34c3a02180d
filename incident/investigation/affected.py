"""Which other workloads run the same image or as the same service account, by the inventory.

Cloud Asset Inventory lags behind by minutes. It has images as they were deployed: a workload that
was deployed by tag shares the repository, and perhaps the digest too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import replace
from datetime import timedelta

from incident.model import (
    AffectedWorkload,
    AffectedWorkloads,
    Finding,
    IncidentError,
    Ingress,
    InventoryWorkload,
    Kind,
    Listing,
    Relation,
    Workload,
    cut_reason,
    found_in,
)
from incident.model.concurrency import gather_all
from incident.model.ports import InventoryPort

#: A search takes a second or two for some hundred workloads.
SEARCH_DEADLINE = timedelta(seconds=20)
#: How many affected workloads are looked up in Security Command Center.
_MOST_FINDING_SEARCHES = 20
_EXPOSURES = {
    Ingress.ALL: "internet; who may call it is not known",
    Ingress.INTERNAL: "internal networks",
    Ingress.INTERNAL_AND_LOAD_BALANCER: "internal networks and a load balancer",
    Ingress.NONE: "no URL",
    Ingress.UNKNOWN: "not known",
}


class InventorySearch:
    """Searches for affected workloads within one run of an incident; the inventory is read once.

    The decision and the evidence share it: what an action asks costs nothing more.
    """

    def __init__(self, reader: InventoryPort) -> None:
        self._reader = reader
        self._pending: dict[str, asyncio.Future[Listing[InventoryWorkload]]] = {}

    def close(self) -> None:
        """Cancel a search in progress."""
        for pending in self._pending.values():
            pending.cancel()

    async def affected_workloads(
        self,
        workload: Workload,
        images: Collection[str],
        accounts: Collection[str],
        deadline: timedelta = SEARCH_DEADLINE,
        *,
        account_now: str | None = None,
    ) -> AffectedWorkloads:
        """The other workloads that share an image or a service account.

        Never raises an error of Google's: where the inventory is off, denied or slow, the result
        is incomplete and has the reason.

        Args:
            workload: The finding's workload.
            images: Its images, by tag or by digest. Empty for those that the inventory has of it.
            accounts: E-mails of its service accounts; an empty one is the project's default.
                Empty for that which the inventory has of it.
            deadline: Maximum time of the search.
            account_now: E-mail of the account in the workload's template, if it was read: where
                the inventory has another, or not the workload at all, it lags behind, and the
                result is incomplete.
        """
        scope = self._reader.scope or f"projects/{workload.project}"
        try:
            async with asyncio.timeout(deadline.total_seconds()):
                listing = await asyncio.shield(self._read_once(scope))
        except TimeoutError:
            reason = f"no answer of the inventory within {deadline.total_seconds():g} s"
            return AffectedWorkloads(complete=False, reason=reason, scope=scope)
        except IncidentError as error:
            return AffectedWorkloads(complete=False, reason=str(error), scope=scope)
        cut = cut_reason(listing)
        if not cut and account_now is not None:
            cut = _lag(found_in(listing), workload, scope, account_now)
        found = _matching(found_in(listing), workload, images, accounts)
        return AffectedWorkloads(found, complete=not cut, reason=cut, scope=scope)

    def _read_once(self, scope: str) -> asyncio.Future[Listing[InventoryWorkload]]:
        if scope not in self._pending:
            pending = asyncio.ensure_future(self._reader.workloads(scope))
            pending.add_done_callback(_ignore_failure)
            self._pending[scope] = pending
        return self._pending[scope]


async def with_findings(
    affected: AffectedWorkloads,
    search: Callable[[Workload], Awaitable[tuple[Finding, ...]]],
    deadline: timedelta,
) -> AffectedWorkloads:
    """The same workloads with their findings; the first twenty are searched.

    Args:
        affected: The workloads.
        search: The findings on one workload in the incident's window.
        deadline: Maximum time. What has no answer by then stays without findings.
    """

    async def searched(each: AffectedWorkload) -> AffectedWorkload:
        try:
            async with asyncio.timeout(deadline.total_seconds()):
                return replace(each, findings=await search(each.workload))
        except (TimeoutError, IncidentError):
            return each

    first = affected.workloads[:_MOST_FINDING_SEARCHES]
    found = await gather_all(*map(searched, first))
    return replace(affected, workloads=(*found, *affected.workloads[_MOST_FINDING_SEARCHES:]))


def _lag(
    listed: Iterable[InventoryWorkload], workload: Workload, scope: str, account_now: str
) -> str:
    """Why the inventory is older than the workload as it was read; empty where it is not."""
    place, _, name = scope.partition("/")
    if place == "projects" and name not in {workload.project_id, workload.project_number}:
        return ""
    if place == "folders" and workload.folders is not None and name not in workload.folders:
        return ""
    own = next((each for each in listed if each.workload.same_as(workload)), None)
    if own and account_email(own.service_account, own.workload) == account_email(
        account_now, own.workload
    ):
        return ""
    return f"the inventory lags: it does not list {workload.resource_name} as it is now"


def _matching(
    listed: Iterable[InventoryWorkload],
    workload: Workload,
    images: Collection[str],
    accounts: Collection[str],
) -> tuple[AffectedWorkload, ...]:
    """The workloads that share something, those that share the digest first."""
    everything = tuple(listed)
    own = next((each for each in everything if each.workload.same_as(workload)), None)
    about = own.workload if own else workload
    known_images = set(images) or set(own.images if own else ())
    known_accounts = set(accounts) or ({own.service_account} if own else set())
    digests = {digest for each in known_images if (digest := image_digest(each))}
    repositories = {name for each in known_images if (name := image_repository(each))}
    emails = {email for each in known_accounts if (email := account_email(each, about))}
    found = []
    for each in everything:
        if each is own:
            continue
        email = account_email(each.service_account, each.workload)
        relations = set()
        if digests & {image_digest(image) for image in each.images}:
            relations.add(Relation.DIGEST)
        if repositories & {image_repository(image) for image in each.images}:
            relations.add(Relation.REPOSITORY)
        if email in emails:
            relations.add(Relation.ACCOUNT)
        if relations:
            found.append(
                AffectedWorkload(
                    each.workload,
                    frozenset(relations),
                    (email,) if email else (),
                    None if each.unread else each.labels,
                    describe_exposure_of(each),
                )
            )
    return tuple(sorted(found, key=lambda each: (each.rank, each.workload.resource_name)))


def image_digest(reference: str) -> str:
    """The digest of an image reference, or of a digest alone; empty where it has none."""
    digest = reference.rpartition("@")[2]
    return digest if digest.startswith("sha256:") else ""


def image_repository(reference: str) -> str:
    """The image's name without tag and digest; empty for a digest alone."""
    named = reference.partition("@")[0]
    if named.startswith("sha256:"):
        return ""
    before, colon, tag = named.rpartition(":")
    return before if colon and "/" not in tag else named


def account_email(account: str, workload: Workload) -> str:
    """The e-mail of a runtime account; that of the project's default account where it is empty.

    Returns:
        Lower case; empty where the default account's project number is not known.
    """
    if account:
        return account.lower()
    number = workload.project_number
    return f"{number}-compute@developer.gserviceaccount.com" if number else ""


def describe_exposure_of(each: InventoryWorkload) -> str:
    """Who can reach a workload, by what the inventory has: its IAM policy is not part of it."""
    if each.unread:
        return _EXPOSURES[Ingress.UNKNOWN]
    if each.workload.kind in (Kind.JOB, Kind.WORKER_POOL):
        return _EXPOSURES[Ingress.NONE]
    if each.ingress is Ingress.ALL and each.invoker_check_off:
        return "internet; anybody may call it"
    return _EXPOSURES[each.ingress]


def _ignore_failure(pending: asyncio.Future[Listing[InventoryWorkload]]) -> None:
    """Retrieve the exception, so that asyncio does not log a search that nobody waits for."""
    if not pending.cancelled():
        pending.exception()
