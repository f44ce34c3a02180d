"""Parse a Pub/Sub notification or an SCC record into a Finding.

One parser reads both. Google documents findings by their types only, so it is tolerant: unknown
fields and texts pass, so do snake_case keys (camelCase wins where both are present), and evidence
of a wrong type is left out. What a decision rests on must have the right type. Parsing takes
linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone

from incident.model import (
    Connection,
    Container,
    DetectedProcess,
    File,
    Finding,
    Json,
    JsonObject,
    Malformed,
    Notification,
    Secret,
    Workload,
)
from incident.notification.finding_schema import (
    Ancestry,
    FileFields,
    FindingFields,
    MessageFields,
    PathNode,
    ProcessFields,
    RecordFields,
    ResourceFields,
    validate_fields,
)
from incident.notification.resource_names import (
    FindingName,
    MessageNames,
    is_organisation,
    organisation_number,
    parse_finding_name,
    parse_resource_name,
    quote_untrusted,
    resolve_workload,
)
from incident.notification.strict_json import UnreadableError, dump_json, load_json_object

# Plausible years; time windows around the event must not leave the calendar either.
_FIRST_YEAR, _LAST_YEAR = 1970, 9000
_VIRUSTOTAL = re.compile(r"https://www\.virustotal\.com/gui/file/([0-9a-fA-F]{64})(?:/detection)?")
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]{1,32}))?(?:[Zz]|([+-])([0-9]{2}):([0-5][0-9]))"
)


def parse_notification(data: bytes) -> Notification:
    """Read one notification of Security Command Center, of its API's version 1 or 2.

    Args:
        data: The message as Pub/Sub delivered it, decoded from base64.

    Raises:
        Malformed: The data is no such notification. Nothing else is raised.
    """
    try:
        document = load_json_object(data)
        message = validate_fields(MessageFields, document)
        finding = _build_finding(document, message)
    except UnreadableError as error:
        raise Malformed(
            f"Cannot read the message as a notification of Security Command Center: {error}. "
            "Check what publishes to the topic; only Security Command Center should."
        ) from error
    return Notification(finding, deleted=message.deleted_finding is True)


def parse_record(record: JsonObject) -> Finding:
    """Read one result of SCC's ``ListFindings`` in proto JSON: ``{"finding": …, "resource": …}``.

    It is read by the same parser as a message, so that the claim and the record that confirms
    it cannot be read in two ways.

    Raises:
        Malformed: The record is no such result. Nothing else is raised.
    """
    try:
        document = load_json_object(dump_json(record))
        return _build_finding(document, validate_fields(RecordFields, document))
    except UnreadableError as error:
        raise Malformed(
            f"Cannot read what Security Command Center lists for the finding: {error}. "
            "Compare the record with the type Finding of its API, version 2."
        ) from error


def _build_finding(document: dict[str, Json], record: RecordFields) -> Finding:
    """Build the finding; the first required field that is missing is the error."""
    fields, resource = record.finding, record.resource or ResourceFields()
    names = _collect_names(fields, resource)
    name = _required("name", fields.name)
    canonical_name = fields.canonical_name or name
    identity, *_ = [_required_finding_name(path, name) for path, name in names.findings]
    resource_name = _required("resourceName", fields.resource_name)
    named = parse_resource_name(resource_name)
    workload, contradictions = resolve_workload(named.workload, names)
    processes = tuple(_process(process) for process in fields.processes)
    return Finding(
        name=name,
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
        create_time=_parse_time(fields.create_time),
        resource_name=resource_name,
        host=named.host,
        workload=workload,
        ancestors=_ancestors(workload, resource),
        revision=named.revision,
        execution=named.execution,
        contradictions=contradictions,
        processes=processes,
        containers=tuple(
            Container(
                name=container.name,
                image=container.uri,
                digest=container.image_id or None,
                create_time=_parse_time(container.create_time),
            )
            for container in fields.containers
        ),
        techniques=_distinct(fields.primary_techniques + fields.additional_techniques),
        virustotal_url=_virustotal_url(fields, processes),
        contacts=fields.contact_emails,
        description=fields.description,
        secrets=_secrets(fields),
        raw={"finding": document["finding"], "resource": document.get("resource")},
        urls=_distinct(fields.uris),
        connection=_connection(fields),
        finding_class=fields.finding_class,
        principal=fields.principal,
        addresses=_distinct((fields.remote_ip, *fields.ip_addresses, fields.caller_ip)),
        api_name=fields.api_name,
        bindings=tuple(
            f"{binding.action} {binding.role} {binding.member}"
            for binding in fields.iam_bindings
            if binding.role
        ),
    )


def _required(field: str, text: str) -> str:
    if not text:
        raise UnreadableError(f"finding.{field} is missing or empty, expected a text")
    return text


def _required_finding_name(path: str, name: str) -> FindingName:
    identity = parse_finding_name(name)
    if identity is None:
        raise UnreadableError(
            f"{path} is {quote_untrusted(name)}, expected the form "
            "organizations/O/sources/S/locations/L/findings/F, its location optional"
        )
    return identity


def _event_time(text: str) -> datetime:
    time = _parse_time(_required("eventTime", text))
    if time is None:
        raise UnreadableError(
            f"finding.eventTime is {quote_untrusted(text)}, expected RFC 3339 such as"
            " 2026-10-02T08:14:07Z"
        )
    return time


def _parse_time(text: str) -> datetime | None:
    """An RFC 3339 time, cut to microseconds; None if it is invalid or out of range."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    microsecond = int((match[7] or "").ljust(6, "0")[:6])
    offset = timedelta(hours=int(match[9] or 0), minutes=int(match[10] or 0))
    try:
        zone = timezone(-offset if match[8] == "-" else offset)
        time = datetime(year, month, day, hour, minute, second, microsecond, tzinfo=zone)
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _collect_names(fields: FindingFields, resource: ResourceFields) -> MessageNames:
    """Every name with its path in the message, which differs between API versions 1 and 2."""
    resources = (("finding.resourceName", fields.resource_name), ("resource.name", resource.name))
    findings = (("finding.canonicalName", fields.canonical_name), ("finding.name", fields.name))
    ancestries = [("resource.gcpMetadata", resource.gcp_metadata), ("resource", resource)]
    present = [(prefix, ancestry) for prefix, ancestry in ancestries if ancestry is not None]
    ids = [(f"{place}.projectDisplayName", level.project_display_name) for place, level in present]
    numbers = [(f"{place}.project", here.project) for place, here in present]
    nodes = (resource.resource_path and resource.resource_path.nodes) or ()
    project_nodes = [
        ("resource.resourcePath", node.id) for node in nodes if node.node_type == "GCP_PROJECT"
    ]
    return MessageNames(
        resources=tuple((place, name) for place, name in resources if name),
        findings=tuple((place, name) for place, name in findings if name),
        projects=(*ids, *numbers, *project_nodes),
        folders=(
            *((f"{place}.folders", _folders(here)) for place, here in present),
            ("resource.resourcePath", _path_folders(nodes)),
        ),
    )


def _ancestors(workload: Workload | None, resource: ResourceFields) -> frozenset[str]:
    """Project, folders and organisation above the workload, as far as the resource names them."""
    if workload is None:
        return frozenset()
    projects = (workload.project_id, workload.project_number)
    above = [f"projects/{name}" for name in projects if name]
    above += [f"folders/{number}" for number in workload.folders or ()]
    for level in (resource.gcp_metadata, resource):
        for text in (level.organization, level.parent) if level else ():
            number = organisation_number(text)
            above += [f"organizations/{number}"] if number else []
    return frozenset(above)


def _folders(ancestry: Ancestry) -> tuple[str, ...] | None:
    """The folders above; an empty list counts only directly below the organisation."""
    names = tuple(folder.resource_folder for folder in ancestry.folders or ())
    return names if names or is_organisation(ancestry.parent) else None


def _path_folders(nodes: tuple[PathNode, ...]) -> tuple[str, ...] | None:
    """The folders on the path; an empty list counts only if the path reaches the organisation."""
    names = tuple(node.id for node in nodes if node.node_type == "GCP_FOLDER")
    at_top = any(node.node_type == "GCP_ORGANIZATION" for node in nodes)
    return names if names or at_top else None


def _process(process: ProcessFields) -> DetectedProcess:
    return DetectedProcess(
        name=process.name,
        binary_path=process.path,
        arguments=process.args,
        arguments_truncated=process.arguments_truncated,
        sha256=process.sha256,
        partially_hashed=_is_partial_hash(process),
        pid=process.pid,
        parent_pid=process.parent_pid,
        user_id=process.user_id,
        environment_names=tuple(entry.name for entry in process.env_variables if entry.name),
        libraries=tuple(_file(library, "library") for library in process.libraries),
        script=next((_file(script, "script") for script in process.script), None),
    )


def _file(file: FileFields, role: str) -> File:
    return File(file.path, file.sha256, _is_partial_hash(file), file.contents, role)


def _is_partial_hash(file: FileFields | ProcessFields) -> bool:
    """Whether the hash covers only the beginning of the file."""
    sizes = (file.size, file.hashed_size)
    return file.partially_hashed or (None not in sizes and file.size != file.hashed_size)


def _connection(fields: FindingFields) -> Connection | None:
    """The connection that the finding names; None where it names no address."""
    if not fields.remote_ip and not fields.local_ip:
        return None
    return Connection(fields.remote_ip, fields.remote_port, fields.local_ip, fields.local_port)


def _secrets(fields: FindingFields) -> tuple[Secret, ...]:
    """Every non-empty environment value: each may be secret."""
    return tuple(
        Secret(entry.name, entry.val)
        for process in fields.processes
        for entry in process.env_variables
        if entry.val
    )


def _virustotal_url(fields: FindingFields, processes: Iterable[DetectedProcess]) -> str | None:
    """The link to VirusTotal's page of one of the named files; other links are dropped."""
    files = (
        file
        for process in processes
        for file in (process.binary, *process.libraries, process.script)
    )
    hashes = {file.sha256 for file in files if file}
    for link in fields.inner_links + fields.outer_links:
        match = _VIRUSTOTAL.fullmatch(link.url)
        if match and match[1].lower() in hashes:
            return link.url
    return None


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    """Each text once, in order."""
    return tuple(dict.fromkeys(text for text in texts if text))
