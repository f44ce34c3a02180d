"""``drill``: contain and release a sandbox service."""

from __future__ import annotations

import sys
from dataclasses import replace

import click
from rich.console import Console

from clients import Clients, read_settings
from commands.console import print_diff, print_line, write_and_print_manifest
from commands.interrupt import WriteAttempt, prompt
from commands.progress import progress_paused
from commands.shared import as_json_option, operator_email, print_json, run_with_clients
from incident.actions.changes import redact_change
from incident.case_file.manifest import RecordingStore
from incident.containment.release import ReleaseRefused
from incident.decision.guards import Operator
from incident.model import Kind, Workload
from incident.notification.resource_names import parse_resource_name
from incident.readiness.drill import DrillReport, run_drill
from incident.readiness.drill_plan import DrillPlan, prepare_drill
from wiring import build_context, build_ports


@click.command()
@click.argument("service")
@click.option("--project", help="The project, where SERVICE is a short name.")
@click.option("--region", help="The region, where SERVICE is a short name.")
@click.option("--yes", is_flag=True, help="Do not ask for the service's name.")
@as_json_option
def drill(
    *,
    service: str,
    project: str | None,
    region: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Contain a sandbox service as enforcing would, verify, release it, and verify that.

    SERVICE is projects/P/locations/L/services/S, or a short name with --project and --region; it
    may be a worker pool as well. IT IS REALLY DOWN for some seconds. Everything is done with your
    own credentials: the snapshot, the write of the policy's actions, whatever its mode, the
    read-back, and the release. There is no finding: Security Command Center is not read, nothing
    is published, and no hourly slot is taken. Protected workloads are refused, and so are those
    that are contained already.

    It asks for the service's name first. If it is interrupted, `release` with the drill's id ends
    the containment. If a finding arrives meanwhile, the service stays contained.

    Exit status: 0 contained, verified, and every field as before; 1 refused, or anything
    else; 2 wrong use.
    """
    workload = _workload(service, project, region)
    attempt = WriteAttempt()
    report = run_with_clients(
        lambda clients: _drill(clients, workload, attempt, yes=yes), attempt=attempt, new_store=True
    )
    if as_json:
        print_json(report.json)
    else:
        _print_report(report)
    sys.exit(0 if report.passed else 1)


def _workload(service: str, project: str | None, region: str | None) -> Workload:
    """The workload that the arguments name.

    Raises:
        click.UsageError: They name none that a drill is possible on.
    """
    if "/" not in service:
        if not project or not region:
            raise click.UsageError("a short name needs --project and --region")
        service = f"projects/{project}/locations/{region}/services/{service}"
    elif project or region:
        raise click.UsageError("a full name needs neither --project nor --region")
    named = parse_resource_name(f"//run.googleapis.com/{service}")
    if named.workload is None or named.revision or named.execution:
        raise click.UsageError("expected projects/P/locations/L/services/S")
    if named.workload.kind is Kind.JOB:
        raise click.UsageError("a job's cancelled executions cannot be restored")
    return named.workload


async def _drill(
    clients: Clients, workload: Workload, attempt: WriteAttempt, *, yes: bool
) -> DrillReport:
    settings = read_settings()
    by = operator_email(settings)
    context = build_context(settings, Operator(by, is_person=True))
    store = RecordingStore(clients.store)
    ports = replace(build_ports(clients), store=store)
    console = Console(stderr=True)
    proposed = await prepare_drill(workload, context, ports, by)
    try:
        with progress_paused():
            _print_plan(proposed, console)
        if not yes:
            doing = f"Stop {workload.name} in {workload.project} as {by}?"
            if prompt(f"{doing} It will be offline. Type its name") != workload.name:
                raise ReleaseRefused(
                    f"cannot drill on {workload.resource_name}: that is not its name"
                )
            agreed = proposed
            await proposed.close()
            proposed = await prepare_drill(workload, context, ports, by)
            if proposed.changes != agreed.changes:
                raise ReleaseRefused(
                    f"cannot drill on {workload.resource_name}: it changed while you were asked"
                )
        notice = (
            f"drill {proposed.id}: if interrupted, run cloud-run-responder release {proposed.id}"
        )
        attempt.undo = f"cloud-run-responder release {proposed.id}"
        with progress_paused():
            print_line(console, notice, "bold yellow")
        try:
            report = await run_drill(proposed, lambda step: _print_step(console, step))
            if report.fully_released:
                attempt.result = f"drill {proposed.id} is over and the workload released"
            return report
        finally:
            with progress_paused():
                await write_and_print_manifest(store, proposed.case_file.folder, console)
    finally:
        await proposed.close()


def _print_step(console: Console, step: str) -> None:
    with progress_paused():
        print_line(console, step)


def _print_plan(plan: DrillPlan, console: Console) -> None:
    print_line(console, f"{plan.workload.resource_name}, as {plan.by}", "bold")
    for reason in plan.reasons:
        print_line(console, f"  {reason}")
    for change in plan.changes:
        print_line(console, f"{change.action} on {change.target}", "bold")
        print_diff(console, redact_change(change, plan.redactor))


def _print_report(report: DrillReport) -> None:
    console = Console(soft_wrap=True)
    for problem in report.problems:
        print_line(console, problem, "bold red")
    for name in report.differences:
        print_line(console, f"{name} is not as it was before", "bold red")
    if report.passed:
        took = report.steps[-1][1] / 1000 if report.steps else 0
        summary = f"drill {report.drill} passed: contained, verified, and as before in every field"
        print_line(console, f"{summary}, after {took:.1f} s", "green")
    else:
        print_line(console, f"drill {report.drill} failed", "bold red")
