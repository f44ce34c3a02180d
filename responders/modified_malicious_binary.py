"""Execution: Modified Malicious Binary Executed, of Cloud Run Threat Detection.

A binary that came with the container image was changed at run time, was executed, and is
known to be malicious. Google documents the finding type with the MITRE ATT&CK techniques
Ingress Tool Transfer (T1105) and Native API (T1106).
"""

from __future__ import annotations

from incident.model import (
    Assessment,
    Confidence,
    Evidence,
    Finding,
    Kind,
    Lookup,
    Reason,
    Responder,
    Technique,
    Template,
    Verdict,
)

CATEGORY = "Execution: Modified Malicious Binary Executed"
# One engine or two may be mistaken.
_SEVERAL_ENGINES = 3
_DEFAULT_ACCOUNT = "-compute@developer.gserviceaccount.com"


def assess(evidence: Evidence) -> Assessment:
    """What was detected, how sure that is, and why. Pure."""
    return Assessment(
        summary=_summary(evidence.finding),
        confidence=_confidence(evidence),
        reasons=(
            *_confirmation(evidence),
            *_hash(evidence),
            *_reputation(evidence),
            *_related(evidence),
            *_exposure(evidence),
            *_identity(evidence),
            *_persistence(evidence),
        ),
        techniques=_techniques(evidence),
        verdict=Verdict.CONTAIN,
    )


def _summary(finding: Finding) -> str:
    process = finding.main_process
    binary = process.binary_path if process and process.binary_path else "a binary of its image"
    where = finding.workload.name if finding.workload else finding.resource_name
    return (
        f"{binary} in {where} was modified after the container started, was executed, and"
        " matches a known malicious file"
    )


def _confidence(evidence: Evidence) -> Confidence:
    """SCC's own record makes it likely; other findings, or VirusTotal, make it sure."""
    if not evidence.confirmed:
        return Confidence.LOW
    reputation = evidence.reputation
    notorious = reputation is not None and reputation.malicious >= _SEVERAL_ENGINES
    return Confidence.HIGH if evidence.related or notorious else Confidence.MEDIUM


def _confirmation(evidence: Evidence) -> tuple[Reason, ...]:
    if evidence.confirmed:
        return (Reason("Security Command Center lists the finding itself", "security-center"),)
    text = "Security Command Center does not list the finding: the notification alone claims it"
    return (Reason(text, "security-center"),)


def _hash(evidence: Evidence) -> tuple[Reason, ...]:
    process = evidence.finding.main_process
    if process is None or not process.sha256:
        text = "the finding names no hash, so the file cannot be looked up elsewhere"
    elif process.partially_hashed:
        text = (
            "the hash covers only the beginning of the file: VirusTotal was not asked, since it"
            " means nothing there"
        )
    else:
        text = f"the executed file has SHA-256 {process.sha256}"
    return (Reason(text, "finding"),)


def _reputation(evidence: Evidence) -> tuple[Reason, ...]:
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


def _related(evidence: Evidence) -> tuple[Reason, ...]:
    if evidence.related is None:
        return ()
    if not evidence.related:
        text = "no other finding on this workload in the time around it"
        return (Reason(text, "related-findings"),)
    categories = ", ".join(sorted({finding.category for finding in evidence.related}))
    text = f"other findings on this workload near in time ({categories}): an attack, not a slip"
    return (Reason(text, "related-findings"),)


def _exposure(evidence: Evidence) -> tuple[Reason, ...]:
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


def _identity(evidence: Evidence) -> tuple[Reason, ...]:
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


def _revision(affected: Template) -> tuple[Reason, ...]:
    if not affected.revision:
        return ()
    made = f", made {affected.create_time:%Y-%m-%d %H:%M} UTC" if affected.create_time else ""
    by = f" by {affected.creator}" if affected.creator else ""
    return (Reason(f"it ran in revision {affected.revision}{made}{by}", "revisions"),)


def _persistence(evidence: Evidence) -> tuple[Reason, ...]:
    affected = evidence.affected
    kept = [volume.source for volume in affected.volumes if volume.persists] if affected else []
    if not kept:
        return ()
    text = f"a modified file may survive a restart on what it mounts: {', '.join(kept)}"
    return (Reason(text, "settings"),)


def _techniques(evidence: Evidence) -> tuple[Technique, ...]:
    process = evidence.finding.main_process
    binary = process.binary_path if process and process.binary_path else "the binary"
    return (
        Technique(
            id="T1105",
            name="Ingress Tool Transfer",
            tactic="Command and Control",
            meaning=(
                f"the content that replaced {binary} was brought into the running container from"
                " outside: look for the way in, and for what else came with it"
            ),
            url="https://attack.mitre.org/techniques/T1105/",
        ),
        Technique(
            id="T1106",
            name="Native API",
            tactic="Execution",
            meaning=(
                f"{binary} was started through the operating system's own calls, under a name that"
                " the image made trustworthy: what it did needs no shell to show in the logs"
            ),
            url="https://attack.mitre.org/techniques/T1106/",
        ),
    )


RESPONDER = Responder(name="modified-malicious-binary", categories=(CATEGORY,), assess=assess)
