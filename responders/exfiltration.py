"""Exfiltration: tools that copy files elsewhere."""

from __future__ import annotations

from responders import _mitre_attack as attack
from responders._investigation_steps import PARENT_PROCESS, RELATED
from responders._table_row import HOLD, ResponderRow

TABLE = (
    ResponderRow(
        "remote-file-copy",
        ("Exfiltration: Launch Remote File Copy Tools in Container",),
        "was executed: a tool that copies files to or from other hosts",
        HOLD,
        "rsync, scp and their like are everyday tools of jobs that move data",
        (
            attack.EXFILTRATION("data of {workload} may leave by {program}, which nobody watches"),
            attack.LATERAL_TOOL_TRANSFER(
                "{program} may carry tools from {workload} on to other systems"
            ),
        ),
        (
            "the arguments: which files, in which direction, to which host",
            "whether the host is one of yours",
            PARENT_PROCESS,
            RELATED,
        ),
    ),
)

RESPONDERS = tuple(row.responder() for row in TABLE)
