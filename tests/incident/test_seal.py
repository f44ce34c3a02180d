"""Sealing: a page and a manifest of what was stored, and any change since comes to light."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from incident.manifest import digest
from incident.model import GiveUp
from incident.seal import seal, verify_seals
from tests.guarding import automatic, deploy, patrol
from tests.road import road
from tests.values import folder_store


async def test_an_incident_leaves_a_page_and_a_manifest_of_all_before_it(tmp_path: Path) -> None:
    """What the manifest covers is what is there; its digest is in the answer for the log."""
    async with road(tmp_path) as way:
        answer = await way.deliver()
        folder = f"incidents/{answer.outcome['incident']}"
        stored = way.stored()
        manifest = json.loads(stored[f"{folder}/manifest.json"])
        assert answer.manifest_sha256 == digest(stored[f"{folder}/manifest.json"])
        for name, sha256 in manifest["objects"].items():
            assert sha256 == digest(stored[f"{folder}/{name}"])
        covered = {f"{folder}/{name}" for name in manifest["objects"]}
        left = {path for path in stored if path.startswith(folder)} - covered
        kinds = {path.rpartition("/")[2].lstrip("0123456789-") for path in left}
        assert kinds == {"manifest.json", "sealed.json", "written-back.json", "done.json"}
        assert way.record(f"{folder}/1000-done.json")["manifest_sha256"] == answer.manifest_sha256
        page = stored[f"{folder}/report.html"].decode()
        assert "<h1>Execution: Modified Malicious Binary Executed</h1>" in page
        assert str(answer.outcome["links"]).count("report.html") == 1


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        (lambda path: path.write_bytes(path.read_bytes() + b" "), "changed"),
        (lambda path: path.unlink(), "missing"),
        (lambda path: (path.parent / "planted.json").write_text("{}"), "added"),
    ],
)
async def test_whatever_is_done_to_the_case_file_is_found(
    tmp_path: Path, damage: object, where: str
) -> None:
    """Changed, taken away or put there: each is named by its path."""
    assert callable(damage)
    async with road(tmp_path) as way:
        answer = await way.deliver()
        folder = f"incidents/{answer.outcome['incident']}"
        store = folder_store(tmp_path / "store")
        (intact,) = await verify_seals(store, folder)
        assert intact.intact
        assert "1000-done.json" in intact.added
        damage(tmp_path / "store" / folder / "evidence" / "finding.json")
        (found,) = await verify_seals(store, folder)
        assert found.sha256 == answer.manifest_sha256
        named = {"changed": found.changed, "missing": found.missing, "added": found.added}[where]
        expected = "evidence/planted.json" if where == "added" else "evidence/finding.json"
        assert expected in named
        assert found.intact is (where == "added")


async def test_a_case_file_that_was_carried_on_is_sealed_beside_the_older_seal(
    tmp_path: Path,
) -> None:
    """Nothing is overwritten: a second page, a second manifest, and both hold."""
    async with road(tmp_path) as way:
        outcome = (await way.deliver()).outcome
        folder = f"incidents/{outcome['incident']}"
        store = folder_store(tmp_path / "store")
        sealed = await seal(store, folder, {**outcome, "status": "released"})
        assert sealed.report == f"{folder}/report-2.html"
        again = await seal(store, folder, {**outcome, "status": "released"})
        assert again.report == sealed.report
        found = await verify_seals(store, folder)
        assert all(each.intact for each in found)
        assert {sealed.sha256} <= {each.sha256 for each in found}


async def test_what_was_never_sealed_cannot_be_verified(tmp_path: Path) -> None:
    """No manifest is a finding of its own, never a pass."""
    with pytest.raises(GiveUp, match="has no manifest"):
        await verify_seals(folder_store(tmp_path), "incidents/20261002-6255b37a8bf0")
    (tmp_path / "incidents" / "x").mkdir(parents=True)
    (tmp_path / "incidents" / "x" / "manifest.json").write_text('{"objects": {"a": "b"}}')
    with pytest.raises(GiveUp, match="not a manifest"):
        await verify_seals(folder_store(tmp_path), "incidents/x")


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
