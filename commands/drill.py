"""``drill``: contain and release a sandbox service."""

from __future__ import annotations

import sys
from dataclasses import replace

import click
from rich.console import Console

from clients import Clients, read_settings
from commands.confirmation import workload_text
from commands.console import print_diff, print_line, write_and_print_manifest
from commands.interrupt import WriteAttempt, prompt
from commands.progress import progress_paused
from commands.shared import as_json_option, operator_email, print_json, run_with_clients
from incident.actions.changes import redact_change
from incident.case_file.manifest import RecordingStore
from incident.model import Kind, Workload
from incident.notification.resource_names import parse_resource_name
from incident.readiness.drill import DrillReport, drill_request, run_drill
from incident.response.pipeline import Proposal, propose
from incident.response.refusals import RequestRefused
from wiring import build_process


@click.command()
@click.argument("service")
@click.option("--project", help="The project, where SERVICE is a short name.")
@click.option("--region", help="The region, where SERVICE is a short name.")
@click.option("--yes", is_flag=True, help="Do not ask for the service's name.")
@click.option(
    "--with-service-account",
    is_flag=True,
    help="Also disable its service account, if the policy does, and enable it again.",
)
@as_json_option
def drill(  # noqa: PLR0913 - one for each option
    *,
    service: str,
    project: str | None,
    region: str | None,
    yes: bool,
    with_service_account: bool,
    as_json: bool,
) -> None:
    """Contain a sandbox service as enforcing would, verify, release it, and verify that.

    SERVICE is projects/P/locations/L/services/S, or a short name with --project and --region; it
    may be a worker pool as well. IT IS REALLY DOWN for some seconds. Everything is done with your
    own credentials: the snapshot, the write of the policy's actions, whatever its mode, the
    read-back, and the release. There is no finding: Security Command Center is not read, nothing
    is published, and no hourly slot is taken. Protected workloads are refused, and so are those
    that are contained already. Its service account is disabled only with --with-service-account.

    It asks for the service's name first. If it is interrupted, `release` with the drill's id ends
    the containment. If a finding arrives meanwhile, the service stays contained.

    Exit status: 0 contained, verified, and every field as before; 1 refused, or anything
    else; 2 wrong use.
    """
    workload = _workload(service, project, region)
    attempt = WriteAttempt()
    report = run_with_clients(
        lambda clients: _drill(
            clients, workload, attempt, yes=yes, with_service_account=with_service_account
        ),
        attempt=attempt,
        new_store=True,
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
    clients: Clients,
    workload: Workload,
    attempt: WriteAttempt,
    *,
    yes: bool,
    with_service_account: bool,
) -> DrillReport:
    settings = read_settings()
    by = operator_email(settings)
    process = build_process(settings, clients, by_person=True)
    store = RecordingStore(process.store)
    process = replace(process, store=store)
    console = Console(stderr=True)
    request = await drill_request(process, workload, by, with_service_account=with_service_account)
    proposal = await propose(process, request)
    with progress_paused():
        _print_proposal(proposal, by, console)
    doing = f"Stop {workload.name} in {workload.project} as {by}? It will be offline."
    if not yes and prompt(f"{doing} Type its name") != workload.name:
        raise RequestRefused(f"cannot drill on {workload.resource_name}: that is not its name")
    name = request.incident
    notice = f"drill {name}: if interrupted, run cloud-run-responder release {name}"
    attempt.undo = f"cloud-run-responder release {name}"
    with progress_paused():
        print_line(console, notice, "bold yellow")
    try:
        report = await run_drill(
            process, request, proposal, lambda step: _print_step(console, step)
        )
        if report.fully_released:
            attempt.result = f"drill {name} is over and the workload released"
        return report
    finally:
        folder = proposal.inputs.incident_case_file.folder
        with progress_paused():
            await write_and_print_manifest(store, folder, console)


def _print_step(console: Console, step: str) -> None:
    with progress_paused():
        print_line(console, step)


def _print_proposal(proposal: Proposal, by: str, console: Console) -> None:
    print_line(console, f"{workload_text(proposal.inputs.workload)}, as {by}", "bold")
    for reason in proposal.reasons:
        print_line(console, f"  {reason}")
    for change in proposal.changes:
        print_line(console, f"{change.action} on {change.target}", "bold")
        print_diff(console, redact_change(change, proposal.redactor))


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
