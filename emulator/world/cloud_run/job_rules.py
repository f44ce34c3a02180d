"""Defaults and validation of jobs."""

from __future__ import annotations

import datetime as dt

from google.api import launch_stage_pb2
from google.cloud import run_v2

from emulator.api import proto_json
from emulator.api.errors import FieldError
from emulator.api.resource_names import Projects
from emulator.world.cloud_run import resources

DEFAULT_RETRIES = 3
DEFAULT_TASK_TIMEOUT = dt.timedelta(seconds=600)
# Cloud Run allows no more tasks in one execution.
MAX_TASKS = 10_000


def apply_job_defaults(job: run_v2.Job, projects: Projects) -> None:
    """Gives the settings that are unset the value that the API documents as their default."""
    job.launch_stage = job.launch_stage or launch_stage_pb2.GA
    execution = job.template
    execution.task_count = execution.task_count or 1
    task = execution.template
    if "max_retries" not in task:
        task.max_retries = DEFAULT_RETRIES
    if not proto_json.unwrap(task).HasField("timeout"):
        proto_json.unwrap(task).timeout.FromTimedelta(DEFAULT_TASK_TIMEOUT)
    task.service_account = task.service_account or resources.default_account(job.name, projects)
    execution.template = task
    job.template = execution


def check_job_template(job: run_v2.Job) -> None:
    """Refuses a template that no execution can be made from."""
    template = job.template
    if not template.template.containers:
        raise FieldError("Job", "template.template.containers", "is required")
    if template.parallelism < 0:
        raise FieldError("Job", "template.parallelism", "must not be negative")
    if not 0 <= template.task_count <= MAX_TASKS:
        raise FieldError("Job", "template.task_count", f"must be from 1 to {MAX_TASKS}")
    if template.template.max_retries < 0:
        raise FieldError("Job", "template.template.max_retries", "must not be negative")
