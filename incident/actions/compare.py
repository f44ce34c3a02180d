"""Whether a workload is as it was: settings read at two moments, compared field by field. Pure."""

from __future__ import annotations

from incident.actions.fields import normal, targets
from incident.model import Json, Kind, Settings

#: What a containment never touches, but for the annotations, where it leaves a word of its own.
_REST = ("uid", "labels", "annotations", "template")


def differences(before: Settings, after: Settings) -> tuple[str, ...]:
    """What is not as it was: every field that we may touch, and the template, which we never do."""
    names = sorted({*before.fields, *after.fields} - {"annotations"})
    changed = [
        name
        for name in names
        if not _same(name, before.fields.get(name), after.fields.get(name), before.kind)
    ]
    changed += [name for name in _REST if getattr(before, name) != getattr(after, name)]
    raw = [settings.access.raw if settings.access else () for settings in (before, after)]
    if normal("bindings", raw[0]) != normal("bindings", raw[1]):
        changed.append("bindings")
    return tuple(changed)


def _same(name: str, one: Json, other: Json, kind: Kind) -> bool:
    """Whether two values of a field mean the same; of traffic, target for target."""
    if name == "traffic":
        return targets(one) == targets(other)
    return normal(name, one, kind) == normal(name, other, kind)
