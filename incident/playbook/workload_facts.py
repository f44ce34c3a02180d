"""Facts that change a playbook: several containers, regions, function, ended executions. Pure."""

from __future__ import annotations

from incident.model import Evidence, Execution, SourceBuild

#: Label of the Cloud Functions API with the function's name.
_FUNCTION_ID = "goog-drz-cloudfunctions-id"
_MAX_EXECUTIONS = 3


def source_build(evidence: Evidence) -> SourceBuild | None:
    """The source that the service was built from; None where it was deployed as an image."""
    return evidence.configuration.source if evidence.configuration else None


def is_function(evidence: Evidence) -> bool:
    """Whether the service is a Cloud Run function."""
    source = source_build(evidence)
    return bool(source and source.function_target)


def function_name(evidence: Evidence) -> str:
    """The function's name, which may differ from its service's; empty where it is no function."""
    configuration = evidence.configuration
    if configuration is None or not is_function(evidence):
        return ""
    return configuration.labels.get(_FUNCTION_ID) or configuration.name.rpartition("/")[2]


def other_regions(evidence: Evidence) -> tuple[str, ...]:
    """The regions of a multi-region service that the containment does not reach."""
    return evidence.configuration.other_regions if evidence.configuration else ()


def ended_executions_text(evidence: Evidence) -> str:
    """How the affected executions ended by themselves; empty if one runs or was cancelled."""
    executions = evidence.affected_revision.executions
    if any(each.running or _was_cancelled(each) for each in executions):
        return ""
    return "; ".join(_ended_text(each) for each in executions[:_MAX_EXECUTIONS])


def has_several_containers(evidence: Evidence) -> bool:
    """Whether gcloud has to name the container of an update."""
    configuration = evidence.configuration
    current = configuration.template if configuration else evidence.affected_template
    return current is not None and len(current.containers) > 1


def _was_cancelled(execution: Execution) -> bool:
    cancelled = "CANCEL" in execution.reason or "DELETED" in execution.reason
    return cancelled or bool(execution.tasks.get("cancelled"))


def _ended_text(execution: Execution) -> str:
    states = {"CONDITION_SUCCEEDED": "succeeded", "CONDITION_FAILED": "failed"}
    how = states.get(execution.state, "ended")
    reason = execution.reason.removeprefix("EXECUTION_").replace("_", " ").lower()
    why = f" ({reason})" if reason else ""
    when = f"{execution.completion_time:%Y-%m-%d %H:%M:%S} UTC"
    return f"execution {execution.short_name} {how}{why} on {when}"
