"""Pydantic schema of the fields that are read of a finding.

A type with "Any" accepts any value and reads one of a wrong type as empty. The other types are
required to be right; null counts as absent.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Any, TypeVar

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

from incident.model import Json, json_object, json_objects, json_string, json_strings
from incident.model.finding_types import CATEGORIES_BY_API_NAME
from incident.notification.strict_json import UnreadableError

_INT64 = re.compile(r"-?[0-9]{1,19}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_PORT = range(1, 65_536)
_NOT_LETTERS = re.compile("[^a-zA-Z]")
#: Keys of ``sourceProperties``, letters only, that name the detector. Those of Cloud Run's
#: detectors are not documented; ``ruleName`` is Event Threat Detection's. Other keys may hold what
#: an attacker chose.
_API_NAME_KEYS = frozenset(
    {"apiname", "detector", "detectorname", "module", "modulename", "rulename"}
)
#: Categories of Essential Contacts, the most relevant to an incident first.
_CONTACT_CATEGORIES = (
    "security",
    "technical",
    "all",
    "product_updates",
    "suspension",
    "legal",
    "billing",
)
_EXPECTED = {
    "bool_type": "must be true or false",
    "missing": "is missing",
    "model_type": "must be an object",
    "string_type": "must be a text",
    "tuple_type": "must be a list",
}


def _one_or_more_objects(value: object) -> list[object]:
    """The objects of a list; a single object counts as a list of one."""
    if isinstance(value, dict):
        return [value]
    return [*json_objects(value)]


def _objects_by_name(value: object) -> object:
    if not isinstance(value, dict):
        return {}
    return {key: item for key, item in value.items() if isinstance(item, dict)}


def _int64(value: object) -> int | None:
    """An int64: proto JSON writes it as a text, other writers as a number."""
    if isinstance(value, str) and _INT64.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if -(2**63) <= value < 2**63 else None


def _port(value: object) -> int | None:
    number = _int64(value)
    return number if number in _PORT else None


def _address(value: object) -> str:
    """An IP address; any other value is empty."""
    try:
        return str(ip_address(value)) if isinstance(value, str) else ""
    except ValueError:
        return ""


def _addresses(value: object) -> list[str]:
    return [address for address in map(_address, json_strings(value)) if address]


def _sha256(value: object) -> str | None:
    return value.lower() if isinstance(value, str) and _SHA256.fullmatch(value) else None


_T = TypeVar("_T", bound="_FieldsModel")
_Text = Annotated[StrictStr, BeforeValidator(lambda value: "" if value is None else value)]
_AnyText = Annotated[str, BeforeValidator(json_string)]
_AnyTexts = Annotated[tuple[str, ...], BeforeValidator(json_strings)]
_AnyFlag = Annotated[bool, BeforeValidator(lambda value: value is True)]
_AnyInt64 = Annotated[int | None, BeforeValidator(_int64)]
_AnyPort = Annotated[int | None, BeforeValidator(_port)]
_AnyAddress = Annotated[str, BeforeValidator(_address)]
_AnyAddresses = Annotated[tuple[str, ...], BeforeValidator(_addresses)]
_AnySha256 = Annotated[str | None, BeforeValidator(_sha256)]
_AnyObjects = Annotated[tuple[_T, ...], BeforeValidator(_one_or_more_objects)]
_AnyObject = Annotated[dict[str, Any], BeforeValidator(json_object)]
_AnyObjectsByName = Annotated[dict[str, _T], BeforeValidator(_objects_by_name)]


def _nested(*path: str, default: object = ()) -> Any:
    """A nested field of evidence; where the path breaks off, the field is absent."""
    camel_path = (to_camel(step) for step in path)
    return Field(default, validation_alias=AliasChoices(AliasPath(*camel_path), AliasPath(*path)))


class _FieldsModel(BaseModel):
    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        hide_input_in_errors=True,
    )


class _Variable(_FieldsModel):
    name: _AnyText = ""
    val: _AnyText = ""


class FileFields(_FieldsModel):
    """A file, as evidence."""

    path: _AnyText = ""
    size: _AnyInt64 = None
    sha256: _AnySha256 = None
    hashed_size: _AnyInt64 = None
    partially_hashed: _AnyFlag = False
    contents: _AnyText = ""


class ProcessFields(_FieldsModel):
    """A process, as evidence."""

    name: _AnyText = ""
    path: _AnyText = _nested("binary", "path", default="")
    size: _AnyInt64 = _nested("binary", "size", default=None)
    sha256: _AnySha256 = _nested("binary", "sha256", default=None)
    hashed_size: _AnyInt64 = _nested("binary", "hashed_size", default=None)
    partially_hashed: _AnyFlag = _nested("binary", "partially_hashed", default=False)
    args: _AnyTexts = ()
    arguments_truncated: _AnyFlag = False
    env_variables: _AnyObjects[_Variable] = ()
    pid: _AnyInt64 = None
    parent_pid: _AnyInt64 = None
    user_id: _AnyInt64 = None
    libraries: _AnyObjects[FileFields] = ()
    script: _AnyObjects[FileFields] = ()  # one in the API's type


class _Container(_FieldsModel):
    name: _AnyText = ""
    uri: _AnyText = ""
    image_id: _AnyText = ""
    create_time: _AnyText = ""


class _Contact(_FieldsModel):
    email: _AnyText = ""


class _Contacts(_FieldsModel):
    contacts: _AnyObjects[_Contact] = ()


class _IamBinding(_FieldsModel):
    action: _AnyText = ""
    role: _AnyText = ""
    member: _AnyText = ""


class _Link(_FieldsModel):
    url: _AnyText = ""


def _stdin_redirection(end: str, default: object) -> Any:
    """A key that the documented page of the finding type "Reverse Shell" names."""
    name = f"Reverse_Shell_Stdin_Redirection_{end}"
    return Field(
        default,
        validation_alias=AliasChoices(
            AliasPath("sourceProperties", name), AliasPath("source_properties", name)
        ),
    )


class FindingFields(_FieldsModel):
    """A finding; its names and the fields that decide must be texts."""

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
    processes: _AnyObjects[ProcessFields] = ()
    containers: _AnyObjects[_Container] = ()
    contacts: _AnyObjectsByName[_Contacts] = {}
    primary_techniques: _AnyTexts = _nested("mitre_attack", "primary_techniques")
    additional_techniques: _AnyTexts = _nested("mitre_attack", "additional_techniques")
    finding_class: _AnyText = ""
    uris: _AnyTexts = _nested("indicator", "uris")
    ip_addresses: _AnyAddresses = _nested("indicator", "ip_addresses")
    caller_ip: _AnyAddress = _nested("access", "caller_ip", default="")
    principal: _AnyText = _nested("access", "principal_email", default="")
    iam_bindings: _AnyObjects[_IamBinding] = ()
    source_properties: _AnyObject = {}
    remote_ip: _AnyAddress = _stdin_redirection("Dst_Ip", "")
    remote_port: _AnyPort = _stdin_redirection("Dst_Port", None)
    local_ip: _AnyAddress = _stdin_redirection("Src_Ip", "")
    local_port: _AnyPort = _stdin_redirection("Src_Port", None)
    # contextUris are in no proto of the API; public code reads them at either place.
    inner_links: _AnyObjects[_Link] = _nested(
        "source_properties", "context_uris", "virustotal_indicator_query_uri"
    )
    outer_links: _AnyObjects[_Link] = _nested("context_uris", "virustotal_indicator_query_uri")

    @property
    def api_name(self) -> str:
        """The detector's API name, if a field that names the detector holds a known one.

        Upper and lower case count as the same: how Google writes it here is not documented.
        """
        detection = json_object(self.source_properties.get("detectionCategory"))
        named = (
            json_string(value)
            for properties in (self.source_properties, detection)
            for key, value in properties.items()
            if _NOT_LETTERS.sub("", key).lower() in _API_NAME_KEYS
        )
        last_parts = (text.rpartition("/")[2].upper() for text in (self.module_name, *named))
        return next((text for text in last_parts if text in CATEGORIES_BY_API_NAME), "")

    @property
    def contact_emails(self) -> tuple[str, ...]:
        """The contacts' addresses, the most relevant category first: a map has no order."""
        ranks = {category: rank for rank, category in enumerate(_CONTACT_CATEGORIES)}
        groups = sorted(
            self.contacts.items(),
            key=lambda group: (ranks.get(group[0].lower(), len(ranks)), group[0]),
        )
        named = (sorted(contact.email for contact in group.contacts) for _, group in groups)
        return tuple(dict.fromkeys(email for emails in named for email in emails if email))


class FolderFields(_FieldsModel):
    """A folder above the project."""

    resource_folder: _Text = ""


class PathNode(_FieldsModel):
    """A step of the path from the organisation to the project."""

    node_type: _Text = ""
    id: _Text = ""


class ResourcePath(_FieldsModel):
    """The path from the project up to the organisation."""

    nodes: tuple[PathNode, ...] | None = None


class Ancestry(_FieldsModel):
    """Project, folders and organisation: ``gcpMetadata`` in version 2, the resource in 1."""

    project: _Text = Field(
        "", validation_alias=AliasChoices("project", "projectName", "project_name")
    )
    project_display_name: _Text = ""  # the project's id, as Google's API library says
    parent: _Text = Field("", validation_alias=AliasChoices("parent", "parentName", "parent_name"))
    folders: tuple[FolderFields, ...] | None = None
    organization: _AnyText = ""


class ResourceFields(Ancestry):
    """The resource; API version 1 has its ancestry flat, version 2 under ``gcpMetadata``."""

    name: _Text = ""
    gcp_metadata: Ancestry | None = None
    resource_path: ResourcePath | None = None


class RecordFields(_FieldsModel):
    """One result of ``ListFindings``."""

    finding: FindingFields
    resource: ResourceFields | None = None


class MessageFields(RecordFields):
    """One notification."""

    deleted_finding: StrictBool | None = None


_Record = TypeVar("_Record", bound=RecordFields)


def validate_fields(model: type[_Record], document: dict[str, Json]) -> _Record:
    """The fields of a document.

    Raises:
        UnreadableError: A field that must have its type has another, or is missing.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(step) for step in first["loc"])
        expected = _EXPECTED.get(first["type"], "has an unexpected form")
        raise UnreadableError(f"{path} {expected}") from error
