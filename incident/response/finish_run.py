"""Finish a run: write its manifest, and, after its log line, the record that says so.

The order is: the outcome's record ``done``, the manifest, the log line with the manifest's digest,
the record ``logged``. An outcome that has no record ``logged`` is logged again by the next
delivery or patrol run, because the run that recorded it may have crashed before the line.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from incident.case_file.journal import ObjectStore
from incident.case_file.manifest import RecordingStore, try_write_manifest
from incident.redaction.redactor import Redactor
from incident.response.response import Response

_TIMEOUT_S = 20.0


async def with_manifest(store: RecordingStore, result: Response, redactor: Redactor) -> Response:
    """A run's result with the digest of the manifest of all that the run created.

    Where the manifest cannot be written, the result has an alarm, and the outcome a gap for the
    log line; the outcome on record stays as it is.
    """
    if result.case_file is None:
        return result
    planned = dict([result.logged_record]) if result.logged_record else {}
    sha256, problem = await try_write_manifest(store, result.case_file, planned)
    if not problem:
        return replace(result, manifest_sha256=sha256)
    outcome = result.outcome.with_gap("manifest", redactor.text(problem))
    return replace(result, outcome=outcome, alarm=True)


async def record_logged(store: ObjectStore, result: Response) -> None:
    """Record that the outcome was logged; to be called after that.

    Without the record the outcome is logged once more, so that nothing waits for it.
    """
    if result.logged_record:
        path, data = result.logged_record
        # Whatever goes wrong, the outcome is on record and logged.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_TIMEOUT_S):
                await store.create(path, data)
