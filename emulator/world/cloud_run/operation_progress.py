"""How far a resource has got with what a long-running operation is about."""

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
