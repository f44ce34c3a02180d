"""Read the playbook that the policy names; the shipped one stands in for one that is broken."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from incident.model import IncidentError, InvalidPlaybook
from incident.model.outcome import Outcome
from incident.model.ports import PolicyPort
from incident.playbook.check import checked_playbook
from incident.playbook.plan import with_updated_plan
from incident.playbook.schema import Playbook
from incident.redaction.redactor import Redactor


@dataclass(frozen=True, slots=True)
class NamedPlaybook:
    """The playbook to use.

    Attributes:
        playbook: It; None for the shipped one.
        url: Where it lies; empty for the shipped one.
        problem: Why the shipped one stands in for it; empty if it does not.
    """

    playbook: Playbook | None = None
    url: str = ""
    problem: str = ""


async def read_playbook(reader: PolicyPort, url: str) -> NamedPlaybook:
    """Read and check a playbook. Logs an ERROR where the shipped one has to stand in for it.

    Args:
        reader: Reads the files beside the policy.
        url: Its address, or its path from the policy's folder; empty for the shipped one.
    """
    if not url:
        return NamedPlaybook()
    try:
        text = await reader.read_named(url)
        # Filling in every template takes half a second, which must not block other incidents.
        playbook = await asyncio.to_thread(checked_playbook, text, source=url)
    except IncidentError as error:
        problem = f"{error}. The shipped playbook is used instead"
        # The log knows the deliveries, which conclude incidents, which read the playbook.
        from incident.response.log import log_line  # noqa: PLC0415

        log_line(logging.ERROR, problem, {"stage": "playbook"}, None)
        return NamedPlaybook(problem=problem)
    return NamedPlaybook(playbook, url)


async def with_current_plan(outcome: Outcome, reader: PolicyPort, redactor: Redactor) -> Outcome:
    """The outcome with its plan filled in again for its current status, by the same playbook.

    A plan that cannot be filled in again stays as it is, and a gap says why.
    """
    url = outcome.assessment.playbook.url if outcome.assessment else ""
    named = await read_playbook(reader, url)
    problem = named.problem
    try:
        outcome = with_updated_plan(outcome, named.playbook)
    except InvalidPlaybook as error:
        problem = str(error)
    return outcome.with_gap("playbook", redactor.text(problem)) if problem else outcome
