"""Completes the services and worker pools of a world, and the revisions that they own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.errors import Violation
from emulator.api.resource_names import Projects, below, last
from emulator.world.cloud_run import (
    resources,
    revision_rules,
    service_defaults,
    service_rules,
    traffic_split,
    worker_pool_rules,
)
from emulator.world.cloud_run.resources import State
from emulator.world.cloud_run.traffic_split import Owner
from emulator.world.completion import common
from emulator.world.completion.common import CREATED, DEPLOYER
from emulator.world.document.json_document import Place


def complete(
    place: Place,
    owners: Mapping[str, Owner],
    revisions: dict[str, run_v2.Revision],
    projects: Projects,
) -> None:
    """Fills in every service or worker pool of a list and its revisions.

    One none of whose revisions is listed gets those that it names, or one, made from its
    template. One that lists revisions has to list all that it names.

    Raises:
        BadWorld: One contradicts itself or its revisions.
    """
    for here, key, owner in common.placed(place, owners):
        _check_shares(here, owner)
        common.default_containers(owner.template)
        _apply_defaults(owner, projects)
        proto_json.set_moment_if_unset(owner, "create_time", CREATED)
        own = below(key, revisions)
        if not own:
            own = {f"{key}/revisions/{name}": _revision(owner, name) for name in _named(owner)}
            revisions.update(own)
        _check_named(here, owner, {last(name) for name in own})
        _check_rules(here, owner, {last(name) for name in own})
        _complete_revisions(owner, list(own.values()))
        _complete_owner(owner, list(own.values()), projects)


def _check_shares(here: Place, owner: Owner) -> None:
    json_name = (
        proto_json.raw(owner).DESCRIPTOR.fields_by_name[traffic_split.field(owner)].json_name
    )
    total = traffic_split.total(owner)
    if total != traffic_split.WHOLE:
        remedy = f"make it 100, or leave {json_name} out for 100 % to the latest revision"
        raise here.at(json_name).refuse(f"the percents sum to {total}", remedy)
    for index, share in enumerate(traffic_split.of(owner)):
        if "/" in share.revision:
            place = here.at(f"{json_name}[{index}].revision")
            raise place.refuse("is a full name", "write the revision's short name")


def _apply_defaults(owner: Owner, projects: Projects) -> None:
    if isinstance(owner, run_v2.Service):
        service_defaults.apply_defaults(owner, projects)
    else:
        worker_pool_rules.apply_defaults(owner, projects)


def _named(owner: Owner) -> list[str]:
    """Short names of the revisions that an owner names, the latest created one last."""
    names = [share.revision for share in traffic_split.of(owner)]
    names += [last(owner.latest_ready_revision), owner.template.revision]
    names.append(last(owner.latest_created_revision))
    found = list(dict.fromkeys(filter(None, reversed(names))))[::-1]
    short = last(owner.name)
    return found or [f"{short}-00001-{resources.suffix(owner.name)}"]


def _check_named(here: Place, owner: Owner, listed: set[str]) -> None:
    missing = [name for name in _explicit(owner) if name not in listed]
    if missing:
        kind = "service" if isinstance(owner, run_v2.Service) else "worker pool"
        remedy = f"list it in revisions, or list none of this {kind}'s revisions there"
        raise here.refuse(f"names the revision {missing[0]!r}, which is not listed", remedy)


def _explicit(owner: Owner) -> list[str]:
    names = [share.revision for share in traffic_split.of(owner)]
    names += [last(owner.latest_ready_revision), last(owner.latest_created_revision)]
    return [name for name in names if name]


def _check_rules(here: Place, owner: Owner, listed: set[str]) -> None:
    """Refuses what Cloud Run would never have accepted."""
    try:
        if isinstance(owner, run_v2.Service):
            service_rules.check_scaling(owner.scaling, owner, [])
            service_rules.check_tags(owner)
        else:
            worker_pool_rules.check_scaling(owner)
        traffic_split.check(owner, listed)
    except Violation as violation:
        reason = f"{violation.field}: {violation.reason}"
        raise here.refuse(reason, "write what Cloud Run would accept") from violation


def _revision(owner: Owner, short_name: str) -> run_v2.Revision:
    since = proto_json.moment(owner, "create_time")
    revision = revision_rules.revision_from(owner, short_name, since, DEPLOYER)
    # Made before it is known whether it works; completed with the others.
    revision.conditions = []
    return revision


def _complete_revisions(owner: Owner, own: list[run_v2.Revision]) -> None:
    """Fills the revisions of one owner; each listed one counts as newer than the one before."""
    broken = owner.terminal_condition.state == State.CONDITION_FAILED
    newest = last(owner.latest_created_revision) or last(own[-1].name)
    for index, revision in enumerate(own):
        if not revision.containers:
            # One that says nothing of what it is made of is made of what the template says.
            data = revision_rules.configuration(owner) | proto_json.to_json(revision)
            whole = proto_json.raw(proto_json.from_json(run_v2.Revision, data))
            proto_json.raw(revision).CopyFrom(whole)
        revision.creator = revision.creator or DEPLOYER
        created = proto_json.moment(owner, "create_time") + dt.timedelta(minutes=index)
        proto_json.set_moment_if_unset(revision, "create_time", created)
        since = proto_json.moment(revision, "create_time")
        proto_json.set_moment_if_unset(revision, "update_time", since)
        if broken and last(revision.name) == newest and not revision.conditions:
            message = owner.terminal_condition.message
            revision.conditions = [
                resources.condition("Ready", State.CONDITION_FAILED, since, message)
            ]
        revision_rules.complete(revision, owner)


def _complete_owner(owner: Owner, own: list[run_v2.Revision], projects: Projects) -> None:
    working = [revision.name for revision in own if revision_rules.ready(revision)]
    owner.latest_created_revision = owner.latest_created_revision or own[-1].name
    if not owner.latest_ready_revision and working:
        owner.latest_ready_revision = working[-1]
    latest = last(owner.latest_created_revision)
    newest = next(revision for revision in own if last(revision.name) == latest)
    works = revision_rules.ready(newest)
    state = State.CONDITION_SUCCEEDED if works else State.CONDITION_FAILED
    message = "" if works else revision_rules.not_ready_message(newest.name)
    common.complete(owner, state, message)
    kinds = ["ConfigurationsReady"]
    if isinstance(owner, run_v2.Service):
        kinds.insert(0, "RoutesReady")
        owner.uri = owner.uri or service_defaults.uri(owner, projects)
        owner.urls = owner.urls or [owner.uri]
    if not owner.conditions:
        since = proto_json.moment(owner, "update_time")
        owner.conditions = [
            resources.condition(kind, State.CONDITION_SUCCEEDED, since) for kind in kinds
        ]
    if not traffic_split.statuses(owner):
        traffic_split.arrive(owner)
