"""Every object below a prefix of a store, also those whose names the storage library refuses.

The library fails a whole listing for one such name. Whoever may write to the store could blind us
with it, so that in a folder, and wherever it fails in a bucket, names are listed without it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from clients.rest import response_pages
from clients.settings import Settings

_HOST = "https://storage.googleapis.com"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One object.

    Attributes:
        name: Its path in the store, as it is; bytes that are no text as escapes.
        problem: Why it cannot be read; empty where it can.
    """

    name: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ListedPage:
    """Some of the objects below a prefix, in order.

    Attributes:
        paths: Those that can be read.
        next_after: Behind what the next page begins; empty at the end.
        unreadable: By name, what is invisible escaped, why the others cannot be read.
    """

    paths: tuple[str, ...] = ()
    next_after: str = ""
    unreadable: Mapping[str, str] = field(default_factory=dict)


def to_page(entries: Sequence[ListedObject]) -> ListedPage:
    """A page of some entries that are in order."""
    next_after = entries[-1].name if entries else ""
    return ListedPage(readable_paths(entries), next_after, unreadable_names(entries))


def readable_paths(entries: Iterable[ListedObject]) -> tuple[str, ...]:
    """The paths of those that can be read."""
    return tuple(entry.name for entry in entries if not entry.problem)


def unreadable_names(entries: Iterable[ListedObject]) -> dict[str, str]:
    """By name, what is invisible escaped, why the others cannot be read."""
    return {_escaped(entry.name): entry.problem for entry in entries if entry.problem}


def path_problem(path: str) -> str:
    """Why the library refuses a path; empty where it takes it."""
    parts = path.split("/")
    if "" in parts:
        return "an empty part in its name"
    if "." in parts or ".." in parts:
        return "a part of dots in its name"
    return "a control character in its name" if _CONTROL.search(path) else ""


def list_bucket(
    settings: Settings, prefix: str, after: str = "", limit: int | None = None
) -> list[ListedObject]:
    """The objects of a bucket below a prefix and behind a name, in order.

    By ``objects.list`` of the JSON API, which tells names exactly: XML, which the library reads,
    has no way to spell control characters. An empty object whose name ends at a slash is a
    folder that the console has made, and no object of anybody's.

    Args:
        settings: Names the store.
        prefix: Ends at a slash.
        after: Any text.
        limit: How many at most; all by default.

    Raises:
        GoogleAPICallError: As Google's clients raise it.
        GoogleAuthError: There are no credentials.
    """
    bucket, _, base = settings.store.removeprefix("gs://").strip("/").partition("/")
    base = f"{base}/" if base else ""
    query = {"prefix": f"{base}{prefix}", "fields": "items(name,size,generation),nextPageToken"}
    query |= {"startOffset": f"{base}{after}"} if after else {}
    with closing(
        response_pages(_HOST, f"/storage/v1/b/{quote(bucket)}/o", settings, query)
    ) as answers:
        found = (_listed_object(item, base) for page in answers for item in page.get("items", ()))
        return list(islice((each for each in found if each and each.name > after), limit))


def _listed_object(item: Mapping[str, str], base: str) -> ListedObject | None:
    name = str(item["name"]).removeprefix(base)
    problem = path_problem(name)
    if name.endswith("/") and not path_problem(name[:-1]):
        if str(item.get("size")) == "0":
            return None
        problem = "a slash at the end of its name, and content"
    return ListedObject(name, f"{problem}; generation {item.get('generation')}" if problem else "")


def list_folder(root: Path, prefix: str) -> list[ListedObject]:
    """The files of a folder below a prefix, in order.

    Links to files count as files, as they do for the library. Links to folders are not followed:
    they may go round in circles, and out of the store. What the library leaves behind when a put
    is cut off is left out, as the library does.

    Args:
        root: Where the store is.
        prefix: Ends at a slash.

    Raises:
        OSError: The store cannot be listed.
    """
    if not root.is_dir() and root.exists():
        raise NotADirectoryError(str(root))
    return sorted(_walk(root, prefix.rstrip("/")), key=lambda entry: entry.name)


def _walk(root: Path, top: str) -> Iterator[ListedObject]:
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root / folder) as entries:
                found = list(entries)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if folder == top:
                raise
            yield ListedObject(
                _decoded(folder), f"a folder that cannot be opened: {error.strerror}"
            )
            continue
        for each in found:
            name = f"{folder}/{each.name}"
            problem = _entry_problem(each)
            if problem or not each.is_dir(follow_symlinks=False):
                yield from (
                    () if _is_partial_put(each.name) else (ListedObject(_decoded(name), problem),)
                )
            else:
                waiting.append(name)


def _entry_problem(entry: os.DirEntry[str]) -> str:
    if _decoded(entry.name) != entry.name:
        return "bytes in its name that are no UTF-8"
    if problem := path_problem(entry.name):
        return problem
    try:
        if entry.is_file() or entry.is_dir(follow_symlinks=False):
            return ""
    except OSError:  # a link that leads to itself
        return "a link that leads nowhere"
    return "a link that leads to no file" if entry.is_symlink() else "neither a file nor a folder"


def _is_partial_put(name: str) -> bool:
    """Whether the library gives such names to what is being put: a number behind the first #."""
    number = name.partition("#")[2]
    return number.isascii() and number.isdigit()


def _decoded(name: str) -> str:
    """A name as the file system gave it, as text."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _escaped(name: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
