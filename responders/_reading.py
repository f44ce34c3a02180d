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
    Kind,
    Lookup,
    Process,
    Reason,
    Template,
    Verdict,
)

# One engine or two may be mistaken.
_SEVERAL_ENGINES = 3
_DEFAULT_ACCOUNT = "-compute@developer.gserviceaccount.com"


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
    """What else is known: of the file, other findings, reach, identity, what persists."""
    return (
        *reputation(evidence),
        *related(evidence),
        *exposure(evidence),
        *identity(evidence),
        *persistence(evidence),
    )


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
    text = f"other findings on this workload near in time ({categories}): an attack, not a slip"
    return (Reason(text, "related-findings"),)


def exposure(evidence: Evidence) -> tuple[Reason, ...]:
    """Who can reach the workload."""
    if evidence.settings is None:
        return ()
    reasons = []
    if evidence.settings.kind is Kind.SERVICE:
        ingress = str(evidence.settings.fields.get("ingress", "")).removeprefix("INGRESS_TRAFFIC_")
        text = f"ingress is {ingress.lower().replace('_', ' ') or 'not set'}"
        reasons.append(Reason(text, "settings"))
    if evidence.settings.fields.get("invokerIamDisabled"):
        reasons.append(Reason("anybody may call it: the invoker check is off", "settings"))
    elif evidence.access is not None:
        who = "anybody may call it" if evidence.access.public else "callers need a grant"
        reasons.append(Reason(f"{who}, by its own IAM policy", "access"))
    return tuple(reasons)


def identity(evidence: Evidence) -> tuple[Reason, ...]:
    """As whom it runs, and what that lets it reach."""
    affected = evidence.affected
    if affected is None:
        return ()
    account = affected.service_account
    if not account or account.endswith(_DEFAULT_ACCOUNT):
        text = (
            f"it runs as the project's default service account ({account or 'none is set'}), which"
            " other workloads share and which often may edit the whole project"
        )
    else:
        text = f"it runs as {account}: its tokens may have been taken and outlive any containment"
    reasons = [*_revision(affected), Reason(text, "settings")]
    if affected.secret_names:
        names = ", ".join(affected.secret_names)
        reasons.append(Reason(f"secrets in reach, to be rotated: {names}", "settings"))
    return tuple(reasons)


def persistence(evidence: Evidence) -> tuple[Reason, ...]:
    """What of an intrusion may survive a restart."""
    affected = evidence.affected
    kept = [volume.source for volume in affected.volumes if volume.persists] if affected else []
    if not kept:
        return ()
    text = f"a modified file may survive a restart on what it mounts: {', '.join(kept)}"
    return (Reason(text, "settings"),)


def _revision(affected: Template) -> tuple[Reason, ...]:
    if not affected.revision:
        return ()
    made = f", made {affected.create_time:%Y-%m-%d %H:%M} UTC" if affected.create_time else ""
    by = f" by {affected.creator}" if affected.creator else ""
    return (Reason(f"it ran in revision {affected.revision}{made}{by}", "revisions"),)
