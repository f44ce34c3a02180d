"""Facts of a policy test, as the evidence and circumstances that the decision is made of. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)

from incident.actions.fields import TRAFFIC_TO_LATEST, TRAFFIC_TO_REVISION
from incident.actions.isolate_revision import KNOWN_GOOD_TAG
from incident.case_file.containments import Containment, ContainmentHistory
from incident.decision.guards import DecisionContext, ResponderIdentity, TakenSlots
from incident.model import (
    Access,
    AffectedWorkload,
    AffectedWorkloads,
    Binding,
    ContainerConfiguration,
    DetectedProcess,
    Evidence,
    Execution,
    Finding,
    Json,
    JsonObject,
    Kind,
    Lookup,
    Mode,
    Relation,
    Reputation,
    ServiceAccount,
    Template,
    Workload,
    WorkloadConfiguration,
)
from incident.notification.synthetic_finding import synthetic_finding
from incident.policy.errors import invalid_value
from incident.policy.values import DEFAULT_CATEGORY, DURATION_SCHEMA, duration_up_to

#: A policy test has no clock: facts without a finding are of this moment.
_NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
_ENGINES = 70
_SHA256 = "a" * 64
_CALLING_ROLE = "roles/run.invoker"
_NO_ANSWERS: Mapping[str, Lookup] = {
    "unknown": Lookup.UNKNOWN,
    "no-answer": Lookup.NO_ANSWER,
    "no-hash": Lookup.NO_HASH,
    "no-key": Lookup.NO_KEY,
}
_DETECTIONS_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": _ENGINES},
        {"type": "string", "enum": [*_NO_ANSWERS]},
    ]
}
#: Facts that a finding says itself.
_OF_THE_FINDING = frozenset(
    {"category", "source", "kind", "name", "project", "project_number", "folders", "region"}
)


def _digits(text: str) -> str:
    if not (text.isascii() and text.isdigit()):
        raise invalid_value('expected digits in quotes, such as "345678901234"')
    return text


def _detections(value: object) -> int | str:
    if isinstance(value, int) and 0 <= value <= _ENGINES:
        return value
    if isinstance(value, str) and value in _NO_ANSWERS:
        return value
    words = ", ".join(_NO_ANSWERS)
    raise invalid_value(f"expected how many engines call the file malicious, or one of: {words}")


_Text = Annotated[str, StringConstraints(min_length=1)]
_Digits = Annotated[str, AfterValidator(_digits)]
_Count = Annotated[int, Field(strict=True, ge=0, le=1000)]


class Facts(BaseModel):
    """What is so when the finding arrives. What is left out is as usual."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    category: _Text = Field(default=DEFAULT_CATEGORY, description="The finding type.")
    source: _Digits | None = Field(
        default=None, description="Digits of the SCC source; left out: one that the policy takes."
    )
    kind: Kind = Field(default=Kind.SERVICE, description="The kind of workload.")
    name: _Text = Field(default="example", description="The workload's name.")
    project: _Text = Field(default="example-project", description="Its project's id.")
    project_number: _Digits | None = Field(default=None, description="Its project's number.")
    folders: tuple[_Digits, ...] | None = Field(
        default=None, description="Numbers of the folders above it; left out: not known."
    )
    region: _Text = Field(default="europe-west1", description="Where it runs.")
    labels: Mapping[str, str] = Field(default_factory=dict, description="Its labels.")
    service_account: _Text = Field(
        default="example-runtime@example-project.iam.gserviceaccount.com",
        description="E-mail of the account that it runs as.",
    )
    account_users: Literal["none", "others", "unknown"] = Field(
        default="none", description="Which other workloads run as its account."
    )
    callers: Literal["public", "restricted"] = Field(
        default="public", description="Whether everybody may call or start it."
    )
    known_good: _Text | None = Field(
        default=None, description="The revision that is tagged known-good; left out: none."
    )
    executions: _Count = Field(default=1, description="How many executions of a job run.")
    age: Annotated[timedelta, PlainValidator(duration_up_to("365d")), DURATION_SCHEMA] = Field(
        default=timedelta(minutes=1), description="How old the finding is."
    )
    scc: Literal["confirmed", "not-listed"] = Field(
        default="confirmed", description="Whether Security Command Center lists the finding."
    )
    virustotal: Annotated[
        int | str | None, PlainValidator(_detections), WithJsonSchema(_DETECTIONS_SCHEMA)
    ] = Field(
        default=None, description="How many engines call the file malicious, or why that is open."
    )
    history: Literal["none", "released", "being-released"] = Field(
        default="none", description="Whether a person released it from this finding before."
    )
    containments_this_hour: _Count = Field(default=0, description="Of all projects.")
    containments_this_hour_in_project: _Count = Field(default=0, description="Of its project.")
    responder_mode: Mode = Field(default=Mode.ENFORCE, description="RESPONDER_MODE.")

    @property
    def restated(self) -> tuple[str, ...]:
        """The facts given that a finding says itself."""
        return tuple(sorted(_OF_THE_FINDING & self.model_fields_set))


def finding_of_facts(facts: Facts, sources: tuple[str, ...]) -> Finding:
    """A finding of Cloud Run Threat Detection that says what the facts say.

    Args:
        facts: The facts.
        sources: The sources that the policy pins.
    """
    workload = Workload(
        kind=facts.kind,
        location=facts.region,
        name=facts.name,
        project_id=facts.project,
        project_number=facts.project_number,
        folders=facts.folders,
    )
    source = (facts.source,) if facts.source else sources
    finding = synthetic_finding(workload, "policy-test", facts.category, _NOW, sources=source)
    process = DetectedProcess(
        name="x",
        binary_path="/tmp/x",  # noqa: S108 - the path of no file of ours
        arguments=(),
        arguments_truncated=False,
        sha256=_SHA256,
        partially_hashed=False,
        pid=None,
        parent_pid=None,
        user_id=None,
        environment_names=(),
    )
    return replace(
        finding,
        ancestors=frozenset({finding.filed_under}),
        processes=(process,),
        revision=_affected_name(workload) if facts.known_good else None,
    )


def evidence_of_facts(facts: Facts, finding: Finding) -> Evidence:
    """What would have been gathered."""
    confirmed = facts.scc == "confirmed"
    configuration = _configuration(facts, finding) if finding.workload else None
    return Evidence(
        finding,
        confirmed,
        configuration,
        reputation=_reputation(facts),
        affected=_account_users(facts, finding),
    )


def _account_users(facts: Facts, finding: Finding) -> AffectedWorkloads:
    if facts.account_users == "unknown" or finding.workload is None:
        return AffectedWorkloads(complete=False, reason="this test says so")
    if facts.account_users == "none":
        return AffectedWorkloads()
    other = replace(finding.workload, name=f"{finding.workload.name}-2")
    relations = frozenset({Relation.ACCOUNT})
    return AffectedWorkloads((AffectedWorkload(other, relations, (facts.service_account,)),))


def context_of_facts(facts: Facts, finding: Finding) -> DecisionContext:
    """The circumstances of the decision."""
    return DecisionContext(
        now=finding.event_time + facts.age,
        ceiling=facts.responder_mode,
        ceiling_reason=f"RESPONDER_MODE allows no more than {facts.responder_mode.value}",
        responder=ResponderIdentity(),
        history=_history(facts, finding),
        slots=TakenSlots(
            _slots(facts.containments_this_hour), _slots(facts.containments_this_hour_in_project)
        ),
        containment_folder="",
    )


def _slots(number: int) -> dict[int, str]:
    return {at: f"other-{at}" for at in range(1, number + 1)}


def _reputation(facts: Facts) -> Reputation | None:
    answer = facts.virustotal
    if answer is None:
        return None
    if isinstance(answer, int):
        return Reputation(Lookup.KNOWN, _SHA256, malicious=answer, engines=_ENGINES)
    return Reputation(_NO_ANSWERS[answer], reason="this test says so")


def _history(facts: Facts, finding: Finding) -> ContainmentHistory:
    if facts.history == "none":
        return ContainmentHistory()
    containment = Containment(
        folder="",
        number=1,
        snapshots=(),
        written_snapshot=None,
        written_at=None,
        written_generation=None,
        verified=True,
        annotated=True,
        incidents=frozenset(),
        findings=frozenset({finding.finding_id}),
        releasing=facts.history == "being-released",
        released=facts.history == "released",
        last_number=1,
        pending_snapshot=None,
    )
    return ContainmentHistory((containment,))


def _configuration(facts: Facts, finding: Finding) -> WorkloadConfiguration:
    """Settings of a workload that runs, with all that any action may need to read."""
    workload = finding.workload
    assert workload is not None  # noqa: S101 - only a workload has settings
    affected = finding.revision or _affected_name(workload)
    template = _template(affected, "affected", finding.event_time - timedelta(hours=1))
    running = replace(template, service_account=facts.service_account)
    revisions = [running]
    if facts.known_good:
        before = finding.event_time - timedelta(days=1)
        revisions.append(_template(facts.known_good, "known-good", before))
    member = "allUsers" if facts.callers == "public" else "user:caller@example.com"
    raw: JsonObject = {"role": _CALLING_ROLE, "members": [member]}
    return WorkloadConfiguration(
        name=workload.resource_name,
        uid="policy-test",
        generation=1,
        observed_generation=1,
        reconciling=False,
        fields=_fields(facts, workload.kind),
        live_tags=(KNOWN_GOOD_TAG,) if facts.known_good else (),
        labels=facts.labels,
        annotations={},
        template=running,
        latest_ready_revision=affected,
        creator="",
        last_modifier="",
        update_time=None,
        uri="",
        condition="CONDITION_SUCCEEDED",
        kind=workload.kind,
        live_revisions=(affected,),
        access=Access((Binding(_CALLING_ROLE, (member,), None),), raw=(raw,)),
        revisions=tuple(revisions),
        executions=tuple(_execution(workload, running, at) for at in range(facts.executions)),
        accounts=(ServiceAccount(facts.service_account),),
    )


def _fields(facts: Facts, kind: Kind) -> dict[str, Json]:
    if kind is Kind.INSTANCE:
        return {"running": True}
    if kind is not Kind.SERVICE:
        return {"scaling": {"manualInstanceCount": 1}} if kind is Kind.WORKER_POOL else {}
    traffic: list[Json] = [{"type": TRAFFIC_TO_LATEST, "percent": 100}]
    if facts.known_good:
        target: JsonObject = {
            "type": TRAFFIC_TO_REVISION,
            "revision": facts.known_good,
            "tag": KNOWN_GOOD_TAG,
        }
        traffic.append(target)
    scaling: JsonObject = {"scalingMode": "AUTOMATIC", "maxInstanceCount": 10}
    return {"ingress": "INGRESS_TRAFFIC_ALL", "scaling": scaling, "traffic": traffic}


def _affected_name(workload: Workload) -> str:
    return f"{workload.name}-00002-new"


def _template(revision: str, image: str, created: datetime) -> Template:
    return Template(
        revision=revision,
        create_time=created,
        ready=True,
        containers=(ContainerConfiguration("main", image, ()),),
        service_account="",
        secret_names=(),
        volumes=(),
        timeout_s=300,
        session_affinity=False,
        creator="",
        secrets=(),
    )


def _execution(workload: Workload, template: Template, number: int) -> Execution:
    short = f"{workload.name}-{number}"
    return Execution(
        name=f"{workload.resource_name}/executions/{short}",
        short_name=short,
        create_time=template.create_time,
        start_time=template.create_time,
        completion_time=None,
        state="",
        reason="",
        tasks={},
        template=template,
        creator="",
    )
