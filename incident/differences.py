"""Whether a workload is as it was: settings read at two moments, compared field by field. Pure."""

from __future__ import annotations

from incident.fields import normal, targets
from incident.model import Settings


def differences(before: Settings, after: Settings) -> tuple[str, ...]:
    """What is not as it was: every field that we may touch, and the template, which we never do."""
    found: list[str] = []
    for name in sorted({*before.fields, *after.fields} - {"annotations"}):
        values = [settings.fields.get(name) for settings in (before, after)]
        if name == "traffic":
            same = targets(values[0]) == targets(values[1])
        else:
            same = normal(name, values[0], before.kind) == normal(name, values[1], before.kind)
        if not same:
            found.append(name)
    rest = ("uid", "labels", "annotations", "template")
    found += [name for name in rest if getattr(before, name) != getattr(after, name)]
    raw = [settings.access.raw if settings.access else () for settings in (before, after)]
    if normal("bindings", raw[0]) != normal("bindings", raw[1]):
        found.append("bindings")
    return tuple(found)
