"""Whether a workload is as it was: settings read at two moments, compared field by field. Pure."""

from __future__ import annotations

from incident.actions.fields import normalize_field, traffic_targets
from incident.model import Json, Kind, WorkloadConfiguration

#: What a containment never touches, but for the annotations, where it leaves a word of its own.
_NEVER_WRITTEN = ("uid", "labels", "annotations", "template")


def changed_fields(before: WorkloadConfiguration, after: WorkloadConfiguration) -> tuple[str, ...]:
    """What is not as it was: every field that we may touch, and the template, which we never do."""
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
    """Whether two values of a field mean the same; of traffic, target for target."""
    if name == "traffic":
        return traffic_targets(one) == traffic_targets(other)
    return normalize_field(name, one, kind) == normalize_field(name, other, kind)
