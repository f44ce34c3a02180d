"""What to do about each kind of finding; which responder answers a notification.

A responder is a module in this folder that holds one ``RESPONDER``; it is found by being
here. Pure: nothing in this package reads, writes or knows the time.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from types import ModuleType

from incident.model import Finding, Notification, Responder, Route, Verdict

_CLOUD_RUN = "run.googleapis.com"
_DETECTOR = "Cloud Run Threat Detection"


def catalogue(modules: Iterable[ModuleType]) -> Mapping[str, Responder]:
    """The responder of each category.

    Raises:
        ValueError: Two responders claim one category; names both.
    """
    claimed: dict[str, Responder] = {}
    for module in modules:
        responder: Responder = module.RESPONDER
        for category in responder.categories:
            if category in claimed:
                raise ValueError(
                    f"{category!r} is claimed by {claimed[category].name} and by {responder.name}:"
                    " take it out of one of them"
                )
            claimed[category] = responder
    return claimed


def _modules() -> Iterable[ModuleType]:
    for found in pkgutil.iter_modules(__path__):
        yield importlib.import_module(f"{__name__}.{found.name}")


RESPONDERS = catalogue(_modules())


def route(notification: Notification) -> Route:
    """Which responder answers, or why the notification is held or ignored.

    Category, detector and resource host must agree: three detectors of Security Command
    Center emit the same category, and only one of them watches Cloud Run.
    """
    finding = notification.finding
    responder = RESPONDERS.get(finding.category)
    ignored = _ignored(notification, responder)
    if ignored:
        return Route(None, Verdict.IGNORE, ignored)
    held = _held(finding)
    if held:
        return Route(responder, Verdict.HOLD, held)
    return Route(responder, Verdict.CONTAIN, "")


def _ignored(notification: Notification, responder: Responder | None) -> str | None:
    finding = notification.finding
    if notification.deleted:
        return "the notification tells that the finding was deleted"
    if finding.state == "INACTIVE":
        return "the finding is inactive in Security Command Center"
    if finding.mute == "MUTED":
        return "the finding is muted in Security Command Center"
    if finding.host != _CLOUD_RUN and finding.detector != _DETECTOR:
        return (
            f"it is not about Cloud Run: the resource is at {finding.host!r} and the detector is"
            f" {finding.detector!r}"
        )
    if responder is None:
        return f"no responder answers the category {finding.category!r}"
    return None


def _held(finding: Finding) -> str | None:
    if finding.host != _CLOUD_RUN:
        return (
            f"the detector is {_DETECTOR}, but the resource is at {finding.host!r}: a person"
            " must find out which of them is right"
        )
    if finding.detector != _DETECTOR:
        named = f"is {finding.detector!r}" if finding.detector else "is not named"
        return (
            f"the resource is on Cloud Run, but the detector {named} and should be {_DETECTOR}:"
            " a person must find out what reported this"
        )
    if finding.state != "ACTIVE":
        named = f"is {finding.state!r}" if finding.state else "is missing"
        return f"the finding's state {named}; it should be ACTIVE or INACTIVE"
    if finding.workload is None:
        return (
            f"the resource name {finding.resource_name[:200]!r} is not that of a Cloud Run"
            " service, job or worker pool that we know how to read"
        )
    return None
