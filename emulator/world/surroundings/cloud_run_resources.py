"""An example service, job or worker pool, and its IAM policy."""

from __future__ import annotations

import datetime as dt
import re

from emulator.api.resource_names import ProjectEntry
from emulator.world.cloud_run import resources as resource_state
from emulator.world.surroundings.listed_findings import json_time
from emulator.world.surroundings.notification_fields import (
    AffectedWorkload,
    JsonObject,
    NotificationFields,
)

# A configured credential that was not kept in Secret Manager, as happens. It is invented.
PLAIN_SECRET = "not-a-real-key-7f3a91c2d8"  # noqa: S105
DEPLOYED_AFTER_EVENT = dt.timedelta(hours=-3, minutes=-20)
_PREVIOUS_DEPLOYMENT = dt.timedelta(days=-9)
_CREATED = dt.timedelta(days=-200)
_LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
_REVISION = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"


def deployer_account(project: str) -> str:
    """The account that deploys in a project: the one that audit entries and resources name."""
    return f"deployer@{project}.example.com"


def workload_resources(
    fields: NotificationFields, workload: AffectedWorkload, project: ProjectEntry
) -> JsonObject:
    """The lists of a world that describe a workload: itself, its parts, its IAM policy."""
    build = {
        "services": _service,
        "jobs": _job,
        "workerPools": _worker_pool,
        "instances": _instance,
    }[workload.kind]
    if workload.kind == "instances":
        return build(fields, workload, project)
    invoker = "allUsers" if workload.kind == "services" else _account("scheduler", project)
    binding = {"role": "roles/run.invoker", "members": [invoker]}
    return build(fields, workload, project) | {
        "iamPolicies": {workload.full_name: {"bindings": [binding]}}
    }


def revision_names(workload: AffectedWorkload) -> tuple[str, str]:
    """Short names of the revision from days before and of the one that the finding is about."""
    before, now = (
        f"{workload.name}-{number:05d}-{resource_state.name_suffix(workload.full_name, number)}"
        for number in (6, 7)
    )
    return before, workload.revision_or_execution or now


def execution_name(workload: AffectedWorkload) -> str:
    """Short name of the running execution of a job."""
    return (
        workload.revision_or_execution
        or f"{workload.name}-{resource_state.name_suffix(workload.full_name)}x7"
    )


def _service(
    fields: NotificationFields, workload: AffectedWorkload, project: ProjectEntry
) -> JsonObject:
    before, now = revision_names(workload)
    template = _template(workload, project)
    service = _common_fields(fields, workload) | {
        "ingress": "INGRESS_TRAFFIC_ALL",
        "launchStage": "GA",
        "template": template,
        "traffic": [
            {"type": _LATEST, "percent": 100},
            {"type": _REVISION, "revision": before, "tag": "known-good"},
        ],
        "scaling": {"scalingMode": "AUTOMATIC", "minInstanceCount": 1, "maxInstanceCount": 20},
        "latestReadyRevision": f"{workload.full_name}/revisions/{now}",
        "latestCreatedRevision": f"{workload.full_name}/revisions/{now}",
        "threatDetectionEnabled": True,
    }
    owner = {"service": workload.name}
    return {"services": [service], "revisions": _revisions(fields, workload, template, owner)}


def _worker_pool(
    fields: NotificationFields, workload: AffectedWorkload, project: ProjectEntry
) -> JsonObject:
    template = _template(workload, project)
    for key in ("timeout", "maxInstanceRequestConcurrency", "executionEnvironment"):
        del template[key]
    for container in template["containers"]:
        del container["ports"]
    now = f"{workload.full_name}/revisions/{revision_names(workload)[1]}"
    ready = {"type": "Ready", "state": "CONDITION_SUCCEEDED"}
    pool = _common_fields(fields, workload) | {
        "launchStage": "GA",
        "template": template,
        "scaling": {"manualInstanceCount": 2},
        "instanceSplits": [{"type": "INSTANCE_SPLIT_ALLOCATION_TYPE_LATEST", "percent": 100}],
        "latestReadyRevision": now,
        "latestCreatedRevision": now,
        "terminalCondition": ready,
        "observedGeneration": "7",
    }
    return {"workerPools": [pool], "revisions": _revisions(fields, workload, template, {})}


def _instance(
    fields: NotificationFields, workload: AffectedWorkload, project: ProjectEntry
) -> JsonObject:
    template = _template(workload, project)
    for key in ("timeout", "maxInstanceRequestConcurrency", "executionEnvironment", "labels"):
        del template[key]
    instance = (
        _common_fields(fields, workload)
        | template
        | {
            "launchStage": "BETA",
            "ingress": "INGRESS_TRAFFIC_ALL",
            "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
            "observedGeneration": "7",
            "urls": [f"https://{workload.name}-{project.number}.{workload.location}.run.app"],
        }
    )
    return {"instances": [instance]}


def _job(
    fields: NotificationFields, workload: AffectedWorkload, project: ProjectEntry
) -> JsonObject:
    template = _template(workload, project)
    for key in ("maxInstanceRequestConcurrency", "labels"):
        del template[key]
    for container in template["containers"]:
        del container["ports"]
    task = template | {"maxRetries": 3, "timeout": "3600s"}
    running = execution_name(workload)
    started = json_time(fields.event_time - dt.timedelta(minutes=6))
    job = _common_fields(fields, workload) | {
        "launchStage": "GA",
        "template": {"parallelism": 1, "taskCount": 1, "template": task},
        "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
        "observedGeneration": "7",
        "executionCount": 41,
        "latestCreatedExecution": {"name": running, "createTime": started},
    }
    executions = _executions(fields, workload, task)
    return {"jobs": [job], "executions": executions, "tasks": [_task(workload, task, started)]}


def _executions(
    fields: NotificationFields, workload: AffectedWorkload, task: JsonObject
) -> list[JsonObject]:
    """The execution of the day before, which went well, and the one that runs."""
    shared = {"job": workload.name, "parallelism": 1, "taskCount": 1, "template": task}
    start = fields.event_time - dt.timedelta(minutes=6)
    day = dt.timedelta(days=1)
    before = f"{workload.name}-{resource_state.name_suffix(workload.full_name, 'before')}w2"
    return [
        shared
        | {
            "name": f"{workload.full_name}/executions/{before}",
            "createTime": json_time(start - day),
            "startTime": json_time(start - day),
            "completionTime": json_time(start - day + dt.timedelta(minutes=11)),
            "succeededCount": 1,
            "conditions": [{"type": "Completed", "state": "CONDITION_SUCCEEDED"}],
        },
        shared
        | {
            "name": f"{workload.full_name}/executions/{execution_name(workload)}",
            "createTime": json_time(start),
            "startTime": json_time(start),
            "runningCount": 1,
            "conditions": [{"type": "Completed", "state": "CONDITION_RECONCILING"}],
        },
    ]


def _task(workload: AffectedWorkload, task: JsonObject, started: str) -> JsonObject:
    running = execution_name(workload)
    return task | {
        "name": f"{workload.full_name}/executions/{running}/tasks/{running}-task0",
        "job": workload.name,
        "execution": running,
        "createTime": started,
        "startTime": started,
    }


def _common_fields(fields: NotificationFields, workload: AffectedWorkload) -> JsonObject:
    """What services, jobs and pools have in common: name, labels, who made them and when."""
    account = deployer_account(workload.project)
    return {
        "name": workload.full_name,
        "labels": {"team": "example", "env": "prod"},
        "generation": "7",
        "creator": account,
        "lastModifier": account,
        "client": "gcloud",
        "createTime": json_time(fields.event_time + _CREATED),
        "updateTime": json_time(fields.event_time + DEPLOYED_AFTER_EVENT),
    }


def _revisions(
    fields: NotificationFields, workload: AffectedWorkload, template: JsonObject, owner: JsonObject
) -> list[JsonObject]:
    """One revision from days before with an older image, and one recent, oldest first."""
    before, now = revision_names(workload)
    older = [c | {"image": _older_image(c["image"])} for c in template["containers"]]
    times, images = (_PREVIOUS_DEPLOYMENT, DEPLOYED_AFTER_EVENT), (older, template["containers"])
    return [
        template
        | owner
        | {
            "name": f"{workload.full_name}/revisions/{short_name}",
            "creator": deployer_account(workload.project),
            "createTime": json_time(fields.event_time + since),
            "updateTime": json_time(fields.event_time + since),
            "containers": containers,
        }
        for short_name, since, containers in zip((before, now), times, images, strict=True)
    ]


def _template(workload: AffectedWorkload, project: ProjectEntry) -> JsonObject:
    """What runs: one container with plain and secret settings, under an account of its own."""
    secret, certificate = f"{workload.name}-session-key", f"{workload.name}-tls"
    reference = {"secret": f"projects/{workload.project}/secrets/{secret}", "version": "latest"}
    container = {
        "name": workload.container,
        "image": workload.image,
        "ports": [{"name": "http1", "containerPort": 8080}],
        "resources": {"limits": {"cpu": "1", "memory": "512Mi"}},
        "env": [
            {"name": "LOG_LEVEL", "value": "info"},
            {"name": "PARTNER_API_KEY", "value": PLAIN_SECRET},
            {"name": "SESSION_KEY", "valueSource": {"secretKeyRef": reference}},
        ],
        "volumeMounts": [{"name": "tls", "mountPath": "/etc/tls"}],
    }
    items = [{"path": "key.pem", "version": "3"}]
    return {
        "labels": {"team": "example"},
        "serviceAccount": _account(workload.name, project).removeprefix("serviceAccount:"),
        "timeout": "300s",
        "maxInstanceRequestConcurrency": 80,
        "executionEnvironment": "EXECUTION_ENVIRONMENT_GEN2",
        "containers": [container],
        "volumes": [{"name": "tls", "secret": {"secret": certificate, "items": items}}],
    }


def _account(name: str, project: ProjectEntry) -> str:
    return f"serviceAccount:{name}@{project.project_id}.iam.gserviceaccount.com"


def _older_image(image: str) -> str:
    """The image as an earlier deployment named it: another tag of the same repository."""
    repository = image.partition("@")[0]
    return re.sub(r":[^/:]*$", "", repository) + ":earlier"
