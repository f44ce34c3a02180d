"""Reverse Shell.

A process was started whose standard input is a connection to another host. The finding tells
both ends under ``sourceProperties`` (``Reverse_Shell_Stdin_Redirection_…``), as its page says.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from incident.model import Connection, Finding, Reason, Verdict
from responders import _attack as attack
from responders._look_at import ACCOUNT, WAY_IN
from responders._reading import file_hash, place, program
from responders._row import Row

# Private, shared, link-local and loopback addresses: RFC 1918, 6598, 3927, 4193, 4291.
_PRIVATE = tuple(
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
_ROW = Row(
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
        WAY_IN,
        "what was run in the shell: related findings tell some of it, the logs hardly any",
        ACCOUNT,
    ),
)


def _end(connection: Connection | None) -> str:
    """The other end, as people write addresses."""
    if connection is None or not connection.remote_ip:
        return ""
    host = connection.remote_ip
    host = f"[{host}]" if ":" in host and connection.remote_port else host
    return f"{host}:{connection.remote_port}" if connection.remote_port else host


def _read(finding: Finding) -> tuple[Reason, ...]:
    connection = finding.connection
    if connection is None or not connection.remote_ip:
        text = "the finding does not name the other end of the connection"
    elif any(ip_address(connection.remote_ip) in network for network in _PRIVATE):
        text = (
            f"the other end is {_end(connection)}, a private address: look for that host, it may"
            " be taken as well"
        )
    else:
        text = f"the other end is {_end(connection)}, a public address"
    return (Reason(text, "finding"), *file_hash(finding.suspect.file))


def _tell(finding: Finding) -> str:
    end = _end(finding.connection)
    to = f": {end}" if end else ""
    return f"{program(finding.main_process, 'a shell')} in {place(finding)} {_ROW.happened}{to}"


RESPONDER = _ROW.responder(read=_read, tell=_tell)
