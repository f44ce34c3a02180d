"""Impact: destruction of data, and resource hijacking such as mining."""

from __future__ import annotations

from responders import _mitre_attack as attack
from responders._investigation_steps import ENTRY_POINT, PARENT_PROCESS, RELATED, SERVICE_ACCOUNT
from responders._table_row import CONTAIN, HOLD, ResponderRow

TABLE = (
    ResponderRow(
        "destructive-command-line",
        ("Impact: Detect Malicious Cmdlines",),
        "was executed with arguments that destroy system files or change passwords",
        HOLD,
        "entry points that add a user to /etc/passwd, and clean-up scripts, look alike",
        (
            attack.DATA_DESTRUCTION(
                "{program} deletes system files; only those on a mount of {workload} last"
            ),
            attack.ACCOUNT_MANIPULATION("{program} changes users or passwords of the container"),
        ),
        (
            "the arguments: which files",
            "whether it happened at the start of an instance, as entry points do",
            "what is mounted: buckets and shares are lost for good, the container is not",
            RELATED,
        ),
    ),
    ResponderRow(
        "bulk-data-removal",
        ("Impact: Remove Bulk Data From Disk",),
        "deleted data in bulk",
        HOLD,
        "caches and temporary folders are emptied in the same way",
        (
            attack.DATA_DESTRUCTION(
                "what {program} deleted on a mount of {workload} may be gone for good"
            ),
            attack.FILE_DELETION("what {program} deleted may be the traces of something else"),
        ),
        (
            "the arguments: which folder, and whether it is on a mounted bucket or share",
            "versions and soft-deleted objects of the bucket, before they expire",
            PARENT_PROCESS,
            RELATED,
        ),
    ),
    ResponderRow(
        "stratum-mining",
        (
            "Impact: Suspicious cryptocurrency mining activity using the Stratum Protocol",
            # As the overview of the same detector for GKE has it.
            "Impact: Suspicious crypto mining activity using the Stratum Protocol",
        ),
        "talked to a mining pool",
        CONTAIN,
        "nothing but miners speaks Stratum, and who mines here pays with your money",
        (
            attack.COMPUTE_HIJACKING(
                "{program} mines with the CPU time of {workload}, which you pay for"
            ),
            attack.INGRESS_TOOL_TRANSFER(
                "{program} was likely fetched into {workload} once the entry point was found"
            ),
        ),
        (
            "the pool and the wallet in the arguments: look for them in your other workloads",
            "the number of instances and the bill: scaling multiplies miners",
            ENTRY_POINT,
            SERVICE_ACCOUNT,
        ),
    ),
)

RESPONDERS = tuple(row.responder() for row in TABLE)
