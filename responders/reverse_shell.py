"""Reverse Shell.

A process was started whose standard input is a connection to another host. The finding names
both ends under ``sourceProperties`` (``Reverse_Shell_Stdin_Redirection_…``), as its page says.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from incident.model import Connection, Finding, Reason, Verdict
from responders import _mitre_attack as attack
from responders._investigation_steps import ENTRY_POINT, SERVICE_ACCOUNT
from responders._reasons import hash_reasons, program_label, workload_label
from responders._table_row import ResponderRow

# Private, shared, link-local and loopback addresses: RFC 1918, 6598, 3927, 4193, 4291.
_PRIVATE_NETWORKS = tuple(
    map(
        ip_network,
        (
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "169.254.0.0/16",
            "127.0.0.0/8",
            "fc00::/7",
            "fe80::/10",
            "::1/128",
        ),
    )
)
_ROW = ResponderRow(
    "reverse-shell",
    ("Reverse Shell",),
    "was started with a connection to another host as its input",
    Verdict.CONTAIN,
    "who holds the other end of the connection types commands into the container",
    (
        attack.UNIX_SHELL("{program} takes commands from the network and runs them as {workload}"),
        attack.NON_APPLICATION_PROTOCOL(
            "the connection of {program} speaks no protocol of {workload}"
        ),
        attack.INGRESS_TOOL_TRANSFER(
            "tools are usually fetched into {workload} next: look for new files"
        ),
    ),
    (
        "the remote address: block it, and look for it in the logs of all your networks",
        ENTRY_POINT,
        "what was run in the shell: related findings tell some of it, the logs hardly any",
        SERVICE_ACCOUNT,
    ),
)


def _remote_end(connection: Connection | None) -> str:
    """The other end, as people write addresses."""
    if connection is None or not connection.remote_ip:
        return ""
    host = connection.remote_ip
    host = f"[{host}]" if ":" in host and connection.remote_port else host
    return f"{host}:{connection.remote_port}" if connection.remote_port else host


def _finding_reasons(finding: Finding) -> tuple[Reason, ...]:
    connection = finding.connection
    if connection is None or not connection.remote_ip:
        text = "the finding does not name the other end of the connection"
    elif any(ip_address(connection.remote_ip) in network for network in _PRIVATE_NETWORKS):
        text = (
            f"the other end is {_remote_end(connection)}, a private address: look for that"
            " host, it may"
            " be taken as well"
        )
    else:
        text = f"the other end is {_remote_end(connection)}, a public address"
    return (Reason(text, "finding"), *hash_reasons(finding.suspect.file))


def _summary(finding: Finding) -> str:
    end = _remote_end(finding.connection)
    to = f": {end}" if end else ""
    return (
        f"{program_label(finding.main_process, 'a shell')} in {workload_label(finding)}"
        f" {_ROW.event_text}{to}"
    )


RESPONDER = _ROW.responder(from_finding=_finding_reasons, summary=_summary)
