"""The chain of a case file's manifests, as it lies in the store; and adding a link to it.

Whether the objects are as it lists them is not asked here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile

from incident.case_file.journal import Store
from incident.case_file.manifest import (
    Manifest,
    digest,
    held,
    is_alive,
    is_record,
    listable,
    manifest_of,
    name_of,
    number,
    read_manifest,
    run_of,
)
from incident.case_file.recording_store import Witness, witness
from incident.model import Json, Malformed, Retry
from incident.model.concurrency import together

_CONTAINMENTS = "containments/"
_ROOTS = ("incidents", "drills")
#: So many others may add a link at the same moment.
_ATTEMPTS = 50
#: Nobody waits longer for a link once the outcome is on record.
_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Chain:
    """The links that follow one another without a gap, and what they list.

    Attributes:
        links: Each with its digest, the oldest first; None in place of what is no manifest.
        last: Digest of the newest; None where there is none.
    """

    links: tuple[Manifest | None, ...] = ()
    last: str | None = None

    @property
    def written(self) -> dict[str, str]:
        """What was listed by those who wrote it; the first word counts."""
        return _merged(link.written for link in self.links if link)

    @property
    def said(self) -> frozenset[tuple[str, str]]:
        """What was listed by those who wrote it, with each digest that it was listed with."""
        return frozenset(pair for link in self.links if link for pair in link.written.items())

    @property
    def listed(self) -> dict[str, str]:
        """Everything that is listed."""
        return {**_merged(link.found for link in self.links if link), **self.written}


async def read_chain(store: Store, folder: str, paths: Iterable[str]) -> Chain:
    """The chain of a case file.

    Args:
        store: Where it is.
        folder: The case file's path.
        paths: Everything in it, as it was listed a moment ago.

    Raises:
        Retry: The store does not answer.
    """
    named = {path.removeprefix(f"{folder}/") for path in paths}
    names: list[str] = []
    while name_of(len(names) + 1) in named:
        names.append(name_of(len(names) + 1))
    bodies = await together(*(store.read(f"{folder}/{name}") for name in names))
    read = list(takewhile(lambda one: one[1] is not None, zip(names, bodies, strict=True)))
    links = tuple(_link(folder, name, data) for name, data in read)
    return Chain(links, digest(read[-1][1]) if read else None)


async def extend(store: Store, folder: str, containment: Json = None) -> str | None:
    """List what is new in a case file, and in its containment, in one more link.

    What the run that ``store`` is the witness of has written is listed as written; whatever
    else is there, in no link, and named as the responder names things, as found.

    Args:
        store: Where it is, as this run sees it.
        folder: The case file's path.
        containment: The path of the containment that the incident refers to, if any.

    Returns:
        Digest of the newest link that this run has written; None where it wrote none.

    Raises:
        Retry: The store does not answer.
        GiveUp: It refuses.
    """
    seen = witness(store)
    for _ in range(_ATTEMPTS):
        here = await seen.list(f"{folder}/")
        chain = await read_chain(seen, folder, here)
        # Whoever listed our object before us, with another digest, was not us.
        mine, said = _of_case(seen, folder), chain.said
        written = {path: sha for path, sha in mine.items() if (path, sha) not in said}
        known = {**chain.listed, **written}.keys()
        paths = [path for path in here if listable(path.removeprefix(f"{folder}/"))]
        found = await _digests(seen, [p for p in paths if p not in known and not _passing(p)])
        found |= await _left_in(seen, containment, known, here)
        if not written and not found:
            return seen.seals.get(folder)
        data = manifest_of(folder, chain.last, written, found)
        path = f"{folder}/{name_of(len(chain.links) + 1)}"
        if await seen.create(path, data) or await seen.read(path) == data:
            seen.seals[folder] = digest(data)
            return digest(data)
    raise Retry(f"cannot list what is new in {folder}: others add to it at this moment")


async def close(store: Store, folder: str, containment: Json = None) -> tuple[str | None, str]:
    """List what is new, after the outcome is on record, which nothing here may turn any more.

    What could not be listed is for the next delivery or patrol.

    Returns:
        As :func:`extend`, and why it could not be listed; empty where it was.
    """
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await extend(store, folder, containment), ""
    except TimeoutError:
        reason = f"the store took longer than {_PATIENCE_S:g} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, the outcome stands and is told
        reason = str(error) or repr(error)
    seen = witness(store)
    seen.unlisted[folder] = f"the manifest could not be carried on: {reason}"
    return seen.seals.get(folder), seen.unlisted[folder]


async def list_held(store: Store, incidents: Iterable[str], containment: str) -> None:
    """List what a run has written for a containment, with all incidents that refer to it.

    Raises:
        Retry: The store does not answer.
    """
    for incident in incidents:
        for root in _ROOTS:
            if await store.list(f"{root}/{incident}/"):
                await close(store, f"{root}/{incident}", containment)
                break


def _of_case(seen: Witness, folder: str) -> dict[str, str]:
    """What this run has written for a case: into its file, and into containments."""
    return {
        path: sha256
        for path, sha256 in seen.written.items()
        if path.startswith((f"{folder}/", _CONTAINMENTS))
        and number(path.removeprefix(f"{folder}/")) is None
        and not _passing(path)
    }


async def _left_in(
    store: Store, containment: Json, known: Container[str], here: Iterable[str]
) -> dict[str, str]:
    """What runs of this case have left in its containment, in no link.

    Other incidents may refer to it as well, whose runs list what they write there themselves.

    Args:
        store: Where it is.
        containment: Its path, if there is one.
        known: Paths of what is listed.
        here: Paths of everything in the case file, whose records tell its runs.
    """
    if not isinstance(containment, str) or not containment.startswith(_CONTAINMENTS):
        return {}
    there = await store.list(f"{containment}/")
    paths = [p for p in there if held(p.removeprefix(f"{containment}/")) and p not in known]
    if not paths:
        return {}
    bodies = await _bodies(store, paths)
    runs = {run_of(data) for data in (await _bodies(store, filter(is_record, here))).values()}
    return {p: digest(data) for p, data in bodies.items() if run_of(data) in runs - {None}}


def _passing(path: str) -> bool:
    return is_alive(path.rpartition("/")[2])


async def _digests(store: Store, paths: Iterable[str]) -> dict[str, str]:
    return {path: digest(data) for path, data in (await _bodies(store, paths)).items()}


async def _bodies(store: Store, paths: Iterable[str]) -> dict[str, bytes]:
    wanted = list(paths)
    bodies = await together(*map(store.read, wanted))
    return {path: data for path, data in zip(wanted, bodies, strict=True) if data is not None}


def _link(folder: str, name: str, data: bytes) -> Manifest | None:
    try:
        return read_manifest(folder, name, data)
    except Malformed:
        return None


def _merged(many: Iterable[Mapping[str, str]]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for one in many:
        merged = {**one, **merged}
    return merged
