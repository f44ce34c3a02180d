"""Progress of a long-running operation on a resource."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OperationProgress:
    """How far a resource has got with what an operation is about.

    Attributes:
        done: Whether the operation is over.
        error: Why it failed; empty if it did not.
    """

    done: bool
    error: str = ""
