"""A case file held against the chain of its manifests: what is to be thought of each object. Pure.

All of it comes from the store, whose content may be an attacker's. What the chain itself is worth,
only digests that are kept elsewhere can tell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from incident.case_file.manifest import Manifest, digest, name_of, number, read_manifest
from incident.model import Malformed


class Mark(StrEnum):
    """What is to be thought of an object, the worst first."""

    CHANGED = "changed"
    MISSING = "missing"
    NOT_LISTED = "not listed"
    FOUND = "found"
    ALIVE = "sign of life"
    INTACT = "intact"


_RANKS = {mark: rank for rank, mark in enumerate(Mark)}
#: A digest, and what an object is that has it.
_Said = tuple[str, Mark]
_TWICE = "listed with more than one digest"
_BAD = frozenset({Mark.CHANGED, Mark.MISSING, Mark.NOT_LISTED})


@dataclass(frozen=True, slots=True)
class Item:
    """One object.

    Attributes:
        path: Its path in the store.
        mark: What is to be thought of it.
        note: Why, where that is not plain.
    """

    path: str
    mark: Mark
    note: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """One manifest of the chain.

    Attributes:
        name: Its name in the case file.
        sha256: Its digest as it is now.
        manifest: What it lists; None where it is none that the responder wrote.
        problem: What is wrong with it; empty where nothing is.
    """

    name: str
    sha256: str
    manifest: Manifest | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """What a case file is worth.

    Attributes:
        folder: Its path in the store.
        items: Every object of it and of its containments, the worst first.
        links: The chain of its manifests, the oldest first.
        rests_on: The chains, by case file, of the other incidents whose manifests list some of the
            containments' records. What they are worth is not looked into here.
    """

    folder: str
    items: tuple[Item, ...]
    links: tuple[Link, ...]
    rests_on: Mapping[str, tuple[Link, ...]] = field(default_factory=dict)

    @property
    def others(self) -> tuple[str, ...]:
        """The other incidents."""
        return tuple(folder.rpartition("/")[2] for folder in self.rests_on)

    def with_planted(self, planted: Mapping[str, str]) -> Examination:
        """The same, with objects that nobody can read by their names, each with the reason."""
        items = [*self.items, *(Item(name, Mark.NOT_LISTED, why) for name, why in planted.items())]
        return replace(self, items=_in_order(items))

    @property
    def intact(self) -> bool:
        """Whether everything is there, as it was listed, and nothing else is."""
        return not any(item.mark in _BAD for item in self.items)

    @property
    def counts(self) -> dict[Mark, int]:
        """How many objects there are of each mark."""
        return {mark: sum(item.mark is mark for item in self.items) for mark in Mark}

    def replaced(self, known: Iterable[str]) -> tuple[str, ...]:
        """Digests that are known from elsewhere, and that no manifest has any more."""
        return replaced(self.links, known)

    def unproven(self, known: Iterable[str]) -> tuple[Link, ...]:
        """The manifests that come after the newest one whose digest is known from elsewhere."""
        return unproven(self.links, known)


def replaced(links: Iterable[Link], known: Iterable[str]) -> tuple[str, ...]:
    """Digests that are known from elsewhere, and that no manifest of a chain has any more."""
    here = {link.sha256 for link in links if link.manifest}
    return tuple(sha256 for sha256 in dict.fromkeys(known) if sha256 not in here)


def unproven(links: tuple[Link, ...], known: Iterable[str]) -> tuple[Link, ...]:
    """The manifests of a chain after the newest one whose digest is known from elsewhere.

    Each names the one before it, so that the newest known one vouches for all before it.
    """
    there = set(known)
    proven = [at for at, link in enumerate(links) if link.sha256 in there]
    return links[max(proven, default=-1) + 1 :]


def _in_order(items: Iterable[Item]) -> tuple[Item, ...]:
    return tuple(sorted(items, key=lambda item: (_RANKS[item.mark], item.path)))


def links_of(folder: str, bodies: Mapping[str, bytes]) -> tuple[Link, ...]:
    """The chain of a case file, from its objects' bodies by path: as far as no link is missing."""
    links: list[Link] = []
    while (data := bodies.get(f"{folder}/{name_of(len(links) + 1)}")) is not None:
        name = name_of(len(links) + 1)
        try:
            manifest, problem = read_manifest(folder, name, data), ""
        except Malformed:
            manifest, problem = None, "no manifest that the responder wrote"
        links.append(Link(name, digest(data), manifest, problem))
    return tuple(_checked(links))


def _checked(links: list[Link]) -> Iterable[Link]:
    """The links, each held against the one that follows it."""
    for at, link in enumerate(links):
        problem = link.problem
        after = links[at + 1] if at + 1 < len(links) else None
        if at == 0 and link.manifest and link.manifest.previous is not None:
            problem = "it is not the first: those before it are gone"
        if after and after.manifest and after.manifest.previous != link.sha256:
            problem = problem or f"not the one that {after.name} follows"
        yield Link(link.name, link.sha256, link.manifest, problem)


def examined(
    folder: str,
    bodies: Mapping[str, bytes],
    alive: frozenset[str],
    others: Mapping[str, tuple[Link, ...]],
    containments: Collection[str],
) -> Examination:
    """Hold a case file, and its containments, against the manifests.

    Args:
        folder: The case file's path.
        bodies: All its objects, and all of its containments, by path in the store.
        alive: Paths of signs of life that say nothing else.
        others: The chains of other incidents that refer to its containments, by case file.
        containments: The paths of these.
    """
    links = links_of(folder, bodies)
    ours = _listed(links)
    theirs = _of_others(ours, others, containments)
    wanted = {**ours, **{path: said for path, (_, said) in theirs.items()}}
    chained = {f"{folder}/{link.name}" for link in links}
    twice = _twice([links, *others.values()])
    items = [_item(path, bodies.get(path), *wanted[path], twice) for path in wanted]
    items += [_of_link(folder, link) for link in links]
    items += [
        Item(path, Mark.ALIVE) if path in alive else _unlisted(folder, path, links)
        for path in bodies
        if path not in wanted and path not in chained
    ]
    items += _gap(folder, links, bodies)
    rests_on = {other: others[other] for other in sorted({other for other, _ in theirs.values()})}
    return Examination(folder, _in_order(items), links, rests_on)


def _of_others(
    ours: Mapping[str, _Said],
    others: Mapping[str, tuple[Link, ...]],
    containments: Collection[str],
) -> dict[str, tuple[str, _Said]]:
    """Records of the containments of which others say more than we do, and which incident does."""
    below = tuple(f"{folder}/" for folder in containments)
    theirs: dict[str, tuple[str, _Said]] = {}
    for incident, chain in sorted(others.items()):
        for path, said in _listed(chain).items():
            known = theirs[path][1] if path in theirs else ours.get(path)
            better = known is None or (known == (said[0], Mark.FOUND) and said[1] is Mark.INTACT)
            if path.startswith(below) and better:
                theirs[path] = (incident, said)
    return theirs


def _listed(links: Iterable[Link]) -> dict[str, _Said]:
    """What the sound links list: digests, and what an object is that has them."""
    sound = _sound(links)
    found = {p: (d, Mark.FOUND) for m in reversed(sound) for p, d in m.found.items()}
    written = {p: (d, Mark.INTACT) for m in reversed(sound) for p, d in m.written.items()}
    return {**found, **written}


def _sound(links: Iterable[Link]) -> list[Manifest]:
    return [link.manifest for link in links if link.manifest and not link.problem]


def _twice(chains: Iterable[Iterable[Link]]) -> frozenset[str]:
    """What is listed with more than one digest, in whichever links: no object ever has two.

    So it does not matter which is the right one, and a later link never overrules an earlier.
    """
    said: dict[str, set[str]] = {}
    for chain in chains:
        for manifest in _sound(chain):
            for path, sha256 in (*manifest.written.items(), *manifest.found.items()):
                said.setdefault(path, set()).add(sha256)
    return frozenset(path for path, digests in said.items() if len(digests) > 1)


def _item(path: str, data: bytes | None, sha256: str, mark: Mark, twice: frozenset[str]) -> Item:
    if data is None:
        return Item(path, Mark.MISSING)
    if path in twice:
        return Item(path, Mark.CHANGED, _TWICE)
    return Item(path, mark if digest(data) == sha256 else Mark.CHANGED)


def _of_link(folder: str, link: Link) -> Item:
    mark = Mark.CHANGED if link.problem else Mark.INTACT
    return Item(f"{folder}/{link.name}", mark, link.problem)


def _unlisted(folder: str, path: str, links: Iterable[Link]) -> Item:
    lists = [li for li in links if li.manifest and li.problem]
    doubtful = [li.name for li in lists if li.manifest and path in _of(li.manifest)]
    if doubtful:
        return Item(path, Mark.NOT_LISTED, f"but for {doubtful[0]}, which is not sound")
    if number(path.removeprefix(f"{folder}/")) is not None:
        return Item(path, Mark.NOT_LISTED, "a manifest outside the chain")
    return Item(path, Mark.NOT_LISTED)


def _of(manifest: Manifest) -> set[str]:
    return {*manifest.written, *manifest.found}


def _gap(folder: str, links: tuple[Link, ...], bodies: Mapping[str, bytes]) -> list[Item]:
    """The manifest that is missing where later ones are there."""
    later = [path for path in bodies if (number(path.removeprefix(f"{folder}/")) or 0) > len(links)]
    gone = f"{folder}/{name_of(len(links) + 1)}"
    return [Item(gone, Mark.MISSING, "the chain breaks off here")] if later else []
