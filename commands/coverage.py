"""``coverage``: for which workloads enforcing would fail, and why."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clients import Clients, Settings, connect, read_settings
from clients.identity import whoami
from clients.regions import regions_of
from commands.shared import as_json_option, checked, print_json, run
from incident.bench import read_policy
from incident.coverage import Cover, Covered, Pace, Project, Survey, Unlisted, find
from incident.model import InvalidPolicy
from incident.policy import CATEGORY
from incident.resource_name import parse_project
from incident.texts import visible
from incident.together import together
from wiring import outside_of

_STYLES = {Cover.FAILS: "bold red", Cover.HELD: "yellow", Cover.ENFORCEABLE: "green"}
_NO_FOLDER = "none"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked at.

    Attributes:
        projects: Where.
        regions: The regions; empty for every one that a project sees.
        category: The finding type that is asked about.
        account: The service account to ask as; empty to ask as ourselves.
    """

    projects: tuple[Project, ...]
    regions: tuple[str, ...]
    category: str
    account: str


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it.

    Attributes:
        by: Who asked.
        covered: Every workload.
        unlisted: What could not be looked at.
    """

    by: str
    covered: tuple[Covered, ...]
    unlisted: tuple[Unlisted, ...]

    @property
    def summary(self) -> dict[str, int]:
        """How many there are of what."""
        counts = Counter(each.cover for each in self.covered)
        return {
            "workloads": len(self.covered),
            **{cover.value: counts[cover] for cover in Cover},
            "unlisted": len(self.unlisted),
        }

    @property
    def good(self) -> bool:
        """Whether enforcing would fail nowhere, as far as all of it could be looked at."""
        return not self.unlisted and not any(c.cover is Cover.FAILS for c in self.covered)


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
    help="A folder above all of these projects, the nearest first; `none` where there is none. Only"
    " needed where the policy names folders: what is not known counts as protected.",
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

    A folder's projects come from gcloud, with their numbers:

    \b
      gcloud projects list --filter=parent.id=345678901234 \\
          --format='value(projectId,projectNumber)' |
        python cli.py coverage --projects - --folder 345678901234 --as ACCOUNT

    Exit status: 0 enforcing would fail nowhere, 1 somewhere, or not all could be looked at,
    2 wrong use.
    """  # noqa: D301 - click reads the first backslash, a shell the second
    settings = checked(read_settings)
    given = (*where["projects"], *_lines(where["file"]))
    projects = _projects(given, where["folders"], settings)
    wanted = Wanted(projects, where["regions"], category, account)
    quiet = not sys.stderr.isatty()

    async def work(clients: Clients) -> Found:
        with Console(stderr=True, quiet=quiet).status("looking for workloads") as status:
            say = lambda text: status.update(Text(text))  # noqa: E731 - one line of glue
            return await survey(wanted, settings, clients, Pace(), say)

    found = run(work, settings, rehearsing=True)
    if as_json:
        told = [each.json for each in found.covered]
        missed = [
            {"project": u.project, "region": u.region, "kind": u.kind.value, "reason": u.reason}
            for u in found.unlisted
        ]
        print_json(
            {"as": found.by, "summary": found.summary, "workloads": told, "unlisted": missed}
        )
    else:
        _show(found, everything=everything)
    sys.exit(0 if found.good else 1)


async def survey(
    wanted: Wanted,
    settings: Settings,
    clients: Clients,
    pace: Pace,
    say: Callable[[str], object] = lambda _: None,
) -> Found:
    """Look at every workload of some projects.

    Raises:
        InvalidPolicy: There is no policy to ask.
        Retry: Time may heal it.
        GiveUp: A project's regions cannot be told, or there are no credentials.
    """
    policy = await read_policy(outside_of(clients))
    if isinstance(policy, InvalidPolicy):
        raise policy
    by = wanted.account or whoami(settings)
    asking = await connect(settings, rehearsing=True, account=wanted.account)
    try:
        say(f"looking for workloads in {len(wanted.projects)} projects")
        lists = [
            await find(
                each, wanted.regions or await regions_of(each.id, settings), clients.run, pace
            )
            for each in wanted.projects
        ]
        ask = Survey(policy, wanted.category, asking.run, datetime.now(UTC), pace)
        there = [each for some, _ in lists for each in some]
        done = 0

        async def cover(at: int) -> Covered:
            nonlocal done
            covered = await ask.cover(*there[at])
            done += 1
            say(f"asked about {done} of {len(there)} workloads, as {visible(by)}")
            return covered

        covered = await together(*map(cover, range(len(there))))
    finally:
        await asking.close()
    return Found(by, tuple(covered), tuple(each for _, missed in lists for each in missed))


def _lines(file: TextIO | None) -> Iterable[str]:
    for line in file or ():
        words = line.split()
        if words:
            yield "=".join(words)


def _projects(
    given: Sequence[str], folders: Sequence[str], settings: Settings
) -> tuple[Project, ...]:
    """The projects of the command line.

    Raises:
        click.UsageError: There is none, or a text that is none.
    """
    wrong = [each for each in folders if each != _NO_FOLDER and not re.fullmatch("[0-9]+", each)]
    if wrong or (_NO_FOLDER in folders and len(folders) > 1):
        raise click.UsageError("--folder wants the folder's number, or `none` alone")
    above = tuple(each for each in folders if each != _NO_FOLDER) if folders else None
    names = dict.fromkeys(given or filter(None, [settings.project]))
    if not names:
        raise click.UsageError("name a project: --project, or --projects with a file")
    return tuple(_project(name, above) for name in names)


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
    for missed in found.unlisted:
        text = f"not listed: {missed.kind.collection} of {missed.project} in {missed.region}:"
        console.print(Text(visible(f"{text} {missed.reason}"), style="bold red"), soft_wrap=True)
    counts = found.summary
    total = (
        f"{counts['workloads']} workloads: {counts[Cover.ENFORCEABLE]} enforceable,"
        f" {counts[Cover.FAILS]} would fail, {counts[Cover.HELD]} protected or held by the policy"
    )
    console.print(Text(f"asked as {visible(found.by)}"), soft_wrap=True)
    console.print(Text(total, style="green" if found.good else "bold red"), soft_wrap=True)
