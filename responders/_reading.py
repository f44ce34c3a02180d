"""What every responder reads from the evidence, whatever the finding is about. Pure.

Sentences about one kind of finding belong to its responder. Nothing is cut here: text is cut
once it is redacted, since half a secret is not recognised any more.
"""

from __future__ import annotations

import re
from dataclasses import replace

from incident.model import (
    Confidence,
    Evidence,
    File,
    Finding,
    Lookup,
    Process,
    Reason,
    Related,
    Suspect,
    Technique,
    Verdict,
)

# One engine or two may be mistaken.
_SEVERAL_ENGINES = 3
_RELATED, _MOST = "related-findings", 5


def place(finding: Finding) -> str:
    """Where it happened, for a sentence: the workload's name, else the resource's."""
    return finding.workload.name if finding.workload else finding.resource_name


def program(process: Process | None, unknown: str = "a program") -> str:
    """What was executed, for a sentence: its path, else its name."""
    return (process.binary_path or process.name if process else "") or unknown


def here(technique: Technique, suspect: Suspect, where: str) -> Technique:
    """A technique with the names of what a finding is about.

    Only our own text is looked through for places: what an attacker chose is never a pattern.
    """
    parts = re.split(r"(\{\w+\})", technique.meaning)
    names = {
        "{workload}": where,
        "{program}": program(suspect.process, "the program"),
        "{file}": (suspect.file.path if suspect.file else "") or "the file",
    }
    return replace(technique, meaning="".join(names.get(part, part) for part in parts))


def confidence(evidence: Evidence, verdict: Verdict = Verdict.CONTAIN) -> Confidence:
    """How sure it is that hostile code runs.

    SCC's own record makes it likely; another finding type that belongs to the same attack, or
    several engines of VirusTotal, make it sure; what is often benign is one step less likely. A
    mere claim is weak, and a coincidence counts for nothing.
    """
    if not evidence.confirmed:
        return Confidence.LOW
    steps = (Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)
    reputation = evidence.reputation
    notorious = reputation is not None and reputation.malicious >= _SEVERAL_ENGINES
    borne_out = notorious or any(each.raises for each in evidence.relations or ())
    return steps[borne_out + (verdict is Verdict.CONTAIN)]


def circumstances(evidence: Evidence) -> tuple[Reason, ...]:
    """What else makes it more or less sure: what is known of the file, other findings.

    What an attacker could reach makes nothing surer, and is told apart from this.
    """
    return (*reputation(evidence), *related(evidence))


def confirmation(evidence: Evidence) -> tuple[Reason, ...]:
    """Whether SCC lists the finding."""
    if evidence.confirmed:
        return (Reason("Security Command Center lists the finding itself", "security-center"),)
    text = "Security Command Center does not list the finding: the notification alone claims it"
    if any(gap.collector == "security-center" for gap in evidence.gaps):
        text = f"whether the finding is listed is {evidence.unknown('security-center')}"
    return (Reason(text, "security-center"),)


def file_hash(file: File | None) -> tuple[Reason, ...]:
    """What can be done with a file's hash."""
    if file is None or not file.sha256:
        text = "the finding names no hash, so the file cannot be looked up elsewhere"
    elif file.partially_hashed:
        text = (
            f"the hash covers only the beginning of the {file.called}: VirusTotal was not asked,"
            " since it means nothing there"
        )
    else:
        text = f"the {file.called} has SHA-256 {file.sha256}"
    return (Reason(text, "finding"),)


def reputation(evidence: Evidence) -> tuple[Reason, ...]:
    """What VirusTotal says of the file, or why it says nothing."""
    found = evidence.reputation
    if found is None or found.lookup in (Lookup.NO_HASH, Lookup.PARTIAL_HASH):
        return ()
    text = found.sentence
    if found.lookup is Lookup.KNOWN:
        label = f", as {found.label}" if found.label else ""
        since = f"; first seen {found.first_seen:%Y-%m-%d}" if found.first_seen else ""
        surer = "; it is surer by that" if found.malicious >= _SEVERAL_ENGINES else ""
        text = f"{text}{label}{since}{surer}"
    elif found.lookup is Lookup.UNKNOWN:
        text = f"{text}: it may have been made for this attack"
    return (Reason(text, "virustotal"),)


def related(evidence: Evidence) -> tuple[Reason, ...]:
    """Which other findings make it surer, which do not, and why."""
    relations = evidence.relations
    if relations is None:
        text = f"whether other findings belong to it is {evidence.unknown(_RELATED)}"
        return (Reason(text, _RELATED),)
    if not relations:
        return (Reason("no other finding on this workload in the time around it", _RELATED),)
    telling = [each for each in relations if each.raises]
    more = f"; and {len(telling) - _MOST} more" if len(telling) > _MOST else ""
    named = "; ".join(f"{each.category} ({each.why})" for each in telling[:_MOST])
    surer = (Reason(f"surer by what belongs to it: {named}{more}", _RELATED),) if telling else ()
    return (*surer, *_beside(tuple(each for each in relations if not each.raises)))


def _beside(relations: tuple[Related, ...]) -> tuple[Reason, ...]:
    """The findings that change nothing; each of them is told apart in the list."""
    if not relations:
        return ()
    categories = ", ".join(sorted({each.category for each in relations})[:_MOST])
    are = (
        "is 1 other finding that makes"
        if len(relations) == 1
        else (f"are {len(relations)} other findings that make")
    )
    text = f"there {are} it no surer, each for the reason given with it: {categories}"
    return (Reason(text, _RELATED),)
