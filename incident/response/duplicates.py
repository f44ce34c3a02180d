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

from incident.case_file.case_file import DONE_NUMBER, CaseFile
from incident.case_file.manifest_chain import read_manifest_chain, try_extend_manifest_chain
from incident.decision.context import ProcessContext
from incident.model import JsonObject
from incident.redaction.redactor import Redactor
from incident.report.outcome import duplicate_outcome
from incident.response.context import DeliveryResult, LogOutcome

_POLL_S = 0.2
#: Gaps that make an outcome one that a person must look at.
_ALARM_GAPS = frozenset({"report", "write-back", "announcement"})


async def answer_duplicate(
    case: CaseFile, done: JsonObject, context: ProcessContext, log_outcome: LogOutcome
) -> DeliveryResult:
    """The answer to a delivery of what is done; what was written at last is listed, if need be.

    Args:
        case: The case file, which has the record of it.
        done: The outcome.
        context: What holds for every incident.
        log_outcome: Puts an answer into the log.

    Raises:
        Retry: The store does not answer.
    """
    if await _was_logged(case, context.peer_wait):
        return await with_manifest(
            case, DeliveryResult(duplicate_outcome(done)), context.redactor()
        )
    return await log_and_list(case, repeated_result(case, done), context.redactor(), log_outcome)


async def log_and_list(
    case: CaseFile, result: DeliveryResult, redactor: Redactor, log_outcome: LogOutcome
) -> DeliveryResult:
    """Put an answer into the log, and only then list what is new."""
    log_outcome(replace(result, case_file=case.folder))
    return await with_manifest(case, result, redactor)


async def with_manifest(
    case: CaseFile, result: DeliveryResult, redactor: Redactor
) -> DeliveryResult:
    """An answer with what vouches for its case file, once what is new there is listed."""
    containment = result.outcome.get("containment")
    newest, unlisted = await try_extend_manifest_chain(case.journal.store, case.folder, containment)
    return replace(
        result,
        case_file=case.folder,
        manifest_sha256=newest or result.manifest_sha256,
        unlisted=redactor.text(unlisted),
    )


async def is_outcome_listed(case: CaseFile) -> bool:
    """Whether the record of the outcome is in a manifest: then it was in the log before that.

    Raises:
        Retry: The store does not answer.
    """
    store, folder = case.journal.store, case.folder
    chain = await read_manifest_chain(store, folder, await store.list(f"{folder}/"))
    return f"{folder}/{DONE_NUMBER:04d}-done.json" in chain.listed


def repeated_result(case: CaseFile, done: JsonObject) -> DeliveryResult:
    """The answer that whoever was done has given, or would have."""
    gaps = done.get("gaps")
    found = gaps if isinstance(gaps, list) else ()
    missing = {str(gap.get("collector")) for gap in found if isinstance(gap, Mapping)}
    return DeliveryResult(
        done,
        alarm=case.alarm or bool(missing & _ALARM_GAPS),
        warning="webhook" in missing,
        contained_at=case.contained_at,
    )


async def _was_logged(case: CaseFile, patience: timedelta) -> bool:
    """Whether the outcome was told; whoever has just recorded it is about to, and waited for."""
    tick, clock = asyncio.get_running_loop().time, case.journal.clock
    recorded_at = next((r.recorded_at for r in case.known_records if r.kind == "done"), clock())
    until = tick() + patience.total_seconds()
    while not (logged := await is_outcome_listed(case)):
        if tick() >= until or clock() - recorded_at > patience:
            break
        await asyncio.sleep(_POLL_S)
    return logged
