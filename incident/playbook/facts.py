"""The facts of the evidence that fill in a playbook's texts and commands. Pure.

They are stored with the outcome, so that a later status fills in the same texts again. Every list
is bounded; every text may be untrusted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from incident.model import AUDIT_WINDOW, Evidence, Finding, Kind, Suspect, Workload
from incident.model.affected_workloads import Relation
from incident.playbook.entry_facts import EntryFacts, entry_facts
from incident.playbook.images import parse_image
from incident.playbook.links import (
    finding_page,
    image_page,
    logs_page,
    secrets_page,
    service_account_page,
    workload_page,
)
from incident.playbook.secret_facts import (
    SecretFacts,
    SecretUpdate,
    VariableFacts,
    secret_facts,
    secret_updates,
    variable_facts,
)
from incident.playbook.service_accounts import AccountKind, runtime_account
from incident.playbook.workload_facts import (
    ended_executions_text,
    function_name,
    has_several_containers,
    managed_by_functions,
    other_regions,
    source_build,
)

_MOST_NAMES = 20
_MOST_IMAGES = 5
#: A finding's contacts are untrusted: only email addresses are shown.
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&*+/=?^_{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}")
#: The attacker came in before the finding: how far back to read logs.
_LOG_LOOKBACK = timedelta(days=7)
_LOG_RESOURCES = {
    Kind.SERVICE: ("cloud_run_revision", "service_name"),
    Kind.JOB: ("cloud_run_job", "job_name"),
    Kind.WORKER_POOL: ("cloud_run_worker_pool", "worker_pool_name"),
    Kind.INSTANCE: ("cloud_run_instance", "instance_name"),
}
#: What the category of a Cloud Run Threat Detection finding implies about the image.
_ORIGINS = {
    "Execution: Modified ": "changed",
    "Execution: Added ": "added",
    "Execution: Built in ": "built-in",
}
#: The evidence whose gaps are facts, and the names of the queries.
GAPS = ("settings", "access", "audit-log", "related-findings")
QUERIES = ("logs", "audit", "page")


@dataclass(frozen=True, slots=True)
class FindingFacts:
    """The finding.

    ``origin`` is how the hostile file came in, by the finding's type: ``changed``, ``added``,
    ``built-in`` or empty. ``file`` is the suspected file's path, ``pid`` the id of the process
    that runs it, ``checks`` what to look at.
    """

    category: str
    name: str
    page: str
    contacts: tuple[str, ...] = ()
    origin: str = ""
    file: str = ""
    pid: str = ""
    checks: tuple[str, ...] = ()
    often_benign: bool = False


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """The workload. ``containers`` are named where there are several; pages are of the console."""

    kind: str
    label: str
    name: str
    project: str
    region: str
    page: str
    other_regions: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    secrets_page: str = ""


@dataclass(frozen=True, slots=True)
class AffectedFacts:
    """The revision or execution that the finding is about.

    ``name`` is empty where several are possible; ``description`` and ``reason`` say which, and how
    that is known. ``container`` is named where there are several. ``serves`` is ``yes``, ``no`` or
    empty where unknown; ``ended`` says how executions ended by themselves.
    """

    name: str
    description: str
    reason: str
    container: str = ""
    serves: str = ""
    ended: str = ""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """An image that may have run; ``pinned`` is its reference by digest, else by tag."""

    pinned: str
    in_artifact_registry: bool
    has_digest: bool
    page: str


@dataclass(frozen=True, slots=True)
class DeployedImage:
    """A container to deploy again: its name where there are several, and its image's name."""

    container: str
    image: str


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """A service account that it may have run as; an empty email is a default account.

    ``kind`` says who created it: ``user``, ``compute``, ``app-engine``, ``google``, ``unknown``.
    ``query`` finds what was done as the account since the day of the event.
    """

    email: str
    kind: str
    project: str
    in_other_project: bool
    page: str
    query: str


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """A volume whose files outlive the instance: what is mounted, and its bucket if it is one."""

    source: str
    bucket: str


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """The source that the service is deployed from; ``function`` is empty where it is none.

    ``managed`` says that the Cloud Functions API deploys it; ``location`` is the source's archive.
    """

    function: str
    managed: bool
    location: str
    entry_point: str
    base_image: str


@dataclass(frozen=True, slots=True)
class OtherWorkload:
    """Another workload that runs the same image digest, by the inventory."""

    kind: str
    name: str
    project: str
    region: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts of the evidence, by the names that a playbook uses.

    ``queries`` are those of ``QUERIES``: the workload's logs, its deployments, and the page of the
    Logs Explorer. ``gaps`` says for each collector of ``GAPS`` why its evidence is missing.
    """

    finding: FindingFacts
    workload: WorkloadFacts | None
    affected: AffectedFacts
    images: tuple[ImageFacts, ...] = ()
    deploy: tuple[DeployedImage, ...] = ()
    accounts: tuple[AccountFacts, ...] = ()
    secrets: tuple[SecretFacts, ...] = ()
    secret_updates: tuple[SecretUpdate, ...] = ()
    variables: VariableFacts = field(default_factory=VariableFacts)
    volumes: tuple[VolumeFacts, ...] = ()
    entry: EntryFacts = field(default_factory=EntryFacts)
    source: SourceFacts | None = None
    others: tuple[OtherWorkload, ...] = ()
    queries: Mapping[str, str] = field(default_factory=dict)
    gaps: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The facts as JSON."""
        return asdict(self)


def evidence_facts(
    evidence: Evidence,
    checks: tuple[str, ...] = (),
    suspect: Suspect | None = None,
    *,
    often_benign: bool = False,
) -> Facts:
    """The facts of the evidence.

    Args:
        evidence: The evidence.
        checks: What a person should check.
        suspect: The suspected process and file; None where there is none.
        often_benign: Whether findings of this type are often benign.
    """
    finding, workload = evidence.finding, evidence.finding.workload
    suspect = suspect or Suspect(None, None)
    process = suspect.process
    contacts = tuple(each for each in finding.contacts if _EMAIL.fullmatch(each))[:_MOST_NAMES]
    origin = next((o for key, o in _ORIGINS.items() if finding.categories[0].startswith(key)), "")
    of_finding = FindingFacts(
        category=finding.category,
        name=finding.canonical_name,
        page=finding_page(finding),
        contacts=contacts,
        origin=origin,
        file=suspect.file.path if suspect.file else "",
        pid=str(process.pid) if process and process.pid is not None else "",
        checks=tuple(text.rstrip(".") for text in checks),
        often_benign=often_benign,
    )
    if workload is None:
        return Facts(of_finding, None, _affected_facts(evidence))
    template = evidence.affected_template
    return Facts(
        finding=of_finding,
        workload=_workload_facts(evidence, workload),
        affected=_affected_facts(evidence),
        images=_image_facts(evidence),
        deploy=_deployed_images(evidence),
        accounts=tuple(
            _account_facts(email, workload, finding)
            for email in evidence.affected_revision.service_accounts[:_MOST_IMAGES]
        ),
        secrets=secret_facts(evidence, workload),
        secret_updates=secret_updates(evidence, workload),
        variables=variable_facts(evidence),
        volumes=tuple(
            _volume_facts(each.source)
            for each in (template.volumes if template else ())
            if each.persists
        )[:_MOST_NAMES],
        entry=entry_facts(evidence, workload),
        source=_source_facts(evidence),
        others=_others(evidence),
        queries=_queries(finding, workload),
        gaps=_missing(evidence),
    )


def _missing(evidence: Evidence) -> dict[str, str]:
    values = (
        evidence.affected_template,
        evidence.access,
        evidence.audit,
        evidence.related,
    )
    return {
        name: evidence.describe_gap(name)
        for name, value in zip(GAPS, values, strict=True)
        if value is None
    }


def _workload_facts(evidence: Evidence, workload: Workload) -> WorkloadFacts:
    configuration = evidence.configuration
    current = configuration.template if configuration else evidence.affected_template
    several = current.containers if current and has_several_containers(evidence) else ()
    return WorkloadFacts(
        kind=workload.kind.value,
        label=workload.kind.label,
        name=workload.name,
        project=workload.project,
        region=workload.location,
        page=workload_page(workload) or "",
        other_regions=other_regions(evidence)[:_MOST_NAMES],
        containers=tuple(each.name for each in several)[:_MOST_NAMES],
        secrets_page=secrets_page(workload.project),
    )


def _affected_facts(evidence: Evidence) -> AffectedFacts:
    affected, configuration = evidence.affected_revision, evidence.configuration
    serves = ""
    if configuration is not None and affected.name:
        live = (configuration.latest_ready_revision, *configuration.live_revisions)
        serves = "yes" if affected.name in live else "no"
    named = next((each.name for each in evidence.finding.containers if each.name), "")
    return AffectedFacts(
        name=affected.name,
        description=affected.description,
        reason=affected.reason,
        container=named if has_several_containers(evidence) else "",
        serves=serves,
        ended=ended_executions_text(evidence),
    )


def _image_facts(evidence: Evidence) -> tuple[ImageFacts, ...]:
    """The finding's image, else the image of each template that may have run."""
    container = next((each for each in evidence.finding.containers if each.image), None)
    if container:
        images = [parse_image(container.image, container.digest)]
    else:
        templates = evidence.affected_revision.templates
        listed = [each.containers[0].image for each in templates if each.containers]
        images = [parse_image(name) for name in list(dict.fromkeys(listed))[:_MOST_IMAGES]]
    return tuple(
        ImageFacts(
            pinned=each.pinned,
            in_artifact_registry=each.in_artifact_registry,
            has_digest=bool(each.digest),
            page=image_page(each.name) or "",
        )
        for each in images
        if each.name
    )


def _deployed_images(evidence: Evidence) -> tuple[DeployedImage, ...]:
    """Each affected container of several; else one for the workload.

    Of several containers it is the one that the finding names, else all of them.
    """
    finding, configuration = evidence.finding, evidence.configuration
    if not has_several_containers(evidence):
        image = next((each.image for each in finding.containers if each.image), "")
        templates = evidence.affected_revision.templates
        listed = [c.image for each in templates for c in each.containers[:1]]
        name = parse_image(image or next(iter(listed), "")).name
        return (DeployedImage("", name),)
    current = configuration.template if configuration else evidence.affected_template
    containers = current.containers if current else ()
    named = {each.name for each in finding.containers if each.name}
    paths = {parse_image(each.image).name for each in finding.containers if each.image}
    affected = [each for each in containers if each.name in named] or [
        each for each in containers if parse_image(each.image).name in paths
    ]
    return tuple(
        DeployedImage(each.name, parse_image(each.image).name)
        for each in (affected or containers)[:_MOST_NAMES]
    )


def _account_facts(email: str, workload: Workload, finding: Finding) -> AccountFacts:
    account = runtime_account(email, workload)
    query = (
        f'protoPayload.authenticationInfo.principalEmail="{account.email}"'
        f' timestamp>="{finding.event_time:%Y-%m-%dT00:00:00Z}"'
    )
    known = account.kind is not AccountKind.UNKNOWN and account.email
    return AccountFacts(
        email=account.email,
        kind=account.kind.value,
        project=account.project,
        in_other_project=account.in_other_project,
        page=service_account_page(account.project, account.email) if known else "",
        query=query if known else "",
    )


def _volume_facts(source: str) -> VolumeFacts:
    kind, _, what = source.replace("://", " ", 1).partition(" ")
    named = {"gcs": f"gs://{what}", "nfs": f"the file share {what}"}
    return VolumeFacts(named.get(kind, source), what if kind == "gcs" else "")


def _source_facts(evidence: Evidence) -> SourceFacts | None:
    source, function = source_build(evidence), function_name(evidence)
    if source is None and not function:
        return None
    return SourceFacts(
        function=function,
        managed=managed_by_functions(evidence),
        location=source.location if source else "",
        entry_point=source.function_target if source else "",
        base_image=source.base_image if source else "",
    )


def _others(evidence: Evidence) -> tuple[OtherWorkload, ...]:
    """Those with findings in the window first."""
    found = evidence.affected.workloads if evidence.affected else ()
    same = [each for each in found if Relation.DIGEST in each.relations]
    same.sort(key=lambda each: not each.findings)
    return tuple(
        OtherWorkload(
            each.workload.kind.value,
            each.workload.name,
            each.workload.project,
            each.workload.location,
        )
        for each in same[:_MOST_NAMES]
    )


def _queries(finding: Finding, workload: Workload) -> dict[str, str]:
    kind, label = _LOG_RESOURCES[workload.kind]
    logs = (
        f'resource.type="{kind}" resource.labels.{label}="{workload.name}"'
        f' resource.labels.location="{workload.location}"'
        f' timestamp>="{finding.event_time - _LOG_LOOKBACK:%Y-%m-%dT00:00:00Z}"'
    )
    audit = (
        'logName:"cloudaudit.googleapis.com%2Factivity" protoPayload.serviceName="run.googleapis'
        f'.com" timestamp>="{finding.event_time - AUDIT_WINDOW:%Y-%m-%dT00:00:00Z}"'
        f' protoPayload.resourceName:"{workload.name}"'
    )
    return {"logs": logs, "audit": audit, "page": logs_page(workload.project, logs)}
