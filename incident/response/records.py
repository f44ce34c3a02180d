"""Bodies of the records that a run adds to an incident's case file."""

from __future__ import annotations

from incident.actions.changes import redacted_json
from incident.containment.request_and_result import ContainmentResult
from incident.decision.assess import AssessedIncident
from incident.model import Finding, Json, JsonObject
from incident.model.json_text import time_text
from incident.redaction.redactor import Redactor


def received_record(claim: Finding) -> JsonObject:
    """Body of the first record: which finding was received."""
    return {
        "finding": claim.canonical_name,
        "event_time": time_text(claim.event_time),
        "workload": claim.workload.resource_name if claim.workload else None,
    }


def decision_record(assessed: AssessedIncident, redactor: Redactor) -> JsonObject:
    """Body of the ``decided`` record, written before the decision is carried out."""
    decision = assessed.decision
    changes: list[Json] = [redacted_json(change, redactor) for change in decision.changes]
    return {
        "verdict": decision.verdict.value,
        "mode": decision.mode.value,
        "rule": decision.rule,
        "reasons": [redactor.text(reason.text) for reason in decision.reasons],
        "changes": changes,
        # For `policy backtest`: what evidence and policy alone do not say.
        "ceiling": decision.ceiling.value,
        "blockers": [blocker.raised_by for blocker in decision.blockers],
    }


def containment_record(result: ContainmentResult, redactor: Redactor) -> JsonObject:
    """Body of the ``contained`` record: the changes and the state of each."""
    return {
        "status": result.status.value,
        "containment": result.containment_folder,
        "changes": [redacted_json(change, redactor) for change in result.changes],
    }
