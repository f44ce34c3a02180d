"""Attribute a reverted containment to a principal, from the audit log. Pure.

The audit log is Google's and says who; the workload's own word on its last modifier is what
is left where the log does not answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from incident.model import AuditEvent, ChangeKind, Json, JsonObject, WorkloadConfiguration
from incident.model.json_text import json_strings, parse_time, time_text

#: Beginnings of the methods, whatever the API's version, that can undo each kind of change.
_METHOD_PREFIXES = {
    ChangeKind.FIELDS: ("Update", "Replace", "Create", "StartInstance"),
    ChangeKind.IAM_POLICY: ("SetIamPolicy",),
    ChangeKind.CANCELLATION: ("RunJob", "Run", "Create"),
    ChangeKind.SERVICE_ACCOUNT: ("EnableServiceAccount",),
}
_DELETE_PREFIXES = ("Delete",)
AUDIT_LOG_SOURCE = "audit-log"


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who did it.

    Attributes:
        principal: The account; empty if unknown.
        changed_at: When; None if unknown.
        method: The method that was called; empty if only the workload shows the change.
        source: ``audit-log``, ``last-modifier``, ``execution`` or ``unknown``.
        other_principals: Who else changed the same since our write, newest first: any of them may
            have.
    """

    principal: str
    changed_at: datetime | None
    method: str
    source: str
    other_principals: tuple[str, ...] = ()

    @property
    def from_audit_log(self) -> bool:
        """Whether the audit log is the source."""
        return self.source == AUDIT_LOG_SOURCE

    @property
    def clause(self) -> str:
        """The attribution as the end of a sentence."""
        if not self.principal:
            return "; principal unknown: neither the audit log nor the workload names one"
        who_and_when = (
            f"{self.principal} at {self.changed_at.isoformat()}"
            if self.changed_at
            else self.principal
        )
        by_method = f" by {self.method}" if self.method else f" (source: {self.source})"
        also_changed_by = (
            f"; also changed since by {', '.join(self.other_principals)}"
            if self.other_principals
            else ""
        )
        return f" by {who_and_when}{by_method}{also_changed_by}"

    @property
    def json(self) -> JsonObject:
        """The attribution as a record has it."""
        other_principals: list[Json] = [*self.other_principals]
        return {
            "principal": self.principal,
            "changed_at": time_text(self.changed_at),
            "method": self.method,
            "source": self.source,
            "other_principals": other_principals,
        }


def attribution_from_json(value: Json) -> Attribution | None:
    """Parse :attr:`Attribution.json`; None for anything else."""
    if not isinstance(value, Mapping):
        return None
    return Attribution(
        principal=str(value.get("principal") or ""),
        changed_at=parse_time(value.get("changed_at")),
        method=str(value.get("method") or ""),
        source=str(value.get("source")),
        other_principals=tuple(json_strings(value.get("other_principals"))),
    )


def attribute_drift(
    kinds: Collection[ChangeKind],
    events: Sequence[AuditEvent],
    since: datetime,
    configuration: WorkloadConfiguration | None,
) -> Attribution:
    """Find who undid changes of some kinds.

    The newest call that can have done it is named, and every other one beside it: the log does
    not say what a call changed.

    Args:
        kinds: The kinds of change that were undone; none when the workload is gone.
        events: The audit log, in any order.
        since: Until when changes may be our own.
        configuration: The workload as it is now; None when it is gone.
    """
    methods = tuple(name for kind in kinds for name in _METHOD_PREFIXES[kind]) or _DELETE_PREFIXES
    candidates = [
        event
        for event in events
        if event.timestamp > since
        and not event.error
        and event.method.rpartition(".")[2].startswith(methods)
    ]
    candidates.sort(key=lambda event: event.timestamp, reverse=True)
    if candidates:
        newest, *others = candidates
        other_principals = tuple(dict.fromkeys(_principal_of(other) for other in others))
        return Attribution(
            _principal_of(newest),
            newest.timestamp,
            newest.method,
            AUDIT_LOG_SOURCE,
            other_principals,
        )
    return _attribute_from_configuration(kinds, since, configuration)


def _attribute_from_configuration(
    kinds: Collection[ChangeKind], since: datetime, configuration: WorkloadConfiguration | None
) -> Attribution:
    """The last modifier, where the audit log has no answer."""
    if configuration and ChangeKind.CANCELLATION in kinds:
        for execution in configuration.running:
            return Attribution(execution.creator, execution.create_time, "", "execution")
    changed = configuration.update_time if configuration else None
    if configuration and changed and changed > since and ChangeKind.FIELDS in kinds:
        return Attribution(configuration.last_modifier, changed, "", "last-modifier")
    return Attribution("", None, "", "unknown")


def _principal_of(event: AuditEvent) -> str:
    return event.principal or "an account that the audit log does not name"
