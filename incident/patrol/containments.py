"""Reconcile one containment: detect drift, attribute it, re-apply, update its incidents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from incident.actions.changes import redact_change, with_state
from incident.actions.masked_changes import actions_behind, unreached_goals, why_not_in_effect
from incident.case_file.containments import Containment, containment_from_records
from incident.case_file.journal import Record
from incident.case_file.paths import (
    containment_folder,
    parse_containments_folder,
    reapplications_folder,
)
from incident.containment.undo import undo_write
from incident.model import ChangeState, IncidentError, JsonObject, Workload
from incident.model.json_text import time_text
from incident.patrol import update_incidents
from incident.patrol.checked_containment import CheckedContainment, CheckState, ContainmentCheck
from incident.patrol.context import PatrolContext
from incident.patrol.drift import (
    RecordNames,
    changes_with_state,
    containment_record_names,
    is_stopped_without_change,
    record_reference,
)
from incident.patrol.reapply import ReapplyResult, reapply
from incident.patrol.reverted import record_deletion, record_reversion
from incident.patrol.unfinished import INACTIVITY_LIMIT
from incident.patrol.walk import WalkedFolder
from incident.policy.resolve import Policy

#: No response takes longer; a younger one may still be running.
_RESPONSE_TIME_LIMIT = timedelta(minutes=5)


#: Records of a write and of what reading it back showed.
_WRITE_STATES = frozenset({"written", "verified", "unverified"})


class ContainmentReconciler:
    """Reconciles containments, one at a time."""

    def __init__(self, context: PatrolContext, may_write: Callable[[], bool]) -> None:
        """Reconcile in one round; ``may_write`` says whether time is left for a write."""
        self._context = context
        self._process = context.process
        self._may_write = may_write

    def needs_check(self, folder: WalkedFolder) -> bool:
        """Whether a containment may be in effect there, by the names of its records."""
        names = containment_record_names(folder.paths)
        return names is not None and (not names.ended or names.written_after_release)

    async def reconcile(self, folder: WalkedFolder) -> ContainmentCheck | None:
        """Check a workload's newest containment; None where none is in effect.

        Raises:
            Retry: Transient; the next round checks it again.
            GiveUp: The workload or the records cannot be read.
        """
        workload = parse_containments_folder(folder.folder)
        names = containment_record_names(folder.paths)
        if workload is None or names is None:
            return None
        journal = self._process.journal(containment_folder(workload, names.number))
        records = await journal.records()
        containment = containment_from_records(journal.folder, names.number, records)
        if containment.released or containment.releasing:
            return await self._on_released(workload, containment, names)
        snapshot = containment.written_snapshot
        if snapshot is None or self._in_progress(containment):
            return self._on_attempt_open(workload, containment, records)
        redactor_of = self._process.workload_redactor
        checked = CheckedContainment(workload, journal, records, containment, snapshot, redactor_of)
        return await self._reconcile_state(
            await checked.with_current_workload(self._process.cloud_run)
        )

    async def _reconcile_state(self, checked: CheckedContainment) -> ContainmentCheck | None:
        if checked.deleted:
            return await self._on_deleted(checked)
        assert checked.configuration is not None  # noqa: S101 - it is not gone
        if checked.drift:
            return await self._on_reverted(checked)
        why = next(
            filter(
                None,
                (why_not_in_effect(c, checked.configuration) for c in checked.snapshot.changes),
            ),
            None,
        )
        if why is None:
            return await self._on_in_effect(checked)
        # A deployment that rolls out over a containment which was verified leaves it in effect.
        rolling = checked.configuration.observed_generation < checked.configuration.generation
        verified_before = (
            checked.recorded_state.state_record is not None
            and checked.recorded_state.state_record.kind == "verified"
        )
        return checked.as_check(
            CheckState.IN_EFFECT if verified_before and rolling else CheckState.PENDING, why
        )

    async def _on_in_effect(self, checked: CheckedContainment) -> ContainmentCheck:
        """It is in effect: recorded only if the newest record says otherwise."""
        state_record, state = checked.recorded_state.state_record, CheckState.IN_EFFECT
        if state_record is None or state_record.kind != "verified":
            body: JsonObject = {"snapshot": checked.snapshot.number, "by": "patrol"}
            await checked.add_record("verified", body)
            state = CheckState.VERIFIED
            checked = await checked.reload(self._process.cloud_run)
        await self._update_incidents(checked, "the patrol has seen the containment in effect")
        return checked.as_check(state)

    async def _on_reverted(self, checked: CheckedContainment) -> ContainmentCheck:
        """It was reverted: record by whom, update the incidents, re-apply it if the policy asks."""
        attribution = await record_reversion(checked, self._context)
        checked = await checked.reload(self._process.cloud_run)
        if checked.deleted:
            return await self._on_deleted(checked)
        if not checked.drift:
            return await self._on_in_effect(checked)
        await self._update_incidents(checked, f"the containment was undone{attribution.clause}")
        reapplied = await self._reapply(checked)
        if reapplied.undone_for_release:
            return checked.as_check(CheckState.UNDONE_FOR_RELEASE, reapplied.text, attribution)
        if reapplied.status is None:
            return checked.as_check(CheckState.REVERTED, reapplied.text, attribution)
        after = await checked.reload(self._process.cloud_run)
        if after.deleted or after.drift:
            return after.as_check(CheckState.REVERTED, reapplied.text, attribution)
        await self._update_incidents(after, "the patrol has applied the containment again")
        check = checked.as_check(CheckState.REAPPLIED, reapplied.text, attribution)
        return replace(check, incidents=tuple(sorted(after.containment.incidents)))

    async def _on_deleted(self, checked: CheckedContainment) -> ContainmentCheck:
        """The workload was deleted: record it; alarm if another one has its name."""
        attribution, replacement_uid = (
            await record_deletion(checked, self._context),
            checked.replacement_uid,
        )
        text = "the workload was deleted"
        if replacement_uid:
            another = "Another one has its name, which is not contained"
            text = "the workload was deleted, and another one has its name: it is not contained"
            redactor = checked.redactor
            reason = redactor.text(f"the workload was deleted{attribution.clause}. {another}")
            for incident in sorted(checked.containment.incidents):
                unverified = (
                    with_state(c, ChangeState.UNVERIFIED, text) for c in checked.snapshot.changes
                )
                changes = tuple(redact_change(change, redactor) for change in unverified)
                await update_incidents.update_incident(
                    self._context, incident, changes, reason, redactor
                )
        return replace(
            checked.as_check(CheckState.DELETED, text, attribution),
            urgent=replacement_uid is not None,
        )

    async def _on_released(
        self, workload: Workload, containment: Containment, names: RecordNames
    ) -> ContainmentCheck | None:
        """Leave a released containment alone, but undo a patrol's own write that came after it."""
        snapshot = containment.written_snapshot
        if names.written_after_release and snapshot:
            reapplications = self._process.journal(reapplications_folder(containment.folder))
            if snapshot.run_id in {
                reapplication.run_id for reapplication in await reapplications.records()
            }:
                containment_records = self._process.containments(workload)
                text = await undo_write(
                    containment, snapshot, containment_records, self._process.cloud_run
                )
                where, folder = workload.resource_name, containment.folder
                return ContainmentCheck(
                    CheckState.UNDONE_FOR_RELEASE, where, folder, note=f"the patrol {text}"
                )
        if containment.released:
            return None
        return await self._on_release_in_progress(workload, containment)

    async def _on_release_in_progress(
        self, workload: Workload, containment: Containment
    ) -> ContainmentCheck:
        """Leave a release in progress alone; alarm if it takes too long: it stops the checks."""
        records = await self._process.journal(containment.folder).records()
        started = [record.recorded_at for record in records if record.kind == "release-started"]
        stuck = bool(started) and self._process.clock() - max(started) > _RESPONSE_TIME_LIMIT
        text = "a person is releasing it, or began to"
        if stuck:
            text = (
                f"a release was begun at {max(started).isoformat()} and not ended: nobody"
                " checks it until it is. Check the workload, and release it again"
            )
        return ContainmentCheck(
            state=CheckState.RELEASING,
            workload=workload.resource_name,
            containment=containment.folder,
            incidents=tuple(sorted(containment.incidents)),
            note=text,
            urgent=stuck,
        )

    def _on_attempt_open(
        self, workload: Workload, containment: Containment, records: tuple[Record, ...]
    ) -> ContainmentCheck | None:
        """A write whose result is not recorded: somebody is at work, or was interrupted."""
        pending = containment.pending_snapshot
        began = pending.recorded_at if pending else containment.written_at
        kinds = [each.kind for each in records if each.kind in _WRITE_STATES]
        if began is None or (pending is None and kinds[-1:] != ["written"]):
            return None
        incident = pending.incident if pending else ", ".join(sorted(containment.incidents))
        stuck = self._process.clock() - began > INACTIVITY_LIMIT
        return ContainmentCheck(
            state=CheckState.ATTEMPT_OPEN,
            workload=workload.resource_name,
            containment=containment.folder,
            incidents=tuple(sorted(containment.incidents)),
            note=(
                f"a write for {incident} was begun at {time_text(began)} and has no recorded"
                " result: the workload may be changed. If nobody is working on it, run"
                f" `cloud-run-responder show {incident}`, then approve, contain or release it"
            ),
            urgent=stuck,
        )

    async def _reapply(self, checked: CheckedContainment) -> ReapplyResult:
        policy = self._context.policy
        if not isinstance(policy, Policy):
            return ReapplyResult(None, "the policy cannot be read: the patrol only reports")
        if not self._may_write():
            return ReapplyResult(None, "no time is left in this round; the next one goes on")
        limit = policy.reapply_limit
        try:
            return await reapply(self._process, checked.containment, checked.snapshot, limit)
        except IncidentError as error:
            return ReapplyResult(None, self._context.redact(error))

    async def _update_incidents(self, checked: CheckedContainment, reason: str) -> None:
        """Update every incident with the containment's current state, if that is new."""
        state_record = checked.recorded_state.state_record
        if (
            checked.recorded_state.incidents_updated
            or checked.configuration is None
            or state_record is None
        ):
            return
        redactor = checked.redactor
        drift = [one.redacted(redactor) for one in checked.drift]
        unreached = unreached_goals(actions_behind(checked.snapshot.changes), checked.configuration)
        current_changes = changes_with_state(checked.snapshot, checked.configuration, drift)
        changes, reason = (
            tuple(redact_change(change, redactor) for change in current_changes),
            redactor.text(reason),
        )
        for incident in sorted(checked.containment.incidents):
            await update_incidents.update_incident(
                self._context,
                incident,
                changes,
                reason,
                redactor,
                unreached=unreached,
                stopped=is_stopped_without_change(checked.snapshot) and not drift,
            )
        await checked.add_record(
            "incidents-updated", {"state_record": record_reference(state_record)}
        )

    def _in_progress(self, containment: Containment) -> bool:
        """Whether a response may be working on it right now."""
        pending, now = containment.pending_snapshot, self._process.clock()
        if pending and now - pending.recorded_at < _RESPONSE_TIME_LIMIT:
            return True
        written = containment.written_at
        recently_written = written is not None and now - written < _RESPONSE_TIME_LIMIT
        return recently_written and not containment.verified
