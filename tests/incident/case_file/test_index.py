"""List and look up case files: the workload of one, and unconfirmed claims."""

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
from commands.show import show
from incident.case_file.index import CaseFileIndex, CaseSummary
from incident.case_file.journal import Record
from incident.model import GiveUp, Json, Kind, Status, Workload
from incident.model.outcome import Outcome, ReportedWorkload
from tests.support.constants import INCIDENT_ID
from tests.support.environment import ResponderEnvironment, responder_environment
from tests.support.findings import sample_notification
from tests.support.manual_containment import command_line_user
from tests.support.model import NOW
from tests.support.worlds import world_around

NAME = "projects/210987654321/locations/europe-west1/jobs/nightly"
WORKLOAD_JSON: Json = {
    "project": "example-shop-prod",
    "project_number": "210987654321",
    "location": "europe-west1",
    "kind": "job",
    "name": "nightly",
}


def case_summary(*bodies: dict[str, Json]) -> CaseSummary:
    """A case file with some records."""
    records = (Record(n, "kind", NOW, "run-1", body) for n, body in enumerate(bodies, 1))
    return CaseSummary(INCIDENT_ID, "incidents/x", tuple(records))


def nightly(project: str | None, number: str | None) -> Workload:
    """The job, with what is known of its project."""
    return Workload(Kind.JOB, "europe-west1", "nightly", project, number)


def test_an_open_incident_names_its_workload() -> None:
    """From its containment, else from the notification."""
    received: dict[str, Json] = {"workload": NAME}
    contained: dict[str, Json] = {
        "containment": "containments/example-shop-prod/europe-west1/job/nightly/1"
    }
    assert case_summary(received).workload == nightly(None, "210987654321")
    assert case_summary(received, contained).workload == nightly("example-shop-prod", None)
    numbered: dict[str, Json] = {"containment": "containments/7/europe-west1/job/nightly/12"}
    assert case_summary(received, numbered).workload == nightly(None, "7")
    assert case_summary({"workload": None}).workload is None
    assert case_summary().workload is None


def test_a_recorded_outcome_counts_before_the_incident_is_done() -> None:
    """As the latest outcome; the status stays open."""
    outcome = Outcome(
        Status.CONTAINED, workload=ReportedWorkload.of(nightly("example-shop-prod", "210987654321"))
    )
    settled: dict[str, Json] = {"outcome": outcome.to_json()}
    concluded = CaseSummary("i", "f", (Record(999, "concluded", NOW, "run-1", settled),))
    assert (concluded.status, concluded.outcome) == ("open", None)
    assert concluded.latest_outcome == outcome
    assert concluded.workload == nightly("example-shop-prod", "210987654321")


@asynccontextmanager
async def unconfirmed_case(
    folder: Path, **settings: Any
) -> AsyncIterator[tuple[ResponderEnvironment, Store, str]]:
    """An unconfirmed claim, held; its store, and the id that its page names."""
    world = {**world_around(sample_notification()), "findings": []}
    async with responder_environment(folder, world=world, after_s=400, **settings) as env:
        outcome = (await env.deliver()).outcome
        clients = await connect(env.settings)
        try:
            yield env, clients.store, str(outcome.incident)
        finally:
            await clients.close()


@pytest.mark.parametrize("url", ["", "gs://case-files/responder"])
async def test_an_unconfirmed_incident_is_found_by_its_published_id(
    tmp_path: Path, url: str
) -> None:
    """In a folder and in a bucket, by everything that reads case files."""
    given = {"store": url} if url else {}
    async with unconfirmed_case(tmp_path, **given) as (_, store, incident):
        cases = CaseFileIndex(store)
        (only,) = (await cases.list_all()).summaries
        assert only.incident.startswith(f"{incident}-")
        assert (await cases.get(incident)) == only == (await cases.get(only.incident))
        assert await cases.folder_of(incident) == only.folder == f"claims/{only.incident}"
        for beginning in (incident[:-1], only.incident[:-1], incident[:8]):
            assert await cases.resolve_id(beginning) == only.incident
            assert await cases.get(beginning) == only
        for unknown in (f"{incident[:-1]}x", incident[:3], "20261003", "", "../x"):
            with pytest.raises(GiveUp, match="cannot find incident"):
                await cases.get(unknown)


async def test_commands_accept_the_id_of_an_unconfirmed_incident(tmp_path: Path) -> None:
    """They show it, and refuse to act on it because it is unconfirmed."""
    async with unconfirmed_case(tmp_path) as (env, _, incident):
        environment = {"RESPONDER_STORE": env.settings.store}
        shown = await asyncio.to_thread(CliRunner().invoke, show, (incident,), env=environment)
        assert (shown.exit_code, "HELD" in shown.stdout) == (0, True)
        async with command_line_user(env) as me:
            with pytest.raises(GiveUp, match="Security Command Center"):
                await me.propose_containment(incident)


async def test_several_unconfirmed_incidents_of_one_event_are_listed(tmp_path: Path) -> None:
    """Each is named with the command that shows it."""
    async with unconfirmed_case(tmp_path) as (_, store, incident):
        cases = CaseFileIndex(store)
        (first,) = (await cases.list_all()).summaries
        other = f"{incident}-{'0' * 8}"
        data = await store.read(f"{first.folder}/0001-received.json")
        await store.create(f"claims/{other}/0001-received.json", data or b"")
        for asked in (cases.get, cases.folder_of):
            with pytest.raises(
                GiveUp, match=rf"2 messages(?s:.)*show {other}\n.* {first.incident}"
            ):
                await asked(incident)
        assert (await cases.get(other)).incident == other
