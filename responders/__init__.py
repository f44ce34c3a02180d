"""The responder of each finding type, and which one answers a notification. Pure.

A module in this folder declares one ``RESPONDER`` or several ``RESPONDERS``. It is found
automatically unless its name begins with an underscore.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from types import ModuleType

from incident.model import (
    CLOUD_RUN_THREAT_DETECTION,
    EVENT_THREAT_DETECTION,
    Finding,
    Json,
    Notification,
    Responder,
    Route,
    Verdict,
)
from responders._unknown_type import UNKNOWN_TYPE

_CLOUD_RUN = "run.googleapis.com"


def by_category(modules: Iterable[ModuleType]) -> Mapping[str, Responder]:
    """The responder of each category.

    Raises:
        ValueError: Two responders claim one category, or one name; names both.
        AttributeError: A module holds no responder.
    """
    registered: dict[str, Responder] = {}
    module_names: dict[str, str] = {}
    for module in modules:
        for responder in _responders_in(module):
            if responder.name in module_names:
                raise ValueError(
                    f"the name {responder.name!r} is taken in {module_names[responder.name]} and in"
                    f" {module.__name__}: change one of them"
                )
            module_names[responder.name] = module.__name__
            _register(registered, responder)
    return registered


def _responders_in(module: ModuleType) -> Iterable[Responder]:
    several: Iterable[Responder] | None = getattr(module, "RESPONDERS", None)
    return (module.RESPONDER,) if several is None else several


def _register(registered: dict[str, Responder], responder: Responder) -> None:
    for category in responder.categories:
        if category in registered:
            raise ValueError(
                f"{category!r} is claimed by {registered[category].name} and by {responder.name}:"
                " take it out of one of them"
            )
        registered[category] = responder


def _modules() -> Iterable[ModuleType]:
    for found in pkgutil.iter_modules(__path__):
        if not found.name.startswith("_"):
            yield importlib.import_module(f"{__name__}.{found.name}")


RESPONDERS = by_category(_modules())


def responder_catalogue() -> tuple[Mapping[str, Json], ...]:
    """Every responder as plain data, by name; the unknown type comes last.

    Each has ``name``, ``detector``, ``categories``, ``verdict`` (the most that it would do, if the
    policy names the category besides), ``because``, ``techniques`` (each with ``id``, ``name``,
    ``tactic``, ``meaning`` and ``url``) and ``look_at``.
    """
    known = {responder.name: responder for responder in RESPONDERS.values()}
    return tuple(
        _catalogue_entry(responder)
        for responder in (*(known[name] for name in sorted(known)), UNKNOWN_TYPE)
    )


def _catalogue_entry(responder: Responder) -> Mapping[str, Json]:
    return {
        "name": responder.name,
        "detector": responder.detector,
        "categories": list(responder.categories),
        "verdict": responder.verdict.value,
        "because": responder.rationale,
        "techniques": [asdict(technique) for technique in responder.techniques],
        "look_at": list(responder.investigation_steps),
    }


def route(notification: Notification) -> Route:
    """Which responder answers, or why the notification is held or ignored.

    Category, detector and resource host must agree: three detectors of Security Command Center
    emit the same category, and only one of them watches Cloud Run. A category that is not known is
    recognised by the detector's API name, where the finding has it. What one of our detectors
    reports about Cloud Run without a responder is investigated and held for a person.
    """
    finding = notification.finding
    responder = next((RESPONDERS[each] for each in finding.categories if each in RESPONDERS), None)
    if responder is None and _reports_on_cloud_run(finding):
        responder = UNKNOWN_TYPE
    ignore_reason = _why_ignored(notification, responder)
    if ignore_reason:
        return Route(None, Verdict.IGNORE, ignore_reason)
    hold_reason = _why_held(finding, responder)
    if hold_reason:
        return Route(responder, Verdict.HOLD, hold_reason)
    return Route(responder, Verdict.CONTAIN, "")


def _reports_on_cloud_run(finding: Finding) -> bool:
    """Whether one of our detectors reports about Cloud Run; Event Threat Detection has others."""
    on_cloud_run = finding.host == _CLOUD_RUN
    return finding.detector == CLOUD_RUN_THREAT_DETECTION or (
        finding.detector == EVENT_THREAT_DETECTION and on_cloud_run
    )


def _why_ignored(notification: Notification, responder: Responder | None) -> str | None:
    finding = notification.finding
    if notification.deleted:
        return "the notification reports that the finding was deleted"
    if finding.state == "INACTIVE":
        return "the finding is inactive in Security Command Center"
    if finding.mute == "MUTED":
        return "the finding is muted in Security Command Center"
    own_detectors = {CLOUD_RUN_THREAT_DETECTION, *((responder.detector,) if responder else ())}
    if finding.host != _CLOUD_RUN and finding.detector not in own_detectors:
        return (
            f"it is not about Cloud Run: the resource is at {finding.host!r} and the detector is"
            f" {finding.detector!r}"
        )
    if responder is None:
        return f"no responder answers the category {finding.category!r}"
    return None


def _why_held(finding: Finding, responder: Responder | None) -> str | None:
    if finding.host != _CLOUD_RUN:
        return (
            f"the detector is {finding.detector}, but the resource is at {finding.host!r}: a"
            " person must find out which of them is right"
        )
    if responder and responder is not UNKNOWN_TYPE and finding.detector != responder.detector:
        named = f"is {finding.detector!r}" if finding.detector else "is not named"
        return (
            f"the resource is on Cloud Run, but the detector {named} and should be"
            f" {responder.detector}: a person must find out what reported this"
        )
    if finding.state != "ACTIVE":
        named = f"is {finding.state!r}" if finding.state else "is missing"
        return f"the finding's state {named}; it should be ACTIVE or INACTIVE"
    if finding.workload is None:
        return (
            f"the resource name {finding.resource_name[:200]!r} is not that of a Cloud Run"
            " service, job or worker pool that we know how to read"
        )
    if responder is UNKNOWN_TYPE:
        return f"no responder knows the category {finding.category[:200]!r}: a person must look"
    return None
