"""Parse RFC 3339 timestamps to nanoseconds."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

_RFC3339 = re.compile(
    r"(?P<whole>\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,9}))?"
    r"(?P<zone>[Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)
_NANOS = 1_000_000_000


def rfc3339(text: str) -> int | None:
    """Nanoseconds since 1970 of a time such as `2026-10-02T08:14:07.318Z`; `None` if it is not one.

    A day alone, which Cloud Logging takes for its first moment in UTC, is a time as well.
    """
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        text = f"{text}T00:00:00Z"
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    zone = "+00:00" if match["zone"] in "Zz" else match["zone"]
    try:
        whole = dt.datetime.fromisoformat(match["whole"].upper() + zone)
        seconds = int(whole.timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds * _NANOS + int((match["fraction"] or "").ljust(9, "0"))


def nanoseconds(timestamp: Any) -> int:
    """Nanoseconds since 1970 of a protobuf Timestamp."""
    return int(timestamp.seconds * _NANOS + timestamp.nanos)


def milliseconds(text: str) -> int | None:
    """Nanoseconds since 1970 of milliseconds since 1970; `None` if it is not a whole number."""
    return int(text) * 1_000_000 if re.fullmatch(r"\d{1,15}", text, re.ASCII) else None
