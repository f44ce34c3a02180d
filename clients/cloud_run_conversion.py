"""Convert Cloud Run API messages to model types; environment values are wrapped as secrets."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from google.cloud import run_v2
from google.protobuf.json_format import MessageToDict
from google.protobuf.unknown_fields import UnknownFieldSet

from clients.unknown_fields import json_with_unknown, unknown_bytes
from incident.model import (
    Access,
    Binding,
    ContainerConfiguration,
    Execution,
    Json,
    Kind,
    ListedWorkload,
    Secret,
    SecretUse,
    SourceBuild,
    Task,
    Template,
    Volume,
    WorkloadConfiguration,
    always_holds,
)

#: The writable fields outside the template that actions change. Others are never written, so
#: they are not kept.
WRITABLE_FIELDS = (
    "annotations",
    "default_uri_disabled",
    "ingress",
    "invoker_iam_disabled",
    "scaling",
    "traffic",
)
_DEFAULT_TIMEOUT_S = 300
_PROBES = ("liveness_probe", "startup_probe", "readiness_probe")
#: The version of a secret that Cloud Run uses where a template names none.
_LATEST = "latest"
_COMPLETED = "Completed"
_KINDS: Mapping[type, Kind] = {
    run_v2.Service: Kind.SERVICE,
    run_v2.Job: Kind.JOB,
    run_v2.WorkerPool: Kind.WORKER_POOL,
    run_v2.Instance: Kind.INSTANCE,
}
#: Of Condition.InstanceReason, which the locked client does not know: INSTANCE_STOPPED.
_INSTANCE_STOPPED = 2
_VARINT = 0
_STOPPED_TEXT = re.compile(r"\bstopped\b", re.IGNORECASE)


def configuration_of(
    resource: run_v2.Service | run_v2.Job | run_v2.WorkerPool | run_v2.Instance,
) -> WorkloadConfiguration:
    """The settings of a service, a job, a worker pool or an instance."""
    message = type(resource).pb(resource)
    kind = _KINDS[type(resource)]
    has_revisions = kind in (Kind.SERVICE, Kind.WORKER_POOL)
    latest = _short(message.latest_ready_revision) if has_revisions else ""
    return WorkloadConfiguration(
        name=message.name,
        uid=message.uid,
        generation=message.generation,
        observed_generation=message.observed_generation,
        reconciling=message.reconciling,
        fields={
            **_fields(message),
            **({"running": _runs(message)} if kind is Kind.INSTANCE else {}),
        },
        live_tags=_live_tags(message, kind),
        labels=dict(message.labels),
        annotations=dict(message.annotations),
        template=_own_template(message, kind),
        latest_ready_revision=latest,
        creator=message.creator,
        last_modifier=message.last_modifier,
        update_time=_moment(message, "update_time"),
        uri=_uri(message, kind),
        condition=_state(message.terminal_condition.state),
        kind=kind,
        live_revisions=_live_revisions(message, kind, latest),
        regions=tuple(message.multi_region_settings.regions) if kind is Kind.SERVICE else (),
        source=_source_build(message) if kind is Kind.SERVICE else None,
        iap_enabled=kind in (Kind.SERVICE, Kind.INSTANCE) and message.iap_enabled,
        condition_message=message.terminal_condition.message,
        latest_execution=_unfinished_execution(message) if kind is Kind.JOB else "",
    )


def _uri(message: Any, kind: Kind) -> str:
    """Where it is called; empty for what has no URL."""
    if kind is Kind.INSTANCE:
        return next(iter(message.urls), "")
    return str(message.uri) if kind is Kind.SERVICE else ""


def _runs(message: Any) -> bool:
    """Whether an instance runs, or may run: it is stopped only where a condition says so."""
    conditions = (message.terminal_condition, *message.conditions)
    return message.reconciling or not any(_says_stopped(each) for each in conditions)


def _says_stopped(condition: Any) -> bool:
    """Whether a condition says that the instance is stopped, by its reason or its message.

    The reason is in a field that the locked client does not know (InstanceReason, API reference).
    """
    unknown: Any = UnknownFieldSet(condition)
    reasons = [field.data for field in unknown if field.wire_type == _VARINT]
    return _INSTANCE_STOPPED in reasons or bool(_STOPPED_TEXT.search(condition.message))


def listed_workload_of(
    resource: run_v2.Service | run_v2.Job | run_v2.WorkerPool | run_v2.Instance,
) -> ListedWorkload:
    """What a list says about whether and where a workload can be contained.

    In the service of a Cloud Run function, ``build_config`` names the function's entry point.
    """
    message = type(resource).pb(resource)
    known = message.DESCRIPTOR.fields_by_name
    service = "build_config" in known
    return ListedWorkload(
        name=message.name,
        threat_detection_enabled=message.threat_detection_enabled
        if "threat_detection_enabled" in known
        else None,
        is_function=bool(service and message.build_config.function_target),
        regions=tuple(message.multi_region_settings.regions) if service else (),
    )


def _unfinished_execution(job: Any) -> str:
    """The job's latest execution, by short name; empty where it has ended."""
    latest = job.latest_created_execution
    return "" if latest.HasField("completion_time") else _short(latest.name)


def _source_build(message: Any) -> SourceBuild | None:
    """The source of a service; images that were built elsewhere have none."""
    build = message.build_config
    if not build.source_location and not build.function_target:
        return None
    return SourceBuild(build.source_location, build.function_target, build.base_image)


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


def execution_of(execution: run_v2.Execution) -> Execution:
    """One execution of a job."""
    message = run_v2.Execution.pb(execution)
    state, reason = _completed(message)
    counts = ("running", "succeeded", "failed", "cancelled", "retried")
    return Execution(
        name=message.name,
        short_name=_short(message.name),
        create_time=_moment(message, "create_time"),
        start_time=_moment(message, "start_time"),
        completion_time=_moment(message, "completion_time"),
        state=state,
        reason=reason,
        tasks={
            "total": message.task_count,
            **{count: getattr(message, f"{count}_count") for count in counts},
        },
        template=_template(message.template, revision="", create_time=None, ready=None),
        creator=message.creator,
    )


def task_of(task: run_v2.Task) -> Task:
    """One task of an execution; ``name`` and ``execution`` are short."""
    message = run_v2.Task.pb(task)
    ended = message.HasField("last_attempt_result")
    return Task(
        name=_short(message.name),
        execution=_short(message.execution),
        index=message.index,
        state=_completed(message)[0],
        retried=message.retried,
        exit_code=message.last_attempt_result.exit_code if ended else None,
        term_signal=message.last_attempt_result.term_signal,
        start_time=_moment(message, "start_time"),
        completion_time=_moment(message, "completion_time"),
    )


def _completed(message: Any) -> tuple[str, str]:
    """State and reason of the ``Completed`` condition of an execution or a task."""
    for condition in message.conditions:
        if condition.type_ == _COMPLETED:
            reason = condition.execution_reason
            named = run_v2.Condition.ExecutionReason(reason).name if reason else ""
            return _state(condition.state), named
    return "", ""


def access_of(policy: Any) -> Access:
    """An IAM policy; a conditional binding keeps its condition's title."""
    return Access(
        raw=tuple(json_with_unknown(binding) for binding in policy.bindings),
        unknown_fields=base64.b64encode(unknown_bytes(policy)).decode(),
        etag=policy.etag.hex(),
        version=policy.version,
        bindings=tuple(
            Binding(
                role=binding.role,
                members=tuple(binding.members),
                condition=_condition(binding),
            )
            for binding in policy.bindings
        ),
    )


def _condition(binding: Any) -> str | None:
    """The title of a condition that may keep members out; None where there is none."""
    condition = binding.condition
    if always_holds(MessageToDict(condition)):
        return None
    return str(condition.title or condition.expression)


def _live_tags(message: Any, kind: Kind) -> tuple[str, ...]:
    live = message.traffic_statuses if kind is Kind.SERVICE else ()
    return tuple(status.tag for status in live if status.tag)


def _live_revisions(message: Any, kind: Kind, latest: str) -> tuple[str, ...]:
    """The revisions that a service serves, or that the instances of a worker pool run."""
    if kind is Kind.SERVICE:
        live = [s.revision for s in message.traffic_statuses if s.percent or s.tag]
    elif kind is Kind.WORKER_POOL:
        live = [s.revision for s in message.instance_split_statuses if s.percent]
    else:
        live = []
    return tuple(dict.fromkeys(revision or latest for revision in live))


def _fields(message: Any) -> dict[str, Json]:
    """The fields that are set, in proto JSON; an absent field has its default."""
    kept = type(message)()
    for field in WRITABLE_FIELDS:
        descriptor = message.DESCRIPTOR.fields_by_name.get(field)
        if descriptor is None or (descriptor.has_presence and not message.HasField(field)):
            continue
        if descriptor.message_type:
            getattr(kept, field).MergeFrom(getattr(message, field))
        else:
            setattr(kept, field, getattr(message, field))
    fields: dict[str, Json] = MessageToDict(kept)
    for field, value in kept.ListFields():
        if field.message_type and not field.message_type.GetOptions().map_entry:
            fields[field.json_name] = (
                json_with_unknown(value)
                if hasattr(value, "ListFields")
                else [json_with_unknown(each) for each in value]
            )
    return fields


def _own_template(message: Any, kind: Kind) -> Template:
    """The template of the next revision or execution."""
    if kind is Kind.INSTANCE:
        return _template(message, revision="", create_time=None, ready=None)
    template = message.template.template if kind is Kind.JOB else message.template
    revision = "" if kind is Kind.JOB else template.revision
    own = _template(template, revision=revision, create_time=None, ready=None)
    return replace(own, secrets=(*own.secrets, *_build_values(message, kind)))


def _build_values(message: Any, kind: Kind) -> Iterable[Secret]:
    """Build environment variables of a function, sorted: the API's map has no order."""
    variables = message.build_config.environment_variables if kind is Kind.SERVICE else {}
    return (Secret(name, value) for name, value in sorted(variables.items()) if value)


def _template(
    message: Any,
    *,
    revision: str,
    create_time: datetime | None,
    ready: bool | None,
    creator: str = "",
) -> Template:
    """The fields that a template and a revision share under the same names."""
    volumes = tuple(_volume(volume) for volume in message.volumes)
    has = message.DESCRIPTOR.fields_by_name
    return Template(
        revision=revision,
        create_time=create_time,
        ready=ready,
        containers=tuple(_container(container) for container in message.containers),
        service_account=message.service_account,
        secret_names=_secret_names(message),
        volumes=volumes,
        timeout_s=message.timeout.seconds or _DEFAULT_TIMEOUT_S if "timeout" in has else 0,
        session_affinity=message.session_affinity if "session_affinity" in has else False,
        creator=creator,
        secrets=tuple(_literal_values(message.containers)),
        secret_uses=(*_in_variables(message), *_in_files(message)),
    )


def _container(container: Any) -> ContainerConfiguration:
    return ContainerConfiguration(
        name=container.name,
        image=container.image,
        environment_names=tuple(variable.name for variable in container.env),
    )


def _literal_values(containers: Iterable[Any]) -> Iterable[Secret]:
    """Values of environment variables and of the headers that probes send."""
    for container in containers:
        for variable in container.env:
            if variable.value:
                yield Secret(variable.name, variable.value)
        has = container.DESCRIPTOR.fields_by_name
        for probe in (name for name in _PROBES if name in has and container.HasField(name)):
            for header in getattr(container, probe).http_get.http_headers:
                if header.value:
                    yield Secret(header.name, header.value)


def _secret_names(message: Any) -> tuple[str, ...]:
    """Secret Manager secrets that environment variables and volumes use."""
    names = [use.secret for use in _in_variables(message)]
    names += [volume.secret.secret for volume in message.volumes if volume.secret.secret]
    return tuple(dict.fromkeys(names))


def _in_variables(message: Any) -> Iterator[SecretUse]:
    for container in message.containers:
        for variable in container.env:
            used = variable.value_source.secret_key_ref
            if used.secret:
                version = used.version or _LATEST
                yield SecretUse(
                    used.secret, version, variable.name, mounted=False, container=container.name
                )


def _in_files(message: Any) -> Iterator[SecretUse]:
    """Secrets in files, by container. A volume without items is one file, the latest version."""
    volumes = {volume.name: volume.secret for volume in message.volumes if volume.secret.secret}
    for container in message.containers:
        for mount in container.volume_mounts:
            used = volumes.get(mount.name)
            if used is None:
                continue
            files = [(item.path, item.version or _LATEST) for item in used.items]
            for path, version in files or [(_short(used.secret), _LATEST)]:
                target = f"{mount.mount_path}/{path}"
                yield SecretUse(
                    used.secret, version, target, mounted=True, container=container.name
                )


def _volume(volume: Any) -> Volume:
    """A volume. A modified file persists in a bucket or on a file server, not in memory."""
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
    """A condition's state by name, or by its number where this library does not know it."""
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
