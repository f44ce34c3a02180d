"""Append-only records in a folder of the store, and other objects that are created only once.

Records have a number, a kind and a nonce; what they mean is up to their writers.
"""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from pydantic_core import to_json

from incident.case_file.paths import numbered_path, parse_record_name, record_path
from incident.model import GiveUp, Inconsistent, Json, JsonObject
from incident.model.concurrency import gather_all
from incident.model.json_text import SCHEMA_VERSION, parse_time, time_text
from incident.model.outcome import Outcome
from incident.model.retrying import Backoff

_CREATE_BACKOFF = Backoff(first_s=0.2, longest_s=2.0)


class ObjectStore(Protocol):
    """Where records are kept: objects that are created once and never changed."""

    async def create(self, path: str, data: bytes) -> bool:
        """Put an object where none is; False when one is there already."""

    async def read(self, path: str) -> bytes | None:
        """An object's content, or None."""

    async def list(self, prefix: str) -> tuple[str, ...]:
        """Paths of all objects below a prefix, in order."""


class InspectableStore(ObjectStore, Protocol):
    """A store that also lists the objects whose names its library cannot read."""

    async def unreadable(self, prefix: str) -> Mapping[str, str]:
        """Why objects below a prefix cannot be read, by name with invisible characters escaped."""


@dataclass(frozen=True)
class Record:
    """One record.

    Attributes:
        number: Its position in the journal.
        kind: What it is about, such as ``decided``.
        recorded_at: When it was written, by the writer's clock.
        run_id: Which run of which process wrote it.
        body: Its whole content.
    """

    number: int
    kind: str
    recorded_at: datetime
    run_id: str
    body: JsonObject

    @functools.cached_property
    def outcome(self) -> Outcome | None:
        """The outcome in it; None where it has none.

        Raises:
            GiveUp: It has one without a status that is known.
        """
        value = self.body.get("outcome")
        if not isinstance(value, Mapping):
            return None
        try:
            return Outcome.from_json(value)
        except ValueError as error:
            raise GiveUp(
                f"cannot read the outcome in record {self.number} ({self.kind}): its {error} is not"
                " readable. Somebody else wrote to the store: find out who, and move the object"
                " away"
            ) from error


@dataclass(frozen=True, slots=True)
class Journal:
    """The records of one folder.

    Attributes:
        store: Where the folder is.
        folder: Its path, without a slash at its end.
        run_id: Names this run in the records that it writes.
        clock: Tells the time.
    """

    store: ObjectStore
    folder: str
    run_id: str
    clock: Callable[[], datetime]

    async def records(self, known: Sequence[Record] = ()) -> tuple[Record, ...]:
        """All records so far, in order.

        Args:
            known: Records of this journal that were read before. They never change, and are not
                read again.
        """
        already_read = {(record.number, record.kind): record for record in known}
        paths = await self.store.list(f"{self.folder}/")
        named = [
            (path, name.number, name.kind)
            for path in paths
            if (name := parse_record_name(path.removeprefix(f"{self.folder}/")))
        ]
        new = [each for each in named if each[1:] not in already_read]
        bodies = await gather_all(*(self.store.read(path) for path, _, _ in new))
        found = [already_read[each[1:]] for each in named if each[1:] in already_read]
        found += [
            _parse_stored_record(path, number, kind, body)
            for (path, number, kind), body in zip(new, bodies, strict=True)
            if body is not None
        ]
        return tuple(sorted(found, key=lambda record: (record.number, record.recorded_at)))

    async def record(self, number: int, kind: str) -> Record | None:
        """One record, where it exists.

        Raises:
            Retry: The store does not answer.
            GiveUp: It cannot be read.
        """
        path = record_path(self.folder, number, kind)
        data = await self.store.read(path)
        return None if data is None else _parse_stored_record(path, number, kind, data)

    async def create(self, number: int, kind: str, body: JsonObject) -> Record | None:
        """Write a record at a number. Of many writers of one number and kind one wins.

        Returns:
            The record; None where another writer has won. A writer whose record was stored
            although the answer was lost finds its own nonce there, and has won.
        """
        path, nonce = record_path(self.folder, number, kind), secrets.token_hex(8)
        now = self.clock().astimezone(UTC)
        content: JsonObject = {
            "schema_version": SCHEMA_VERSION,
            "kind": kind,
            "recorded_at": time_text(now),
            "run": self.run_id,
            "nonce": nonce,
            **body,
        }
        existing = await create_or_read(self.store, path, encode_json(content))
        won = existing is None or decode_record(path, existing).get("nonce") == nonce
        return Record(number, kind, now, self.run_id, content) if won else None

    async def append(self, after: int, kind: str, body: JsonObject) -> int:
        """Write a record at the first free number after one; returns the number."""
        number = after + 1
        while not await self.create(number, kind, body):
            number += 1
        return number


async def create_numbered(store: ObjectStore, stem: str, suffix: str, data: bytes) -> str:
    """Create an object beside earlier ones with other content; returns its path.

    Args:
        store: Where.
        stem: The path without its number and suffix.
        suffix: What its name ends with, without a dot.
        data: The content. Where an object has it already, nothing is created.

    Raises:
        Retry: The store does not answer.
        GiveUp: It refuses.
    """
    position = 1
    while True:
        path = numbered_path(stem, suffix, position)
        existing = await create_or_read(store, path, data)
        if existing is None or existing == data:
            return path
        position += 1


async def create_or_read(store: ObjectStore, path: str, data: bytes) -> bytes | None:
    """Put an object where none is.

    Returns:
        None where this call has put it; else what is there, which may be this very data: an
        answer can get lost.

    Raises:
        Inconsistent: The store says that there is an object, and has none, again and again.
    """
    for attempt in range(_CREATE_BACKOFF.attempts):
        if attempt:
            await _CREATE_BACKOFF.pause(attempt)
        if await store.create(path, data):
            return None
        existing = await store.read(path)
        if existing is not None:
            return existing
    raise Inconsistent(
        f"cannot create {path}: the store answered {_CREATE_BACKOFF.attempts} times that it"
        " exists, and that it does not when it was read. Check the store and what stands between"
        " it and the responder; Pub/Sub will redeliver the message"
    )


def encode_json(value: Json) -> bytes:
    """JSON for the store: readable, UTF-8, the same bytes for the same value."""
    return to_json(value, indent=2) + b"\n"


def decode_record(path: str, data: bytes) -> JsonObject:
    """What :func:`encode_json` wrote.

    Raises:
        GiveUp: The object is not a record: somebody else wrote it.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise GiveUp(_not_a_record_text(path)) from error
    if not isinstance(value, dict):
        raise GiveUp(_not_a_record_text(path))
    return value


def _not_a_record_text(path: str) -> str:
    return (
        f"cannot read the record {path}: it is not a JSON object. Somebody else wrote to the"
        " store: find out who, move the object away, and contain the incident with"
        " `cloud-run-responder contain`"
    )


def _parse_stored_record(path: str, number: int, kind: str, data: bytes) -> Record:
    body = decode_record(path, data)
    try:
        recorded_at, run_id = parse_time(body["recorded_at"]), str(body["run"])
    except KeyError as error:
        raise GiveUp(_not_a_record_text(path)) from error
    if recorded_at is None:
        raise GiveUp(_not_a_record_text(path))
    return Record(number, kind, recorded_at, run_id, body)
