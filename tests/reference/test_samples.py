"""Every finding type of the catalogue has a sample that its responder answers."""

from __future__ import annotations

import json

import pytest

from incident.notification.parse import parse_notification
from responders import RESPONDERS, route
from tests.reference.samples import FOLDER, composed_samples
from tests.support.constants import SAMPLES_FOLDER

SAMPLES = composed_samples()


def test_the_samples_are_what_the_cases_say() -> None:
    """As `make check` finds out."""
    assert {path.stem: path.read_text() for path in FOLDER.glob("*.json")} == SAMPLES


def test_every_finding_type_has_a_sample() -> None:
    """Of its own, or a composed one."""
    files = (*SAMPLES_FOLDER.glob("*.json"), *FOLDER.glob("*.json"))
    categories = {json.loads(path.read_bytes())["finding"]["category"] for path in files}
    for responder in RESPONDERS.values():
        assert not responder.categories or categories & set(responder.categories), responder.name


@pytest.mark.parametrize("name", SAMPLES)
def test_a_composed_sample_is_answered_by_its_responder(name: str) -> None:
    """It is read whole, names its workload, and says that it was composed."""
    notification = parse_notification(SAMPLES[name].encode())
    found = route(notification)
    assert found.responder is not None
    assert found.responder.name == name
    assert notification.finding.workload is not None
    assert "not observed" in notification.finding.description
