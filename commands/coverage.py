"""``coverage``: for which workloads enforcing would fail, and why."""

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
from commands.shared import as_json_option, checked, print_json, redactor_of, run
from commands.surveying import Found, Wanted, survey
from incident.notification.resource_names import parse_project
from incident.policy.resolve import CATEGORY
from incident.readiness.coverage import Cover, Pace, Project
from incident.report.terminal import visible

_STYLES = {Cover.FAILS: "bold red", Cover.HELD: "yellow", Cover.ENFORCEABLE: "green"}
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
@click.option("--category", default=CATEGORY, help="The finding type that is asked about.")
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
    settings = checked(read_settings)
    given = (*where["projects"], *_lines(where["file"]))
    wanted = _wanted(given, where, settings, category=category, account=account)
    quiet = not sys.stderr.isatty()

    async def work(clients: Clients) -> Found:
        with Console(stderr=True, quiet=quiet).status("looking for workloads") as status:
            say = lambda text: status.update(Text(text))  # noqa: E731 - one line of glue
            found = await survey(wanted, settings, clients, Pace(), say)
            return found.told(redactor_of(clients.heard))

    found = run(work, settings, rehearsing=True)
    if as_json:
        told = [each.json for each in found.covered]
        missed = [
            {"project": u.project, "region": u.region, "kind": u.kind.value, "reason": u.reason}
            for u in found.unlisted
        ]
        unread = [{"place": u.place, "what": u.what, "reason": u.reason} for u in found.unread]
        print_json(
            {
                "as": found.by,
                "summary": found.summary,
                "workloads": told,
                "unlisted": missed,
                "unread": unread,
            }
        )
    else:
        _show(found, everything=everything)
    sys.exit(0 if found.good else 1)


def _lines(file: TextIO | None) -> Iterable[str]:
    for line in file or ():
        words = line.split()
        if words:
            yield "=".join(words)


def _wanted(
    given: Sequence[str], where: Mapping[str, Any], settings: Settings, **asked: str
) -> Wanted:
    """What the command line asks about.

    Raises:
        click.UsageError: It names nothing, or a text that is no name.
    """
    tops = {"--folder": where["folders"], "--organization": where["organizations"]}
    for option, numbers in (*tops.items(), ("--above", where["above"])):
        alone = option == "--above" and numbers == (_NO_FOLDER,)
        if not alone and not all(re.fullmatch("[0-9]+", each) for each in numbers):
            kept = ", or `none` alone" if option == "--above" else ""
            raise click.UsageError(f"{option} wants a number{kept}")
    below = tuple(f"{option[2:]}s/{each}" for option, some in tops.items() for each in some)
    above = tuple(each for each in where["above"] if each != _NO_FOLDER)
    told = above if where["above"] else None
    names = dict.fromkeys(given or (() if below else filter(None, [settings.project])))
    if not names and not below:
        raise click.UsageError(
            "name a project: --project, or --projects with a file; or --folder or --organization"
        )
    projects = tuple(_project(name, told) for name in names)
    return Wanted(projects, where["regions"], tops=below, above=told, **asked)


def _project(text: str, above: tuple[str, ...] | None) -> Project:
    name, _, number = text.partition("=")
    told = parse_project(name)
    if told.id is None or told.id != name or (number and not re.fullmatch("[0-9]+", number)):
        raise click.UsageError(f"{visible(text)!r} is no project id, nor ID=NUMBER")
    return Project(name, number or None, above)


def _show(found: Found, *, everything: bool) -> None:
    console = Console()
    shown = [c for c in found.covered if everything or c.cover is Cover.FAILS or c.limits]
    table = Table(box=None, pad_edge=False)
    for title in ("workload", "enforcing", "why"):
        table.add_column(title, overflow="fold")
    for each in sorted(shown, key=lambda c: (-list(Cover).index(c.cover), c.workload.key)):
        why = "\n".join(map(visible, (*each.reasons, *each.limits)))
        name = Text(visible(each.workload.resource_name))
        table.add_row(name, Text(each.cover.value, style=_STYLES[each.cover]), Text(why))
    if shown:
        console.print(table)
    for lost in found.unread:
        text = f"not read: {lost.what} of {lost.place}, so workloads may be lacking: {lost.reason}"
        console.print(Text(visible(text), style="bold red"), soft_wrap=True)
    for missed in found.unlisted:
        text = f"not listed: {missed.kind.collection} of {missed.project} in {missed.region}:"
        console.print(Text(visible(f"{text} {missed.reason}"), style="bold red"), soft_wrap=True)
    counts = found.summary
    total = (
        f"{counts['workloads']} workloads in {counts['projects']} projects:"
        f" {counts[Cover.ENFORCEABLE]} enforceable,"
        f" {counts[Cover.FAILS]} would fail, {counts[Cover.HELD]} protected or held by the policy"
    )
    console.print(Text(f"asked as {visible(found.by)}"), soft_wrap=True)
    console.print(Text(total, style="green" if found.good else "bold red"), soft_wrap=True)
