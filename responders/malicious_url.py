"""Malicious URL Observed.

An address that Google Safe Browsing lists stands in the arguments of a process. The page of the
finding type shows it as "URI"; that it lies in ``indicator.uris`` is likely and was not observed,
so the arguments are read as well.
"""

from __future__ import annotations

import re
from itertools import islice
from urllib.parse import urlsplit

from incident.model import Finding, Reason, Verdict
from responders import _mitre_attack as attack
from responders._reasons import hash_reasons, program_label, workload_label
from responders._table_row import ResponderRow

_MAX_LISTED = 5
# Bounded in every part: whatever the arguments are, reading takes little time.
_MAX_ARGUMENT_LENGTH, _MAX_ARGUMENTS, _MAX_FOUND = 100_000, 100, 50
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://[^\s'\"<>|;]{1,2000}", re.IGNORECASE)
_ROW = ResponderRow(
    "malicious-url",
    ("Malicious URL Observed",),
    "was started with an address that Safe Browsing lists as malicious",
    Verdict.HOLD,
    "crawlers, link checkers and mail filters handle such addresses as their work",
    (
        attack.INGRESS_TOOL_TRANSFER(
            "malware is fetched from such addresses: look for what {program} wrote in {workload},"
            " and for what was started next"
        ),
    ),
    (
        "why Safe Browsing lists the address: see its Site Status page",
        "whether the workload handles strangers' addresses as its work",
        "what was executed just after it: a file that was fetched and started makes it an attack",
        "related findings near in time: alone it may be harmless, among others it is not",
        "the address in the logs of your other workloads",
    ),
)


def named_urls(finding: Finding) -> tuple[str, ...]:
    """The addresses that the finding names, bare; where it names none, those in its arguments."""
    arguments = (argument for process in finding.processes for argument in process.arguments)
    texts = (text[:_MAX_ARGUMENT_LENGTH] for text in islice(arguments, _MAX_ARGUMENTS))
    in_arguments = (match[0] for text in texts for match in _URL.finditer(text))
    named = islice(finding.urls or in_arguments, _MAX_FOUND)
    return tuple(dict.fromkeys(filter(None, map(strip_secrets, named))))[:_MAX_LISTED]


def strip_secrets(url: str) -> str:
    """An address without user, query and fragment, where secrets are; empty where it is none."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return f"{parts.scheme}://{host}{port}{parts.path}" if host else ""


def _finding_reasons(finding: Finding) -> tuple[Reason, ...]:
    named = ", ".join(named_urls(finding))
    from_where = "the finding names" if finding.urls else "its arguments name"
    text = f"{from_where} {named}" if named else "the finding does not name the address"
    return (Reason(text, "finding"), *hash_reasons(finding.suspect.file))


def _summary(finding: Finding) -> str:
    named = ", ".join(named_urls(finding))
    which = f": {named}" if named else ""
    return (
        f"{program_label(finding.main_process)} in {workload_label(finding)}"
        f" {_ROW.event_text}{which}"
    )


RESPONDER = _ROW.responder(from_finding=_finding_reasons, summary=_summary)
