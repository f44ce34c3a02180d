"""Malicious Script Executed and Execution: Malicious Python executed.

A model of the detector has read the text of the script and calls it malicious; no signature and
no hash is behind that. The finding names the interpreter as the process's binary, and the script
under ``processes[].script``, with its contents where the detector kept them.
"""

from __future__ import annotations

from incident.model import Finding, Process, Reason, Suspect, Verdict
from responders import _attack as attack
from responders._look_at import ACCOUNT, WAY_IN
from responders._reading import file_hash, place, program
from responders._row import Row

_BECAUSE = "the detector's model reads it as an attack, and what runs unasked has no place in it"
_LOOK_AT = (
    "the script's text, in the case file's finding: what it fetches, changes and runs",
    "whether it is yours: what a container is to do belongs in its image, not in a later script",
    "the parent process: what started the interpreter",
    WAY_IN,
    ACCOUNT,
)
_FETCH = attack.INGRESS_TOOL_TRANSFER(
    "such scripts usually fetch the next tool into {workload} and start it"
)
_SHELL = Row(
    "malicious-script",
    ("Malicious Script Executed",),
    "ran a shell script that was found to be malicious",
    Verdict.CONTAIN,
    _BECAUSE,
    (
        attack.UNIX_SHELL("{program} does the work of {file}: no malicious program need exist"),
        _FETCH,
    ),
    _LOOK_AT,
)
_PYTHON = Row(
    "malicious-python",
    ("Execution: Malicious Python executed",),
    "ran Python code that was found to be malicious",
    Verdict.CONTAIN,
    _BECAUSE,
    (attack.PYTHON("{program} does the work of {file}: no malicious program need exist"), _FETCH),
    _LOOK_AT,
)


def suspect(finding: Finding) -> Suspect:
    """The process that interprets a script, and the script; one with its text tells most."""
    running = [each for each in finding.processes if each.script]

    def telling(process: Process) -> tuple[bool, bool]:
        script = process.script
        return bool(script and script.contents), bool(script and script.sha256)

    process = max(running, key=telling, default=finding.main_process)
    return Suspect(process, process.script if process else None)


def _read(finding: Finding) -> tuple[Reason, ...]:
    script = suspect(finding).file
    model = Reason("a model of the detector judged the text; no signature matched", "finding")
    if script is None:
        return (model, Reason("the finding does not name the script itself", "finding"))
    length = len(script.contents)
    told = (
        f"the finding keeps {length} characters of its text" if length else "its text is not kept"
    )
    return (model, Reason(told, "finding"), *file_hash(script))


def _tell(finding: Finding, row: Row) -> str:
    found = suspect(finding)
    which = f": {found.file.path}" if found.file and found.file.path else ""
    return f"{program(found.process, 'an interpreter')} in {place(finding)} {row.happened}{which}"


RESPONDERS = (
    _SHELL.responder(suspect=suspect, read=_read, tell=lambda found: _tell(found, _SHELL)),
    _PYTHON.responder(suspect=suspect, read=_read, tell=lambda found: _tell(found, _PYTHON)),
)
