"""List and look up case files: each incident's current outcome, status and workload."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from incident.case_file.journal import Journal, ObjectStore, Record
from incident.case_file.paths import (
    CASE_FILE_ROOTS,
    CLAIMS,
    DRILLS,
    DRY_RUNS,
    INCIDENTS,
    case_file_folder,
    event_id,
    is_incident_id,
    parse_case_file_path,
    parse_containment_path,
)
from incident.model import Denied, GiveUp, Workload
from incident.model.concurrency import gather_all
from incident.model.outcome import Outcome
from incident.notification.resource_names import parse_resource_name

_MAX_CANDIDATES = 10
#: A date and the first digits of a digest; less would match by chance.
_ID_BEGINNING = re.compile(
    r"[0-9]{4,8}|[0-9]{8}-[0-9a-f]{0,12}|[0-9]{8}-[0-9a-f]{12}-[0-9a-f]{0,8}"
)


@dataclass(frozen=True, slots=True)
class CaseSummary:
    """One case file.

    Attributes:
        incident: The incident's id.
        folder: Its path in the store.
        records: Its records, in order.
    """

    incident: str
    folder: str
    records: tuple[Record, ...]

    @property
    def outcome(self) -> Outcome | None:
        """The newest outcome; None while the incident is open.

        Raises:
            GiveUp: It has no status that is known.
        """
        found = (r.outcome for r in reversed(self.records) if r.kind != "concluded")
        return next((outcome for outcome in found if outcome), None)

    @property
    def status(self) -> str:
        """Its status; ``open`` while nothing final is recorded."""
        return self.outcome.status.value if self.outcome else "open"

    @property
    def event_id(self) -> str:
        """The incident's id without the suffix of an unconfirmed claim."""
        return event_id(self.incident)

    @property
    def started_at(self) -> datetime | None:
        """When its first record was written."""
        return self.records[0].recorded_at if self.records else None

    @property
    def latest_outcome(self) -> Outcome | None:
        """The newest outcome; before the incident is done, the recorded one."""
        recorded = (record.outcome for record in self.records)
        return self.outcome or next((outcome for outcome in recorded if outcome), None)

    @property
    def workload(self) -> Workload | None:
        """The workload, from the newest outcome, else from the containment or the first record.

        Raises:
            ValueError: The outcome's workload is incomplete.
        """
        outcome = self.latest_outcome
        if outcome and outcome.workload is None and "workload" in outcome.unreadable:
            raise ValueError("workload")
        if outcome and outcome.workload:
            workload = outcome.workload.workload
            if not (workload.project and workload.location and workload.name):
                raise ValueError("workload")
            return workload
        for record in reversed(self.records):
            if containment := parse_containment_path(record.body.get("containment")):
                return containment.workload
        named = [str(record.body.get("workload")) for record in self.records[:1]]
        return parse_resource_name(f"//run.googleapis.com/{named[0]}").workload if named else None


@dataclass(frozen=True, slots=True)
class CaseFileListing:
    """Some case files.

    Attributes:
        roots: Where they lie, each with a slash at its end.
        summaries: The readable ones.
        unreadable: By folder, why another one cannot be read.
    """

    roots: tuple[str, ...]
    summaries: tuple[CaseSummary, ...]
    unreadable: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CaseFileIndex:
    """The case files of a store; reading only."""

    store: ObjectStore

    async def list_all(self, *, dry_runs: bool = False, drills: bool = False) -> CaseFileListing:
        """Every case file of incidents, of dry runs or of drills, newest event first.

        A case file that cannot be read does not hide the others.

        Raises:
            Retry: The store does not answer.
            GiveUp: The store refuses.
        """
        roots = (f"{DRY_RUNS}/",) if dry_runs else (f"{INCIDENTS}/", f"{CLAIMS}/")
        roots = (f"{DRILLS}/",) if drills else roots
        paths = await gather_all(*map(self.store.list, roots))
        found = _case_file_folders(path for some in paths for path in some)
        read = await gather_all(*(self._read_or_reason(folder, name) for folder, name in found))
        summaries = [each for each in read if isinstance(each, CaseSummary)]
        return CaseFileListing(
            roots,
            tuple(sorted(summaries, key=lambda case: case.incident, reverse=True)),
            {at[0]: why for at, why in zip(found, read, strict=True) if isinstance(why, str)},
        )

    async def get(self, incident: str) -> CaseSummary:
        """One case file; where there is a dry run as well, the incident's.

        Args:
            incident: The incident's id, or the beginning of it.

        Raises:
            Retry: The store does not answer.
            GiveUp: There is none of that id, there are several, or a record cannot be read.
        """
        if is_incident_id(incident):
            for root in CASE_FILE_ROOTS:
                summary = await self._read_summary(case_file_folder(root, incident), incident)
                if summary.records:
                    return summary
        summary = await self._read_summary(*await self._find_by_beginning(incident))
        if not summary.records:
            raise _unknown_incident(incident)
        return summary

    async def folder_of(self, incident: str) -> str:
        """Path of the case file that :meth:`get` reads, also where its records are unreadable.

        Raises:
            Retry: The store does not answer.
            GiveUp: There is none of that name, or there are several.
        """
        if is_incident_id(incident):
            for root in CASE_FILE_ROOTS:
                if await self.store.list(f"{case_file_folder(root, incident)}/"):
                    return case_file_folder(root, incident)
        folder, _ = await self._find_by_beginning(incident)
        return folder

    async def resolve_id(self, beginning: str) -> str:
        """The whole id of the one incident whose id begins so.

        Raises:
            Retry: The store does not answer.
            GiveUp: There is none, or there are several.
        """
        _, incident = await self._find_by_beginning(beginning)
        return incident

    async def _find_by_beginning(self, beginning: str) -> tuple[str, str]:
        """Folder and id of the one incident whose id begins so.

        Of an incident that has several case files, the first of the roots counts. Unconfirmed
        claims about one event have one id each: pages name the event only.

        Raises:
            Retry: The store does not answer.
            GiveUp: There is none, or there are several.
        """
        if not _ID_BEGINNING.fullmatch(beginning):
            raise _unknown_incident(beginning)
        # A store lists below whole names only: the beginning of one finds nothing.
        lists = await gather_all(*(self.store.list(f"{root}/") for root in CASE_FILE_ROOTS))
        found: dict[str, str] = {}
        for folder, name in (each for paths in lists for each in _case_file_folders(paths)):
            if name.startswith(beginning):
                found.setdefault(name, folder)
        if beginning in found:
            return found[beginning], beginning
        if len(found) == 1:
            return next((folder, name) for name, folder in found.items())
        if found:
            raise _ambiguous_incident(beginning, sorted(found))
        raise _unknown_incident(beginning)

    async def _read_or_reason(self, folder: str, incident: str) -> CaseSummary | str:
        """A case file, or why it cannot be read."""
        try:
            summary = await self._read_summary(folder, incident)
            workload = summary.workload
            _ = summary.status, workload and workload.resource_name
        except Denied:
            raise
        except GiveUp as error:
            return str(error)
        except (KeyError, TypeError, ValueError) as error:
            return f"a record is incomplete ({error!r}): somebody else wrote to the store"
        return summary

    async def _read_summary(self, folder: str, incident: str) -> CaseSummary:
        # The journal only reads here, so that who runs it and when does not matter.
        journal = Journal(self.store, folder, run_id="", clock=datetime.now)
        return CaseSummary(incident, folder, await journal.records())


def _unknown_incident(incident: str) -> GiveUp:
    return GiveUp(
        f"cannot find incident {incident!r}: the store has no case file of that id. Ids look"
        " like 20261002-6255b37a8bf0; `cloud-run-responder list` shows them"
    )


def _ambiguous_incident(incident: str, candidates: Sequence[str]) -> GiveUp:
    shows = "".join(f"\n  cloud-run-responder show {name}" for name in candidates[:_MAX_CANDIDATES])
    more = (
        f"\n  and {len(candidates) - _MAX_CANDIDATES} more"
        if len(candidates) > _MAX_CANDIDATES
        else ""
    )
    return GiveUp(
        f"cannot tell which incident {incident!r} means: {len(candidates)} have an id that begins"
        f" so. {_several_sources(candidates)}Give more of the id; these commands show each:"
        f"{shows}{more}"
    )


def _several_sources(candidates: Sequence[str]) -> str:
    """Why ids differ in their last part only: unconfirmed claims name different sources."""
    if len({event_id(name) for name in candidates}) > 1:
        return ""
    return (
        f"They are {len(candidates)} messages about one event that name different sources, and"
        " Security Command Center confirms none of them. "
    )


def _case_file_folders(paths: Iterable[str]) -> list[tuple[str, str]]:
    found = (parse_case_file_path(path) for path in paths)
    return sorted({(case.folder, case.incident) for case in found if case and case.name})
