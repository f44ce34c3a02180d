"""Exposure of a workload in three columns: entry point, what ran, blast radius. Pure.

What was not read is an item of its own with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from incident.model import ExposureFact, ExposureTopic, Kind
from incident.model.outcome import Detected, Outcome, ReportedProcess, ReportedWorkload


class Weight(StrEnum):
    """What an item means for the incident."""

    PLAIN = "plain"
    SERIOUS = "serious"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ExposureItem:
    """An item of a column: its title, what is known, and what it means."""

    title: str
    text: str
    weight: Weight


@dataclass(frozen=True, slots=True)
class ExposureColumn:
    """A column with its items."""

    title: str
    items: tuple[ExposureItem, ...]


#: Title, addition to the title where serious, collectors whose gap makes it unknown; by topic.
_TOPICS = {
    ExposureTopic.ENTRY_POINT: ("Ingress", "open", ("settings",)),
    ExposureTopic.CALLERS: ("Callers", "open", ("access", "settings")),
    ExposureTopic.IDENTITY: ("Runs as", "its tokens may be stolen", ("revisions", "settings")),
    ExposureTopic.SECRETS: ("Secrets", "rotate", ("revisions", "executions", "settings")),
    ExposureTopic.SHELL: ("Shells opened", "a likely cause", ("audit-log",)),
    ExposureTopic.VOLUMES: ("Volumes", "they persist", ("revisions", "executions", "settings")),
}
_ENTRY_POINTS: Mapping[Kind, tuple[ExposureTopic, ...]] = {
    Kind.SERVICE: (ExposureTopic.ENTRY_POINT, ExposureTopic.CALLERS),
    Kind.JOB: (ExposureTopic.CALLERS,),
    Kind.INSTANCE: (ExposureTopic.ENTRY_POINT, ExposureTopic.CALLERS),
}
_BLAST_RADIUS = (ExposureTopic.IDENTITY, ExposureTopic.SECRETS, ExposureTopic.VOLUMES)


def exposure_columns(outcome: Outcome) -> tuple[ExposureColumn, ...]:
    """The three columns; none without a workload."""
    workload = outcome.workload
    if workload is None:
        return ()
    facts = outcome.assessment.exposure if outcome.assessment else ()
    why = {gap.collector: gap.reason for gap in outcome.gaps}
    topics = _ENTRY_POINTS.get(workload.kind, ())
    if any(fact.topic is ExposureTopic.SHELL for fact in facts):
        topics = (*topics, ExposureTopic.SHELL)
    entry = tuple(_topic_item(topic, facts, why) for topic in topics)
    nobody = ExposureItem("Callers", f"nobody calls a {workload.kind.label}", Weight.PLAIN)
    return (
        ExposureColumn("Entry point", entry or (nobody,)),
        ExposureColumn("What ran", _affected_items(workload, outcome.detected or Detected())),
        ExposureColumn(
            "Blast radius", tuple(_topic_item(topic, facts, why) for topic in _BLAST_RADIUS)
        ),
    )


def _affected_items(workload: ReportedWorkload, detected: Detected) -> tuple[ExposureItem, ...]:
    names = (workload.name, workload.revision, workload.execution)
    place = " / ".join(name for name in names if name)
    items = [ExposureItem(workload.kind.label.capitalize(), place, Weight.PLAIN)]
    items += [
        ExposureItem(f"Parent process{_pid(parent)}", command_line(parent), Weight.PLAIN)
        for parent in reversed(detected.parents)
    ]
    if not detected.parents and detected.parent_pid is not None:
        text = "not described by the finding"
        if detected.parent_pid == 1:
            text = "the first process of the container"
        title = f"Parent process (PID {detected.parent_pid})"
        items.append(ExposureItem(title, text, Weight.UNKNOWN))
    if detected.binary_path or detected.process:
        title = f"Detected process{_pid(detected)}"
        items.append(ExposureItem(title, command_line(detected), Weight.SERIOUS))
    if detected.file and detected.file != detected.binary_path:
        items.append(ExposureItem("Suspected file", detected.file, Weight.SERIOUS))
    return tuple(items)


def _pid(process: ReportedProcess) -> str:
    return "" if process.pid is None else f" (PID {process.pid})"


def command_line(process: ReportedProcess) -> str:
    """A process by its command line, else by its name."""
    arguments = " ".join(process.arguments)
    binary = process.binary_path or process.process or ""
    if not arguments or arguments.startswith(binary):
        return arguments or binary or "not named"
    return f"{binary}: {arguments}"


def _topic_item(
    topic: ExposureTopic, facts: Sequence[ExposureFact], why: Mapping[str, str]
) -> ExposureItem:
    title, serious, sources = _TOPICS[topic]
    known = [fact for fact in facts if fact.topic is topic]
    if not known:
        reason = next((why[source] for source in sources if source in why), "it was not read")
        return ExposureItem(f"{title}: not known", reason, Weight.UNKNOWN)
    text = known[0].text
    if not all(fact.known for fact in known):
        return ExposureItem(f"{title}: not known", text, Weight.UNKNOWN)
    names = list(dict.fromkeys(short_name(name) for fact in known for name in fact.names))
    if topic in _BLAST_RADIUS and names:
        text = ", ".join(names)
    if any(fact.serious for fact in known):
        return ExposureItem(f"{title}: {serious}", text, Weight.SERIOUS)
    return ExposureItem(title, text, Weight.PLAIN)


def short_name(name: str) -> str:
    """The last part of a resource name; other texts, such as file share paths, stay."""
    return name.rpartition("/")[2] if name.startswith("projects/") else name
