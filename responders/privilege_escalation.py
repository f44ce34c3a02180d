"""Privilege Escalation: exploits that make root of any user."""

from __future__ import annotations

from responders import _mitre_attack as attack
from responders._investigation_steps import ENTRY_POINT, SERVICE_ACCOUNT
from responders._table_row import CONTAIN, ResponderRow

TABLE = (
    ResponderRow(
        "sudo-cve-2019-14287",
        ("Privilege Escalation: Abuse of Sudo For Privilege Escalation (CVE-2019-14287)",),
        "was executed with the arguments of an exploit of sudo (CVE-2019-14287)",
        CONTAIN,
        "nobody asks sudo for user -1 by mistake: an exploit runs, whether or not it worked",
        (
            attack.SUDO("{program} passes a rule that forbids root by naming user -1 or its like"),
            attack.EXPLOIT_FOR_PRIVILEGES(
                "sudo before 1.8.28 gives root in the container of {workload} for it"
            ),
        ),
        (
            "whether the image has sudo at all, and in which version",
            "the user id of what ran afterwards: 0 means that it worked",
            ENTRY_POINT,
            SERVICE_ACCOUNT,
        ),
    ),
    ResponderRow(
        "polkit-cve-2021-4034",
        ("Privilege Escalation: Polkit Local Privilege Escalation Vulnerability (CVE-2021-4034)",),
        "was executed in the manner of an exploit of pkexec (CVE-2021-4034)",
        CONTAIN,
        "that environment is of no use to pkexec but to exploit it: an exploit runs",
        (
            attack.EXPLOIT_FOR_PRIVILEGES(
                "an unpatched pkexec gives any user root in the container of {workload}"
            ),
        ),
        (
            "whether the image has pkexec at all, and in which version",
            "the user id of what ran afterwards: 0 means that it worked",
            ENTRY_POINT,
            SERVICE_ACCOUNT,
        ),
    ),
    ResponderRow(
        "sudo-cve-2021-3156",
        ("Privilege Escalation: Sudo Potential Privilege Escalation (CVE-2021-3156)",),
        "was executed with the arguments of an exploit of sudo (CVE-2021-3156)",
        CONTAIN,
        "arguments that end in a lone backslash are what overflows sudo: an exploit runs",
        (
            attack.EXPLOIT_FOR_PRIVILEGES(
                "an unpatched sudo gives any user root in the container of {workload}"
            ),
            attack.SUDO("{program} needs no entry in sudoers for it: sudoedit is the way"),
        ),
        (
            "whether the image has sudo at all, and in which version",
            "the user id of what ran afterwards: 0 means that it worked",
            ENTRY_POINT,
            SERVICE_ACCOUNT,
        ),
    ),
)

RESPONDERS = tuple(row.responder() for row in TABLE)
