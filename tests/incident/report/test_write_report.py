"""The report of a case file: written beside earlier ones, from all that was stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from incident.model import Status
from incident.report.write_report import write_report
from tests.support.environment import responder_environment
from tests.support.model import folder_store
from tests.support.patrol import deploy, run_patrol, with_automatic_scaling


async def test_an_incident_has_a_report(tmp_path: Path) -> None:
    """Its outcome links to it."""
    async with responder_environment(tmp_path) as env:
        result = await env.deliver()
        page = env.stored_objects()[f"{result.case_file}/report.html"].decode()
        assert "<h1>storefront: malicious binary executed</h1>" in page
        assert str(result.outcome.to_json()["links"]).count("report.html") == 1


async def test_a_later_report_is_written_beside_the_earlier_one(tmp_path: Path) -> None:
    """Nothing is overwritten, and the same report is written once."""
    async with responder_environment(tmp_path) as env:
        result = await env.deliver()
        folder = str(result.case_file)
        store = folder_store(tmp_path / "store")
        first = env.stored_objects()[f"{folder}/report.html"]
        for _ in range(2):
            path = await write_report(
                store, folder, replace(result.outcome, status=Status.RELEASED)
            )
            assert path == f"{folder}/report-2.html"
        assert env.stored_objects()[f"{folder}/report.html"] == first


async def test_the_report_of_a_later_outcome_shows_what_led_to_it(tmp_path: Path) -> None:
    """Its own record is written after the report; the containment's are there before."""
    async with responder_environment(tmp_path) as env:
        outcome = (await env.deliver()).outcome
        await deploy(env, with_automatic_scaling)
        await run_patrol(env.later(900))
        folder = f"incidents/{outcome.incident}"
        stored = env.stored_objects(f"{folder}/report*.html")
        first, second = (
            stored[f"{folder}/{name}.html"].decode() for name in ("report", "report-2")
        )
        for words in ("Wrote the change", "Read it back: it is in effect", "audit log"):
            assert words in first
            assert words in second
        for words in ("The patrol saw it undone, by", "Carried the incident on: unverified"):
            assert words not in first
            assert words in second
