"""Case files as an operator sees them: which workload one is about, also while it is open."""

from __future__ import annotations

from incident.cases import Case
from incident.journal import Record
from incident.model import Json, Kind, Workload
from tests.values import NOW

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
