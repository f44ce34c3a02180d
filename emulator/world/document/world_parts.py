"""Parse the sections of a world document."""

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
from emulator.api.list_pages import PageRules
from emulator.api.resource_names import ProjectEntry, Projects
from emulator.world.document.json_document import JsonNode
from emulator.world.inventory import Inventory
from emulator.world.service_accounts import ServiceAccount, ServiceAccounts, new_account

M = TypeVar("M")

_FAULT_KEYS = ("method", "code", "times", "after", "message", "applied")
_ACCOUNT_TEXTS = {
    "projectId": "project_id",
    "uniqueId": "unique_id",
    "displayName": "display_name",
}
_ACCOUNT_KEYS = ("name", "email", "disabled", *_ACCOUNT_TEXTS)
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


def parse_projects(node: JsonNode) -> Projects:
    """The entries of `projects`: `projectId`, `projectNumber`, `folders` (numbers)."""
    found: list[ProjectEntry] = []
    for item in node.items():
        item.json_object(allowed_keys=("projectId", "projectNumber", "folders"))
        number = item.get("projectNumber")
        if not number.string().isascii() or not number.string().isdecimal():
            raise number.error("is not a project number", 'write digits: "210987654321"')
        folders = tuple(
            folder.string().removeprefix("folders/") for folder in item.get("folders", []).items()
        )
        project = ProjectEntry(item.get("projectId").string(), number.string(), folders)
        spellings = {spelling for other in found for spelling in (other.project_id, other.number)}
        if spellings & {project.project_id, project.number}:
            raise item.error(f"project {project.project_id!r} is listed twice", "remove one")
        found.append(project)
    return Projects(tuple(found))


def parse_resources(
    node: JsonNode, kind: type[M], pattern: str, projects: Projects
) -> dict[str, M]:
    """A list of resources by name, each a message of one kind.

    Args:
        node: The list.
        kind: The message that each entry is the proto JSON of.
        pattern: What names look like, `*` standing for one piece of a name.
        projects: Decides which two names are the same.
    """
    shape = re.compile("/".join(_segment_pattern(piece) for piece in pattern.split("/")))
    table: dict[str, M] = {}
    for item in node.items():
        name_node = item.json_object().get("name")
        name = name_node.string()
        resource_node = item.in_resource(name)
        if not shape.fullmatch(name):
            raise name_node.in_resource(name).error(
                "is not a name of this kind", f"write {pattern}"
            )
        key = projects.canonical(name)
        if key in table:
            raise resource_node.error("the name is in the list twice", "remove one of them")
        table[key] = resource_node.proto_message(kind)
    return table


def _segment_pattern(piece: str) -> str:
    return "[^/]+" if piece == "*" else f"(?:{piece})"


def parse_policies(node: JsonNode, projects: Projects) -> dict[str, policy_pb2.Policy]:
    """IAM policies by resource name. A policy without an etag gets one made of its content."""
    table: dict[str, policy_pb2.Policy] = {}
    for name in node.json_object().value:
        resource_node = node.get(name).in_resource(name)
        key = projects.canonical(name)
        if key in table:
            raise resource_node.error("the resource has two policies", "remove one of them")
        policy = resource_node.proto_message(policy_pb2.Policy)
        if not policy.etag:
            digest = proto_json.fingerprint(key, proto_json.to_json(policy))
            policy.etag = bytes.fromhex(digest)[:8]
        table[key] = policy
    return table


def parse_findings(node: JsonNode) -> list[FindingEntry]:
    """Findings as ListFindings returns them.

    What the API has no field for is kept but not served: real notifications carry such fields,
    and a copy of one is to be a valid entry.
    """
    entries: list[FindingEntry] = []
    names: set[str] = set()
    for item in node.items():
        name = item.json_object().get("finding").json_object().get("name").string()
        resource_node = item.in_resource(name)
        if name in names:
            raise resource_node.error("the finding is in the list twice", "remove one of them")
        names.add(name)
        kind = ListFindingsResponse.ListFindingsResult
        result = resource_node.proto_message(kind, lenient=True)
        entries.append(FindingEntry(item.value, result))
    return entries


def parse_log_entries(node: JsonNode) -> list[LogEntry]:
    """Log entries. `logName` and `timestamp` are required; `insertId` is generated if left out."""
    entries: list[LogEntry] = []
    for item in node.items():
        item.json_object().get("logName").string()
        item.get("timestamp").string()
        entry = item.proto_message(LogEntry)
        if not entry.insert_id:
            entry.insert_id = proto_json.fingerprint(item.path, item.value)[:16]
        entries.append(entry)
    return entries


def parse_inventory(node: JsonNode, projects: Projects) -> Inventory:
    """The object `inventory`: `enabled`, `notYetListed` (names), `stillListed` (resources)."""
    node.json_object(allowed_keys=("enabled", "notYetListed", "stillListed"))
    hidden = [item.string() for item in node.get("notYetListed", []).items()]
    stale = {
        projects.canonical(item.json_object().get("name").string()): dict(item.value)
        for item in node.get("stillListed", []).items()
    }
    return Inventory(
        enabled=node.get("enabled", True).boolean(),
        not_yet_listed=frozenset(map(projects.canonical, hidden)),
        still_listed=stale,
    )


def parse_service_accounts(node: JsonNode, projects: Projects) -> ServiceAccounts:
    """The list `serviceAccounts`: `email`, `disabled`, and what its type has besides."""
    accounts: dict[str, ServiceAccount] = {}
    for item in node.items():
        item.json_object(allowed_keys=_ACCOUNT_KEYS)
        email = item.get("email").string()
        if email in accounts:
            raise item.error("the account is in the list twice", "remove one of them")
        texts = {
            field: item.get(key).string()
            for key, field in _ACCOUNT_TEXTS.items()
            if key in item.value
        }
        disabled = item.get("disabled", False).boolean()
        accounts[email] = new_account(email, projects, disabled=disabled, **texts)
    return ServiceAccounts(accounts.values())


def parse_latency(node: JsonNode) -> Latency:
    """The object `latency`: durations by method, besides `default` and `reconcile`."""
    methods_s: dict[str, float] = {}
    for method in node.json_object().value:
        if method not in {"default", method_names.RECONCILE}:
            methods_s[_checked_method(node.child_path(method), method)] = node.get(method).seconds()
    return Latency(
        default_s=node.get("default", 0).seconds(),
        methods_s=methods_s,
        reconcile_s=node.get(method_names.RECONCILE, DEFAULT_RECONCILE_S * 1000).seconds(),
    )


def parse_faults(node: JsonNode) -> Faults:
    """The list `faults`."""
    return Faults(
        tuple(_parse_fault(item.json_object(allowed_keys=_FAULT_KEYS)) for item in node.items())
    )


def parse_pages(node: JsonNode) -> PageRules:
    """The object `pages`: `size`, at least 1, and `emptyFirst`."""
    node.json_object(allowed_keys=("size", "emptyFirst"))
    size = node.get("size").whole_number() if "size" in node.value else None
    if size == 0:
        raise node.get("size").error("a page of no items never ends a list", "write 1 or more")
    return PageRules(size, node.get("emptyFirst", False).boolean())


def _parse_fault(node: JsonNode) -> Fault:
    code = node.get("code")
    if code.string() not in _CODES:
        raise code.error(f"{code.value!r} is not a status code", f"use one of {', '.join(_CODES)}")
    method = node.get("method").string()
    return Fault(
        method=method
        if method == method_names.RECONCILE
        else _checked_method(node.child_path("method"), method),
        code=grpc.StatusCode[code.value],
        times=node.get("times").whole_number() if "times" in node.value else None,
        after=node.get("after", 0).whole_number(),
        message=node.get("message", DEFAULT_MESSAGE).string(),
        applied=node.get("applied", False).boolean(),
    )


def _checked_method(node: JsonNode, method: str) -> str:
    """A method that exists: a misspelled one would otherwise do nothing, silently."""
    if method not in method_names.known_spellings():
        remedy = "write a method such as UpdateService or storage.PUT"
        raise node.error(f"{method!r} is not a method", remedy)
    return method
