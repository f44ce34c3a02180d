"""Findings as Security Command Center's own list shows them: the confirmed one and others."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from typing import Any

from google.cloud import securitycenter_v2
from google.protobuf import json_format

from emulator.api import proto_json
from emulator.api.resource_names import Project
from emulator.world.surroundings.notification_fields import Claim, JsonObject, Workload, get, text

_NAME = re.compile(
    r"(?P<owner>(?:organizations|folders|projects)/[^/]+)/sources/(?P<source>[^/]+)"
    r"(?:/locations/(?P<location>[^/]+))?/findings/(?P<finding>[^/]+)"
)
_RESOURCE_MANAGER = "//cloudresourcemanager.googleapis.com"
RELATED = "Execution: Added Malicious Binary Executed"


def stamp(moment: dt.datetime) -> str:
    """A time as proto JSON spells it."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def findings(claim: Claim) -> list[JsonObject]:
    """The record of the claimed finding, and two more where the workload is known.

    One lies a few minutes earlier on the same workload. The other is on a service whose name
    only begins like it: whoever counts it as related has matched too loosely.
    """
    if not text(claim.finding, "name"):
        return []
    own = _record(claim)
    if claim.workload is None:
        return [own]
    neighbour = f"{claim.workload.full_name}-admin"
    related = _another(own, claim, claim.workload.full_name, dt.timedelta(minutes=-4))
    other = _another(own, claim, neighbour, dt.timedelta(minutes=-6))
    return [own, related, other]


def _record(claim: Claim) -> JsonObject:
    """What SCC says where the notification told the truth: the same, in the form of API v2."""
    finding = _readable(securitycenter_v2.Finding, claim.finding)
    name = _located(text(claim.finding, "name"))
    canonical = _located(text(claim.finding, "canonicalName")) or _canonical(name, claim.project)
    marks = get(claim.finding, "securityMarks")
    finding |= {
        "name": name,
        "canonicalName": canonical,
        "parent": name.rpartition("/findings/")[0],
        "resourceName": claim.resource_name,
        "securityMarks": _readable(securitycenter_v2.SecurityMarks, marks)
        | {"name": f"{name}/securityMarks", "canonicalName": f"{canonical}/securityMarks"},
    }
    return {"finding": finding, "resource": _resource(claim)}


def _another(own: JsonObject, claim: Claim, workload: str, later: dt.timedelta) -> JsonObject:
    """A finding of the same detector on a workload, at another time."""
    resource_name = f"//run.googleapis.com/{workload}"
    digest = hashlib.sha256(f"{own['finding']['name']} {workload}".encode()).hexdigest()[:32]
    moment = claim.event_time + later
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
        "category": RELATED,
        "eventTime": stamp(moment),
        "createTime": stamp(moment + dt.timedelta(seconds=2)),
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


def _resource(claim: Claim) -> JsonObject:
    kind = securitycenter_v2.ListFindingsResponse.ListFindingsResult.Resource
    resource = _readable(kind, claim.resource) | {
        "name": claim.resource_name,
        "cloudProvider": "GOOGLE_CLOUD_PLATFORM",
    }
    if claim.project is not None:
        resource["gcpMetadata"] = _metadata(claim, claim.project) | resource.get("gcpMetadata", {})
    return _placed(claim.workload) | resource


def _placed(workload: Workload | None) -> JsonObject:
    if workload is None:
        return {}
    return {
        "displayName": workload.name,
        "service": "run.googleapis.com",
        "location": workload.location,
    }


def _metadata(claim: Claim, project: Project) -> JsonObject:
    folders = [{"resourceFolder": f"{_RESOURCE_MANAGER}/folders/{f}"} for f in project.folders]
    organization = re.match(r"organizations/[0-9]+", text(claim.finding, "name"))
    above = organization[0] if organization else ""
    parent = folders[0]["resourceFolder"] if folders else f"{_RESOURCE_MANAGER}/{above}"
    return {
        "project": f"{_RESOURCE_MANAGER}/projects/{project.number}",
        "projectDisplayName": project.project_id,
        **({"parent": parent} if folders or above else {}),
        **({"folders": folders} if folders else {}),
        **({"organization": above} if above else {}),
    }


def _located(name: str) -> str:
    """A finding's name with its location, as API v2 spells it; other texts stay as they are."""
    match = _NAME.fullmatch(name)
    if match is None:
        return name
    location = match["location"] or "global"
    owner, source, finding = match["owner"], match["source"], match["finding"]
    return f"{owner}/sources/{source}/locations/{location}/findings/{finding}"


def _canonical(name: str, project: Project | None) -> str:
    match = _NAME.fullmatch(name)
    if match is None or project is None:
        return name
    return f"projects/{project.number}{name.removeprefix(match['owner'])}"


def _readable(kind: type[Any], data: object) -> JsonObject:
    """The fields of an object that the API knows and can read; the others are left out."""
    kept: JsonObject = {}
    for key, value in data.items() if isinstance(data, dict) else ():
        try:
            kept |= proto_json.to_json(proto_json.from_json(kind, {key: value}, lenient=True))
        except (json_format.ParseError, ValueError, TypeError, RecursionError):
            continue
    return kept
