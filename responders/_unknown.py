"""A finding type of Cloud Run Threat Detection that no responder knows.

Google adds detectors as it goes, so the list is never closed. What we do not know is
investigated like everything else and held for a person, whatever the policy names.
"""

from __future__ import annotations

from incident.model import Assessment, Evidence, Responder, Verdict
from responders._reading import argued, confidence, file_hash, place, program

_BECAUSE = "no responder knows this finding type, so nobody can say what it means"
_LOOK_AT = (
    "Google's page of the finding type, in the index of threat findings",
    "the process, its arguments and its parent in the finding, and what the logs say around it",
    "related findings on the container near in time: they tell an attack from a bad practice",
)


def _assess(evidence: Evidence) -> Assessment:
    finding = evidence.finding
    who = program(finding.main_process, "something")
    return Assessment(
        summary=(
            f"{who} in {place(finding)} was reported as {finding.category[:200]!r}, a finding type"
            " that no responder knows"
        ),
        confidence=confidence(evidence, Verdict.HOLD),
        reasons=argued(
            evidence, f"a person must look: {_BECAUSE}", file_hash(finding.suspect.file)
        ),
        techniques=(),
        verdict=Verdict.HOLD,
        look_at=_LOOK_AT,
    )


UNKNOWN = Responder(
    name="unknown-finding-type",
    categories=(),
    assess=_assess,
    verdict=Verdict.HOLD,
    because=_BECAUSE,
    look_at=_LOOK_AT,
)
