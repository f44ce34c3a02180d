"""Affected workloads: what is shared, in which order, and what cannot be known."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from incident.investigation.affected import (
    InventorySearch,
    account_email,
    image_digest,
    image_repository,
    with_findings,
)
from incident.model import (
    AffectedWorkloads,
    CutList,
    Denied,
    Finding,
    Ingress,
    InventoryWorkload,
    Kind,
    ListedWorkload,
    Listing,
    Relation,
    Retry,
    Workload,
)
from tests.support.model import finding, workload

REPOSITORY = "europe-west1-docker.pkg.dev/example-shop-prod/web/storefront"
DIGEST = "sha256:" + "a" * 64
ACCOUNT = "web@example-shop-prod.iam.gserviceaccount.com"
DEFAULT = "210987654321-compute@developer.gserviceaccount.com"


def listed(name: str, *images: str, account: str = "other@p.iam", **more: Any) -> InventoryWorkload:
    """A workload of the inventory, in the finding's project unless told otherwise."""
    place = {key: more.pop(key) for key in ("kind", "project_number") if key in more}
    named = workload(name=name, **place)
    return InventoryWorkload(named, ListedWorkload(named.resource_name), images, account, **more)


class Reader:
    """An inventory of some workloads, which counts how often it is read."""

    scope = ""

    def __init__(self, answer: Listing[InventoryWorkload] | Exception, after_s: float = 0) -> None:
        self.answer, self.after_s = answer, after_s
        self.scopes: list[str] = []

    async def workloads(self, scope: str) -> Listing[InventoryWorkload]:
        """The answer, or its error."""
        self.scopes.append(scope)
        await asyncio.sleep(self.after_s)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def search(
    answer: Listing[InventoryWorkload] | Exception,
    images: tuple[str, ...] = (f"{REPOSITORY}@{DIGEST}",),
    accounts: tuple[str, ...] = (ACCOUNT,),
) -> AffectedWorkloads:
    """What is affected by the sample's workload."""
    return await InventorySearch(Reader(answer)).affected_workloads(workload(), images, accounts)


async def test_what_shares_the_digest_comes_first_and_the_own_workload_never() -> None:
    """Then the repository, then the account; everything else is left out."""
    found = await search(
        (
            listed("storefront", f"{REPOSITORY}@{DIGEST}", account=ACCOUNT),
            listed("z-account", "x/y:1", account=ACCOUNT.upper()),
            listed("b-repository", f"{REPOSITORY}:old"),
            listed("a-digest", f"eu.gcr.io/copy/of@{DIGEST}"),
            listed("all", "x/sidecar", f"{REPOSITORY}@{DIGEST}", account=ACCOUNT),
            listed("nothing", "x/y@sha256:" + "b" * 64),
        )
    )
    assert [each.workload.name for each in found.workloads] == [
        *("a-digest", "all", "b-repository", "z-account")
    ]
    assert found.workloads[1].relations == {*Relation}
    assert (found.complete, found.reason, found.scope) == (True, "", "projects/example-shop-prod")


async def test_an_account_that_is_not_named_is_the_default_of_its_project() -> None:
    """Two workloads of different projects do not share it."""
    other = listed("elsewhere", "x/y:1", account="", project_number="5")
    both = (listed("here", "x/y:1", account=""), other, listed("named", "x", account=DEFAULT))
    for accounts in (("",), (DEFAULT,)):
        found = await search(both, (), accounts)
        assert [each.workload.name for each in found.workloads] == ["here", "named"]
        assert {each.service_accounts for each in found.workloads} == {(DEFAULT,)}


async def test_without_revisions_the_inventory_says_what_the_workload_runs() -> None:
    """What it has of the finding's own workload stands in."""
    own = listed("storefront", f"{REPOSITORY}:1", account="")
    found = await search((own, listed("b", f"{REPOSITORY}:2")), (), ())
    assert [each.workload.name for each in found.workloads] == ["b"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Denied("the Cloud Asset API is disabled"), "the Cloud Asset API is disabled"),
        (Retry("a quota is used up"), "a quota is used up"),
        (CutList((listed("a", f"{REPOSITORY}:1"),), "only the first 1"), "only the first 1"),
    ],
)
async def test_what_was_not_read_is_never_taken_for_nothing(answer: Any, reason: str) -> None:
    """The result is incomplete, with the reason; what was found stands in it."""
    found = await search(answer)
    assert (found.complete, found.reason) == (False, reason)
    assert len(found.workloads) == isinstance(answer, CutList)


async def test_a_slow_inventory_is_not_waited_for() -> None:
    """The search goes on for whoever waits longer: it is read once in a run."""
    reader = Reader((listed("b", f"{REPOSITORY}:2"),), after_s=0.1)
    search = InventorySearch(reader)
    images = (f"{REPOSITORY}:1",)
    soon = await search.affected_workloads(workload(), images, (), timedelta(milliseconds=1))
    assert (soon.complete, soon.workloads) == (False, ())
    assert "no answer of the inventory within 0.001 s" in soon.reason
    later = await search.affected_workloads(workload(), images, ())
    assert (later.complete, len(later.workloads), len(reader.scopes)) == (True, 1, 1)
    search.close()


async def test_findings_are_searched_on_the_first_twenty() -> None:
    """A search that fails leaves its workload without findings, which is not none."""
    names = [f"w{number:02d}" for number in range(25)]
    found = await search(tuple(listed(name, f"{REPOSITORY}:1") for name in names))

    async def findings_on(other: Workload) -> tuple[Finding, ...]:
        if other.name == "w03":
            raise Retry("no answer")
        return (finding(),) if other.name == "w01" else ()

    with_some = await with_findings(found, findings_on, timedelta(seconds=1))
    number = {
        each.workload.name: None if each.findings is None else len(each.findings)
        for each in with_some.workloads
    }
    assert number == {
        **dict.fromkeys(names[:20], 0),
        **dict.fromkeys(names[20:]),
        "w01": 1,
        "w03": None,
    }


@pytest.mark.parametrize(
    ("more", "exposure"),
    [
        ({"ingress": Ingress.ALL, "invoker_check_off": True}, "internet; anybody may call it"),
        ({"ingress": Ingress.ALL}, "internet; who may call it is not known"),
        ({"ingress": Ingress.INTERNAL, "invoker_check_off": True}, "internal networks"),
        ({"ingress": Ingress.NONE, "kind": Kind.JOB}, "no URL"),
        ({"ingress": Ingress.ALL, "unread": "x"}, "not known"),
    ],
)
async def test_the_exposure_is_as_far_as_the_inventory_knows(
    more: dict[str, Any], exposure: str
) -> None:
    """It has no IAM policy; labels of what it does not describe are not known either."""
    (found,) = (await search((listed("b", f"{REPOSITORY}:1", **more),))).workloads
    assert found.exposure == exposure
    assert (found.labels is None) is ("unread" in more)


@pytest.mark.parametrize(
    ("reference", "repository", "digest"),
    [
        (f"{REPOSITORY}@{DIGEST}", REPOSITORY, DIGEST),
        (f"{REPOSITORY}:v1@{DIGEST}", REPOSITORY, DIGEST),
        (f"{REPOSITORY}:v1", REPOSITORY, ""),
        ("localhost:5000/app", "localhost:5000/app", ""),
        ("localhost:5000/app:1", "localhost:5000/app", ""),
        (DIGEST, "", DIGEST),
        ("", "", ""),
    ],
)
def test_references_are_taken_apart(reference: str, repository: str, digest: str) -> None:
    """A port is no tag."""
    assert (image_repository(reference), image_digest(reference)) == (repository, digest)


def test_a_default_account_without_a_project_number_is_not_known() -> None:
    """It matches nothing, rather than everything."""
    assert account_email("", workload(project_number=None)) == ""
