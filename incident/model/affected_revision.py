"""Infer the revision or job execution that a finding is about. Pure.

A finding may name its revision or execution, or only the workload. In the second case the
revisions that were served at the event narrow it down, unless the traffic has changed since.
What is not known is not guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from incident.model.configuration import Execution, Template, WorkloadConfiguration
from incident.model.cut_list import CutList, Listing, found_in
from incident.model.finding import Finding
from incident.model.workload import Json, Kind

_MAX_NAMES = 5
_ONLY_SERVED = "no other was served at the event"
#: How long an idle instance may live on after its revision lost its traffic, as Google documents.
_IDLE_LIFETIME = timedelta(minutes=15)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class AffectedRevision:
    """The revision or execution that a finding is about.

    Attributes:
        templates: What may have run, newest first; empty where nothing is known.
        name: Short name of the revision or execution; empty where several are possible.
        description: The same for a sentence, with the alternatives.
        reason: How that is known, or why not.
        certain: Whether there is one template, and it is what ran.
        evidence_source: The evidence behind it.
        executions: The executions of a job that it may be.
    """

    templates: tuple[Template, ...]
    name: str
    description: str
    reason: str
    certain: bool
    evidence_source: str
    executions: tuple[Execution, ...] = field(default=(), repr=False)

    @property
    def template_source(self) -> str:
        """The evidence that the templates come from."""
        if self.evidence_source != "finding":
            return self.evidence_source
        return "executions" if self.executions else "revisions"

    @property
    def current_only_note(self) -> str:
        """A restriction for sentences about what is absent, where current settings stand in."""
        return ", by its settings as they are now" if self.evidence_source == "settings" else ""

    @property
    def service_accounts(self) -> tuple[str, ...]:
        """The service accounts that it may have run as; an empty name is the project's default."""
        return _distinct(template.service_account for template in self.templates)

    @property
    def merged_template(self) -> Template | None:
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
class RevisionEvidence:
    """The evidence from which the affected revision is inferred.

    Attributes:
        configuration: The workload's settings; None where not read.
        revisions: Its revisions, newest first; None where not read.
        executions: The executions of a job, newest first; None where not read.
        gap_text: Why they were not read, after "it is".
        logged_revisions: Revisions that the workload's own logs name about the time of the event.
    """

    configuration: WorkloadConfiguration | None
    revisions: Listing[Template] | None
    executions: Listing[Execution] | None
    gap_text: str
    logged_revisions: Collection[str] = ()

    @property
    def current_templates(self) -> tuple[Template, ...]:
        """What the next revision or execution runs: the substitute where nothing else is known."""
        return (self.configuration.template,) if self.configuration else ()


def infer_affected_revision(finding: Finding, facts: RevisionEvidence) -> AffectedRevision:
    """The revision of a service or a worker pool, the execution of a job, or the instance."""
    if finding.workload is not None and finding.workload.kind is Kind.INSTANCE:
        return _affected_instance(finding, facts)
    if finding.workload is not None and finding.workload.kind is Kind.JOB:
        return _affected_execution(finding, facts)
    if finding.revision:
        return _named_by_finding(finding.revision, facts)
    if facts.revisions is None or not found_in(facts.revisions):
        why = "the finding names none, and no revision is listed"
        if facts.revisions is None:
            why = f"the finding names none, and which there are is {facts.gap_text}"
        elif isinstance(facts.revisions, CutList):
            why = f"the finding names none, and {facts.revisions.reason}"
        return _from_current_configuration("", "a revision that is not known", why, facts)
    return _narrowed_down(finding, facts, facts.revisions)


def _affected_instance(finding: Finding, facts: RevisionEvidence) -> AffectedRevision:
    """An instance has no revisions: it runs what its settings say, unless they were changed."""
    changed = facts.configuration.update_time if facts.configuration else None
    if facts.configuration is None or changed is None or changed > finding.event_time:
        why = "an instance has no revisions, and its settings may be others than at the event"
        return _from_current_configuration("", "the instance", why, facts)
    return AffectedRevision(
        facts.current_templates,
        "",
        "the instance",
        "an instance has no revisions, and its settings were not changed since",
        certain=True,
        evidence_source="settings",
    )


def _named_by_finding(name: str, facts: RevisionEvidence) -> AffectedRevision:
    found = tuple(each for each in found_in(facts.revisions) if each.revision == name)
    which = f"revision {name}"
    if found:
        return AffectedRevision(
            found[:1], name, which, "the finding names it", certain=True, evidence_source="finding"
        )
    if facts.revisions is None:
        why = f"the finding names it; what it was made of is {facts.gap_text}"
        return _from_current_configuration(name, which, why, facts, revision=name)
    if isinstance(facts.revisions, CutList):
        why = f"the finding names it; it was not found, and {facts.revisions.reason}"
        return _from_current_configuration(name, which, why, facts, revision=name)
    return _from_current_configuration(
        "", which, "the finding names it; it is not listed any more", facts
    )


def _from_current_configuration(
    name: str, description: str, reason: str, facts: RevisionEvidence, *, revision: str = ""
) -> AffectedRevision:
    """The current settings as a substitute for those at the event."""
    templates = tuple(replace(template, revision=revision) for template in facts.current_templates)
    note = "; the settings as they are now stand in for it" if templates else ""
    return AffectedRevision(
        templates, name, description, f"{reason}{note}", certain=False, evidence_source="settings"
    )


def _narrowed_down(
    finding: Finding, facts: RevisionEvidence, listing: Listing[Template]
) -> AffectedRevision:
    """Narrow it down by creation time, by image, and by the traffic at the event.

    Of a cut list, only what was served is certain to be complete: it was read by name.
    """
    revisions = found_in(listing)
    existing = [
        t for t in revisions if t.create_time is None or t.create_time <= finding.event_time
    ]
    images = {container.image for container in finding.containers if container.image}
    digests = {container.digest for container in finding.containers if container.digest}
    of_image = [
        t
        for t in existing
        if any(c.image in images or c.image.partition("@")[2] in digests for c in t.containers)
    ]
    matching = of_image or existing or list(revisions)
    shares, why_unknown = _traffic_at_event(finding, facts.configuration)
    served = [each for each in matching if each.revision in shares] if why_unknown is None else []
    candidates = served or matching
    whole = not isinstance(listing, CutList)
    if len(candidates) == 1 and (whole or _all_served_read(shares, served, revisions)):
        only = candidates[0]
        fact = _why_only_one(existing, of_image, served) if whole else _ONLY_SERVED
        why = f"the finding names none, but {fact}"
        which = f"revision {only.revision}"
        return AffectedRevision(
            (only,), only.revision, which, why, certain=True, evidence_source="revisions"
        )
    why = "the finding names none, and each of them was served at the event"
    if isinstance(listing, CutList):
        why = f"the finding names none, and {listing.reason}"
    elif why_unknown is not None:
        why = f"the finding names none, and what was served at the event is not known{why_unknown}"
    elif not served:
        why = "the finding names none, and none that was served at the event fits it"
    descriptions = [
        f"{t.revision}{shares.get(t.revision, '') if served else ''}" for t in candidates
    ]
    log_hint = _log_hint(candidates, facts.logged_revisions)
    which = f"one of the revisions {_join_names(descriptions)}"
    return AffectedRevision(
        tuple(candidates), "", which, f"{why}{log_hint}", certain=False, evidence_source="revisions"
    )


def _all_served_read(
    shares: Mapping[str, str], served: Sequence[Template], revisions: Sequence[Template]
) -> bool:
    """Whether every revision that was served at the event is among those that were read."""
    return bool(served) and set(shares) <= {template.revision for template in revisions}


def _why_only_one(
    then: Sequence[Template], of_image: Sequence[Template], served: Sequence[Template]
) -> str:
    """Why no other one can have run."""
    if len(then) == 1:
        return "no other was there at the event"
    if len(of_image) == 1:
        return "no other that was there runs the finding's image"
    return _ONLY_SERVED if served else "no other is listed"


def _log_hint(candidates: Sequence[Template], logged_revisions: Collection[str]) -> str:
    """What the logs say about it. A workload can forge its logs, so this is no proof."""
    logged = [each.revision for each in candidates if each.revision in logged_revisions]
    if len(logged) != 1:
        return ""
    return f"; its logs about then name {logged[0]} alone, though a workload can forge its logs"


def _traffic_at_event(
    finding: Finding, configuration: WorkloadConfiguration | None
) -> tuple[Mapping[str, str], str | None]:
    """The revisions served at the event, each with its share; or why that is not known."""
    if configuration is None:
        return {}, ": its settings could not be read"
    changed = configuration.update_time
    drained = _IDLE_LIFETIME + timedelta(seconds=configuration.template.timeout_s)
    if changed is None:
        return {}, ": when it was last changed is not known"
    if changed > finding.event_time - drained:
        side = "after it" if changed > finding.event_time else "shortly before it"
        return {}, f": the workload was changed {side}, on {changed:%Y-%m-%d %H:%M:%S} UTC"
    shares = dict.fromkeys(
        configuration.live_revisions or (configuration.latest_ready_revision,), ""
    )
    for target in _traffic_targets(configuration.fields.get("traffic")):
        name = str(target.get("revision") or configuration.latest_ready_revision)
        percent, tag = target.get("percent"), target.get("tag")
        details = [f"{percent} %"] if percent else []
        details += [f"tag {tag}"] if tag else []
        before = shares.get(name, "").strip(" ()")
        parts = ", ".join([*([before] if before else []), *details])
        if parts:
            shares[name] = f" ({parts})"
    return shares, None


def _traffic_targets(traffic: Json) -> list[Mapping[str, Json]]:
    listed = traffic if isinstance(traffic, list | tuple) else ()
    return [target for target in listed if isinstance(target, Mapping)]


def _affected_execution(finding: Finding, facts: RevisionEvidence) -> AffectedRevision:
    """The execution of a job that a finding names, else the one that ran at its event."""
    listed, name = found_in(facts.executions), finding.execution
    if facts.executions is None:
        which = f"execution {name}" if name else "an execution that is not known"
        why = "the finding names it; what it ran" if name else "the finding names none, and which"
        return _from_current_configuration(name or "", which, f"{why} is {facts.gap_text}", facts)
    if name:
        found = [each for each in listed if each.short_name == name]
        if not found:
            why = "the finding names it; it is not listed any more"
            if isinstance(facts.executions, CutList):
                why = f"the finding names it; it was not found, and {facts.executions.reason}"
            return _from_current_configuration(name, f"execution {name}", why, facts)
        why = "the finding names it"
    else:
        found = [each for each in listed if _was_running(each, finding)]
        why = "the finding names none, but no other ran at the event"
    if not found:
        why = "the finding names none, and none that is listed ran at the event"
        if isinstance(facts.executions, CutList):
            why = f"{why}; {facts.executions.reason}"
        return _from_current_configuration("", "an execution that is not known", why, facts)
    if len(found) > 1 or (not name and isinstance(facts.executions, CutList)):
        which = f"one of the executions {_join_names([each.short_name for each in found])}"
        why = "the finding names none, and each of them ran at the event"
        if isinstance(facts.executions, CutList):
            why = f"{why}; others may have: {facts.executions.reason}"
        templates = _distinct(each.template for each in found)
        return AffectedRevision(
            templates,
            "",
            which,
            why,
            certain=False,
            evidence_source="executions",
            executions=tuple(found),
        )
    one, evidence = found[0], "finding" if name else "executions"
    which = f"execution {one.short_name}"
    return AffectedRevision(
        (one.template,),
        one.short_name,
        which,
        why,
        certain=True,
        evidence_source=evidence,
        executions=(one,),
    )


def _was_running(execution: Execution, finding: Finding) -> bool:
    """Whether an execution was made and not over at the event."""
    made, over = execution.create_time, execution.completion_time
    begun = made is None or made <= finding.event_time
    return begun and (over is None or over >= finding.event_time)


def _join_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return f"{', '.join(names[:_MAX_NAMES])}{more}"


def _distinct(values: Iterable[_T]) -> tuple[_T, ...]:
    """Each value once, in order."""
    return tuple(dict.fromkeys(values))
