"""Error tree: transient (Retry) or permanent (GiveUp).

IncidentError
├── Retry              transient: the delivery is not acknowledged, and Pub/Sub redelivers it
│   ├── Inconsistent   the store contradicts itself: logged as an ERROR besides
│   └── Conflict       another writer changed the resource: read again, rebuild, write again
└── GiveUp             permanent: recorded, logged once, acknowledged
    ├── Malformed      the message is not a notification of Security Command Center
    ├── InvalidPolicy  the policy file cannot be read as a policy
    ├── InvalidPlaybook  the playbook file cannot be read as a playbook
    ├── Denied         a permission is missing
    └── Missing        the resource does not exist
"""

from __future__ import annotations


class IncidentError(Exception):
    """An error of an incident. The message says what failed, on what, why, and what to do."""


class Retry(IncidentError):  # noqa: N818 - named for what to do about it
    """Transient: the delivery is not acknowledged, and Pub/Sub redelivers it."""


class Inconsistent(Retry):
    """The store contradicts itself, at every attempt: a person must look at it."""


class Conflict(Retry):
    """Another writer changed the resource: read again, rebuild, write again."""


class GiveUp(IncidentError):  # noqa: N818 - named for what to do about it
    """Permanent: recorded, logged once, acknowledged."""


class Malformed(GiveUp):
    """The message is not a notification of Security Command Center."""


class InvalidPolicy(GiveUp):
    """The policy file is missing or cannot be read as a policy."""


class InvalidPlaybook(GiveUp):
    """The playbook file cannot be read as a playbook, or a template of it cannot be filled in."""


class Denied(GiveUp):
    """A permission is missing; the message names it and where to grant it."""


class Missing(GiveUp):
    """The resource does not exist, or not any more."""
