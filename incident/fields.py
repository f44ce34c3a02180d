"""Fields of a workload in proto JSON, such that equal meanings are equal. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from incident.model import Json

LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
REVISION = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
#: What a field means when the API leaves it out: no traffic is all of it to the latest.
DEFAULTS: Mapping[str, Json] = {"scaling": {}, "traffic": [{"type": LATEST, "percent": 100}]}


def normal(name: str, value: Json) -> Json:
    """A field's value in one of all the ways to write it."""
    if name == "scaling" and isinstance(value, Mapping):
        return _scaling(value)
    if name == "traffic":
        shares: dict[tuple[str, str, str], int] = {}
        for target in targets(value):
            key = (str(target["type"]), str(target.get("revision", "")), str(target.get("tag", "")))
            shares[key] = shares.get(key, 0) + int(str(target.get("percent", 0)))
        return [[*key, percent] for key, percent in sorted(shares.items()) if percent or key[2]]
    return value


def targets(traffic: Json) -> list[dict[str, Json]]:
    """Traffic targets with their type spelled out."""
    return [
        {"type": REVISION if target.get("revision") else LATEST, **target}
        for target in (traffic if isinstance(traffic, list) else ())
        if isinstance(target, Mapping)
    ]


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
