"""Pydantic and JSON Schema of the policy file.

Run as a module it prints the JSON Schema, for editors.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator
from pydantic.json_schema import JsonSchemaValue

from incident.actions.action import Steps
from incident.model import Kind, Mode
from incident.policy.errors import invalid_value
from incident.policy.values import (
    DEFAULT_CATEGORY,
    DURATION_SCHEMA,
    Accounts,
    Categories,
    CategoryPatterns,
    Folders,
    InstanceSteps,
    JobSteps,
    Labels,
    Names,
    RuleName,
    ServiceSteps,
    Sources,
    WorkerPoolSteps,
    duration_up_to,
)
from incident.policy.yaml_model import schema_of

_Cap = Annotated[int, Field(strict=True, ge=0, le=1000)]


class _Section(BaseModel):
    """A mapping of the file; unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Contain(_Section):
    """What is done, per kind of workload.

    Every step is applied. A step is an action, or a list of alternatives of which the first
    that fits is taken. An empty list means that nothing is done: findings are held.
    """

    service: ServiceSteps = Field(default=None, description="Steps for services.")
    worker_pool: WorkerPoolSteps = Field(
        default=None, alias="worker-pool", description="Steps for worker pools."
    )
    job: JobSteps = Field(default=None, description="Steps for jobs.")
    instance: InstanceSteps = Field(default=None, description="Steps for instances.")

    def steps(self, kind: Kind) -> Steps | None:
        """The steps for a kind of workload; None where nothing is said about it."""
        steps = {
            Kind.SERVICE: self.service,
            Kind.WORKER_POOL: self.worker_pool,
            Kind.JOB: self.job,
            Kind.INSTANCE: self.instance,
        }
        return steps[kind]


class Match(_Section):
    """Which workloads are meant: those that match every key given, by one of its patterns.

    Patterns are whole names or globs with ``*``, ``?`` and ``[abc]``, case-sensitive. Each of
    ``services``, ``jobs``, ``worker_pools`` and ``instances`` speaks of its own kind, and a match
    with any of them means no kind that it leaves out.
    """

    projects: Names = Field(
        default=(), description="Project ids; a pattern of digits is a project number."
    )
    folders: Folders = Field(
        default=(), description="Numbers of folders anywhere above the project."
    )
    regions: Names = Field(default=(), description="Regions, such as europe-west1.")
    services: Names = Field(default=(), description="Names of services; no other kind is meant.")
    jobs: Names = Field(default=(), description="Names of jobs; no other kind is meant.")
    worker_pools: Names = Field(
        default=(), description="Names of worker pools; no other kind is meant."
    )
    instances: Names = Field(default=(), description="Names of instances; no other kind is meant.")
    labels: Labels = Field(
        default_factory=dict,
        description="Labels that the workload has: the key exactly, the value as a pattern.",
    )

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        if not self.model_fields_set:
            raise invalid_value(f"expected at least one of: {', '.join(type(self).model_fields)}")
        return self


class RuleMatch(Match):
    """Which findings a rule is for."""

    categories: CategoryPatterns = Field(
        default=(),
        description="Finding types, as patterns, in place of the top-level categories.",
    )


class Identity(_Section):
    """Which runtime service accounts ``disable-service-account`` may disable."""

    dedicated: Accounts = Field(
        default=(),
        description="E-mails of accounts that one workload alone runs as, or globs of them.",
    )
    shared: Literal["hold"] = Field(
        default="hold",
        description="An account that is not declared, or that other workloads run as, is left "
        "as it is. Only a rule may say disable.",
    )


class RuleIdentity(_Section):
    """What differs for the accounts of some workloads."""

    dedicated: Accounts | None = Field(
        default=None, description="In place of the accounts at the top level."
    )
    shared: Literal["hold", "disable"] | None = Field(
        default=None,
        description="disable: also an account that is not declared or that others run as, unless "
        "one of them is protected.",
    )


class Rule(_Section):
    """What differs for some workloads. What a rule leaves out comes from the top level."""

    name: RuleName = Field(description="A name of its own, which logs and records show.")
    match: RuleMatch
    mode: Mode | None = Field(default=None, description="How far to go for these workloads.")
    contain: Contain = Field(
        default=Contain(), description="What is done; a kind left out is as at the top level."
    )
    identity: RuleIdentity = RuleIdentity()


class Guards(_Section):
    """Bounds on what may happen unattended."""

    max_finding_age: Annotated[
        timedelta, PlainValidator(duration_up_to("365d")), DURATION_SCHEMA
    ] = Field(default=timedelta(hours=24), description="Older findings are held, at most 365d.")
    max_containments_per_hour: _Cap = Field(
        default=10, description="In all projects together; 0 holds everything."
    )
    max_per_project_per_hour: _Cap = Field(
        default=3, description="In any one project; 0 holds everything."
    )
    unknown_fields: Literal["contain", "hold"] = Field(
        default="hold",
        description="What to do when a write would reset settings that the locked Google client "
        "does not know.",
    )


class VirusTotalGate(_Section):
    """A gate: contain only what VirusTotal calls malicious."""

    min_malicious: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        description="How many engines must call the suspected file malicious."
    )
    when_unknown: Literal["contain", "hold"] = Field(
        default="hold", description="What to do when VirusTotal does not know or cannot be asked."
    )


class EvidenceBounds(_Section):
    """How much evidence is gathered."""

    log_window: Annotated[timedelta, PlainValidator(duration_up_to("7d")), DURATION_SCHEMA] = Field(
        default=timedelta(minutes=30),
        description="How far around the event logs and related findings are read, at most 7d.",
    )
    log_entries: Annotated[int, Field(strict=True, ge=1, le=5000)] = Field(
        default=500, description="How many log entries are kept at most."
    )
    deadline: Annotated[timedelta, PlainValidator(duration_up_to("60s")), DURATION_SCHEMA] = Field(
        default=timedelta(seconds=10),
        description="How long each piece of evidence is waited for, at most 60s.",
    )
    hold_for_copy: Annotated[timedelta, PlainValidator(duration_up_to("7d")), DURATION_SCHEMA] = (
        Field(
            default=timedelta(minutes=10),
            description="How long a plan waits for its approval at least, for a person to copy "
            "files out of the running container first; at most 7d.",
        )
    )


class Policy(_Section):
    """What may be done to which workload. The defaults contain nothing."""

    mode: Mode = Field(
        default=Mode.DRY_RUN,
        description="dry-run: plan only; approve: wait for a person; enforce: contain.",
    )
    categories: Categories = Field(
        default=(DEFAULT_CATEGORY,), description="Finding types that are answered, exact texts."
    )
    sources: Sources = Field(
        default=(), description="SCC source ids that findings must come from; empty: any."
    )
    contain: Contain = Contain()
    identity: Identity = Identity()
    rules: tuple[Rule, ...] = Field(
        default=(), description="Tried in order; the first that matches applies."
    )
    protect: tuple[Match, ...] = Field(
        default=(),
        description="Workloads that are never contained, whatever a rule says. What cannot be "
        "known about a workload counts as protected.",
    )
    guards: Guards = Guards()
    approval_expires: Annotated[
        timedelta, PlainValidator(duration_up_to("30d")), DURATION_SCHEMA
    ] = Field(
        default=timedelta(hours=12),
        description="How long a plan waits for its approval, at most 30d.",
    )
    reapply_limit: Annotated[int, Field(strict=True, ge=0, le=100)] = Field(
        default=0,
        description="How often the patrol contains a workload again whose containment somebody "
        "else has undone; 0: it only reports it.",
    )
    virustotal: VirusTotalGate | None = Field(default=None, description="Left out: no gate.")
    evidence: EvidenceBounds = EvidenceBounds()
    playbook: Annotated[str, Field(max_length=1000)] = Field(
        default="",
        description="The playbook for people: a gs:// URL, a path, or a path from the policy's "
        "folder. Left out: the shipped one, incident/playbook/playbook.yaml.",
    )

    @property
    def approval_lifetime(self) -> timedelta:
        """How long a plan waits for its approval: no shorter than copying evidence takes."""
        return max(self.approval_expires, self.evidence.hold_for_copy)


def policy_schema() -> JsonSchemaValue:
    """The JSON Schema of the policy file."""
    return schema_of(Policy, "Containment policy")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(policy_schema(), indent=2) + "\n")
