"""Eight incidents for a demonstration: findings, the world that they meet, a policy.

They are made from the shipped samples, and are the same in every run.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.world import surroundings

POLICY = """\
# The policy of `python -m emulator demo`: every way to decide, by the name of the service.
mode: enforce
contain:
  service: [scale-to-zero]
  worker-pool: [scale-to-zero]
  job: [cancel-executions]
  instance: [stop-instance]
rules:
  - name: a person decides about checkout
    match: {services: [checkout]}
    mode: approve
  - name: payments stays up
    match: {services: [payments]}
    contain: {service: [restrict-ingress]}
  - name: watch instances
    match: {instances: ["*"]}
    mode: dry-run
guards:
  max_per_project_per_hour: 10
"""
NOT_A_NOTIFICATION = b'{"incident": "this is no notification of Security Command Center"}'

_JOB_SAMPLE, _POOL_SAMPLE = "v1-job-execution.json", "worker-pool-without-containers.json"
_INSTANCE_SAMPLE = "cloud-run-instance.json"
_SERVICE_SAMPLE, _SHELL_SAMPLE = "cloud-run-service.json", "reverse-shell.json"
_SAMPLE_SERVICE, _SAMPLE_TIME = "storefront", "2026-10-02T08:14:07.318Z"


@dataclass(frozen=True, slots=True)
class DemoIncident:
    """One incident of the demonstration.

    Attributes:
        sample: The sample that its finding is made from.
        event_time: When its event was.
        service: Name of the service, for those about one; else the sample's own workload.
        refused: Whether Google refuses to write to the workload.
    """

    sample: str
    event_time: str
    service: str = ""
    refused: bool = False

    def notification(self, samples: Path) -> bytes:
        """The notification of its finding."""
        text = (samples / self.sample).read_text(encoding="utf-8")
        name = json.loads(text)["finding"]["name"].rpartition("/")[2]
        if self.service and self.service != _SAMPLE_SERVICE:
            digest = hashlib.sha256(self.service.encode()).hexdigest()[: len(name)]
            text = text.replace(_SAMPLE_SERVICE, self.service).replace(name, digest)
        return text.replace(_SAMPLE_TIME, self.event_time).encode()


INCIDENTS = (
    DemoIncident(_SERVICE_SAMPLE, _SAMPLE_TIME, _SAMPLE_SERVICE),
    DemoIncident(_POOL_SAMPLE, "2026-10-02T08:14:51.004Z"),
    DemoIncident(_JOB_SAMPLE, "2026-10-02T08:15:33.120Z"),
    DemoIncident(_SERVICE_SAMPLE, "2026-10-02T08:16:02.750Z", "checkout"),
    DemoIncident(_SERVICE_SAMPLE, "2026-10-02T08:16:40.200Z", "payments"),
    DemoIncident(_SHELL_SAMPLE, "2026-10-02T08:17:15.900Z", "admin-console"),
    DemoIncident(_SERVICE_SAMPLE, "2026-10-02T08:18:09.410Z", "legacy-api", refused=True),
    DemoIncident(_INSTANCE_SAMPLE, "2026-10-02T08:18:55.660Z"),
)


def demo_world(notifications: list[bytes]) -> dict[str, Any]:
    """A world in which all of these notifications tell the truth."""
    merged: dict[str, Any] = {}
    for notification in notifications:
        for key, part in surroundings.world_around(notification).items():
            if isinstance(part, dict):
                merged.setdefault(key, {}).update(part)
            else:
                known = merged.setdefault(key, [])
                known += [each for each in part if each not in known]
    return merged
