"""Command and Control: hidden channels for commands and data."""

from __future__ import annotations

from responders import _mitre_attack as attack
from responders._investigation_steps import RELATED, TRANSFERS
from responders._table_row import HOLD, ResponderRow

TABLE = (
    ResponderRow(
        "steganography-tool",
        ("Command and Control: Steganography Tool Detected",),
        "was executed: it hides data in pictures and other harmless files",
        HOLD,
        "services that watermark or check media run the same tools",
        (
            attack.STEGANOGRAPHY(
                "orders may reach {workload}, and its data leave, inside files that"
                " {program} makes look harmless"
            ),
        ),
        (
            "the arguments: which file carries, and which is hidden",
            "whether the workload handles media at all",
            TRANSFERS,
            RELATED,
        ),
    ),
)

RESPONDERS = tuple(row.responder() for row in TABLE)
