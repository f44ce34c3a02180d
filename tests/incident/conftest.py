"""What the tests of incidents get: attempts, looks and peers that follow one another soon."""

from __future__ import annotations

import pytest

# How long one pause is says nothing of what comes of it; how often there is one does.
_PAUSES = {
    "incident.enforce._PAUSE_S": 0.01,
    "incident.enforce._LONGEST_PAUSE_S": 0.05,
    "incident.open_attempts._POLL_S": 0.01,
    "incident.held._SECOND_LOOK_S": 0.01,
    "incident.release._PAUSE_S": 0.01,
    "incident.release._LONGEST_PAUSE_S": 0.05,
    "incident.rehearse._PAUSE_S": 0.01,
    "incident.withdraw._PAUSE_S": 0.01,
    "incident.verify._FIRST_PAUSE_S": 0.02,
    "incident.record._POLL_S": 0.05,
}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for the sake of waiting."""
    for name, seconds in _PAUSES.items():
        monkeypatch.setattr(name, seconds)
