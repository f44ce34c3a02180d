"""The manifest of a case file: the SHA-256 of each of its objects. Pure.

It is itself an object of the store, so its own digest has to be kept elsewhere: in the log.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from incident.journal import SCHEMA_VERSION, encode
from incident.model import Malformed

_NAME = re.compile(r"manifest(?:-(\d{1,6}))?\.json")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Findings:
    """What checking a case file against one of its manifests found.

    Attributes:
        name: Which manifest.
        sha256: Its own digest, to be held against the log's.
        covered: How many objects it covers.
        missing: Paths of objects that it covers and that are gone.
        changed: Paths of objects whose content is not what it was.
        added: Paths of objects that it does not cover, manifests left out.
    """

    name: str
    sha256: str
    covered: int
    missing: tuple[str, ...]
    changed: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def intact(self) -> bool:
        """Whether everything that it covers is as it was."""
        return not self.missing and not self.changed


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def number(name: str) -> int | None:
    """Which manifest an object is, counted from 1; None for any other object."""
    match = _NAME.fullmatch(name)
    return int(match[1] or 1) if match else None


def manifest_of(incident: str, digests: Mapping[str, str]) -> bytes:
    """A manifest: the same bytes for the same objects."""
    objects = {name: digests[name] for name in sorted(digests)}
    return encode({"schema_version": SCHEMA_VERSION, "incident": incident, "objects": objects})


def check(name: str, data: bytes, digests: Mapping[str, str]) -> Findings:
    """Hold a case file against one of its manifests.

    Raises:
        Malformed: It is no manifest: somebody else wrote it.
    """
    objects = _objects(name, data)
    return Findings(
        name=name,
        sha256=digest(data),
        covered=len(objects),
        missing=tuple(path for path in objects if path not in digests),
        changed=tuple(p for p, d in objects.items() if digests.get(p, d) != d),
        added=tuple(p for p in sorted(digests) if p not in objects and number(p) is None),
    )


def _objects(name: str, data: bytes) -> dict[str, str]:
    try:
        document = json.loads(data)
        objects = {str(path): str(value) for path, value in document["objects"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed(_unreadable(name)) from error
    if not all(_DIGEST.fullmatch(value) for value in objects.values()):
        raise Malformed(_unreadable(name))
    return objects


def _unreadable(name: str) -> str:
    return f"cannot read {name}: it is not a manifest that the responder wrote"
