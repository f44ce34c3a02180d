"""Notifications built from a sample by fields: workload, project, region, id."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from incident.notification.parse import parse_notification
from tests.support.constants import EVENT_TIME, PROJECT_ID, PROJECT_NUMBER, SAMPLES_FOLDER

JsonDict = dict[str, Any]

FINDING_ID = "1a9b70556ba3e8cbe635114c625da879"


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
        event_time: When it happened.
    """

    sample: str = "cloud-run-service"
    finding_id: str | None = None
    workload: str | None = None
    region: str | None = None
    project_id: str | None = None
    project_number: str | None = None
    event_time: dt.datetime | None = None

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
        if self.event_time:
            pairs.append((notification["finding"]["eventTime"], self.event_time.isoformat()))
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


def sample_notification(name: str = "cloud-run-service") -> JsonDict:
    """A notification, as a dictionary to change."""
    content: JsonDict = json.loads((SAMPLES_FOLDER / f"{name}.json").read_bytes())
    return content


def encode(notification: JsonDict) -> bytes:
    """A notification's bytes."""
    return json.dumps(notification).encode()


def similar_findings(notification: JsonDict, count: int) -> list[JsonDict]:
    """Findings like one, each with an id of its own, on the same resource."""
    identity = notification["finding"]["name"].rpartition("/")[2]
    return [
        FindingSpec(finding_id=f"{number:02d}{identity[2:]}").applied_to(notification)
        for number in range(count)
    ]


def findings_on_other_workloads(
    notification: JsonDict, count: int, project: str = ""
) -> list[JsonDict]:
    """Findings like one, each with an id of its own, on a workload in a region of its own.

    Args:
        notification: The finding that they are like.
        count: How many.
        project: A digit that tells the project from that of other findings like this one.
    """
    found = []
    for number, similar in enumerate(similar_findings(notification, count)):
        identity = similar["finding"]["name"].rpartition("/")[2]
        spec = FindingSpec(
            finding_id=f"{identity[:-1]}{project or identity[-1]}",
            region=f"region-{number}",
            project_id=f"{PROJECT_ID}{project}",
            project_number=f"{PROJECT_NUMBER[:-1]}{project or 1}",
        )
        found.append(spec.applied_to(similar))
    return found


@dataclass(frozen=True, slots=True)
class SampleFinding:
    """A finding like the sample's, on a service and with an id of its own.

    Attributes:
        finding: Last part of the finding's id, up to 8 digits.
        service: Short name of the service.
        project: Id of the project.
        number: Number of the project, 12 digits.
        event_time: When it happened.
    """

    finding: str = FINDING_ID[:8]
    service: str = "storefront"
    project: str = "example-shop-prod"
    number: str = "210987654321"
    event_time: dt.datetime = EVENT_TIME

    @property
    def notification(self) -> bytes:
        """The notification, as Pub/Sub carries it."""
        identity = self.finding.zfill(8) + FINDING_ID[8:]
        spec = FindingSpec(
            finding_id=identity,
            workload=self.service,
            project_id=self.project,
            project_number=self.number,
            event_time=self.event_time,
        )
        return encode(spec.notification())

    @property
    def resource(self) -> str:
        """The service's full name."""
        return f"projects/{self.project}/locations/europe-west1/services/{self.service}"

    @property
    def containment_folder(self) -> str:
        """Folder of the service's first containment in the store."""
        return f"containments/{self.project}/europe-west1/service/{self.service}/1"

    @property
    def name(self) -> str:
        """The finding's name."""
        return str(json.loads(self.notification)["finding"]["name"])
