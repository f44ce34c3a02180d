"""``release``: take a containment back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import click
from rich.console import Console
from rich.text import Text

from clients import Clients, read_settings
from clients.identity import whoami
from commands.progress import paused
from commands.saying import say, say_diff
from commands.sealing import say_sealed, seals_of
from commands.shared import as_json_option, print_json, run
from incident.actions.redacted import told as told_change
from incident.case_file.containments import Containment
from incident.case_file.index import DRILLS, Case, Cases
from incident.case_file.manifest_chain import close
from incident.case_file.recording_store import Witness
from incident.containment import release as releasing
from incident.containment import release_text as texts
from incident.decision.inputs import Books
from incident.model import (
    AuditEvent,
    Change,
    ChangeKind,
    GiveUp,
    IncidentError,
    Json,
    Status,
    Workload,
)
from incident.redaction.redactor import Redactor
from incident.report.outcome import refers, released
from incident.report.terminal import visible
from incident.response.update import carry_on
from wiring import outside_of, standing_of

_MARGIN = timedelta(minutes=1)
_MOST_EVENTS = 50
_TITLES = {ChangeKind.FIELDS: "settings", ChangeKind.IAM_POLICY: "IAM policy"}


@click.command()
@click.argument("incident")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also when somebody changed the same fields since.")
@as_json_option
def release(*, incident: str, yes: bool, force: bool, as_json: bool) -> None:
    """Take the containment of INCIDENT's workload back, field for field.

    Shows what will be written and asks; then writes, reads it back and records it. It ends the
    containment for every incident that refers to it. What cannot be taken back, cancelled
    executions, it names. It refuses when somebody changed the same fields since, and tells who.
    Releasing twice is harmless, and a release that was interrupted is finished by the next one.

    Exit status: 0 released, or nothing of ours holds it; 1 refused, failed, released in part
    only or not confirmed; 2 wrong use. With --json one object is printed in every one of these
    cases but the last, with what came of it as `result`.
    """
    told: dict[str, Json] = {"incident": incident, "result": "failed", "error": None}
    told["manifest_sha256"] = {}

    async def work(clients: Clients) -> None:
        try:
            # In JSON mode people read standard error, and only where they are asked.
            console = Console(stderr=as_json, quiet=as_json and yes, soft_wrap=True)
            await _Release(clients, incident, told, console).work(yes=yes, force=force)
        except click.Abort:
            told["result"] = "not-confirmed"
            raise

    try:
        run(work, failed=lambda error: told.update(error=error))
    finally:
        if as_json:
            print_json(told)


class _Release:
    """One run of the command: looks, shows, asks, releases, tells.

    Args:
        clients: The outside.
        incident: The incident's id.
        told: What is printed as JSON in the end, filled on the way.
        console: Where people read.
    """

    def __init__(
        self, clients: Clients, incident: str, told: dict[str, Json], console: Console
    ) -> None:
        self._clients = clients
        self._incident = incident
        self._told = told
        self._settings = read_settings()
        self._by = whoami(self._settings)
        self._seen = Witness(clients.store)
        self._books = Books(self._seen, f"cli {self._by}", lambda: datetime.now(UTC))
        self._console = console
        self._standing = standing_of(self._settings)

    async def work(self, *, yes: bool, force: bool) -> None:
        """Release it, or say why not.

        Raises:
            IncidentError: It is not released; the message says why and what to do.
            click.Abort: The person said no.
        """
        workload = await self._workload()
        plan = await self._plan(workload)
        ended = _ended(plan, self._incident)
        if plan.containment is None or ended:
            await self._nothing_left(plan, ended)
            return
        self._check_named(plan)
        with paused():
            self._show(plan)
        await self._check_differences(plan, force=force)
        if not yes:
            plan = await self._confirmed(plan)
        await self._carry_out(plan)

    async def _workload(self) -> Workload:
        workload = (await Cases(self._clients.store).one(self._incident)).workload
        if workload is None:
            raise GiveUp(f"cannot release incident {self._incident}: it names no workload")
        return workload

    async def _plan(self, workload: Workload) -> releasing.ReleasePlan:
        custody = self._books.custody(workload)
        plan = await releasing.plan_release(workload, custody, self._clients.run)
        self._told |= texts.told(plan, self._hide(plan))
        return plan

    def _hide(self, plan: releasing.ReleasePlan) -> Redactor:
        return self._standing.redactor_of(plan.workload, plan.settings)

    async def _nothing_left(self, plan: releasing.ReleasePlan, ended: Containment | None) -> None:
        """Nothing to write; incidents that were not told so yet are told now."""
        self._told |= {"result": "nothing-to-release", "changes": []}
        if ended:
            await self._mark(plan.workload, ended, self._hide(plan))
            self._told |= {"result": "released-before", "containment": ended.folder}
        said = f"nothing of ours holds {plan.workload.resource_name}"
        if ended and plan.containment:
            others = ", ".join(sorted(plan.containment.incidents))
            said = (
                f"the containment of {self._incident} was released before; what holds"
                f" {plan.workload.resource_name} now is that of {others}"
            )
        with paused():
            say(self._console, said)

    def _check_named(self, plan: releasing.ReleasePlan) -> None:
        """Only the containment that the incident refers to is released in its name."""
        current = plan.containment
        if current is None or self._incident in current.incidents:
            return
        self._told["result"] = "refused"
        holding = ", ".join(sorted(current.incidents))
        raise releasing.Refused(
            f"cannot release incident {self._incident}: what holds"
            f" {plan.workload.resource_name} now is the containment of {holding}. Release one of"
            " these if that is what you mean"
        )

    async def _check_differences(self, plan: releasing.ReleasePlan, *, force: bool) -> None:
        if not plan.differs:
            return
        hide = self._hide(plan)
        who = hide.text(texts.blame(plan, await self._audit(plan)))
        self._told["changed_by"] = who
        if not force:
            self._told["result"] = "refused"
            raise releasing.Refused(texts.explain(plan, who, hide))

    async def _confirmed(self, plan: releasing.ReleasePlan) -> releasing.ReleasePlan:
        """The plan as it is when the answer is given, if it still is the one that was shown."""
        with paused():
            click.confirm("Release it?", abort=True, err=True)
        now = await self._plan(plan.workload)
        image, shown = now.image, plan.image
        same = image and shown and image.number == shown.number
        if same and (now.changes, now.differs) == (plan.changes, plan.differs):
            return now
        self._told["result"] = "refused"
        raise releasing.Refused(
            f"cannot release {plan.workload.resource_name}: it changed while you were asked. Look"
            " at the difference again"
        )

    async def _carry_out(self, plan: releasing.ReleasePlan) -> None:
        custody = self._books.custody(plan.workload)
        hide = self._hide(plan)
        given = releasing.Given(self._by, self._settings.verify_timeout, hide)
        try:
            changes = await releasing.carry_out(plan, custody, self._clients.run, given)
        except releasing.Halted as error:
            self._told |= texts.told(plan, hide, error.changes)
            raise
        self._told |= {**texts.told(plan, hide, changes), "result": "released", "by": self._by}
        # Read again: an incident may have joined while it was released.
        for ended in (await custody.history()).containments:
            if plan.containment and ended.number == plan.containment.number:
                await self._mark(plan.workload, ended, hide)
        name = plan.workload.resource_name
        done = Text(f"released {name}, read back as it was before", style="green")
        with paused():
            Console(stderr=True, soft_wrap=True).print(done)
            self._say_changes(told_change(change, hide) for change in changes)
            self._say_lost(plan)

    async def _mark(self, workload: Workload, ended: Containment, hide: Redactor) -> None:
        """Carry every incident of a containment on as released, each once.

        What else is to be done about an incident that is released belongs here.
        """
        lost = [texts.irreparable(change, workload) for change in ended.irreversible]
        for name in sorted(ended.incidents):
            case = await Cases(self._clients.store).one(name)
            if case.folder.startswith(f"{DRILLS}/"):
                await self._end_drill(case)
                continue
            if case.concluded and refers(case.concluded):
                told = released(case.concluded, self._by, lost)
                before = told.get("gaps")
                known = before if isinstance(before, list) else []
                outside = outside_of(self._clients)
                after = await carry_on(case.folder, told, self._books, outside, hide)
                now = after.get("gaps")
                with paused():
                    for gap in now[len(known) :] if isinstance(now, list) else ():
                        reason = visible(gap["reason"])
                        click.echo(f"Warning: {gap['collector']}: {reason}", err=True)
        self._told["manifest_sha256"] = seals_of(self._seen)
        with paused():
            say_sealed(Console(stderr=True), self._seen)

    async def _end_drill(self, case: Case) -> None:
        """A drill that was interrupted is over; nobody was told of it, and nobody is now."""
        if case.status != Status.RELEASED:
            ended = {**(case.outcome or {}), "incident": case.incident, "status": "released"}
            file = await self._books.case(case.folder)
            await file.follow("released", {"outcome": ended, "by": self._by})
            await close(self._seen, case.folder)

    async def _audit(self, plan: releasing.ReleasePlan) -> tuple[AuditEvent, ...]:
        """Who changed it since; without an answer nobody is named, and that is all."""
        now = datetime.now(UTC)
        since = (texts.contained_at(plan) or now) - _MARGIN
        until = max(now, since) + _MARGIN
        try:
            return await self._clients.logging.audit(
                plan.workload, since, until, limit=_MOST_EVENTS
            )
        except IncidentError:
            return ()

    def _show(self, plan: releasing.ReleasePlan) -> None:
        """What would be written, what somebody changed since, and what stays lost."""
        console, hide = self._console, self._hide(plan)
        if plan.containment:
            say(console, f"{plan.workload.resource_name}, held by {plan.containment.folder}")
        if not plan.changes:
            say(console, "all is as it was before already; only the record is missing")
        for change in plan.changes:
            say(console, f"{_TITLES[change.kind]} of {change.target}:", "bold")
            say_diff(console, told_change(change, hide))
        self._say_lost(plan)

    def _say_lost(self, plan: releasing.ReleasePlan) -> None:
        for change in plan.lost:
            said = f"not restored: {texts.irreparable(change, plan.workload)}"
            say(self._console, said, "yellow")

    def _say_changes(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.error:
                say(self._console, f"{_TITLES[change.kind]}: {change.error}", "yellow")


def _ended(plan: releasing.ReleasePlan, incident: str) -> Containment | None:
    """The containment of an incident that was taken back already, if it has no other by now."""
    held = plan.containment.incidents if plan.containment else frozenset()
    past = [each for each in plan.history.containments if each.released]
    found = [each for each in past if incident in each.incidents and incident not in held]
    return found[-1] if found else None
