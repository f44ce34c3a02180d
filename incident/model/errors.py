"""The error tree: what time may heal, and what it will not.

IncidentError
├── Retry              time may heal it: the delivery is not acknowledged and comes again
│   └── Conflict       another writer was at the same resource: read again, rebuild, write again
└── GiveUp             time will not heal it: recorded, said once, acknowledged
    ├── Malformed      the message is not a notification of Security Command Center
    ├── InvalidPolicy  the policy file cannot be read as a policy
    ├── Denied         a permission is missing
    └── Missing        the resource does not exist
"""

from __future__ import annotations


class IncidentError(Exception):
    """Anything that goes wrong with an incident. The message is for a person.

    It says what failed, on what, why, and what to do about it.
    """


class Retry(IncidentError):  # noqa: N818 - named for what to do about it
    """Time may heal it: the delivery is not acknowledged and comes again."""


class Conflict(Retry):
    """Another writer was at the same resource: read again, rebuild, write again."""


class GiveUp(IncidentError):  # noqa: N818 - named for what to do about it
    """Time will not heal it: recorded, said once, acknowledged."""


class Malformed(GiveUp):
    """The message is not a notification of Security Command Center."""


class InvalidPolicy(GiveUp):
    """The policy file is missing or cannot be read as a policy."""


class Denied(GiveUp):
    """A permission is missing; the message names it and where to grant it."""


class Missing(GiveUp):
    """The resource does not exist, or not any more."""
