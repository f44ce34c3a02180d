"""Playbook tasks for services built from source: Cloud Run functions, source deployments. Pure.

A function's own command deploys its source again and sets the service's scaling and traffic, so
that it may undo a containment. Functions of the Cloud Functions API carry its labels; others were
deployed by ``gcloud run deploy --function`` (documentation of Cloud Run functions).
"""

from __future__ import annotations

from collections.abc import Iterator

from incident.model import Evidence, PlaybookTask, TaskPurpose, Workload
from incident.playbook.commands_and_links import gcloud, location_flags, workload_page
from incident.playbook.workload_facts import function_name, is_function, source_build

_MANAGED_BY = "goog-managed-by"
_SOURCE = "SOURCE_DIRECTORY"


def source_deploy_command(evidence: Evidence, workload: Workload, **flags: str) -> str:
    """The command that deploys the source again; empty where there is no source.

    Args:
        evidence: The evidence.
        workload: The service.
        flags: More flags by name, with underscores.
    """
    source, configuration = source_build(evidence), evidence.configuration
    if source is None or configuration is None:
        return ""
    where = location_flags(workload)
    if configuration.labels.get(_MANAGED_BY) == "cloudfunctions":
        return gcloud(
            "functions deploy",
            function_name(evidence) or workload.name,
            gen2=True,
            **{"entry_point": source.function_target} if source.function_target else {},
            source=_SOURCE,
            **flags,
            **where,
        )
    named = {"function": source.function_target, "base_image": source.base_image}
    shown = {name: value for name, value in named.items() if value and source.function_target}
    return gcloud("run deploy", workload.name, source=_SOURCE, **shown, **flags, **where)


def deploy_source(evidence: Evidence, workload: Workload) -> Iterator[PlaybookTask]:
    """Tasks that review the deployed source and deploy a fixed one."""
    source = source_build(evidence)
    if source is None:
        return
    if source.location:
        text = (
            f"Compare the source that was deployed, {source.location}, with your repository: a"
            " changed source brings the hostile code back with each deployment"
        )
        copied = (
            gcloud("storage cp", source.location, "source.zip")
            if source.location.startswith("gs://")
            else ""
        )
        yield PlaybookTask(text, copied, "", TaskPurpose.REBUILD)
    command = source_deploy_command(evidence, workload)
    page = workload_page(workload) or ""
    if is_function(evidence):
        text = (
            f"Fix the source and deploy the function {function_name(evidence)} from it, not an"
            " image. Deploying it lifts the containment: it sets scaling and traffic again, so"
            " deploy nothing but the fixed source. `release` may then find its fields changed"
        )
    else:
        text = (
            "Fix the source and deploy the service from it. Do not set scaling, traffic or"
            " ingress with that deployment"
        )
    yield PlaybookTask(text, command, page, TaskPurpose.REBUILD)
