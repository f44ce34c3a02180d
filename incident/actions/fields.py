"""Fields of a workload in proto JSON, such that equal meanings are equal. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from incident.model import Json, Kind

LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
REVISION = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
INTERNAL_ONLY = "INGRESS_TRAFFIC_INTERNAL_ONLY"
#: What a field means when the API leaves it out: no traffic is all of it to the latest.
DEFAULTS: Mapping[str, Json] = {
    "scaling": {},
    "traffic": [{"type": LATEST, "percent": 100}],
    "ingress": "INGRESS_TRAFFIC_ALL",
    "invokerIamDisabled": False,
}


#: How many instances automatic scaling keeps at least and at most; 0 for what the API decides.
BOUNDS: Mapping[str, Json] = {"minInstanceCount": 0, "maxInstanceCount": 0}


def in_snake_case(name: str) -> str:
    """A field's name as a mask wants it: ``invoker_iam_disabled`` for ``invokerIamDisabled``."""
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def in_full(fields: Mapping[str, Json], name: str) -> Json:
    """A field in full: what the API leaves out is spelled out."""
    value = fields.get(name) or DEFAULTS.get(name)
    return [dict(target) for target in targets(value)] if name == "traffic" else value


def normal(name: str, value: Json, kind: Kind = Kind.SERVICE) -> Json:
    """A field's value in one of all the ways to write it."""
    if name == "scaling" and kind is Kind.WORKER_POOL:
        return value.get("manualInstanceCount", 0) if isinstance(value, Mapping) else value
    if name == "bindings":
        return _bindings(value)
    if name in ("ingress", "invokerIamDisabled"):
        return value or DEFAULTS[name]
    if name == "scaling" and isinstance(value, Mapping):
        return _scaling(value)
    if name == "traffic":
        shares: dict[tuple[str, str, str], int] = {}
        for target in targets(value or DEFAULTS["traffic"]):
            key = (str(target["type"]), str(target.get("revision", "")), str(target.get("tag", "")))
            shares[key] = shares.get(key, 0) + int(str(target.get("percent", 0)))
        return [[*key, percent] for key, percent in sorted(shares.items()) if percent or key[2]]
    return value


def as_sent(name: str, value: Json, kind: Kind) -> Json:
    """A field as it is restored: of a service's scaling, only and all that its mode has.

    In automatic mode the bounds are spelled out. Left out, they would inherit the manual count,
    as an earlier text of Cloud Run's documentation says. In manual mode bounds are refused.
    """
    if name != "scaling" or kind is not Kind.SERVICE or not isinstance(value, Mapping):
        return value
    if value.get("scalingMode") == "MANUAL":
        return {key: count for key, count in value.items() if key not in BOUNDS}
    kept = {key: count for key, count in value.items() if key != "manualInstanceCount"}
    return {"scalingMode": "AUTOMATIC", **BOUNDS, **kept}


def targets(traffic: Json) -> list[dict[str, Json]]:
    """Traffic targets with their type spelled out."""
    return [
        {"type": REVISION if target.get("revision") else LATEST, **target}
        for target in (traffic if isinstance(traffic, list) else ())
        if isinstance(target, Mapping)
    ]


def _bindings(value: Json) -> list[Json]:
    """Bindings of an IAM policy: neither their order nor that of their members matters."""
    members: dict[str, set[str]] = {}
    for binding in value if isinstance(value, list | tuple) else ():
        if isinstance(binding, Mapping):
            key = json.dumps([binding.get("role"), binding.get("condition")], sort_keys=True)
            said = binding.get("members")
            found = {str(member) for member in said} if isinstance(said, list | tuple) else set()
            members.setdefault(key, set()).update(found)
    return [[key, *sorted(found)] for key, found in sorted(members.items()) if found]


def _scaling(value: Mapping[str, Json]) -> dict[str, Json]:
    """In manual mode only the count has a meaning, in automatic mode only the bounds.

    The API reports a manual count of 0 while scaling is automatic, and may report bounds
    while it is manual.
    """
    if value.get("scalingMode") == "MANUAL":
        return {
            "scalingMode": "MANUAL",
            "manualInstanceCount": value.get("manualInstanceCount") or 0,
        }
    without = ("scalingMode", "manualInstanceCount")
    bounds = {key: count for key, count in value.items() if count and key not in without}
    return {"scalingMode": "AUTOMATIC", **bounds}
