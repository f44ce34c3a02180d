"""Values to start a test from: one finding, its service, and what is decided about them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from obstore.store import from_url

from clients.store import Store
from incident.actions.masked_changes import plan_changes
from incident.actions.snapshot import Snapshot, SnapshotPart, snapshot_json
from incident.case_file.containments import ContainmentRecords
from incident.case_file.journal import Record
from incident.model import (
    Change,
    ContainerConfiguration,
    Evidence,
    Finding,
    Json,
    Kind,
    Listing,
    Notification,
    Secret,
    Template,
    Workload,
    WorkloadConfiguration,
)
from incident.notification.parse import parse_notification
from tests.support.constants import (
    SAMPLES_FOLDER,
    SERVICE,
)

T = TypeVar("T")

UID = "9d4f0c1e"
#: Five seconds after the sample finding's event.
NOW = datetime(2026, 10, 2, 8, 14, 12, 318000, tzinfo=UTC)
SCALE_TO_ZERO_STEPS = (("scale-to-zero",),)

repeatable = hypothesis_settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)


def fixed_now() -> datetime:
    """A clock that stands still."""
    return NOW


def notification(name: str = "cloud-run-service", /, **changes: Any) -> Notification:
    """A sample notification, with parts of its finding replaced."""
    parsed = parse_notification((SAMPLES_FOLDER / f"{name}.json").read_bytes())
    return replace(parsed, finding=replace(parsed.finding, **changes))


def finding(**changes: Any) -> Finding:
    """The sample finding, with parts replaced."""
    return notification(**changes).finding


def listed_finding_json(**changes: Any) -> dict[str, Any]:
    """The sample finding with its resource as SCC lists them, to be put into a world."""
    content = json.loads((SAMPLES_FOLDER / "cloud-run-service.json").read_text())
    return {"finding": {**content["finding"], **changes}, "resource": content["resource"]}


def workload(**changes: Any) -> Workload:
    """The service that the sample finding is about."""
    default = Workload(
        kind=Kind.SERVICE,
        location="europe-west1",
        name="storefront",
        project_id="example-shop-prod",
        project_number="210987654321",
        folders=("345678901234",),
    )
    return replace(default, **changes)


def template(**changes: Any) -> Template:
    """What the service runs."""
    default = Template(
        revision="storefront-00042",
        create_time=NOW - timedelta(days=4),
        ready=True,
        containers=(
            ContainerConfiguration("storefront-1", "registry.example/storefront", ("MODE",)),
        ),
        service_account="storefront@example-shop-prod.iam.gserviceaccount.com",
        secret_names=("db-password",),
        volumes=(),
        timeout_s=300,
        session_affinity=False,
        creator="ci@example.com",
        secrets=(Secret("MODE", "planted-value"),),
    )
    return replace(default, **changes)


def configuration(
    scaling: Json = None, traffic: Json = None, **changes: Any
) -> WorkloadConfiguration:
    """The service's settings; ``scaling`` and ``traffic`` as the API prints them, if at all."""
    written = {"ingress": "INGRESS_TRAFFIC_ALL", "scaling": scaling, "traffic": traffic}
    default = WorkloadConfiguration(
        name=SERVICE,
        uid=UID,
        generation=7,
        observed_generation=7,
        reconciling=False,
        fields={name: value for name, value in written.items() if value is not None},
        live_tags=(),
        labels={"env": "prod"},
        annotations={},
        template=template(revision=""),
        latest_ready_revision="storefront-00042",
        creator="ci@example.com",
        last_modifier="ci@example.com",
        update_time=NOW - timedelta(days=1),
        uri="https://storefront.example.run.app",
        condition="CONDITION_SUCCEEDED",
    )
    return replace(default, **changes)


def configuration_after(change: Change, to: WorkloadConfiguration) -> WorkloadConfiguration:
    """Settings as they are once a masked write has taken effect."""
    return replace(to, fields={**to.fields, **change.after}, generation=to.generation + 1)


def scale_to_zero_change(of: WorkloadConfiguration | None = None) -> Change:
    """The change that stops a service."""
    (change,) = plan_changes(
        SCALE_TO_ZERO_STEPS, of or configuration({"minInstanceCount": 2}), finding()
    ).changes
    return change


def evidence(**changes: Any) -> Evidence:
    """A confirmed finding with the service's settings."""
    return replace(Evidence(finding(), confirmed=True, configuration=configuration()), **changes)


def whole(listing: Listing[T] | None) -> tuple[T, ...]:
    """A list that was read to its end."""
    assert isinstance(listing, tuple)
    return listing


def folder_store(folder: Path, kind: type[Store] = Store) -> Store:
    """A store in a folder."""
    return kind(from_url(folder.as_uri(), mkdir=True), folder.as_uri())


def containment_records(store: Store, run: str = "run-1") -> ContainmentRecords:
    """The containments of the service in a store, as one run sees them."""
    return ContainmentRecords(store, workload(), run, fixed_now)


def record(number: int, kind: str, /, **body: Json) -> Record:
    """A record, written a second after the one before it."""
    at = NOW + timedelta(seconds=number)
    return Record(number, kind, at, "run-1", {"incident": "i-1", "finding": "f-1", **body})


def change_snapshot_json(change: Change) -> dict[str, Any]:
    """What the record of a before-image says of one change."""
    (part,) = snapshot_json(
        Snapshot(1, "", NOW, "", UID, 7, (SnapshotPart(change, change.before),))
    )["changes"]
    recorded: dict[str, Any] = part
    return recorded


def snapshot_record(number: int, change: Change, /, **body: Json) -> Record:
    """The record of a before-image."""
    recorded: dict[str, Json] = {
        "uid": UID,
        "generation": 7,
        "changes": [change_snapshot_json(change)],
    }
    return record(number, "snapshot", **{**recorded, **body})


def record_kinds(records: Sequence[Record]) -> list[str]:
    """What records tell, in order."""
    return [record.kind for record in records]
