"""What went wrong, as it may be told: the one way for every error that is stored or printed."""

from __future__ import annotations

from typing import TypeVar

from incident.model import IncidentError
from incident.redaction.redactor import Redactor

E = TypeVar("E", bound=IncidentError)


def redact_error(error: E, redactor: Redactor) -> E:
    """The same error, whose message may be told from now on, whoever catches it.

    What Google answers is outside text: it may quote the environment that it was sent, and
    headers of the call.
    """
    error.args = (redactor.text(str(error)),)
    return error
