"""Whatever people paste is read as the notification it came from."""

from __future__ import annotations

import base64
import codecs
import json
from collections.abc import Callable
from typing import Any

import pytest

from finding_input.decoding import UnusableInputError
from finding_input.reading import read_findings
from incident.notification.parse import parse_notification
from tests.support.constants import SAMPLES_FOLDER

SAMPLE = (SAMPLES_FOLDER / "cloud-run-service.json").read_bytes()
NOTIFICATION: dict[str, Any] = json.loads(SAMPLE)
FINDING, RESOURCE = NOTIFICATION["finding"], NOTIFICATION["resource"]
RESULT = {"finding": FINDING, "resource": RESOURCE}
OTHER = {"finding": {**FINDING, "name": f"{FINDING['name'][:-4]}0000"}, "resource": RESOURCE}
ENCODED = base64.b64encode(SAMPLE).decode()
MESSAGE = {"data": ENCODED, "messageId": "1", "publishTime": "2026-10-02T08:14:10Z"}
EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "//pubsub.googleapis.com/projects/example-shop-prod/topics/findings",
    "type": "google.cloud.pubsub.topic.v1.messagePublished",
}


def as_json(value: object) -> bytes:
    """A value as gcloud prints it."""
    return json.dumps(value, indent=2).encode()


FORMS: dict[str, bytes] = {
    "notification": SAMPLE,
    "notification in a list": as_json([NOTIFICATION]),
    "finding alone": as_json(FINDING),
    "gcloud scc findings list": as_json([RESULT]),
    "several findings alone": as_json([FINDING, FINDING]),
    "API response": as_json({"listFindingsResults": [RESULT], "totalSize": 1}),
    "API response in snake_case": as_json({"list_findings_results": [RESULT]}),
    "console": as_json({"findings": FINDING, "resource": RESOURCE, "sourceProperties": {}}),
    "console with a list": as_json({"findings": [RESULT]}),
    "console with an inner result": as_json({"findings": RESULT}),
    "gcloud pubsub subscriptions pull": as_json([{"ackId": "x", "message": MESSAGE}]),
    "API pull": as_json({"receivedMessages": [{"ackId": "x", "message": MESSAGE}]}),
    "pulled twice": as_json([{"ackId": each, "message": MESSAGE} for each in "xy"]),
    "push": as_json({"message": MESSAGE, "subscription": "projects/p/subscriptions/s"}),
    "message": as_json(MESSAGE),
    "event with a message": as_json({**EVENT, "data": {"message": MESSAGE}}),
    "event with base64": as_json(
        {**EVENT, "data_base64": base64.b64encode(as_json({"message": MESSAGE})).decode()}
    ),
    "event with text": as_json({**EVENT, "data": json.dumps({"message": MESSAGE})}),
    "batch of events": as_json([{**EVENT, "data": {"message": MESSAGE}}]),
    "base64": ENCODED.encode(),
    "base64 in lines": base64.encodebytes(SAMPLE),
    "base64 for URLs": base64.urlsafe_b64encode(SAMPLE).rstrip(b"="),
    "base64 in quotes": as_json(ENCODED),
    "base64 of UTF-16": base64.b64encode(codecs.BOM_UTF16_LE + SAMPLE.decode().encode("utf-16-le")),
    "JSON in a text": as_json(json.dumps(NOTIFICATION)),
    "lines of JSON": (json.dumps(RESULT) + "\n" + json.dumps(RESULT) + "\n").encode(),
    "code fence": b"```json\n" + SAMPLE + b"\n```\n",
    "UTF-8 with a mark": codecs.BOM_UTF8 + SAMPLE,
    "UTF-16 LE": codecs.BOM_UTF16_LE + SAMPLE.decode().encode("utf-16-le"),
    "UTF-16 BE": codecs.BOM_UTF16_BE + SAMPLE.decode().encode("utf-16-be"),
    "UTF-16 without a mark": SAMPLE.decode().encode("utf-16-le"),
    "list in UTF-16": codecs.BOM_UTF16_LE + as_json([RESULT]).decode().encode("utf-16-le"),
    "base64 with a mark": codecs.BOM_UTF8 + ENCODED.encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_finding(form: str) -> None:
    """The product's own parser reads the same finding out of each."""
    (found,) = {one.data for one in read_findings(FORMS[form])}
    expected, finding = parse_notification(SAMPLE).finding, parse_notification(found).finding
    without_resource = form in {"finding alone", "several findings alone"}
    if without_resource:
        assert (finding.name, finding.processes) == (expected.name, expected.processes)
    else:
        assert finding == expected


def test_a_notification_is_taken_byte_for_byte() -> None:
    """What the product has to judge (a key that stands twice, say) reaches it."""
    twice = SAMPLE.replace(b'{"finding"', b'{"finding": {}, "finding"', 1) + b" \n"
    (found,) = read_findings(twice)
    assert found.data == twice


def test_several_findings_are_all_found_in_order() -> None:
    """Across messages as well, each with what a person chooses by."""
    found = read_findings(as_json([RESULT, OTHER, RESULT]))
    assert [one.finding_id for one in found] == [
        FINDING["name"].rpartition("/")[2],
        f"{FINDING['name'].rpartition('/')[2][:-4]}0000",
    ]
    assert {one.category for one in found} == {FINDING["category"]}
    lines = b"\n".join(base64.b64encode(as_json(each)) for each in (RESULT, OTHER))
    assert len(read_findings(lines)) == 2


def nested(levels: int) -> bytes:
    """A message in a message in a message."""
    data = SAMPLE
    for _ in range(levels):
        data = as_json({"message": {"data": base64.b64encode(data).decode()}})
    return data


UNUSABLE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty"),
    "spaces": (b" \n", "empty"),
    "mark only": (codecs.BOM_UTF8, "empty"),
    "empty list": (b"[]", "found nothing"),
    "cut off": (SAMPLE[:500], "cut off or damaged"),
    "number": (b"17", "JSON with a number only"),
    "word": (b"storefront", "one word"),
    "sentence": (b"please look at this", "neither JSON nor base64"),
    "not UTF-8": (b'{"a": "\xc3("}', "neither text"),
    "gzip": (b"\x1f\x8b\x08\x00", "compressed"),
    "page": (b"<!DOCTYPE html><html></html>", "HTML"),
    "YAML": (b"- finding:\n    name: organizations/1\n", "--format=json"),
    "YAML finding": (b"---\nfinding:\n  name: x\n", "--format=json"),
    "outcome": (b'{"incident": "x", "status": "held", "decision": {}}', "an outcome"),
    "run": (b'{"outcomes": [], "deliveries": []}', "an outcome"),
    "API error": (b'{"error": {"code": 403, "message": "denied \\u001b[31m"}}', "denied"),
    "other message": (as_json({"message": {"data": "aGVsbG8="}}), "data holds no finding"),
    "log entry": (b'{"logName": "projects/p/logs/x"}', "Cloud Logging"),
    "config": (b'{"name": "organizations/1/notificationConfigs/c"}', "notification config"),
    "world": (b'{"services": [], "projects": []}', "--world"),
    "finding of another type": (b'{"finding": [1]}', "`finding` is a list"),
    "something else": (b'{"a": 1}', "keys: a"),
    "deep": (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    "messages in messages": (nested(12), "too many times"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_is_not_usable_says_what_it_looks_like(case: str) -> None:
    """And what is needed instead."""
    data, expected = UNUSABLE[case]
    with pytest.raises(UnusableInputError) as raised:
        read_findings(data)
    assert expected in str(raised.value)
    assert str(raised.value).startswith("This is ")
    assert len(str(raised.value).split(". ")) >= 2


@pytest.mark.parametrize("make", [lambda: b'{"message": ' * 60_000, lambda: b"A" * 2_000_001])
def test_hostile_input_ends_soon(make: Callable[[], bytes]) -> None:
    """Neither depth nor length is a traceback."""
    with pytest.raises(UnusableInputError):
        read_findings(make())
