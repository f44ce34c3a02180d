"""Constants of the tests: names of workloads, samples and actions, and values of Cloud Run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from incident.model import Json, Kind

REPOSITORY = Path(__file__).parents[2]
SAMPLES_FOLDER = REPOSITORY / "tests" / "samples"
#: One sample notification for each kind of workload.
SAMPLE_OF_KIND = {
    Kind.SERVICE: "revision-by-number",
    Kind.JOB: "v1-job-execution",
    Kind.WORKER_POOL: "worker-pool-without-containers",
    Kind.INSTANCE: "cloud-run-instance",
}
#: All actions that a policy may list, as YAML.
ALL_ACTIONS = {
    Kind.SERVICE: (
        "[scale-to-zero, restrict-ingress, require-authentication, disable-service-account]"
    ),
    Kind.JOB: "[cancel-executions, require-authentication, disable-service-account]",
    Kind.WORKER_POOL: "[scale-to-zero, disable-service-account]",
    Kind.INSTANCE: "[stop-instance, disable-service-account]",
}
#: A policy's key that lets every user-managed account be disabled, as YAML.
DEDICATED_ACCOUNTS = 'identity: {dedicated: ["*@*.iam.gserviceaccount.com"]}\n'

PROJECT_ID = "example-shop-prod"
PROJECT_NUMBER = "210987654321"
LOCATION = f"projects/{PROJECT_ID}/locations/europe-west1"
SERVICE = f"{LOCATION}/services/storefront"
CONTAINMENTS_FOLDER = f"containments/{PROJECT_ID}/europe-west1/service/storefront"
TOPIC = f"projects/{PROJECT_ID}/topics/outcomes"
INCIDENT_ID = "20261002-6255b37a8bf0"
CATEGORY = "Execution: Modified Malicious Binary Executed"
#: The digest of the EICAR test file, which the samples name.
SHA256 = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"
#: When the sample's event was seen.
EVENT_TIME = datetime(2026, 10, 2, 8, 14, 7, 318000, tzinfo=UTC)

UPDATE_SERVICE = "/google.cloud.run.v2.Services/UpdateService"
LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
REVISION = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
#: The scaling of a service that is scaled to zero.
SCALED_TO_ZERO: dict[str, Json] = {"scalingMode": "MANUAL", "manualInstanceCount": 0}
