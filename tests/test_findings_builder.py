"""The builder of findings: the sample without changes, and the asked workload with them."""

from __future__ import annotations

import json

import pytest

from incident.notification.parse import parse_notification
from tests.support.constants import SAMPLE_OF_KIND, SAMPLES_FOLDER
from tests.support.findings import FindingSpec


@pytest.mark.parametrize("sample", sorted(path.stem for path in SAMPLES_FOLDER.glob("*.json")))
def test_without_changes_the_sample_is_built(sample: str) -> None:
    """A field that is not given stays as it is in the file."""
    content = json.loads((SAMPLES_FOLDER / f"{sample}.json").read_bytes())
    assert FindingSpec(sample).notification() == content


@pytest.mark.parametrize("sample", ["cloud-run-service", *SAMPLE_OF_KIND.values()])
def test_a_changed_finding_parses_to_the_asked_workload(sample: str) -> None:
    """Name, region, project and id are those that were asked for."""
    spec = FindingSpec(sample, "f" * 32, "another", "region-1", "other-project", "100000000001")
    finding = parse_notification(json.dumps(spec.notification()).encode()).finding
    assert finding.workload
    assert finding.name.endswith("/findings/" + "f" * 32)
    assert (
        finding.workload.name,
        finding.workload.location,
        finding.workload.project_id,
        finding.workload.project_number,
    ) == ("another", "region-1", "other-project", "100000000001")
