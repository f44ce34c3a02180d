"""Fields that all Cloud Run resources share: uid, etag, conditions, default account.

Forms of values follow the answers of the Cloud Run Admin API v2.
"""

from __future__ import annotations

import base64
import datetime as dt

from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.resource_names import Projects, segment_after

State = run_v2.Condition.State

# Who calls are made by, since anonymous callers have no name.
DEFAULT_CALLER = "caller@emulator.example.com"
DEFAULT_IMAGE = "us-docker.pkg.dev/cloudrun/container/hello"


def current_time() -> dt.datetime:
    """The time of changes: the real one."""
    return dt.datetime.now(dt.UTC)


def condition(kind: str, state: int, since: dt.datetime, message: str = "") -> run_v2.Condition:
    """One condition of a resource."""
    return run_v2.Condition(type_=kind, state=state, last_transition_time=since, message=message)


def default_account(name: str, projects: Projects) -> str:
    """The account that a resource of this name runs as when it does not say."""
    return (
        f"{projects.number(segment_after(name, 'projects'))}-compute@developer.gserviceaccount.com"
    )


def make_uid(name: str) -> str:
    """An id of the form of a UUID that is always the same for a name."""
    digits = proto_json.fingerprint("uid", name)
    return "-".join(
        (digits[:8], digits[8:12], "4" + digits[13:16], "8" + digits[17:20], digits[20:32])
    )


def make_etag(*version: object) -> str:
    """The fingerprint of one version of a resource, in quotation marks as Cloud Run writes it."""
    digest = bytes.fromhex(proto_json.fingerprint(*version))[:12]
    return f'"{base64.urlsafe_b64encode(digest).decode()}"'


def name_suffix(*parts: object, length: int = 3) -> str:
    """Letters such as Cloud Run ends the names of revisions and executions with."""
    digits = proto_json.fingerprint(*parts)
    return "".join("bcdfghjklmnpqrst"[int(digit, 16)] for digit in digits[:length])
