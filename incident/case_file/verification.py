"""A case file held against the chain of its manifests: what is to be thought of each object. Pure.

All of it comes from the store, whose content may be an attacker's. What the chain itself is worth,
only digests that are kept elsewhere can tell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from incident.case_file.manifest import (
    Manifest,
    decode_manifest,
    manifest_name,
    manifest_number,
    sha256_hex,
)
from incident.model import Malformed


class ObjectState(StrEnum):
    """What is to be thought of an object, the worst first."""

    CHANGED = "changed"
    MISSING = "missing"
    NOT_LISTED = "not listed"
    FOUND = "found"
    HEARTBEAT = "sign of life"
    INTACT = "intact"


_SEVERITY_RANKS = {mark: rank for rank, mark in enumerate(ObjectState)}
#: A digest, and what an object is that has it.
_Listing = tuple[str, ObjectState]
_CONFLICTING_DIGESTS = "listed with more than one digest"
_FAILING_STATES = frozenset({ObjectState.CHANGED, ObjectState.MISSING, ObjectState.NOT_LISTED})


@dataclass(frozen=True, slots=True)
class VerifiedObject:
    """One object.

    Attributes:
        path: Its path in the store.
        state: What is to be thought of it.
        note: Why, where that is not plain.
    """

    path: str
    state: ObjectState
    note: str = ""


@dataclass(frozen=True, slots=True)
class ManifestLink:
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
class CaseFileVerification:
    """What a case file is worth.

    Attributes:
        folder: Its path in the store.
        objects: Every object of it and of its containments, the worst first.
        links: The chain of its manifests, the oldest first.
        depends_on: The chains, by case file, of the other incidents whose manifests list some of
            the
            containments' records. What they are worth is not looked into here.
    """

    folder: str
    objects: tuple[VerifiedObject, ...]
    links: tuple[ManifestLink, ...]
    depends_on: Mapping[str, tuple[ManifestLink, ...]] = field(default_factory=dict)

    @property
    def other_incidents(self) -> tuple[str, ...]:
        """The other incidents."""
        return tuple(folder.rpartition("/")[2] for folder in self.depends_on)

    def with_unreadable(self, unreadable: Mapping[str, str]) -> CaseFileVerification:
        """The same, with objects that nobody can read by their names, each with the reason."""
        objects = [
            *self.objects,
            *(
                VerifiedObject(name, ObjectState.NOT_LISTED, why)
                for name, why in unreadable.items()
            ),
        ]
        return replace(self, objects=_worst_first(objects))

    @property
    def intact(self) -> bool:
        """Whether everything is there, as it was listed, and nothing else is."""
        return not any(item.state in _FAILING_STATES for item in self.objects)

    @property
    def counts(self) -> dict[ObjectState, int]:
        """How many objects there are of each mark."""
        return {state: sum(item.state is state for item in self.objects) for state in ObjectState}

    def replaced_digests(self, known: Iterable[str]) -> tuple[str, ...]:
        """Digests that are known from elsewhere, and that no manifest has any more."""
        return replaced_digests(self.links, known)

    def unconfirmed_links(self, known: Iterable[str]) -> tuple[ManifestLink, ...]:
        """The manifests that come after the newest one whose digest is known from elsewhere."""
        return unconfirmed_links(self.links, known)


def replaced_digests(links: Iterable[ManifestLink], known: Iterable[str]) -> tuple[str, ...]:
    """Digests that are known from elsewhere, and that no manifest of a chain has any more."""
    present = {link.sha256 for link in links if link.manifest}
    return tuple(sha256 for sha256 in dict.fromkeys(known) if sha256 not in present)


def unconfirmed_links(
    links: tuple[ManifestLink, ...], known: Iterable[str]
) -> tuple[ManifestLink, ...]:
    """The manifests of a chain after the newest one whose digest is known from elsewhere.

    Each names the one before it, so that the newest known one vouches for all before it.
    """
    known_digests = set(known)
    proven = [at for at, link in enumerate(links) if link.sha256 in known_digests]
    return links[max(proven, default=-1) + 1 :]


def _worst_first(objects: Iterable[VerifiedObject]) -> tuple[VerifiedObject, ...]:
    return tuple(sorted(objects, key=lambda item: (_SEVERITY_RANKS[item.state], item.path)))


def links_from_bodies(folder: str, bodies: Mapping[str, bytes]) -> tuple[ManifestLink, ...]:
    """The chain of a case file, from its objects' bodies by path: as far as no link is missing."""
    links: list[ManifestLink] = []
    while (data := bodies.get(f"{folder}/{manifest_name(len(links) + 1)}")) is not None:
        name = manifest_name(len(links) + 1)
        try:
            manifest, problem = decode_manifest(folder, name, data), ""
        except Malformed:
            manifest, problem = None, "no manifest that the responder wrote"
        links.append(ManifestLink(name, sha256_hex(data), manifest, problem))
    return tuple(_with_order_problems(links))


def _with_order_problems(links: list[ManifestLink]) -> Iterable[ManifestLink]:
    """The links, each held against the one that follows it."""
    for position, link in enumerate(links):
        problem = link.problem
        after = links[position + 1] if position + 1 < len(links) else None
        if position == 0 and link.manifest and link.manifest.previous is not None:
            problem = "it is not the first: those before it are gone"
        if after and after.manifest and after.manifest.previous != link.sha256:
            problem = problem or f"not the one that {after.name} follows"
        yield ManifestLink(link.name, link.sha256, link.manifest, problem)


def verify_objects(
    folder: str,
    bodies: Mapping[str, bytes],
    heartbeats: frozenset[str],
    others: Mapping[str, tuple[ManifestLink, ...]],
    containments: Collection[str],
) -> CaseFileVerification:
    """Hold a case file, and its containments, against the manifests.

    Args:
        folder: The case file's path.
        bodies: All its objects, and all of its containments, by path in the store.
        heartbeats: Paths of signs of life that say nothing else.
        others: The chains of other incidents that refer to its containments, by case file.
        containments: The paths of these.
    """
    links = links_from_bodies(folder, bodies)
    own_listings = _listings(links)
    other_listings = _listed_by_others(own_listings, others, containments)
    expected = {**own_listings, **{path: listing for path, (_, listing) in other_listings.items()}}
    chained = {f"{folder}/{link.name}" for link in links}
    conflicting = _conflicting_paths([links, *others.values()])
    objects = [
        _verify_object(path, bodies.get(path), *expected[path], conflicting) for path in expected
    ]
    objects += [_verify_link(folder, link) for link in links]
    objects += [
        VerifiedObject(path, ObjectState.HEARTBEAT)
        if path in heartbeats
        else _unlisted_object(folder, path, links)
        for path in bodies
        if path not in expected and path not in chained
    ]
    objects += _missing_link(folder, links, bodies)
    depends_on = {
        other: others[other] for other in sorted({other for other, _ in other_listings.values()})
    }
    return CaseFileVerification(folder, _worst_first(objects), links, depends_on)


def _listed_by_others(
    own_listings: Mapping[str, _Listing],
    others: Mapping[str, tuple[ManifestLink, ...]],
    containments: Collection[str],
) -> dict[str, tuple[str, _Listing]]:
    """Records of the containments of which others say more than we do, and which incident does."""
    below = tuple(f"{folder}/" for folder in containments)
    listings: dict[str, tuple[str, _Listing]] = {}
    for incident, chain in sorted(others.items()):
        for path, listing in _listings(chain).items():
            known = listings[path][1] if path in listings else own_listings.get(path)
            better = known is None or (
                known == (listing[0], ObjectState.FOUND) and listing[1] is ObjectState.INTACT
            )
            if path.startswith(below) and better:
                listings[path] = (incident, listing)
    return listings


def _listings(links: Iterable[ManifestLink]) -> dict[str, _Listing]:
    """What the sound links list: digests, and what an object is that has them."""
    valid = _valid_manifests(links)
    found = {p: (d, ObjectState.FOUND) for m in reversed(valid) for p, d in m.found.items()}
    written = {p: (d, ObjectState.INTACT) for m in reversed(valid) for p, d in m.written.items()}
    return {**found, **written}


def _valid_manifests(links: Iterable[ManifestLink]) -> list[Manifest]:
    return [link.manifest for link in links if link.manifest and not link.problem]


def _conflicting_paths(chains: Iterable[Iterable[ManifestLink]]) -> frozenset[str]:
    """What is listed with more than one digest, in whichever links: no object ever has two.

    So it does not matter which is the right one, and a later link never overrules an earlier.
    """
    digests_by_path: dict[str, set[str]] = {}
    for chain in chains:
        for manifest in _valid_manifests(chain):
            for path, sha256 in (*manifest.written.items(), *manifest.found.items()):
                digests_by_path.setdefault(path, set()).add(sha256)
    return frozenset(path for path, digests in digests_by_path.items() if len(digests) > 1)


def _verify_object(
    path: str, data: bytes | None, sha256: str, state: ObjectState, conflicting: frozenset[str]
) -> VerifiedObject:
    if data is None:
        return VerifiedObject(path, ObjectState.MISSING)
    if path in conflicting:
        return VerifiedObject(path, ObjectState.CHANGED, _CONFLICTING_DIGESTS)
    return VerifiedObject(path, state if sha256_hex(data) == sha256 else ObjectState.CHANGED)


def _verify_link(folder: str, link: ManifestLink) -> VerifiedObject:
    state = ObjectState.CHANGED if link.problem else ObjectState.INTACT
    return VerifiedObject(f"{folder}/{link.name}", state, link.problem)


def _unlisted_object(folder: str, path: str, links: Iterable[ManifestLink]) -> VerifiedObject:
    faulty = [li for li in links if li.manifest and li.problem]
    listed_in = [li.name for li in faulty if li.manifest and path in _listed_paths(li.manifest)]
    if listed_in:
        return VerifiedObject(
            path, ObjectState.NOT_LISTED, f"but for {listed_in[0]}, which is not sound"
        )
    if manifest_number(path.removeprefix(f"{folder}/")) is not None:
        return VerifiedObject(path, ObjectState.NOT_LISTED, "a manifest outside the chain")
    return VerifiedObject(path, ObjectState.NOT_LISTED)


def _listed_paths(manifest: Manifest) -> set[str]:
    return {*manifest.written, *manifest.found}


def _missing_link(
    folder: str, links: tuple[ManifestLink, ...], bodies: Mapping[str, bytes]
) -> list[VerifiedObject]:
    """The manifest that is missing where later ones are there."""
    later = [
        path
        for path in bodies
        if (manifest_number(path.removeprefix(f"{folder}/")) or 0) > len(links)
    ]
    missing = f"{folder}/{manifest_name(len(links) + 1)}"
    return (
        [VerifiedObject(missing, ObjectState.MISSING, "the chain breaks off here")] if later else []
    )
