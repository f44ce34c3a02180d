"""Fill in what a world leaves out of services, worker pools and their revisions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.errors import FieldError
from emulator.api.resource_names import Projects, children_of, last_segment
from emulator.world.cloud_run import (
    resources,
    revision_rules,
    service_defaults,
    service_rules,
    traffic_split,
    worker_pool_rules,
)
from emulator.world.cloud_run.resources import State
from emulator.world.cloud_run.traffic_split import RevisionOwner
from emulator.world.completion import common
from emulator.world.completion.common import DEFAULT_CREATE_TIME, DEFAULT_DEPLOYER
from emulator.world.document.json_document import JsonNode


def complete_services_and_pools(
    list_node: JsonNode,
    owners: Mapping[str, RevisionOwner],
    revisions: dict[str, run_v2.Revision],
    projects: Projects,
) -> None:
    """Fills in every service or worker pool of a list and its revisions.

    One none of whose revisions is listed gets those that it names, or one, made from its
    template. One that lists revisions has to list all that it names.

    Raises:
        BadWorld: One contradicts itself or its revisions.
    """
    for node, key, owner in common.listed_resources(list_node, owners):
        _check_split_percents(node, owner)
        common.default_containers(owner.template)
        _apply_defaults(owner, projects)
        proto_json.set_timestamp_if_unset(owner, "create_time", DEFAULT_CREATE_TIME)
        own = children_of(key, revisions)
        if not own:
            own = {
                f"{key}/revisions/{name}": _new_revision(owner, name)
                for name in _named_revisions(owner)
            }
            revisions.update(own)
        _check_named_revisions(node, owner, {last_segment(name) for name in own})
        _check_rules(node, owner, {last_segment(name) for name in own})
        _complete_revisions(owner, list(own.values()))
        _complete_owner(owner, list(own.values()), projects)


def _check_split_percents(node: JsonNode, owner: RevisionOwner) -> None:
    json_name = (
        proto_json.unwrap(owner)
        .DESCRIPTOR.fields_by_name[traffic_split.split_field(owner)]
        .json_name
    )
    total = traffic_split.total_percent(owner)
    if total != traffic_split.FULL_PERCENT:
        remedy = f"make it 100, or leave {json_name} out for 100 % to the latest revision"
        raise node.child_path(json_name).error(f"the percents sum to {total}", remedy)
    for index, share in enumerate(traffic_split.split_of(owner)):
        if "/" in share.revision:
            share_node = node.child_path(f"{json_name}[{index}].revision")
            raise share_node.error("is a full name", "write the revision's short name")


def _apply_defaults(owner: RevisionOwner, projects: Projects) -> None:
    if isinstance(owner, run_v2.Service):
        service_defaults.apply_service_defaults(owner, projects)
    else:
        worker_pool_rules.apply_worker_pool_defaults(owner, projects)


def _named_revisions(owner: RevisionOwner) -> list[str]:
    """Short names of the revisions that an owner names, the latest created one last."""
    names = [share.revision for share in traffic_split.split_of(owner)]
    names += [last_segment(owner.latest_ready_revision), owner.template.revision]
    names.append(last_segment(owner.latest_created_revision))
    found = list(dict.fromkeys(filter(None, reversed(names))))[::-1]
    short = last_segment(owner.name)
    return found or [f"{short}-00001-{resources.name_suffix(owner.name)}"]


def _check_named_revisions(node: JsonNode, owner: RevisionOwner, listed: set[str]) -> None:
    missing = [name for name in _stated_revisions(owner) if name not in listed]
    if missing:
        kind = "service" if isinstance(owner, run_v2.Service) else "worker pool"
        remedy = f"list it in revisions, or list none of this {kind}'s revisions there"
        raise node.error(f"names the revision {missing[0]!r}, which is not listed", remedy)


def _stated_revisions(owner: RevisionOwner) -> list[str]:
    names = [share.revision for share in traffic_split.split_of(owner)]
    names += [
        last_segment(owner.latest_ready_revision),
        last_segment(owner.latest_created_revision),
    ]
    return [name for name in names if name]


def _check_rules(node: JsonNode, owner: RevisionOwner, listed: set[str]) -> None:
    """Refuses what Cloud Run would never have accepted."""
    try:
        if isinstance(owner, run_v2.Service):
            service_rules.check_service_scaling(owner.scaling, owner, [])
            service_rules.check_tags(owner)
        else:
            worker_pool_rules.check_worker_pool_scaling(owner)
        traffic_split.check_split(owner, listed)
    except FieldError as violation:
        reason = f"{violation.field}: {violation.reason}"
        raise node.error(reason, "write what Cloud Run would accept") from violation


def _new_revision(owner: RevisionOwner, short_name: str) -> run_v2.Revision:
    since = proto_json.timestamp_of(owner, "create_time")
    revision = revision_rules.new_revision(owner, short_name, since, DEFAULT_DEPLOYER)
    # Made before it is known whether it works; completed with the others.
    revision.conditions = []
    return revision


def _complete_revisions(owner: RevisionOwner, own: list[run_v2.Revision]) -> None:
    """Fills the revisions of one owner; each listed one counts as newer than the one before."""
    broken = owner.terminal_condition.state == State.CONDITION_FAILED
    newest = last_segment(owner.latest_created_revision) or last_segment(own[-1].name)
    for index, revision in enumerate(own):
        if not revision.containers:
            # One that says nothing of what it is made of is made of what the template says.
            data = revision_rules.template_fields(owner) | proto_json.to_json(revision)
            whole = proto_json.unwrap(proto_json.from_json(run_v2.Revision, data))
            proto_json.unwrap(revision).CopyFrom(whole)
        revision.creator = revision.creator or DEFAULT_DEPLOYER
        created = proto_json.timestamp_of(owner, "create_time") + dt.timedelta(minutes=index)
        proto_json.set_timestamp_if_unset(revision, "create_time", created)
        since = proto_json.timestamp_of(revision, "create_time")
        proto_json.set_timestamp_if_unset(revision, "update_time", since)
        if broken and last_segment(revision.name) == newest and not revision.conditions:
            message = owner.terminal_condition.message
            revision.conditions = [
                resources.condition("Ready", State.CONDITION_FAILED, since, message)
            ]
        revision_rules.fill_revision(revision, owner)


def _complete_owner(owner: RevisionOwner, own: list[run_v2.Revision], projects: Projects) -> None:
    working = [revision.name for revision in own if revision_rules.is_ready(revision)]
    owner.latest_created_revision = owner.latest_created_revision or own[-1].name
    if not owner.latest_ready_revision and working:
        owner.latest_ready_revision = working[-1]
    latest = last_segment(owner.latest_created_revision)
    newest = next(revision for revision in own if last_segment(revision.name) == latest)
    works = revision_rules.is_ready(newest)
    state = State.CONDITION_SUCCEEDED if works else State.CONDITION_FAILED
    message = "" if works else revision_rules.not_ready_message(newest.name)
    common.fill_workload(owner, state, message)
    kinds = ["ConfigurationsReady"]
    if isinstance(owner, run_v2.Service):
        kinds.insert(0, "RoutesReady")
        owner.uri = owner.uri or service_defaults.service_uri(owner, projects)
        owner.urls = owner.urls or [owner.uri]
    if not owner.conditions:
        since = proto_json.timestamp_of(owner, "update_time")
        owner.conditions = [
            resources.condition(kind, State.CONDITION_SUCCEEDED, since) for kind in kinds
        ]
    if not traffic_split.split_statuses(owner):
        traffic_split.apply_split(owner)
