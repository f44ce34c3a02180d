"""Unexpected Child Shell.

A process that does not usually start shells started one. The finding lists parent and child
among its processes, in an order that is not documented: process ids tell them apart, and where
they do not, the names of shells.
"""

from __future__ import annotations

from incident.model import Finding, Process, Reason, Suspect, Verdict
from responders import _attack as attack
from responders._look_at import REQUESTS
from responders._reading import place, program
from responders._row import Row

_SHELLS = frozenset({"ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "sh", "tcsh", "zsh"})
_ROW = Row(
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


def family(finding: Finding) -> tuple[Process | None, Process | None]:
    """Parent and child; None for what cannot be told."""
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


def _is_shell(process: Process) -> bool:
    names = (process.binary_path.rpartition("/")[2], process.name)
    return not _SHELLS.isdisjoint(names)


def _suspect(finding: Finding) -> Suspect:
    _, child = family(finding)
    return Suspect(child, child.binary if child else None)


def _read(finding: Finding) -> tuple[Reason, ...]:
    parent, child = family(finding)
    if parent is None:
        return (Reason("the finding does not tell which program started the shell", "finding"),)
    text = f"the parent is {_named(parent)}, the shell is {_named(child)}"
    return (Reason(text, "finding"),)


def _named(process: Process | None) -> str:
    if process is None:
        return "not named"
    about = [
        f"{called} {number}"
        for called, number in (("pid", process.pid), ("user id", process.user_id))
        if number is not None
    ]
    return program(process) + (f" ({', '.join(about)})" if about else "")


def _tell(finding: Finding) -> str:
    parent, child = family(finding)
    shell = program(child, "a shell")
    if parent is None:
        return f"{shell} in {place(finding)} {_ROW.happened}"
    return f"{program(parent)} in {place(finding)} started {shell}: usually it starts no shells"


RESPONDER = _ROW.responder(suspect=_suspect, read=_read, tell=_tell)
