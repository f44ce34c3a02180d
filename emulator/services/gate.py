"""The gate of every call: records it, runs hooks, applies latency and faults."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import grpc
from google.protobuf import json_format

from emulator.api import proto_json
from emulator.api.errors import ApiError, account_disabled
from emulator.world.state import World

A = TypeVar("A")

PENDING = "PENDING"
_access_token: ContextVar[str] = ContextVar("access_token", default="")


@dataclass(frozen=True, slots=True)
class CallPoint:
    """A point in the handling of one call.

    Attributes:
        phase: Before the call is handled, or after its effect and before its answer.
        method: `/package.Service/Method`; for storage `storage.PUT`, `storage.GET` and so on; for
            VirusTotal `GetFileReport`.
        index: The number of the call, gRPC, storage and VirusTotal counted together from 0.
    """

    phase: Literal["before", "after"]
    method: str
    index: int


class Dropped(Exception):  # noqa: N818  an instruction of a hook, not an error
    """Raised by a hook before a call: the call never happened, and is answered UNAVAILABLE."""


Hook = Callable[[CallPoint], None]


@dataclass(frozen=True, slots=True)
class Call:
    """A gRPC call that arrived.

    Attributes:
        method: `/package.Service/Method`.
        at: When, in seconds of `time.monotonic()`.
    """

    method: str
    at: float


@dataclass(frozen=True, slots=True)
class Write:
    """A mutating gRPC call that arrived, whatever became of it.

    Attributes:
        method: `/package.Service/Method`.
        request: The request in proto JSON.
        mask: The paths of its field mask exactly as they were sent.
        validate_only: Whether it only asked whether it would be accepted.
        at: When it arrived, in seconds of `time.monotonic()`.
        code: The status code of the answer; `PENDING` until there is one.
    """

    method: str
    request: dict[str, Any]
    mask: list[str]
    validate_only: bool
    at: float
    code: str = PENDING

    @classmethod
    def from_request(cls, call: Call, request: Any) -> Write:
        """The record of a request that has just arrived."""
        message = proto_json.unwrap(request)
        fields = message.DESCRIPTOR.fields_by_name
        mask = list(message.update_mask.paths) if "update_mask" in fields else []
        validate_only = bool("validate_only" in fields and message.validate_only)
        return cls(call.method, _request_json(message), mask, validate_only, call.at)

    def with_code(self, code: str) -> Write:
        """The same record with the code of the answer."""
        return replace(self, code=code)


def _request_json(message: Any) -> dict[str, Any]:
    """A request as proto JSON; a mask that proto JSON cannot spell is left out."""
    try:
        return proto_json.to_json(message)
    except json_format.SerializeToJsonError:
        rest = proto_json.copy(message)
        rest.ClearField("update_mask")
        return proto_json.to_json(rest)


@dataclass(frozen=True, slots=True)
class Method:
    """One method of one service.

    Attributes:
        name: `/package.Service/Method`.
        parse: Reads a request from the wire.
        handle: Answers a request, or raises a Refusal.
        writes_to: For a mutating method: the name of the resource that a request changes, empty
            when it changes none. While one request is being handled, another one that changes
            the same resource is a conflict.
    """

    name: str
    parse: Callable[[bytes], Any]
    handle: Callable[[Any], Awaitable[Any]]
    writes_to: Callable[[Any], str] | None = None


def method(
    name: str,
    request: type[A],
    handle: Callable[[A], Awaitable[Any]],
    *,
    writes_to: Callable[[A], str] | None = None,
) -> Method:
    """A method of a service whose requests are of a type; see Method."""
    return Method(name, proto_json.parser(request), handle, writes_to)


class Gate:
    """What every call passes through: the hook, latency, faults."""

    def __init__(self, world: World, hook: Hook | None) -> None:
        self._world = world
        self._hook = hook or _no_hook
        self._count = 0

    async def handle_call(self, name: str, handle: Callable[[], Awaitable[A]]) -> A:
        """Handles one call; a token of a disabled service account is refused whatever it asks.

        Args:
            name: The method, as in Moment.
            handle: Has the effect and returns the answer.

        Raises:
            ApiError: What the call is answered with instead.
        """
        index, self._count = self._count, self._count + 1
        await asyncio.sleep(self._world.latency.seconds_for(name))
        fault = self._world.faults.next_fault(name)
        try:
            self._hook(CallPoint("before", name, index))
        except Dropped as drop:
            raise ApiError(grpc.StatusCode.UNAVAILABLE, "dropped before it was handled") from drop
        try:
            if fault and not fault.applied:
                raise fault.error()
            self._check_token()
            answer = await handle()
        finally:
            self._hook(CallPoint("after", name, index))
        if fault:
            raise fault.error()
        return answer

    def _check_token(self) -> None:
        account = self._world.service_accounts.of_token(_access_token.get())
        if account and account.disabled:
            raise account_disabled(account.email)


def set_access_token(authorization: str) -> None:
    """Take down the access token of the call that is about to be answered."""
    _access_token.set(authorization.removeprefix("Bearer "))


def _no_hook(_: CallPoint) -> None:
    """The hook of an emulator that has none."""
