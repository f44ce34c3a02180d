"""``verify``: is a case file still what it was when the responder sealed it."""

from __future__ import annotations

import sys

import click
from rich.console import Console
from rich.text import Text

from clients.store import Store
from commands.shared import as_json_option, print_json, read_store
from incident.cases import Cases
from incident.manifest import Findings
from incident.seal import verify_seals


@click.command()
@click.argument("incident")
@click.option(
    "--sha256",
    help="The manifest's digest as the log has it: one of the manifests must have it.",
)
@as_json_option
def verify(*, incident: str, sha256: str | None, as_json: bool) -> None:
    """Check the case file of INCIDENT against its manifests.

    A manifest lies in the store as well. What is out of the store's reach is its digest: the
    log line of the incident has it as manifest_sha256. Objects that came after a manifest are
    named, and covered by the next one if there is one.
    """

    async def work(store: Store) -> tuple[Findings, ...]:
        case = await Cases(store).one(incident)
        return await verify_seals(store, case.folder)

    found = read_store(work)
    known = sha256 is None or any(each.sha256 == sha256.lower() for each in found)
    intact = known and all(each.intact for each in found)
    if as_json:
        print_json({"incident": incident, "intact": intact, "manifests": list(map(_json, found))})
    else:
        _say(found, sha256 if not known else None)
    sys.exit(0 if intact else 1)


def _json(found: Findings) -> dict[str, object]:
    return {
        "manifest": found.name,
        "sha256": found.sha256,
        "covered": found.covered,
        "missing": list(found.missing),
        "changed": list(found.changed),
        "added": list(found.added),
        "intact": found.intact,
    }


def _say(found: tuple[Findings, ...], unknown: str | None) -> None:
    console = Console(highlight=False)
    for each in found:
        good = "intact" if each.intact else "NOT INTACT"
        style = "green" if each.intact else "bold red"
        console.print(Text.assemble(f"{each.name}: {each.covered} objects, ", (good, style)))
        console.print(Text(f"  sha256 {each.sha256}"), soft_wrap=True)
        for word, paths in (("missing", each.missing), ("changed", each.changed)):
            for path in paths:
                console.print(Text(f"  {word}: {path}", style="bold red"))
        for path in each.added:
            console.print(Text(f"  not covered, came after it: {path}"))
    if unknown:
        text = f"none of these manifests has the digest {unknown}: the one that had it was replaced"
        console.print(Text(text, style="bold red"), soft_wrap=True)
