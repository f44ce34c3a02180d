"""Find the findings in whatever JSON people paste, each as the notification it came from.

Forms: a notification; a finding alone; results of ListFindings (as gcloud, the API and the console
print them); Pub/Sub messages, pulled or pushed; CloudEvents in structured mode. They may lie inside
each other, in lists, and in base64.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from finding_input.decoding import (
    UnusableInputError,
    decode_base64,
    is_plain_object,
    json_values,
    json_values_of_text,
    unusable,
)

_MAX_NESTING = 8
_OUTCOME_KEYS = ({"incident", "status", "decision"}, {"outcomes", "deliveries"})
_WORLD_KEYS = {"services", "jobs", "workerPools", "projects", "logEntries", "virustotal"}

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PastedFinding:
    """A finding that was read from a file.

    Attributes:
        data: The notification: bytes as they would arrive on the topic.
        finding_id: The last part of its name; empty if it has none.
        category: Its category; empty if it has none.
        resource: Its full resource name; empty if it has none.
        event_time: Its event time as written; empty if it has none.
    """

    data: bytes
    finding_id: str
    category: str
    resource: str
    event_time: str


def read_findings(data: bytes) -> tuple[PastedFinding, ...]:
    """The findings in a file, each once, in order; at least one.

    A file that is a notification is taken byte for byte.

    Raises:
        UnusableInputError: There is none; says what the file looks like and what is needed.
    """
    values = json_values(data)
    if len(values) == 1 and _is_notification(values[0]) and is_plain_object(data):
        return (_pasted(values[0], data),)
    try:
        found = [item for value in values for item in _notifications(value, 0)]
    except RecursionError as error:
        raise unusable("JSON that is nested too deeply") from error
    if not found:
        raise _unusable_value(values[0])
    return tuple(dict.fromkeys(_pasted(notification) for notification in found))


def _pasted(notification: JsonObject, data: bytes | None = None) -> PastedFinding:
    finding = notification["finding"]
    texts = [
        _text(finding, camel, snake)
        for camel, snake in (
            ("name", "name"),
            ("category", "category"),
            ("resourceName", "resource_name"),
            ("eventTime", "event_time"),
        )
    ]
    name, category, resource, event_time = texts
    encoded = json.dumps(notification, ensure_ascii=True).encode() if data is None else data
    return PastedFinding(encoded, name.rpartition("/")[2], category, resource, event_time)


def _notifications(value: object, depth: int) -> Iterator[JsonObject]:
    """The notifications in a value, from the outside in."""
    if depth > _MAX_NESTING:
        raise unusable("JSON in which messages lie in messages too many times")
    if isinstance(value, list):
        for item in value:
            yield from _notifications(item, depth + 1)
    elif isinstance(value, str):
        yield from _notifications_in_text(value, depth + 1)
    elif isinstance(value, dict):
        if _is_notification(value):
            yield value
        elif _is_finding(value):
            yield {"finding": value}
        else:
            for inner in _inner_values(value):
                yield from _notifications(inner, depth + 1)


def _notifications_in_text(text: str, depth: int) -> Iterator[JsonObject]:
    try:
        values = json_values_of_text(text)
    except UnusableInputError:
        return
    for value in values:
        yield from _notifications(value, depth + 1)


def _inner_values(wrapper: JsonObject) -> Iterator[object]:
    """What a wrapper holds: results of a list, a message, the data of a message or event."""
    results = _first(wrapper, "listFindingsResults", "list_findings_results", "findings")
    if isinstance(results, dict):
        yield _console_record(wrapper, results)
    elif isinstance(results, list):
        yield results
    for key in ("receivedMessages", "received_messages", "message", "data"):
        if key in wrapper and isinstance(wrapper[key], dict | list | str):
            yield wrapper[key]
    encoded = wrapper.get("data_base64")
    if isinstance(encoded, str) and decode_base64(encoded) is not None:
        yield encoded


def _console_record(wrapper: JsonObject, finding: JsonObject) -> object:
    """The console's JSON tab: one finding under ``findings``, and what belongs to it beside it."""
    if _is_notification(finding):
        return finding
    properties = _first(wrapper, "sourceProperties", "source_properties")
    whole = {"sourceProperties": properties, **finding} if properties else finding
    resource = wrapper.get("resource")
    return {"finding": whole, **({"resource": resource} if resource else {})}


def _is_notification(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("finding"), dict)


def _is_finding(value: JsonObject) -> bool:
    named = "/findings/" in _text(value, "name", "name")
    return named and any(
        key in value for key in ("category", "resourceName", "resource_name", "eventTime")
    )


def _unusable_value(value: object) -> UnusableInputError:
    """What JSON without a finding looks like, and what is needed instead."""
    if value in ([], {}):
        return unusable(
            "empty JSON: what printed it found nothing",
            "Check the filter and the parent that findings were listed for",
        )
    if isinstance(value, list):
        return _unusable_value(value[0])
    if not isinstance(value, dict):
        return unusable(f"JSON with {_kind(value)} only")
    if value.keys() & _WORLD_KEYS:
        return unusable("a world of the emulator", "Pass it as --world, and a finding beside it")
    keys = ", ".join(sorted(map(str, value))[:6])
    return unusable(next(_known_objects(value), f"JSON without a finding (keys: {keys})"))


def _known_objects(value: JsonObject) -> Iterator[str]:
    """Names of what is often pasted instead of a finding, as far as the object looks like it."""
    keys = value.keys()
    if any(known <= keys for known in _OUTCOME_KEYS):
        yield "an outcome of the responder, not the finding that it is about"
    if isinstance(value.get("error"), dict):
        yield f"an error of a Google API: {str(value['error'].get('message'))[:200]}"
    if "data" in keys or "message" in keys:
        yield "a Pub/Sub message or event whose data holds no finding"
    if "logName" in keys:
        yield "an entry of Cloud Logging"
    if "/notificationConfigs/" in str(value.get("name")):
        yield "a notification config, not a notification"
    if "finding" in keys:
        yield f"a notification whose `finding` is {_kind(value['finding'])}"


def _first(value: JsonObject, *keys: str) -> Any:
    return next((value[key] for key in keys if key in value), None)


def _text(value: JsonObject, camel: str, snake: str) -> str:
    found = _first(value, camel, snake)
    return found if isinstance(found, str) else ""


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return "null" if value is None else kinds.get(type(value), "a number")
