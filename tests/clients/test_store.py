"""The store, in a folder and in a bucket: created once, read back, listed in order."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from clients.settings import Settings
from clients.store import PolicySource, Store, open_store
from clients.store_listing import ListedPage
from emulator.server import http_routes
from emulator.services.storage.objects import BucketObjects, StoredObject
from incident.case_file.journal import create_numbered
from incident.case_file.manifest import RecordingStore, write_manifest
from incident.case_file.verification import verify_case_file
from incident.model import Denied, GiveUp, Missing, Retry
from tests.clients.conftest import ConnectClients
from tests.support.constants import INCIDENT_ID
from tests.support.environment import put_object, responder_environment
from tests.support.function_process import connections_to, threads_of

CASE = f"incidents/{INCIDENT_ID}"
UNREACHABLE = {"grpc": "127.0.0.1:9", "http": "127.0.0.1:9"}
PERMANENT = ["PERMISSION_DENIED", "UNAUTHENTICATED"]


@pytest_asyncio.fixture(params=["folder", "bucket"])
async def store(
    request: pytest.FixtureRequest, connect_clients: ConnectClients, tmp_path: Path
) -> AsyncIterator[Store]:
    """A store of either form."""
    if request.param == "folder":
        yield open_store(Settings(store=str(tmp_path / "cases")))
        return
    async with connect_clients({}) as cloud:
        yield cloud.clients.store


async def test_what_is_created_is_read(store: Store) -> None:
    """The bytes come back as they were."""
    data = bytes(range(256)) * 10
    assert await store.create("incidents/a/0001-received.json", data)
    assert await store.read("incidents/a/0001-received.json") == data


async def test_nothing_is_ever_overwritten(store: Store) -> None:
    """The second put reports that the object exists and leaves it as it is."""
    assert await store.create("a/b.json", b"first")
    assert not await store.create("a/b.json", b"second")
    assert await store.read("a/b.json") == b"first"


async def test_of_many_puts_at_once_one_creates(store: Store) -> None:
    """Whatever the order, the object is the winner's."""
    created = await asyncio.gather(
        *(store.create("a/b.json", str(number).encode()) for number in range(16))
    )
    assert created.count(True) == 1
    assert await store.read("a/b.json") == str(created.index(True)).encode()


async def test_a_burst_opens_few_connections(connect_clients: ConnectClients) -> None:
    """However many requests come at once, and none more for the next burst."""
    async with connect_clients({"latency": {"default": "20ms"}}) as cloud:
        store, address = cloud.clients.store, cloud.emulator.http_address
        for burst in ("first", "second"):
            paths = [f"{burst}/{number}.json" for number in range(200)]
            await asyncio.gather(*(store.create(path, b"{}") for path in paths))
            await asyncio.gather(*map(store.read, paths), store.list(f"{burst}/"))
            assert connections_to(address) <= 32


async def test_a_burst_starts_few_threads(tmp_path: Path) -> None:
    """A folder's requests are answered by threads; a burst has no more of them than a few."""
    store, before = open_store(Settings(store=str(tmp_path / "cases"))), threads_of(os.getpid())
    paths = [f"a/{number}.json" for number in range(500)]
    await asyncio.gather(*(store.create(path, b"{}") for path in paths))
    await asyncio.gather(*map(store.read, paths))
    assert threads_of(os.getpid()) <= before + 128  # some are of clients of earlier tests


async def test_concurrent_runs_overwrite_neither_report_nor_manifest(
    connect_clients: ConnectClients, tmp_path: Path
) -> None:
    """In a folder and in a bucket, each with a client of its own: all that was put stays."""
    for place in ("folder", "bucket"):
        async with connect_clients({}) as cloud:
            url = str(tmp_path / "cases") if place == "folder" else cloud.settings.store
            settings = cloud.settings.model_copy(update={"store": Settings(store=url).store})
            store = open_store(settings)
            reports = await asyncio.gather(
                *(finish_case_file(open_store(settings), n) for n in range(4))
            )
            found = await verify_case_file(store, CASE)
            assert found.intact
            assert len({path for path, _ in reports}) == len(reports)
            for path, page in reports:
                assert await store.read(path) == page
            names = [item.path for item in found.objects]
            assert sum("/report" in name for name in names) == len(reports)
            assert sum("/manifest" in name for name in names) == len(reports)


async def finish_case_file(store: Store, number: int) -> tuple[str, bytes]:
    """Write a report beside those of others, and a manifest; the report's path and content."""
    recording, page = RecordingStore(store), f"page {number}".encode()
    path = await create_numbered(recording, f"{CASE}/report", "html", page)
    await write_manifest(recording, CASE)
    return path, page


async def test_every_put_of_an_incident_asks_that_nothing_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records, evidence, images, pages and manifests alike: the bucket itself refuses the rest."""
    puts: list[tuple[str, str]] = []

    class Noting(BucketObjects):
        """The emulator's objects, which note what each put asks for."""

        def put(
            self, bucket: str, name: str, data: bytes, *, content_type: str, if_generation: str = ""
        ) -> StoredObject:
            puts.append((name, if_generation))
            return super().put(
                bucket, name, data, content_type=content_type, if_generation=if_generation
            )

    monkeypatch.setattr(http_routes, "BucketObjects", Noting)
    async with responder_environment(tmp_path, store="gs://case-files") as env:
        assert await env.status() == "contained"
        assert await env.status() == "duplicate"
    last = {name.rpartition("/")[2] for name, _ in puts}
    assert last >= {"1000-done.json", "0001-snapshot.json", "report.html", "manifest.json"}
    assert {asked for _, asked in puts} == {"0"}


async def test_what_is_missing_is_none(store: Store) -> None:
    """Neither an object nor a folder has to be there."""
    assert await store.read("nowhere/x.json") is None
    assert await store.list("nowhere/") == ()
    await store.create("a/b.json", b"")
    assert await store.read("a/c.json") is None
    assert await store.read("a/b.json") == b""


async def test_a_list_is_in_order_and_of_one_folder(store: Store) -> None:
    """All below a prefix, whatever else begins alike."""
    paths = ["a/0002-x.json", "a/0001-x.json", "a/sub/0001-y.json", "ab/0001-x.json", "a.json"]
    for path in paths:
        await store.create(path, b"x")
    assert await store.list("a/") == ("a/0001-x.json", "a/0002-x.json", "a/sub/0001-y.json")
    assert await store.list("a/sub/") == ("a/sub/0001-y.json",)


async def test_pages_follow_one_another(store: Store) -> None:
    """Each begins behind the last path of the one before, whatever else begins alike."""
    paths = [f"a/{name}.json" for name in ("b-2/1", "b/1", "b/2", "b2/1", "c/1")]
    for path in [*paths, "ab/1.json"]:
        await store.create(path, b"x")
    assert await paged(store, 2) == sorted(paths)
    assert (await store.page("a/", "a/b/~", 9)).paths == ("a/b2/1.json", "a/c/1.json")
    assert await store.page("nowhere/", "", 9) == ListedPage()


async def paged(store: Store, limit: int) -> list[str]:
    """All below a prefix, page by page."""
    found: list[str] = []
    behind = ""
    while (page := await store.page("a/", behind, limit)).next_after:
        assert len(page.paths) <= limit
        assert page.next_after > behind
        found += page.paths
        behind = page.next_after
    return found


@pytest.mark.parametrize("limit", [1, 2, 9])
async def test_a_folder_that_the_console_made_disturbs_no_list(
    connect_clients: ConnectClients, limit: int
) -> None:
    """It is an object whose name ends at a slash: listing continues, and it is not a folder."""
    async with connect_clients({}) as cloud:
        store = cloud.clients.store
        for path in ("a/b/1.json", "a/notes-1.json", "a/z.json"):
            await store.create(path, b"x")
        for name in ("a/", "a/b/", "a/notes/", "a/notes/deeper/"):
            await put_object(cloud.settings, name)
        found = await paged(store, limit)
        assert [path for path in found if path.endswith(".json")] == [
            *("a/b/1.json", "a/notes-1.json", "a/z.json")
        ]
        assert [await store.read(path) for path in set(found)].count(b"x") == 3
        assert await store.list("a/notes/deeper/") == ()


async def test_a_list_may_be_longer_than_a_page(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket answers a thousand at a time; here, three."""
    monkeypatch.setattr("emulator.services.storage.objects.MAX_PAGE_SIZE", 3)
    await asyncio.gather(*(store.create(f"a/{number:04d}.json", b"") for number in range(10)))
    assert len(await store.list("a/")) == 10


@pytest.mark.parametrize(
    "name",
    ["sp ace.json", "ümlaut.json", "per%20cent.json", "q?uery.json", "ha#sh.json", "a+b&c.json"],
)
async def test_odd_names_are_names(store: Store, name: str) -> None:
    """Whatever is in a name, the object is found under it."""
    assert await store.create(f"a/{name}", b"x")
    assert await store.read(f"a/{name}") == b"x"
    assert await store.list("a/") == (f"a/{name}",)


async def test_a_folder_is_made_when_it_is_opened_and_nothing_else(tmp_path: Path) -> None:
    """A store of a folder that is not there yet is empty."""
    store = open_store(Settings(store=str(tmp_path / "new" / "my cases")))
    assert await store.list("incidents/") == ()
    await store.create("incidents/a.json", b"x")
    assert (tmp_path / "new" / "my cases" / "incidents" / "a.json").read_bytes() == b"x"


async def test_a_put_that_fails_once_is_tried_again(connect_clients: ConnectClients) -> None:
    """A short outage of the bucket does not reach the caller."""
    fault = {"method": "storage.PUT", "code": "UNAVAILABLE", "times": 1}
    async with connect_clients({"faults": [fault]}) as cloud:
        assert await cloud.clients.store.create("a.json", b"x")


async def test_a_put_whose_answer_was_lost_says_that_something_is_there(
    connect_clients: ConnectClients,
) -> None:
    """The library's second try meets its own object: the caller has to look."""
    fault = {"method": "storage.PUT", "code": "UNAVAILABLE", "times": 1, "applied": True}
    async with connect_clients({"faults": [fault]}) as cloud:
        assert not await cloud.clients.store.create("a.json", b"x")
        assert await cloud.clients.store.read("a.json") == b"x"


CALLS: dict[str, Any] = {
    "PUT": lambda store: store.create("a.json", b"x"),
    "GET": lambda store: store.read("a.json"),
    "LIST": lambda store: store.list("a/"),
}


@pytest.mark.parametrize("code", PERMANENT)
@pytest.mark.parametrize("verb", ["PUT", "GET"])
async def test_a_bucket_that_denies_names_the_permissions(
    connect_clients: ConnectClients, verb: str, code: str
) -> None:
    """Time will not heal it; the message says what to grant, and where."""
    async with connect_clients({"faults": [{"method": f"storage.{verb}", "code": code}]}) as cloud:
        with pytest.raises(Denied) as raised:
            await CALLS[verb](cloud.clients.store)
    message = str(raised.value)
    assert "gs://case-files/responder/" in message
    lacking = {"PUT": "storage.objects.create", "GET": "storage.objects.get"}[verb]
    assert f"permission {lacking} is missing" in message
    assert "\n" not in message


@pytest.mark.parametrize("verb", CALLS)
async def test_a_store_that_is_not_there_is_retried(verb: str) -> None:
    """A bucket that nobody answers for may be back soon."""
    settings = Settings.model_validate({"store": "gs://case-files", "emulator": UNREACHABLE})
    with pytest.raises(Retry, match="the store returned an error"):
        await CALLS[verb](open_store(settings))


@pytest.mark.parametrize("verb", ["create", "read"])
async def test_a_name_that_cannot_be_is_no_fault_of_the_address(store: Store, verb: str) -> None:
    """Nor does time heal it."""
    calls = {"create": store.create("a/../b.json", b"x"), "read": store.read("a/../b.json")}
    with pytest.raises(GiveUp, match="invalid object name") as raised:
        await calls.pop(verb)
    for other in calls.values():
        other.close()
    assert "Check the address" not in str(raised.value)


# The policy file.


def policy_source(policy: str, **others: Any) -> PolicySource:
    """Where a policy is read from."""
    return PolicySource(Settings.model_validate({"policy": policy, **others}))


@pytest.mark.parametrize("form", ["path", "url"])
async def test_a_policy_is_reread_each_time(tmp_path: Path, form: str) -> None:
    """Changing the file is the kill switch."""
    file = tmp_path / "my policy.yaml"
    there = policy_source(str(file) if form == "path" else file.as_uri())
    for text in (b"mode: enforce\n", b"mode: dry-run\n"):
        file.write_bytes(text)
        assert await there.read() == text


async def test_a_policy_in_a_bucket_is_reread_each_time(connect_clients: ConnectClients) -> None:
    """A bucket is as good as a folder."""
    async with connect_clients({}, policy="gs://config/responder/policy.yaml") as cloud:
        with pytest.raises(Missing, match=r"gs://config/responder/policy\.yaml"):
            await cloud.clients.policy.read()
        config = open_store(cloud.settings.model_copy(update={"store": "gs://config/responder"}))
        await config.create("policy.yaml", b"mode: dry-run\n")
        assert await cloud.clients.policy.read() == b"mode: dry-run\n"
        await config.create("own.yaml", b"tasks")
        for name in ("own.yaml", "gs://config/responder/own.yaml"):
            assert await cloud.clients.policy.read_named(name) == b"tasks"
        with pytest.raises(Missing, match=r"gs://config/responder/other\.yaml"):
            await cloud.clients.policy.read_named("other.yaml")


async def test_no_policy_says_which_setting_is_missing() -> None:
    """The message is enough to correct it."""
    with pytest.raises(Missing, match="RESPONDER_POLICY is not set"):
        await policy_source("").read()


async def test_a_policy_that_is_not_there_is_missing(tmp_path: Path) -> None:
    """Its address is in the message."""
    with pytest.raises(Missing, match=r"nowhere\.yaml: nothing is there"):
        await policy_source(str(tmp_path / "nowhere.yaml")).read()


async def test_a_folder_is_no_policy(tmp_path: Path) -> None:
    """Time does not turn it into a file."""
    with pytest.raises(GiveUp, match="not a folder that can be used"):
        await policy_source(str(tmp_path)).read()


async def test_a_huge_policy_is_not_read_to_its_end(tmp_path: Path) -> None:
    """Just enough of it to see that it is too long."""
    file = tmp_path / "policy.yaml"
    file.write_bytes(b"#" * 3_000_000)
    assert len(await policy_source(str(file)).read()) < 1_100_000


@pytest.mark.parametrize("code", PERMANENT)
async def test_a_policy_that_may_not_be_read_is_denied(
    connect_clients: ConnectClients, code: str
) -> None:
    """Every finding is held until somebody grants it."""
    fault = {"method": "storage.GET", "code": code}
    async with connect_clients({"faults": [fault]}, policy="gs://config/policy.yaml") as cloud:
        with pytest.raises(Denied, match=r"gs://config/policy\.yaml"):
            await cloud.clients.policy.read()


async def test_a_policy_that_cannot_be_read_now_is_retried() -> None:
    """A transient fault of the bucket is no missing policy."""
    with pytest.raises(Retry, match=r"cannot read the policy gs://config/policy\.yaml"):
        await policy_source("gs://config/policy.yaml", emulator=UNREACHABLE).read()


def test_opening_a_store_makes_no_call() -> None:
    """A process that forks afterwards has opened nothing."""
    settings = Settings.model_validate({"store": "gs://case-files", "emulator": UNREACHABLE})
    assert open_store(settings).url == "gs://case-files"
    assert json.loads(json.dumps(settings.model_dump(mode="json")))["store"] == "gs://case-files"


def test_a_bucket_is_opened_with_the_credentials_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Away from the emulator, store and policy take Google's own credentials, without a call."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {
        "type": "service_account",
        "client_email": "responder@example-security.iam.gserviceaccount.com",
        "private_key": key.decode(),
        "token_uri": "https://oauth2.example.com/token",
    }
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    assert open_store(Settings(store="gs://case-files/prefix")).url == "gs://case-files/prefix"
