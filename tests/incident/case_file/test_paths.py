"""Paths of the store: what is made is parsed back, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.case_file import paths
from incident.model import Kind, Workload
from tests.support.constants import INCIDENT_ID
from tests.support.model import repeatable

CLAIM = f"{INCIDENT_ID}-0123abcd"
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,12}", fullmatch=True)


@given(NAMES, NAMES, st.sampled_from(Kind), NAMES, st.integers(0, 999_999_999))
@repeatable
def test_a_containment_path_is_parsed_back(
    project: str, location: str, kind: Kind, name: str, number: int
) -> None:
    """With the workload, whose project is an id or a number."""
    workload = Workload.of_project(project, kind=kind, location=location, name=name)
    folder = paths.containment_folder(workload, number)
    assert paths.parse_containment_path(folder) == paths.ContainmentPath(workload, number)
    found = paths.parse_containment_path(f"{folder}/reapplications/0001-claimed.json")
    assert found == paths.ContainmentPath(workload, number, "reapplications/0001-claimed.json")
    assert found.folder == folder
    assert paths.parse_containments_folder(paths.containments_folder(workload)) == workload
    assert (workload.project_number is None) != project.isdigit()


@pytest.mark.parametrize(
    "path",
    [
        "",
        "containments",
        "containments/p/l/service/s",
        "containments/p/l/service/s/x",
        "containments/p/l/service/s/1234567890",
        "containments/p/l/service/s/\u0661",
        "containments/p/l/function/s/1",
        "containments/../l/service/s/1",
        "containments//l/service/s/1",
        "incidents/p/l/service/s/1",
        None,
        7,
    ],
)
def test_any_other_path_is_no_containment(path: object) -> None:
    """Whatever a record or a planted object says."""
    assert paths.parse_containment_path(path) is None


@pytest.mark.parametrize("root", paths.CASE_FILE_ROOTS)
@pytest.mark.parametrize("incident", [INCIDENT_ID, CLAIM])
def test_a_case_file_path_is_parsed_back(root: str, incident: str) -> None:
    """The case file itself, and an object in it."""
    folder = paths.case_file_folder(root, incident)
    assert paths.parse_case_file_path(folder) == paths.CaseFilePath(root, incident)
    found = paths.parse_case_file_path(f"{folder}/evidence/finding.json")
    assert found == paths.CaseFilePath(root, incident, "evidence/finding.json")
    assert found.folder == folder
    assert (paths.event_id(incident), paths.event_day(incident)) == (INCIDENT_ID, "20261002")


@pytest.mark.parametrize(
    "path",
    ["", INCIDENT_ID, f"slots/{INCIDENT_ID}", "incidents/x", f"incidents/{INCIDENT_ID}x", None],
)
def test_any_other_path_is_no_case_file(path: object) -> None:
    """Only the four roots have case files, and only ids name them."""
    assert paths.parse_case_file_path(path) is None


@given(st.integers(0, 999_999_999), st.from_regex(r"[a-z-]+", fullmatch=True))
@repeatable
def test_a_record_name_is_parsed_back(number: int, kind: str) -> None:
    """With at least four digits, so that records sort."""
    path = paths.record_path("folder", number, kind)
    assert paths.parse_record_name(path.removeprefix("folder/")) == paths.RecordName(number, kind)


@pytest.mark.parametrize("name", ["1-done.json", "0001-Done.json", "0001-done.json ", "0001.json"])
def test_any_other_name_is_no_record(name: str) -> None:
    """Such objects are ignored by everything but ``verify``."""
    assert paths.parse_record_name(name) is None


def test_an_object_beside_another_has_a_number() -> None:
    """The first has none."""
    stem = paths.object_stem("folder", "report")
    assert paths.numbered_path(stem, "html", 1) == "folder/report.html"
    assert paths.numbered_path(stem, "html", 2) == "folder/report-2.html"
    for name in ("manifest.json", "manifest-12.json", "incidents/x/manifest.json"):
        assert paths.is_manifest(name)
    for name in ("manifest-x.json", "manifest.jsonl", "0001-manifest.json", "manifest/x.json"):
        assert not paths.is_manifest(name)


@pytest.mark.parametrize(
    ("section", "path", "folder"),
    [
        (
            paths.INCIDENTS,
            f"incidents/{INCIDENT_ID}/0001-received.json",
            f"incidents/{INCIDENT_ID}/",
        ),
        (paths.INCIDENTS, "incidents/stray.json", ""),
        (paths.INCIDENTS, "incidents/x/y/z", "incidents/x/"),
        (paths.INCIDENTS, f"dry-runs/{INCIDENT_ID}/x", ""),
        (paths.CONTAINMENTS, "containments/p/l/service/s/1/x", "containments/p/l/service/s/"),
        (paths.CONTAINMENTS, "containments/p/l/service/s", ""),
    ],
)
def test_a_walk_finds_the_folder_of_an_object(section: str, path: str, folder: str) -> None:
    """Whatever the folder is called; an object outside any folder has none."""
    assert paths.folder_in_section(section, path) == folder


def test_times_in_paths_are_utc() -> None:
    """Hours of slots and days of patrol rounds."""
    moment = datetime(2026, 10, 2, 8, 14, 7, 5, tzinfo=UTC)
    assert paths.slots_folder(moment) == "slots/2026-10-02T08/all"
    assert paths.slots_folder(moment, "shop-1") == "slots/2026-10-02T08/projects/shop-1"
    assert paths.cursor_path(moment, "run-1") == "patrols/2026-10-02/081407.000005-run-1.json"
