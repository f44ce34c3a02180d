"""Digest that identifies a plan in the record of its approval."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from incident.actions.changes import change_json
from incident.model import Change


def plan_digest(changes: Iterable[Change]) -> str:
    """Digest that identifies a plan, whatever the state of its changes.

    Pass redacted changes: with the digest of a secret, guesses could be tested.
    """
    exact = [{**change_json(change), "state": None, "error": None} for change in changes]
    return hashlib.sha256(json.dumps(exact, sort_keys=True).encode()).hexdigest()
