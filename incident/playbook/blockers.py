"""Why an operator's ``contain`` would be refused, and what fixes that. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from incident.model import Blocker, Workload
from incident.playbook.links import gcloud, is_printable, shell_command

_STOP_MANUALLY = "If you are sure all the same, stop it manually"
#: The fix by what raised the blocker; ``{at}`` is the location of the policy file.
_FIXES: Mapping[str, str] = {
    "policy": "Fix the policy{at} first",
    "protect": "The policy's owner{at} has to remove it from `protect` first; where"
    " only a label or something unknown protects it, put that right. " + _STOP_MANUALLY,
    "source": "Find out whose source that is; if it is yours, it has to be in the"
    " policy's `sources`{at}",
    "route": "Find out what reported it, and about what: as long as Security Command Center says"
    " so, nothing lifts this. " + _STOP_MANUALLY,
    "finding_confirmed": "See first whether Security Command Center lists it by now, at the"
    " finding's link. If not, find out who sent the notification",
    "finding_consistent": "Find out first which project is meant, and whether it is yours: as long"
    " as the record contradicts itself, nothing lifts this. " + _STOP_MANUALLY,
    "filed_in_own_project": "Find out first who filed it there: nothing lifts this. "
    + _STOP_MANUALLY,
    "project_known": "See first which project it is, and let the responder read that",
    "not_the_responder": "Nothing lifts this: its own containment would stop the answer to all"
    " others. " + _STOP_MANUALLY,
    "not_being_released": "Finish that release first: `list` shows the incident that it is of",
}
_DEFAULT_FIX = "That has to be put right first. " + _STOP_MANUALLY


@dataclass(frozen=True, slots=True)
class ExplainedBlocker:
    """Why `contain` would be refused, and how to fix that.

    Attributes:
        text: The reason.
        fix: What to do first, in a sentence or two.
        command: Command that checks or shows it; empty where there is none.
    """

    text: str
    fix: str
    command: str = ""


def explain_blocker(blocker: Blocker, workload: Workload, policy_url: str) -> ExplainedBlocker:
    """A blocker with its fix.

    Args:
        blocker: The decision's blocker.
        workload: The held workload.
        policy_url: Path or URL of the policy file; empty where none is configured.
    """
    from_policy = blocker.raised_by in ("policy", "protect", "source")
    fix = _FIXES.get(blocker.raised_by, _DEFAULT_FIX).format(at=_policy_location(policy_url))
    command = _policy_check_command(policy_url) if from_policy else ""
    if from_policy and command and policy_url.startswith("gs://"):
        fix += ". Copy it, change it, check it with `policy check`, and put it back"
    if blocker.raised_by == "project_known":
        command = gcloud("projects describe", workload.project)
    return ExplainedBlocker(blocker.text.rstrip("."), fix, command)


def _policy_location(policy_url: str) -> str:
    return (
        f" ({policy_url})" if is_printable(policy_url) else " (RESPONDER_POLICY says where it is)"
    )


def _policy_check_command(policy_url: str) -> str:
    """Command that checks the policy file, or copies it from its bucket."""
    file = policy_url.removeprefix("file://")
    if not is_printable(file) or file.startswith("-"):
        return ""
    if file.startswith("gs://"):
        return shell_command("gcloud", "storage", "cp", file, "policy.yaml")
    return shell_command("cloud-run-responder", "policy", "check", file)
