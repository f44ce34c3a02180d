"""``coverage``: list workloads for which enforcing would fail, and why."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clients import Clients, Settings, read_settings
from commands.coverage_search import CoverageReport, CoverageRequest, check_coverage
from commands.shared import (
    as_json_option,
    exit_on_error,
    observed_redactor,
    print_json,
    run_with_clients,
)
from incident.notification.resource_names import parse_project
from incident.policy.resolve import DEFAULT_CATEGORY
from incident.readiness.coverage import CoverageStatus
from incident.readiness.workload_search import ProjectRef, RequestPacer
from incident.report.terminal import escape_unprintable

_STYLES = {
    CoverageStatus.FAILS: "bold red",
    CoverageStatus.HELD: "yellow",
    CoverageStatus.ENFORCEABLE: "green",
}
_NO_FOLDER = "none"


@click.command()
@click.option(
    "--project",
    "projects",
    multiple=True,
    metavar="ID[=NUMBER]",
    help="A project; may be given several times. By default RESPONDER_PROJECT. The number is only"
    " needed where the policy names projects by number.",
)
@click.option(
    "--projects",
    "file",
    type=click.File(),
    help="A file, or - for standard input, with a project on each line: its id, and after a space"
    " its number if you like.",
)
@click.option(
    "--folder",
    "folders",
    multiple=True,
    metavar="NUMBER",
    help="Every project below this folder, however deep.",
)
@click.option(
    "--organization",
    "organizations",
    multiple=True,
    metavar="NUMBER",
    help="Every project below this organization, however deep.",
)
@click.option(
    "--above",
    multiple=True,
    metavar="NUMBER",
    help="A folder above all of these projects or above --folder, the nearest first; `none`"
    " where there is none. Only needed where the policy names folders, and you may not read what is"
    " above: what is not known counts as protected.",
)
@click.option("--region", "regions", multiple=True, help="Look in these regions only.")
@click.option("--category", default=DEFAULT_CATEGORY, help="The finding type that is asked about.")
@click.option(
    "--as",
    "account",
    default="",
    metavar="EMAIL",
    help="Ask as this service account, the responder's; needs the right to make tokens of it. By"
    " default everything is asked as yourself.",
)
@click.option("--all", "everything", is_flag=True, help="List every workload.")
@as_json_option
def coverage(*, category: str, account: str, everything: bool, as_json: bool, **where: Any) -> None:
    """List every Cloud Run workload for which enforcing would fail, and why.

    Asks the policy of RESPONDER_POLICY about a finding on each service, job and worker pool,
    plans its actions, and asks Google whether it would let them: by its permissions, and by
    changes that are only validated. Nothing is written. What matters is what the responder may
    do, so ask as it: --as names its service account. The workloads are looked for with your own
    credentials.

    --folder and --organization walk through all folders below. What could not be read is said,
    and with it that workloads may be lacking. Projects in which Cloud Run is off have none.

    Exit status: 0 enforcing would fail nowhere, 1 somewhere, or not all could be looked at,
    2 wrong use.
    """
    settings = exit_on_error(read_settings)
    given = (*where["projects"], *_lines(where["file"]))
    request = _request(given, where, settings, category=category, account=account)
    quiet = not sys.stderr.isatty()

    async def work(clients: Clients) -> CoverageReport:
        with Console(stderr=True, quiet=quiet).status("looking for workloads") as status:
            progress = lambda text: status.update(Text(text))  # noqa: E731 - one line of glue
            report = await check_coverage(request, settings, clients, RequestPacer(), progress)
            return report.redacted(observed_redactor(clients.observed_secrets))

    report = run_with_clients(work, settings, dry_run=True)
    if as_json:
        workloads = [each.json for each in report.workloads]
        missed = [
            {"project": u.project, "region": u.region, "kind": u.kind.value, "reason": u.reason}
            for u in report.unlisted
        ]
        unread = [{"place": u.resource, "what": u.what, "reason": u.reason} for u in report.unread]
        print_json(
            {
                "as": report.asked_as,
                "summary": report.summary,
                "workloads": workloads,
                "unlisted": missed,
                "unread": unread,
            }
        )
    else:
        _print_report(report, everything=everything)
    sys.exit(0 if report.passed else 1)


def _lines(file: TextIO | None) -> Iterable[str]:
    for line in file or ():
        words = line.split()
        if words:
            yield "=".join(words)


def _request(
    given: Sequence[str], where: Mapping[str, Any], settings: Settings, **asked: str
) -> CoverageRequest:
    """The request that the options describe.

    Raises:
        click.UsageError: They name nothing, or something invalid.
    """
    tops = {"--folder": where["folders"], "--organization": where["organizations"]}
    for option, numbers in (*tops.items(), ("--above", where["above"])):
        alone = option == "--above" and numbers == (_NO_FOLDER,)
        if not alone and not all(re.fullmatch("[0-9]+", each) for each in numbers):
            kept = ", or `none` alone" if option == "--above" else ""
            raise click.UsageError(f"{option} wants a number{kept}")
    below = tuple(f"{option[2:]}s/{each}" for option, some in tops.items() for each in some)
    above = tuple(each for each in where["above"] if each != _NO_FOLDER)
    ancestors = above if where["above"] else None
    names = dict.fromkeys(given or (() if below else filter(None, [settings.project])))
    if not names and not below:
        raise click.UsageError(
            "name a project: --project, or --projects with a file; or --folder or --organization"
        )
    projects = tuple(_project(name, ancestors) for name in names)
    return CoverageRequest(projects, where["regions"], parents=below, ancestors=ancestors, **asked)


def _project(text: str, above: tuple[str, ...] | None) -> ProjectRef:
    name, _, number = text.partition("=")
    parsed = parse_project(name)
    if parsed.id is None or parsed.id != name or (number and not re.fullmatch("[0-9]+", number)):
        raise click.UsageError(f"{escape_unprintable(text)!r} is no project id, nor ID=NUMBER")
    return ProjectRef(name, number or None, above)


def _print_report(report: CoverageReport, *, everything: bool) -> None:
    console = Console()
    shown = [
        c for c in report.workloads if everything or c.status is CoverageStatus.FAILS or c.limits
    ]
    table = Table(box=None, pad_edge=False)
    for title in ("workload", "enforcing", "why"):
        table.add_column(title, overflow="fold")
    for each in sorted(
        shown, key=lambda c: (-list(CoverageStatus).index(c.status), c.workload.key)
    ):
        why = "\n".join(map(escape_unprintable, (*each.reasons, *each.limits)))
        name = Text(escape_unprintable(each.workload.resource_name))
        table.add_row(name, Text(each.status.value, style=_STYLES[each.status]), Text(why))
    if shown:
        console.print(table)
    for unread in report.unread:
        text = (
            f"not read: {unread.what} of {unread.resource}, so workloads may be"
            f" lacking: {unread.reason}"
        )
        console.print(Text(escape_unprintable(text), style="bold red"), soft_wrap=True)
    for unlisted in report.unlisted:
        text = f"not listed: {unlisted.kind.collection} of {unlisted.project} in {unlisted.region}:"
        console.print(
            Text(escape_unprintable(f"{text} {unlisted.reason}"), style="bold red"), soft_wrap=True
        )
    counts = report.summary
    total = (
        f"{counts['workloads']} workloads in {counts['projects']} projects:"
        f" {counts[CoverageStatus.ENFORCEABLE]} enforceable,"
        f" {counts[CoverageStatus.FAILS]} would fail, {counts[CoverageStatus.HELD]}"
        " protected or held by the policy"
    )
    console.print(Text(f"asked as {escape_unprintable(report.asked_as)}"), soft_wrap=True)
    console.print(Text(total, style="green" if report.passed else "bold red"), soft_wrap=True)
