"""``verify``: is a case file still what it was when the responder sealed it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clients import read_settings
from clients.store import Store
from commands.shared import as_json_option, print_json, read_store
from incident.cases import Cases
from incident.examination import Examination, Mark
from incident.examine import examine
from incident.texts import visible

_SHA256 = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_SHOWN = (Mark.CHANGED, Mark.MISSING, Mark.NOT_LISTED, Mark.FOUND)
_STYLES = {
    Mark.CHANGED: "bold red",
    Mark.MISSING: "bold red",
    Mark.NOT_LISTED: "bold red",
    Mark.FOUND: "yellow",
    Mark.ALIVE: "",
    Mark.INTACT: "green",
}
_MEANINGS = {
    Mark.CHANGED: "its content is not what was listed",
    Mark.MISSING: "listed, and gone",
    Mark.NOT_LISTED: "in no manifest: planted, or not listed yet",
    Mark.FOUND: "listed as a later run found it: who wrote it did not",
    Mark.ALIVE: "never listed, says only that somebody was at work",
    Mark.INTACT: "as the run that wrote it listed it",
}


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What the examination comes to, with what is known from outside the store."""

    incident: str
    found: Examination
    known: tuple[str, ...]
    query: str

    @property
    def replaced(self) -> tuple[str, ...]:
        return self.found.replaced(self.known)

    @property
    def unproven(self) -> tuple[str, ...]:
        """Manifests for which nothing but the store itself speaks."""
        return tuple(link.name for link in self.found.unproven(self.known))

    @property
    def intact(self) -> bool:
        return self.found.intact and not self.replaced

    @property
    def proven(self) -> bool:
        """Whether digests from outside the store vouch for all that is listed."""
        return bool(self.known) and not self.unproven and not self.replaced

    @property
    def said(self) -> tuple[str, str]:
        """The same in words, with their style."""
        if not self.intact:
            return "NOT INTACT", "bold red"
        if self.proven:
            return "intact, and the digests that you gave vouch for all of it", "bold green"
        if self.known:
            return "intact, but the digests that you gave do not vouch for all of it", "yellow"
        return "intact, as far as the store itself can tell", "bold green"


@click.command()
@click.argument("incident")
@click.option(
    "--sha256",
    "digests",
    multiple=True,
    help="A manifest's digest as the log or a command told it; may be given several times.",
)
@click.option(
    "--log",
    type=click.File(),
    help="A file with all such digests, such as what the query prints; - reads standard input.",
)
@as_json_option
def verify(*, incident: str, digests: tuple[str, ...], log: TextIO | None, as_json: bool) -> None:
    """Check every object of INCIDENT's case file, and of its containments, against the manifests.

    The manifests are a chain, and lie in the store as well: whoever can write there can make the
    whole of it anew. What he cannot change are their digests in the log. Each that is there must
    be that of a manifest here; the query that finds them is printed.

    Exit status: 0 everything is as it was listed, and nothing else is there; 1 it is not, or
    a digest that was given is none of the manifests'; 2 wrong use.
    """
    known = (*_given(digests), *(_digests(log.read()) if log else ()))

    async def work(store: Store) -> Examination:
        return await examine(store, await Cases(store).folder(incident))

    verdict = _Verdict(incident, read_store(work), known, _query(incident))
    if as_json:
        print_json(_json(verdict))
    else:
        _say(verdict, Console(highlight=False, soft_wrap=True))
    sys.exit(0 if verdict.intact else 1)


def _given(digests: tuple[str, ...]) -> Iterator[str]:
    for text in digests:
        if not _SHA256.fullmatch(text.strip().lower()):
            raise click.BadParameter(f"{text!r} is no SHA-256 in hex", param_hint="--sha256")
        yield text.strip().lower()


def _digests(text: str) -> list[str]:
    return _SHA256.findall(text.lower())


def _query(incident: str) -> str:
    """The command that prints all digests that the log has; a claim is logged by its event's id."""
    event = "-".join(incident.split("-")[:2])
    day = f"{event[:4]}-{event[4:6]}-{event[6:8]}"
    project = read_settings().project or "PROJECT_ID"
    return (
        'gcloud logging read \'resource.type="cloud_run_revision"'
        f' AND jsonPayload.incident="{event}" AND jsonPayload.manifest_sha256=~"^[0-9a-f]{{64}}$"'
        f' AND timestamp>="{day}T00:00:00Z"\' --project={project} --order=asc'
        " --format='value(timestamp,jsonPayload.manifest_sha256)'"
    )


def _json(verdict: _Verdict) -> dict[str, object]:
    found = verdict.found
    return {
        "incident": verdict.incident,
        "folder": found.folder,
        "intact": verdict.intact,
        "proven": verdict.proven,
        "counts": {mark.value: count for mark, count in found.counts.items()},
        "objects": [
            {"path": item.path, "mark": item.mark.value, "note": item.note or None}
            for item in found.items
        ],
        "manifests": [
            {
                "manifest": link.name,
                "sha256": link.sha256,
                "written": len(link.manifest.written) if link.manifest else None,
                "found": len(link.manifest.found) if link.manifest else None,
                "problem": link.problem or None,
                "known": link.sha256 in verdict.known,
            }
            for link in found.links
        ],
        "replaced": [*verdict.replaced],
        "unproven": [*verdict.unproven],
        "others": [*found.others],
        "log_query": verdict.query,
    }


def _say(verdict: _Verdict, console: Console) -> None:
    found = verdict.found
    console.print(Text.assemble(f"{verdict.incident}: ", verdict.said))
    console.print(_counts(found))
    for sha256 in verdict.replaced:
        told = f"replaced    the manifest that had the digest {sha256} is gone, or another by now"
        console.print(Text(told, style="bold red"))
    for item in found.items:
        if item.mark in _SHOWN:
            note = f" ({item.note})" if item.note else ""
            told = f"{item.mark.value:<12}{visible(item.path)}{note}"
            console.print(Text(told, style=_STYLES[item.mark]))
    for number, text in enumerate(_to_do(verdict), 1):
        console.print(Text(f"{'' if number > 1 else chr(10)}{number}. {text}"))
    console.print()
    for link in found.links:
        known = "  known" if link.sha256 in verdict.known else ""
        console.print(Text(f"{link.sha256}  {link.name}{known}"))


def _counts(found: Examination) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for mark, count in found.counts.items():
        style = _STYLES[mark] if count else "dim"
        table.add_row(
            Text(mark.value, style), Text(str(count), style), Text(_MEANINGS[mark], style)
        )
    return table


def _to_do(verdict: _Verdict) -> Iterator[str]:
    """What is left to the person who reads this, in order."""
    found, again = verdict.found, f".venv/bin/python cli.py verify {verdict.incident}"
    counts = found.counts
    if counts[Mark.CHANGED] or counts[Mark.MISSING] or verdict.replaced:
        yield (
            "Somebody wrote to the store. Do not rely on this case file, and do not mend it: copy"
            " it as it is, and find out who, in the bucket's audit log. The log line of the"
            " incident has the outcome as it was."
        )
    if broken := [link.name for link in found.links if link.problem]:
        yield f"What only {', '.join(broken)} listed counts as not listed, since that is not sound."
    if counts[Mark.NOT_LISTED]:
        yield (
            "What is not listed is no evidence. If the incident was at work in the last minutes,"
            " or a run of it has died, a redelivery or `cli.py patrol` lists its last objects:"
            " verify again after that. What is not listed then was planted."
        )
    if counts[Mark.FOUND]:
        yield (
            "Read what was found with care: who wrote it did not live to list it. Its `run` and"
            " `recorded_at` must fit a delivery in the log that was cut off."
        )
    for incident in found.others:
        yield f"Records of the containment rest on {incident}: verify that, too."
    if not verdict.known:
        yield (
            "So far the store speaks for itself only. Hold it against the log:\n"
            f"   {verdict.query} |\n   {again} --log -"
        )
    elif verdict.unproven:
        yield (
            f"No digest that you gave vouches for {', '.join(verdict.unproven)}. What a command"
            " wrote (approve, contain, release, drill) it printed where it ran, not in the log:"
            " ask who ran it, and add --sha256 DIGEST. If nobody did, it is a forgery."
        )
