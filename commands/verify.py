"""``verify``: is a case file still what it was when the responder sealed it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import TextIO

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clients import read_settings
from clients.store import Store
from commands.shared import as_json_option, print_json, read_store
from commands.verdict import EXIT_STATUS, Verdict
from commands.vouched import Vouched, digest_of, digests_in
from incident.case_file.index import Cases
from incident.case_file.verification import Examination, Link, Mark
from incident.case_file.verify import examine, namesakes
from incident.report.terminal import visible

_PLACEHOLDER = "PROJECT_ID"
#: Where the project may be told that the responder runs in, after its own setting.
_PROJECTS = ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT", "GOOGLE_CLOUD_QUOTA_PROJECT")
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
    Mark.FOUND: "listed as a later run found it: nobody knows who wrote it",
    Mark.ALIVE: "never listed, says only that somebody was at work",
    Mark.INTACT: "as the run that wrote it listed it",
}


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

    Exit status: 0 everything is as the run that wrote it listed it, and, where digests were given,
    these vouch for all of it; 1 it is not, or a manifest was replaced; 2 wrong use; 3 there are
    objects that a later run found, and whose writer nobody vouches for; 4 digests were to be given
    (--log, --sha256), and do not vouch for all of it, or are none of this case file.
    """
    told = (*_given(digests), *(digests_in(log.read()) if log else ()))

    async def work(store: Store) -> tuple[Examination, Mapping[str, tuple[Link, ...]]]:
        found = await examine(store, await Cases(store).folder(incident))
        return found, await namesakes(store, found.folder) if told else {}

    found, others = read_store(work)
    verdict = Verdict(incident, found, told, others, asked=bool(digests) or log is not None)
    if as_json:
        print_json(_json(verdict))
    else:
        _say(verdict, Console(highlight=False, soft_wrap=True))
    sys.exit(EXIT_STATUS[verdict.worth])


def _given(digests: tuple[str, ...]) -> Iterator[Vouched]:
    for text in digests:
        told = digest_of(text)
        if told is None:
            raise click.BadParameter(f"{text!r} is no SHA-256 in hex", param_hint="--sha256")
        yield told


def _query(found: Examination) -> str:
    """The command that prints all digests that the log has of a case file, and of what it rests on.

    A claim is logged by its event's id. Each line has the case file beside the digest: a dry run
    and the incident that comes of it have the same id.
    """
    folders = (found.folder, *found.rests_on)
    events = ["-".join(folder.rpartition("/")[2].split("-")[:2]) for folder in folders]
    day = min(f"{event[:4]}-{event[4:6]}-{event[6:8]}" for event in events)
    names = " OR ".join(f'"{event}"' for event in dict.fromkeys(events))
    return (
        'gcloud logging read \'resource.type="cloud_run_revision"'
        f" AND jsonPayload.incident={f'({names})' if ' ' in names else names}"
        ' AND jsonPayload.manifest_sha256=~"^[0-9a-f]{64}$"'
        f' AND timestamp>="{day}T00:00:00Z"\' --project={shlex.quote(_project())} --order=asc'
        " --format='value(timestamp,jsonPayload.manifest_sha256,jsonPayload.case_file)'"
    )


def _project() -> str:
    known = (read_settings().project, *(os.environ.get(name, "") for name in _PROJECTS))
    return next(filter(None, known), _PLACEHOLDER)


def _json(verdict: Verdict) -> dict[str, object]:
    found = verdict.found
    return {
        "incident": verdict.incident,
        "folder": found.folder,
        "verdict": verdict.worth.value,
        "intact": verdict.intact,
        "proven": verdict.worth.value == "proven",
        "found": found.counts[Mark.FOUND],
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
        "gone": [*verdict.gone],
        "unproven": [*verdict.unproven],
        "others": [*found.others],
        "elsewhere": {folder: [*told] for folder, told in verdict.elsewhere.items()},
        "log_query": _query(found),
    }


def _say(verdict: Verdict, console: Console) -> None:
    found = verdict.found
    console.print(Text.assemble(f"{verdict.incident}: ", verdict.said))
    console.print(_counts(found))
    for told in _bad(verdict):
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
    for folder, digests in verdict.elsewhere.items():
        for sha256 in digests:
            console.print(Text(f"{sha256}  of {visible(folder)}, another case file: not counted"))


def _bad(verdict: Verdict) -> Iterator[str]:
    for sha256 in verdict.replaced:
        yield f"replaced    the manifest that had the digest {sha256} is gone, or another by now"
    for folder in verdict.gone:
        yield f"gone        {folder}, of which the log has digests; this is {verdict.found.folder}"


def _counts(found: Examination) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for mark, count in found.counts.items():
        style = _STYLES[mark] if count else "dim"
        table.add_row(
            Text(mark.value, style), Text(str(count), style), Text(_MEANINGS[mark], style)
        )
    return table


def _to_do(verdict: Verdict) -> Iterator[str]:
    """What is left to the person who reads this, in order."""
    found, again = verdict.found, f".venv/bin/python cli.py verify {verdict.incident}"
    counts = found.counts
    if counts[Mark.CHANGED] or counts[Mark.MISSING] or verdict.replaced or verdict.gone:
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
            "Read what was found with care: a run that died before it could list it has left it, or"
            " somebody has planted it, and nothing in the store tells which. Its `run` and"
            " `recorded_at` must fit a delivery in the log that was cut off."
        )
    if found.others:
        told = ", ".join(found.others)
        yield f"Records of the containment rest on {told}: verify that, too."
    if not verdict.known:
        yield _hold_against_the_log(found, again)
    elif verdict.unproven:
        yield (
            f"No digest that you gave vouches for {', '.join(map(visible, verdict.unproven))}. What"
            " a command wrote (approve, contain, release, drill) it printed where it ran, not in"
            " the log: ask who ran it, and add --sha256 DIGEST. If nobody did, it is a forgery."
        )


def _hold_against_the_log(found: Examination, again: str) -> str:
    query = _query(found)
    replace = f" with your project in place of {_PLACEHOLDER}" if _PLACEHOLDER in query else ""
    return (
        f"So far the store speaks for itself only. Hold it against the log{replace}:\n"
        f"   {query} |\n   {again} --log -"
    )
