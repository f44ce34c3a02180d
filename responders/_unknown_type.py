"""A finding type of Cloud Run Threat Detection that no responder knows.

Google keeps adding detectors. An unknown type is investigated like every other one and held for
a person, whatever the policy says.
"""

from __future__ import annotations

from incident.model import Assessment, Evidence, Responder, Verdict
from responders._reasons import (
    confidence,
    hash_reasons,
    ordered_reasons,
    program_label,
    workload_label,
)

_RATIONALE = "no responder knows this finding type, so nobody can say what it means"
_INVESTIGATION_STEPS = (
    "Google's page of the finding type, in the index of threat findings",
    "the process, its arguments and its parent in the finding, and what the logs say around it",
    "related findings on the container near in time: they tell an attack from a bad practice",
)


def _assess(evidence: Evidence) -> Assessment:
    finding = evidence.finding
    process_label = program_label(finding.main_process, "something")
    return Assessment(
        summary=(
            f"{process_label} in {workload_label(finding)} was reported as"
            f" {finding.category[:200]!r}, a finding type"
            " that no responder knows"
        ),
        confidence=confidence(evidence, Verdict.HOLD),
        reasons=ordered_reasons(
            evidence, f"a person must look: {_RATIONALE}", hash_reasons(finding.suspect.file)
        ),
        techniques=(),
        verdict=Verdict.HOLD,
        investigation_steps=_INVESTIGATION_STEPS,
    )


UNKNOWN_TYPE = Responder(
    name="unknown-finding-type",
    categories=(),
    assess=_assess,
    verdict=Verdict.HOLD,
    rationale=_RATIONALE,
    investigation_steps=_INVESTIGATION_STEPS,
)
