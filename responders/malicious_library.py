"""Execution: Added and Modified Malicious Library Loaded.

The finding names the program that loaded the library as the process's binary, and the library
under ``processes[].libraries``: it is the library that is malicious, and whose hash counts.
"""

from __future__ import annotations

from incident.model import DetectedProcess, File, Finding, Reason, Suspect, Verdict
from responders import _mitre_attack as attack
from responders._investigation_steps import ENTRY_POINT, SERVICE_ACCOUNT
from responders._reasons import hash_reasons, program_label, workload_label
from responders._table_row import ResponderRow

_MAX_LISTED = 20
_INVESTIGATION_STEPS = (
    "the library's SHA-256 on VirusTotal: what it is, and whom it talks to",
    "how the program came to load it: LD_PRELOAD, its search path, a plug-in folder",
    ENTRY_POINT,
    SERVICE_ACCOUNT,
)
_LOADED = attack.SHARED_MODULES(
    "{file} runs inside {program}, which is trusted: no process of its own shows"
)
_ADDED = ResponderRow(
    "added-malicious-library",
    ("Execution: Added Malicious Library Loaded",),
    "loaded a library that was added after the container started",
    Verdict.CONTAIN,
    "a known malicious library is loaded that the image does not have: somebody brought it in",
    (
        attack.INGRESS_TOOL_TRANSFER(
            "{file} was brought into {workload}, or made in it, while it ran: look for what else"
            " came"
        ),
        _LOADED,
    ),
    _INVESTIGATION_STEPS,
)
_MODIFIED = ResponderRow(
    "modified-malicious-library",
    ("Execution: Modified Malicious Library Loaded",),
    "loaded a library of its image that was modified after the container started",
    Verdict.CONTAIN,
    "a known malicious library stands where one of the image's own was",
    (
        attack.INGRESS_TOOL_TRANSFER(
            "{file} of {workload} was changed or brought in while it ran: look for the entry point"
        ),
        _LOADED,
        attack.HIJACK_FLOW("{program} loads {file} as it always does, and gets something else"),
    ),
    _INVESTIGATION_STEPS,
)


def library_suspect(finding: Finding) -> Suspect:
    """The process that loaded a library, and the library; a whole-file hash is preferred."""
    loads = [(each, library) for each in finding.processes for library in each.libraries]

    def has_hash(load: tuple[DetectedProcess, File]) -> tuple[bool, bool]:
        _, library = load
        return library.sha256 is not None and not library.partially_hashed, bool(library.sha256)

    process, library = max(loads, key=has_hash, default=(finding.main_process, None))
    return Suspect(process, library)


def _finding_reasons(finding: Finding) -> tuple[Reason, ...]:
    paths = [library.path for each in finding.processes for library in each.libraries]
    distinct = list(dict.fromkeys(path for path in paths if path))
    named = ", ".join(distinct[:_MAX_LISTED])
    more = f" and {len(distinct) - _MAX_LISTED} more" if len(distinct) > _MAX_LISTED else ""
    listed = Reason(f"libraries that the finding names: {named}{more}", "finding")
    return (*((listed,) if named else ()), *hash_reasons(library_suspect(finding).file))


def _summary(finding: Finding, how: str) -> str:
    found = library_suspect(finding)
    library = found.file.path if found.file and found.file.path else "a library"
    return (
        f"{program_label(found.process)} in {workload_label(finding)} loaded {library},"
        f" which {how} after the"
        " container started and matches a file that Google knows as malicious"
    )


RESPONDERS = (
    _ADDED.responder(
        suspect=library_suspect,
        from_finding=_finding_reasons,
        summary=lambda found: _summary(found, "was added"),
    ),
    _MODIFIED.responder(
        suspect=library_suspect,
        from_finding=_finding_reasons,
        summary=lambda found: _summary(found, "was modified"),
    ),
)
