"""Completes the services and worker pools of a world, and the revisions that they own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from google.cloud import run_v2

from emulator import (
    plausible,
    pool_state,
    protos,
    resource_state,
    revision_state,
    service_rules,
    service_state,
    shares,
)
from emulator.names import Projects, below, last
from emulator.plausible import CREATED, DEPLOYER
from emulator.reading import Place
from emulator.refusal import Violation
from emulator.resource_state import State
from emulator.shares import Owner


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
    for here, key, owner in plausible.placed(place, owners):
        _check_shares(here, owner)
        plausible.default_containers(owner.template)
        _apply_defaults(owner, projects)
        protos.set_moment_if_unset(owner, "create_time", CREATED)
        own = below(key, revisions)
        if not own:
            own = {f"{key}/revisions/{name}": _revision(owner, name) for name in _named(owner)}
            revisions.update(own)
        _check_named(here, owner, {last(name) for name in own})
        _check_rules(here, owner, {last(name) for name in own})
        _complete_revisions(owner, list(own.values()))
        _complete_owner(owner, list(own.values()), projects)


def _check_shares(here: Place, owner: Owner) -> None:
    json_name = protos.raw(owner).DESCRIPTOR.fields_by_name[shares.field(owner)].json_name
    total = shares.total(owner)
    if total != shares.WHOLE:
        remedy = f"make it 100, or leave {json_name} out for 100 % to the latest revision"
        raise here.at(json_name).refuse(f"the percents sum to {total}", remedy)
    for index, share in enumerate(shares.of(owner)):
        if "/" in share.revision:
            place = here.at(f"{json_name}[{index}].revision")
            raise place.refuse("is a full name", "write the revision's short name")


def _apply_defaults(owner: Owner, projects: Projects) -> None:
    if isinstance(owner, run_v2.Service):
        service_state.apply_defaults(owner, projects)
    else:
        pool_state.apply_defaults(owner, projects)


def _named(owner: Owner) -> list[str]:
    """Short names of the revisions that an owner names, the latest created one last."""
    names = [share.revision for share in shares.of(owner)]
    names += [last(owner.latest_ready_revision), owner.template.revision]
    names.append(last(owner.latest_created_revision))
    found = list(dict.fromkeys(filter(None, reversed(names))))[::-1]
    short = last(owner.name)
    return found or [f"{short}-00001-{resource_state.suffix(owner.name)}"]


def _check_named(here: Place, owner: Owner, listed: set[str]) -> None:
    missing = [name for name in _explicit(owner) if name not in listed]
    if missing:
        kind = "service" if isinstance(owner, run_v2.Service) else "worker pool"
        remedy = f"list it in revisions, or list none of this {kind}'s revisions there"
        raise here.refuse(f"names the revision {missing[0]!r}, which is not listed", remedy)


def _explicit(owner: Owner) -> list[str]:
    names = [share.revision for share in shares.of(owner)]
    names += [last(owner.latest_ready_revision), last(owner.latest_created_revision)]
    return [name for name in names if name]


def _check_rules(here: Place, owner: Owner, listed: set[str]) -> None:
    """Refuses what Cloud Run would never have accepted."""
    try:
        if isinstance(owner, run_v2.Service):
            service_rules.check_scaling(owner.scaling, owner, [])
            service_rules.check_tags(owner)
        else:
            pool_state.check_scaling(owner)
        shares.check(owner, listed)
    except Violation as violation:
        reason = f"{violation.field}: {violation.reason}"
        raise here.refuse(reason, "write what Cloud Run would accept") from violation


def _revision(owner: Owner, short_name: str) -> run_v2.Revision:
    since = protos.moment(owner, "create_time")
    revision = revision_state.revision_from(owner, short_name, since, DEPLOYER)
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
            data = revision_state.configuration(owner) | protos.to_json(revision)
            whole = protos.raw(protos.from_json(run_v2.Revision, data))
            protos.raw(revision).CopyFrom(whole)
        revision.creator = revision.creator or DEPLOYER
        created = protos.moment(owner, "create_time") + dt.timedelta(minutes=index)
        protos.set_moment_if_unset(revision, "create_time", created)
        since = protos.moment(revision, "create_time")
        protos.set_moment_if_unset(revision, "update_time", since)
        if broken and last(revision.name) == newest and not revision.conditions:
            message = owner.terminal_condition.message
            revision.conditions = [
                resource_state.condition("Ready", State.CONDITION_FAILED, since, message)
            ]
        revision_state.complete(revision, owner)


def _complete_owner(owner: Owner, own: list[run_v2.Revision], projects: Projects) -> None:
    working = [revision.name for revision in own if revision_state.ready(revision)]
    owner.latest_created_revision = owner.latest_created_revision or own[-1].name
    if not owner.latest_ready_revision and working:
        owner.latest_ready_revision = working[-1]
    latest = last(owner.latest_created_revision)
    newest = next(revision for revision in own if last(revision.name) == latest)
    works = revision_state.ready(newest)
    state = State.CONDITION_SUCCEEDED if works else State.CONDITION_FAILED
    message = "" if works else revision_state.not_ready_message(newest.name)
    plausible.complete(owner, state, message)
    kinds = ["ConfigurationsReady"]
    if isinstance(owner, run_v2.Service):
        kinds.insert(0, "RoutesReady")
        owner.uri = owner.uri or service_state.uri(owner, projects)
        owner.urls = owner.urls or [owner.uri]
    if not owner.conditions:
        since = protos.moment(owner, "update_time")
        owner.conditions = [
            resource_state.condition(kind, State.CONDITION_SUCCEEDED, since) for kind in kinds
        ]
    if not shares.statuses(owner):
        shares.arrive(owner)
