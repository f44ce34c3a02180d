"""What every test gets: an environment that says nothing of the machine it runs on."""

from __future__ import annotations

import contextlib
import gc
import os

import pytest

from tests.warm import warm_processes


def pytest_configure(config: pytest.Config) -> None:
    """Keep one warm process for all workers of a run; they inherit its address."""
    if not hasattr(config, "workerinput"):
        warm = contextlib.ExitStack()
        warm.enter_context(warm_processes())
        config.add_cleanup(warm.close)


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the garbage collector need not look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test, and no credentials of Google's either."""
    for name in list(os.environ):
        if name.startswith(
            ("RESPONDER_", "GOOGLE_", "CLOUDSDK_", "K_", "PUBSUB_", "STORAGE_", "VIRUSTOTAL_")
        ):
            monkeypatch.delenv(name)
