"""Unexpected Child Shell.

A process that does not usually start shells started one. The finding lists parent and child
among its processes, in an order that is not documented: process ids tell them apart, and where
they do not, the names of shells.
"""

from __future__ import annotations

from incident.model import DetectedProcess, Finding, Reason, Suspect, Verdict
from responders import _mitre_attack as attack
from responders._investigation_steps import REQUESTS
from responders._reasons import program_label, workload_label
from responders._table_row import ResponderRow

_SHELLS = frozenset({"ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "sh", "tcsh", "zsh"})
_ROW = ResponderRow(
    "unexpected-child-shell",
    ("Unexpected Child Shell",),
    "was started by a program that does not usually start shells",
    Verdict.HOLD,
    "libraries that call out to other programs start shells in honest services, too",
    (
        attack.UNIX_SHELL("a program that was exploited runs commands by {program} in {workload}"),
        attack.EXPLOIT_PUBLIC_APPLICATION(
            "what takes in the input of {workload} is what usually is exploited"
        ),
    ),
    (
        "the shell's arguments: a conversion or a health check, or exploring and fetching",
        "the parent: whether this program has a reason to start a shell",
        REQUESTS,
        "related findings near in time: alone it may be a habit, among others it is not",
    ),
)


def parent_and_child(finding: Finding) -> tuple[DetectedProcess | None, DetectedProcess | None]:
    """Parent and child; None for what is not known."""
    processes = finding.processes
    by_pid = {process.pid: process for process in processes if process.pid is not None}
    for child in processes:
        parent = by_pid.get(child.parent_pid) if child.parent_pid is not None else None
        if parent is not None and parent is not child:
            return parent, child
    shells = [process for process in processes if _is_shell(process)]
    others = [process for process in processes if not _is_shell(process)]
    if not shells:
        return None, finding.main_process
    return next(iter(others), None), shells[0]


def _is_shell(process: DetectedProcess) -> bool:
    names = (process.binary_path.rpartition("/")[2], process.name)
    return not _SHELLS.isdisjoint(names)


def _suspect(finding: Finding) -> Suspect:
    _, child = parent_and_child(finding)
    return Suspect(child, child.binary if child else None)


def _finding_reasons(finding: Finding) -> tuple[Reason, ...]:
    parent, child = parent_and_child(finding)
    if parent is None:
        return (Reason("the finding does not tell which program started the shell", "finding"),)
    text = f"the parent is {_describe(parent)}, the shell is {_describe(child)}"
    return (Reason(text, "finding"),)


def _describe(process: DetectedProcess | None) -> str:
    if process is None:
        return "not named"
    about = [
        f"{label} {number}"
        for label, number in (("pid", process.pid), ("user id", process.user_id))
        if number is not None
    ]
    return program_label(process) + (f" ({', '.join(about)})" if about else "")


def _summary(finding: Finding) -> str:
    parent, child = parent_and_child(finding)
    shell = program_label(child, "a shell")
    if parent is None:
        return f"{shell} in {workload_label(finding)} {_ROW.event_text}"
    return (
        f"{program_label(parent)} in {workload_label(finding)} started {shell}: usually"
        " it starts no shells"
    )


RESPONDER = _ROW.responder(suspect=_suspect, from_finding=_finding_reasons, summary=_summary)
