"""Response: the outcome of a request, and what its log line and manifest need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from incident.model.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Response:
    """The result of one request.

    Attributes:
        outcome: The incident's outcome.
        alarm: Whether a person must look now.
        case_file: Path of the case file in the store; None where none is kept.
        manifest_sha256: Digest of the manifest of the run; None where it created nothing.
        warning: Whether something besides the incident needs a repair.
        logged_record: Path and content of the record to create once the outcome is logged; None
            where it was logged before, or is not to be.
        contained_at: When the workload was read back as stopped, where this run reports it.
    """

    outcome: Outcome
    alarm: bool = False
    case_file: str | None = None
    manifest_sha256: str | None = None
    warning: bool = False
    logged_record: tuple[str, bytes] | None = None
    contained_at: datetime | None = None
