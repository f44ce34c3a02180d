"""What every test gets: an environment that says nothing of the machine it runs on."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator

import hypothesis  # noqa: F401 - its plugins warn when they load late, and warnings are errors
import pytest

from emulator.services.loopback import ReservedPort
from tests.support.forked_process import fork_server

_LONGEST_FIRST = {"test_crash.py", "test_parallel.py", "test_fault_injection.py"}


def pytest_configure(config: pytest.Config) -> None:
    """Keep one warm process for all workers of a run; they inherit its address."""
    if hasattr(config, "workerinput"):
        gc.disable()  # nothing is garbage before all tests are there
        return
    warm = contextlib.ExitStack()
    warm.enter_context(fork_server())
    config.add_cleanup(warm.close)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first: at the end, one worker would be waited for."""
    items.sort(key=lambda item: item.path.name not in _LONGEST_FIRST)


def pytest_collection_finish() -> None:
    """Thousands of tests are there to the end: what collects garbage need not look at them."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 50)  # and what one test leaves behind may wait for some others


def pytest_xdist_auto_num_workers() -> int:
    """Three workers for two cores: many tests wait more than they compute."""
    return (_cores() * 3 + 1) // 2


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test, and no credentials of Google's either."""
    for name in list(os.environ):
        if name.startswith(
            ("RESPONDER_", "GOOGLE_", "CLOUDSDK_", "K_", "PUBSUB_", "STORAGE_", "VIRUSTOTAL_")
        ):
            monkeypatch.delenv(name)


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port at which nobody listens."""
    with ReservedPort() as port:
        yield port
