"""``release``: undo a containment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import click
from rich.console import Console
from rich.text import Text

from clients import Clients, read_settings
from commands.confirmation import release_question, workload_text
from commands.console import print_diff, print_line, write_and_print_manifest
from commands.interrupt import Interrupted, WriteAttempt, confirm
from commands.progress import progress_paused
from commands.shared import as_json_option, operator_email, print_json, run_with_clients
from incident.actions.changes import redact_change
from incident.case_file.containments import Containment
from incident.case_file.index import CaseFileIndex, CaseSummary
from incident.case_file.manifest import RecordingStore
from incident.case_file.paths import DRILLS, parse_case_file_path
from incident.containment import release as releasing
from incident.containment import release_text as texts
from incident.model import (
    AuditEvent,
    Change,
    ChangeKind,
    GiveUp,
    IncidentError,
    Json,
    Status,
    Workload,
    found_in,
)
from incident.model.outcome import Outcome
from incident.redaction.redactor import Redactor
from incident.report.outcome_updates import has_active_containment, released_outcome
from incident.report.terminal import escape_unprintable
from incident.response.publish import publish
from wiring import build_process

_MARGIN = timedelta(minutes=1)
_MOST_EVENTS = 50
_TITLES = {
    ChangeKind.FIELDS: "settings",
    ChangeKind.IAM_POLICY: "IAM policy",
    ChangeKind.SERVICE_ACCOUNT: "service account",
}


@click.command()
@click.argument("incident")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--force",
    is_flag=True,
    help="Also when somebody changed the same fields since, or Google refuses some of them.",
)
@click.option(
    "--now",
    is_flag=True,
    help="Also within an hour of disabling the service account: stolen tokens work again.",
)
@as_json_option
def release(*, incident: str, yes: bool, force: bool, now: bool, as_json: bool) -> None:
    """Release INCIDENT's workload: undo its containment, field for field.

    Shows what will be written and asks; then writes, reads it back and records it. It ends the
    containment for every incident that refers to it. It names what cannot be restored: cancelled
    executions, and what does not exist any more, such as a revision or a member of the IAM
    policy that was deleted. The rest is restored. It refuses if somebody changed the same fields
    since, and names who did. A service account that the containment disabled is enabled last, and
    not before access tokens of that time have expired, an hour later: they would be accepted
    again. With --now it does not wait. Releasing twice is harmless, and an interrupted release is
    finished by the next one. With --force it overwrites what others changed, and leaves out what
    Google refuses.

    Exit status: 0 released, or not contained by the responder; 1 refused, failed, not confirmed,
    or released in part: `not_restored` names what does not exist any more or what Google refuses;
    2 wrong use. With --json one object is printed in each of these cases but the last, with
    `result`.
    """
    result: dict[str, Json] = {"incident": incident, "result": "failed", "error": None}
    result["manifest_sha256"] = None
    flags = f"{' --force' if force else ''}{' --now' if now else ''}"
    attempt = WriteAttempt(f"cloud-run-responder release {incident}{flags}")

    async def work(clients: Clients) -> None:
        try:
            # With --json the plan is shown on standard error, and only if a question follows.
            console = Console(stderr=as_json, quiet=as_json and yes, soft_wrap=True)
            command = _ReleaseCommand(clients, incident, result, console)
            await command.work(yes=yes, force=force, now=now)
        except click.Abort:
            result["result"] = "not-confirmed"
            raise
        except (asyncio.CancelledError, Interrupted):
            result["result"] = "interrupted"
            raise
        if result["result"] == "released":
            attempt.result = f"{incident} is released"

    try:
        run_with_clients(work, failed=lambda error: result.update(error=error), attempt=attempt)
    finally:
        if as_json:
            print_json(result)


class _ReleaseCommand:
    """One run of the command: read, show, ask, release, report.

    Args:
        clients: Clients of all services.
        incident: The incident's id.
        result: Printed as JSON at the end; filled step by step.
        console: Console that shows the plan.
    """

    def __init__(
        self, clients: Clients, incident: str, result: dict[str, Json], console: Console
    ) -> None:
        self._clients = clients
        self._incident = incident
        self._result = result
        self._settings = read_settings()
        self._by = operator_email(self._settings)
        self._store = RecordingStore(clients.store)
        self._console = console
        process = replace(build_process(self._settings, clients), store=self._store)
        self._process = process.for_run(f"cli {self._by}")
        self._category = ""

    async def work(self, *, yes: bool, force: bool, now: bool) -> None:
        """Release the containment.

        Raises:
            IncidentError: It was not released; the message says why and what to do.
            click.Abort: The operator declined.
        """
        workload = await self._workload()
        plan = await self._plan(workload)
        ended = _released_containment(plan, self._incident)
        if plan.containment is None or ended:
            await self._nothing_left(plan, ended)
            return
        self._check_named(plan)
        with progress_paused():
            self._print_plan(plan)
        await self._check_differences(plan, force=force)
        if not now:
            self._refuse_while_tokens_live(plan)
        if not yes:
            plan = await self._confirmed(plan)
        async with self._listing(plan.containment):
            await self._carry_out(plan, force=force, now=now)

    @contextlib.asynccontextmanager
    async def _listing(self, containment: Containment | None) -> AsyncIterator[None]:
        """List what is created meanwhile in a manifest of the containment, also after an error."""
        try:
            yield
        finally:
            if containment:
                with progress_paused():
                    self._result["manifest_sha256"] = await write_and_print_manifest(
                        self._store, containment.folder, Console(stderr=True)
                    )

    async def _workload(self) -> Workload:
        case = await CaseFileIndex(self._clients.store).get(self._incident)
        # A person may give the beginning of the id.
        self._incident = self._result["incident"] = case.incident
        finding = case.latest_outcome.finding if case.latest_outcome else None
        self._category = (finding.category if finding else None) or ""
        workload = case.workload
        if workload is None:
            raise GiveUp(f"cannot release incident {self._incident}: it names no workload")
        return workload

    async def _plan(self, workload: Workload) -> releasing.ReleasePlan:
        containment_records = self._process.containments(workload)
        cloud_run = self._clients.cloud_run
        plan = await releasing.plan_release(workload, containment_records, cloud_run)
        plan = await releasing.validated_plan(plan, containment_records, cloud_run)
        self._result |= texts.release_json(plan, self._redactor(plan))
        return plan

    def _redactor(self, plan: releasing.ReleasePlan) -> Redactor:
        return self._process.workload_redactor(plan.workload, plan.configuration)

    async def _nothing_left(self, plan: releasing.ReleasePlan, ended: Containment | None) -> None:
        """Nothing to write; incidents that do not say so yet are updated now."""
        self._result |= {"result": "nothing-to-release", "changes": []}
        if ended:
            async with self._listing(ended):
                await self._update_incidents(plan.workload, ended, self._redactor(plan))
            self._result |= {"result": "released-before", "containment": ended.folder}
        name = workload_text(plan.workload)
        message = f"not contained by the responder; nothing to release: {name}"
        if ended and plan.containment:
            others = ", ".join(sorted(plan.containment.incidents))
            message = (
                f"the containment of {self._incident} was released before;"
                f" {name} is contained for {others} now"
            )
        with progress_paused():
            print_line(self._console, message)

    def _check_named(self, plan: releasing.ReleasePlan) -> None:
        """Only the containment that the incident refers to is released in its name."""
        current = plan.containment
        if current is None or self._incident in current.incidents:
            return
        self._result["result"] = "refused"
        holding = ", ".join(sorted(current.incidents))
        raise releasing.ReleaseRefused(
            f"cannot release incident {self._incident}: {workload_text(plan.workload)} is contained"
            f" for {holding} now. Release one of these if that is what you mean"
        )

    async def _check_differences(self, plan: releasing.ReleasePlan, *, force: bool) -> None:
        if not plan.differences:
            return
        redactor = self._redactor(plan)
        who = redactor.text(texts.changed_by_text(plan, await self._audit(plan)))
        self._result["changed_by"] = who
        if not force:
            self._result["result"] = "refused"
            raise releasing.ReleaseRefused(texts.release_refusal_text(plan, who, redactor))

    def _refuse_while_tokens_live(self, plan: releasing.ReleasePlan) -> None:
        try:
            releasing.refuse_while_tokens_live(plan, self._process.clock())
        except releasing.ReleaseRefused:
            self._result["result"] = "refused"
            raise

    async def _confirmed(self, plan: releasing.ReleasePlan) -> releasing.ReleasePlan:
        """The plan as it is when the answer is given, if it still is the one that was shown."""
        cause = ", ".join(filter(None, (self._incident, self._category)))
        confirm(release_question(plan.changes, plan.workload, self._by, cause))
        now = await self._plan(plan.workload)
        snapshot, shown = now.snapshot, plan.snapshot
        same = snapshot and shown and snapshot.number == shown.number
        parts = ("changes", "differences", "not_restored")
        if same and all(getattr(now, part) == getattr(plan, part) for part in parts):
            return now
        self._result["result"] = "refused"
        raise releasing.ReleaseRefused(
            f"cannot release {plan.workload.resource_name}: it changed while you were asked."
            " Run release again and check the new difference"
        )

    async def _carry_out(self, plan: releasing.ReleasePlan, *, force: bool, now: bool) -> None:
        containment_records = self._process.containments(plan.workload)
        redactor = self._redactor(plan)
        options = releasing.ReleaseOptions(
            self._by, self._settings.verify_timeout, redactor, force=force, enable_now=now
        )
        try:
            done = await releasing.carry_out_release(
                plan, containment_records, self._clients.cloud_run, options
            )
        except releasing.ReleaseIncomplete as error:
            self._result |= texts.release_json(plan, redactor, error.changes)
            raise
        self._result |= {
            **texts.release_json(plan, redactor, done.changes, done.not_restored),
            "result": "released",
            "by": self._by,
        }
        # Read again: an incident may have joined during the release.
        for ended in (await containment_records.history()).containments:
            if plan.containment and ended.number == plan.containment.number:
                await self._update_incidents(plan.workload, ended, redactor)
        with progress_paused():
            self._print_errors(redact_change(change, redactor) for change in done.changes)
            self._print_not_restored(plan, done.not_restored)
        self._print_result(plan, done)

    def _print_result(self, plan: releasing.ReleasePlan, done: releasing.ReleaseResult) -> None:
        """Print that it is released.

        Raises:
            ReleasedInPart: Something was left out.
        """
        name = workload_text(plan.workload)
        if done.not_restored:
            reasons = "; ".join(part.reason for part in done.not_restored)
            raise releasing.ReleasedInPart(f"released {name} in part only: {reasons}")
        text = Text(f"Released and verified: {name} is as it was before", style="green")
        with progress_paused():
            Console(stderr=True, soft_wrap=True).print(text)

    async def _update_incidents(
        self, workload: Workload, ended: Containment, redactor: Redactor
    ) -> None:
        """Publish the outcome ``released`` for every incident of a containment, each once."""
        irreversible = ended.not_restored or [
            texts.irreversible_text(change, workload) for change in ended.irreversible_changes
        ]
        for name in sorted(ended.incidents):
            case = await CaseFileIndex(self._clients.store).get(name)
            path = parse_case_file_path(case.folder)
            if path and path.root == DRILLS:
                await self._close_drill(case)
                continue
            if case.latest_outcome and has_active_containment(case.latest_outcome):
                outcome = released_outcome(case.latest_outcome, self._by, irreversible)
                file = await self._process.case_file(case.folder)
                after = (await publish(self._process, file, outcome, redactor)).outcome
                with progress_paused():
                    for gap in after.gaps[len(outcome.gaps) :]:
                        reason = escape_unprintable(gap.reason)
                        click.echo(f"Warning: {gap.collector}: {reason}", err=True)

    async def _close_drill(self, case: CaseSummary) -> None:
        """Record the end of an interrupted drill; drills are not published."""
        if case.status != Status.RELEASED:
            before = case.outcome or Outcome(Status.RELEASED)
            ended = replace(before, incident=case.incident, status=Status.RELEASED)
            file = await self._process.case_file(case.folder)
            await file.add_later_record("released", {"outcome": ended.to_json(), "by": self._by})

    async def _audit(self, plan: releasing.ReleasePlan) -> tuple[AuditEvent, ...]:
        """Audit events since the snapshot; none if Cloud Logging does not answer."""
        now = datetime.now(UTC)
        since = (texts.snapshot_taken_at(plan) or now) - _MARGIN
        until = max(now, since) + _MARGIN
        try:
            return found_in(
                await self._clients.logging.audit(plan.workload, since, until, limit=_MOST_EVENTS)
            )
        except IncidentError:
            return ()

    def _print_plan(self, plan: releasing.ReleasePlan) -> None:
        """Print what will be written and what cannot be undone."""
        console, redactor = self._console, self._redactor(plan)
        if plan.containment:
            print_line(
                console, f"{workload_text(plan.workload)}, contained by {plan.containment.folder}"
            )
        if not plan.changes:
            print_line(console, "everything is as before already; only the record is missing")
        for change in plan.changes:
            print_line(console, f"{_TITLES[change.kind]} of {change.target}:", "bold")
            print_diff(console, redact_change(change, redactor))
        self._print_not_restored(plan, plan.not_restored)
        if plan.old_tokens_until:
            message = texts.old_tokens_text(plan.old_tokens_until)
            print_line(console, message[0].upper() + message[1:], "yellow")
        if plan.refusal:
            message = f"Google refuses to validate this: {redactor.text(plan.refusal)}"
            print_line(console, message, "yellow")

    def _print_not_restored(
        self, plan: releasing.ReleasePlan, parts: Iterable[releasing.NotRestored]
    ) -> None:
        for text in texts.not_restored_texts(plan, parts, self._redactor(plan)):
            print_line(self._console, f"not restored: {text}", "yellow")

    def _print_errors(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.error:
                print_line(self._console, f"{_TITLES[change.kind]}: {change.error}", "yellow")


def _released_containment(plan: releasing.ReleasePlan, incident: str) -> Containment | None:
    """The released containment of an incident that is part of no current one."""
    current = plan.containment.incidents if plan.containment else frozenset()
    past = [each for each in plan.history.containments if each.released]
    found = [each for each in past if incident in each.incidents and incident not in current]
    return found[-1] if found else None
