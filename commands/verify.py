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
from commands.known_digests import KnownDigest, digests_in_log, parse_digest
from commands.shared import as_json_option, print_json, run_with_store
from commands.verification_result import EXIT_STATUS, VerificationResult
from incident.case_file.index import CaseFileIndex
from incident.case_file.verification import CaseFileVerification, ManifestLink, ObjectState
from incident.case_file.verify import same_event_chains, verify_case_file
from incident.report.terminal import escape_unprintable

_PLACEHOLDER = "PROJECT_ID"
#: Where the project may be told that the responder runs in, after its own setting.
_PROJECTS = ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT", "GOOGLE_CLOUD_QUOTA_PROJECT")
_LISTED_MARKS = (
    ObjectState.CHANGED,
    ObjectState.MISSING,
    ObjectState.NOT_LISTED,
    ObjectState.FOUND,
)
_STYLES = {
    ObjectState.CHANGED: "bold red",
    ObjectState.MISSING: "bold red",
    ObjectState.NOT_LISTED: "bold red",
    ObjectState.FOUND: "yellow",
    ObjectState.HEARTBEAT: "",
    ObjectState.INTACT: "green",
}
_MEANINGS = {
    ObjectState.CHANGED: "its content is not what was listed",
    ObjectState.MISSING: "listed, and gone",
    ObjectState.NOT_LISTED: "in no manifest: planted, or not listed yet",
    ObjectState.FOUND: "listed as a later run found it: nobody knows who wrote it",
    ObjectState.HEARTBEAT: "never listed, says only that somebody was at work",
    ObjectState.INTACT: "as the run that wrote it listed it",
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
    known_digests = (*_parse_digests(digests), *(digests_in_log(log.read()) if log else ()))

    async def work(
        store: Store,
    ) -> tuple[CaseFileVerification, Mapping[str, tuple[ManifestLink, ...]]]:
        examination = await verify_case_file(store, await CaseFileIndex(store).folder_of(incident))
        return examination, await same_event_chains(
            store, examination.folder
        ) if known_digests else {}

    examination, others = run_with_store(work)
    result = VerificationResult(
        incident, examination, known_digests, others, digests_given=bool(digests) or log is not None
    )
    if as_json:
        print_json(_result_json(result))
    else:
        _print_result(result, Console(highlight=False, soft_wrap=True))
    sys.exit(EXIT_STATUS[result.status])


def _parse_digests(digests: tuple[str, ...]) -> Iterator[KnownDigest]:
    for text in digests:
        digest = parse_digest(text)
        if digest is None:
            raise click.BadParameter(f"{text!r} is no SHA-256 in hex", param_hint="--sha256")
        yield digest


def _log_query(examination: CaseFileVerification) -> str:
    """The command that prints all digests that the log has of a case file, and of what it rests on.

    A claim is logged by its event's id. Each line has the case file beside the digest: a dry run
    and the incident that comes of it have the same id.
    """
    folders = (examination.folder, *examination.depends_on)
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


def _result_json(result: VerificationResult) -> dict[str, object]:
    examination = result.examination
    return {
        "incident": result.incident,
        "folder": examination.folder,
        "verdict": result.status.value,
        "intact": result.intact,
        "proven": result.status.value == "proven",
        "found": examination.counts[ObjectState.FOUND],
        "counts": {mark.value: count for mark, count in examination.counts.items()},
        "objects": [
            {"path": item.path, "mark": item.state.value, "note": item.note or None}
            for item in examination.objects
        ],
        "manifests": [
            {
                "manifest": link.name,
                "sha256": link.sha256,
                "written": len(link.manifest.written) if link.manifest else None,
                "found": len(link.manifest.found) if link.manifest else None,
                "problem": link.problem or None,
                "known": link.sha256 in result.own_digests,
            }
            for link in examination.links
        ],
        "replaced": [*result.missing_digests],
        "gone": [*result.missing_case_files],
        "unproven": [*result.unproven_manifests],
        "others": [*examination.other_incidents],
        "elsewhere": {folder: [*other] for folder, other in result.other_digests.items()},
        "log_query": _log_query(examination),
    }


def _print_result(result: VerificationResult, console: Console) -> None:
    examination = result.examination
    console.print(Text.assemble(f"{result.incident}: ", result.headline))
    console.print(_counts_table(examination))
    for line in _problem_lines(result):
        console.print(Text(line, style="bold red"))
    for item in examination.objects:
        if item.state in _LISTED_MARKS:
            note = f" ({item.note})" if item.note else ""
            line = f"{item.state.value:<12}{escape_unprintable(item.path)}{note}"
            console.print(Text(line, style=_STYLES[item.state]))
    for number, text in enumerate(_next_steps(result), 1):
        console.print(Text(f"{'' if number > 1 else chr(10)}{number}. {text}"))
    console.print()
    for link in examination.links:
        known = "  known" if link.sha256 in result.own_digests else ""
        console.print(Text(f"{link.sha256}  {link.name}{known}"))
    for folder, digests in result.other_digests.items():
        for sha256 in digests:
            console.print(
                Text(f"{sha256}  of {escape_unprintable(folder)}, another case file: not counted")
            )


def _problem_lines(result: VerificationResult) -> Iterator[str]:
    for sha256 in result.missing_digests:
        yield f"replaced    the manifest that had the digest {sha256} is gone, or another by now"
    for folder in result.missing_case_files:
        yield (
            f"gone        {folder}, of which the log has digests; this is"
            f" {result.examination.folder}"
        )


def _counts_table(examination: CaseFileVerification) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for mark, count in examination.counts.items():
        style = _STYLES[mark] if count else "dim"
        table.add_row(
            Text(mark.value, style), Text(str(count), style), Text(_MEANINGS[mark], style)
        )
    return table


def _next_steps(result: VerificationResult) -> Iterator[str]:
    """What is left to the person who reads this, in order."""
    examination, again = result.examination, f".venv/bin/python cli.py verify {result.incident}"
    counts = examination.counts
    if (
        counts[ObjectState.CHANGED]
        or counts[ObjectState.MISSING]
        or result.missing_digests
        or result.missing_case_files
    ):
        yield (
            "Somebody wrote to the store. Do not rely on this case file, and do not mend it: copy"
            " it as it is, and find out who, in the bucket's audit log. The log line of the"
            " incident has the outcome as it was."
        )
    if broken := [link.name for link in examination.links if link.problem]:
        yield f"What only {', '.join(broken)} listed counts as not listed, since that is not sound."
    if counts[ObjectState.NOT_LISTED]:
        yield (
            "What is not listed is no evidence. If the incident was at work in the last minutes,"
            " or a run of it has died, a redelivery or `cli.py patrol` lists its last objects:"
            " verify again after that. What is not listed then was planted."
        )
    if counts[ObjectState.FOUND]:
        yield (
            "Read what was found with care: a run that died before it could list it has left it, or"
            " somebody has planted it, and nothing in the store tells which. Its `run` and"
            " `recorded_at` must fit a delivery in the log that was cut off."
        )
    if examination.other_incidents:
        others = ", ".join(examination.other_incidents)
        yield f"Records of the containment rest on {others}: verify that, too."
    if not result.own_digests:
        yield _compare_with_log_text(examination, again)
    elif result.unproven_manifests:
        yield (
            "No digest that you gave vouches for"
            f" {', '.join(map(escape_unprintable, result.unproven_manifests))}. What"
            " a command wrote (approve, contain, release, drill) it printed where it ran, not in"
            " the log: ask who ran it, and add --sha256 DIGEST. If nobody did, it is a forgery."
        )


def _compare_with_log_text(examination: CaseFileVerification, again: str) -> str:
    query = _log_query(examination)
    replace = f" with your project in place of {_PLACEHOLDER}" if _PLACEHOLDER in query else ""
    return (
        f"So far the store speaks for itself only. Hold it against the log{replace}:\n"
        f"   {query} |\n   {again} --log -"
    )
