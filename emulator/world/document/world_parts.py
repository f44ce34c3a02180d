"""Reads the parts of a world, each from its place in the document."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.cloud.logging_v2.types import LogEntry
from google.cloud.securitycenter_v2.types import ListFindingsResponse
from google.iam.v1 import policy_pb2

from emulator.api import method_names, proto_json
from emulator.api.faults import DEFAULT_MESSAGE, DEFAULT_RECONCILE_S, Fault, Faults, Latency
from emulator.api.resource_names import Project, Projects
from emulator.world.document.json_document import Place

M = TypeVar("M")

_FAULT_KEYS = ("method", "code", "times", "after", "message", "applied")
_CODES = tuple(code.name for code in grpc.StatusCode if code is not grpc.StatusCode.OK)


@dataclass(slots=True)
class FindingEntry:
    """One finding with its resource.

    Attributes:
        data: The entry as the world wrote it, with what the API has no field for.
        result: The same as ListFindings answers it.
    """

    data: dict[str, Any]
    result: ListFindingsResponse.ListFindingsResult


def projects(place: Place) -> Projects:
    """The entries of `projects`: `projectId`, `projectNumber`, `folders` (numbers)."""
    found: list[Project] = []
    for item in place.items():
        item.object(only=("projectId", "projectNumber", "folders"))
        number = item.key("projectNumber")
        if not number.text().isascii() or not number.text().isdecimal():
            raise number.refuse("is not a project number", 'write digits: "210987654321"')
        folders = tuple(
            folder.text().removeprefix("folders/") for folder in item.key("folders", []).items()
        )
        project = Project(item.key("projectId").text(), number.text(), folders)
        taken = {spelling for other in found for spelling in (other.project_id, other.number)}
        if taken & {project.project_id, project.number}:
            raise item.refuse(f"project {project.project_id!r} is listed twice", "remove one")
        found.append(project)
    return Projects(tuple(found))


def resources(place: Place, kind: type[M], pattern: str, known_as: Projects) -> dict[str, M]:
    """A list of resources by name, each a message of one kind.

    Args:
        place: The list.
        kind: The message that each entry is the proto JSON of.
        pattern: What names look like, `*` standing for one piece of a name.
        known_as: Decides which two names are the same.
    """
    shape = re.compile("/".join(_piece(piece) for piece in pattern.split("/")))
    table: dict[str, M] = {}
    for item in place.items():
        name_place = item.object().key("name")
        name = name_place.text()
        here = item.named(name)
        if not shape.fullmatch(name):
            raise name_place.named(name).refuse("is not a name of this kind", f"write {pattern}")
        key = known_as.canonical(name)
        if key in table:
            raise here.refuse("the name is in the list twice", "remove one of them")
        table[key] = here.message(kind)
    return table


def _piece(piece: str) -> str:
    return "[^/]+" if piece == "*" else f"(?:{piece})"


def policies(place: Place, known_as: Projects) -> dict[str, policy_pb2.Policy]:
    """IAM policies by resource name. A policy without an etag gets one made of its content."""
    table: dict[str, policy_pb2.Policy] = {}
    for name in place.object().value:
        here = place.key(name).named(name)
        key = known_as.canonical(name)
        if key in table:
            raise here.refuse("the resource has two policies", "remove one of them")
        policy = here.message(policy_pb2.Policy)
        if not policy.etag:
            digest = proto_json.fingerprint(key, proto_json.to_json(policy))
            policy.etag = bytes.fromhex(digest)[:8]
        table[key] = policy
    return table


def findings(place: Place) -> list[FindingEntry]:
    """Findings as ListFindings returns them.

    What the API has no field for is kept but not served: real notifications carry such fields,
    and a copy of one is to be a valid entry.
    """
    entries: list[FindingEntry] = []
    names: set[str] = set()
    for item in place.items():
        name = item.object().key("finding").object().key("name").text()
        here = item.named(name)
        if name in names:
            raise here.refuse("the finding is in the list twice", "remove one of them")
        names.add(name)
        kind = ListFindingsResponse.ListFindingsResult
        result = here.message(kind, lenient=True)
        entries.append(FindingEntry(item.value, result))
    return entries


def log_entries(place: Place) -> list[LogEntry]:
    """Log entries. `logName` and `timestamp` are required; `insertId` is made up if left out."""
    entries: list[LogEntry] = []
    for item in place.items():
        item.object().key("logName").text()
        item.key("timestamp").text()
        entry = item.message(LogEntry)
        if not entry.insert_id:
            entry.insert_id = proto_json.fingerprint(item.path, item.value)[:16]
        entries.append(entry)
    return entries


def latency(place: Place) -> Latency:
    """The object `latency`: durations by method, besides `default` and `reconcile`."""
    methods_s: dict[str, float] = {}
    for method in place.object().value:
        if method not in {"default", method_names.RECONCILE}:
            methods_s[_method(place.at(method), method)] = place.key(method).seconds()
    return Latency(
        default_s=place.key("default", 0).seconds(),
        methods_s=methods_s,
        reconcile_s=place.key(method_names.RECONCILE, DEFAULT_RECONCILE_S * 1000).seconds(),
    )


def faults(place: Place) -> Faults:
    """The list `faults`."""
    return Faults(tuple(_fault(item.object(only=_FAULT_KEYS)) for item in place.items()))


def _fault(place: Place) -> Fault:
    code = place.key("code")
    if code.text() not in _CODES:
        raise code.refuse(f"{code.value!r} is not a status code", f"use one of {', '.join(_CODES)}")
    method = place.key("method").text()
    return Fault(
        method=method if method == method_names.RECONCILE else _method(place.at("method"), method),
        code=grpc.StatusCode[code.value],
        times=place.key("times").whole_number() if "times" in place.value else None,
        after=place.key("after", 0).whole_number(),
        message=place.key("message", DEFAULT_MESSAGE).text(),
        applied=place.key("applied", False).flag(),
    )


def _method(place: Place, method: str) -> str:
    """A method that exists: a misspelled one would otherwise do nothing, silently."""
    if method not in method_names.spellings():
        remedy = "write a method such as UpdateService or storage.PUT"
        raise place.refuse(f"{method!r} is not a method", remedy)
    return method
