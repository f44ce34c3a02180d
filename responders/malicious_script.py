"""Malicious Script Executed and Execution: Malicious Python executed.

A model of the detector has read the text of the script and calls it malicious; no signature and
no hash is behind that. The finding names the interpreter as the process's binary, and the script
under ``processes[].script``, with its contents where the detector kept them.
"""

from __future__ import annotations

from incident.model import DetectedProcess, Finding, Reason, Suspect, Verdict
from responders import _mitre_attack as attack
from responders._investigation_steps import ENTRY_POINT, SERVICE_ACCOUNT
from responders._reasons import hash_reasons, program_label, workload_label
from responders._table_row import ResponderRow

_RATIONALE = "the detector's model reads it as an attack, and what runs unasked has no place in it"
_INVESTIGATION_STEPS = (
    "the script's text, in the case file's finding: what it fetches, changes and runs",
    "whether it is yours: what a container is to do belongs in its image, not in a later script",
    "the parent process: what started the interpreter",
    ENTRY_POINT,
    SERVICE_ACCOUNT,
)
_FETCH = attack.INGRESS_TOOL_TRANSFER(
    "such scripts usually fetch the next tool into {workload} and start it"
)
_SHELL = ResponderRow(
    "malicious-script",
    ("Malicious Script Executed",),
    "ran a shell script that was found to be malicious",
    Verdict.CONTAIN,
    _RATIONALE,
    (
        attack.UNIX_SHELL("{program} does the work of {file}: no malicious program need exist"),
        _FETCH,
    ),
    _INVESTIGATION_STEPS,
)
_PYTHON = ResponderRow(
    "malicious-python",
    ("Execution: Malicious Python executed",),
    "ran Python code that was found to be malicious",
    Verdict.CONTAIN,
    _RATIONALE,
    (attack.PYTHON("{program} does the work of {file}: no malicious program need exist"), _FETCH),
    _INVESTIGATION_STEPS,
)


def script_suspect(finding: Finding) -> Suspect:
    """The process that interprets a script, and the script; one with its text is preferred."""
    running = [each for each in finding.processes if each.script]

    def has_text(process: DetectedProcess) -> tuple[bool, bool]:
        script = process.script
        return bool(script and script.contents), bool(script and script.sha256)

    process = max(running, key=has_text, default=finding.main_process)
    return Suspect(process, process.script if process else None)


def _finding_reasons(finding: Finding) -> tuple[Reason, ...]:
    script = script_suspect(finding).file
    model = Reason("a model of the detector judged the text; no signature matched", "finding")
    if script is None:
        return (model, Reason("the finding does not name the script itself", "finding"))
    length = len(script.contents)
    contents = (
        f"the finding keeps {length} characters of its text" if length else "its text is not kept"
    )
    return (model, Reason(contents, "finding"), *hash_reasons(script))


def _summary(finding: Finding, row: ResponderRow) -> str:
    found = script_suspect(finding)
    which = f": {found.file.path}" if found.file and found.file.path else ""
    return (
        f"{program_label(found.process, 'an interpreter')} in {workload_label(finding)}"
        f" {row.event_text}{which}"
    )


RESPONDERS = (
    _SHELL.responder(
        suspect=script_suspect,
        from_finding=_finding_reasons,
        summary=lambda found: _summary(found, _SHELL),
    ),
    _PYTHON.responder(
        suspect=script_suspect,
        from_finding=_finding_reasons,
        summary=lambda found: _summary(found, _PYTHON),
    ),
)
