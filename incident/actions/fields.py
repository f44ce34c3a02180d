"""Normal form of workload fields in proto JSON, and which fields differ. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from incident.model import UNKNOWN_FIELDS, Json, Kind, WorkloadConfiguration

TRAFFIC_TO_LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
TRAFFIC_TO_REVISION = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
INGRESS_INTERNAL_ONLY = "INGRESS_TRAFFIC_INTERNAL_ONLY"
#: Whether an instance runs, as a field of ours: the API has none. It is read from the conditions,
#: and written by StopInstance and StartInstance.
RUNNING = "running"
#: What a field means when the API leaves it out: no traffic is all of it to the latest.
FIELD_DEFAULTS: Mapping[str, Json] = {
    "scaling": {},
    "traffic": [{"type": TRAFFIC_TO_LATEST, "percent": 100}],
    "ingress": "INGRESS_TRAFFIC_ALL",
    "invokerIamDisabled": False,
}


#: Minimum and maximum of automatic scaling; 0 is the API's default.
SCALING_BOUNDS: Mapping[str, Json] = {"minInstanceCount": 0, "maxInstanceCount": 0}


def to_snake_case(name: str) -> str:
    """A field's name for a field mask: ``invoker_iam_disabled`` for ``invokerIamDisabled``."""
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def field_mask(names: Iterable[str]) -> tuple[str, ...]:
    """The paths of a write; an instance is started and stopped by a call without a mask."""
    return tuple(to_snake_case(name) for name in names if name != RUNNING)


def field_with_default(fields: Mapping[str, Json], name: str) -> Json:
    """A field's value, or its default where the API leaves it out."""
    if name == RUNNING:
        return fields.get(name, True)
    value = fields.get(name) or FIELD_DEFAULTS.get(name)
    return [dict(target) for target in traffic_targets(value)] if name == "traffic" else value


def normalize_field(name: str, value: Json, kind: Kind = Kind.SERVICE) -> Json:
    """A field's value in normal form: equal meanings are equal."""
    if name == "scaling" and kind is Kind.WORKER_POOL:
        if isinstance(value, Mapping) and UNKNOWN_FIELDS not in value:
            value = value.get("manualInstanceCount", 0)
        return value
    if name == "bindings":
        return _normalize_bindings(value)
    if name in ("ingress", "invokerIamDisabled"):
        return value or FIELD_DEFAULTS[name]
    if name == "scaling" and isinstance(value, Mapping):
        return _normalize_scaling(value)
    if name == "traffic":
        shares: dict[tuple[str, ...], int] = {}
        for target in traffic_targets(value or FIELD_DEFAULTS["traffic"]):
            names = ("revision", "tag", UNKNOWN_FIELDS)
            key = (str(target["type"]), *(str(target.get(name, "")) for name in names))
            shares[key] = shares.get(key, 0) + int(str(target.get("percent", 0)))
        return [[*key, percent] for key, percent in sorted(shares.items()) if percent or key[2]]
    return value


def field_to_restore(name: str, value: Json, kind: Kind) -> Json:
    """A field as a release writes it: of a service's scaling, exactly the keys of its mode.

    In automatic mode the bounds are written out: omitted ones would inherit the manual count, as
    an earlier text of Cloud Run's documentation says. In manual mode Cloud Run refuses bounds.
    """
    if name != "scaling" or kind is not Kind.SERVICE or not isinstance(value, Mapping):
        return value
    if value.get("scalingMode") == "MANUAL":
        return {key: count for key, count in value.items() if key not in SCALING_BOUNDS}
    remaining = {key: count for key, count in value.items() if key != "manualInstanceCount"}
    return {"scalingMode": "AUTOMATIC", **SCALING_BOUNDS, **remaining}


def traffic_targets(traffic: Json) -> list[dict[str, Json]]:
    """Traffic targets, each with its type."""
    return [
        {"type": TRAFFIC_TO_REVISION if target.get("revision") else TRAFFIC_TO_LATEST, **target}
        for target in (traffic if isinstance(traffic, list) else ())
        if isinstance(target, Mapping)
    ]


def _normalize_bindings(value: Json) -> list[Json]:
    """Bindings of an IAM policy; their order and that of their members do not matter."""
    members: dict[str, set[str]] = {}
    for binding in value if isinstance(value, list | tuple) else ():
        if isinstance(binding, Mapping):
            parts = [binding.get("role"), binding.get("condition"), binding.get(UNKNOWN_FIELDS)]
            key = json.dumps(parts, sort_keys=True)
            listed = binding.get("members")
            found = (
                {str(member) for member in listed} if isinstance(listed, list | tuple) else set()
            )
            members.setdefault(key, set()).update(found)
    return [[key, *sorted(found)] for key, found in sorted(members.items()) if found]


def _normalize_scaling(value: Mapping[str, Json]) -> dict[str, Json]:
    """Scaling: in manual mode only the count matters, in automatic mode only the bounds.

    The API reports a manual count of 0 while scaling is automatic, and may report bounds
    while it is manual.
    """
    unknown = {key: data for key, data in value.items() if key == UNKNOWN_FIELDS}
    if value.get("scalingMode") == "MANUAL":
        return {
            "scalingMode": "MANUAL",
            "manualInstanceCount": value.get("manualInstanceCount") or 0,
            **unknown,
        }
    without = ("scalingMode", "manualInstanceCount")
    bounds = {key: count for key, count in value.items() if count and key not in without}
    return {"scalingMode": "AUTOMATIC", **bounds}


#: Never written by a containment, except for its own annotation.
_NEVER_WRITTEN = ("uid", "labels", "annotations", "template")


def changed_fields(before: WorkloadConfiguration, after: WorkloadConfiguration) -> tuple[str, ...]:
    """The fields that differ: those that a containment writes, and those that it never writes."""
    names = sorted({*before.fields, *after.fields} - {"annotations"})
    changed = [
        name
        for name in names
        if not _same_value(name, before.fields.get(name), after.fields.get(name), before.kind)
    ]
    changed += [name for name in _NEVER_WRITTEN if getattr(before, name) != getattr(after, name)]
    raw = [
        configuration.access.raw if configuration.access else ()
        for configuration in (before, after)
    ]
    if normalize_field("bindings", raw[0]) != normalize_field("bindings", raw[1]):
        changed.append("bindings")
    return tuple(changed)


def _same_value(name: str, one: Json, other: Json, kind: Kind) -> bool:
    """Whether two values of a field mean the same; traffic is compared target by target."""
    if name == "traffic":
        return traffic_targets(one) == traffic_targets(other)
    return normalize_field(name, one, kind) == normalize_field(name, other, kind)
