"""What every responder reads from the evidence, whatever the finding is about. Pure.

Sentences about one kind of finding belong to its responder. Nothing is cut here: text is cut
once it is redacted, since half a secret is not recognised any more.
"""

from __future__ import annotations

from incident.model import (
    Confidence,
    Evidence,
    File,
    Finding,
    Lookup,
    Process,
    Reason,
    Verdict,
)

# One engine or two may be mistaken.
_SEVERAL_ENGINES = 3


def place(finding: Finding) -> str:
    """Where it happened, for a sentence: the workload's name, else the resource's."""
    return finding.workload.name if finding.workload else finding.resource_name


def program(process: Process | None, unknown: str = "a program") -> str:
    """What was executed, for a sentence: its path, else its name."""
    return (process.binary_path or process.name if process else "") or unknown


def confidence(evidence: Evidence, verdict: Verdict = Verdict.CONTAIN) -> Confidence:
    """How sure it is that hostile code runs.

    SCC's own record makes it likely, other findings on the workload or several engines of
    VirusTotal make it sure; what is often benign is one step less likely. A mere claim is weak.
    """
    if not evidence.confirmed:
        return Confidence.LOW
    steps = (Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)
    reputation = evidence.reputation
    notorious = reputation is not None and reputation.malicious >= _SEVERAL_ENGINES
    borne_out = bool(evidence.related) or notorious
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
    return (Reason(text, "security-center"),)


def file_hash(file: File | None, called: str = "executed file") -> tuple[Reason, ...]:
    """What can be done with a file's hash."""
    if file is None or not file.sha256:
        text = "the finding names no hash, so the file cannot be looked up elsewhere"
    elif file.partially_hashed:
        text = (
            "the hash covers only the beginning of the file: VirusTotal was not asked, since it"
            " means nothing there"
        )
    else:
        text = f"the {called} has SHA-256 {file.sha256}"
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
        text = f"{text}{label}{since}"
    elif found.lookup is Lookup.UNKNOWN:
        text = f"{text}: it may have been made for this attack"
    return (Reason(text, "virustotal"),)


def related(evidence: Evidence) -> tuple[Reason, ...]:
    """Whether the finding stands alone."""
    if evidence.related is None:
        return ()
    if not evidence.related:
        text = "no other finding on this workload in the time around it"
        return (Reason(text, "related-findings"),)
    categories = ", ".join(sorted({finding.category for finding in evidence.related}))
    text = f"other findings on this workload near in time make an attack likely: {categories}"
    return (Reason(text, "related-findings"),)
