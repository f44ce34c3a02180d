"""Who undid a containment, and when, as far as anything tells. Pure.

The audit log is Google's and says who; the workload's own word on its last modifier is what
is left where the log does not answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from incident.model import AuditEvent, ChangeKind, Json, JsonObject, Settings

#: Beginnings of the methods, whatever the API's version, that can undo each kind of change.
_METHODS = {
    ChangeKind.FIELDS: ("Update", "Replace", "Create"),
    ChangeKind.IAM_POLICY: ("SetIamPolicy",),
    ChangeKind.CANCELLATION: ("RunJob", "Run", "Create"),
}
_DELETION = ("Delete",)
AUDIT_LOG = "audit-log"


@dataclass(frozen=True, slots=True)
class Blame:
    """Who did it.

    Attributes:
        who: An account; empty where nothing tells.
        when: When; None where nothing tells.
        how: The method that was called; empty where only the workload tells.
        source: ``audit-log``, ``last-modifier``, ``execution`` or ``unknown``.
        others: Who else changed the same since our write, newest first: any of them may have.
    """

    who: str
    when: datetime | None
    how: str
    source: str
    others: tuple[str, ...] = ()

    @property
    def certain(self) -> bool:
        """Whether the audit log says it."""
        return self.source == AUDIT_LOG

    @property
    def clause(self) -> str:
        """The same as the end of a sentence that says what was done."""
        if not self.who:
            return "; who did it is not known: neither the audit log nor the workload tells"
        told = f"{self.who} at {self.when.isoformat()}" if self.when else self.who
        how = f" by {self.how}" if self.how else f", as the {self.source} tells"
        more = f"; also changed since by {', '.join(self.others)}" if self.others else ""
        return f" by {told}{how}{more}"

    @property
    def json(self) -> JsonObject:
        """The same as a record tells it."""
        others: list[Json] = [*self.others]
        when = self.when.isoformat() if self.when else None
        return {
            "who": self.who,
            "when": when,
            "how": self.how,
            "source": self.source,
            "others": others,
        }


def blamed(told: Json) -> Blame | None:
    """What :attr:`Blame.json` told; None for anything else."""
    if not isinstance(told, Mapping):
        return None
    when, others = told.get("when"), told.get("others")
    return Blame(
        who=str(told.get("who") or ""),
        when=datetime.fromisoformat(when) if isinstance(when, str) else None,
        how=str(told.get("how") or ""),
        source=str(told.get("source")),
        others=tuple(map(str, others)) if isinstance(others, list) else (),
    )


def blame(
    kinds: Collection[ChangeKind],
    events: Sequence[AuditEvent],
    since: datetime,
    settings: Settings | None,
) -> Blame:
    """Who undid changes of some kinds.

    The newest call that can have done it is named, and every other one beside it: the log does
    not say what a call changed.

    Args:
        kinds: The kinds of change that were undone; none when the workload is gone.
        events: The audit log, in any order.
        since: Until when changes may be our own.
        settings: The workload as it is now; None when it is gone.
    """
    methods = tuple(name for kind in kinds for name in _METHODS[kind]) or _DELETION
    able = [
        event
        for event in events
        if event.timestamp > since
        and not event.error
        and event.method.rpartition(".")[2].startswith(methods)
    ]
    able.sort(key=lambda event: event.timestamp, reverse=True)
    if able:
        newest, *others = able
        told = tuple(dict.fromkeys(_who(other) for other in others))
        return Blame(_who(newest), newest.timestamp, newest.method, AUDIT_LOG, told)
    return _by_workload(kinds, since, settings)


def _by_workload(
    kinds: Collection[ChangeKind], since: datetime, settings: Settings | None
) -> Blame:
    """What the workload itself says, where the audit log does not answer."""
    if settings and ChangeKind.CANCELLATION in kinds:
        for execution in settings.running:
            return Blame(execution.creator, execution.create_time, "", "execution")
    changed = settings.update_time if settings else None
    if settings and changed and changed > since and ChangeKind.FIELDS in kinds:
        return Blame(settings.last_modifier, changed, "", "last-modifier")
    return Blame("", None, "", "unknown")


def _who(event: AuditEvent) -> str:
    return event.principal or "an account that the audit log does not name"
