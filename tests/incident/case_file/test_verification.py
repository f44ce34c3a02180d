"""A case file held against its manifests: whatever is done to it, just that is found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from incident.case_file.manifest import (
    decode_manifest,
    encode_manifest,
    is_case_file_object,
    is_heartbeat_name,
    is_plain_heartbeat,
    manifest_name,
    manifest_number,
    sha256_hex,
)
from incident.case_file.verification import CaseFileVerification, ObjectState, verify_objects
from incident.model import Malformed
from tests.support.model import repeatable

FOLDER = "incidents/20261002-6255b37a8bf0"
ROUNDS = st.lists(
    st.dictionaries(st.integers(1, 99), st.binary(max_size=3), min_size=1, max_size=4),
    min_size=1,
    max_size=4,
)


def case_file_with_links(rounds: list[dict[int, bytes]]) -> dict[str, bytes]:
    """A case file to which something was added so many times, each time with a link."""
    bodies: dict[str, bytes] = {}
    previous = None
    for at, added in enumerate(rounds, 1):
        new = {f"{FOLDER}/{at}{key:03d}-noted.json": data for key, data in added.items()}
        listed = {path: sha256_hex(data) for path, data in new.items()}
        link = encode_manifest(FOLDER, previous, listed, {})
        previous = sha256_hex(link)
        bodies |= {**new, f"{FOLDER}/{manifest_name(at)}": link}
    return bodies


def verification_of(bodies: dict[str, bytes]) -> CaseFileVerification:
    """What is to be thought of these objects."""
    return verify_objects(FOLDER, bodies, frozenset(), {}, ())


@given(ROUNDS)
@repeatable
def test_an_untouched_case_file_is_intact(rounds: list[dict[int, bytes]]) -> None:
    """Every object, and every link."""
    found = verification_of(case_file_with_links(rounds))
    assert {item.state for item in found.objects} == {ObjectState.INTACT}
    assert len(found.objects) == len(case_file_with_links(rounds))
    assert found.unconfirmed_links([found.links[-1].sha256]) == ()
    assert found.replaced_digests([link.sha256 for link in found.links]) == ()


@given(ROUNDS, st.data())
@repeatable
def test_no_object_is_changed_or_taken_away_unnoticed(
    rounds: list[dict[int, bytes]], data: st.DataObject
) -> None:
    """But for the newest link, which only a digest from elsewhere can vouch for."""
    bodies = case_file_with_links(rounds)
    newest = f"{FOLDER}/{manifest_name(len(rounds))}"
    known = sha256_hex(bodies[newest])
    path = data.draw(st.sampled_from(sorted(bodies)))
    if data.draw(st.booleans()):
        bodies[path] += b" "
    else:
        del bodies[path]
    found = verification_of(bodies)
    assert not found.intact or found.replaced_digests([known]) == (known,)
    if path != newest:
        assert not found.intact
        assert path in {item.path for item in found.objects if item.state is not ObjectState.INTACT}


@given(ROUNDS, st.text(st.sampled_from("manifest-0123456789.jsonreport/alv"), min_size=1))
@repeatable
def test_nothing_is_planted_unnoticed(rounds: list[dict[int, bytes]], name: str) -> None:
    """Whatever it is called, as long as it is in no link."""
    bodies = case_file_with_links(rounds)
    path = f"{FOLDER}/{name}"
    if path not in bodies:
        found = verification_of({**bodies, path: b"{}"})
        assert not found.intact
        assert path in {
            i.path
            for i in found.objects
            if i.state in (ObjectState.NOT_LISTED, ObjectState.CHANGED)
        }


@given(st.binary(max_size=40) | st.just(b'{"previous": 1, "case_file": "x", "written": []}'))
@repeatable
def test_what_is_no_manifest_is_malformed(data: bytes) -> None:
    """Whatever lies there under its name."""
    try:
        decode_manifest(FOLDER, "manifest.json", data)
    except Malformed:
        return
    raise AssertionError


def test_a_manifest_of_another_case_file_is_none() -> None:
    """Nobody vouches for a case with what was made for another."""
    link = encode_manifest("incidents/another", None, {}, {})
    found = verification_of({f"{FOLDER}/manifest.json": link})
    assert [item.state for item in found.objects] == [ObjectState.CHANGED]


def test_a_chain_that_lacks_a_link_is_broken() -> None:
    """The first one that is missing is named, and those behind it prove nothing."""
    bodies = case_file_with_links([{1: b"a"}, {2: b"b"}, {3: b"c"}])
    del bodies[f"{FOLDER}/manifest-2.json"]
    found = verification_of(bodies)
    marks = {item.path.rpartition("/")[2]: item.state for item in found.objects}
    assert marks["manifest-2.json"] is ObjectState.MISSING
    assert marks["manifest-3.json"] is ObjectState.NOT_LISTED
    assert marks["1001-noted.json"] is ObjectState.INTACT
    assert marks["3003-noted.json"] is ObjectState.NOT_LISTED


@given(ROUNDS, st.sampled_from(["written", "found"]), st.data())
@repeatable
def test_a_later_manifest_cannot_overrule_an_earlier_one(
    rounds: list[dict[int, bytes]], as_: str, data: st.DataObject
) -> None:
    """Whoever changes an object and adds a link that says so has changed it all the same."""
    bodies = case_file_with_links(rounds)
    last = f"{FOLDER}/{manifest_name(len(rounds))}"
    link = decode_manifest(FOLDER, manifest_name(len(rounds)), bodies[last])
    if data.draw(st.booleans()):
        bodies[last] = encode_manifest(FOLDER, link.previous, {}, link.written)
    path = data.draw(st.sampled_from(sorted(set(bodies) - {f"{FOLDER}/{link.name}"})))
    if manifest_number(path.rpartition("/")[2]) is not None:
        return
    bodies[path] += b" "
    listed = {path: sha256_hex(bodies[path])}
    lists = (listed, {}) if as_ == "written" else ({}, listed)
    forged = encode_manifest(FOLDER, sha256_hex(bodies[last]), *lists)
    bodies[f"{FOLDER}/{manifest_name(len(rounds) + 1)}"] = forged
    found = verification_of(bodies)
    assert [item.path for item in found.objects if item.state is ObjectState.CHANGED] == [path]


def test_names_are_numbers_and_back() -> None:
    """Each link has one name, and no other name is one."""
    assert [manifest_number(manifest_name(at)) for at in (1, 2, 10, 999999)] == [1, 2, 10, 999999]
    for name in ("manifest-1.json", "manifest-02.json", "manifest-x.json", "a/manifest.json"):
        assert manifest_number(name) is None


def test_what_may_be_listed_as_found_is_what_we_write() -> None:
    """A name of our own making, and nothing else that somebody may put there."""
    ours = ("1001-released.json", "evidence/audit-log-2.json", "logs.jsonl", "report-2.html")
    assert all(map(is_case_file_object, ours))
    for name in (
        "evidence/extra.json",
        "notes.txt",
        "report.htm",
        "a/0001-x.json",
        "manifest.json",
    ):
        assert not is_case_file_object(name)


def test_a_heartbeat_record_has_no_other_content() -> None:
    """Under that name and with that content only."""
    alive = (
        b'{"kind": "heartbeat", "run": "x", "nonce": "y", "recorded_at": "z", "schema_version": 1}'
    )
    assert is_heartbeat_name("0007-heartbeat.json")
    assert is_plain_heartbeat("0007-heartbeat.json", alive)
    assert not is_plain_heartbeat("0007-done.json", alive)
    assert not is_plain_heartbeat("0007-heartbeat.json", alive.replace(b'"run"', b'"outcome"'))
    assert not is_plain_heartbeat("0007-heartbeat.json", b"\xff")
