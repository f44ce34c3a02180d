"""In-memory buckets: create-only puts, generations, listing.

Every bucket exists. Objects live in memory and are not part of the world.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import grpc

from emulator.api.errors import ApiError, invalid_argument, not_found

MAX_PAGE_SIZE = 1000
_FIRST_GENERATION = 1_700_000_000_000_000
_NO_OBJECT = "0"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as it was last put.

    Attributes:
        data: Its content.
        etag: Fingerprint of the content, in quotation marks.
        generation: A number that every put of any object raises.
        updated: When it was put.
        content_type: What the client said it is.
    """

    data: bytes
    etag: str
    generation: int
    updated: dt.datetime
    content_type: str


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """One page of a bucket.

    Attributes:
        objects: Names and objects, by name.
        prefixes: What names have in common up to the delimiter, each once.
        next_token: For the next page; empty after the last one.
    """

    objects: tuple[tuple[str, StoredObject], ...]
    prefixes: tuple[str, ...]
    next_token: str


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What is asked of a bucket; attributes are named like the parameters of the APIs."""

    prefix: str = ""
    delimiter: str = ""
    start_after: str = ""
    start_offset: str = ""
    token: str = ""
    max_keys: int = MAX_PAGE_SIZE


class BucketObjects:
    """The objects of all buckets."""

    def __init__(self) -> None:
        self._buckets: defaultdict[str, dict[str, StoredObject]] = defaultdict(dict)
        self._generations = count(_FIRST_GENERATION)
        # Parts by number of each upload, None once it has ended.
        self._uploads: dict[str, dict[int, bytes] | None] = {}

    def put(
        self, bucket: str, name: str, data: bytes, *, content_type: str, if_generation: str = ""
    ) -> StoredObject:
        """Stores an object.

        Args:
            bucket: The bucket.
            name: The object's name, not escaped.
            data: Its content.
            content_type: What it is.
            if_generation: The generation that the object must have now, `0` for none at all;
                empty for whatever is there.

        Raises:
            ApiError: FAILED_PRECONDITION when it has another generation.
        """
        self._check(bucket, name, if_generation)
        stored = StoredObject(
            data=data,
            etag=_etag(data),
            generation=next(self._generations),
            updated=dt.datetime.now(dt.UTC),
            content_type=content_type,
        )
        self._buckets[bucket][name] = stored
        return stored

    def begin_upload(self) -> str:
        """Begins an upload in parts and returns its id."""
        upload = f"upload-{len(self._uploads)}"
        self._uploads[upload] = {}
        return upload

    def add_part(self, upload: str, number: int, data: bytes) -> str:
        """Takes one part of an upload and returns its etag.

        Raises:
            ApiError: NOT_FOUND for an upload that is not going on.
        """
        self._parts(upload)[number] = data
        return _etag(data)

    def complete_upload(self, upload: str) -> bytes:
        """Ends an upload and returns its parts in the order of their numbers.

        Raises:
            ApiError: NOT_FOUND for an upload that is not going on.
        """
        parts = self._parts(upload)
        self._uploads[upload] = None
        return b"".join(data for _, data in sorted(parts.items()))

    def _parts(self, upload: str) -> dict[int, bytes]:
        parts = self._uploads.get(upload)
        if parts is None:
            raise not_found("The requested upload was not found.")
        return parts

    def get(self, bucket: str, name: str) -> StoredObject:
        """One object.

        Raises:
            ApiError: NOT_FOUND.
        """
        stored = self._buckets[bucket].get(name)
        if stored is None:
            raise not_found("The specified key does not exist.")
        return stored

    def delete(self, bucket: str, name: str, *, if_generation: str = "") -> None:
        """Removes an object.

        Raises:
            ApiError: NOT_FOUND, or FAILED_PRECONDITION when it has another generation.
        """
        self.get(bucket, name)
        self._check(bucket, name, if_generation)
        del self._buckets[bucket][name]

    def list(self, bucket: str, query: ListQuery) -> ObjectPage:
        """One page of the names in a bucket, sorted.

        Raises:
            ApiError: INVALID_ARGUMENT for a continuation token that no listing gave.
        """
        objects: list[tuple[str, StoredObject]] = []
        prefixes: list[str] = []
        last = _decode_token(query.token)
        for entry in self._entries(bucket, query, last):
            if len(objects) + len(prefixes) >= min(query.max_keys, MAX_PAGE_SIZE):
                return ObjectPage(tuple(objects), tuple(prefixes), _encode_token(last))
            if isinstance(entry, str):
                prefixes.append(entry)
                last = entry
            else:
                objects.append(entry)
                last = entry[0]
        return ObjectPage(tuple(objects), tuple(prefixes), "")

    def _entries(
        self, bucket: str, query: ListQuery, after: str
    ) -> Iterator[tuple[str, StoredObject] | str]:
        """Objects and prefixes in order, behind the last entry of the page before."""
        previous = after
        for name, stored in sorted(self._buckets[bucket].items()):
            if not name.startswith(query.prefix) or name < query.start_offset:
                continue
            if name <= max(query.start_after, after):
                continue
            entry = (
                _common_prefix(query.delimiter, name, len(query.prefix)) if query.delimiter else ""
            )
            if not entry:
                yield name, stored
            elif entry != previous:
                previous = entry
                yield entry

    def _check(self, bucket: str, name: str, if_generation: str) -> None:
        if not if_generation:
            return
        stored = self._buckets[bucket].get(name)
        if if_generation != (str(stored.generation) if stored else _NO_OBJECT):
            raise ApiError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "At least one of the pre-conditions you specified did not hold.",
            )


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _common_prefix(delimiter: str, name: str, start: int) -> str:
    """A name up to and with the first delimiter behind its prefix; empty if there is none."""
    end = name.find(delimiter, start)
    return name[: end + len(delimiter)] if end >= 0 else ""


def _encode_token(marker: str) -> str:
    return base64.urlsafe_b64encode(marker.encode()).decode()


def _decode_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise invalid_argument("The continuation token is invalid.") from error
