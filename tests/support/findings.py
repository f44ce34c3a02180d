"""Notifications built from a sample by fields: workload, project, region, id."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from incident.notification.parse import parse_notification
from tests.support.constants import SAMPLES_FOLDER

JsonDict = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FindingSpec:
    """What a notification differs in from its sample; None leaves a field as it is there.

    Attributes:
        sample: Name of the sample.
        finding_id: Last part of the finding's name.
        workload: Short name of the workload.
        region: Of the workload.
        project_id: Of the workload's project.
        project_number: Of the same project.
    """

    sample: str = "cloud-run-service"
    finding_id: str | None = None
    workload: str | None = None
    region: str | None = None
    project_id: str | None = None
    project_number: str | None = None

    def notification(self) -> JsonDict:
        """The notification, as a dictionary to change."""
        content: JsonDict = json.loads((SAMPLES_FOLDER / f"{self.sample}.json").read_bytes())
        return self.applied_to(content)

    def applied_to(self, notification: JsonDict) -> JsonDict:
        """Another notification with these fields: every name that has them follows."""
        finding = parse_notification(json.dumps(notification).encode()).finding
        workload = finding.workload
        pairs = [(finding.name.rpartition("/")[2], self.finding_id)]
        if workload:
            pairs += [
                (workload.name, self.workload),
                (workload.location, self.region),
                (workload.project_id or "", self.project_id),
                (workload.project_number or "", self.project_number),
            ]
        changed: JsonDict = _mapped(notification, {old: new for old, new in pairs if old and new})
        return changed


def _mapped(value: Any, segments: dict[str, str]) -> Any:
    """A JSON value in which whole segments of names are replaced."""
    match value:
        case dict():
            return {key: _mapped(part, segments) for key, part in value.items()}
        case list():
            return [_mapped(part, segments) for part in value]
        case str():
            return "/".join(segments.get(part, part) for part in value.split("/"))
        case _:
            return value
