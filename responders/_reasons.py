"""Confidence and reasons that all responders derive from the evidence. Pure.

Text is not cut here but after redaction: half a secret would not be recognised.
"""

from __future__ import annotations

import re
from dataclasses import replace

from incident.model import (
    Confidence,
    DetectedProcess,
    Evidence,
    File,
    Finding,
    Lookup,
    Reason,
    RelatedFinding,
    Reputation,
    Suspect,
    Technique,
    Verdict,
    cut_reason,
    format_duration,
)

# One or two engines may be wrong; and few engines without a hit prove nothing.
_SEVERAL_ENGINES, _MANY_ENGINES = 3, 10
# Detected by the file itself. The other detectors see behaviour, which a program that is on
# every system may show.
_DETECTED_BY_FILE = ("Malicious Binary", "Malicious Library")
_RELATED, _MAX_LISTED = "related-findings", 5


def workload_label(finding: Finding) -> str:
    """Where it happened, for a sentence: the workload's name, else the resource's."""
    return finding.workload.name if finding.workload else finding.resource_name


def program_label(process: DetectedProcess | None, unknown: str = "a program") -> str:
    """What was executed, for a sentence: its path, else its name."""
    return (process.binary_path or process.name if process else "") or unknown


def fill_placeholders(technique: Technique, suspect: Suspect, workload: str) -> Technique:
    """A technique with the names of what a finding is about.

    Only our own text is looked through for places: what an attacker chose is never a pattern.
    """
    parts = re.split(r"(\{\w+\})", technique.meaning)
    names = {
        "{workload}": workload,
        "{program}": program_label(suspect.process, "the program"),
        "{file}": (suspect.file.path if suspect.file else "") or "the file",
    }
    return replace(technique, meaning="".join(names.get(part, part) for part in parts))


def confidence(evidence: Evidence, verdict: Verdict = Verdict.CONTAIN) -> Confidence:
    """How sure it is that hostile code runs.

    SCC's own record makes it likely; another finding type that belongs to the same attack, or
    several engines of VirusTotal, make it sure; what is often benign is one step less likely, and
    so is a malicious file that no engine calls so. A mere claim is weak, and a coincidence counts
    for nothing.
    """
    if not evidence.confirmed:
        return Confidence.LOW
    steps = (Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)
    found = evidence.reputation
    notorious = found is not None and found.malicious >= _SEVERAL_ENGINES
    corroborated = notorious or any(each.raises_confidence for each in evidence.correlations or ())
    step = corroborated + (verdict is Verdict.CONTAIN) - _contradicted(evidence)
    return steps[max(step, 0)]


def _contradicted(evidence: Evidence) -> bool:
    """Whether the file that a finding calls malicious is so to none of many engines."""
    found = evidence.reputation
    return (
        found is not None
        and found.engines >= _MANY_ENGINES
        and found.malicious + found.suspicious == 0
        and any(words in evidence.finding.categories[0] for words in _DETECTED_BY_FILE)
    )


def corroborating_reasons(evidence: Evidence) -> tuple[Reason, ...]:
    """What else makes it more or less sure: what is known of the file, other findings.

    What an attacker could reach does not count here.
    """
    return (*reputation_reasons(evidence), *related_reasons(evidence))


def ordered_reasons(
    evidence: Evidence, conclusion: str, from_finding: tuple[Reason, ...]
) -> tuple[Reason, ...]:
    """The reasons in the order in which an analyst wants them.

    What it means comes first, unless the finding is a mere claim: then nothing else matters more.

    Args:
        evidence: What was gathered.
        conclusion: Why the finding type is taken as it is.
        from_finding: What the finding itself says.
    """
    confirmed = confirmation_reasons(evidence)
    reasons = (Reason(conclusion, "responder"), *from_finding, *corroborating_reasons(evidence))
    return (*reasons, *confirmed) if evidence.confirmed else (*confirmed, *reasons)


def confirmation_reasons(evidence: Evidence) -> tuple[Reason, ...]:
    """Whether SCC lists the finding."""
    if evidence.confirmed:
        text = "Security Command Center lists the finding itself"
        return (Reason(text, "security-center"),)
    text = "Security Command Center does not list the finding: the notification alone claims it"
    if any(gap.collector == "security-center" for gap in evidence.gaps):
        text = f"whether the finding is listed is {evidence.describe_gap('security-center')}"
    return (Reason(text, "security-center"),)


def hash_reasons(file: File | None) -> tuple[Reason, ...]:
    """What can be done with a file's hash."""
    if file is None or not file.sha256:
        text = "the finding names no hash, so the file cannot be looked up elsewhere"
    elif file.partially_hashed:
        text = (
            f"the hash covers only the beginning of the {file.role}: VirusTotal was not asked,"
            " since it means nothing there"
        )
    else:
        text = f"the {file.role} has SHA-256 {file.sha256}"
    return (Reason(text, "finding"),)


def reputation_reasons(evidence: Evidence) -> tuple[Reason, ...]:
    """What VirusTotal says of the file, or why it says nothing."""
    found = evidence.reputation
    if found is None or found.lookup in (Lookup.NO_HASH, Lookup.PARTIAL_HASH):
        return ()
    text = found.summary
    if found.lookup is Lookup.KNOWN:
        label = f", as {found.label}" if found.label and found.malicious else ""
        since = f"; first seen {found.first_seen:%Y-%m-%d}" if found.first_seen else ""
        text = f"{text}{label}{since}{_reputation_weight(evidence, found)}"
    elif found.lookup is Lookup.UNKNOWN and not found.without_verdicts:
        text = f"{text}: it may have been made for this attack"
    return (Reason(text, "virustotal"),)


def _reputation_weight(evidence: Evidence, found: Reputation) -> str:
    """What the number of engines says for or against the finding."""
    if found.malicious >= _SEVERAL_ENGINES:
        return "; this makes it more certain"
    if found.malicious:
        return "; so few may be mistaken"
    if found.suspicious:
        return f"; {found.suspicious} of them suspect it"
    if _contradicted(evidence):
        return "; this speaks against the finding and makes it less certain"
    return "; that proves nothing"


def related_reasons(evidence: Evidence) -> tuple[Reason, ...]:
    """Which other findings make it more certain, which do not, why, and when was looked."""
    relations = evidence.correlations
    if relations is None and evidence.finding.workload is None:
        text = "no other findings were looked for: this one names no Cloud Run workload"
        return (Reason(text, "finding"),)
    if relations is None:
        text = f"whether other findings belong to it is {evidence.describe_gap(_RELATED)}"
        return (Reason(text, _RELATED),)
    window = _search_window(evidence)
    cut = cut_reason(evidence.related)
    if not relations and not cut:
        return (Reason(f"no other finding on this workload {window}", _RELATED),)
    corroborating = tuple(each for each in relations if each.raises_confidence)
    others = tuple(each for each in relations if not each.raises_confidence)
    searched = Reason(
        f"other findings were looked for {window}{f'; {cut}' if cut else ''}", _RELATED
    )
    return (*_corroborating(corroborating), *_not_corroborating(others), searched)


def _search_window(evidence: Evidence) -> str:
    """In which time other findings were looked for: silence about other days is no all-clear."""
    if evidence.window is None:
        return "near the event in time"
    event, (start, end) = evidence.finding.event_time, evidence.window
    before, after = format_duration(event - start), format_duration(end - event)
    return f"from {before} before the event to {after} after it; other times were not searched"


def _corroborating(relations: tuple[RelatedFinding, ...]) -> tuple[Reason, ...]:
    """The findings that make it more certain, each with why."""
    if not relations:
        return ()
    makes = "1 other finding makes"
    if len(relations) > 1:
        makes = f"{len(relations)} other findings make"
    named = "; ".join(f"{each.category} ({each.reason})" for each in relations[:_MAX_LISTED])
    more = f"; and {len(relations) - _MAX_LISTED} more" if len(relations) > _MAX_LISTED else ""
    return (Reason(f"{makes} it more certain: {named}{more}", _RELATED),)


def _not_corroborating(relations: tuple[RelatedFinding, ...]) -> tuple[Reason, ...]:
    """The findings that do not change the confidence."""
    if not relations:
        return ()
    if len(relations) == 1:
        (one,) = relations
        text = f"1 other finding does not make it more certain: {one.category} ({one.text})"
        return (Reason(text, _RELATED),)
    named = sorted({each.category for each in relations})
    more = f" and {len(named) - _MAX_LISTED} more types" if len(named) > _MAX_LISTED else ""
    text = (
        f"{len(relations)} other findings do not make it more certain:"
        f" {', '.join(named[:_MAX_LISTED])}"
    )
    return (Reason(f"{text}{more}", _RELATED),)
