"""What a case file is worth, with what is known of its manifests from outside the store. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from commands.known_digests import KnownDigest
from incident.case_file.verification import (
    CaseFileVerification,
    ManifestLink,
    ObjectState,
    replaced_digests,
    unconfirmed_links,
)

_INCIDENTS = "incidents/"


class VerificationStatus(StrEnum):
    """What it comes to, the worst first."""

    NOT_INTACT = "not intact"
    UNPROVEN = "unproven"
    FOUND = "found"
    INTACT = "intact"
    PROVEN = "proven"


#: What `verify` ends with; 2 is wrong use.
EXIT_STATUS = {
    VerificationStatus.NOT_INTACT: 1,
    VerificationStatus.UNPROVEN: 4,
    VerificationStatus.FOUND: 3,
    VerificationStatus.INTACT: 0,
    VerificationStatus.PROVEN: 0,
}


@dataclass(frozen=True)
class VerificationResult:
    """What the examination of a case file comes to.

    Attributes:
        incident: The incident's id, as it was asked for.
        examination: The examination.
        given_digests: Digests from outside the store.
        namesakes: Chains of the other case files of the same event, by folder.
        digests_given: Whether digests were to be given, be it that there were none.
    """

    incident: str
    examination: CaseFileVerification
    given_digests: tuple[KnownDigest, ...] = ()
    namesakes: Mapping[str, tuple[ManifestLink, ...]] = field(default_factory=dict)
    digests_given: bool = False

    @cached_property
    def digests_by_folder(self) -> Mapping[str, tuple[str, ...]]:
        """The digests that were given, by the case file that they are of.

        Where the log does not tell, a manifest that has the digest tells: each names its case
        file itself, so that none can be moved to another. One that nothing has is this one's.
        """
        found, by = self.examination, dict[str, list[str]]()
        chains = {found.folder: found.links, **found.depends_on, **self.namesakes}
        for digest in self.given_digests:
            holders = (
                folder for folder, links in chains.items() if _has_digest(links, digest.sha256)
            )
            by.setdefault(digest.folder or next(holders, found.folder), []).append(digest.sha256)
        return {folder: tuple(dict.fromkeys(digests)) for folder, digests in by.items()}

    @property
    def own_digests(self) -> tuple[str, ...]:
        """Digests of this case file's own manifests."""
        return self.digests_by_folder.get(self.examination.folder, ())

    @property
    def missing_digests(self) -> tuple[str, ...]:
        """Those that no manifest has any more, of all chains that this rests on."""
        chains = {self.examination.folder: self.examination.links, **self.examination.depends_on}
        return tuple(
            sha256
            for folder, links in chains.items()
            for sha256 in replaced_digests(links, self.digests_by_folder.get(folder, ()))
        )

    @property
    def other_digests(self) -> Mapping[str, tuple[str, ...]]:
        """Digests of other case files, that say nothing of this one."""
        mine = {self.examination.folder, *self.examination.depends_on}
        return {
            folder: digests
            for folder, digests in self.digests_by_folder.items()
            if folder not in mine
        }

    @property
    def missing_case_files(self) -> tuple[str, ...]:
        """Case files of the same incident that the log knows and the store does not have at all.

        A dry run may be cleaned away. Whoever is shown one in place of the incident is deceived.
        """
        event = "-".join(self.examination.folder.rpartition("/")[2].split("-")[:2])
        incident = f"{_INCIDENTS}{event}"
        there = incident in self.namesakes or incident not in self.other_digests
        return () if there else (incident,)

    @property
    def unproven_manifests(self) -> tuple[str, ...]:
        """Paths of the manifests for which nothing but the store itself speaks."""
        chains = {self.examination.folder: self.examination.links, **self.examination.depends_on}
        return tuple(
            f"{folder}/{link.name}"
            for folder, links in chains.items()
            for link in unconfirmed_links(links, self.digests_by_folder.get(folder, ()))
        )

    @cached_property
    def status(self) -> VerificationStatus:
        """What it comes to."""
        if not self.examination.intact or self.missing_digests or self.missing_case_files:
            return VerificationStatus.NOT_INTACT
        if self.digests_given and self.unproven_manifests:
            return VerificationStatus.UNPROVEN
        if self.examination.counts[ObjectState.FOUND]:
            return VerificationStatus.FOUND
        return VerificationStatus.PROVEN if self.digests_given else VerificationStatus.INTACT

    @property
    def intact(self) -> bool:
        """Whether all of it is as the run that wrote it listed it, as far as can be told."""
        return (
            self.status is not VerificationStatus.NOT_INTACT
            and not self.examination.counts[ObjectState.FOUND]
        )

    @property
    def headline(self) -> tuple[str, str]:
        """The same in words, with their style."""
        intact_text = "intact, as far as the store itself can tell"
        on = (
            f"; it rests on {', '.join(self.examination.other_incidents)}"
            if self.examination.depends_on
            else ""
        )
        return {
            VerificationStatus.NOT_INTACT: ("NOT INTACT", "bold red"),
            VerificationStatus.UNPROVEN: (f"NOT PROVEN: {self._unproven_reason}", "bold yellow"),
            VerificationStatus.FOUND: (self._found_text, "bold yellow"),
            VerificationStatus.INTACT: (f"{intact_text}{on}", "yellow" if on else "green"),
            VerificationStatus.PROVEN: (
                "intact, and the digests that you gave vouch for all of it",
                "bold green",
            ),
        }[self.status]

    @property
    def _unproven_reason(self) -> str:
        """Why digests that were given do not do."""
        if not self.own_digests:
            return "what was given (--log, --sha256) has no digest of this incident"
        others = [
            folder.rpartition("/")[2]
            for folder, links in self.examination.depends_on.items()
            if unconfirmed_links(links, self.digests_by_folder.get(folder, ()))
        ]
        if others:
            return f"it rests on {', '.join(others)}, for which the digests do not vouch"
        return "the digests that you gave do not vouch for all of it"

    @property
    def _found_text(self) -> str:
        count = self.examination.counts[ObjectState.FOUND]
        objects, them = ("1 object was", "it") if count == 1 else (f"{count} objects were", "them")
        return (
            f"{objects} found later, whose writer nobody vouches for: read {them} before you rely"
            f" on {them}"
        )


def _has_digest(links: tuple[ManifestLink, ...], sha256: str) -> bool:
    """Whether a manifest that is one of that case file has the digest."""
    return any(link.sha256 == sha256 and link.manifest for link in links)
