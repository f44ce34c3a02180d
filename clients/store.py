"""The store of case files: append-only objects in a local folder or a Cloud Storage bucket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import obstore
from obstore import exceptions as failures
from obstore.auth.google import GoogleCredentialProvider
from obstore.store import from_url

from clients import store_listing
from clients.call_progress import call_in_progress
from clients.errors import google_call
from clients.permissions import GrantScope, Permission, missing_permission_text
from clients.settings import Settings
from clients.store_listing import ListedObject, ListedPage
from incident.model import Denied, GiveUp, IncidentError, Missing, Retry

_TIMEOUT = timedelta(seconds=10)
_DENIALS = (PermissionError, failures.PermissionDeniedError, failures.UnauthenticatedError)
_DENIED_STATUS = re.compile(r"status code: 40[13]|40[13] (Forbidden|Unauthorized)")
# The library's words for an answer that is not the XML that it should be.
_INVALID_LIST = "invalid list response"
_INVALID_PATH = "Could not parse path"
_MAX_POLICY_BYTES = 200_000

READ = (
    Permission("storage.objects.list", GrantScope.STORE, "finds what is recorded already"),
    Permission("storage.objects.get", GrantScope.STORE, "reads case files, containments and slots"),
)
CREATE = Permission(
    "storage.objects.create",
    GrantScope.STORE,
    "records: an object is created once and never changed",
)
READ_POLICY = Permission(
    "storage.objects.get", GrantScope.POLICY, "reads the policy, again at the moment of writing"
)
#: Replacing the policy, which nothing here does: people do it with Google's own tools. Whoever
#: overwrites an object needs the right to delete it as well.
EDIT_POLICY = (
    Permission("storage.objects.create", GrantScope.POLICY, "saves a policy: the kill switch"),
    Permission(
        "storage.objects.delete", GrantScope.POLICY, "Google asks for it to save over the last"
    ),
    Permission(
        "storage.objects.get", GrantScope.POLICY, "reads what is there, and what was before"
    ),
    Permission("storage.objects.list", GrantScope.POLICY, "finds the versions from before"),
)


class Store:
    """Objects that are put once and never changed.

    Raises, from every method:
        Retry: Time may heal it.
        Denied: We may not read or create objects there.
        GiveUp: The store cannot be used as it is configured.
    """

    def __init__(self, store: Any, url: str, settings: Settings | None = None) -> None:
        """Work on the library's own store at an address; a bucket needs the settings as well."""
        self._store = store
        self._settings = settings or Settings(store=url)
        self.url = url

    async def create(self, path: str, data: bytes) -> bool:
        """Put an object where none is.

        Returns:
            False when one is there already, possibly this very one: a put whose answer was
            lost is tried again by the library and then meets itself. The caller compares.
        """
        try:
            with call_in_progress("create", f"{self.url}/{path}"):
                await obstore.put_async(self._store, path, data, mode="create", use_multipart=False)
        except (failures.AlreadyExistsError, failures.PreconditionError):
            return False
        except Exception as error:
            raise _translated(error, "create", f"{self.url}/{path}", CREATE, *READ) from error
        return True

    async def read(self, path: str) -> bytes | None:
        """An object's content, or None where none is."""
        try:
            with call_in_progress("read", f"{self.url}/{path}"):
                answer = await obstore.get_async(self._store, path)
                return bytes(await answer.bytes_async())
        except FileNotFoundError:
            return None
        except Exception as error:
            raise _translated(error, "read", f"{self.url}/{path}", READ[1], READ[0]) from error

    async def list(self, prefix: str) -> tuple[str, ...]:
        """The paths of all objects below a prefix, which ends at a slash, in order.

        What has a name that cannot be read is left out: :meth:`unreadable` tells of it.
        """
        if not self._is_local:
            try:
                with self._listing(prefix):
                    found = await obstore.list(self._store, prefix).collect_async()
                # A folder made in the console is an empty object whose name ends at a slash,
                # which the library takes away.
                paths = (meta["path"] for meta in found)
                return tuple(sorted(path for path in paths if path.startswith(prefix)))
            except _Unlistable:
                pass
        return store_listing.readable_paths(await self._entries(prefix))

    async def unreadable(self, prefix: str) -> Mapping[str, str]:
        """By name, what is invisible escaped, why objects below a prefix cannot be read.

        Somebody else has put them there. The prefix ends at a slash.
        """
        return store_listing.unreadable_names(await self._entries(prefix))

    async def page(self, prefix: str, after: str, limit: int) -> ListedPage:
        """The first objects below a prefix that sort behind another.

        Each page is behind the one before it, whatever the names of the objects are.

        Args:
            prefix: Ends at a slash.
            after: Any text; need not exist.
            limit: How many at most; a bucket answers up to 1,000 in one request.
        """
        if not self._is_local and not store_listing.path_problem(
            (after or prefix).removesuffix("/")
        ):
            try:
                with self._listing(prefix):
                    return await self._page(prefix, after, limit)
            except _Unlistable:
                pass
        return store_listing.to_page(await self._entries(prefix, after, limit))

    async def _page(self, prefix: str, after: str, limit: int) -> ListedPage:
        pages = obstore.list(self._store, prefix, offset=after or None, chunk_size=limit)
        async for found in pages:
            # What lost the slash at its end comes again behind its own name.
            paths = tuple(sorted(meta["path"] for meta in found if meta["path"] > after))
            if paths:
                return ListedPage(paths, paths[-1])
        return ListedPage()

    async def _entries(
        self, prefix: str, after: str = "", limit: int | None = None
    ) -> Sequence[ListedObject]:
        """The objects below a prefix, without the library; all of them by default."""
        with self._listing(prefix):
            if not self._is_local:
                with google_call("list", f"{self.url}/{prefix}", *READ):
                    return await asyncio.to_thread(
                        store_listing.list_bucket, self._settings, prefix, after, limit
                    )
            # A folder is listed in no order, so that all of it has to be looked at.
            found = await asyncio.to_thread(store_listing.list_folder, _path(self.url), prefix)
        return [entry for entry in found if entry.name > after][:limit]

    @contextmanager
    def _listing(self, prefix: str) -> Iterator[None]:
        """Lists, and turns what goes wrong into an error of ours."""
        if store_listing.path_problem(prefix.removesuffix("/")):
            raise GiveUp(f"cannot list {self.url}: {prefix!r} is no prefix of a path")
        try:
            with call_in_progress("list", f"{self.url}/{prefix}"):
                yield
        except IncidentError:
            raise
        except Exception as error:
            if isinstance(error, failures.InvalidPathError) or _INVALID_LIST in str(error):
                raise _Unlistable from error
            raise _translated(error, "list", f"{self.url}/{prefix}", *READ) from error

    @property
    def _is_local(self) -> bool:
        return not self.url.startswith("gs://")


class _Unlistable(Exception):  # noqa: N818 - a turn of the road, told to nobody
    """The library cannot hold one of the names."""


def open_store(settings: Settings) -> Store:
    """The store at ``RESPONDER_STORE``; nothing is read or written yet."""
    return Store(_open(settings.store, settings, create=True), settings.store, settings)


class PolicySource:
    """Reads the policy file anew each time: changing the file is the kill switch."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.url = settings.policy

    async def read(self) -> bytes:
        """The policy file's bytes.

        Raises:
            Missing: There is none, or none is configured.
            Denied: We may not read it.
            Retry: It cannot be read now; time may heal it.
        """
        if not self.url:
            raise Missing(
                "cannot read the policy: RESPONDER_POLICY is not set. Set it to the path or the"
                " gs:// URL of the policy file"
            )
        try:
            with call_in_progress("read the policy", self.url):
                if self.url.startswith("gs://"):
                    return await self._from_bucket()
                return await asyncio.to_thread(_read_local, _path(self.url))
        except Exception as error:
            raise _translated(error, "read the policy", self.url, READ_POLICY) from error

    async def _from_bucket(self) -> bytes:
        answer = await obstore.get_async(self._bucket, self.url.rpartition("/")[2])
        return bytes(await answer.bytes_async())

    @cached_property
    def _bucket(self) -> Any:
        return _open(self.url.rpartition("/")[0], self._settings, create=False)


def _read_local(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_POLICY_BYTES + 1)


def _path(url: str) -> Path:
    return Path(unquote(urlparse(url).path)) if url.startswith("file://") else Path(url)


def _grant_target(url: str) -> str:
    """What a permission is granted on: the bucket, or whatever else it is."""
    return "/".join(url.split("/")[:3]) if url.startswith("gs://") else url


def _open(url: str, settings: Settings, *, create: bool) -> Any:
    # The library's own ten retries and three minutes would outlive every budget here.
    retry: Any = {"max_retries": 4, "retry_timeout": _TIMEOUT}
    if url.startswith("file://"):
        return from_url(url, mkdir=create)
    client: Any = {"timeout": _TIMEOUT}
    if settings.emulator:
        config: Any = {
            "base_url": f"http://{settings.emulator.http}",
            "bearer_token": "emulator",
        }
        client["allow_http"] = True
        return from_url(url, config=config, client_options=client, retry_config=retry)
    return from_url(
        url, client_options=client, retry_config=retry, credential_provider=_google_credentials()
    )


@cache
def _google_credentials() -> GoogleCredentialProvider:
    """Google's credentials of this process; one for all stores, since each fetches a token."""
    return GoogleCredentialProvider()


def _translated(
    error: Exception, verb: str, target: str, *permissions: Permission
) -> IncidentError:
    # The library's texts run over several lines and carry paths; the first line says enough.
    detail = str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
    failed = f"cannot {verb} {target}"
    if isinstance(error, FileNotFoundError):
        return Missing(f"{failed}: nothing is there. Check the address")
    # What a denied list raises has no type of its own.
    if isinstance(error, _DENIALS) or _DENIED_STATUS.search(str(error)):
        return Denied(
            f"{failed}:"
            f" {missing_permission_text(permissions, _grant_target(target), detail)} ({detail})"
        )
    if isinstance(error, IsADirectoryError | NotADirectoryError):
        return GiveUp(f"{failed}: not a place that can be used ({detail}). Check the address")
    # The library has two types for it: it refuses a path before it asks, and a name in an answer.
    if isinstance(error, failures.InvalidPathError) or str(error).startswith(_INVALID_PATH):
        return GiveUp(
            f"{failed}: nothing can have such a name ({detail}). It is not the address: somebody"
            " else chose the name, and trying again would not help"
        )
    return Retry(f"{failed}: the store does not answer as it should ({detail})")
