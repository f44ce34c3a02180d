"""Verification of a case file: whatever is done to its objects, just that is reported."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from incident.case_file.manifest import RecordingStore, encode_manifest, sha256_hex, write_manifest
from incident.case_file.verification import (
    CaseFileVerification,
    KnownDigest,
    ObjectState,
    verify_case_file,
)
from tests.support.constants import INCIDENT_ID
from tests.support.model import repeatable

FOLDER = f"incidents/{INCIDENT_ID}"
CONTAINMENT = "containments/shop-1/europe-west1/service/storefront/1"
RUNS = st.lists(
    st.dictionaries(
        st.tuples(st.sampled_from([FOLDER, CONTAINMENT]), st.integers(1, 99)),
        st.binary(max_size=3),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=4,
)
Runs = list[dict[tuple[str, int], bytes]]


class MemoryStore:
    """A store in memory."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects

    async def create(self, path: str, data: bytes) -> bool:
        """Put an object where none is."""
        return self.objects.setdefault(path, data) is data

    async def read(self, path: str) -> bytes | None:
        """What is there."""
        return self.objects.get(path)

    async def list(self, prefix: str) -> tuple[str, ...]:
        """What is there."""
        return tuple(sorted(path for path in self.objects if path.startswith(prefix)))

    async def unreadable(self, prefix: str) -> Mapping[str, str]:
        """Nothing is."""
        del prefix
        return {}


def case_file_of(runs: Runs) -> tuple[dict[str, bytes], tuple[KnownDigest, ...]]:
    """The objects of a case file after some runs, and the digests that they logged."""
    store = MemoryStore({})

    async def write() -> list[str | None]:
        logged = []
        for number, objects in enumerate(runs, 1):
            recording = RecordingStore(store)
            for (folder, key), data in objects.items():
                await recording.create(f"{folder}/{number}{key:03d}-noted.json", data)
            logged.append(await write_manifest(recording, FOLDER))
        return logged

    digests = asyncio.run(write())
    return store.objects, tuple(KnownDigest(str(digest), FOLDER) for digest in digests)


def verification_of(
    objects: dict[str, bytes], known: tuple[KnownDigest, ...] | None
) -> CaseFileVerification:
    """The result for these objects."""
    return asyncio.run(verify_case_file(MemoryStore(objects), FOLDER, known))


def suspected(found: CaseFileVerification) -> dict[str, ObjectState]:
    """The objects that are not intact."""
    return {item.path: i for item in found.objects if (i := item.state) is not ObjectState.INTACT}


@given(RUNS)
@repeatable
def test_an_untouched_case_file_is_intact(runs: Runs) -> None:
    """Every object and every manifest, with the log and without it."""
    objects, logged = case_file_of(runs)
    for known in (logged, None):
        found = verification_of(objects, known)
        assert found.intact
        assert found.compared_with_log == (known is not None)
        assert {item.path for item in found.objects} == set(objects)


@given(RUNS, st.data())
@repeatable
def test_a_changed_or_deleted_object_is_reported(runs: Runs, data: st.DataObject) -> None:
    """By its path; what only a changed or deleted manifest listed is not listed any more."""
    objects, logged = case_file_of(runs)
    path = data.draw(st.sampled_from(sorted(objects)))
    deleted = data.draw(st.booleans())
    if deleted:
        del objects[path]
    else:
        objects[path] += b" "
    found = verification_of(objects, logged)
    assert not found.intact
    if path.endswith("-noted.json"):
        state = ObjectState.MISSING if deleted else ObjectState.CHANGED
        assert suspected(found) == {path: state}
        assert found.missing_manifests == ()
    else:
        assert len(found.missing_manifests) == 1
        assert set(suspected(found).values()) == {ObjectState.NOT_LISTED}


@given(RUNS, st.data())
@repeatable
def test_two_swapped_objects_are_reported(runs: Runs, data: st.DataObject) -> None:
    """A digest counts for the path that it is listed with."""
    objects, logged = case_file_of(runs)
    records = sorted(path for path in objects if path.endswith("-noted.json"))
    one, other = data.draw(st.sampled_from(records)), data.draw(st.sampled_from(records))
    objects[one], objects[other] = objects[other], objects[one]
    same = objects[one] == objects[other]
    expected = {} if same else dict.fromkeys((one, other), ObjectState.CHANGED)
    assert suspected(verification_of(objects, logged)) == expected


@given(RUNS, st.text(st.sampled_from("manifest-0123456789.jsonreport/alv"), min_size=1))
@repeatable
def test_a_planted_object_is_reported(runs: Runs, name: str) -> None:
    """Whatever its name, with the log and without it."""
    objects, logged = case_file_of(runs)
    path = f"{FOLDER}/{name}"
    if path in objects:
        return
    for known in (logged, None):
        found = verification_of({**objects, path: b"{}"}, known)
        assert suspected(found) == {path: ObjectState.NOT_LISTED}


@given(RUNS, st.booleans())
@repeatable
def test_a_forged_manifest_is_detected_by_the_log(runs: Runs, extra: bool) -> None:  # noqa: FBT001
    """It can list planted objects, but its digest is not in the log."""
    objects, logged = case_file_of(runs)
    planted, forged = f"{FOLDER}/1001-released.json", f"{FOLDER}/manifest-9.json"
    objects[planted] = b"{}"
    listed = {planted: sha256_hex(b"{}"), **({f"{FOLDER}/gone.json": "0" * 64} if extra else {})}
    objects[forged] = encode_manifest(FOLDER, listed)
    assert verification_of(objects, None).intact != extra
    found = verification_of(objects, logged)
    assert suspected(found) == dict.fromkeys((planted, forged), ObjectState.NOT_LISTED)
    notes = {item.path: item.note for item in found.objects}
    assert notes[planted] == f"only in {forged}, whose digest is not among those from the log"


@given(RUNS, st.data())
@repeatable
def test_a_later_manifest_cannot_replace_what_another_lists(
    runs: Runs, data: st.DataObject
) -> None:
    """An object that is listed with two digests is changed, even where nobody asks the log."""
    objects, _ = case_file_of(runs)
    path = data.draw(st.sampled_from(sorted(p for p in objects if p.endswith("-noted.json"))))
    objects[path] += b" "
    forged = encode_manifest(FOLDER, {path: sha256_hex(objects[path])})
    objects[f"{FOLDER}/manifest-9.json"] = forged
    assert suspected(verification_of(objects, None)) == {path: ObjectState.CHANGED}


def test_a_manifest_of_another_case_file_lists_nothing_here() -> None:
    """Although its digest is in the log."""
    other = encode_manifest("incidents/20261002-ffffffffffff", {f"{FOLDER}/x.json": "0" * 64})
    objects = {f"{FOLDER}/manifest.json": other}
    found = verification_of(objects, (KnownDigest(sha256_hex(other)),))
    assert suspected(found) == {f"{FOLDER}/manifest.json": ObjectState.NOT_LISTED}


def test_another_incident_lists_only_what_is_shared() -> None:
    """Its own manifest says nothing of this case file, and its own objects are not checked."""
    objects, logged = case_file_of([{(FOLDER, 1): b"{}", (CONTAINMENT, 1): b"{}"}])
    name = "20261002-ffffffffffff"
    record = f"{CONTAINMENT}/0002-joined.json"
    objects[record] = f'{{"incident": "{name}"}}'.encode()
    planted = f"{FOLDER}/1001-released.json"
    objects[planted] = b"{}"
    paths = {path: sha256_hex(objects[path]) for path in (record, planted)}
    other = encode_manifest(f"incidents/{name}", {**paths, f"incidents/{name}/x.json": "0" * 64})
    objects[f"incidents/{name}/manifest.json"] = other
    for known in (None, (*logged, KnownDigest(sha256_hex(other), f"incidents/{name}"))):
        assert suspected(verification_of(objects, known)) == {planted: ObjectState.NOT_LISTED}
    assert suspected(verification_of(objects, logged)) == dict.fromkeys(
        (planted, record), ObjectState.NOT_LISTED
    )


def test_digests_of_other_folders_are_not_missing_here() -> None:
    """A dry run of the same event, or another incident, has manifests of its own."""
    objects, logged = case_file_of([{(FOLDER, 1): b"{}"}])
    dry_run = KnownDigest("0" * 64, FOLDER.replace("incidents", "dry-runs"))
    found = verification_of(objects, (*logged, dry_run))
    assert (found.intact, found.missing_manifests) == (True, ())
    assert verification_of(objects, (*logged, KnownDigest("0" * 64))).missing_manifests == (
        "0" * 64,
    )
