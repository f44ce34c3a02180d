"""What a start waits for, and what is imported and compiled in the background after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.constants import REPOSITORY

#: The application as functions-framework makes it, before gunicorn forks a worker.
STARTED = """
import os, sys, threading
import functions_framework
functions_framework.create_app("respond", "main.py", "cloudevent")
"""
#: In a fork, once its background work is done.
IN_A_WORKER = """
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
for thread in threading.enumerate():
    if thread.name == "warm-up":
        thread.join()
"""
#: What a containing write does without, and what is ours.
LATER = (
    "wiring",
    "incident.response",
    "incident.report",
    "incident.patrol",
    "incident.notification",
    "google.cloud.logging_v2",
    "google.pubsub_v1",
    "google.cloud.iam_admin_v1",
    "google.cloud.asset_v1",
    "clients.virustotal",
    "clients.webhook",
    "aiohttp",
)


def run(script: str, folder: Path) -> str:
    """What a script prints that runs in a process of its own, from the repository."""
    environment = {"RESPONDER_STORE": str(folder), "RESPONDER_TOPIC": "projects/p/topics/t"}
    return subprocess.run(
        (sys.executable, "-c", script),
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_a_start_imports_what_a_containing_write_needs_of_others(tmp_path: Path) -> None:
    """The clients of Cloud Run and SCC, so that a broken deployment fails; not what comes later."""
    modules = run(STARTED + "print(*sys.modules)", tmp_path).split()
    assert {"google.cloud.run_v2", "google.cloud.securitycenter_v2", "obstore"} <= set(modules)
    assert not set(LATER) & set(modules)


def test_a_worker_imports_and_compiles_the_rest_in_the_background(tmp_path: Path) -> None:
    """Before any event: the road of an incident, its clients, its patterns and its page."""
    printed = run(
        STARTED
        + IN_A_WORKER
        + "from incident.report.html_template import _compiled_template as template\n"
        + "from incident.redaction.credential_search import _searches as searches\n"
        + "print(template.cache_info().currsize, searches.cache_info().currsize)\n"
        + "print(*sys.modules, flush=True)\n",
        tmp_path,
    )
    compiled, _, modules = printed.partition("\n")
    assert compiled == "1 1"
    needed = {"wiring", "incident.response", "google.cloud.logging_v2", "google.pubsub_v1"}
    assert needed <= set(modules.split())
    assert "incident.patrol" not in modules.split(), "only the patrol's own function needs it"
