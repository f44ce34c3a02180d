"""A delivery of what is done: a duplicate, unless nobody is known to have heard of it.

An outcome is put on record, then into the log, and then its record is listed in a manifest. Who
finds it on record and not listed does not know whether it ever came into the log: whoever
recorded it may have died right then. So it is told again, as loud as it would have been.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from incident.case_file.case_file import DONE, CaseFile
from incident.case_file.manifest_chain import close, read_chain
from incident.decision.context import Standing
from incident.model import JsonObject
from incident.redaction.redactor import Redactor
from incident.report.outcome import duplicate
from incident.response.context import Answer, Say

_POLL_S = 0.2
#: Gaps that make an outcome one that a person must look at.
_ALARMING = frozenset({"report", "write-back", "announcement"})


async def repeated(case: CaseFile, done: JsonObject, standing: Standing, say: Say) -> Answer:
    """The answer to a delivery of what is done; what was written at last is listed, if need be.

    Args:
        case: The case file, which has the record of it.
        done: The outcome.
        standing: What holds for every incident.
        say: Puts an answer into the log.

    Raises:
        Retry: The store does not answer.
    """
    if await _told(case, standing.peer_wait):
        return await listed(case, Answer(duplicate(done)), standing.redactor())
    return await said(case, retold(case, done), standing.redactor(), say)


async def said(case: CaseFile, answer: Answer, hide: Redactor, say: Say) -> Answer:
    """Put an answer into the log, and only then list what is new."""
    say(replace(answer, case_file=case.folder))
    return await listed(case, answer, hide)


async def listed(case: CaseFile, answer: Answer, hide: Redactor) -> Answer:
    """An answer with what vouches for its case file, once what is new there is listed."""
    containment = answer.outcome.get("containment")
    newest, unlisted = await close(case.journal.store, case.folder, containment)
    return replace(
        answer,
        case_file=case.folder,
        manifest_sha256=newest or answer.manifest_sha256,
        unlisted=hide.text(unlisted),
    )


async def is_listed(case: CaseFile) -> bool:
    """Whether the record of the outcome is in a manifest: then it was in the log before that.

    Raises:
        Retry: The store does not answer.
    """
    store, folder = case.journal.store, case.folder
    chain = await read_chain(store, folder, await store.list(f"{folder}/"))
    return f"{folder}/{DONE:04d}-done.json" in chain.listed


def retold(case: CaseFile, done: JsonObject) -> Answer:
    """The answer that whoever was done has given, or would have."""
    gaps = done.get("gaps")
    found = gaps if isinstance(gaps, list) else ()
    lacking = {str(gap.get("collector")) for gap in found if isinstance(gap, Mapping)}
    return Answer(
        done,
        alarm=case.alarm or bool(lacking & _ALARMING),
        warning="webhook" in lacking,
        contained_at=case.contained_at,
    )


async def _told(case: CaseFile, patience: timedelta) -> bool:
    """Whether the outcome was told; whoever has just recorded it is about to, and waited for."""
    tick, clock = asyncio.get_running_loop().time, case.journal.clock
    recorded_at = next((r.recorded_at for r in case.earlier if r.kind == "done"), clock())
    until = tick() + patience.total_seconds()
    while not (is_told := await is_listed(case)):
        if tick() >= until or clock() - recorded_at > patience:
            break
        await asyncio.sleep(_POLL_S)
    return is_told
