"""How a method says no."""

from __future__ import annotations

import grpc


class Refusal(Exception):  # noqa: N818  an answer, not a failure of the emulator
    """A call that is answered with an error.

    Attributes:
        code: The gRPC status code.
        message: The text beside it, worded like Google's where that wording is known.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message


def invalid(message: str) -> Refusal:
    """An INVALID_ARGUMENT refusal."""
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> Refusal:
    """A NOT_FOUND refusal."""
    return Refusal(grpc.StatusCode.NOT_FOUND, message)


def aborted(message: str) -> Refusal:
    """An ABORTED refusal."""
    return Refusal(grpc.StatusCode.ABORTED, message)


def conflict(name: str, version: int) -> Refusal:
    """The error for a write that raced another one, in the words seen of Cloud Run.

    Args:
        name: Short name of the resource.
        version: Its generation before the race.
    """
    return aborted(
        f"Conflict for resource '{name}': version '{version}' was specified but current version "
        f"is '{version + 1}'."
    )
