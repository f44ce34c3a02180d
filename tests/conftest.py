"""What every test gets: an environment that says nothing of the machine it runs on."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test, and no credentials of Google's either."""
    for name in list(os.environ):
        if name.startswith(
            ("RESPONDER_", "GOOGLE_", "CLOUDSDK_", "K_", "PUBSUB_", "STORAGE_", "VIRUSTOTAL_")
        ):
            monkeypatch.delenv(name)
