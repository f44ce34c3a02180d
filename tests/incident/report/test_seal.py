"""Sealing: a page, and a chain of manifests of all that was stored; a change since shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from incident.case_file.manifest import is_case_file_object, manifest_number, sha256_hex
from incident.case_file.recording_store import RecordingStore
from incident.case_file.verification import CaseFileVerification, ObjectState
from incident.case_file.verify import verify_case_file
from incident.model import GiveUp, Json, JsonObject
from incident.report.seal import seal_case_file
from tests.support.environment import (
    CONTAINMENTS_FOLDER,
    ResponderEnvironment,
    responder_environment,
)
from tests.support.model import folder_store
from tests.support.patrol import deploy, run_patrol, with_automatic_scaling

Damage = Callable[[Path], Any]


def marks_by_name(found: CaseFileVerification) -> dict[str, ObjectState]:
    """What is to be thought of each object, by the last part of its path."""
    return {item.path.rpartition("/")[2]: item.state for item in found.objects}


async def delivered_case(env: ResponderEnvironment) -> tuple[str, JsonObject]:
    """An incident's case file and outcome, after one delivery."""
    outcome = (await env.deliver()).outcome
    return f"incidents/{outcome['incident']}", outcome


async def test_an_incident_leaves_a_page_and_a_chain_that_lists_all_of_it(tmp_path: Path) -> None:
    """Nothing is left out, the last record and the containment's neither."""
    async with responder_environment(tmp_path) as env:
        answer = await env.deliver()
        folder = f"incidents/{answer.outcome['incident']}"
        stored = env.stored_objects()
        first, last = (json.loads(stored[f"{folder}/{n}"]) for n in MANIFESTS)
        assert last["previous"] == sha256_hex(stored[f"{folder}/manifest.json"])
        assert answer.manifest_sha256 == sha256_hex(stored[f"{folder}/manifest-2.json"])
        listed = {**first["written"], **last["written"]}
        kept = [path for path in stored if not path.startswith("slots/")]
        assert listed == {p: sha256_hex(stored[p]) for p in kept if not p.endswith(MANIFESTS)}
        assert (first["found"], last["found"]) == ({}, {})
        assert {p.rpartition("-")[2] for p in last["written"]} >= {"done.json", "back.json"}
        page = stored[f"{folder}/report.html"].decode()
        assert "<h1>Execution: Modified Malicious Binary Executed</h1>" in page
        assert str(answer.outcome["links"]).count("report.html") == 1


MANIFESTS = ("manifest.json", "manifest-2.json")


def plant_object(name: str) -> Damage:
    """Put an object beside another one."""
    return lambda path: (path.parent / name).write_text("{}")


def reformat(path: Path) -> None:
    """Change an object, though not what it says."""
    path.write_bytes(path.read_bytes() + b" ")


DAMAGES: list[tuple[str, Damage, str, ObjectState]] = [
    ("evidence/finding.json", reformat, "finding.json", ObjectState.CHANGED),
    ("evidence/finding.json", Path.unlink, "finding.json", ObjectState.MISSING),
    ("evidence/finding.json", plant_object("extra.json"), "extra.json", ObjectState.NOT_LISTED),
    ("report.html", plant_object("report-9.html"), "report-9.html", ObjectState.NOT_LISTED),
    ("1000-done.json", reformat, "1000-done.json", ObjectState.CHANGED),
    ("1000-done.json", Path.unlink, "1000-done.json", ObjectState.MISSING),
    (
        "1000-done.json",
        plant_object("1001-released.json"),
        "1001-released.json",
        ObjectState.NOT_LISTED,
    ),
    ("manifest.json", reformat, "manifest.json", ObjectState.CHANGED),
    ("manifest.json", Path.unlink, "manifest.json", ObjectState.MISSING),
    ("manifest.json", plant_object("manifest-9.json"), "manifest-9.json", ObjectState.NOT_LISTED),
    (
        "0001-received.json",
        plant_object("0009-heartbeat.json"),
        "0009-heartbeat.json",
        ObjectState.HEARTBEAT,
    ),
    (
        f"../../{CONTAINMENTS_FOLDER}/1/0001-snapshot.json",
        reformat,
        "0001-snapshot.json",
        ObjectState.CHANGED,
    ),
    (
        f"../../{CONTAINMENTS_FOLDER}/1/0001-snapshot.json",
        Path.unlink,
        "0001-snapshot.json",
        ObjectState.MISSING,
    ),
    (
        f"../../{CONTAINMENTS_FOLDER}/1/0001-snapshot.json",
        plant_object("0009-released.json"),
        "0009-released.json",
        ObjectState.NOT_LISTED,
    ),
]


async def test_any_tampering_is_detected(tmp_path: Path) -> None:
    """Changed, taken away or put there: each is named, and nothing else is suspected."""
    async with responder_environment(tmp_path) as env:
        folder, _ = await delivered_case(env)
        stored = env.stored_objects()
    for at, (where, damage, name, mark) in enumerate(DAMAGES):
        place = tmp_path / str(at)
        for path, data in stored.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(data)
        damage((place / folder / where).resolve())
        found = await verify_case_file(folder_store(place), folder)
        suspected = {
            n for n, each in marks_by_name(found).items() if each is not ObjectState.INTACT
        }
        assert marks_by_name(found)[name] is mark, where
        if where != "manifest.json":
            assert suspected == {name}
        assert found.intact is (mark is ObjectState.HEARTBEAT)


async def test_a_heartbeat_with_other_content_is_suspect(tmp_path: Path) -> None:
    """Nobody hides an outcome under the name of what is never listed."""
    async with responder_environment(tmp_path) as env:
        folder, _ = await delivered_case(env)
        forged = {"kind": "heartbeat", "outcome": {"status": "released"}}
        (tmp_path / "store" / folder / "1001-heartbeat.json").write_text(json.dumps(forged))
        found = await verify_case_file(folder_store(tmp_path / "store"), folder)
        assert marks_by_name(found)["1001-heartbeat.json"] is ObjectState.NOT_LISTED


async def test_a_fully_forged_chain_is_detected_with_the_log_only(tmp_path: Path) -> None:
    """Who makes the whole chain anew cannot make the digests in the log."""
    async with responder_environment(tmp_path) as env:
        answer = await env.deliver()
        folder = f"incidents/{answer.outcome['incident']}"
        store, place = folder_store(tmp_path / "store"), tmp_path / "store" / folder
        (place / "1000-done.json").write_text('{"outcome": {"status": "held"}}')
        for name in MANIFESTS:
            (place / name).unlink()
        forger = RecordingStore(store)
        await seal_case_file(forger, folder, answer.outcome)
        found = await verify_case_file(store, folder)
        logged = [str(answer.manifest_sha256)]
        assert found.intact
        assert found.replaced_digests(logged) == tuple(logged)


async def test_a_resumed_case_is_closed_beside_the_older_manifest(tmp_path: Path) -> None:
    """Nothing is overwritten: a second page, one more link, and all of it holds."""
    async with responder_environment(tmp_path) as env:
        folder, outcome = await delivered_case(env)
        store = RecordingStore(folder_store(tmp_path / "store"))
        sealed = await seal_case_file(store, folder, {**outcome, "status": "released"})
        assert sealed.report_path == f"{folder}/report-2.html"
        again = await seal_case_file(store, folder, {**outcome, "status": "released"})
        assert again == sealed
        found = await verify_case_file(folder_store(tmp_path / "store"), folder)
        assert found.intact
        assert found.links[-1].sha256 == sealed.manifest_sha256
        assert found.unconfirmed_links([found.links[1].sha256]) == found.links[2:]


async def test_what_a_dead_run_left_is_listed_as_found_by_the_next_delivery(
    tmp_path: Path,
) -> None:
    """Until then it is not listed; then it is no longer suspected, and told apart all the same."""
    async with responder_environment(tmp_path) as env:
        folder, _ = await delivered_case(env)
        store = folder_store(tmp_path / "store")
        (tmp_path / "store" / folder / "manifest-2.json").unlink()  # as if it had died before
        (tmp_path / "store" / folder / "evidence" / "extra.json").write_text("{}")
        before = marks_by_name(await verify_case_file(store, folder))
        assert before["1000-done.json"] is ObjectState.NOT_LISTED
        answer = await env.deliver()
        found = await verify_case_file(store, folder)
        assert found.links[-1].sha256 == answer.manifest_sha256
        assert marks_by_name(found)["1000-done.json"] is ObjectState.FOUND
        assert (
            marks_by_name(found)["0001-snapshot.json"] is ObjectState.INTACT
        )  # it was listed before the outcome
        assert found.counts[ObjectState.NOT_LISTED] == 1  # what we never write is never listed
        assert (await env.deliver()).manifest_sha256 is None  # nothing was new


async def test_all_that_an_incident_writes_has_a_name_that_may_be_listed(tmp_path: Path) -> None:
    """A collector whose evidence has a new name must be told to the manifest."""
    async with responder_environment(tmp_path) as env:
        folder, _ = await delivered_case(env)
        names = [path.removeprefix(f"{folder}/") for path in env.stored_objects(f"{folder}/**/*")]
        assert all(is_case_file_object(name) or manifest_number(name) for name in names)


async def test_a_case_without_a_manifest_cannot_be_verified(tmp_path: Path) -> None:
    """No manifest is a finding of its own, never a pass; one that is no manifest is changed."""
    with pytest.raises(GiveUp, match="has no manifest"):
        await verify_case_file(folder_store(tmp_path), "incidents/20261002-6255b37a8bf0")
    (tmp_path / "incidents" / "x").mkdir(parents=True)
    bad: list[Json] = ["[]", '{"objects": {"a": "b"}}', "\xff", '{"previous": null}']
    for text in bad:
        (tmp_path / "incidents" / "x" / "manifest.json").write_text(str(text))
        found = await verify_case_file(folder_store(tmp_path), "incidents/x")
        assert marks_by_name(found)["manifest.json"] is ObjectState.CHANGED


async def test_the_page_of_a_case_that_was_carried_on_shows_what_led_to_it(tmp_path: Path) -> None:
    """Its own record is written after the page: the containment's are there before."""
    async with responder_environment(tmp_path) as env:
        outcome = (await env.deliver()).outcome
        await deploy(env, with_automatic_scaling)
        await run_patrol(env.later(900))
        folder = f"incidents/{outcome['incident']}"
        stored = env.stored_objects(f"{folder}/report*.html")
        first, second = (
            stored[f"{folder}/{name}.html"].decode() for name in ("report", "report-2")
        )
        for words in ("Wrote the change", "Read it back: it is in effect", "Read audit log"):
            assert words in first
            assert words in second
        for words in ("The patrol saw it undone, by", "Carried the incident on: unverified"):
            assert words not in first
            assert words in second
        assert f"{outcome['containment']}/0005-reverted.json" in second
