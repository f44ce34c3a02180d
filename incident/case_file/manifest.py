"""Manifests: links of a chain that lists every object of a case file with its SHA-256. Pure.

Each names the digest of the one before it, so that the newest vouches for all. It is itself an
object of the store, so its own digest has to be kept elsewhere: in the log.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from incident.case_file.journal import SCHEMA_VERSION, decode_record, encode_json
from incident.model import GiveUp, Malformed

_MANIFEST_NAME = re.compile(r"manifest(?:-([1-9]\d{0,5}))?\.json")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_EVIDENCE_NAMES = (
    *("finding", "notification", "settings", "revisions", "affected-revision", "access"),
    *("executions", "tasks", "related-findings", "audit-log", "virustotal", "gaps"),
)
#: What the responder writes into a case file, manifests left out.
_CASE_FILE_OBJECT_NAME = re.compile(
    r"\d{4,9}-[a-z-]+\.json|logs(?:-\d+)?\.jsonl|report(?:-\d+)?\.html"
    rf"|evidence/(?:{'|'.join(_EVIDENCE_NAMES)})(?:-\d+)?\.json"
)
#: What it writes into a containment.
_CONTAINMENT_OBJECT_NAME = re.compile(r"(?:reapplications/)?\d{4,9}-[a-z-]+\.json")
_RECORD_NAME = re.compile(r"\d{4,9}-[a-z-]+\.json")
_HEARTBEAT_NAME = re.compile(r"\d{4,9}-heartbeat\.json")
_HEARTBEAT_KEYS = {"schema_version", "kind", "recorded_at", "run", "nonce"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """One link of the chain.

    Attributes:
        name: Its name in the case file.
        sha256: Its own digest.
        previous: Digest of the link before it; None of the first.
        written: Paths in the store, with SHA-256, of what those who made it had written
            themselves. They knew the digest before the store had the object.
        found: The same of what they found there, in no link: written by a run that died before
            it could list it, or by somebody else.
    """

    name: str
    sha256: str
    previous: str | None
    written: Mapping[str, str]
    found: Mapping[str, str]


def sha256_hex(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def manifest_number(name: str) -> int | None:
    """Which link of the chain an object is, counted from 1; None for any other object."""
    match = _MANIFEST_NAME.fullmatch(name)
    if match is None or match[1] == "1":
        return None
    return int(match[1] or 1)


def manifest_name(position: int) -> str:
    """The name of a link, counted from 1."""
    return "manifest.json" if position == 1 else f"manifest-{position}.json"


def is_case_file_object(name: str) -> bool:
    """Whether an object's name, in its case file, is one that the responder gives.

    Whatever else lies there is never listed by a run that did not write it.
    """
    return _CASE_FILE_OBJECT_NAME.fullmatch(name) is not None


def is_containment_object(name: str) -> bool:
    """Whether an object's name, in its containment, is one that the responder gives."""
    return _CONTAINMENT_OBJECT_NAME.fullmatch(name) is not None


def is_record_name(path: str) -> bool:
    """Whether an object is named as a record, wherever it lies."""
    return _RECORD_NAME.fullmatch(path.rpartition("/")[2]) is not None


def writer_run_id(data: bytes) -> str | None:
    """The run that a record says it was written by; None of what is no record."""
    try:
        run_id = decode_record("", data).get("run")
    except GiveUp:
        return None
    return run_id if isinstance(run_id, str) else None


def is_heartbeat_name(name: str) -> bool:
    """Whether an object is named as a sign of life. These come at any time and are never listed."""
    return _HEARTBEAT_NAME.fullmatch(name) is not None


def is_plain_heartbeat(name: str, data: bytes) -> bool:
    """Whether an object is a sign of life and says nothing but that somebody was at work."""
    try:
        return is_heartbeat_name(name) and decode_record(name, data).keys() <= _HEARTBEAT_KEYS
    except GiveUp:
        return False


def encode_manifest(
    folder: str, previous: str | None, written: Mapping[str, str], found: Mapping[str, str]
) -> bytes:
    """A link: the same bytes for the same objects behind the same link."""
    return encode_json(
        {
            "schema_version": SCHEMA_VERSION,
            "case_file": folder,
            "previous": previous,
            "written": dict(sorted(written.items())),
            "found": dict(sorted(found.items())),
        }
    )


def decode_manifest(folder: str, name: str, data: bytes) -> Manifest:
    """What :func:`encode_manifest` wrote.

    Raises:
        Malformed: It is no manifest of this case file: somebody else wrote it.
    """
    try:
        document: Any = json.loads(data)
        previous = document["previous"]
        valid = document["case_file"] == folder and (previous is None or _is_sha256(previous))
        listed = [_parse_digests(document[key]) for key in ("written", "found")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed(_not_a_manifest_text(name)) from error
    if not valid:
        raise Malformed(_not_a_manifest_text(name))
    return Manifest(name, sha256_hex(data), previous, *listed)


def _parse_digests(value: Any) -> dict[str, str]:
    listed = {str(path): str(sha256) for path, sha256 in value.items()}
    if not all(map(_is_sha256, listed.values())):
        raise ValueError("it lists what is no digest")
    return listed


def _is_sha256(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None


def _not_a_manifest_text(name: str) -> str:
    return f"cannot read {name}: it is not a manifest that the responder wrote"
