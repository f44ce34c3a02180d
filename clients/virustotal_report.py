"""VirusTotal's report on a file, from its JSON. Believes nothing of it but its shape. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from incident.model import Lookup, Reputation

_LONGEST = 200
_MOST_NAMES = 20
_MOST_TAGS = 50
_MOST_ENGINES = 10_000
_VERDICTS = ("malicious", "suspicious", "undetected", "harmless")
_LATEST = 253_402_300_799  # the last second of the year 9999


def parse_report(answer: object, sha256: str) -> Reputation:
    """What VirusTotal v3 says of a file.

    The attributes: https://docs.virustotal.com/reference/files. Those that lack or are not what
    they should be are left out, except for those by which is decided.

    Args:
        answer: The JSON as parsed.
        sha256: The hash that was asked about, in lower-case hex.

    Raises:
        ValueError: It is no report on that file; the text has nothing of it.
    """
    data = _object(_object(answer).get("data"))
    attributes = _object(data.get("attributes"))
    named = [data.get("id"), attributes.get("sha256")]
    if not any(isinstance(name, str) and name.lower() == sha256 for name in named):
        raise ValueError("it is not about this file")
    counts = _counts(attributes.get("last_analysis_stats", {}))
    engines = sum(counts.values())
    threat = _object(attributes.get("popular_threat_classification"))
    names = [attributes.get("meaningful_name"), *_list(attributes.get("names"))]
    return Reputation(
        lookup=Lookup.KNOWN if engines else Lookup.UNKNOWN,
        sha256=sha256,
        without_verdicts=not engines,
        malicious=counts["malicious"],
        suspicious=counts["suspicious"],
        engines=engines,
        label=_text(threat.get("suggested_threat_label")),
        file_type=_text(attributes.get("type_description")),
        names=_texts(names, _MOST_NAMES),
        tags=_texts(_list(attributes.get("tags")), _MOST_TAGS),
        first_seen=_time(attributes.get("first_submission_date")),
        last_seen=_time(attributes.get("last_submission_date")),
        analysed_at=_time(attributes.get("last_analysis_date")),
    )


def _counts(stats: object) -> dict[str, int]:
    """The engines by their verdicts. Those that failed, or do not know the type, gave none.

    Raises:
        ValueError: A count is not one.
    """
    if not isinstance(stats, Mapping):
        raise ValueError("it counts no engines")  # noqa: TRY004 - not a mistake of the caller's
    return {name: _count(stats.get(name, 0)) for name in _VERDICTS}


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_ENGINES:
        raise ValueError("it does not count engines in numbers")
    return value


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(values: list[Any], most: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for value in values if (text := _text(value))))[:most]


def _text(value: object) -> str:
    """A text of a length that can be borne, and that can be stored: JSON lets surrogates pass."""
    text = value if isinstance(value, str) else ""
    return text[:_LONGEST].encode(errors="replace").decode()


def _time(value: object) -> datetime | None:
    """A time from seconds since 1970; 0 is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LATEST:
        return None
    return datetime.fromtimestamp(value, UTC)
