"""Cloud Run revisions: get, list, and create when a template changes."""

from __future__ import annotations

from google.cloud import run_v2

from emulator.api.list_pages import newest_first
from emulator.api.resource_names import children_of, last_segment
from emulator.services.cloud_logging.activity_log import current_caller
from emulator.services.cloud_run.get_and_list import ResourceApi, ResourceTable
from emulator.services.gate import Method
from emulator.world.cloud_run import resources, revision_rules, traffic_split
from emulator.world.cloud_run.traffic_split import RevisionOwner
from emulator.world.state import World


def revision_methods(world: World) -> list[Method]:
    """The methods of `google.cloud.run.v2.Revisions`: newest first in lists."""
    api: ResourceApi[run_v2.Revision] = ResourceApi(
        "google.cloud.run.v2.Revisions",
        run_v2.GetRevisionRequest,
        run_v2.ListRevisionsRequest,
        lambda page, token: run_v2.ListRevisionsResponse(revisions=page, next_page_token=token),
        parent_collections=("services", "workerPools"),
    )
    return ResourceTable(world, "REVISION", world.revisions, api, newest_first).methods()


def check_revisions(
    world: World, before: RevisionOwner, after: RevisionOwner, *, forced: bool = False
) -> None:
    """Refuses shares of revisions that do not exist, and templates that make no revision."""
    own = children_of(world.canonical(after.name), world.revisions)
    by_name = {last_segment(revision.name): revision for revision in own.values()}
    traffic_split.check_split(after, set(by_name))
    revision_rules.check_revision_template(before, after, by_name, forced=forced)


def add_revision(world: World, owner: RevisionOwner) -> None:
    """Makes the revision of an owner's template: its latest created one from now on."""
    made_up = resources.name_suffix(owner.name, owner.generation)
    short_name = (
        owner.template.revision or f"{last_segment(owner.name)}-{owner.generation:05d}-{made_up}"
    )
    now = resources.current_time()
    revision = revision_rules.new_revision(owner, short_name, now, current_caller())
    owner.latest_created_revision = revision.name
    world.revisions[world.canonical(revision.name)] = revision
