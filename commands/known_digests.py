"""Digests of manifests that were kept outside the store: what a log, or a person, tells. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_SHA256 = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_FOLDER = re.compile(
    r"(?<![\w/-])(?:incidents|claims|dry-runs|drills)/\d{8}-[0-9a-f]{12}(?:-[0-9a-f]{8})?(?![\w/-])"
)


@dataclass(frozen=True, slots=True)
class KnownDigest:
    """One digest.

    Attributes:
        sha256: The digest.
        folder: The case file that it was told of; None where that was not told, as in lines that
            are older than that.
    """

    sha256: str
    folder: str | None = None


def parse_digest(text: str) -> KnownDigest | None:
    """The digest that a person gives; None of what is none."""
    cleaned = text.strip().lower()
    return KnownDigest(cleaned) if _SHA256.fullmatch(cleaned) else None


def digests_in_log(log: str) -> tuple[KnownDigest, ...]:
    """All digests that a log has: what the query prints, the log's lines, or entries as JSON."""
    whole = _parse_json(log)
    entries = whole if isinstance(whole, list) else [whole] if isinstance(whole, dict) else None
    if entries is not None:
        return tuple(dict.fromkeys(told for entry in entries for told in _digests_in_entry(entry)))
    return tuple(
        dict.fromkeys(digest for line in log.splitlines() for digest in _digests_in_line(line))
    )


def _digests_in_line(line: str) -> Iterator[KnownDigest]:
    entry = _parse_json(line)
    if isinstance(entry, dict):
        yield from _digests_in_entry(entry)
        return
    folders = set(_FOLDER.findall(line.lower()))
    folder = folders.pop() if len(folders) == 1 else None
    for sha256 in _SHA256.findall(line.lower()):
        yield KnownDigest(sha256, folder)


def _digests_in_entry(entry: Any) -> Iterator[KnownDigest]:
    """Of an entry as Cloud Logging keeps it, or of a line as it was printed."""
    payload = entry.get("jsonPayload", entry) if isinstance(entry, Mapping) else None
    if not isinstance(payload, Mapping):
        return
    digest = parse_digest(str(payload.get("manifest_sha256")))
    folder = str(payload.get("case_file"))
    if digest:
        yield KnownDigest(digest.sha256, folder if _FOLDER.fullmatch(folder) else None)


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
