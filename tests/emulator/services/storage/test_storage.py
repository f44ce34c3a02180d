"""Cloud Storage as a real object store client speaks it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import obstore
import pytest
from obstore import exceptions

from emulator.services.loopback import NO_TLS
from tests.support.google_clients import GoogleClients, google_clients, world_with_services

HARD_NAMES = [
    "plain.json", "a/b/c.json", "with space.txt", "per%cent%2Fescaped", "ümläut/é.json", "a+b=c&d",
    "question?mark", "hash#mark", "quote'\"", "<xml>&amp;", "semi;colon:@", "tilde~star*",
]  # fmt: skip


async def names(store: Any, prefix: str | None = None, **options: Any) -> list[str]:
    """Names of the objects in a store."""
    return [meta["path"] async for page in obstore.list(store, prefix, **options) for meta in page]


async def test_an_object_is_put_and_read_back(google: GoogleClients) -> None:
    """Content, size, and etag, of an object and of one that replaced it."""
    store = google.store()
    first = await obstore.put_async(store, "a/b.json", b"first")
    second = await obstore.put_async(store, "a/b.json", b"second")
    assert first["e_tag"] != second["e_tag"]
    found = await obstore.get_async(store, "a/b.json")
    assert bytes(await found.bytes_async()) == b"second"
    meta = await obstore.head_async(store, "a/b.json")
    assert (meta["size"], meta["e_tag"]) == (6, second["e_tag"])


async def test_a_large_object_is_put_in_parts(google: GoogleClients) -> None:
    """The client cuts what is larger than 5 MiB; it appears as one object, at the end."""
    store = google.store()
    content = bytes(range(256)) * 50_000
    await obstore.put_async(store, "large", content)
    found = await obstore.get_async(store, "large")
    assert bytes(await found.bytes_async()) == content
    assert await names(store) == ["large"]


async def test_a_range_of_an_object_is_read(google: GoogleClients) -> None:
    """Beginning, middle and end; a range behind the end is an error."""
    store = google.store()
    await obstore.put_async(store, "a", b"0123456789")
    assert bytes(await obstore.get_range_async(store, "a", start=2, end=5)) == b"234"
    assert bytes(await obstore.get_range_async(store, "a", start=8, end=99)) == b"89"
    tail = await obstore.get_async(store, "a", options={"range": {"suffix": 3}})
    assert bytes(await tail.bytes_async()) == b"789"
    with pytest.raises(exceptions.BaseError):
        await obstore.get_range_async(store, "a", start=20, end=30)


async def test_what_is_missing_is_not_found(google: GoogleClients) -> None:
    """Reading, asking about, and deleting it."""
    store = google.store()
    with pytest.raises(FileNotFoundError):
        await obstore.get_async(store, "missing")
    with pytest.raises(FileNotFoundError):
        await obstore.head_async(store, "missing")
    async with httpx.AsyncClient(
        base_url=f"http://{google.emulator.http_address}", verify=NO_TLS
    ) as client:
        assert (await client.delete("/case-files/missing")).status_code == 404


async def test_an_object_is_deleted(google: GoogleClients) -> None:
    """It is gone from reads and from lists."""
    store = google.store()
    await obstore.put_async(store, "a", b"x")
    await obstore.delete_async(store, "a")
    assert await names(store) == []


async def test_a_create_only_put_has_one_winner(google: GoogleClients) -> None:
    """Of many at once one succeeds, and its content stays."""
    store = google.store()

    async def put(number: int) -> int | None:
        try:
            await obstore.put_async(store, "once", str(number).encode(), mode="create")
        except exceptions.AlreadyExistsError:
            return None
        return number

    winners = [n for n in await asyncio.gather(*map(put, range(30))) if n is not None]
    content = bytes(await (await obstore.get_async(store, "once")).bytes_async())
    assert [content] == [str(winner).encode() for winner in winners]


async def test_a_put_can_ask_for_the_version_that_it_replaces(google: GoogleClients) -> None:
    """Compare and swap: the stale version is refused."""
    store = google.store()
    first = await obstore.put_async(store, "a", b"1")
    await obstore.put_async(store, "a", b"2", mode={"version": first["version"]})
    with pytest.raises(exceptions.PreconditionError):
        await obstore.put_async(store, "a", b"3", mode={"version": first["version"]})


async def test_names_may_hold_anything(google: GoogleClients) -> None:
    """Names that need escaping in a path or in XML come back as they were."""
    store = google.store()
    for name in HARD_NAMES:
        await obstore.put_async(store, name, name.encode())
    assert sorted(await names(store)) == sorted(HARD_NAMES)
    for name in HARD_NAMES:
        content = await (await obstore.get_async(store, name)).bytes_async()
        assert bytes(content) == name.encode()


async def test_lists_go_on_behind_a_thousand_objects(google: GoogleClients) -> None:
    """Pages of a thousand, put together by the client; an offset leaves out what is before it."""
    store = google.store()
    wanted = [f"n/{number:05}" for number in range(1100)]
    await asyncio.gather(*(obstore.put_async(store, name, b"") for name in wanted))
    assert await names(store, "n") == wanted
    assert await names(store, "n", offset="n/01090") == wanted[1091:]


async def test_a_list_can_stop_at_a_delimiter(google: GoogleClients) -> None:
    """Objects of one folder, and the folders below it, each once."""
    store = google.store()
    for name in ("i/1/a", "i/1/b", "i/2/a", "i/x", "j/y"):
        await obstore.put_async(store, name, b"")
    found = await obstore.list_with_delimiter_async(store, "i")
    assert found["common_prefixes"] == ["i/1", "i/2"]
    assert [meta["path"] for meta in found["objects"]] == ["i/x"]


async def test_pages_do_not_repeat_a_folder(google: GoogleClients) -> None:
    """A page that ends with a folder is followed by what is behind the folder."""
    store = google.store()
    for name in ("a", "b/1", "b/2", "b/3", "c"):
        await obstore.put_async(store, name, b"")
    entries: list[str] = []
    token = ""
    async with httpx.AsyncClient(
        base_url=f"http://{google.emulator.http_address}", verify=NO_TLS
    ) as client:
        for _ in range(4):
            query = {"list-type": "2", "delimiter": "/", "max-keys": "1"}
            params = query | ({"continuation-token": token} if token else {})
            text = (await client.get("/case-files", params=params)).text
            entries.append(_between(text, "<Key>") or _between(text, "</Prefix><IsTr", "<Prefix>"))
            token = _between(text, "<NextContinuationToken>")
            if not token:
                break
    assert len(entries) == 3
    assert entries[0] == "a"
    assert entries[2] == "c"


def _between(text: str, start: str, inner: str = "") -> str:
    _, _, rest = text.partition(start)
    return (rest.partition(inner)[2] if inner else rest).partition("<")[0]


async def test_a_store_may_live_under_a_prefix(google: GoogleClients) -> None:
    """Buckets are apart, and a prefix is part of the name."""
    await obstore.put_async(google.store(prefix="team"), "a", b"x")
    assert await names(google.store()) == ["team/a"]
    assert await names(google.store(prefix="team")) == ["a"]
    assert await names(google.store("other")) == []


async def test_what_the_emulator_does_not_have_is_not_implemented(google: GoogleClients) -> None:
    """Unusual requests are refused instead of being misunderstood."""
    async with httpx.AsyncClient(
        base_url=f"http://{google.emulator.http_address}", verify=NO_TLS
    ) as client:
        assert (await client.post("/bucket/name?compose")).status_code == 501
        assert (await client.put("/bucket/name?acl", content=b"")).status_code == 501
        assert (await client.post("/bucket/name?uploadId=1")).status_code == 404
        bad_token = "/bucket?list-type=2&continuation-token=%FF"
        assert (await client.get(bad_token)).status_code == 400
        assert (await client.get("/bucket?list-type=2&max-keys=x")).status_code == 400
        await client.put("/bucket/name", content=b"x")
        assert (await client.get("/bucket/name", headers={"range": "bytes=-"})).status_code == 400


@pytest.mark.parametrize("applied", [False, True])
async def test_storage_has_faults_too(*, applied: bool) -> None:
    """A put that fails leaves nothing; one whose answer is lost leaves the object."""
    fault = {"method": "storage.PUT", "code": "UNAVAILABLE", "times": 1, "applied": applied}
    async with google_clients(world_with_services(faults=[fault])) as google:
        store = google.store()
        with pytest.raises(exceptions.BaseError):
            await obstore.put_async(store, "a", b"x", mode="create")
        assert await names(store) == (["a"] if applied else [])
        assert not google.emulator.calls
