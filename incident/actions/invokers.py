"""Who may invoke a workload by its own IAM policy, taken out and put back. Pure.

Only bindings of ``roles/run.invoker`` without a condition are meant: these are all that a
containment edits. Every other binding of a policy stays as it is, whoever changes it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator

from incident.actions.catalogue import INVOKER_ROLE, Bindings
from incident.actions.fields import normalize_field
from incident.model import Json, JsonObject

#: How the part of a policy that a containment edits is called where fields are named.
INVOKER_BINDINGS_LABEL = f"bindings of {INVOKER_ROLE}"

_BindingKey = tuple[str, int]


def bindings_in(fields: JsonObject) -> Bindings:
    """The bindings in the fields of an edit of a policy."""
    value = fields.get("bindings")
    listed = value if isinstance(value, list | tuple) else ()
    return tuple(binding for binding in listed if isinstance(binding, dict))


def invoker_bindings(bindings: Iterable[JsonObject]) -> Bindings:
    """The bindings that a containment may edit."""
    return tuple(binding for binding in bindings if _editable(binding))


def same_invokers(some: Iterable[JsonObject], others: Iterable[JsonObject]) -> bool:
    """Whether two policies let the same invokers in, in whatever order they are listed."""
    return _normalized(some) == _normalized(others)


def restore_invokers(current: Bindings, earlier: Bindings) -> Bindings:
    """A policy as it is now, with the invokers of an earlier one in their places.

    What others did to other bindings since stays. Where they did nothing, what comes out is the
    earlier policy, binding for binding and member for member.
    """
    others = dict(_keyed(binding for binding in current if not _editable(binding)))
    first: list[JsonObject] = []
    following: dict[_BindingKey, list[JsonObject]] = {key: [] for key in others}
    group = first
    for key, binding in _keyed(earlier):
        if _editable(binding):
            group.append(binding)
        else:
            group = following.get(key, group)
    rest = [each for key, binding in others.items() for each in (binding, *following[key])]
    return (*first, *rest)


def add_missing_invokers(current: Bindings, before: Bindings, after: Bindings) -> Bindings:
    """A policy with the invokers besides its own that an earlier edit took out of it.

    Args:
        current: As it was read, after others had changed it.
        before: As it was before the earlier edit.
        after: As that edit left it.
    """
    if same_invokers(current, after):
        return restore_invokers(current, before)
    present = {*_members(after), *_members(current)}
    missing = [member for member in dict.fromkeys(_members(before)) if member not in present]
    if not missing:
        return current
    joined: list[JsonObject] = []
    for binding in current:
        if missing and _editable(binding):
            joined.append({**binding, "members": [*_members([binding]), *missing]})
            missing = []
        else:
            joined.append(binding)
    return (*joined, *([{"role": INVOKER_ROLE, "members": [*missing]}] if missing else ()))


def _editable(binding: JsonObject) -> bool:
    return binding.get("role") == INVOKER_ROLE and not binding.get("condition")


def _members(bindings: Iterable[JsonObject]) -> list[str]:
    found: list[str] = []
    for binding in invoker_bindings(bindings):
        members = binding.get("members")
        found += map(str, members if isinstance(members, list | tuple) else ())
    return found


def _normalized(bindings: Iterable[JsonObject]) -> Json:
    return normalize_field("bindings", list(invoker_bindings(bindings)))


def _keyed(bindings: Iterable[JsonObject]) -> Iterator[tuple[_BindingKey, JsonObject]]:
    """Bindings by role and condition, and by how many of the same there were before."""
    counts: Counter[str] = Counter()
    for binding in bindings:
        same = json.dumps([binding.get("role"), binding.get("condition")], sort_keys=True)
        yield (same, counts[same]), binding
        if not _editable(binding):
            counts[same] += 1
