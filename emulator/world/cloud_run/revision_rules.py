"""Create and validate revisions.

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
from emulator.api.errors import ApiError, FieldError
from emulator.api.resource_names import last_segment
from emulator.world.cloud_run import resources
from emulator.world.cloud_run.resources import State
from emulator.world.cloud_run.traffic_split import RevisionOwner

DEFAULT_REQUEST_TIMEOUT = dt.timedelta(seconds=300)
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
# What a template says about itself rather than about the revisions made from it.
_NOT_IN_REVISIONS = ("revision", "healthCheckDisabled")


def is_ready(revision: run_v2.Revision) -> bool:
    """Whether a revision could serve: no condition of type Ready has failed."""
    return all(
        c.type_ != "Ready" or c.state == State.CONDITION_SUCCEEDED for c in revision.conditions
    )


def not_ready_message(revision_name: str) -> str:
    """What Cloud Run says about a service whose newest revision is broken."""
    return f"Revision '{last_segment(revision_name)}' is not ready and cannot serve traffic."


def template_fields(owner: RevisionOwner) -> dict[str, Any]:
    """What an owner's template configures, as proto JSON: two that agree in it are one."""
    data = proto_json.to_json(owner.template)
    return {key: value for key, value in data.items() if key not in _NOT_IN_REVISIONS}


def new_revision(
    owner: RevisionOwner, short_name: str, since: dt.datetime, creator: str
) -> run_v2.Revision:
    """The revision that an owner's template makes, ready to serve."""
    revision = proto_json.from_json(run_v2.Revision, template_fields(owner))
    revision.name = f"{owner.name}/revisions/{short_name}"
    revision.creator = creator
    proto_json.set_timestamp(revision, "create_time", since)
    proto_json.set_timestamp(revision, "update_time", since)
    fill_revision(revision, owner)
    return revision


def fill_revision(revision: run_v2.Revision, owner: RevisionOwner) -> None:
    """Fills the output-only fields that a revision leaves out; times are the caller's business."""
    if isinstance(owner, run_v2.Service):
        revision.service = revision.service or last_segment(owner.name)
        apply_default_timeout(revision)
    revision.uid = revision.uid or resources.make_uid(revision.name)
    revision.generation = revision.generation or 1
    revision.observed_generation = revision.observed_generation or revision.generation
    revision.launch_stage = revision.launch_stage or launch_stage_pb2.GA
    revision.etag = revision.etag or resources.make_etag(revision.name, revision.generation)
    if not revision.conditions:
        since = proto_json.timestamp_of(revision, "create_time")
        kinds = ("Ready", "Active", "ContainerReady")
        revision.conditions = [
            resources.condition(kind, State.CONDITION_SUCCEEDED, since) for kind in kinds
        ]


def apply_default_timeout(message: run_v2.Revision | run_v2.RevisionTemplate) -> None:
    """How long a request may take when nothing is said about it."""
    if not proto_json.unwrap(message).HasField("timeout"):
        proto_json.unwrap(message).timeout.FromTimedelta(DEFAULT_REQUEST_TIMEOUT)


def check_revision_template(
    before: RevisionOwner,
    after: RevisionOwner,
    revisions: dict[str, run_v2.Revision],
    *,
    forced: bool = False,
) -> None:
    """Refuses a template without a container, and one that renames other content to a revision.

    Args:
        before: The service or worker pool as it is.
        after: The same as it would be.
        revisions: Its revisions by their short names.
        forced: A revision is wanted even if the template did not change.

    Raises:
        ApiError: ALREADY_EXISTS when the template has the name of an existing revision and is not
            what that revision was made from; INVALID_ARGUMENT otherwise.
    """
    kind, short = type(after).__name__, last_segment(after.name)
    if not after.template.containers:
        raise FieldError(kind, "template.containers", "is required")
    name = after.template.revision
    if not name or (after.template == before.template and not forced):
        return
    if not name.startswith(f"{short}-") or not _NAME.fullmatch(name):
        raise FieldError(kind, "template.revision", f"must start with '{short}-'")
    taken = revisions.get(name)
    if taken and (forced or _template_fields_of(taken, after) != template_fields(after)):
        raise ApiError(
            grpc.StatusCode.ALREADY_EXISTS,
            f"Revision named '{name}' with different configuration already exists.",
        )


def _template_fields_of(revision: run_v2.Revision, owner: RevisionOwner) -> object:
    """What a revision has of the fields that a template has."""
    fields = type(owner.template).meta.fields
    data = proto_json.to_json(revision)
    names = {
        proto_json.unwrap(owner.template).DESCRIPTOR.fields_by_name[n].json_name for n in fields
    }
    return {key: value for key, value in data.items() if key in names}
