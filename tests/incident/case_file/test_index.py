"""Case files as an operator sees them: which workload one is about, also while it is open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clients import connect
from clients.store import Store
from commands.look import show
from incident.case_file.index import Case, Cases
from incident.case_file.journal import Record
from incident.model import GiveUp, Json, Kind, Workload
from tests.support.environment import Road, road, sample, world_around
from tests.support.manual_containment import person
from tests.support.model import NOW

NAME = "projects/210987654321/locations/europe-west1/jobs/nightly"
PLACE: Json = {
    "project": "example-shop-prod",
    "project_number": "210987654321",
    "location": "europe-west1",
    "kind": "job",
    "name": "nightly",
}


def case(*bodies: dict[str, Json]) -> Case:
    """A case file with some records."""
    records = (Record(n, "kind", NOW, "run-1", body) for n, body in enumerate(bodies, 1))
    return Case("20261002-6255b37a8bf0", "incidents/x", tuple(records))


def nightly(project: str | None, number: str | None) -> Workload:
    """The job, with what is known of its project."""
    return Workload(Kind.JOB, "europe-west1", "nightly", project, number)


def test_an_open_incident_names_the_workload_that_it_holds() -> None:
    """By its containment, which knows best; else as it was reported; nothing else is guessed."""
    received: dict[str, Json] = {"workload": NAME}
    held: dict[str, Json] = {
        "containment": "containments/example-shop-prod/europe-west1/job/nightly/1"
    }
    assert case(received).workload == nightly(None, "210987654321")
    assert case(received, held).workload == nightly("example-shop-prod", None)
    numbered: dict[str, Json] = {"containment": "containments/7/europe-west1/job/nightly/12"}
    assert case(received, numbered).workload == nightly(None, "7")
    assert case({"workload": None}).workload is None
    assert case().workload is None


def test_what_was_settled_counts_before_it_is_done() -> None:
    """Not as the outcome, which is for what is done, but as what it comes to."""
    settled: dict[str, Json] = {"outcome": {"status": "contained", "workload": PLACE}}
    concluded = Case("i", "f", (Record(999, "concluded", NOW, "run-1", settled),))
    assert (concluded.status, concluded.outcome) == ("open", None)
    assert concluded.concluded == settled["outcome"]
    assert concluded.workload == nightly("example-shop-prod", "210987654321")


@asynccontextmanager
async def unconfirmed(folder: Path, **settings: Any) -> AsyncIterator[tuple[Road, Store, str]]:
    """A claim that nobody bears out, held for good; its store, and the id that its page names."""
    world = {**world_around(sample()), "findings": []}
    async with road(folder, world=world, after_s=400, **settings) as way:
        outcome = (await way.deliver()).outcome
        clients = await connect(way.settings)
        try:
            yield way, clients.store, str(outcome["incident"])
        finally:
            await clients.close()


@pytest.mark.parametrize("url", ["", "gs://case-files/responder"])
async def test_a_claim_is_found_by_the_id_that_its_page_and_message_name(
    tmp_path: Path, url: str
) -> None:
    """In a folder as in a bucket, for what reads the records and for what reads the objects."""
    given = {"store": url} if url else {}
    async with unconfirmed(tmp_path, **given) as (_, store, incident):
        cases = Cases(store)
        (only,) = (await cases.all()).cases
        assert only.incident.startswith(f"{incident}-")
        assert (await cases.one(incident)) == only == (await cases.one(only.incident))
        assert await cases.folder(incident) == only.folder == f"claims/{only.incident}"
        for unknown in (incident[:-1], f"{incident[:-1]}x", only.incident[:-1]):
            with pytest.raises(GiveUp, match="cannot find incident"):
                await cases.one(unknown)


async def test_the_commands_take_the_id_of_a_claim(tmp_path: Path) -> None:
    """They show it, and refuse to act on it for what it is, not as unknown."""
    async with unconfirmed(tmp_path) as (way, _, incident):
        environment = {"RESPONDER_STORE": way.settings.store}
        told = await asyncio.to_thread(CliRunner().invoke, show, (incident,), env=environment)
        assert (told.exit_code, "HELD" in told.stdout) == (0, True)
        async with person(way) as me:
            with pytest.raises(GiveUp, match="Security Command Center"):
                await me.planned(incident)


async def test_of_several_claims_about_one_event_a_person_picks(tmp_path: Path) -> None:
    """Each is named with the command that shows it; none is taken for the other."""
    async with unconfirmed(tmp_path) as (_, store, incident):
        cases = Cases(store)
        (first,) = (await cases.all()).cases
        other = f"{incident}-{'0' * 8}"
        data = await store.read(f"{first.folder}/0001-received.json")
        await store.create(f"claims/{other}/0001-received.json", data or b"")
        for asked in (cases.one, cases.folder):
            with pytest.raises(
                GiveUp, match=rf"2 messages(?s:.)*show {other}\n.* {first.incident}"
            ):
                await asked(incident)
        assert (await cases.one(other)).incident == other
