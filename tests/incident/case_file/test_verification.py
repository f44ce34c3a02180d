"""A case file held against its manifests: whatever is done to it, just that is found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from incident.case_file.manifest import (
    digest,
    is_alive,
    listable,
    manifest_of,
    name_of,
    number,
    read_manifest,
    says_nothing,
)
from incident.case_file.verification import Examination, Mark, examined
from incident.model import Malformed
from tests.support.model import repeatable

FOLDER = "incidents/20261002-6255b37a8bf0"
ROUNDS = st.lists(
    st.dictionaries(st.integers(1, 99), st.binary(max_size=3), min_size=1, max_size=4),
    min_size=1,
    max_size=4,
)


def chained(rounds: list[dict[int, bytes]]) -> dict[str, bytes]:
    """A case file to which something was added so many times, each time with a link."""
    bodies: dict[str, bytes] = {}
    previous = None
    for at, added in enumerate(rounds, 1):
        new = {f"{FOLDER}/{at}{key:03d}-noted.json": data for key, data in added.items()}
        listed = {path: digest(data) for path, data in new.items()}
        link = manifest_of(FOLDER, previous, listed, {})
        previous = digest(link)
        bodies |= {**new, f"{FOLDER}/{name_of(at)}": link}
    return bodies


def held_against(bodies: dict[str, bytes]) -> Examination:
    """What is to be thought of these objects."""
    return examined(FOLDER, bodies, frozenset(), {}, ())


@given(ROUNDS)
@repeatable
def test_what_nobody_touched_is_intact(rounds: list[dict[int, bytes]]) -> None:
    """Every object, and every link."""
    found = held_against(chained(rounds))
    assert {item.mark for item in found.items} == {Mark.INTACT}
    assert len(found.items) == len(chained(rounds))
    assert found.unproven([found.links[-1].sha256]) == ()
    assert found.replaced([link.sha256 for link in found.links]) == ()


@given(ROUNDS, st.data())
@repeatable
def test_no_object_is_changed_or_taken_away_unnoticed(
    rounds: list[dict[int, bytes]], data: st.DataObject
) -> None:
    """But for the newest link, which only a digest from elsewhere can vouch for."""
    bodies = chained(rounds)
    newest = f"{FOLDER}/{name_of(len(rounds))}"
    known = digest(bodies[newest])
    path = data.draw(st.sampled_from(sorted(bodies)))
    if data.draw(st.booleans()):
        bodies[path] += b" "
    else:
        del bodies[path]
    found = held_against(bodies)
    assert not found.intact or found.replaced([known]) == (known,)
    if path != newest:
        assert not found.intact
        assert path in {item.path for item in found.items if item.mark is not Mark.INTACT}


@given(ROUNDS, st.text(st.sampled_from("manifest-0123456789.jsonreport/alv"), min_size=1))
@repeatable
def test_nothing_is_planted_unnoticed(rounds: list[dict[int, bytes]], name: str) -> None:
    """Whatever it is called, as long as it is in no link."""
    bodies = chained(rounds)
    path = f"{FOLDER}/{name}"
    if path not in bodies:
        found = held_against({**bodies, path: b"{}"})
        assert not found.intact
        assert path in {i.path for i in found.items if i.mark in (Mark.NOT_LISTED, Mark.CHANGED)}


@given(st.binary(max_size=40) | st.just(b'{"previous": 1, "case_file": "x", "written": []}'))
@repeatable
def test_what_is_no_manifest_is_malformed(data: bytes) -> None:
    """Whatever lies there under its name."""
    try:
        read_manifest(FOLDER, "manifest.json", data)
    except Malformed:
        return
    raise AssertionError


def test_a_manifest_of_another_case_file_is_none() -> None:
    """Nobody vouches for a case with what was made for another."""
    link = manifest_of("incidents/another", None, {}, {})
    found = held_against({f"{FOLDER}/manifest.json": link})
    assert [item.mark for item in found.items] == [Mark.CHANGED]


def test_a_chain_that_lacks_a_link_is_broken() -> None:
    """The first one that is missing is named, and those behind it prove nothing."""
    bodies = chained([{1: b"a"}, {2: b"b"}, {3: b"c"}])
    del bodies[f"{FOLDER}/manifest-2.json"]
    found = held_against(bodies)
    marks = {item.path.rpartition("/")[2]: item.mark for item in found.items}
    assert marks["manifest-2.json"] is Mark.MISSING
    assert marks["manifest-3.json"] is Mark.NOT_LISTED
    assert marks["1001-noted.json"] is Mark.INTACT
    assert marks["3003-noted.json"] is Mark.NOT_LISTED


@given(ROUNDS, st.sampled_from(["written", "found"]), st.data())
@repeatable
def test_no_later_link_overrules_what_an_earlier_one_listed(
    rounds: list[dict[int, bytes]], as_: str, data: st.DataObject
) -> None:
    """Whoever changes an object and adds a link that says so has changed it all the same."""
    bodies = chained(rounds)
    last = f"{FOLDER}/{name_of(len(rounds))}"
    link = read_manifest(FOLDER, name_of(len(rounds)), bodies[last])
    if data.draw(st.booleans()):
        bodies[last] = manifest_of(FOLDER, link.previous, {}, link.written)
    path = data.draw(st.sampled_from(sorted(set(bodies) - {f"{FOLDER}/{link.name}"})))
    if number(path.rpartition("/")[2]) is not None:
        return
    bodies[path] += b" "
    listed = {path: digest(bodies[path])}
    lists = (listed, {}) if as_ == "written" else ({}, listed)
    forged = manifest_of(FOLDER, digest(bodies[last]), *lists)
    bodies[f"{FOLDER}/{name_of(len(rounds) + 1)}"] = forged
    found = held_against(bodies)
    assert [item.path for item in found.items if item.mark is Mark.CHANGED] == [path]


def test_names_are_numbers_and_back() -> None:
    """Each link has one name, and no other name is one."""
    assert [number(name_of(at)) for at in (1, 2, 10, 999999)] == [1, 2, 10, 999999]
    for name in ("manifest-1.json", "manifest-02.json", "manifest-x.json", "a/manifest.json"):
        assert number(name) is None


def test_what_may_be_listed_as_found_is_what_we_write() -> None:
    """A name of our own making, and nothing else that somebody may put there."""
    ours = ("1001-released.json", "evidence/audit-log-2.json", "logs.jsonl", "report-2.html")
    assert all(map(listable, ours))
    for name in (
        "evidence/extra.json",
        "notes.txt",
        "report.htm",
        "a/0001-x.json",
        "manifest.json",
    ):
        assert not listable(name)


def test_a_sign_of_life_says_nothing_else() -> None:
    """Under that name and with that content only."""
    alive = b'{"kind": "alive", "run": "x", "nonce": "y", "recorded_at": "z", "schema_version": 1}'
    assert is_alive("0007-alive.json")
    assert says_nothing("0007-alive.json", alive)
    assert not says_nothing("0007-done.json", alive)
    assert not says_nothing("0007-alive.json", alive.replace(b'"run"', b'"outcome"'))
    assert not says_nothing("0007-alive.json", b"\xff")
