"""Write the report of a case file: the page that people read, as an object of the case file.

The report of a later outcome is written beside the earlier one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from incident.case_file.journal import ObjectStore, create_numbered
from incident.case_file.paths import (
    is_manifest,
    object_stem,
    parse_containment_path,
)
from incident.model import Json, JsonObject, Retry
from incident.model.concurrency import compute, gather_all
from incident.model.outcome import Outcome
from incident.report.html import CaseFileContents, render_html

_MAX_LOG_BYTES = 4_000_000


async def write_report(
    store: ObjectStore, folder: str, outcome: Outcome, updated_at: datetime | None = None
) -> str:
    """Write the report of a case file; returns its path. As :func:`render_report`."""
    page = await render_report(store, folder, outcome, updated_at)
    return await create_numbered(store, object_stem(folder, "report"), "html", page)


async def render_report(
    store: ObjectStore, folder: str, outcome: Outcome, updated_at: datetime | None = None
) -> bytes:
    """The report of a case file as HTML.

    Args:
        store: Where the case file is.
        folder: Its path.
        outcome: What became of the incident.
        updated_at: The time of a later outcome, whose record comes after the report; None for
            the first outcome.

    Raises:
        Retry: The store does not answer.
        GiveUp: The store refuses.
    """
    objects, containment = await gather_all(
        _read_folder(store, folder), _containment_objects(store, outcome.containment)
    )
    return await compute(_page, outcome, objects, containment, updated_at)


async def try_to_write_report(
    store: ObjectStore, folder: str, outcome: Outcome, updated_at: datetime | None = None
) -> tuple[str | None, str]:
    """As :func:`write_report`, but an outcome does not wait for its report.

    Returns:
        The report's path, and why there is none; empty where there is one.

    Raises:
        Retry: The store does not answer.
    """
    try:
        return await write_report(store, folder, outcome, updated_at), ""
    except Retry:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the outcome must be reported
        return None, f"cannot write the report: {error!r}"


async def _read_folder(store: ObjectStore, folder: str) -> dict[str, bytes]:
    """Every object of a case file, by its path in there."""
    paths = await store.list(f"{folder}/")
    bodies = await gather_all(*map(store.read, paths))
    found = zip(paths, bodies, strict=True)
    return {path.removeprefix(f"{folder}/"): body for path, body in found if body is not None}


async def _containment_objects(store: ObjectStore, folder: Json) -> dict[str, bytes]:
    """The records of the containment that an outcome names, which report on the writes.

    They lie apart from the case file, since incidents on one workload share them.
    """
    containment = parse_containment_path(folder)
    if containment is None or containment.name:
        return {}
    objects = await _read_folder(store, containment.folder)
    return {f"{containment.folder}/{name}": data for name, data in objects.items()}


def _page(
    outcome: Outcome,
    objects: Mapping[str, bytes],
    containment: Mapping[str, bytes],
    updated_at: datetime | None,
) -> bytes:
    """The page. What is parsed of the case file lives no longer than it takes."""
    return render_html(_case_file_contents(outcome, objects, containment, updated_at)).encode()


def _case_file_contents(
    outcome: Outcome,
    objects: Mapping[str, bytes],
    containment: Mapping[str, bytes],
    updated_at: datetime | None,
) -> CaseFileContents:
    """The parsed objects of a case file."""
    evidence: dict[str, Json] = {}
    records: list[JsonObject] = []
    for name, data in sorted(objects.items()):
        if name == "logs.jsonl":
            evidence["logs"] = _parse_lines(data)
        elif name.startswith("evidence/"):
            evidence[name.removeprefix("evidence/").removesuffix(".json")] = _parse_json(data)
        elif "/" not in name and name.endswith(".json") and not is_manifest(name):
            record = _parse_json(data)
            if isinstance(record, Mapping):
                records.append(record)
    containment_records = tuple(
        record
        for name, data in sorted(containment.items())
        if not is_manifest(name) and isinstance(record := _parse_json(data), Mapping)
    )
    return CaseFileContents(
        outcome,
        evidence,
        tuple(records),
        containment_records,
        updated_at,
    )


def _parse_json(data: bytes) -> Json:
    try:
        value: Json = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value


def _parse_lines(data: bytes) -> list[Json]:
    return [_parse_json(line) for line in data[:_MAX_LOG_BYTES].splitlines()]
