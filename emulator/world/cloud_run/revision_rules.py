"""Revisions: what they are made of, and whether a template may make one.

Pure. A revision belongs to a service or a worker pool.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import grpc
from google.api import launch_stage_pb2
from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.errors import Refusal, Violation
from emulator.api.resource_names import last
from emulator.world.cloud_run import resources
from emulator.world.cloud_run.resources import State
from emulator.world.cloud_run.traffic_split import Owner

DEFAULT_TIMEOUT = dt.timedelta(seconds=300)
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
# What a template says about itself rather than about the revisions made from it.
_NOT_IN_REVISIONS = ("revision", "healthCheckDisabled")


def ready(revision: run_v2.Revision) -> bool:
    """Whether a revision could serve: no condition of type Ready has failed."""
    return all(
        c.type_ != "Ready" or c.state == State.CONDITION_SUCCEEDED for c in revision.conditions
    )


def not_ready_message(revision_name: str) -> str:
    """What Cloud Run says about a service whose newest revision is broken."""
    return f"Revision '{last(revision_name)}' is not ready and cannot serve traffic."


def configuration(owner: Owner) -> dict[str, Any]:
    """What an owner's template configures, as proto JSON: two that agree in it are one."""
    data = proto_json.to_json(owner.template)
    return {key: value for key, value in data.items() if key not in _NOT_IN_REVISIONS}


def revision_from(
    owner: Owner, short_name: str, since: dt.datetime, creator: str
) -> run_v2.Revision:
    """The revision that an owner's template makes, ready to serve."""
    revision = proto_json.from_json(run_v2.Revision, configuration(owner))
    revision.name = f"{owner.name}/revisions/{short_name}"
    revision.creator = creator
    proto_json.set_moment(revision, "create_time", since)
    proto_json.set_moment(revision, "update_time", since)
    complete(revision, owner)
    return revision


def complete(revision: run_v2.Revision, owner: Owner) -> None:
    """Fills the output-only fields that a revision leaves out; times are the caller's business."""
    if isinstance(owner, run_v2.Service):
        revision.service = revision.service or last(owner.name)
        default_timeout(revision)
    revision.uid = revision.uid or resources.uid(revision.name)
    revision.generation = revision.generation or 1
    revision.observed_generation = revision.observed_generation or revision.generation
    revision.launch_stage = revision.launch_stage or launch_stage_pb2.GA
    revision.etag = revision.etag or resources.etag(revision.name, revision.generation)
    if not revision.conditions:
        since = proto_json.moment(revision, "create_time")
        kinds = ("Ready", "Active", "ContainerReady")
        revision.conditions = [
            resources.condition(kind, State.CONDITION_SUCCEEDED, since) for kind in kinds
        ]


def default_timeout(message: run_v2.Revision | run_v2.RevisionTemplate) -> None:
    """How long a request may take when nothing is said about it."""
    if not proto_json.raw(message).HasField("timeout"):
        proto_json.raw(message).timeout.FromTimedelta(DEFAULT_TIMEOUT)


def check_template(
    before: Owner, after: Owner, revisions: dict[str, run_v2.Revision], *, forced: bool = False
) -> None:
    """Refuses a template without a container, and one that renames other content to a revision.

    Args:
        before: The service or worker pool as it is.
        after: The same as it would be.
        revisions: Its revisions by their short names.
        forced: A revision is wanted even if the template did not change.

    Raises:
        Refusal: ALREADY_EXISTS when the template has the name of an existing revision and is not
            what that revision was made from; INVALID_ARGUMENT otherwise.
    """
    kind, short = type(after).__name__, last(after.name)
    if not after.template.containers:
        raise Violation(kind, "template.containers", "is required")
    name = after.template.revision
    if not name or (after.template == before.template and not forced):
        return
    if not name.startswith(f"{short}-") or not _NAME.fullmatch(name):
        raise Violation(kind, "template.revision", f"must start with '{short}-'")
    taken = revisions.get(name)
    if taken and (forced or _content(taken, after) != configuration(after)):
        raise Refusal(
            grpc.StatusCode.ALREADY_EXISTS,
            f"Revision named '{name}' with different configuration already exists.",
        )


def _content(revision: run_v2.Revision, owner: Owner) -> object:
    """What a revision has of the fields that a template has."""
    fields = type(owner.template).meta.fields
    data = proto_json.to_json(revision)
    names = {proto_json.raw(owner.template).DESCRIPTOR.fields_by_name[n].json_name for n in fields}
    return {key: value for key, value in data.items() if key in names}
