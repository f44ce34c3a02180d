"""What has to be lifted before a person may contain a workload with the responder. Pure.

What is said here is for those whom the responder's own ``contain`` would refuse, as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from incident.model import Bar, Workload
from incident.playbook.gcloud import gcloud, plain, run

_BY_HAND = "Whoever is sure all the same stops it by hand"
#: By what raises a bar: what has to be done first. In braces the place of the policy file.
_FIRST: Mapping[str, str] = {
    "policy": "Mend the policy{at} first",
    "protect": "Whoever keeps the policy{at} has to take it out of `protect` there first; where"
    " only a label or something unknown protects it, put that right. " + _BY_HAND,
    "source": "Find out whose source that is; if it is yours, it has to be in the"
    " policy's `sources`{at}",
    "route": "Find out what reported it, and about what: as long as Security Command Center says"
    " so, nothing lifts this. " + _BY_HAND,
    "confirmed": "See first whether Security Command Center lists it by now, at the finding's link."
    " If not, find out who sent the notification",
    "consistent": "Find out first which project is meant, and whether it is yours: as long as the"
    " record contradicts itself, nothing lifts this. " + _BY_HAND,
    "at_home": "Find out first who filed it there: nothing lifts this. " + _BY_HAND,
    "project_known": "See first which project it is, and let the responder read that",
    "not_ourselves": "Nothing lifts this: its own containment would stop the answer to all others. "
    + _BY_HAND,
    "not_being_released": "Finish that release first: `list` shows the incident that it is of",
}
_ANY = "That has to be put right first. " + _BY_HAND


@dataclass(frozen=True, slots=True)
class Barred:
    """Why a person's ``contain`` would be refused, and what has to be done first.

    Attributes:
        text: Why.
        first: What has to be done first, in a sentence or two.
        command: What checks or shows it; empty where nothing does.
    """

    text: str
    first: str
    command: str = ""


def barred(bar: Bar, workload: Workload, policy: str) -> Barred:
    """A bar with the way to lift it.

    Args:
        bar: What the decision says.
        workload: What is held.
        policy: Where the policy file is, as a path or URL; empty where none is configured.
    """
    of_policy = bar.by in ("policy", "protect", "source")
    first = _FIRST.get(bar.by, _ANY).format(at=_place(policy))
    command = _checks(policy) if of_policy else ""
    if of_policy and command and policy.startswith("gs://"):
        first += ". Copy it, change it, check it with `policy check`, and put it back"
    if bar.by == "project_known":
        command = gcloud("projects describe", workload.project)
    return Barred(bar.text.rstrip("."), first, command)


def _place(policy: str) -> str:
    return f" ({policy})" if plain(policy) else " (RESPONDER_POLICY says where it is)"


def _checks(policy: str) -> str:
    """What shows the mistakes of the policy file, or fetches it where it is in a bucket."""
    file = policy.removeprefix("file://")
    if not plain(file) or file.startswith("-"):
        return ""
    if file.startswith("gs://"):
        return run("gcloud", "storage", "cp", file, "policy.yaml")
    return run("python", "cli.py", "policy", "check", file)
