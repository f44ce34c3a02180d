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
from commands.coverage_check import CoverageReport, CoverageRequest, check_coverage
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
from incident.readiness.request_pacer import RequestPacer
from incident.report.terminal import escape_unprintable

_STYLES = {
    CoverageStatus.FAILS: "bold red",
    CoverageStatus.HELD: "yellow",
    CoverageStatus.ENFORCEABLE: "green",
}


@click.command()
@click.option(
    "--project",
    "projects",
    multiple=True,
    metavar="ID",
    help="A project; may be given several times. By default RESPONDER_PROJECT.",
)
@click.option(
    "--projects",
    "file",
    type=click.File(),
    help="A file, or - for standard input, with a project on each line.",
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

    Asks the policy of RESPONDER_POLICY about a finding on each workload, plans its actions, and
    asks Google whether it would let them: by its permissions, and by changes that are only
    validated. Nothing is written. What matters is what the responder may do, so ask as it: --as
    names its service account. The workloads are looked for with your own credentials.

    Cloud Asset Inventory finds the workloads; it lags behind by some minutes. Where that API is
    off, the regions of a --project are listed instead, and that is said; what is then not known of
    a project, its number and folders, counts as protected where the policy names it. For --folder
    and --organization the API has to be on.

    Exit status: 0 enforcing would fail nowhere, 1 somewhere, or not all could be looked at,
    2 wrong use.
    """
    settings = exit_on_error(read_settings)
    names = (*where["projects"], *_lines(where["file"]))
    scopes = _scopes(names, where, settings)
    request = CoverageRequest(scopes, where["regions"], category, account)
    quiet = not sys.stderr.isatty()

    async def work(clients: Clients) -> CoverageReport:
        with Console(stderr=True, quiet=quiet).status("looking for workloads") as status:
            progress = lambda text: status.update(Text(text))  # noqa: E731 - one line of glue
            report = await check_coverage(request, settings, clients, RequestPacer(), progress)
            return report.redacted(observed_redactor(clients.observed_secrets))

    report = run_with_clients(work, settings, dry_run=True)
    if as_json:
        print_json(_report_json(report))
    else:
        _print_report(report, everything=everything)
    sys.exit(0 if report.passed else 1)


def _lines(file: TextIO | None) -> Iterable[str]:
    return filter(None, (line.strip() for line in file or ()))


def _scopes(names: Sequence[str], where: Mapping[str, Any], settings: Settings) -> tuple[str, ...]:
    """The scopes that the options name.

    Raises:
        click.UsageError: They name nothing, or something invalid.
    """
    tops = {"--folder": where["folders"], "--organization": where["organizations"]}
    for option, numbers in tops.items():
        if not all(re.fullmatch("[0-9]+", each) for each in numbers):
            raise click.UsageError(f"{option} wants a number")
    below = [f"{option[2:]}s/{each}" for option, some in tops.items() for each in some]
    projects = names or (() if below else filter(None, [settings.project]))
    scopes = dict.fromkeys((*(f"projects/{_project(name)}" for name in projects), *below))
    if not scopes:
        raise click.UsageError(
            "name a project: --project, or --projects with a file; or --folder or --organization"
        )
    return tuple(scopes)


def _project(name: str) -> str:
    if parse_project(name).id != name:
        raise click.UsageError(f"{escape_unprintable(name)!r} is no project id")
    return name


def _report_json(report: CoverageReport) -> dict[str, Any]:
    return {
        "as": report.asked_as,
        "summary": report.summary,
        "workloads": [each.json for each in report.workloads],
        "unread": [
            {"place": each.place, "what": each.what, "reason": each.reason}
            for each in report.unread
        ],
        "without_inventory": [
            {"place": place, "reason": reason} for place, reason in report.without_inventory
        ],
    }


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
            f"not read: {unread.what} of {unread.place}, so workloads may be"
            f" lacking: {unread.reason}"
        )
        console.print(Text(escape_unprintable(text), style="bold red"), soft_wrap=True)
    for place, reason in report.without_inventory:
        text = f"{place}: listed region by region, without Cloud Asset Inventory: {reason}"
        console.print(Text(escape_unprintable(text), style="yellow"), soft_wrap=True)
    counts = report.summary
    total = (
        f"{counts['workloads']} workloads in {counts['projects']} projects:"
        f" {counts[CoverageStatus.ENFORCEABLE]} enforceable,"
        f" {counts[CoverageStatus.FAILS]} would fail, {counts[CoverageStatus.HELD]}"
        " protected or held by the policy"
    )
    console.print(Text(f"asked as {escape_unprintable(report.asked_as)}"), soft_wrap=True)
    console.print(Text(total, style="green" if report.passed else "bold red"), soft_wrap=True)
