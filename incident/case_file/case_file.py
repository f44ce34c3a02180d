"""The case file of one incident, and the announcement of its outcome.

Every object is created once and never changed, and nothing reaches it unredacted.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from incident.case_file.journal import Journal, Record, Store, encode
from incident.model import Evidence, GiveUp, Json, JsonObject, Retry
from incident.model.concurrency import together
from incident.model.json_text import plain
from incident.redaction.redactor import Redactor

#: ``concluded`` and ``done`` have numbers of their own, so that of many writers one wins;
#: what comes after them (approved, released, …) is numbered from there.
CONCLUDED = 999
DONE = 1000
_POLL_S = 0.2
_BEGINNING = 2048


class Announcer(Protocol):
    """Where outcomes are announced."""

    name: str

    async def publish(self, data: bytes, attributes: Mapping[str, str]) -> None:
        """Publish one message."""


@dataclass(slots=True)
class CaseFile:
    """The records and evidence of one incident, in a folder of its own.

    Attributes:
        journal: Its records.
        earlier: The records that stood there when it was opened.
    """

    journal: Journal
    earlier: tuple[Record, ...] = ()
    _last: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._last = max((r.number for r in self.earlier if r.number < CONCLUDED), default=0)

    @property
    def folder(self) -> str:
        """Its path in the store."""
        return self.journal.folder

    @property
    def done(self) -> JsonObject | None:
        """The outcome that the incident is done with, if it is."""
        return _outcome(self.earlier, "done")

    @property
    def concluded(self) -> JsonObject | None:
        """The outcome that is settled, though perhaps not everybody was told yet."""
        return _outcome(self.earlier, "concluded")

    @property
    def finding(self) -> str | None:
        """The finding at its canonical name, as SCC listed it when the outcome was settled."""
        told = self._said("concluded").get("finding") or self._said("received").get("finding")
        return told if isinstance(told, str) else None

    @property
    def alarm(self) -> bool:
        """Whether the outcome that is settled is one that a person must look at now."""
        return self._said("concluded").get("alarm") is True

    @property
    def contained_at(self) -> datetime | None:
        """When an earlier delivery, which may not have told it, had seen the workload stopped."""
        return next((r.recorded_at for r in self.earlier if r.kind == "contained"), None)

    def refusal(self, kind: str) -> str | None:
        """The reason that an earlier delivery recorded for what is never to be."""
        reason = self._said(kind).get("reason")
        return reason if isinstance(reason, str) else None

    def has(self, kind: str) -> bool:
        """Whether an earlier delivery left a record of that kind."""
        return any(record.kind == kind for record in self.earlier)

    async def begin(self, body: JsonObject) -> bool:
        """Say that the work begins; False when another run has begun it at this moment."""
        won = await self.journal.claim(1, "received", body)
        self._last = max(self._last, 1)
        return won

    async def note(self, kind: str, body: JsonObject) -> None:
        """Add a record."""
        self._last = await self.journal.append(self._last, kind, body)

    async def follow(self, kind: str, body: JsonObject) -> None:
        """Add a record of what came after the end."""
        last = max((record.number for record in self.earlier), default=DONE)
        await self.journal.append(max(last, DONE), kind, body)

    async def conclude(
        self, outcome: JsonObject, finding: str | None = None, *, alarm: bool = False
    ) -> JsonObject:
        """Settle the outcome; of several, the first stands, and is what comes back.

        The finding's name is kept beside it as it is: in the outcome, a value of the attacker's
        choice could have it redacted. So is whether a person must look now, for whoever has to
        finish it.
        """
        body = {"outcome": outcome, "finding": finding, "alarm": alarm}
        if await self.journal.claim(CONCLUDED, "concluded", body):
            return outcome
        return (await self.read_again()).concluded or outcome

    async def finish(self, outcome: JsonObject, manifest_sha256: str | None = None) -> bool:
        """Write ``done``; False when another run has finished the incident before."""
        body: JsonObject = {"outcome": outcome, "manifest_sha256": manifest_sha256}
        return await self.journal.claim(DONE, "done", body)

    async def stay_alive(self, patience: timedelta) -> None:
        """Leave a sign of life now and then, until cancelled, so that no peer takes over."""
        while True:
            await asyncio.sleep(patience.total_seconds() / 2)
            with contextlib.suppress(Retry):
                await self.note("alive", {})

    async def read_again(self) -> CaseFile:
        """The case file as it stands now."""
        return CaseFile(self.journal, await self.journal.records(self.earlier))

    async def wait_for_peer(self, patience: timedelta) -> bool:
        """Whether another run was at work, waited for until done or silent for too long."""
        if self._abandoned(patience):
            return False
        tick, silence = asyncio.get_running_loop().time, patience.total_seconds()
        case, silent_since = self, tick()
        while case.done is None and not case._over() and tick() - silent_since < silence:
            await asyncio.sleep(_POLL_S)
            fresh = await case.read_again()
            if len(fresh.earlier) > len(case.earlier):
                silent_since = tick()
            case = fresh
        return True

    def _said(self, kind: str) -> JsonObject:
        """What the first record of a kind says."""
        return next((record.body for record in self.earlier if record.kind == kind), {})

    def _abandoned(self, patience: timedelta) -> bool:
        """Whether nobody can be at work: no record, a retry was answered, or long silence."""
        if not self.earlier or self._over():
            return True
        return self.journal.clock() - self._newest.recorded_at > patience

    def _over(self) -> bool:
        """Whether the last run has ended, and said so."""
        return self._newest.kind == "retried"

    @property
    def _newest(self) -> Record:
        return max(self.earlier, key=lambda record: (record.recorded_at, record.number))


async def open_case(store: Store, folder: str, run: str, clock: Callable[[], datetime]) -> CaseFile:
    """The case file in a folder, with the records that stand there."""
    journal = Journal(store, folder, run, clock)
    return CaseFile(journal, await journal.records())


async def keep_evidence(case: CaseFile, evidence: Evidence, redactor: Redactor) -> None:
    """Store what was gathered, one object for each collector, and the log entries as lines.

    Raises:
        Retry: The store does not answer.
    """
    objects = await asyncio.to_thread(_objects, evidence, redactor)
    await together(*(_keep(case, name, data) for name, data in objects.items()))


def _objects(evidence: Evidence, redactor: Redactor) -> dict[str, bytes]:
    """What is stored, by name. Takes its time with megabytes, so not on the loop's."""
    logs, reputation = evidence.logs, evidence.reputation
    gathered: dict[str, Json] = {
        "finding": evidence.finding.raw,
        "notification": evidence.claim.raw if evidence.claim else None,
        "settings": plain(evidence.settings),
        "revisions": plain(evidence.revisions),
        "affected-revision": plain(evidence.ran) if evidence.ran.templates else None,
        "access": plain(evidence.access),
        "executions": plain(evidence.executions),
        "tasks": plain(evidence.tasks),
        "related-findings": plain(evidence.related),
        "audit-log": plain(evidence.audit),
        "virustotal": plain(reputation) if reputation and reputation.answered else None,
        "gaps": plain(evidence.gaps),
    }
    objects = {
        f"evidence/{name}": encode(redactor.json(value))
        for name, value in gathered.items()
        if value is not None
    }
    if logs is not None:
        lines = [encode_line(redactor.json(_entry(plain(entry)))) for entry in logs.entries]
        objects["logs"] = b"".join(lines)
    return objects


async def announce(case: CaseFile, topic: Announcer | None, outcome: JsonObject) -> str | None:
    """Publish the outcome once; the reason when it will never be.

    Raises:
        Retry: The topic does not answer; a redelivery finishes what is missing.
    """
    if topic is None or case.has("announced"):
        return None
    refused = await publish(topic, outcome)
    await case.note("not-announced" if refused else "announced", {"topic": topic.name})
    return refused


async def publish(topic: Announcer, outcome: JsonObject) -> str | None:
    """Publish an outcome; the reason when it will never be.

    Raises:
        Retry: The topic does not answer.
    """
    workload = outcome.get("workload")
    place = workload if isinstance(workload, Mapping) else {}
    finding = outcome.get("finding")
    attributes = {
        "status": outcome.get("status"),
        "incident": outcome.get("incident"),
        "severity": finding.get("severity") if isinstance(finding, Mapping) else None,
        "project": place.get("project"),
        "workload_kind": place.get("kind"),
    }
    try:
        await topic.publish(
            encode(outcome), {key: str(value or "") for key, value in attributes.items()}
        )
    except GiveUp as error:
        return str(error)
    return None


async def quarantine(store: Store, data: bytes, reason: str, redactor: Redactor) -> tuple[str, str]:
    """Keep what identifies a malformed message: digest, size, error, redacted beginning.

    Returns:
        The digest, and the object's path.

    Raises:
        Retry: The store does not answer.
    """
    digest = hashlib.sha256(data).hexdigest()
    path = f"quarantine/{digest}.json"
    body: Json = {
        "sha256": digest,
        "size": len(data),
        "error": reason,
        "beginning": redactor.raw(data, limit=_BEGINNING),
    }
    await store.create(path, encode(body))
    return digest, path


def encode_line(value: Json) -> bytes:
    """One line of a JSON Lines object."""
    return (json.dumps(value, ensure_ascii=False) + "\n").encode()


def _entry(entry: dict[str, Json]) -> dict[str, Json]:
    """A log entry with the warning that belongs to it."""
    return {**entry, "written_by": "the workload: an attacker may have forged it"}


def _outcome(records: tuple[Record, ...], kind: str) -> JsonObject | None:
    for record in records:
        outcome = record.body.get("outcome")
        if record.kind == kind and isinstance(outcome, Mapping):
            return outcome
    return None


async def _keep(case: CaseFile, name: str, data: bytes) -> None:
    """Create the object; beside what an earlier delivery gathered, never over it."""
    suffix = "jsonl" if name == "logs" else "json"
    path = f"{case.folder}/{name}.{suffix}"
    number = 1
    while not await case.journal.store.create(path, data):
        if await case.journal.store.read(path) == data:
            return
        number += 1
        path = f"{case.folder}/{name}-{number}.{suffix}"
