"""What of a snapshot a release cannot restore: what does not exist any more, what Google refuses.

A revision or a member may have been deleted since the snapshot was taken. Google then refuses the
whole write that names it. Everything else is restored, and the record names what is not. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from incident.actions.action import Bindings
from incident.actions.disable_service_account import account_of
from incident.actions.fields import TRAFFIC_TO_LATEST, traffic_targets
from incident.actions.require_authentication import bindings_in, caller_bindings
from incident.model import Change, ChangeKind, Denied, GiveUp, Json, JsonObject, Kind
from incident.model.calling_roles import PUBLIC_MEMBERS

#: How an IAM policy spells a member that was deleted: ``deleted:user:EMAIL?uid=DIGITS``.
_DELETED_MEMBER = re.compile(r"deleted:(?P<member>[^?]+)(\?uid=.*)?")
#: How Google refuses public members by an organization policy, without naming them:
#: "One or more users named in the policy do not belong to a permitted customer".
_NO_PUBLIC_MEMBERS = re.compile(r"permitted customer|allowedPolicyMember", re.IGNORECASE)


class PartKind(StrEnum):
    """What of a workload a part of a snapshot is."""

    REVISION = "revision"
    MEMBER = "member"
    ROLE = "role"
    FIELD = "field"
    IAM_POLICY = "IAM policy"
    SERVICE_ACCOUNT = "service account"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class NotRestored:
    """A part of a snapshot that a release leaves out.

    Attributes:
        kind: What it is.
        name: A revision's short name, a member, a role, or a field.
        reason: Why it is not restored, as a sentence without its end.
    """

    kind: PartKind
    name: str
    reason: str


def names_of(parts: Iterable[NotRestored], kind: PartKind) -> frozenset[str]:
    """The names of the parts of one kind."""
    return frozenset(part.name for part in parts if part.kind is kind)


def merged_parts(*lists: Iterable[NotRestored]) -> tuple[NotRestored, ...]:
    """Parts of several lists; of those with one name, the first."""
    found: dict[tuple[PartKind, str], NotRestored] = {}
    for parts in lists:
        for part in parts:
            found.setdefault((part.kind, part.name), part)
    return tuple(found.values())


def missing_revision(name: str, wanted: Json, now: Json, gone: Collection[str]) -> NotRestored:
    """A revision that does not exist any more, and what becomes of its tags and its share."""
    own = [target for target in traffic_targets(wanted) if target.get("revision") == name]
    tags = [str(target["tag"]) for target in own if target.get("tag")]
    percent = sum(_percent(target) for target in own)
    lost = [f"its tag {tag}" for tag in tags]
    lost += [f"its {percent} % of the traffic"] if percent else []
    verb = "are" if len(lost) > 1 else "is"
    reason = (
        f"the revision {name} does not exist any more: {' and '.join(lost)} {verb} not restored"
    )
    if percent:
        receiver = _receiver(wanted, now, gone).get("revision") or "the latest ready revision"
        reason += f", the traffic goes to {receiver}"
    return NotRestored(PartKind.REVISION, name, reason)


def traffic_without(wanted: Json, now: Json, gone: Collection[str]) -> Json:
    """Traffic targets without those of revisions that do not exist any more.

    The shares must sum to 100: that of a missing revision goes to the one that had most of the
    rest; if none had, to the one that has most of the traffic now; else to the latest ready one.

    Args:
        wanted: The targets before the containment.
        now: The current targets.
        gone: Short names of the missing revisions.
    """
    targets = traffic_targets(wanted)
    kept = [target for target in targets if target.get("revision") not in gone]
    if len(kept) == len(targets):
        return wanted
    left = sum(map(_percent, targets)) - sum(map(_percent, kept))
    if not left:
        return kept
    receiver = _receiver(wanted, now, gone)
    for index, target in enumerate(kept):
        if _percent(target) and _goes_to(target) == _goes_to(receiver):
            kept[index] = {**target, "percent": _percent(target) + left}
            return kept
    return [*kept, {**receiver, "percent": left}]


def _receiver(wanted: Json, now: Json, gone: Collection[str]) -> dict[str, Json]:
    """Where the share of missing revisions goes, without share and tag."""
    for targets in (traffic_targets(wanted), traffic_targets(now)):
        serving = [t for t in targets if _percent(t) and t.get("revision") not in gone]
        if serving:
            most = max(serving, key=_percent)
            return {key: most[key] for key in ("type", "revision") if most.get(key)}
    return {"type": TRAFFIC_TO_LATEST}


def _goes_to(target: JsonObject) -> tuple[Json, Json]:
    return target.get("type"), target.get("revision") or ""


def _percent(target: JsonObject) -> int:
    return int(str(target.get("percent") or 0))


def bindings_now(wanted: Bindings, now: Bindings, kind: Kind) -> Bindings:
    """Bindings with deleted members spelled as the current policy spells them.

    Google spells a deleted member anew in the policy. That is nobody's change, and such a member
    stays as it is.
    """
    spellings = {
        (binding.get("role"), member_id): member
        for binding in caller_bindings(now, kind)
        for member in _members(binding)
        if (member_id := _deleted_id(member))
    }
    if not spellings:
        return wanted
    editable = caller_bindings(wanted, kind)
    return tuple(
        {
            **binding,
            "members": [spellings.get((binding.get("role"), m), m) for m in _members(binding)],
        }
        if binding in editable
        else binding
        for binding in wanted
    )


def deleted_members(wanted: Bindings, now: Bindings, kind: Kind) -> tuple[NotRestored, ...]:
    """The callers to be restored of whom the current policy shows that they were deleted."""
    members = {member for binding in now for member in _members(binding)}
    deleted = {found for member in members if (found := _deleted_id(member))} - members
    return tuple(
        NotRestored(PartKind.MEMBER, member, f"{member} does not exist any more")
        for member in dict.fromkeys(
            m for binding in caller_bindings(wanted, kind) for m in _members(binding)
        )
        if member in deleted
    )


def bindings_without(bindings: Bindings, parts: Collection[NotRestored], kind: Kind) -> Bindings:
    """Bindings without the members and the roles that cannot be restored."""
    members, roles = names_of(parts, PartKind.MEMBER), names_of(parts, PartKind.ROLE)
    editable = caller_bindings(bindings, kind)
    kept: list[JsonObject] = []
    for binding in bindings:
        if binding not in editable:
            kept.append(binding)
        elif binding.get("role") not in roles:
            remaining: list[Json] = [m for m in _members(binding) if m not in members]
            kept += [{**binding, "members": remaining}] if remaining else []
    return tuple(kept)


def refused_parts(change: Change, error: GiveUp, kind: Kind) -> tuple[NotRestored, ...]:
    """The parts of a write that Google's refusal names; empty if it names none of them.

    Args:
        change: The write that was refused.
        error: The refusal.
        kind: The kind of workload.
    """
    # Before Google's own words stands the workload's name.
    words = str(error).rpartition(f"{change.target}: ")[2]
    if isinstance(error, Denied):
        return ()
    if change.kind is ChangeKind.FIELDS:
        names = [str(t.get("revision") or "") for t in traffic_targets(change.after.get("traffic"))]
        gone = {name for name in names if name and _is_named(name, words)}
        targets = change.after.get("traffic"), change.before.get("traffic")
        return tuple(missing_revision(name, *targets, gone) for name in sorted(gone))
    return _refused_callers(change, words, kind)


def _refused_callers(change: Change, words: str, kind: Kind) -> tuple[NotRestored, ...]:
    editable = caller_bindings(bindings_in(change.after), kind)
    members = dict.fromkeys(m for binding in editable for m in _members(binding))
    refused = [m for m in members if _is_named(m, words) or _is_named(_identifier(m), words)]
    if not refused and _NO_PUBLIC_MEMBERS.search(words):
        refused = [member for member in members if member in PUBLIC_MEMBERS]
    if refused:
        return tuple(NotRestored(PartKind.MEMBER, m, f"{m}: {words}") for m in refused)
    roles = dict.fromkeys(str(binding.get("role")) for binding in editable)
    return tuple(
        NotRestored(PartKind.ROLE, role, f"{role}: {words}")
        for role in roles
        if _is_named(role, words)
    )


def fields_apart(change: Change) -> tuple[Change, ...]:
    """A write of several fields as one write for each, what starts the workload first."""
    names = sorted(change.after, key=lambda name: name != "scaling")
    masks = dict(zip(change.after, change.mask, strict=True))
    return tuple(
        replace(
            change,
            mask=(masks[name],),
            before={name: change.before[name]},
            after={name: change.after[name]},
        )
        for name in names
    )


def refused_whole(change: Change, error: GiveUp) -> NotRestored:
    """A field, or the edit of the IAM policy, that Google refuses for another reason."""
    words = str(error).rpartition(f"{change.target}: ")[2]
    if change.kind is ChangeKind.SERVICE_ACCOUNT:
        email = account_of(change)
        return NotRestored(PartKind.SERVICE_ACCOUNT, email, f"the service account {email}: {words}")
    if change.kind is ChangeKind.IAM_POLICY:
        return NotRestored(PartKind.IAM_POLICY, change.target, f"the IAM policy: {words}")
    (name,) = change.after
    return NotRestored(PartKind.FIELD, name, f"{name}: {words}")


def _members(binding: JsonObject) -> list[str]:
    members = binding.get("members")
    return [str(each) for each in members] if isinstance(members, list | tuple) else []


def _deleted_id(member: str) -> str:
    """The member that a deleted one was; empty for any other."""
    match = _DELETED_MEMBER.fullmatch(member)
    return match["member"] if match else ""


def _identifier(member: str) -> str:
    """A member without its type: ``EMAIL`` of ``user:EMAIL``."""
    return (_deleted_id(member) or member).partition(":")[2]


def _is_named(name: str, words: str) -> bool:
    """Whether a text has a name as a word of its own."""
    return bool(name) and bool(re.search(rf"(?<![-\w.@]){re.escape(name)}(?![-\w@]|\.\w)", words))
