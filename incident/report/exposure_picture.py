"""Boxes of the report's exposure picture: entry point, affected revision, blast radius. Pure.

What was not read is a box of its own with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from incident.model import JsonObject, Kind
from incident.report.pictures import BoxFrame

BoxContent = tuple[str, str, BoxFrame]
#: Title, addition to the title where serious, collectors whose gap makes it unknown; by topic.
_TOPICS = {
    "entry": ("Ingress", "open", ("settings",)),
    "callers": ("Callers", "open", ("access", "settings")),
    "identity": ("Runs as", "its tokens may be taken", ("revisions", "executions", "settings")),
    "secrets": ("Exposed secrets", "rotate", ("revisions", "executions", "settings")),
    "volumes": ("Volumes", "they persist", ("revisions", "executions", "settings")),
}
_ENTRY_POINTS = {
    Kind.SERVICE: ("entry", "callers"),
    Kind.JOB: ("callers",),
    Kind.WORKER_POOL: (),
}
_BLAST_RADIUS = ("identity", "secrets", "volumes")
_LIST_NAMES = ("identity", "secrets", "volumes")


def exposure_columns(
    workload: Mapping[str, Any],
    detected: Mapping[str, Any],
    points: Sequence[JsonObject],
    gaps: Iterable[JsonObject],
) -> Mapping[str, Sequence[BoxContent]]:
    """Boxes by column; none without a workload.

    Args:
        workload: The outcome's workload.
        detected: The outcome's detected process.
        points: The assessment's exposure facts.
        gaps: The outcome's gaps.
    """
    if workload.get("kind") not in list(Kind):
        return {}
    topics = _ENTRY_POINTS[Kind(workload["kind"])]
    why = {str(gap.get("collector")): str(gap.get("reason")) for gap in gaps}
    entry_points = [_topic_box(topic, points, why) for topic in topics]
    entry_points = entry_points or [("Callers", "nobody calls a worker pool", BoxFrame.PLAIN)]
    blast_radius = [_topic_box(topic, points, why) for topic in _BLAST_RADIUS]
    return {
        "Entry point": entry_points,
        "What ran": _affected_boxes(workload, detected),
        "Blast radius": blast_radius,
    }


def _affected_boxes(workload: Mapping[str, Any], detected: Mapping[str, Any]) -> list[BoxContent]:
    kind = str(workload["kind"]).replace("-", " ")
    name = " / ".join(
        str(workload[key]) for key in ("name", "revision", "execution") if workload.get(key)
    )
    steps = [(kind.capitalize(), name or "not named", BoxFrame.PLAIN)]
    steps += [
        (f"Parent process {_pid(parent)}", _command_line(parent), BoxFrame.PLAIN)
        for parent in reversed(list(detected.get("parents") or ()))
    ]
    if not detected.get("parents") and detected.get("parent_pid") is not None:
        text = "not described by the finding"
        if detected["parent_pid"] == 1:
            text += "; it is the first process of the container"
        steps.append((f"Parent process (PID {detected['parent_pid']})", text, BoxFrame.UNKNOWN))
    if detected.get("binary_path") or detected.get("process"):
        steps.append(
            (f"Detected process {_pid(detected)}", _command_line(detected), BoxFrame.SERIOUS)
        )
    file = detected.get("file")
    if file and file != detected.get("binary_path"):
        steps.append(("Suspected file", str(file), BoxFrame.SERIOUS))
    return steps


def _pid(process: Mapping[str, Any]) -> str:
    return "" if process.get("pid") is None else f"(PID {process['pid']})"


def _command_line(process: Mapping[str, Any]) -> str:
    """A process by its command line, else by its name."""
    arguments = " ".join(map(str, process.get("arguments") or ()))
    binary = str(process.get("binary_path") or process.get("process") or "")
    if not arguments or arguments.startswith(binary):
        return arguments or binary or "not named"
    return f"{binary}: {arguments}" if binary else arguments


def _topic_box(
    topic: str, exposure_points: Sequence[JsonObject], why: Mapping[str, str]
) -> BoxContent:
    title, serious, sources = _TOPICS[topic]
    points = [point for point in exposure_points if point.get("topic") == topic]
    if not points:
        reason = next((why[source] for source in sources if source in why), "it was not read")
        return f"{title}: not known", reason, BoxFrame.UNKNOWN
    text = str(points[0].get("text", ""))
    if any(point.get("known") is False for point in points):
        return f"{title}: not known", text, BoxFrame.UNKNOWN
    names = [str(name) for point in points for name in _point_names(point)]
    if topic in _LIST_NAMES and names:
        text = ", ".join(dict.fromkeys(map(_short, names)))
    if any(point.get("serious") is True for point in points):
        return f"{title}: {serious}", text, BoxFrame.SERIOUS
    return title, text, BoxFrame.PLAIN


def _short(name: str) -> str:
    """The last part of a resource name; other texts, such as file share paths, stay."""
    return name.rpartition("/")[2] if name.startswith("projects/") else name


def _point_names(point: JsonObject) -> Sequence[object]:
    names = point.get("names")
    return names if isinstance(names, list | tuple) else ()
