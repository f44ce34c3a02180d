"""Which revision or execution a finding is about, as far as anything tells. Pure.

A finding may name its revision or execution, or only the workload. Then what was served at the
event narrows it down, unless the traffic was changed since: what is not known is not guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from incident.model.configuration import Execution, Settings, Template
from incident.model.finding import Finding
from incident.model.workload import Json, Kind

_MOST_NAMES = 5
#: So long an idle instance may live on after its revision lost its traffic, by Google's word.
_IDLE = timedelta(minutes=15)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a finding is about.

    Attributes:
        templates: What may have run, the newest first; empty where nothing of it is known.
        name: Short name of the revision or execution, where it is known which; else empty.
        which: The same for a sentence, with its alternatives where there are any.
        why: How that is known, or why not.
        sure: Whether there is one template, and it is what ran.
        evidence: Where that comes from.
        executions: The executions of a job that may be meant.
    """

    templates: tuple[Template, ...]
    name: str
    which: str
    why: str
    sure: bool
    evidence: str
    executions: tuple[Execution, ...] = field(default=(), repr=False)

    @property
    def source(self) -> str:
        """The evidence that the templates are from."""
        if self.evidence != "finding":
            return self.evidence
        return "executions" if self.executions else "revisions"

    @property
    def as_now(self) -> str:
        """What limits a sentence on what there is not, where settings only stand in."""
        return ", by its settings as they are now" if self.evidence == "settings" else ""

    @property
    def accounts(self) -> tuple[str, ...]:
        """The service accounts that it may have run as; an empty one is the project's default."""
        return _distinct(template.service_account for template in self.templates)

    @property
    def merged(self) -> Template | None:
        """Everything that any of the templates had; the account is that of the first."""
        if not self.templates:
            return None
        first, several = self.templates[0], len(self.templates) > 1
        return replace(
            first,
            revision="" if several else first.revision,
            create_time=None if several else first.create_time,
            creator="" if several else first.creator,
            containers=_distinct(each for t in self.templates for each in t.containers),
            secret_names=_distinct(name for t in self.templates for name in t.secret_names),
            secret_uses=_distinct(use for t in self.templates for use in t.secret_uses),
            volumes=_distinct(volume for t in self.templates for volume in t.volumes),
            timeout_s=max(template.timeout_s for template in self.templates),
            secrets=_distinct(secret for t in self.templates for secret in t.secrets),
        )


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to tell it by.

    Attributes:
        settings: The workload's settings; None where not read.
        revisions: Its revisions, newest first; None where not read.
        executions: The executions of a job, newest first; None where not read.
        unread: Why they were not read, after "it is".
        seen: Revisions that the workload's own logs name about the time of the event.
    """

    settings: Settings | None
    revisions: tuple[Template, ...] | None
    executions: tuple[Execution, ...] | None
    unread: str
    seen: Collection[str] = ()

    @property
    def now(self) -> tuple[Template, ...]:
        """What the next revision or execution runs: what stands in where nothing else is known."""
        return (self.settings.template,) if self.settings else ()


def what_ran(finding: Finding, known: Known) -> Ran:
    """The revision of a service or a worker pool, or the execution of a job."""
    if finding.workload is not None and finding.workload.kind is Kind.JOB:
        return _execution(finding, known)
    if finding.revision:
        return _named(finding.revision, known)
    if not known.revisions:
        why = "the finding names none, and no revision is listed"
        if known.revisions is None:
            why = f"the finding names none, and which there are is {known.unread}"
        return _stand_in("", "a revision that is not known", why, known)
    return _unnamed(finding, known, known.revisions)


def _named(name: str, known: Known) -> Ran:
    found = tuple(each for each in known.revisions or () if each.revision == name)
    which = f"revision {name}"
    if found:
        return Ran(found[:1], name, which, "the finding names it", sure=True, evidence="finding")
    if known.revisions is None:
        why = f"the finding names it; what it was made of is {known.unread}"
        return _stand_in(name, which, why, known, revision=name)
    return _stand_in("", which, "the finding names it; it is not listed any more", known)


def _stand_in(name: str, which: str, why: str, known: Known, *, revision: str = "") -> Ran:
    """What the workload is now, for what it was then."""
    now = tuple(replace(template, revision=revision) for template in known.now)
    instead = "; the settings as they are now stand in for it" if now else ""
    return Ran(now, name, which, f"{why}{instead}", sure=False, evidence="settings")


def _unnamed(finding: Finding, known: Known, revisions: Sequence[Template]) -> Ran:
    """By what was there, by its image, and by what was served."""
    then = [t for t in revisions if t.create_time is None or t.create_time <= finding.event_time]
    images = {container.image for container in finding.containers if container.image}
    digests = {container.digest for container in finding.containers if container.digest}
    of_image = [
        t
        for t in then
        if any(c.image in images or c.image.partition("@")[2] in digests for c in t.containers)
    ]
    able = of_image or then or list(revisions)
    shares, unsettled = _shares(finding, known.settings)
    served = [each for each in able if each.revision in shares] if unsettled is None else []
    left = served or able
    if len(left) == 1:
        only = left[0]
        fact = _only(then, of_image, served)
        why = f"the finding names none, but {fact}"
        which = f"revision {only.revision}"
        return Ran((only,), only.revision, which, why, sure=True, evidence="revisions")
    why = "the finding names none, and each of them was served at the event"
    if unsettled is not None:
        why = f"the finding names none, and what was served at the event is not known{unsettled}"
    elif not served:
        why = "the finding names none, and none that was served at the event fits it"
    told = [f"{t.revision}{shares.get(t.revision, '') if served else ''}" for t in left]
    hint = _hint(left, known.seen)
    which = f"one of the revisions {_listed(told)}"
    return Ran(tuple(left), "", which, f"{why}{hint}", sure=False, evidence="revisions")


def _only(
    then: Sequence[Template], of_image: Sequence[Template], served: Sequence[Template]
) -> str:
    """Why no other one can have run."""
    if len(then) == 1:
        return "no other was there at the event"
    if len(of_image) == 1:
        return "no other that was there runs the finding's image"
    return "no other was served at the event" if served else "no other is listed"


def _hint(left: Sequence[Template], seen: Collection[str]) -> str:
    """What the logs say of it, which is not proof."""
    logged = [each.revision for each in left if each.revision in seen]
    if len(logged) != 1:
        return ""
    return f"; its logs about then name {logged[0]} alone, though a workload can forge its logs"


def _shares(finding: Finding, settings: Settings | None) -> tuple[Mapping[str, str], str | None]:
    """What was served at the event, each revision with its part; and why that is not known."""
    if settings is None:
        return {}, ": its settings could not be read"
    changed = settings.update_time
    drained = _IDLE + timedelta(seconds=settings.template.timeout_s)
    if changed is None:
        return {}, ": nothing tells when it was changed last"
    if changed > finding.event_time - drained:
        side = "after it" if changed > finding.event_time else "shortly before it"
        return {}, f": the workload was changed {side}, on {changed:%Y-%m-%d %H:%M:%S} UTC"
    shares = dict.fromkeys(settings.live_revisions or (settings.latest_ready_revision,), "")
    for target in _targets(settings.fields.get("traffic")):
        name = str(target.get("revision") or settings.latest_ready_revision)
        percent, tag = target.get("percent"), target.get("tag")
        said = [f"{percent} %"] if percent else []
        said += [f"tag {tag}"] if tag else []
        before = shares.get(name, "").strip(" ()")
        parts = ", ".join([*([before] if before else []), *said])
        if parts:
            shares[name] = f" ({parts})"
    return shares, None


def _targets(traffic: Json) -> list[Mapping[str, Json]]:
    listed = traffic if isinstance(traffic, list | tuple) else ()
    return [target for target in listed if isinstance(target, Mapping)]


def _execution(finding: Finding, known: Known) -> Ran:
    """The execution of a job that a finding names, else the one that ran at its event."""
    listed, name = known.executions, finding.execution
    if listed is None:
        which = f"execution {name}" if name else "an execution that is not known"
        why = "the finding names it; what it ran" if name else "the finding names none, and which"
        return _stand_in(name or "", which, f"{why} is {known.unread}", known)
    if name:
        found = [each for each in listed if each.short_name == name]
        if not found:
            why = "the finding names it; it is not listed any more"
            return _stand_in(name, f"execution {name}", why, known)
        why = "the finding names it"
    else:
        found = [each for each in listed if _under_way(each, finding)]
        why = "the finding names none, but no other ran at the event"
    if not found:
        why = "the finding names none, and none that is listed ran at the event"
        return _stand_in("", "an execution that is not known", why, known)
    if len(found) > 1:
        which = f"one of the executions {_listed([each.short_name for each in found])}"
        why = "the finding names none, and each of them ran at the event"
        templates = _distinct(each.template for each in found)
        return Ran(
            templates, "", which, why, sure=False, evidence="executions", executions=tuple(found)
        )
    one, evidence = found[0], "finding" if name else "executions"
    which = f"execution {one.short_name}"
    return Ran(
        (one.template,), one.short_name, which, why, sure=True, evidence=evidence, executions=(one,)
    )


def _under_way(execution: Execution, finding: Finding) -> bool:
    """Whether an execution was made and not over at the event."""
    made, over = execution.create_time, execution.completion_time
    begun = made is None or made <= finding.event_time
    return begun and (over is None or over >= finding.event_time)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{', '.join(names[:_MOST_NAMES])}{more}"


def _distinct(values: Iterable[_T]) -> tuple[_T, ...]:
    """Each value once, in order."""
    return tuple(dict.fromkeys(values))
