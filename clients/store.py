"""Object store of case files: append-only, in a folder or a Cloud Storage bucket."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import obstore
from google.auth.exceptions import GoogleAuthError
from obstore import exceptions as failures
from obstore.auth.google import GoogleCredentialProvider
from obstore.store import from_url

from clients import store_listing
from clients.call_progress import call_in_progress
from clients.errors import google_call, is_rejected_login, not_logged_in
from clients.permissions import missing_permission_text
from clients.settings import Settings, SettingsError
from clients.store_listing import ListedObject, ListedPage
from incident.model import Denied, GiveUp, GrantScope, IncidentError, Missing, Permission, Retry

_TIMEOUT = timedelta(seconds=10)
# Requests at once: a burst would open a connection, or in a folder a thread, for each of hundreds.
_REQUESTS, _POLICY_READS = 20, 4
_DENIALS = (PermissionError, failures.PermissionDeniedError, failures.UnauthenticatedError)
# How obstore reports an error of google-auth about the credentials themselves.
_CREDENTIALS_REJECTED = re.compile(
    r"credential provider: ((?:RefreshError|ReauthFailError|DefaultCredentialsError).{0,200})"
)
_CREDENTIALS_FAILED = "credential provider: "
_DENIED_STATUS = re.compile(r"status code: 40[13]|40[13] (Forbidden|Unauthorized)")
# obstore's message for an answer that is not the expected XML.
_INVALID_LIST = "invalid list response"
_INVALID_PATH = "Could not parse path"
_MAX_POLICY_BYTES = 200_000

READ = (
    Permission("storage.objects.list", GrantScope.STORE, "finds existing records"),
    Permission("storage.objects.get", GrantScope.STORE, "reads case files, containments and slots"),
)
CREATE = Permission(
    "storage.objects.create",
    GrantScope.STORE,
    "creates records: an object is created once and never changed",
)
READ_POLICY = Permission(
    "storage.objects.get", GrantScope.POLICY, "reads the policy, again before each write"
)
#: What editing the policy needs. Operators do it with Google's own tools; the responder never does.
#: Overwriting an object needs the permission to delete it as well.
EDIT_POLICY = (
    Permission("storage.objects.create", GrantScope.POLICY, "saves a policy: the kill switch"),
    Permission(
        "storage.objects.delete", GrantScope.POLICY, "Google requires it to overwrite an object"
    ),
    Permission(
        "storage.objects.get", GrantScope.POLICY, "reads the current policy and older versions"
    ),
    Permission("storage.objects.list", GrantScope.POLICY, "finds older versions"),
)


class StoreNotFound(Missing):
    """There is no store at the address."""


class Store:
    """Objects that are created once and never changed.

    Raises, from every method:
        Retry: A transient failure.
        Denied: A permission to read or create objects is missing.
        GiveUp: The store cannot be used as it is configured.
    """

    def __init__(self, store: Any, url: str, settings: Settings | None = None) -> None:
        """Wrap an obstore store at a URL; a bucket needs the settings as well.

        Args:
            store: None for a local folder that the first write creates.
            url: The store's URL.
            settings: The process's settings.
        """
        self._store = store
        self._settings = settings or Settings(store=url)
        self._turns = asyncio.Semaphore(_REQUESTS)
        self.url = url

    async def create(self, path: str, data: bytes) -> bool:
        """Create an object, unless it exists.

        Returns:
            False if the object exists already. It may be this very one: obstore retries a put
            whose answer was lost and then finds its own object. The caller compares.
        """
        try:
            with call_in_progress("create", f"{self.url}/{path}"):
                if self._store is None:
                    _require_valid(path)
                    await asyncio.to_thread(_make_folder, _path(self.url))
                async with self._turns:
                    await obstore.put_async(
                        self._objects, path, data, mode="create", use_multipart=False
                    )
        except (failures.AlreadyExistsError, failures.PreconditionError):
            return False
        except Exception as error:
            raise _translated(error, "create", f"{self.url}/{path}", CREATE, *READ) from error
        return True

    async def read(self, path: str) -> bytes | None:
        """An object's content, or None if it does not exist."""
        try:
            if self._store is None and not await asyncio.to_thread(_path(self.url).exists):
                _require_valid(path)
                return None
            with call_in_progress("read", f"{self.url}/{path}"):
                async with self._turns:
                    answer = await obstore.get_async(self._objects, path)
                    return bytes(await answer.bytes_async())
        except FileNotFoundError:
            return None
        except Exception as error:
            raise _translated(error, "read", f"{self.url}/{path}", READ[1], READ[0]) from error

    async def list(self, prefix: str) -> tuple[str, ...]:
        """The paths of all objects below a prefix, which ends with a slash, sorted.

        Objects with names that obstore refuses are left out; :meth:`unreadable` lists them.
        """
        if not self._is_local:
            try:
                with self._listing(prefix):
                    async with self._turns:
                        found = await obstore.list(self._objects, prefix).collect_async()
                # A folder created in the console is an empty object whose name ends with a slash,
                # which obstore strips.
                paths = (meta["path"] for meta in found)
                return tuple(sorted(path for path in paths if path.startswith(prefix)))
            except _Unlistable:
                pass
        return store_listing.readable_paths(await self._entries(prefix))

    async def unreadable(self, prefix: str) -> Mapping[str, str]:
        """Why objects below a prefix cannot be read, by name with control characters escaped.

        Such objects were not created by the responder. The prefix ends with a slash.
        """
        return store_listing.unreadable_names(await self._entries(prefix))

    async def page(self, prefix: str, after: str, limit: int) -> ListedPage:
        """The first objects below a prefix that sort after a name.

        Each page comes after the one before it, whatever the names of the objects are.

        Args:
            prefix: Ends with a slash.
            after: Any text; the object need not exist.
            limit: Maximum number; a bucket returns up to 1,000 in one request.
        """
        if not self._is_local and not store_listing.path_problem(
            (after or prefix).removesuffix("/")
        ):
            try:
                with self._listing(prefix):
                    async with self._turns:
                        return await self._page(prefix, after, limit)
            except _Unlistable:
                pass
        return store_listing.to_page(await self._entries(prefix, after, limit))

    async def _page(self, prefix: str, after: str, limit: int) -> ListedPage:
        pages = obstore.list(self._objects, prefix, offset=after or None, chunk_size=limit)
        async for found in pages:
            # A name whose trailing slash was stripped is returned again after itself.
            paths = tuple(sorted(meta["path"] for meta in found if meta["path"] > after))
            if paths:
                return ListedPage(paths, paths[-1])
        return ListedPage()

    async def _entries(
        self, prefix: str, after: str = "", limit: int | None = None
    ) -> Sequence[ListedObject]:
        """The objects below a prefix, listed without obstore; all of them by default."""
        with self._listing(prefix):
            if not self._is_local:
                with google_call("list", f"{self.url}/{prefix}", *READ):
                    return await asyncio.to_thread(
                        store_listing.list_bucket, self._settings, prefix, after, limit
                    )
            # A file system lists a folder unsorted, so all of it is read.
            found = await asyncio.to_thread(store_listing.list_folder, _path(self.url), prefix)
        return [entry for entry in found if entry.name > after][:limit]

    @contextmanager
    def _listing(self, prefix: str) -> Iterator[None]:
        """Translate the errors of a listing."""
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

    @property
    def _objects(self) -> Any:
        """The store that obstore opens lazily: it cannot open a folder that does not exist."""
        if self._store is None:
            self._store = _open(self.url, self._settings)
        return self._store


class _Unlistable(Exception):  # noqa: N818 - internal control flow
    """obstore cannot represent one of the names."""


def open_store(settings: Settings) -> Store:
    """The store at ``RESPONDER_STORE``; nothing is read, written or created yet.

    Raises:
        Denied: There are no credentials for a bucket.
    """
    try:
        opened = _open(settings.store, settings) if settings.store.startswith("gs://") else None
    except GoogleAuthError as error:
        raise _translated(error, "open the store", settings.store, *READ) from error
    except (ValueError, failures.BaseError) as error:
        detail = str(error).strip().partition("\n")[0]
        raise SettingsError(f"cannot open the store {settings.store}: {detail}") from error
    return Store(opened, settings.store, settings)


def require_folder(settings: Settings) -> None:
    """Check that a local store exists. Whether a bucket does, its first listing says.

    Raises:
        SettingsError: There is no such folder.
    """
    if settings.store.startswith("file://") and not _path(settings.store).is_dir():
        raise SettingsError(
            f"cannot read the store: there is no folder {_path(settings.store)}. Check"
            " RESPONDER_STORE"
        )


def _require_valid(path: str) -> None:
    if problem := store_listing.path_problem(path):
        raise failures.InvalidPathError(problem)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(str(path)) from error


class PolicySource:
    """Reads the policy file each time, without a cache: changing the file is the kill switch."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turns = asyncio.Semaphore(_POLICY_READS)
        self._folders: dict[str, Any] = {}
        self.url = settings.policy

    async def read(self) -> bytes:
        """The policy file's bytes.

        Raises:
            Missing: There is no such file, or none is configured.
            Denied: A permission to read it is missing.
            Retry: A transient failure.
        """
        if not self.url:
            raise Missing(
                "cannot read the policy: RESPONDER_POLICY is not set. Set it to the path or the"
                " gs:// URL of the policy file"
            )
        return await self._read(self.url, "read the policy")

    async def read_named(self, name: str) -> bytes:
        """The bytes of a file that the policy names: an address, or a path from its folder.

        Raises:
            Missing: There is no such file.
            Denied: A permission to read it is missing.
            Retry: A transient failure.
        """
        own = name.startswith(("gs://", "file://", "/"))
        folder, slash, _ = self.url.rpartition("/")
        return await self._read(name if own else f"{folder}{slash}{name}", "read the playbook")

    async def _read(self, url: str, what: str) -> bytes:
        try:
            with call_in_progress(what, url):
                if url.startswith("gs://"):
                    return await self._from_bucket(url)
                return await asyncio.to_thread(_read_local, _path(url))
        except Exception as error:
            raise _translated(error, what, url, READ_POLICY) from error

    async def _from_bucket(self, url: str) -> bytes:
        folder, _, name = url.rpartition("/")
        async with self._turns:
            if folder not in self._folders:
                self._folders[folder] = _open(folder, self._settings, _POLICY_READS)
            answer = await obstore.get_async(self._folders[folder], name)
            return bytes(await answer.bytes_async())


def _read_local(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_POLICY_BYTES + 1)


def _path(url: str) -> Path:
    return Path(unquote(urlparse(url).path)) if url.startswith("file://") else Path(url)


def _grant_target(url: str) -> str:
    """What a permission is granted on: the bucket of a URL, or the URL itself."""
    return "/".join(url.split("/")[:3]) if url.startswith("gs://") else url


def _open(url: str, settings: Settings, connections: int = _REQUESTS) -> Any:
    """Open a store that keeps so many connections when it is idle."""
    # obstore's defaults, ten retries within three minutes, exceed every time budget here.
    retry: Any = {"max_retries": 4, "retry_timeout": _TIMEOUT}
    if url.startswith("file://"):
        return from_url(url)
    client: Any = {"timeout": _TIMEOUT, "pool_max_idle_per_host": str(connections)}
    if settings.emulator:
        config: Any = {
            "base_url": f"http://{settings.emulator.http}",
            "bearer_token": "emulator",
        }
        client["allow_http"] = True
        return from_url(url, config=config, client_options=client, retry_config=retry)
    return from_url(
        url, client_options=client, retry_config=retry, credential_provider=google_credentials()
    )


@cache
def google_credentials() -> GoogleCredentialProvider:
    """Google's credentials, shared by all stores of the process: each provider fetches a token."""
    return GoogleCredentialProvider()


def _rejected_login(error: Exception) -> str:
    """Google's message if a person's login is missing or rejected; empty otherwise."""
    if isinstance(error, GoogleAuthError):
        return str(error)[:200] if is_rejected_login(error) else ""
    rejected = _CREDENTIALS_REJECTED.search(str(error))
    return rejected[1] if rejected and not os.environ.get("K_SERVICE") else ""


def _not_found(verb: str, failed: str) -> Missing:
    if verb == "list":  # an empty list is no error, so it is the bucket that does not exist
        return StoreNotFound(f"{failed}: there is no such bucket. Check RESPONDER_STORE")
    return Missing(f"{failed}: nothing is there. Check the address")


def _translated(
    error: Exception, verb: str, target: str, *permissions: Permission
) -> IncidentError:
    # obstore's messages have several lines, with paths; the first line is enough.
    detail = str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
    failed = f"cannot {verb} {target}"
    if rejected := _rejected_login(error):
        return not_logged_in(failed, rejected)
    if isinstance(error, FileNotFoundError):
        return _not_found(verb, failed)
    # obstore has no error type for a denied list, and calls a lost token service a denial.
    denied = isinstance(error, _DENIALS) or _DENIED_STATUS.search(str(error))
    if denied and _CREDENTIALS_FAILED not in str(error):
        return Denied(
            f"{failed}:"
            f" {missing_permission_text(permissions, _grant_target(target), detail)} ({detail})"
        )
    if isinstance(error, IsADirectoryError | NotADirectoryError):
        return GiveUp(f"{failed}: not a folder that can be used ({detail}). Check the address")
    # obstore has two errors for it: for a path before the request, for a name in an answer.
    if isinstance(error, failures.InvalidPathError) or str(error).startswith(_INVALID_PATH):
        return GiveUp(
            f"{failed}: invalid object name ({detail}). The address is not the cause: somebody"
            " else created the object. Retrying would not help"
        )
    return Retry(f"{failed}: the store returned an error ({detail})")
