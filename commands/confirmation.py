"""The question before a write: what it does to the workload, as whom, for which finding. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from incident.actions.catalogue import ACTIONS
from incident.model import Change, Workload
from incident.report.terminal import escape_unprintable

#: What an action does, with the workload's name filled in, and what comes of it.
_ACTIONS = {
    "scale-to-zero": ("scale {name} to 0", "It will be offline."),
    "stop-instance": ("stop {name}", "It will be offline."),
    "isolate-revision": (
        "move traffic and tags of {name} off the affected revision",
        "Its known-good revision takes over.",
    ),
    "cancel-executions": (
        "cancel the running executions of {name}",
        "Cancelled executions cannot be restored.",
    ),
    "restrict-ingress": (
        "close {name} to requests from the internet",
        "What runs goes on running.",
    ),
    "require-authentication": (
        "keep the public from calling or starting {name}",
        "What runs goes on running.",
    ),
    "disable-service-account": (
        "disable the service account that {name} runs as",
        "Everything that runs as it loses access.",
    ),
}


def apply_question(
    changes: Sequence[Change], workload: Workload | None, category: str, by: str
) -> str:
    """The question before a containment plan is applied.

    Args:
        changes: What is left to write.
        workload: The workload.
        category: The finding's type; empty if there is none.
        by: The account that writes.
    """
    actions = list(dict.fromkeys(change.action for change in changes))
    name, project = (workload.name, workload.project) if workload else ("the workload", "")
    if not actions:
        doing, effects = f"record that {name} is contained", ["Nothing is left to write."]
    else:
        phrases = [_ACTIONS.get(each, (f"apply {each} to {{name}}", "")) for each in actions]
        doing = " and ".join(phrase.format(name=name) for phrase, _ in phrases)
        stopping = [each for each in actions if each in ACTIONS and ACTIONS[each].stops]
        effects = [
            effect
            for each, (_, effect) in zip(actions, phrases, strict=True)
            # What only restricts is of no account beside what stops.
            if not stopping or each in stopping or each not in ACTIONS
        ]
    where = f" in {project}" if project else ""
    cause = f", for {category}" if category else ""
    text = f"{doing}{where} as {by}{cause}?"
    return _question(text, effects)


def workload_text(workload: Workload) -> str:
    """A workload by its name, such as ``storefront (service, my-project, europe-west1)``."""
    return f"{workload.name} ({workload.kind.value}, {workload.project}, {workload.location})"


def release_question(changes: Sequence[Change], workload: Workload, by: str, cause: str) -> str:
    """The question before a containment is released.

    Args:
        changes: What is left to write.
        workload: The workload.
        by: The account that writes.
        cause: The incident that it was contained for, with its finding type.
    """
    effect = "It goes back into service as it was." if changes else "Nothing is left to write."
    return _question(
        f"release {workload.name} in {workload.project} as {by}, contained for {cause}?", [effect]
    )


def _question(text: str, effects: Sequence[str]) -> str:
    sentence = text[:1].upper() + text[1:]
    return escape_unprintable(" ".join((sentence, *dict.fromkeys(filter(None, effects)))))
