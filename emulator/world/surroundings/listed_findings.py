"""Findings as Security Command Center lists them: the confirmed one and related ones."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from typing import Any

from google.cloud import securitycenter_v2
from google.protobuf import json_format

from emulator.api import proto_json
from emulator.api.resource_names import ProjectEntry
from emulator.world.surroundings.notification_fields import (
    AffectedWorkload,
    JsonObject,
    NotificationFields,
    get_text,
    get_value,
)

_NAME = re.compile(
    r"(?P<owner>(?:organizations|folders|projects)/[^/]+)/sources/(?P<source>[^/]+)"
    r"(?:/locations/(?P<location>[^/]+))?/findings/(?P<finding>[^/]+)"
)
_RESOURCE_MANAGER = "//cloudresourcemanager.googleapis.com"
RELATED_CATEGORY = "Execution: Added Malicious Binary Executed"


def json_time(moment: dt.datetime) -> str:
    """A time as proto JSON spells it."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def listed_findings(fields: NotificationFields, *, with_related: bool = True) -> list[JsonObject]:
    """The record of the claimed finding, and two related ones where the workload is known.

    Of these, one lies a few minutes earlier on the same workload. The other is on a service whose
    name only has the same prefix, to catch a match that is too loose.
    """
    if not get_text(fields.finding, "name"):
        return []
    own = _confirmed_finding(fields)
    if fields.workload is None or not with_related:
        return [own]
    neighbour = f"{fields.workload.full_name}-admin"
    related = _other_finding(own, fields, fields.workload.full_name, dt.timedelta(minutes=-4))
    other = _other_finding(own, fields, neighbour, dt.timedelta(minutes=-6))
    return [own, related, other]


def _confirmed_finding(fields: NotificationFields) -> JsonObject:
    """The same finding as SCC lists it, in the form of API v2."""
    finding = _readable_fields(securitycenter_v2.Finding, fields.finding)
    name = _with_location(get_text(fields.finding, "name"))
    canonical = _with_location(get_text(fields.finding, "canonicalName")) or _canonical_name(
        name, fields.project
    )
    marks = get_value(fields.finding, "securityMarks")
    finding |= {
        "name": name,
        "canonicalName": canonical,
        "parent": name.rpartition("/findings/")[0],
        "resourceName": fields.resource_name,
        "securityMarks": _readable_fields(securitycenter_v2.SecurityMarks, marks)
        | {"name": f"{name}/securityMarks", "canonicalName": f"{canonical}/securityMarks"},
    }
    return {"finding": finding, "resource": _resource(fields)}


def _other_finding(
    own: JsonObject, fields: NotificationFields, workload: str, later: dt.timedelta
) -> JsonObject:
    """A finding of the same detector on a workload, at another time."""
    resource_name = f"//run.googleapis.com/{workload}"
    digest = hashlib.sha256(f"{own['finding']['name']} {workload}".encode()).hexdigest()[:32]
    moment = fields.event_time + later
    path = f"/usr/share/example/{digest[:6]}"
    named = {
        key: f"{own['finding'][key].rpartition('/findings/')[0]}/findings/{digest}"
        for key in ("name", "canonicalName")
    }
    same = ("parent", "parentDisplayName", "findingClass", "containers")
    finding = {key: own["finding"][key] for key in same if key in own["finding"]} | {
        **named,
        "resourceName": resource_name,
        "state": "ACTIVE",
        "category": RELATED_CATEGORY,
        "eventTime": json_time(moment),
        "createTime": json_time(moment + dt.timedelta(seconds=2)),
        "severity": "CRITICAL",
        "mute": "UNDEFINED",
        "moduleName": "CLOUD_RUN_ADDED_MALICIOUS_BINARY_EXECUTED",
        "processes": [{"name": digest[:6], "binary": {"path": path}, "args": [path]}],
    }
    display = workload.rpartition("/")[2]
    return {
        "finding": finding,
        "resource": own["resource"] | {"name": resource_name, "displayName": display},
    }


def _resource(fields: NotificationFields) -> JsonObject:
    kind = securitycenter_v2.ListFindingsResponse.ListFindingsResult.Resource
    resource = _readable_fields(kind, fields.resource) | {
        "name": fields.resource_name,
        "cloudProvider": "GOOGLE_CLOUD_PLATFORM",
    }
    # One oneof with gcpMetadata. Messages may carry them empty beside it, a record cannot.
    for other in ("awsMetadata", "azureMetadata"):
        resource.pop(other, None)
    if fields.project is not None:
        resource["gcpMetadata"] = _metadata(fields, fields.project) | resource.get(
            "gcpMetadata", {}
        )
    return _workload_location(fields.workload) | resource


def _workload_location(workload: AffectedWorkload | None) -> JsonObject:
    if workload is None:
        return {}
    return {
        "displayName": workload.name,
        "service": "run.googleapis.com",
        "location": workload.location,
    }


def _metadata(fields: NotificationFields, project: ProjectEntry) -> JsonObject:
    folders = [{"resourceFolder": f"{_RESOURCE_MANAGER}/folders/{f}"} for f in project.folders]
    organization = re.match(r"organizations/[0-9]+", get_text(fields.finding, "name"))
    above = organization[0] if organization else ""
    parent = folders[0]["resourceFolder"] if folders else f"{_RESOURCE_MANAGER}/{above}"
    return {
        "project": f"{_RESOURCE_MANAGER}/projects/{project.number}",
        "projectDisplayName": project.project_id,
        **({"parent": parent} if folders or above else {}),
        **({"folders": folders} if folders else {}),
        **({"organization": above} if above else {}),
    }


def _with_location(name: str) -> str:
    """A finding's name with its location, as API v2 spells it; other texts stay as they are."""
    match = _NAME.fullmatch(name)
    if match is None:
        return name
    location = match["location"] or "global"
    owner, source, finding = match["owner"], match["source"], match["finding"]
    return f"{owner}/sources/{source}/locations/{location}/findings/{finding}"


def _canonical_name(name: str, project: ProjectEntry | None) -> str:
    match = _NAME.fullmatch(name)
    if match is None or project is None:
        return name
    return f"projects/{project.number}{name.removeprefix(match['owner'])}"


def _readable_fields(kind: type[Any], data: object) -> JsonObject:
    """The fields of an object that the API knows and can read; the others are left out."""
    kept: JsonObject = {}
    for key, value in data.items() if isinstance(data, dict) else ():
        try:
            kept |= proto_json.to_json(proto_json.from_json(kind, {key: value}, lenient=True))
        except (json_format.ParseError, ValueError, TypeError, RecursionError):
            continue
    return kept
