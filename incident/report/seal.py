"""Sealing a case file: the report for people, and the next link of the chain of its manifests.

Nothing is ever changed: a case file that was carried on is sealed anew, beside the older seal.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from incident.case_file.journal import ObjectStore
from incident.case_file.manifest import manifest_number, sha256_hex
from incident.case_file.manifest_chain import extend_manifest_chain
from incident.case_file.recording_store import as_recording_store
from incident.model import Json, JsonObject, Retry
from incident.model.concurrency import gather_all
from incident.report.html import CaseFileContents, render_html

_MOST_LOG_BYTES = 4_000_000
#: What earlier seals wrote is no part of the case itself.
_SEAL_FILE = re.compile(r"(?:report|manifest)(?:-\d+)?\.(?:html|json)")
_CONTAINMENT = re.compile(r"containments(?:/[^/]+){5}")


@dataclass(frozen=True, slots=True)
class SealedCaseFile:
    """What a case file is sealed with.

    Attributes:
        report_path: Path of the report in the store.
        manifest_sha256: Digest of the newest manifest; None where another run has listed all of it.
    """

    report_path: str
    manifest_sha256: str | None


async def seal_case_file(
    store: ObjectStore, folder: str, outcome: JsonObject, updated_at: datetime | None = None
) -> SealedCaseFile:
    """Write the report of a case file, and list all that is new in a manifest.

    Args:
        store: Where it is, as this run sees it: what it wrote is listed as such.
        folder: The case file's path.
        outcome: What has become of the incident.
        updated_at: When an incident is carried on, whose next record comes after the seal; None
            for a first outcome.

    Args:
        store: Where the case file is.
        folder: Its path.
        outcome: What is sealed.
        updated_at: When an incident is carried on, whose next record comes after the seal; None
            for a first outcome.

    Raises:
        Retry: The store does not answer.
        GiveUp: The store refuses.
    """
    store = as_recording_store(store)
    objects, containment = await gather_all(
        _read_folder(store, folder), _containment_objects(store, outcome.get("containment"))
    )
    case = await asyncio.to_thread(_case_file_contents, outcome, objects, containment, updated_at)
    page = (await asyncio.to_thread(render_html, case)).encode()
    report = await create_numbered(store, folder, "report", "html", page)
    sha256 = await extend_manifest_chain(store, folder, outcome.get("containment"))
    return SealedCaseFile(f"{folder}/{report}", sha256)


async def try_to_seal_case_file(
    store: ObjectStore, folder: str, outcome: JsonObject, updated_at: datetime | None = None
) -> SealedCaseFile | str:
    """The seal, or why there is none: a page never stands in the way of an outcome.

    Args:
        store: Where the case file is.
        folder: Its path.
        outcome: What is sealed.
        updated_at: As :func:`seal_case_file` takes it.

    Raises:
        Retry: The store does not answer.
    """
    try:
        return await seal_case_file(store, folder, outcome, updated_at)
    except Retry:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the outcome must be told
        return f"the report could not be written: {error!r}"


async def _read_folder(store: ObjectStore, folder: str) -> dict[str, bytes]:
    """Every object of a case file, by its path in there."""
    paths = await store.list(f"{folder}/")
    bodies = await gather_all(*map(store.read, paths))
    found = zip(paths, bodies, strict=True)
    return {path.removeprefix(f"{folder}/"): body for path, body in found if body is not None}


async def _containment_objects(store: ObjectStore, folder: Json) -> dict[str, bytes]:
    """The records of the containment that an outcome names: what the page tells of writing.

    They lie apart from the case file, since incidents on one workload share them.
    """
    if not isinstance(folder, str) or not _CONTAINMENT.fullmatch(folder):
        return {}
    return {f"{folder}/{name}": data for name, data in (await _read_folder(store, folder)).items()}


async def create_numbered(
    store: ObjectStore, folder: str, name: str, suffix: str, data: bytes
) -> str:
    """Create the object, beside an earlier one that says something else; never over it."""
    at = 1
    while True:
        path = f"{name}.{suffix}" if at == 1 else f"{name}-{at}.{suffix}"
        if await store.create(f"{folder}/{path}", data):
            return path
        if await store.read(f"{folder}/{path}") == data:
            return path
        at += 1


def _case_file_contents(
    outcome: JsonObject,
    objects: Mapping[str, bytes],
    containment: Mapping[str, bytes],
    updated_at: datetime | None,
) -> CaseFileContents:
    """The case file's objects, taken apart. What is not as we write it is shown by digest only."""
    evidence: dict[str, Json] = {}
    records: list[JsonObject] = []
    for name, data in sorted(objects.items()):
        if name == "logs.jsonl":
            evidence["logs"] = _parse_lines(data)
        elif name.startswith("evidence/"):
            evidence[name.removeprefix("evidence/").removesuffix(".json")] = _parse_json(data)
        elif "/" not in name and name.endswith(".json") and manifest_number(name) is None:
            record = _parse_json(data)
            if isinstance(record, Mapping):
                records.append(record)
    digests = {
        name: sha256_hex(data)
        for name, data in (*sorted(objects.items()), *sorted(containment.items()))
        if not _SEAL_FILE.fullmatch(name)
    }
    containment_records = tuple(
        record
        for _, data in sorted(containment.items())
        if isinstance(record := _parse_json(data), Mapping)
    )
    return CaseFileContents(
        outcome, evidence, tuple(records), digests, containment_records, updated_at
    )


def _parse_json(data: bytes) -> Json:
    try:
        value: Json = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value


def _parse_lines(data: bytes) -> list[Json]:
    return [_parse_json(line) for line in data[:_MOST_LOG_BYTES].splitlines()]
