"""Listing what lies in the store: no name that somebody plants there hides all the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import obstore
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from clients.settings import Settings
from clients.store import Store, open_store
from clients.store_listing import ListedPage, path_problem
from incident.model import Denied, GiveUp
from tests.clients.conftest import ConnectClients
from tests.support.environment import put_object
from tests.support.model import repeatable

NAMES = st.text(st.sampled_from("ab./%#\\ \x00\x1b\n\x7f\x85é\u202e"), min_size=1, max_size=6)


@repeatable
@given(name=NAMES)
@example(name="..")
@example(name="a//b")
async def test_a_name_has_a_flaw_if_the_library_refuses_it(name: str) -> None:
    """Whatever else it holds, the library takes it. A slash at either end it takes away."""
    try:
        await obstore.put_async(MemoryStore(), name, b"")
    except ValueError:  # the path cannot be parsed
        refused = True
    else:
        refused = False
    assert bool(path_problem(name.removeprefix("/").removesuffix("/"))) is refused or name == "/"


BAD = {
    "a/b//double.json": "an empty part in its name; generation ",
    "a/b/../up.json": "a part of dots in its name; generation ",
    "a/b/x\x1b[31my.json": "a control character in its name; generation ",
    "a//": "an empty part in its name; generation ",
    "a/b/full/": "a slash at the end of its name, and content; generation ",
}


def names_and_flaws(unreadable: Mapping[str, str]) -> dict[str, str]:
    """The same, without the numbers of generations."""
    return {name: why.rstrip("0123456789") for name, why in unreadable.items()}


async def all_pages(store: Store, limit: int) -> ListedPage:
    """All pages below a prefix, as one."""
    paths: list[str] = []
    unreadable: dict[str, str] = {}
    behind = ""
    while (page := await store.page("a/", behind, limit)).next_after:
        assert page.next_after > behind
        assert len(page.paths) + len(page.unreadable) <= limit
        paths += page.paths
        unreadable |= page.unreadable
        behind = page.next_after
    return ListedPage(tuple(paths), "", unreadable)


async def test_no_name_in_a_bucket_hides_another(connect_clients: ConnectClients) -> None:
    """Lists and pages go on around it, and tell where it is and which it is."""
    async with connect_clients({}) as cloud:
        store = cloud.clients.store
        good = ("a/b/1.json", "a/b/2.json", "a/c/1.json")
        for path in good:
            await store.create(path, b"x")
        for name in ("a/", "a/notes/", "elsewhere//x"):
            await put_object(cloud.settings, name)
        assert await store.unreadable("a/") == {}
        for name in BAD:
            await put_object(cloud.settings, name, b"garbage")
        shown = {name.replace("\x1b", "\\x1b"): why for name, why in BAD.items()}
        assert await store.list("a/c/") == ("a/c/1.json",)
        assert await store.list("a/") == good
        assert names_and_flaws(await store.unreadable("a/")) == shown
        assert await store.unreadable("a/c/") == {}
        for limit in (1, 2, 100):
            found = await all_pages(store, limit)
            assert [path for path in found.paths if path in good] == [*good]
            # The library alone takes the slash away from the last of them.
            assert (
                names_and_flaws(found.unreadable).items() >= dict(list(shown.items())[:4]).items()
            )
        nowhere = "a/" + "".join(chr(number) for number in range(1, 9))
        assert (await store.page("a/", nowhere, 9)).next_after > nowhere


async def test_a_long_list_is_whole_although_a_name_is_bad(
    connect_clients: ConnectClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many answers the bucket makes of it."""
    monkeypatch.setattr("emulator.services.storage.objects.MAX_PAGE_SIZE", 2)
    async with connect_clients({}) as cloud:
        paths = tuple(f"a/{number}.json" for number in range(5))
        for path in paths:
            await cloud.clients.store.create(path, b"x")
        for name in ("a/2//x", "a/notes/", "a/notes/b/", "a/z//y"):
            await put_object(cloud.settings, name)
        assert await cloud.clients.store.list("a/") == paths
        assert [*await cloud.clients.store.unreadable("a/")] == ["a/2//x", "a/z//y"]


async def test_a_denied_listing_is_denied_even_if_a_name_is_bad(
    connect_clients: ConnectClients,
) -> None:
    """Nothing is called empty that we may not see."""
    fault = {"method": "storage.LIST", "code": "PERMISSION_DENIED", "after": 1}
    async with connect_clients({"faults": [fault]}) as cloud:
        await put_object(cloud.settings, "a//x", b"x")
        with pytest.raises(Denied, match=r"storage\.objects\.list"):
            await cloud.clients.store.list("a/")


def non_utf8(folder: Path) -> None:
    """A file whose name is no text."""
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.json")).touch()


PLANTED: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "newline": (lambda f: (f / "a\nb.json").touch(), "a\\nb.json", "a control character"),
    "bytes": (non_utf8, r"\xff\xfe.json", "no UTF-8"),
    "circle": (lambda f: (f / "loop").symlink_to("."), "loop", "leads to no file"),
    "itself": (lambda f: (f / "self").symlink_to("self"), "self", "leads nowhere"),
    "dangling": (lambda f: (f / "gone").symlink_to("nowhere"), "gone", "leads to no file"),
    "outside": (lambda f: (f / "etc").symlink_to("/etc"), "etc", "leads to no file"),
    "pipe": (lambda f: os.mkfifo(f / "pipe"), "pipe", "neither a file nor a folder"),
    "folder": (lambda f: (f / "a\tb").mkdir(), "a\\tb", "a control character"),
}


@pytest.mark.parametrize("kind", PLANTED)
async def test_no_name_in_a_folder_hides_another(tmp_path: Path, kind: str) -> None:
    """Nor does a link lead out of the store, or round in circles."""
    store = open_store(Settings(store=str(tmp_path)))
    good = ("a/b/1.json", "a/c/1.json")
    for path in good:
        await store.create(path, b"x")
    plant, name, why = PLANTED[kind]
    plant(tmp_path / "a" / "b")
    assert await store.list("a/") == good
    ((where, reason),) = (await store.unreadable("a/")).items()
    assert where == f"a/b/{name}"
    assert why in reason
    found = await all_pages(store, 1)
    assert (found.paths, found.unreadable) == (good, {where: reason})


async def test_a_folder_is_listed_as_the_library_lists_it(tmp_path: Path) -> None:
    """Linked files with all others; without what a put that was cut off left behind."""
    store = open_store(Settings(store=str(tmp_path)))
    for path in ("a/1.json", "a/b/x#y", "a/..."):
        await store.create(path, b"x")
    (tmp_path / "a" / "link").symlink_to("1.json")
    (tmp_path / "a" / "1.json#1").touch()
    assert await store.list("a/") == ("a/...", "a/1.json", "a/b/x#y", "a/link")
    assert await store.unreadable("a/") == {}
    assert await store.list("a/1.json/") == ()


@pytest.mark.parametrize("prefix", ["../", "a/../../", "a//b/", "a\n/"])
async def test_only_names_in_the_store_are_listed(tmp_path: Path, prefix: str) -> None:
    """An invalid prefix is a programming error."""
    with pytest.raises(GiveUp, match="no prefix of a path"):
        await open_store(Settings(store=str(tmp_path / "a"))).list(prefix)
