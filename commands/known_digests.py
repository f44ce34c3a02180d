"""Parse the digests of manifests that a log, or a person, has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from incident.case_file.manifest import is_sha256
from incident.case_file.paths import parse_case_file_path, parse_containment_path
from incident.case_file.verification import KnownDigest


def parse_digest(text: str) -> KnownDigest | None:
    """The digest that a person gives; None where it is not a SHA-256 in hex."""
    cleaned = text.strip().lower()
    return KnownDigest(cleaned) if is_sha256(cleaned) else None


def digests_in_log(log: str) -> tuple[KnownDigest, ...]:
    """All digests in the output of the query, in lines of the log, or in entries as JSON."""
    whole = _parse_json(log)
    entries = whole if isinstance(whole, list) else [whole] if isinstance(whole, dict) else None
    if entries is not None:
        found = [digest for entry in entries for digest in _digests_in_entry(entry)]
    else:
        found = [digest for line in log.splitlines() for digest in _digests_in_line(line)]
    return tuple(dict.fromkeys(found))


def _digests_in_line(line: str) -> Iterator[KnownDigest]:
    entry = _parse_json(line)
    if isinstance(entry, dict):
        yield from _digests_in_entry(entry)
        return
    words = line.split()
    folders = {folder for word in words if (folder := _folder(word))}
    folder = folders.pop() if len(folders) == 1 else None
    for word in words:
        if is_sha256(word.lower()):
            yield KnownDigest(word.lower(), folder)


def _digests_in_entry(entry: Any) -> Iterator[KnownDigest]:
    """The digest of an entry as Cloud Logging keeps it, or of a line as it was printed."""
    payload = entry.get("jsonPayload", entry) if isinstance(entry, Mapping) else None
    if not isinstance(payload, Mapping):
        return
    digest = parse_digest(str(payload.get("manifest_sha256")))
    if digest:
        yield KnownDigest(digest.sha256, _folder(payload.get("case_file")))


def _folder(text: object) -> str | None:
    """The case file or containment that a text is the path of."""
    found = parse_case_file_path(text) or parse_containment_path(text)
    return found.folder if found and not found.name else None


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
