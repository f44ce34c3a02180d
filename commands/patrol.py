"""``patrol``: does everything that we contained still hold?"""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from clients import Clients, read_settings
from commands.shared import as_json_option, print_json, run
from incident.patrol.result import Sighting
from incident.patrol.round import Round
from incident.patrol.unfinished import Leftover
from wiring import patrol_of


@click.command()
@as_json_option
def patrol(*, as_json: bool) -> None:
    """Look after everything that is held, once, with your own credentials.

    Does what the function `patrol` does: verifies every containment that is not released,
    records who undid it, finishes incidents whose deliveries ran out, and lets plans expire
    that nobody approved. It applies a containment again only where the policy's reapply_limit
    and RESPONDER_MODE allow it. Exit status: 0 all stands, 1 something was undone, is
    unfinished or could not be looked at.
    """
    found = run(_go)
    if as_json:
        print_json(_told(found))
    else:
        _show(found)
    sys.exit(1 if found.alarm else 0)


async def _go(clients: Clients) -> Round:
    return await patrol_of(read_settings(), clients).go()


def _told(found: Round) -> dict[str, Any]:
    return {
        "summary": {**found.summary},
        "containments": [sighting.json for sighting in found.sightings],
        "incidents": [_incident(leftover) for leftover in found.leftovers],
        "unchecked": [{"folder": f.folder, "reason": f.reason} for f in found.faults],
        "problem": found.problem or None,
    }


def _incident(leftover: Leftover) -> dict[str, Any]:
    answer = leftover.answer
    status = answer.outcome["status"] if answer else None
    return {"incident": leftover.incident, "status": status, "note": leftover.note}


def _show(found: Round) -> None:
    console = Console()
    for sighting in found.sightings:
        for line in _lines(sighting):
            console.print(line)
    for leftover in found.leftovers:
        text = _incident(leftover)["status"] or f"unfinished: {leftover.note}"
        console.print(Text(f"incident {leftover.incident}: {text}"))
    for fault in found.faults:
        console.print(Text(f"cannot look after {fault.folder}: {fault.reason}", style="bold red"))
    if found.problem:
        console.print(Text(found.problem, style="bold red"))
    counts = {name: count for name, count in found.summary.items() if count and name != "complete"}
    told = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing is held"
    more = "" if found.complete else "; the time was up, the next patrol goes on"
    console.print(Text(f"{told}{more}"))


def _lines(sighting: Sighting) -> list[Text]:
    style = "bold red" if sighting.alarm else "yellow"
    lines = [Text(f"{sighting.workload}: {sighting.sight.value}", style=style)]
    lines += [Text(f"  {line}") for line in sighting.differs]
    if sighting.by:
        lines.append(Text(f"  {sighting.by.clause.lstrip('; ')}"))
    if sighting.note:
        lines.append(Text(f"  {sighting.note}"))
    lines += [Text(f"  incident {incident}") for incident in sighting.incidents]
    return lines
