"""Short pauses: retries, polls and waits for peers follow one another soon."""

from __future__ import annotations

import pytest

# How long one pause is says nothing of what comes of it; how often there is one does.
_PAUSES = {
    "incident.model.retrying.SCALE": 0.05,
    "incident.patrol.checked_containment._MISSING_RECHECK_S": 0.01,
}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for the sake of waiting."""
    for name, seconds in _PAUSES.items():
        monkeypatch.setattr(name, seconds)
