"""A responder made of data: one row of a table.

The tables have a module for each tactic. What needs to read more of a finding than its process
has a module of its own, and gives the row functions that do so.

The finding types are those of Google's overview of Cloud Run Threat Detection, as of April 2026,
spelled as there. Three are spelled in another way elsewhere in Google's documentation, and answer
to both. That findings carry just these texts is likely and was not observed; what is spelled
otherwise is recognised by the detector's API name, else investigated and held. The verdicts are
our judgement: ``contain`` where it means that hostile code runs, ``hold`` where legitimate software
does the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from incident.model import (
    Assessment,
    Evidence,
    Finding,
    Reason,
    Responder,
    Suspect,
    Technique,
    Verdict,
)
from responders._investigation_steps import steps_for_workload
from responders._reasons import (
    confidence,
    fill_placeholders,
    hash_reasons,
    ordered_reasons,
    program_label,
    workload_label,
)

CONTAIN, HOLD = Verdict.CONTAIN, Verdict.HOLD


def main_process_suspect(finding: Finding) -> Suspect:
    """The main process and its binary."""
    return finding.suspect


def binary_hash_reasons(finding: Finding) -> tuple[Reason, ...]:
    """What can be done with the binary's hash."""
    return hash_reasons(finding.suspect.file)


@dataclass(frozen=True, slots=True)
class ResponderRow:
    """What is known about one finding type.

    Attributes:
        name: The responder's name.
        categories: The finding types as SCC displays them, the documented one first.
        event_text: What the program did, after "<program> in <workload>".
        verdict: ``contain`` where it means that hostile code runs, ``hold`` where it is often
            benign.
        rationale: Why that verdict, as the end of a sentence.
        techniques: MITRE ATT&CK, with what each means for ``{program}``, ``{file}`` and
            ``{workload}``.
        investigation_steps: What a person should check, in order.
    """

    name: str
    categories: tuple[str, ...]
    event_text: str
    verdict: Verdict
    rationale: str
    techniques: tuple[Technique, ...]
    investigation_steps: tuple[str, ...]

    def responder(
        self,
        *,
        suspect: Callable[[Finding], Suspect] = main_process_suspect,
        from_finding: Callable[[Finding], tuple[Reason, ...]] = binary_hash_reasons,
        summary: Callable[[Finding], str] | None = None,
    ) -> Responder:
        """The responder that answers so.

        Args:
            suspect: Which process and file of the finding are meant.
            from_finding: What the finding itself says, beside what every finding says.
            summary: What was detected, in one sentence, where ``happened`` is not enough.
        """

        def assess(evidence: Evidence) -> Assessment:
            finding = evidence.finding
            default_summary = (
                f"{program_label(suspect(finding).process)} in"
                f" {workload_label(finding)} {self.event_text}"
            )
            return Assessment(
                summary=summary(finding) if summary else default_summary,
                confidence=confidence(evidence, self.verdict),
                reasons=ordered_reasons(evidence, self._conclusion, from_finding(finding)),
                techniques=self._techniques(suspect(finding), workload_label(finding)),
                verdict=self.verdict,
                investigation_steps=steps_for_workload(self.investigation_steps, finding),
            )

        return Responder(
            name=self.name,
            categories=self.categories,
            assess=assess,
            suspect=suspect,
            verdict=self.verdict,
            rationale=self.rationale,
            techniques=self._techniques(Suspect(None, None), "the workload"),
            investigation_steps=self.investigation_steps,
        )

    def _techniques(self, suspect: Suspect, where: str) -> tuple[Technique, ...]:
        return tuple(fill_placeholders(technique, suspect, where) for technique in self.techniques)

    @property
    def _conclusion(self) -> str:
        prefix = "hostile" if self.verdict is Verdict.CONTAIN else "not hostile by itself"
        return f"{prefix}: {self.rationale}"
