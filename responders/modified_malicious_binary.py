"""Execution: Modified Malicious Binary Executed, of Cloud Run Threat Detection.

A binary that came with the container image was changed at run time, was executed, and is
known to be malicious. Google documents the finding type with the MITRE ATT&CK techniques
Ingress Tool Transfer (T1105) and Native API (T1106).
"""

from __future__ import annotations

from incident.model import Assessment, Evidence, Finding, Responder, Suspect, Technique, Verdict
from responders import _mitre_attack as attack
from responders._investigation_steps import FILE_WRITE, SERVICE_ACCOUNT, steps_for_workload
from responders._reasons import (
    confidence,
    fill_placeholders,
    hash_reasons,
    ordered_reasons,
    program_label,
    workload_label,
)

CATEGORY = "Execution: Modified Malicious Binary Executed"
_RATIONALE = "a file that Google knows as malicious runs in place of one of the image's own"
_TECHNIQUES = (
    attack.INGRESS_TOOL_TRANSFER(
        "{program} of {workload} was changed or brought in while it ran: look for the entry point,"
        " and for what else came with it"
    ),
    attack.NATIVE_API(
        "{program} was started through the operating system's own calls, under a name that the"
        " image of {workload} made trustworthy: it needs no shell that would show in the logs"
    ),
)
_INVESTIGATION_STEPS = (
    FILE_WRITE,
    "the SHA-256 on VirusTotal: what the file is, and whom it talks to",
    "related findings on the container near in time: they tell an attack from a bad practice",
    SERVICE_ACCOUNT,
)


def assess(evidence: Evidence) -> Assessment:
    """What was detected, how sure that is, and why. Pure."""
    return Assessment(
        summary=_summary(evidence.finding),
        confidence=confidence(evidence),
        reasons=ordered_reasons(
            evidence,
            f"hostile: {_RATIONALE}",
            hash_reasons(evidence.finding.suspect.file),
        ),
        techniques=_techniques(evidence.finding.suspect, workload_label(evidence.finding)),
        verdict=Verdict.CONTAIN,
        investigation_steps=steps_for_workload(_INVESTIGATION_STEPS, evidence.finding),
    )


def _summary(finding: Finding) -> str:
    return (
        f"{program_label(finding.main_process, 'a binary of its image')} in"
        f" {workload_label(finding)} was modified"
        " after the container started, was executed, and matches a file that Google knows as"
        " malicious"
    )


def _techniques(suspect: Suspect, where: str) -> tuple[Technique, ...]:
    return tuple(fill_placeholders(technique, suspect, where) for technique in _TECHNIQUES)


RESPONDER = Responder(
    name="modified-malicious-binary",
    categories=(CATEGORY,),
    assess=assess,
    rationale=_RATIONALE,
    techniques=_techniques(Suspect(None, None), "the workload"),
    investigation_steps=_INVESTIGATION_STEPS,
)
