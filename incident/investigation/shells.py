"""Shells that people opened in the running containers, by the audit log. Pure.

Since gcloud 587 whoever has run.services.sshRoot can change a file in a running container: a
harmless cause of a finding about a modified file, and a way in for an attacker.
"""

from __future__ import annotations

from incident.model import AuditEvent, Evidence, ExposureFact, ExposureTopic, found_in

_MOST_LISTED = 5


def describe_shells(evidence: Evidence) -> tuple[ExposureFact, ...]:
    """Who opened a shell before the event, and when, newest first; nothing where nobody did.

    A shell within the window of the finding is a likely cause; an older one is listed.
    """
    event = evidence.finding.event_time
    shells = sorted(
        (each for each in found_in(evidence.audit) if each.opens_shell and each.timestamp <= event),
        key=lambda each: each.timestamp,
        reverse=True,
    )
    return tuple(_describe(each, evidence) for each in shells[:_MOST_LISTED])


def _describe(shell: AuditEvent, evidence: Evidence) -> ExposureFact:
    near = evidence.window is None or shell.timestamp >= evidence.window[0]
    who = shell.principal or "an account that is not named"
    source = f" from {shell.caller_ip}" if shell.caller_ip else ""
    text = f"{who} opened a shell in it on {shell.timestamp:%Y-%m-%d %H:%M:%S} UTC{source}"
    if near:
        text += (
            ": a likely cause, as a shell can change files of a running container, and a likely"
            " entry point. Ask them whether it was they"
        )
    names = (shell.principal,) if shell.principal else ()
    return ExposureFact(ExposureTopic.SHELL, text, "audit-log", names, serious=near)
