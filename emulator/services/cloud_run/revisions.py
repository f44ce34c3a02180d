"""Cloud Run revisions: reading them, and making them when a template changes."""

from __future__ import annotations

from google.cloud import run_v2

from emulator.api.list_pages import newest_first
from emulator.api.resource_names import below, last
from emulator.services.cloud_logging.activity_log import caller
from emulator.services.cloud_run.get_and_list import Calls, Shelf
from emulator.services.gate import Method
from emulator.world.cloud_run import resources, revision_rules, traffic_split
from emulator.world.cloud_run.traffic_split import Owner
from emulator.world.state import World


def methods(world: World) -> list[Method]:
    """The methods of `google.cloud.run.v2.Revisions`: newest first in lists."""
    calls: Calls[run_v2.Revision] = Calls(
        "google.cloud.run.v2.Revisions",
        run_v2.GetRevisionRequest,
        run_v2.ListRevisionsRequest,
        lambda page, token: run_v2.ListRevisionsResponse(revisions=page, next_page_token=token),
        parents=("services", "workerPools"),
    )
    return Shelf(world, "REVISION", world.revisions, calls, newest_first).methods()


def check(world: World, before: Owner, after: Owner, *, forced: bool = False) -> None:
    """Refuses shares of revisions that do not exist, and templates that make no revision."""
    own = below(world.canonical(after.name), world.revisions)
    by_name = {last(revision.name): revision for revision in own.values()}
    traffic_split.check(after, set(by_name))
    revision_rules.check_template(before, after, by_name, forced=forced)


def add(world: World, owner: Owner) -> None:
    """Makes the revision of an owner's template: its latest created one from now on."""
    made_up = resources.suffix(owner.name, owner.generation)
    short_name = owner.template.revision or f"{last(owner.name)}-{owner.generation:05d}-{made_up}"
    now = resources.now()
    revision = revision_rules.revision_from(owner, short_name, now, caller())
    owner.latest_created_revision = revision.name
    world.revisions[world.canonical(revision.name)] = revision
