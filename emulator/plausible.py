"""Completes the services of a world: what a world leaves out gets a plausible value.

Values are made from names alone, so that the same world always has the same ids and etags.
"""

from __future__ import annotations

import datetime as dt

from google.cloud import run_v2

from emulator import protos, service_rules, service_state
from emulator.names import Projects, last
from emulator.reading import Place
from emulator.refusal import Refusal
from emulator.service_state import State

CREATED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DEPLOYER = "deployer@example.com"
_FULL_TRAFFIC = 100


def complete(
    place: Place,
    services: dict[str, run_v2.Service],
    revisions: dict[str, run_v2.Revision],
    projects: Projects,
) -> None:
    """Fills in every service and its revisions, and makes the revisions that it needs.

    A service none of whose revisions is listed gets those that it names, or one, made from its
    template. One that lists revisions has to list all that it names.

    Raises:
        BadWorld: A service contradicts itself or its revisions.
    """
    for item, (key, service) in zip(place.items(), services.items(), strict=True):
        here = item.named(service.name)
        _check_traffic(here, service)
        if not service.template.containers:
            container = run_v2.Container(image=service_state.DEFAULT_IMAGE)
            service.template.containers = [container]
        service_state.apply_defaults(service, projects)
        protos.set_moment_if_unset(service, "create_time", CREATED)
        start = f"{key}/revisions/"
        own = {name: r for name, r in revisions.items() if name.startswith(start)}
        if not own:
            own = {start + name: _revision(service, name) for name in _named(service)}
            revisions.update(own)
        _check_named(here, service, {last(name) for name in own})
        _check_rules(here, service, {last(name) for name in own})
        _complete_revisions(service, list(own.values()))
        _complete_service(service, list(own.values()), projects)


def _check_traffic(here: Place, service: run_v2.Service) -> None:
    total = sum(target.percent for target in service.traffic)
    if service.traffic and total != _FULL_TRAFFIC:
        remedy = "make it 100, or leave traffic out for 100 % to the latest revision"
        raise here.at("traffic").refuse(f"the percents sum to {total}", remedy)
    for index, target in enumerate(service.traffic):
        if "/" in target.revision:
            place = here.at(f"traffic[{index}].revision")
            raise place.refuse("is a full name", "write the revision's short name")


def _named(service: run_v2.Service) -> list[str]:
    """Short names of the revisions that a service names, the latest created one last."""
    names = [target.revision for target in service.traffic]
    names += [last(service.latest_ready_revision), service.template.revision]
    names.append(last(service.latest_created_revision))
    found = list(dict.fromkeys(filter(None, reversed(names))))[::-1]
    short = last(service.name)
    return found or [f"{short}-00001-{service_state.suffix(service.name)}"]


def _check_named(here: Place, service: run_v2.Service, listed: set[str]) -> None:
    missing = [name for name in _explicit(service) if name not in listed]
    if missing:
        remedy = "list it in revisions, or list none of this service's revisions there"
        raise here.refuse(f"names the revision {missing[0]!r}, which is not listed", remedy)


def _check_rules(here: Place, service: run_v2.Service, listed: set[str]) -> None:
    """Refuses a service that Cloud Run would never have accepted."""
    try:
        service_rules.check_scaling(service.scaling, service, [])
        service_rules.check_traffic(service, listed)
    except Refusal as refusal:
        reason = refusal.message.rpartition("service.")[2].rstrip(".")
        raise here.refuse(reason, "write what Cloud Run would accept") from refusal


def _explicit(service: run_v2.Service) -> list[str]:
    names = [target.revision for target in service.traffic]
    names += [last(service.latest_ready_revision), last(service.latest_created_revision)]
    return [name for name in names if name]


def _revision(service: run_v2.Service, short_name: str) -> run_v2.Revision:
    since = protos.moment(service, "create_time")
    revision = service_state.revision_from(service, short_name, since, DEPLOYER)
    # Made before it is known whether it works; completed with the others.
    revision.conditions = []
    return revision


def _complete_revisions(service: run_v2.Service, own: list[run_v2.Revision]) -> None:
    """Fills the revisions of one service; each listed one counts as newer than the one before."""
    broken = service.terminal_condition.state == State.CONDITION_FAILED
    newest = last(service.latest_created_revision) or last(own[-1].name)
    for index, revision in enumerate(own):
        if not revision.containers:
            model = service_state.revision_from(service, "model", CREATED, DEPLOYER)
            revision.containers = model.containers
            revision.service_account = revision.service_account or model.service_account
        revision.service = revision.service or last(service.name)
        revision.creator = revision.creator or DEPLOYER
        created = protos.moment(service, "create_time") + dt.timedelta(minutes=index)
        protos.set_moment_if_unset(revision, "create_time", created)
        since = protos.moment(revision, "create_time")
        protos.set_moment_if_unset(revision, "update_time", since)
        if broken and last(revision.name) == newest and not revision.conditions:
            message = service.terminal_condition.message
            revision.conditions = [
                service_state.condition("Ready", State.CONDITION_FAILED, since, message)
            ]
        service_state.complete_revision(revision)


def _complete_service(
    service: run_v2.Service, own: list[run_v2.Revision], projects: Projects
) -> None:
    service.uid = service.uid or service_state.uid(service.name)
    service.generation = service.generation or 1
    behind = 1 if service.reconciling else 0
    service.observed_generation = service.observed_generation or service.generation - behind
    service.creator = service.creator or DEPLOYER
    service.last_modifier = service.last_modifier or service.creator
    protos.set_moment_if_unset(service, "update_time", protos.moment(service, "create_time"))
    _complete_latest(service, own)
    _complete_conditions(service, own)
    service.uri = service.uri or service_state.uri(service, projects)
    service.urls = service.urls or [service.uri]
    service.traffic_statuses = service.traffic_statuses or service_state.traffic_statuses(service)
    service.etag = service.etag or service_state.etag(service.name, service.generation)


def _complete_latest(service: run_v2.Service, own: list[run_v2.Revision]) -> None:
    working = [revision.name for revision in own if service_state.ready(revision)]
    service.latest_created_revision = service.latest_created_revision or own[-1].name
    if not service.latest_ready_revision and working:
        service.latest_ready_revision = working[-1]


def _complete_conditions(service: run_v2.Service, own: list[run_v2.Revision]) -> None:
    since = protos.moment(service, "update_time")
    latest = last(service.latest_created_revision)
    newest = next(revision for revision in own if last(revision.name) == latest)
    if not service.terminal_condition.state:
        working = service_state.ready(newest)
        state = State.CONDITION_SUCCEEDED if working else State.CONDITION_FAILED
        message = "" if working else service_state.not_ready_message(newest.name)
        if service.reconciling:
            state, message = State.CONDITION_RECONCILING, ""
        service.terminal_condition = service_state.condition("Ready", state, since, message)
    if not service.conditions:
        service.conditions = [
            service_state.condition(kind, State.CONDITION_SUCCEEDED, since)
            for kind in ("RoutesReady", "ConfigurationsReady")
        ]
