"""Who may invoke a workload by its own IAM policy, taken out and put back. Pure.

Only bindings of ``roles/run.invoker`` without a condition are meant: these are all that a
containment edits. Every other binding of a policy stays as it is, whoever changes it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator

from incident.actions.catalogue import INVOKER, Bindings
from incident.actions.fields import normal
from incident.model import Json, JsonObject

#: How the part of a policy that a containment edits is called where fields are named.
NAME = f"bindings of {INVOKER}"

_Key = tuple[str, int]


def bindings_in(fields: JsonObject) -> Bindings:
    """The bindings in the fields of an edit of a policy."""
    value = fields.get("bindings")
    listed = value if isinstance(value, list | tuple) else ()
    return tuple(binding for binding in listed if isinstance(binding, dict))


def invokers(bindings: Iterable[JsonObject]) -> Bindings:
    """The bindings that a containment may edit."""
    return tuple(binding for binding in bindings if _editable(binding))


def alike(some: Iterable[JsonObject], others: Iterable[JsonObject]) -> bool:
    """Whether two policies let the same invokers in, in whatever order they are listed."""
    return _meaning(some) == _meaning(others)


def restored(now: Bindings, kept: Bindings) -> Bindings:
    """A policy as it is now, with the invokers of an earlier one in their places.

    What others did to other bindings since stays. Where they did nothing, what comes out is the
    earlier policy, binding for binding and member for member.
    """
    others = dict(_numbered(binding for binding in now if not _editable(binding)))
    first: list[JsonObject] = []
    following: dict[_Key, list[JsonObject]] = {key: [] for key in others}
    place = first
    for key, binding in _numbered(kept):
        if _editable(binding):
            place.append(binding)
        else:
            place = following.get(key, place)
    rest = [each for key, binding in others.items() for each in (binding, *following[key])]
    return (*first, *rest)


def reunited(now: Bindings, before: Bindings, after: Bindings) -> Bindings:
    """A policy with the invokers besides its own that an earlier edit took out of it.

    Args:
        now: As it was read, after others had changed it.
        before: As it was before the earlier edit.
        after: As that edit left it.
    """
    if alike(now, after):
        return restored(now, before)
    there = {*_members(after), *_members(now)}
    missing = [member for member in dict.fromkeys(_members(before)) if member not in there]
    if not missing:
        return now
    joined: list[JsonObject] = []
    for binding in now:
        if missing and _editable(binding):
            joined.append({**binding, "members": [*_members([binding]), *missing]})
            missing = []
        else:
            joined.append(binding)
    return (*joined, *([{"role": INVOKER, "members": [*missing]}] if missing else ()))


def _editable(binding: JsonObject) -> bool:
    return binding.get("role") == INVOKER and not binding.get("condition")


def _members(bindings: Iterable[JsonObject]) -> list[str]:
    found: list[str] = []
    for binding in invokers(bindings):
        members = binding.get("members")
        found += map(str, members if isinstance(members, list | tuple) else ())
    return found


def _meaning(bindings: Iterable[JsonObject]) -> Json:
    return normal("bindings", list(invokers(bindings)))


def _numbered(bindings: Iterable[JsonObject]) -> Iterator[tuple[_Key, JsonObject]]:
    """Bindings by role and condition, and by how many of the same there were before."""
    seen: Counter[str] = Counter()
    for binding in bindings:
        same = json.dumps([binding.get("role"), binding.get("condition")], sort_keys=True)
        yield (same, seen[same]), binding
        if not _editable(binding):
            seen[same] += 1
