"""Message bytes in, a notification out; one parser for the claim and for SCC's own record.

What a finding means, and whether it is one of ours, belongs to the responders.

Google documents findings by their types only, so reading is tolerant: unknown fields and texts
pass, so do snake_case keys (camelCase wins where both stand), and evidence of an odd type is
left out. What a decision rests on must have the right type. All of it takes linear time.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, TypeVar

import pydantic_core
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from incident.model import (
    Container,
    Finding,
    Json,
    JsonObject,
    Malformed,
    Notification,
    Process,
    Secret,
)
from incident.resource_name import (
    Claims,
    FindingName,
    is_organisation,
    parse_finding_name,
    parse_resource_name,
    quoted,
    settle,
)

_MOST_BYTES = 10_000_000  # Pub/Sub takes no larger message
_MOST_DEPTH = 64  # a finding has about 10 levels; protobuf itself stops at 100
_INT64 = re.compile(r"-?[0-9]{1,19}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_VIRUSTOTAL = re.compile(r"https://www\.virustotal\.com/gui/file/([0-9a-fA-F]{64})(?:/detection)?")
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]{1,32}))?(?:[Zz]|([+-])([0-9]{2}):([0-5][0-9]))"
)
_EXPECTED = {
    "bool_type": "must be true or false",
    "missing": "is missing",
    "model_type": "must be an object",
    "string_type": "must be a text",
    "tuple_type": "must be a list",
}


class _UnreadableError(Exception):
    """What is wrong, on what and why; ``parse`` and ``parse_record`` add what was being read."""


def parse(data: bytes) -> Notification:
    """Read one notification of Security Command Center, of its API's version 1 or 2.

    Args:
        data: The message as Pub/Sub delivered it, decoded from base64.

    Raises:
        Malformed: Whatever is wrong with the data, and nothing else.
    """
    try:
        document = _load(data)
        message = _validated(_Message, document)
        finding = _finding(document, message)
    except _UnreadableError as error:
        raise Malformed(
            f"Cannot read the message as a notification of Security Command Center: {error}. "
            "Look at what publishes to the topic; only Security Command Center should."
        ) from error
    return Notification(
        finding=finding,
        config_name=message.notification_config_name,
        deleted=message.deleted_finding is True,
    )


def parse_record(record: JsonObject) -> Finding:
    """Read one result of SCC's ``ListFindings`` in proto JSON: ``{"finding": …, "resource": …}``.

    It goes through the same text and the same checks as a message, so that what is claimed
    and what confirms it cannot be read in two ways.

    Raises:
        Malformed: Whatever is wrong with the record, and nothing else.
    """
    try:
        document = _load(_dump(record))
        return _finding(document, _validated(_Record, document))
    except _UnreadableError as error:
        raise Malformed(
            f"Cannot read what Security Command Center lists for the finding: {error}. "
            "Compare the record with the type Finding of its API, version 2."
        ) from error


# JSON, read more strictly than Python does.


def _load(data: bytes) -> dict[str, Json]:
    """Read a JSON object.

    The first reader refuses what is not UTF-8, lone surrogates, NaN and bottomless nesting,
    without recursion in Python; the second sees duplicate keys and the size of numbers.
    """
    if len(data) > _MOST_BYTES:
        raise _UnreadableError(f"it has {len(data)} bytes, expected at most {_MOST_BYTES}")
    if data.startswith(b"\xef\xbb\xbf"):
        raise _UnreadableError("it begins with a byte order mark, expected JSON in plain UTF-8")
    try:
        _check_depth(pydantic_core.from_json(data, allow_inf_nan=False))
        document = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_float=_finite, parse_int=_integer
        )
    except ValueError as error:
        raise _UnreadableError(f"it is not JSON in UTF-8: {error}") from error
    if not isinstance(document, dict):
        raise _UnreadableError("its top level must be an object")
    return document


def _dump(record: JsonObject) -> bytes:
    """Write a record as JSON; mappings that are no dict become one."""
    try:
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=dict)
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _UnreadableError(f"it cannot be written as JSON: {type(error).__name__}") from error


def _check_depth(document: object) -> None:
    """Refuse nesting that those who walk through the raw record later could stumble over."""
    level = [document]
    for _ in range(_MOST_DEPTH):
        children = (child for node in level for child in _children(node))
        level = [child for child in children if isinstance(child, (dict, list))]
    if level:
        raise _UnreadableError(f"it is nested too deeply, expected at most {_MOST_DEPTH} levels")


def _children(node: object) -> Iterable[object]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Build an object without equal keys: another reader might take the other one."""
    document = dict(pairs)
    if len(document) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise _UnreadableError(f"the key {quoted(twice)} stands twice in one object")
    return document


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise _UnreadableError(f"the number {quoted(digits)} is too large, expected a double")
    return value


def _integer(digits: str) -> int:
    _finite(digits)
    return int(digits)


# Shapes. Only what is read is named. A type with "Any" takes any value and makes nothing of an
# odd one; the others must have their type, with null as good as absent.


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _objects(value: object) -> list[object]:
    """Keep the objects of a list; one alone counts as a list of one."""
    if isinstance(value, dict):
        return [value]
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _objects_by_name(value: object) -> object:
    if not isinstance(value, dict):
        return {}
    return {key: item for key, item in value.items() if isinstance(item, dict)}


def _int64(value: object) -> int | None:
    """Read an int64, which proto JSON writes as a text and other writers as a number."""
    if isinstance(value, str) and _INT64.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if -(2**63) <= value < 2**63 else None


def _sha256(value: object) -> str | None:
    return value.lower() if isinstance(value, str) and _SHA256.fullmatch(value) else None


_T = TypeVar("_T", bound="_Part")
_Text = Annotated[StrictStr, BeforeValidator(lambda value: "" if value is None else value)]
_AnyText = Annotated[str, BeforeValidator(_text)]
_AnyTexts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
_AnyFlag = Annotated[bool, BeforeValidator(lambda value: value is True)]
_AnyInt64 = Annotated[int | None, BeforeValidator(_int64)]
_AnySha256 = Annotated[str | None, BeforeValidator(_sha256)]
_AnyObjects = Annotated[tuple[_T, ...], BeforeValidator(_objects)]
_AnyObjectsByName = Annotated[dict[str, _T], BeforeValidator(_objects_by_name)]


def _at(*path: str, default: object = ()) -> Any:
    """Read a field of evidence from further inside; a path that breaks off is an absent field."""
    camel_path = (to_camel(step) for step in path)
    return Field(default, validation_alias=AliasChoices(AliasPath(*camel_path), AliasPath(*path)))


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        hide_input_in_errors=True,
    )


class _Variable(_Part):
    name: _AnyText = ""
    val: _AnyText = ""


class _Process(_Part):
    name: _AnyText = ""
    path: _AnyText = _at("binary", "path", default="")
    size: _AnyInt64 = _at("binary", "size", default=None)
    sha256: _AnySha256 = _at("binary", "sha256", default=None)
    hashed_size: _AnyInt64 = _at("binary", "hashed_size", default=None)
    partially_hashed: _AnyFlag = _at("binary", "partially_hashed", default=False)
    args: _AnyTexts = ()
    arguments_truncated: _AnyFlag = False
    env_variables: _AnyObjects[_Variable] = ()
    pid: _AnyInt64 = None
    parent_pid: _AnyInt64 = None
    user_id: _AnyInt64 = None


class _Container(_Part):
    name: _AnyText = ""
    uri: _AnyText = ""
    image_id: _AnyText = ""


class _Contact(_Part):
    email: _AnyText = ""


class _Contacts(_Part):
    contacts: _AnyObjects[_Contact] = ()


class _Link(_Part):
    url: _AnyText = ""


class _FindingFields(_Part):
    name: _Text = ""
    canonical_name: _Text = ""
    category: _Text = ""
    resource_name: _Text = ""
    event_time: _Text = ""
    state: _Text = ""
    mute: _Text = ""
    parent_display_name: _Text = ""
    module_name: _AnyText = ""
    severity: _AnyText = ""
    create_time: _AnyText = ""
    description: _AnyText = ""
    processes: _AnyObjects[_Process] = ()
    containers: _AnyObjects[_Container] = ()
    contacts: _AnyObjectsByName[_Contacts] = {}
    primary_techniques: _AnyTexts = _at("mitre_attack", "primary_techniques")
    additional_techniques: _AnyTexts = _at("mitre_attack", "additional_techniques")
    # contextUris are in no proto of the API; public code reads them at either place.
    inner_links: _AnyObjects[_Link] = _at(
        "source_properties", "context_uris", "virustotal_indicator_query_uri"
    )
    outer_links: _AnyObjects[_Link] = _at("context_uris", "virustotal_indicator_query_uri")


class _Folder(_Part):
    resource_folder: _Text = ""


class _Node(_Part):
    node_type: _Text = ""
    id: _Text = ""


class _ResourcePath(_Part):
    nodes: tuple[_Node, ...] | None = None


class _Ancestry(_Part):
    """Where a resource stands: ``gcpMetadata`` in version 2, the resource itself in 1."""

    project: _Text = Field(
        "", validation_alias=AliasChoices("project", "projectName", "project_name")
    )
    project_display_name: _Text = ""  # the project's id, as Google's API library says
    parent: _Text = Field("", validation_alias=AliasChoices("parent", "parentName", "parent_name"))
    folders: tuple[_Folder, ...] | None = None


class _Resource(_Ancestry):
    name: _Text = ""
    gcp_metadata: _Ancestry | None = None
    resource_path: _ResourcePath | None = None


class _Record(_Part):
    finding: _FindingFields
    resource: _Resource | None = None


class _Message(_Record):
    notification_config_name: _AnyText = ""
    deleted_finding: StrictBool | None = None


_Shape = TypeVar("_Shape", bound=_Record)


def _validated(shape: type[_Shape], document: dict[str, Json]) -> _Shape:
    try:
        return shape.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(step) for step in first["loc"])
        expected = _EXPECTED.get(first["type"], "has an unexpected form")
        raise _UnreadableError(f"{path} {expected}") from error


# Meaning: from the fields to the finding.


def _finding(document: dict[str, Json], record: _Record) -> Finding:
    """Put the fields together; the first required one that is lacking is the error."""
    fields, resource = record.finding, record.resource or _Resource()
    claims = _claims(fields, resource)
    canonical_name = _required("name", fields.canonical_name or fields.name)
    identity, *_ = [_identity(place, name) for place, name in claims.findings]
    resource_name = _required("resourceName", fields.resource_name or resource.name)
    named = parse_resource_name(resource_name)
    workload, contradictions = settle(named.workload, claims)
    processes = tuple(_process(process) for process in fields.processes)
    return Finding(
        name=fields.name or canonical_name,
        canonical_name=canonical_name,
        source_id=identity.source_id,
        finding_id=identity.finding_id,
        category=_required("category", fields.category),
        detector=fields.parent_display_name,
        module=fields.module_name,
        severity=fields.severity,
        state=fields.state,
        mute=fields.mute,
        event_time=_event_time(fields.event_time),
        create_time=_time(fields.create_time),
        resource_name=resource_name,
        host=named.host,
        workload=workload,
        revision=named.revision,
        execution=named.execution,
        contradictions=contradictions,
        processes=processes,
        containers=tuple(
            Container(name=container.name, image=container.uri, digest=container.image_id or None)
            for container in fields.containers
        ),
        techniques=_distinct(fields.primary_techniques + fields.additional_techniques),
        virustotal_url=_virustotal_url(fields),
        contacts=_distinct(
            contact.email for group in fields.contacts.values() for contact in group.contacts
        ),
        description=fields.description,
        secrets=_secrets(fields),
        raw={"finding": document["finding"], "resource": document.get("resource")},
    )


def _required(field: str, text: str) -> str:
    if not text:
        raise _UnreadableError(f"finding.{field} is missing or empty, expected a text")
    return text


def _identity(place: str, name: str) -> FindingName:
    identity = parse_finding_name(name)
    if identity is None:
        raise _UnreadableError(
            f"{place} is {quoted(name)}, expected the form "
            "organizations/O/sources/S/locations/L/findings/F, its location optional"
        )
    return identity


def _event_time(text: str) -> datetime:
    time = _time(_required("eventTime", text))
    if time is None:
        raise _UnreadableError(
            f"finding.eventTime is {quoted(text)}, expected RFC 3339 such as 2026-10-02T08:14:07Z"
        )
    return time


def _time(text: str) -> datetime | None:
    """Read an RFC 3339 time, cut to microseconds; None if it is none or out of range."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
    microsecond = int((match[7] or "").ljust(6, "0")[:6])
    offset = timedelta(hours=int(match[9] or 0), minutes=int(match[10] or 0))
    try:
        zone = timezone(-offset if match[8] == "-" else offset)
        time = datetime(year, month, day, hour, minute, second, microsecond, tzinfo=zone)
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _claims(fields: _FindingFields, resource: _Resource) -> Claims:
    """Gather every name with its place; versions 1 and 2 of the API keep them in different ones."""
    resources = (("finding.resourceName", fields.resource_name), ("resource.name", resource.name))
    findings = (("finding.canonicalName", fields.canonical_name), ("finding.name", fields.name))
    ancestries = [("resource.gcpMetadata", resource.gcp_metadata), ("resource", resource)]
    present = [(place, ancestry) for place, ancestry in ancestries if ancestry is not None]
    ids = [(f"{place}.projectDisplayName", here.project_display_name) for place, here in present]
    numbers = [(f"{place}.project", here.project) for place, here in present]
    nodes = (resource.resource_path and resource.resource_path.nodes) or ()
    path = [("resource.resourcePath", node.id) for node in nodes if node.node_type == "GCP_PROJECT"]
    return Claims(
        resources=tuple((place, name) for place, name in resources if name),
        findings=tuple((place, name) for place, name in findings if name),
        projects=(*ids, *numbers, *path),
        folders=(
            *((f"{place}.folders", _folders(here)) for place, here in present),
            ("resource.resourcePath", _path_folders(nodes)),
        ),
    )


def _folders(ancestry: _Ancestry) -> tuple[str, ...] | None:
    """Name the folders above; none at all is believed only right below the organisation."""
    names = tuple(folder.resource_folder for folder in ancestry.folders or ())
    return names if names or is_organisation(ancestry.parent) else None


def _path_folders(nodes: tuple[_Node, ...]) -> tuple[str, ...] | None:
    """Name the folders on the path; none at all is believed only if it ends at the top."""
    names = tuple(node.id for node in nodes if node.node_type == "GCP_FOLDER")
    at_top = any(node.node_type == "GCP_ORGANIZATION" for node in nodes)
    return names if names or at_top else None


def _process(process: _Process) -> Process:
    sizes = (process.size, process.hashed_size)
    cut = None not in sizes and process.size != process.hashed_size
    return Process(
        name=process.name,
        binary_path=process.path,
        arguments=process.args,
        arguments_truncated=process.arguments_truncated,
        sha256=process.sha256,
        partially_hashed=process.partially_hashed or cut,
        pid=process.pid,
        parent_pid=process.parent_pid,
        user_id=process.user_id,
        environment_names=tuple(entry.name for entry in process.env_variables if entry.name),
    )


def _secrets(fields: _FindingFields) -> tuple[Secret, ...]:
    """Take every environment value for one that may be secret; an empty one hides nothing."""
    return tuple(
        Secret(entry.name, entry.val)
        for process in fields.processes
        for entry in process.env_variables
        if entry.val
    )


def _virustotal_url(fields: _FindingFields) -> str | None:
    """Pick the link to VirusTotal's page of one of the executed files, and no other link."""
    hashes = {process.sha256 for process in fields.processes}
    for link in fields.inner_links + fields.outer_links:
        match = _VIRUSTOTAL.fullmatch(link.url)
        if match and match[1].lower() in hashes:
            return link.url
    return None


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    """Keep each text once, in order."""
    return tuple(dict.fromkeys(text for text in texts if text))
