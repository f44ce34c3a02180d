"""Details of a finding that stand in its ``sourceProperties`` only. Pure; redacted.

Detectors put details there that have no field of their own, and older ones put there what newer
ones put into fields (documentation of Kubernetes and Cloud Run threat findings). The keys are not
specified: they are shown by name, and no decision uses them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from incident.model import Finding, Gap, Json
from incident.model.json_text import json_object
from incident.redaction.redactor import Redactor

_KEYS = ("sourceProperties", "source_properties")
#: Links, which the page has elsewhere.
_LINK_KEYS = frozenset({"contextUris", "context_uris"})
#: Documented keys of threat findings; they are shown first.
_FIRST_KEYS = ("Process_", "Container_", "Environment_", "Script_", "Parent_", "Pid")
_MAX_SHOWN = 20
_MAX_ITEMS = 20
COLLECTOR = "source-properties"


def shown_source_properties(finding: Finding, redactor: Redactor) -> Iterator[tuple[str, str]]:
    """Name and text of each; without what a field of the finding has too."""
    properties = _unique_properties(finding)
    ranked = sorted(properties, key=lambda key: (not key.startswith(_FIRST_KEYS), key))
    for key in ranked[:_MAX_SHOWN]:
        yield redactor.text(key), _shown_value(key, properties[key], redactor)


def source_properties_gaps(finding: Finding) -> tuple[Gap, ...]:
    """How many of the details are not shown."""
    left = len(_unique_properties(finding)) - _MAX_SHOWN
    if left <= 0:
        return ()
    return (Gap(COLLECTOR, f"{left} more entries are not shown: see the finding's own page"),)


def _shown_value(key: str, value: Json, redactor: Redactor) -> str:
    """A value for one line; of environment variables the names only."""
    texts = list(_texts(value))
    if "environment" in key.lower():
        texts = [text.partition("=")[0] for text in texts if "=" in text] or ["not shown"]
    elif "argument" in key.lower():
        texts = redactor.arguments(texts)
    else:
        texts = list(_texts(json_object(redactor.json({key: value})).get(key)))
    more = len(texts) - _MAX_ITEMS
    return " ".join(texts[:_MAX_ITEMS]) + (f" and {more} more" if more > 0 else "")


def _unique_properties(finding: Finding) -> dict[str, Json]:
    raw = json_object(finding.raw.get("finding"))
    properties = next((p for key in _KEYS if (p := json_object(raw.get(key)))), {})
    fields = {key: value for key, value in raw.items() if key not in _KEYS}
    known = set(_texts(fields))
    if (ends := finding.connection) is not None:
        known |= {ends.remote_ip, ends.local_ip, str(ends.remote_port), str(ends.local_port)}
    return {
        key: value
        for key, value in properties.items()
        if key not in _LINK_KEYS
        and value not in (None, "", [], {})
        and not known.issuperset(_texts(value))
    }


def _texts(value: Json) -> Iterator[str]:
    """Every text and number in a value."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from _texts(item)
    elif value is not None:
        yield str(value)
