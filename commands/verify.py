"""``verify``: compare a case file with the manifests of its runs and with the log."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clients import read_settings
from clients.store import Store
from commands.known_digests import digests_in_log, parse_digest
from commands.shared import as_json_option, print_json, run_with_store
from incident.case_file.index import CaseFileIndex
from incident.case_file.paths import (
    event_day,
    event_id,
    parse_case_file_path,
    parse_containment_path,
)
from incident.case_file.verification import (
    CaseFileVerification,
    KnownDigest,
    ObjectState,
    verify_case_file,
)
from incident.report.terminal import escape_unprintable

_PLACEHOLDER = "PROJECT_ID"
#: Variables that may name the responder's project, after its own setting.
_PROJECTS = ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT", "GOOGLE_CLOUD_QUOTA_PROJECT")
_MEANINGS = {
    ObjectState.CHANGED: "its content is not what its run listed",
    ObjectState.MISSING: "listed, and not in the store",
    ObjectState.NOT_LISTED: "planted, or created by a run that crashed before its manifest",
    ObjectState.INTACT: "as its run listed it",
}


@click.command()
@click.argument("incident")
@click.option(
    "--sha256",
    "digests",
    multiple=True,
    help="A manifest's digest, as a command printed it; may be given several times.",
)
@click.option(
    "--log",
    type=click.File(),
    help="A file with the digests from the log, as the query prints them; - reads standard input.",
)
@as_json_option
def verify(*, incident: str, digests: tuple[str, ...], log: TextIO | None, as_json: bool) -> None:
    """Compare INCIDENT's case file and containments with the manifests of the runs.

    Every object must be in a manifest, with the content that it has. The manifests lie in the
    store as well, where an attacker may forge one: with --log or --sha256, only
    those count whose digests are given. Without them, the query for the log is printed.

    Exit status: 0 every object is listed and intact; 1 an object or a manifest is changed,
    missing or not listed; 2 wrong use.
    """
    known: tuple[KnownDigest, ...] | None = None
    if digests or log is not None:
        known = (*_parse_digests(digests), *(digests_in_log(log.read()) if log else ()))

    async def work(store: Store) -> CaseFileVerification:
        folder = await CaseFileIndex(store).folder_of(incident)
        return await verify_case_file(store, folder, known)

    result = run_with_store(work)
    # A person may give the beginning of the id.
    found = parse_case_file_path(result.folder)
    name = found.incident if found else incident
    if as_json:
        print_json(_result_json(name, result))
    else:
        _print_result(name, result, Console(highlight=False, soft_wrap=True))
    sys.exit(0 if result.intact else 1)


def _parse_digests(digests: tuple[str, ...]) -> Iterator[KnownDigest]:
    for text in digests:
        digest = parse_digest(text)
        if digest is None:
            raise click.BadParameter(f"{text!r} is not a SHA-256 in hex", param_hint="--sha256")
        yield digest


def _log_query(result: CaseFileVerification) -> str:
    """The command that prints the digests of all manifests that list the case file's objects.

    Most lines name an incident; that of a folder that the patrol could not check names the folder.
    """
    manifests = [result.folder, *(manifest.folder for manifest in result.manifests)]
    cases = filter(None, map(parse_case_file_path, manifests))
    # The log names a claim by its event.
    events = sorted({event_id(case.incident) for case in cases})
    shared = (parse_containment_path(item.path) for item in result.objects)
    folders = {result.folder, *(containment.folder for containment in shared if containment)}
    day = event_day(events[0])
    return (
        'gcloud logging read \'resource.type="cloud_run_revision"'
        f" AND (jsonPayload.incident={_any_of(events)}"
        f" OR jsonPayload.case_file={_any_of(sorted(folders))})"
        ' AND jsonPayload.manifest_sha256=~"^[0-9a-f]{64}$"'
        f' AND timestamp>="{day[:4]}-{day[4:6]}-{day[6:]}T00:00:00Z"\''
        f" --project={shlex.quote(_project())} --order=asc"
        " --format='value(timestamp,jsonPayload.manifest_sha256,jsonPayload.case_file)'"
    )


def _any_of(values: Sequence[str]) -> str:
    """One value, or several, in the query language of Cloud Logging."""
    quoted = " OR ".join(f'"{value}"' for value in values)
    return f"({quoted})" if len(values) > 1 else quoted


def _project() -> str:
    known = (read_settings().project, *(os.environ.get(name, "") for name in _PROJECTS))
    return next(filter(None, known), _PLACEHOLDER)


def _result_json(incident: str, result: CaseFileVerification) -> dict[str, object]:
    return {
        "incident": incident,
        "folder": result.folder,
        "intact": result.intact,
        "compared_with_log": result.compared_with_log,
        "counts": {state.value: count for state, count in result.counts.items()},
        "objects": [
            {"path": item.path, "state": item.state.value, "note": item.note or None}
            for item in result.objects
        ],
        "manifests": [
            {"path": manifest.path, "sha256": manifest.sha256, "counts": manifest.counts}
            for manifest in result.manifests
        ],
        "missing_manifests": [*result.missing_manifests],
        "log_query": _log_query(result),
    }


def _print_result(incident: str, result: CaseFileVerification, console: Console) -> None:
    compared = "" if result.compared_with_log else " (the manifests are not compared with the log)"
    verdict, style = ("intact", "green") if result.intact else ("NOT INTACT", "bold red")
    console.print(Text.assemble(f"{incident}: ", (f"{verdict}{compared}", style)))
    table = Table(box=None, show_header=False, pad_edge=False)
    for state, count in result.counts.items():
        color = ("green" if state is ObjectState.INTACT else "bold red") if count else "dim"
        table.add_row(*(Text(each, color) for each in (state.value, str(count), _MEANINGS[state])))
    console.print(table)
    for sha256 in result.missing_manifests:
        line = f"missing     the manifest with SHA-256 {sha256}, which the log has"
        console.print(Text(line, style="bold red"))
    for item in result.objects:
        if item.state is not ObjectState.INTACT:
            note = f" ({escape_unprintable(item.note)})" if item.note else ""
            line = f"{item.state.value:<12}{escape_unprintable(item.path)}{note}"
            console.print(Text(line, style="bold red"))
    console.print()
    for text in _next_steps(incident, result):
        console.print(Text(text))
    for manifest in result.manifests:
        console.print(Text(f"{manifest.sha256}  {escape_unprintable(manifest.path)}"))


def _next_steps(incident: str, result: CaseFileVerification) -> Iterator[str]:
    """What the reader has to do, in order."""
    counts = result.counts
    if counts[ObjectState.CHANGED] or counts[ObjectState.MISSING] or result.missing_manifests:
        yield (
            "Somebody wrote to the store. Do not rely on this case file and do not repair it: copy"
            " it as it is, and find the writer in the bucket's audit log. The incident's log line"
            " has the outcome as it was."
        )
    if counts[ObjectState.NOT_LISTED]:
        yield (
            "Do not use what is not listed as evidence, unless its `run` and `recorded_at` fit a"
            " delivery that the log shows as cut off. While an incident is worked on, its objects"
            " are not listed yet. A command (approve, contain, release, drill) prints its digest"
            " where it runs: give that with --sha256."
        )
    if not result.compared_with_log:
        query = _log_query(result)
        project = f", with your project in place of {_PLACEHOLDER}" if _PLACEHOLDER in query else ""
        yield (
            f"Compare the manifests with the log{project}:\n   {query} |\n"
            f"   cloud-run-responder verify {incident} --log -"
        )
