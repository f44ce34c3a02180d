"""Cloud Run's messages as our frozen types. Environment values are wrapped, never copied on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from google.cloud import run_v2
from google.protobuf.json_format import MessageToDict

from incident.model import (
    Access,
    Binding,
    ContainerSettings,
    Json,
    Secret,
    Settings,
    Template,
    Volume,
)

#: Writable fields outside the template that containments are made of. What else a service
#: has is left alone, so it is not carried around either.
FIELDS = (
    "annotations",
    "default_uri_disabled",
    "ingress",
    "invoker_iam_disabled",
    "scaling",
    "traffic",
)
_DEFAULT_TIMEOUT_S = 300


def settings_of(service: run_v2.Service) -> Settings:
    """A service's settings."""
    message = run_v2.Service.pb(service)
    return Settings(
        name=message.name,
        uid=message.uid,
        generation=message.generation,
        observed_generation=message.observed_generation,
        reconciling=message.reconciling,
        fields=_fields(message),
        live_tags=tuple(status.tag for status in message.traffic_statuses if status.tag),
        labels=dict(message.labels),
        annotations=dict(message.annotations),
        template=_service_template(message),
        latest_ready_revision=_short(message.latest_ready_revision),
        creator=message.creator,
        last_modifier=message.last_modifier,
        update_time=_moment(message, "update_time"),
        uri=message.uri,
        condition=_state(message.terminal_condition.state),
    )


def template_of(revision: run_v2.Revision) -> Template:
    """A revision's settings."""
    message = run_v2.Revision.pb(revision)
    states = {condition.type_: condition.state for condition in message.conditions}
    ready = states.get("Ready")
    return _template(
        message,
        revision=_short(message.name),
        create_time=_moment(message, "create_time"),
        ready=None if ready is None else ready == run_v2.Condition.State.CONDITION_SUCCEEDED,
        creator=message.creator,
    )


def access_of(policy: Any) -> Access:
    """An IAM policy; a conditional binding keeps its condition's title."""
    return Access(
        tuple(
            Binding(
                role=binding.role,
                members=tuple(binding.members),
                condition=(binding.condition.title or binding.condition.expression or None),
            )
            for binding in policy.bindings
        )
    )


def _fields(message: Any) -> dict[str, Json]:
    """The fields as set, in proto JSON: what is absent there is at its default."""
    kept = type(message)()
    for field in FIELDS:
        descriptor = message.DESCRIPTOR.fields_by_name[field]
        if descriptor.has_presence and not message.HasField(field):
            continue
        if descriptor.message_type:
            getattr(kept, field).MergeFrom(getattr(message, field))
        else:
            setattr(kept, field, getattr(message, field))
    fields: dict[str, Json] = MessageToDict(kept)
    return fields


def _service_template(message: Any) -> Template:
    return _template(
        message.template, revision=message.template.revision, create_time=None, ready=None
    )


def _template(
    message: Any,
    *,
    revision: str,
    create_time: datetime | None,
    ready: bool | None,
    creator: str = "",
) -> Template:
    """What a template and a revision have in common, under the same names."""
    volumes = tuple(_volume(volume) for volume in message.volumes)
    return Template(
        revision=revision,
        create_time=create_time,
        ready=ready,
        containers=tuple(_container(container) for container in message.containers),
        service_account=message.service_account,
        secret_names=_secret_names(message),
        volumes=volumes,
        timeout_s=message.timeout.seconds or _DEFAULT_TIMEOUT_S,
        session_affinity=message.session_affinity,
        creator=creator,
        secrets=tuple(_literal_values(message.containers)),
    )


def _container(container: Any) -> ContainerSettings:
    return ContainerSettings(
        name=container.name,
        image=container.image,
        environment_names=tuple(variable.name for variable in container.env),
    )


def _literal_values(containers: Iterable[Any]) -> Iterable[Secret]:
    for container in containers:
        for variable in container.env:
            if variable.value:
                yield Secret(variable.name, variable.value)


def _secret_names(message: Any) -> tuple[str, ...]:
    """Secret Manager secrets in reach, from environment variables and volumes."""
    names = [
        variable.value_source.secret_key_ref.secret
        for container in message.containers
        for variable in container.env
        if variable.value_source.secret_key_ref.secret
    ]
    names += [volume.secret.secret for volume in message.volumes if volume.secret.secret]
    return tuple(dict.fromkeys(names))


def _volume(volume: Any) -> Volume:
    """A bucket or a file server keeps a modified file; memory and secrets do not."""
    match volume.WhichOneof("volume_type"):
        case "gcs":
            return Volume(
                volume.name, f"gcs {volume.gcs.bucket}", persists=not volume.gcs.read_only
            )
        case "nfs":
            source = f"nfs {volume.nfs.server}:{volume.nfs.path}"
            return Volume(volume.name, source, persists=not volume.nfs.read_only)
        case "secret":
            return Volume(volume.name, f"secret {volume.secret.secret}", persists=False)
        case "cloud_sql_instance":
            instances = ", ".join(volume.cloud_sql_instance.instances)
            return Volume(volume.name, f"cloud-sql {instances}", persists=False)
        case other:
            return Volume(volume.name, other or "unknown", persists=False)


def _state(number: int) -> str:
    """A condition's state by name; one that this library does not know yet by its number."""
    try:
        return str(run_v2.Condition.State(number).name)
    except ValueError:
        return str(number)


def _short(name: str) -> str:
    return name.rpartition("/")[2]


def _moment(message: Any, field: str) -> datetime | None:
    if not message.HasField(field):
        return None
    moment: datetime = getattr(message, field).ToDatetime(tzinfo=UTC)
    return moment
