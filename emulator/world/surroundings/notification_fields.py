"""Read the fields of a notification, tolerating any that are missing or malformed.

Only what a world is built from is read here; judging a notification is the product's business.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from emulator.api.resource_names import ProjectEntry
from emulator.world.document import json_document

JsonObject = dict[str, Any]

_WORD = r"[A-Za-z0-9_.:-]+"
_CLOUD_RUN = re.compile(
    rf"//run\.googleapis\.com/projects/(?P<project>{_WORD})/locations/(?P<location>{_WORD})"
    rf"/(?P<kind>services|jobs|workerPools|instances)/(?P<name>{_WORD})"
    rf"(?:/(?:revisions|executions)/(?P<part>{_WORD}))?"
)
_PROJECT = re.compile(rf"(?:^|/)projects/(?P<project>{_WORD})(?:/|$)")
_FOLDER = re.compile(r"(?:^|/)folders/(?P<number>[0-9]+)$")
_IMAGE = re.compile(r"[\x21-\x7e]{1,400}")
_CONTAINER = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
# The event time where the notification has no readable one: the same in every run.
_DEFAULT_EVENT_TIME = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
_VALID_YEARS = range(1971, 9000)


@dataclass(frozen=True, slots=True)
class AffectedWorkload:
    """The Cloud Run workload that a finding is about.

    Attributes:
        kind: Its collection: `services`, `jobs`, `workerPools` or `instances`.
        project: The project's id, invented if only the number is known.
        location: The region.
        name: The short name.
        revision_or_execution: Short name of the revision or execution; empty where the finding
            names none.
        container: Name of the affected container.
        image: URI of its image.
    """

    kind: str
    project: str
    location: str
    name: str
    revision_or_execution: str
    container: str
    image: str

    @property
    def full_name(self) -> str:
        """The name as the Cloud Run Admin API spells it."""
        return f"projects/{self.project}/locations/{self.location}/{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class NotificationFields:
    """A notification, as far as it can be understood.

    Attributes:
        finding: The object `finding`.
        resource: The object `resource`; empty where it lacks.
        resource_name: Full name of the affected resource; may be empty.
        project: The project with both its spellings; None where neither is known.
        workload: The affected workload; None where it is not one of Cloud Run's.
        stated_event_time: The event time; None where it lacks or cannot be read.
    """

    finding: JsonObject
    resource: JsonObject
    resource_name: str
    project: ProjectEntry | None
    workload: AffectedWorkload | None
    stated_event_time: dt.datetime | None

    @property
    def event_time(self) -> dt.datetime:
        """The event time, or a fixed one where the notification tells none."""
        return self.stated_event_time or _DEFAULT_EVENT_TIME

    @property
    def binary(self) -> str:
        """Path of the first executed binary, or a stand-in."""
        path = get_text(next(get_objects(self.finding, "processes"), {}).get("binary"), "path")
        return path[:200] or "/tmp/unknown"  # noqa: S108 - a text in a log line, not a file

    @property
    def hashes(self) -> tuple[str, ...]:
        """SHA-256 digests of the files named, each once; of whole files only."""
        found = (
            get_text(file, "sha256")
            for item in get_objects(self.finding, "processes")
            for file in (item.get("binary"), item.get("script"), *get_objects(item, "libraries"))
            if get_value(file, "partiallyHashed") is not True
        )
        return tuple(dict.fromkeys(h for h in found if re.fullmatch("[0-9a-fA-F]{64}", h)))


def read_notification(notification: bytes) -> NotificationFields | None:
    """What a notification claims; None for what is not a notification at all."""
    try:
        document = json_document.parse_json(notification, source="the notification")
    except json_document.BadWorld:
        return None
    if not isinstance(document, dict) or not isinstance(document.get("finding"), dict):
        return None
    finding = document["finding"]
    given = document.get("resource")
    resource = given if isinstance(given, dict) else {}
    resource_name = get_text(finding, "resourceName") or get_text(resource, "name")
    project = _project(resource_name, finding, resource)
    return NotificationFields(
        finding=finding,
        resource=resource,
        resource_name=resource_name,
        project=project,
        workload=_workload(resource_name, finding, project),
        stated_event_time=_event_time(get_text(finding, "eventTime")),
    )


def get_value(container: object, key: str) -> Any:
    """The value of a key, in camelCase or snake_case; None where there is none."""
    if not isinstance(container, dict):
        return None
    return container.get(key, container.get(re.sub("([A-Z])", r"_\1", key).lower()))


def get_text(container: object, key: str) -> str:
    """The text at a key; empty where there is none."""
    value = get_value(container, key)
    return value if isinstance(value, str) else ""


def get_objects(container: object, key: str) -> Iterator[JsonObject]:
    """The objects in the list at a key."""
    value = get_value(container, key)
    return (item for item in (value if isinstance(value, list) else []) if isinstance(item, dict))


def _workload(
    name: str, finding: JsonObject, project: ProjectEntry | None
) -> AffectedWorkload | None:
    match = _CLOUD_RUN.fullmatch(name)
    if match is None or project is None:
        return None
    container = next(get_objects(finding, "containers"), {})
    named, image = get_text(container, "name"), get_text(container, "uri")
    default = f"{match['location']}-docker.pkg.dev/{project.project_id}/apps/{match['name']}:stable"
    return AffectedWorkload(
        kind=match["kind"],
        project=project.project_id,
        location=match["location"],
        name=match["name"],
        revision_or_execution=match["part"] or "",
        container=named if _CONTAINER.fullmatch(named) else f"{match['name']}-1",
        image=image if _IMAGE.fullmatch(image) else default,
    )


def _project(name: str, finding: JsonObject, resource: JsonObject) -> ProjectEntry | None:
    """The project in both spellings; the resource's own name is believed first."""
    metadata = get_value(resource, "gcpMetadata")
    candidates = [
        _project_in(_PROJECT, name),
        *(_project_in(_PROJECT, get_text(place, "project")) for place in (metadata, resource)),
        *(get_text(place, "projectDisplayName") for place in (metadata, resource)),
        _project_in(_PROJECT, get_text(resource, "projectName")),
        _project_in(_PROJECT, get_text(finding, "canonicalName")),
    ]
    spellings = [spelling for spelling in candidates if re.fullmatch(_WORD, spelling)]
    number = next((s for s in spellings if s.isdecimal()), "")
    project_id = next((s for s in spellings if not s.isdecimal()), "")
    if not number and not project_id:
        return None
    return ProjectEntry(
        project_id=project_id or f"example-{number}",
        number=number or _invented_number(project_id),
        folders=_folders(metadata) or _folders(resource),
    )


def _folders(value: object) -> tuple[str, ...]:
    names = (get_text(folder, "resourceFolder") for folder in get_objects(value, "folders"))
    return tuple(match["number"] for name in names if (match := _FOLDER.search(name)))


def _project_in(pattern: re.Pattern[str], value: str) -> str:
    match = pattern.search(value)
    return match["project"] if match else ""


def _invented_number(project_id: str) -> str:
    digest = hashlib.sha256(project_id.encode()).digest()
    return str(10**11 + int.from_bytes(digest[:8]) % (9 * 10**11))


def _event_time(value: str) -> dt.datetime | None:
    stamp = Timestamp()
    try:
        stamp.FromJsonString(value)
    except ValueError:
        return None
    moment = stamp.ToDatetime(tzinfo=dt.UTC)
    return moment if moment.year in _VALID_YEARS else None
