"""A process that reaches nothing but a store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from incident.case_file.journal import ObjectStore
from incident.decision.guards import ResponderIdentity
from incident.decision.process import Process
from incident.model import Mode
from responders import route
from tests.support.model import fixed_now


def store_process(
    store: ObjectStore, run_id: str = "patrol", clock: Callable[[], datetime] = fixed_now
) -> Process:
    """A process for tests of what is stored: every other port is missing."""
    missing: Any = None
    return Process(
        route=route,
        clock=clock,
        mode_ceiling=Mode.ENFORCE,
        mode_ceiling_reason="",
        responder_identity=ResponderIdentity(),
        store_url="file:///store",
        redaction_key=b"key",
        verify_timeout=timedelta(seconds=1),
        peer_wait=timedelta(seconds=1),
        cloud_run=missing,
        security_center=missing,
        logging=missing,
        store=store,
        policy=missing,
        inventory=missing,
        run_id=run_id,
    )
