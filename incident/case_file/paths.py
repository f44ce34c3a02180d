"""Paths of the store: the only module that makes one or takes one apart.

```
incidents/<id>/…      case files of confirmed findings; dry-runs/, claims/ and drills/ look the same
    <nnnn>-<kind>.json, evidence/<name>.json, logs.jsonl, report.html, manifest.json
containments/<project>/<location>/<kind>/<name>/<n>/<nnnn>-<kind>.json
slots/<UTC hour>/…    the hourly limits
quarantine/<sha256>.json, patrols/<UTC day>/…
```

Anybody who can write to the store can put objects there under any name, so nothing here raises:
what is not one of our paths is parsed to None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from incident.model import Kind, Workload

INCIDENTS, DRY_RUNS, CLAIMS, DRILLS = "incidents", "dry-runs", "claims", "drills"
CONTAINMENTS = "containments"
#: Of an incident that has several case files, the first of these counts.
CASE_FILE_ROOTS = (INCIDENTS, CLAIMS, DRY_RUNS, DRILLS)
#: The outcome's record, and the one that says that it was logged, have the same number.
DONE_NUMBER = 1000
#: How many parts the path of a case file, or of a workload's containments, has.
_DEPTHS = {CONTAINMENTS: 5, **dict.fromkeys(CASE_FILE_ROOTS, 2)}

_NUMBER = re.compile(r"[0-9]{1,9}")
_RECORD_NAME = re.compile(r"([0-9]{4,9})-([a-z-]+)\.json")
_INCIDENT_ID = re.compile(r"([0-9]{8}-[0-9a-f]{12})(?:-[0-9a-f]{8})?")
_SLOT_NAME = re.compile(r"([0-9]{4,9})-(?:slot|([0-9a-f]{16}))\.json")
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
_QUARANTINE_PATH = re.compile(r"quarantine/([0-9a-f]{64})\.json")
_MANIFEST_NAME = re.compile(r"manifest(?:-[0-9]+)?\.json")


@dataclass(frozen=True, slots=True, order=True)
class RecordName:
    """What the name of a record says: its number and its kind, such as ``decided``."""

    number: int
    kind: str


@dataclass(frozen=True, slots=True)
class CaseFilePath:
    """A case file, or an object in it.

    Attributes:
        root: ``incidents`` or another one of the roots.
        incident: The incident's id; of a claim, with what tells it from other claims.
        name: The object's name in the case file; empty for the case file itself.
    """

    root: str
    incident: str
    name: str = ""

    @property
    def folder(self) -> str:
        """The case file's path."""
        return f"{self.root}/{self.incident}"


@dataclass(frozen=True, slots=True)
class ContainmentPath:
    """A containment, or an object in it.

    Attributes:
        workload: The contained workload.
        number: Counts the workload's containments from 1.
        name: The object's name in the containment; empty for the containment itself.
    """

    workload: Workload
    number: int
    name: str = ""

    @property
    def folder(self) -> str:
        """The containment's path."""
        return containment_folder(self.workload, self.number)


def case_file_folder(root: str, incident: str) -> str:
    """Path of a case file."""
    return f"{root}/{incident}"


def parse_case_file_path(path: object) -> CaseFilePath | None:
    """A case file, or an object in one; None for any other path."""
    root, _, rest = str(path).partition("/")
    incident, _, name = rest.partition("/")
    if root not in CASE_FILE_ROOTS or not is_incident_id(incident):
        return None
    return CaseFilePath(root, incident, name)


def is_incident_id(text: str) -> bool:
    """Whether a text is an incident's id; a claim's has one more part."""
    return _INCIDENT_ID.fullmatch(text) is not None


def event_id(incident: str) -> str:
    """An incident's id without the part that tells claims about one event apart."""
    match = _INCIDENT_ID.fullmatch(incident)
    return match[1] if match else incident


def event_day(incident: str) -> str:
    """The UTC date of the event, such as ``20261002``; ids that sort by date begin with it."""
    return incident[:8]


def containments_folder(workload: Workload) -> str:
    """Path of all containments of a workload."""
    return f"{CONTAINMENTS}/{workload.key}"


def containment_folder(workload: Workload, number: int) -> str:
    """Path of one containment."""
    return f"{containments_folder(workload)}/{number}"


def parse_containment_path(path: object) -> ContainmentPath | None:
    """A containment, or an object in one; None for any other path."""
    depth = _DEPTHS[CONTAINMENTS]
    parts = str(path).split("/", depth)
    number, _, name = parts[-1].partition("/")
    workload = parse_containments_folder("/".join(parts[:-1]))
    if workload is None or not _NUMBER.fullmatch(number):
        return None
    return ContainmentPath(workload, int(number), name)


def parse_containments_folder(folder: str) -> Workload | None:
    """The workload whose containments lie in a folder; None for any other folder."""
    parts = folder.removesuffix("/").split("/")
    named = parts[0] == CONTAINMENTS and all(map(_SEGMENT.fullmatch, parts))
    if not named or len(parts) != _DEPTHS[CONTAINMENTS] or parts[3] not in list(Kind):
        return None
    _, project, location, kind, name = parts
    return Workload.of_project(project, kind=Kind(kind), location=location, name=name)


def folder_in_section(section: str, path: str) -> str:
    """The case file, or workload's containments, that a path lies in, with a slash at its end.

    Args:
        section: A root of the store, such as ``incidents``.
        path: Any path below it.

    Returns:
        The folder, whatever its name; empty where the object lies in none.
    """
    parts = path.split("/")
    depth = _DEPTHS[section]
    inside = len(parts) > depth and parts[0] == section and all(parts[:depth])
    return "/".join(parts[:depth]) + "/" if inside else ""


def record_path(folder: str, number: int, kind: str) -> str:
    """Path of a record."""
    return f"{folder}/{number:04d}-{kind}.json"


def parse_record_name(name: str) -> RecordName | None:
    """A record's number and kind; None where an object has no record's name."""
    match = _RECORD_NAME.fullmatch(name)
    return RecordName(int(match[1]), match[2]) if match else None


def object_stem(folder: str, name: str) -> str:
    """Path of ``logs``, ``report``, ``manifest`` or ``evidence/…``, for :func:`numbered_path`."""
    return f"{folder}/{name}"


def numbered_path(stem: str, suffix: str, position: int) -> str:
    """Path of an object that may have others of the same name beside it, counted from 1."""
    return f"{stem}.{suffix}" if position == 1 else f"{stem}-{position}.{suffix}"


def is_manifest(path: str) -> bool:
    """Whether an object has the name of a manifest."""
    return _MANIFEST_NAME.fullmatch(path.rpartition("/")[2]) is not None


def reapplications_folder(containment: str) -> str:
    """Path of the records of a containment's re-applications."""
    return f"{containment}/reapplications"


def slots_folder(moment: datetime, project: str | None = None) -> str:
    """Path of an hour's slots, in a project or overall."""
    part = "all" if project is None else f"projects/{project}"
    return f"slots/{moment.astimezone(UTC):%Y-%m-%dT%H}/{part}"


def slot_holder_path(folder: str, number: int, holder: str) -> str:
    """Path of the object that names a slot's holder; the slot itself is a record."""
    return f"{folder}/{number:04d}-{holder}.json"


def parse_slot_name(name: str) -> tuple[int, str] | None:
    """The number of a slot, and its holder; of the slot itself, whose name has none, ``""``."""
    match = _SLOT_NAME.fullmatch(name)
    return (int(match[1]), match[2] or "") if match else None


def quarantine_path(sha256: str) -> str:
    """Path of what identifies a malformed message."""
    return f"quarantine/{sha256}.json"


def parse_quarantine_path(path: str) -> str | None:
    """Digest of the malformed message that an object is about; None for any other path."""
    match = _QUARANTINE_PATH.fullmatch(path)
    return match[1] if match else None


def cursors_folder(day: datetime) -> str:
    """Path of the places at which a day's patrol rounds stopped."""
    return f"patrols/{day.astimezone(UTC):%Y-%m-%d}"


def cursor_path(moment: datetime, run_id: str) -> str:
    """Path of the place at which one patrol round stopped; later ones sort behind earlier ones."""
    return f"{cursors_folder(moment)}/{moment.astimezone(UTC):%H%M%S.%f}-{run_id}.json"
