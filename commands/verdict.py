"""What a case file is worth, with what is known of its manifests from outside the store. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from commands.vouched import Vouched
from incident.case_file.verification import Examination, Link, Mark, replaced, unproven

_INCIDENTS = "incidents/"


class Worth(StrEnum):
    """What it comes to, the worst first."""

    NOT_INTACT = "not intact"
    UNPROVEN = "unproven"
    FOUND = "found"
    INTACT = "intact"
    PROVEN = "proven"


#: What `verify` ends with; 2 is wrong use.
EXIT_STATUS = {
    Worth.NOT_INTACT: 1,
    Worth.UNPROVEN: 4,
    Worth.FOUND: 3,
    Worth.INTACT: 0,
    Worth.PROVEN: 0,
}


@dataclass(frozen=True)
class Verdict:
    """What the examination of a case file comes to.

    Attributes:
        incident: The incident's id, as it was asked for.
        found: The examination.
        told: Digests from outside the store.
        namesakes: Chains of the other case files of the same event, by folder.
        asked: Whether digests were to be given, be it that there were none.
    """

    incident: str
    found: Examination
    told: tuple[Vouched, ...] = ()
    namesakes: Mapping[str, tuple[Link, ...]] = field(default_factory=dict)
    asked: bool = False

    @cached_property
    def by_folder(self) -> Mapping[str, tuple[str, ...]]:
        """The digests that were given, by the case file that they are of.

        Where the log does not tell, a manifest that has the digest tells: each names its case
        file itself, so that none can be moved to another. One that nothing has is this one's.
        """
        found, by = self.found, dict[str, list[str]]()
        chains = {found.folder: found.links, **found.rests_on, **self.namesakes}
        for told in self.told:
            having = (folder for folder, links in chains.items() if _has(links, told.sha256))
            by.setdefault(told.folder or next(having, found.folder), []).append(told.sha256)
        return {folder: tuple(dict.fromkeys(digests)) for folder, digests in by.items()}

    @property
    def known(self) -> tuple[str, ...]:
        """Digests of this case file's own manifests."""
        return self.by_folder.get(self.found.folder, ())

    @property
    def replaced(self) -> tuple[str, ...]:
        """Those that no manifest has any more, of all chains that this rests on."""
        chains = {self.found.folder: self.found.links, **self.found.rests_on}
        return tuple(
            sha256
            for folder, links in chains.items()
            for sha256 in replaced(links, self.by_folder.get(folder, ()))
        )

    @property
    def elsewhere(self) -> Mapping[str, tuple[str, ...]]:
        """Digests of other case files, that say nothing of this one."""
        mine = {self.found.folder, *self.found.rests_on}
        return {folder: told for folder, told in self.by_folder.items() if folder not in mine}

    @property
    def gone(self) -> tuple[str, ...]:
        """Case files of the same incident that the log knows and the store does not have at all.

        A dry run may be cleaned away. Whoever is shown one in place of the incident is deceived.
        """
        event = "-".join(self.found.folder.rpartition("/")[2].split("-")[:2])
        incident = f"{_INCIDENTS}{event}"
        there = incident in self.namesakes or incident not in self.elsewhere
        return () if there else (incident,)

    @property
    def unproven(self) -> tuple[str, ...]:
        """Paths of the manifests for which nothing but the store itself speaks."""
        chains = {self.found.folder: self.found.links, **self.found.rests_on}
        return tuple(
            f"{folder}/{link.name}"
            for folder, links in chains.items()
            for link in unproven(links, self.by_folder.get(folder, ()))
        )

    @cached_property
    def worth(self) -> Worth:
        """What it comes to."""
        if not self.found.intact or self.replaced or self.gone:
            return Worth.NOT_INTACT
        if self.asked and self.unproven:
            return Worth.UNPROVEN
        if self.found.counts[Mark.FOUND]:
            return Worth.FOUND
        return Worth.PROVEN if self.asked else Worth.INTACT

    @property
    def intact(self) -> bool:
        """Whether all of it is as the run that wrote it listed it, as far as can be told."""
        return self.worth is not Worth.NOT_INTACT and not self.found.counts[Mark.FOUND]

    @property
    def said(self) -> tuple[str, str]:
        """The same in words, with their style."""
        store = "intact, as far as the store itself can tell"
        on = f"; it rests on {', '.join(self.found.others)}" if self.found.rests_on else ""
        return {
            Worth.NOT_INTACT: ("NOT INTACT", "bold red"),
            Worth.UNPROVEN: (f"NOT PROVEN: {self._not_proven}", "bold yellow"),
            Worth.FOUND: (self._found_later, "bold yellow"),
            Worth.INTACT: (f"{store}{on}", "yellow" if on else "green"),
            Worth.PROVEN: (
                "intact, and the digests that you gave vouch for all of it",
                "bold green",
            ),
        }[self.worth]

    @property
    def _not_proven(self) -> str:
        """Why digests that were given do not do."""
        if not self.known:
            return "what was given (--log, --sha256) has no digest of this incident"
        others = [
            folder.rpartition("/")[2]
            for folder, links in self.found.rests_on.items()
            if unproven(links, self.by_folder.get(folder, ()))
        ]
        if others:
            return f"it rests on {', '.join(others)}, for which the digests do not vouch"
        return "the digests that you gave do not vouch for all of it"

    @property
    def _found_later(self) -> str:
        count = self.found.counts[Mark.FOUND]
        objects, them = ("1 object was", "it") if count == 1 else (f"{count} objects were", "them")
        return (
            f"{objects} found later, whose writer nobody vouches for: read {them} before you rely"
            f" on {them}"
        )


def _has(links: tuple[Link, ...], sha256: str) -> bool:
    """Whether a manifest that is one of that case file has the digest."""
    return any(link.sha256 == sha256 and link.manifest for link in links)
