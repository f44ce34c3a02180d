"""List store objects, including names that obstore refuses.

obstore fails a whole listing because of one such name, so anyone who may write to the store could
hide all records. In a folder always, and in a bucket where obstore fails, names are listed without
it.
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
        name: Its path in the store; bytes that are not UTF-8 are escaped.
        problem: Why it cannot be read; empty if it can.
    """

    name: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ListedPage:
    """One page of the objects below a prefix, sorted.

    Attributes:
        paths: The readable ones.
        next_after: Where the next page begins; empty at the end.
        unreadable: Why the others cannot be read, by name with control characters escaped.
    """

    paths: tuple[str, ...] = ()
    next_after: str = ""
    unreadable: Mapping[str, str] = field(default_factory=dict)


def to_page(entries: Sequence[ListedObject]) -> ListedPage:
    """A page of sorted entries."""
    next_after = entries[-1].name if entries else ""
    return ListedPage(readable_paths(entries), next_after, unreadable_names(entries))


def readable_paths(entries: Iterable[ListedObject]) -> tuple[str, ...]:
    """The paths of the readable ones."""
    return tuple(entry.name for entry in entries if not entry.problem)


def unreadable_names(entries: Iterable[ListedObject]) -> dict[str, str]:
    """Why the others cannot be read, by name with control characters escaped."""
    return {_escaped(entry.name): entry.problem for entry in entries if entry.problem}


def path_problem(path: str) -> str:
    """Why obstore refuses a path; empty if it accepts it."""
    parts = path.split("/")
    if "" in parts:
        return "an empty part in its name"
    if "." in parts or ".." in parts:
        return "a part of dots in its name"
    return "a control character in its name" if _CONTROL.search(path) else ""


def list_bucket(
    settings: Settings, prefix: str, after: str = "", limit: int | None = None
) -> list[ListedObject]:
    """The objects of a bucket below a prefix that sort after a name, sorted.

    Uses ``objects.list`` of the JSON API, which returns names exactly; the XML API, which obstore
    uses, cannot represent control characters. An empty object whose name ends with a slash is a
    folder created in the console, and is left out.

    Args:
        settings: Has the store's URL.
        prefix: Ends with a slash.
        after: Any text.
        limit: Maximum number; all by default.

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
    """The files of a folder below a prefix, sorted.

    Links to files count as files, as in obstore. Links to folders are not followed: they may form
    cycles or leave the store. Temporary files of an interrupted put are left out, as in obstore.

    Args:
        root: The store's folder.
        prefix: Ends with a slash.

    Raises:
        OSError: The store cannot be listed.
    """
    # In this order: another process may create the folder between the two questions.
    if root.exists() and not root.is_dir():
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
    """Whether a name is that of obstore's temporary file: a number after the first #."""
    number = name.partition("#")[2]
    return number.isascii() and number.isdigit()


def _decoded(name: str) -> str:
    """A file name as text; bytes that are not UTF-8 are escaped."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _escaped(name: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
