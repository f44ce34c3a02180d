"""A plausible world around any notification, so that every finding can be tried at once.

Nothing is random: the same notification always lies in the same world. Names, addresses and
secrets are invented; what the notification tells is taken over.
"""

from __future__ import annotations

import datetime as dt

from emulator.world.surroundings import cloud_run_resources, listed_findings, log_entries
from emulator.world.surroundings import notification_fields as claims
from emulator.world.surroundings.notification_fields import JsonObject, NotificationFields

__all__ = ["event_time", "world_around"]


def world_around(notification: bytes, *, plausible_attack: bool = True) -> JsonObject:
    """A world in which a notification tells the truth, in the form that `world.parse` reads.

    It has the confirmed finding and, where that is about a service, job or worker pool of Cloud
    Run, the workload with its settings, access, logs and audit entries, and related findings.
    For what is not a notification it is an empty world.

    Args:
        notification: The message's data as it is delivered; may be anything.
        plausible_attack: Whether to invent traces of an attack as well: a verdict of VirusTotal,
            other findings, and what an attacker leaves in logs. Without it the world has only
            what the notification itself claims, and an ordinary workload.
    """
    fields = claims.read_notification(notification)
    if fields is None:
        return {}
    world: JsonObject = {
        "projects": [fields.project.to_json()] if fields.project else [],
        "findings": listed_findings.listed_findings(fields, with_related=plausible_attack),
        "virustotal": {
            digest: _virustotal_report(fields, digest)
            for digest in fields.hashes
            if plausible_attack
        },
    }
    if fields.workload is not None and fields.project is not None:
        world |= cloud_run_resources.workload_resources(fields, fields.workload, fields.project)
        world["logEntries"] = log_entries.workload_log_entries(
            fields, fields.workload, fields.project, plausible_attack=plausible_attack
        )
    return world


def event_time(notification: bytes) -> dt.datetime | None:
    """When the event of a notification was; None where it does not say so readably."""
    fields = claims.read_notification(notification)
    return fields.stated_event_time if fields else None


def _virustotal_report(fields: NotificationFields, digest: str) -> JsonObject:
    """What VirusTotal v3 answers about a file that most scanners know to be malicious."""
    stats = {
        "malicious": 58, "suspicious": 1, "undetected": 12, "harmless": 0,
        "timeout": 0, "confirmed-timeout": 0, "failure": 1, "type-unsupported": 4,
    }  # fmt: skip
    event_time = fields.event_time
    attributes = {
        "sha256": digest.lower(),
        "last_analysis_stats": stats,
        "first_submission_date": _days_before(event_time, days=41),
        "last_submission_date": _days_before(event_time, days=3),
        "last_analysis_date": _days_before(event_time, days=2),
        "popular_threat_classification": {"suggested_threat_label": "miner.example/sample"},
        "type_description": "ELF",
        "meaningful_name": "kworkerds",
        "names": ["kworkerds", "healthcheck", "sample.elf"],
        "tags": ["elf", "64bits", "upx"],
    }
    return {"data": {"id": digest.lower(), "type": "file", "attributes": attributes}}


def _days_before(moment: dt.datetime, *, days: int) -> int:
    """So many days before a moment, in seconds since 1970."""
    return int((moment - dt.timedelta(days=days)).timestamp())
