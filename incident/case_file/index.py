"""Case files as an operator sees them: what became of each incident, by now."""

from __future__ import annotations

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
from incident.model import Denied, GiveUp, JsonObject, Workload
from incident.model.concurrency import gather_all
from incident.model.json_text import parse_workload
from incident.notification.resource_names import parse_resource_name

_MAX_UNCONFIRMED = 10


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
    def outcome(self) -> JsonObject | None:
        """What became of it by now: the newest record that says so; None while it is open."""
        for record in reversed(self.records):
            outcome = record.body.get("outcome")
            if isinstance(outcome, Mapping) and record.kind != "concluded":
                return outcome
        return None

    @property
    def status(self) -> str:
        """Its status; ``open`` while nothing final is recorded."""
        return str(self.outcome["status"]) if self.outcome else "open"

    @property
    def event_id(self) -> str:
        """The incident's id, without what tells an unconfirmed claim apart."""
        return event_id(self.incident)

    @property
    def started_at(self) -> datetime | None:
        """When its first record was written."""
        return self.records[0].recorded_at if self.records else None

    @property
    def latest_outcome(self) -> JsonObject | None:
        """What it comes to: its outcome, or before it is done the one that was settled."""
        settled = [record.body.get("outcome") for record in self.records]
        return self.outcome or next((each for each in settled if isinstance(each, Mapping)), None)

    @property
    def workload(self) -> Workload | None:
        """The workload that it is about, as the last of its records that names it spells it.

        While it is open, the containment that it made names it, or else its first record.
        """
        named_by_outcome = (self.latest_outcome or {}).get("workload")
        if isinstance(named_by_outcome, Mapping):
            workload = parse_workload(named_by_outcome)
            if workload is None:
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
        roots: Where they were looked for, each with a slash at its end.
        summaries: Those that can be read.
        unreadable: By folder, why others cannot.
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

        What somebody else wrote into one of them does not hide the others.

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
        """One case file; of an incident that was also rehearsed, the one that may act.

        Raises:
            Retry: The store does not answer.
            GiveUp: There is none of that name, there are several, or a record cannot be read.
        """
        if is_incident_id(incident):
            for root in CASE_FILE_ROOTS:
                summary = await self._read_summary(case_file_folder(root, incident), incident)
                if summary.records:
                    return summary
        return await self._read_summary(*await self._find_unconfirmed(incident))

    async def folder_of(self, incident: str) -> str:
        """Path of the same case file, also where its records cannot be read.

        Raises:
            Retry: The store does not answer.
            GiveUp: There is none of that name, or there are several.
        """
        if is_incident_id(incident):
            for root in CASE_FILE_ROOTS:
                if await self.store.list(f"{case_file_folder(root, incident)}/"):
                    return case_file_folder(root, incident)
        folder, _ = await self._find_unconfirmed(incident)
        return folder

    async def _find_unconfirmed(self, incident: str) -> tuple[str, str]:
        """Folder and id of the one claim about an event that nobody bears out.

        Those lie apart by where they say that the finding is listed, and their pages name the
        event alone.

        Raises:
            Retry: The store does not answer.
            GiveUp: There is none, or there are several.
        """
        if is_incident_id(incident):
            # A store lists below whole names only: the beginning of one finds nothing.
            listed = _case_file_folders(await self.store.list(f"{CLAIMS}/"))
            found = [(folder, name) for folder, name in listed if name.startswith(f"{incident}-")]
            if len(found) == 1:
                return found[0]
            if found:
                raise _ambiguous_incident(incident, [name for _, name in found])
        raise _unknown_incident(incident)

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
            return f"a record lacks what it must say ({error!r}): somebody else wrote to the store"
        return summary

    async def _read_summary(self, folder: str, incident: str) -> CaseSummary:
        # The journal only reads here, so that who runs it and when does not matter.
        journal = Journal(self.store, folder, run_id="", clock=datetime.now)
        return CaseSummary(incident, folder, await journal.records())


def _unknown_incident(incident: str) -> GiveUp:
    return GiveUp(
        f"cannot find incident {incident!r}: the store has no case file of that id. Ids look"
        " like 20261002-6255b37a8bf0; `python cli.py list` shows them"
    )


def _ambiguous_incident(incident: str, candidates: Sequence[str]) -> GiveUp:
    shows = "".join(f"\n  python cli.py show {name}" for name in candidates[:_MAX_UNCONFIRMED])
    more = (
        f"\n  and {len(candidates) - _MAX_UNCONFIRMED} more"
        if len(candidates) > _MAX_UNCONFIRMED
        else ""
    )
    return GiveUp(
        f"cannot tell which case file {incident!r} means: {len(candidates)} messages that differ in"
        " where the finding is listed claim that event, and Security Command Center bears out none"
        " of them. Give the whole id, to this command as to any other; these show what each"
        f" claims:{shows}{more}"
    )


def _case_file_folders(paths: Iterable[str]) -> list[tuple[str, str]]:
    found = (parse_case_file_path(path) for path in paths)
    return sorted({(case.folder, case.incident) for case in found if case and case.name})
