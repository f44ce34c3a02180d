"""Sealing: a page, and a chain of manifests of all that was stored; a change since shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from incident.case_file.manifest import digest, listable, number
from incident.case_file.recording_store import Witness
from incident.case_file.verification import Examination, Mark
from incident.case_file.verify import examine
from incident.model import GiveUp, Json, JsonObject
from incident.report.seal import seal
from tests.support.environment import CONTAINMENTS, Road, road
from tests.support.model import folder_store
from tests.support.patrol import automatic, deploy, patrol

Damage = Callable[[Path], Any]


def marks(found: Examination) -> dict[str, Mark]:
    """What is to be thought of each object, by the last part of its path."""
    return {item.path.rpartition("/")[2]: item.mark for item in found.items}


async def told(way: Road) -> tuple[str, JsonObject]:
    """An incident's case file and outcome, after one delivery."""
    outcome = (await way.deliver()).outcome
    return f"incidents/{outcome['incident']}", outcome


async def test_an_incident_leaves_a_page_and_a_chain_that_lists_all_of_it(tmp_path: Path) -> None:
    """Nothing is left out, the last record and the containment's neither."""
    async with road(tmp_path) as way:
        answer = await way.deliver()
        folder = f"incidents/{answer.outcome['incident']}"
        stored = way.stored()
        first, last = (json.loads(stored[f"{folder}/{n}"]) for n in LINKS)
        assert last["previous"] == digest(stored[f"{folder}/manifest.json"])
        assert answer.manifest_sha256 == digest(stored[f"{folder}/manifest-2.json"])
        listed = {**first["written"], **last["written"]}
        kept = [path for path in stored if not path.startswith("slots/")]
        assert listed == {p: digest(stored[p]) for p in kept if not p.endswith(LINKS)}
        assert (first["found"], last["found"]) == ({}, {})
        assert {p.rpartition("-")[2] for p in last["written"]} >= {"done.json", "back.json"}
        page = stored[f"{folder}/report.html"].decode()
        assert "<h1>Execution: Modified Malicious Binary Executed</h1>" in page
        assert str(answer.outcome["links"]).count("report.html") == 1


LINKS = ("manifest.json", "manifest-2.json")


def plant(name: str) -> Damage:
    """Put an object beside another one."""
    return lambda path: (path.parent / name).write_text("{}")


def add_space(path: Path) -> None:
    """Change an object, though not what it says."""
    path.write_bytes(path.read_bytes() + b" ")


DAMAGES: list[tuple[str, Damage, str, Mark]] = [
    ("evidence/finding.json", add_space, "finding.json", Mark.CHANGED),
    ("evidence/finding.json", Path.unlink, "finding.json", Mark.MISSING),
    ("evidence/finding.json", plant("extra.json"), "extra.json", Mark.NOT_LISTED),
    ("report.html", plant("report-9.html"), "report-9.html", Mark.NOT_LISTED),
    ("1000-done.json", add_space, "1000-done.json", Mark.CHANGED),
    ("1000-done.json", Path.unlink, "1000-done.json", Mark.MISSING),
    ("1000-done.json", plant("1001-released.json"), "1001-released.json", Mark.NOT_LISTED),
    ("manifest.json", add_space, "manifest.json", Mark.CHANGED),
    ("manifest.json", Path.unlink, "manifest.json", Mark.MISSING),
    ("manifest.json", plant("manifest-9.json"), "manifest-9.json", Mark.NOT_LISTED),
    ("0001-received.json", plant("0009-alive.json"), "0009-alive.json", Mark.ALIVE),
    (f"../../{CONTAINMENTS}/1/0001-before.json", add_space, "0001-before.json", Mark.CHANGED),
    (f"../../{CONTAINMENTS}/1/0001-before.json", Path.unlink, "0001-before.json", Mark.MISSING),
    (
        f"../../{CONTAINMENTS}/1/0001-before.json",
        plant("0009-released.json"),
        "0009-released.json",
        Mark.NOT_LISTED,
    ),
]


async def test_whatever_is_done_to_the_case_is_found(tmp_path: Path) -> None:
    """Changed, taken away or put there: each is named, and nothing else is suspected."""
    async with road(tmp_path) as way:
        folder, _ = await told(way)
        stored = way.stored()
    for at, (where, damage, name, mark) in enumerate(DAMAGES):
        place = tmp_path / str(at)
        for path, data in stored.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(data)
        damage((place / folder / where).resolve())
        found = await examine(folder_store(place), folder)
        suspected = {n for n, each in marks(found).items() if each is not Mark.INTACT}
        assert marks(found)[name] is mark, where
        if where != "manifest.json":
            assert suspected == {name}
        assert found.intact is (mark is Mark.ALIVE)


async def test_a_sign_of_life_that_says_more_is_none(tmp_path: Path) -> None:
    """Nobody hides an outcome under the name of what is never listed."""
    async with road(tmp_path) as way:
        folder, _ = await told(way)
        forged = {"kind": "alive", "outcome": {"status": "released"}}
        (tmp_path / "store" / folder / "1001-alive.json").write_text(json.dumps(forged))
        found = await examine(folder_store(tmp_path / "store"), folder)
        assert marks(found)["1001-alive.json"] is Mark.NOT_LISTED


async def test_what_is_forged_from_the_first_link_on_only_the_log_can_tell(tmp_path: Path) -> None:
    """Who makes the whole chain anew cannot make the digests in the log."""
    async with road(tmp_path) as way:
        answer = await way.deliver()
        folder = f"incidents/{answer.outcome['incident']}"
        store, place = folder_store(tmp_path / "store"), tmp_path / "store" / folder
        (place / "1000-done.json").write_text('{"outcome": {"status": "held"}}')
        for name in LINKS:
            (place / name).unlink()
        forger = Witness(store)
        await seal(forger, folder, answer.outcome)
        found = await examine(store, folder)
        logged = [str(answer.manifest_sha256)]
        assert found.intact
        assert found.replaced(logged) == tuple(logged)


async def test_a_case_that_was_carried_on_is_sealed_beside_the_older_seal(tmp_path: Path) -> None:
    """Nothing is overwritten: a second page, one more link, and all of it holds."""
    async with road(tmp_path) as way:
        folder, outcome = await told(way)
        store = Witness(folder_store(tmp_path / "store"))
        sealed = await seal(store, folder, {**outcome, "status": "released"})
        assert sealed.report == f"{folder}/report-2.html"
        again = await seal(store, folder, {**outcome, "status": "released"})
        assert again == sealed
        found = await examine(folder_store(tmp_path / "store"), folder)
        assert found.intact
        assert found.links[-1].sha256 == sealed.sha256
        assert found.unproven([found.links[1].sha256]) == found.links[2:]


async def test_what_a_dead_run_left_is_listed_as_found_by_the_next_delivery(
    tmp_path: Path,
) -> None:
    """Until then it is not listed; then it is no longer suspected, and told apart all the same."""
    async with road(tmp_path) as way:
        folder, _ = await told(way)
        store = folder_store(tmp_path / "store")
        (tmp_path / "store" / folder / "manifest-2.json").unlink()  # as if it had died before
        (tmp_path / "store" / folder / "evidence" / "extra.json").write_text("{}")
        before = marks(await examine(store, folder))
        assert before["1000-done.json"] is Mark.NOT_LISTED
        answer = await way.deliver()
        found = await examine(store, folder)
        assert found.links[-1].sha256 == answer.manifest_sha256
        assert marks(found)["1000-done.json"] is Mark.FOUND
        assert marks(found)["0001-before.json"] is Mark.INTACT  # it was listed before the outcome
        assert found.counts[Mark.NOT_LISTED] == 1  # what we never write is never listed
        assert (await way.deliver()).manifest_sha256 is None  # nothing was new


async def test_all_that_an_incident_writes_has_a_name_that_may_be_listed(tmp_path: Path) -> None:
    """A collector whose evidence has a new name must be told to the manifest."""
    async with road(tmp_path) as way:
        folder, _ = await told(way)
        names = [path.removeprefix(f"{folder}/") for path in way.stored(f"{folder}/**/*")]
        assert all(listable(name) or number(name) for name in names)


async def test_what_was_never_sealed_cannot_be_verified(tmp_path: Path) -> None:
    """No manifest is a finding of its own, never a pass; one that is no manifest is changed."""
    with pytest.raises(GiveUp, match="has no manifest"):
        await examine(folder_store(tmp_path), "incidents/20261002-6255b37a8bf0")
    (tmp_path / "incidents" / "x").mkdir(parents=True)
    bad: list[Json] = ["[]", '{"objects": {"a": "b"}}', "\xff", '{"previous": null}']
    for text in bad:
        (tmp_path / "incidents" / "x" / "manifest.json").write_text(str(text))
        found = await examine(folder_store(tmp_path), "incidents/x")
        assert marks(found)["manifest.json"] is Mark.CHANGED


async def test_the_page_of_a_case_that_was_carried_on_shows_what_led_to_it(tmp_path: Path) -> None:
    """Its own record is written after the page: the containment's are there before."""
    async with road(tmp_path) as way:
        outcome = (await way.deliver()).outcome
        await deploy(way, automatic)
        await patrol(way.later(900))
        folder = f"incidents/{outcome['incident']}"
        stored = way.stored(f"{folder}/report*.html")
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
