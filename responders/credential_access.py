"""Credential Access: searches for keys, passwords and tokens."""

from __future__ import annotations

from responders import _mitre_attack as attack
from responders._investigation_steps import PARENT_PROCESS, RELATED, SERVICE_ACCOUNT
from responders._table_row import HOLD, ResponderRow

TABLE = (
    ResponderRow(
        "find-google-cloud-credentials",
        (
            "Credential Access: Find Google Cloud Credentials",
            # As Google's newest list of Cloud Run threats has it.
            "Command and Control: Find Google Cloud Credentials",
        ),
        "searched for Google Cloud keys, passwords or other credentials",
        HOLD,
        "start scripts and scanners of the image's own look for key files too",
        (
            attack.CREDENTIALS_IN_FILES(
                "{program} looked for keys of service accounts in the files of {workload}"
            ),
            attack.STEAL_TOKEN(
                "who runs {program} can ask the metadata server for tokens of {workload}, too"
            ),
        ),
        (
            "the arguments: what was searched for, and where",
            PARENT_PROCESS,
            SERVICE_ACCOUNT,
            RELATED,
        ),
    ),
    ResponderRow(
        "gpg-key-reconnaissance",
        ("Credential Access: GPG Key Reconnaissance",),
        "searched for GPG keys",
        HOLD,
        "package managers and signing jobs list keys as part of their work",
        (
            attack.PRIVATE_KEYS(
                "{program} looked for keys in {workload} that decrypt or sign for you"
            ),
        ),
        (
            "whether private keys are in the image or mounted at all; if so, revoke them",
            "the arguments: listing public keys is harmless, exporting secret ones is not",
            PARENT_PROCESS,
            RELATED,
        ),
    ),
    ResponderRow(
        "search-private-keys-or-passwords",
        ("Credential Access: Search Private Keys or Passwords",),
        "searched for private keys, passwords or other credentials",
        HOLD,
        "secret scanners and certificate scripts search the same files",
        (
            attack.PRIVATE_KEYS("{program} looked for private keys in the files of {workload}"),
            attack.CREDENTIALS_IN_FILES(
                "{program} looked for passwords in the files of {workload}"
            ),
        ),
        (
            "the arguments: what was searched for, and where",
            "which secrets are in reach, as files and in the environment: they may be known now",
            PARENT_PROCESS,
            RELATED,
        ),
    ),
)

RESPONDERS = tuple(row.responder() for row in TABLE)
