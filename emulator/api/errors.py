"""API errors with gRPC status codes, worded as Google words them."""

from __future__ import annotations

import re

import grpc

from emulator.api.resource_names import last_segment, segment_after


class ApiError(Exception):
    """A call that is answered with an error.

    Attributes:
        code: The gRPC status code.
        message: The text beside it, worded like Google's where that wording is known.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message


def invalid_argument(message: str) -> ApiError:
    """An INVALID_ARGUMENT refusal."""
    return ApiError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> ApiError:
    """A NOT_FOUND refusal."""
    return ApiError(grpc.StatusCode.NOT_FOUND, message)


def resource_not_found(kind: str, name: str) -> ApiError:
    """The error for a Cloud Run resource that does not exist, in the words seen of it.

    Args:
        kind: What it would be, such as `GRPC_SERVICE`.
        name: Its full name.
    """
    return not_found(
        f"Resource '{last_segment(name)}' of kind '{kind}' in region"
        f" '{segment_after(name, 'locations')}' in "
        f"project '{segment_after(name, 'projects')}' does not exist."
    )


def being_deleted(kind: str, name: str) -> ApiError:
    """The error for a write to a Cloud Run resource that somebody has begun to delete.

    Args:
        kind: What it is, such as `GRPC_SERVICE`.
        name: Its full name.
    """
    message = (
        f"Resource '{last_segment(name)}' of kind '{kind}' is being deleted and cannot be changed."
    )
    return ApiError(grpc.StatusCode.FAILED_PRECONDITION, message)


def aborted(message: str) -> ApiError:
    """An ABORTED refusal."""
    return ApiError(grpc.StatusCode.ABORTED, message)


def write_conflict(name: str, version: int) -> ApiError:
    """The error for a write that raced another one, in the words seen of Cloud Run.

    Args:
        name: Short name of the resource.
        version: Its generation before the race.
    """
    return aborted(
        f"Conflict for resource '{name}': version '{version}' was specified but current version "
        f"is '{version + 1}'."
    )


def account_disabled(email: str) -> ApiError:
    """The error for a call with an access token of a disabled service account.

    That it is 401 is documented; the words are invented.
    """
    message = f"Request had invalid authentication credentials: {email} is disabled."
    return ApiError(grpc.StatusCode.UNAUTHENTICATED, message)


class FieldError(ApiError):
    """An update of a Cloud Run resource that one of its fields forbids.

    Attributes:
        field: The path of the field inside the resource, in snake_case.
        reason: What is wrong with it.
    """

    def __init__(self, resource: str, field: str, reason: str) -> None:
        where = f"Update{resource}Request.{_snake_case(resource)}.{field}"
        super().__init__(grpc.StatusCode.INVALID_ARGUMENT, f"Violation in {where}: {reason}.")
        self.field = field
        self.reason = reason


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
