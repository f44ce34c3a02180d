"""A responder made of data: one row of a table.

The tables have a module for each tactic. What needs to read more of a finding than its process
has a module of its own, and gives the row functions that do so.

The finding types are those of Google's overview of Cloud Run Threat Detection, as of April 2026,
spelled as there. Two are spelled in another way elsewhere in Google's documentation, and answer
to both. That findings carry just these texts is likely and was not observed; what is spelled
otherwise is an unknown type, which is investigated and held. The verdicts are our judgement:
``contain`` where it means that hostile code runs, ``hold`` where honest software does the same.
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
from responders._look_at import look_at
from responders._reading import (
    argued,
    confidence,
    file_hash,
    here,
    place,
    program,
)

CONTAIN, HOLD = Verdict.CONTAIN, Verdict.HOLD


def main_suspect(finding: Finding) -> Suspect:
    """The main process and its binary."""
    return finding.suspect


def read_hash(finding: Finding) -> tuple[Reason, ...]:
    """What can be done with the binary's hash."""
    return file_hash(finding.suspect.file)


@dataclass(frozen=True, slots=True)
class Row:
    """What is known about one finding type.

    Attributes:
        name: The responder's name.
        categories: The finding types as SCC displays them, the documented one first.
        happened: What the program did, after "<program> in <workload>".
        verdict: ``contain`` where it means that hostile code runs, ``hold`` where it is often
            benign.
        because: Why that verdict, as the end of a sentence.
        techniques: MITRE ATT&CK, with what each means for ``{program}``, ``{file}`` and
            ``{workload}``.
        look_at: What a person should look at, in order.
    """

    name: str
    categories: tuple[str, ...]
    happened: str
    verdict: Verdict
    because: str
    techniques: tuple[Technique, ...]
    look_at: tuple[str, ...]

    def responder(
        self,
        *,
        suspect: Callable[[Finding], Suspect] = main_suspect,
        read: Callable[[Finding], tuple[Reason, ...]] = read_hash,
        tell: Callable[[Finding], str] | None = None,
    ) -> Responder:
        """The responder that answers so.

        Args:
            suspect: Which process and file of the finding are meant.
            read: What the finding itself says, beside what every finding says.
            tell: What was detected, in one sentence, where ``happened`` is not enough.
        """

        def assess(evidence: Evidence) -> Assessment:
            finding = evidence.finding
            plain = f"{program(suspect(finding).process)} in {place(finding)} {self.happened}"
            return Assessment(
                summary=tell(finding) if tell else plain,
                confidence=confidence(evidence, self.verdict),
                reasons=argued(evidence, self._judgement, read(finding)),
                techniques=self._techniques(suspect(finding), place(finding)),
                verdict=self.verdict,
                look_at=look_at(self.look_at, finding),
            )

        return Responder(
            name=self.name,
            categories=self.categories,
            assess=assess,
            suspect=suspect,
            verdict=self.verdict,
            because=self.because,
            techniques=self._techniques(Suspect(None, None), "the workload"),
            look_at=self.look_at,
        )

    def _techniques(self, suspect: Suspect, where: str) -> tuple[Technique, ...]:
        return tuple(here(technique, suspect, where) for technique in self.techniques)

    @property
    def _judgement(self) -> str:
        taken = "taken for hostile" if self.verdict is Verdict.CONTAIN else "not hostile by itself"
        return f"{taken}: {self.because}"
