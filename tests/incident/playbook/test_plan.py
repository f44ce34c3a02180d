"""The plan of an incident: the right next task for each status, few tasks, few words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from incident.actions.changes import with_state
from incident.decision.guards import GUARDS, containing_operator
from incident.model import (
    Access,
    Binding,
    Blocker,
    Change,
    ChangeKind,
    ChangeState,
    Container,
    Evidence,
    Execution,
    File,
    Gap,
    Kind,
    Status,
    Suspect,
    Volume,
)
from incident.model.outcome import Outcome, ReportedAssessment, ReportedBlocker
from incident.playbook.blockers import explain_blocker
from incident.playbook.plan import playbook_plan, with_updated_plan
from tests.support.constants import INCIDENT_ID
from tests.support.environment import responder_environment
from tests.support.model import (
    NOW,
    configuration,
    evidence,
    finding,
    scale_to_zero_change,
    template,
    workload,
)
from tests.support.playbook import (
    PLACE,
    facts_of,
    outcome_of,
    plan,
    plan_commands,
    task_commands,
    task_text,
)

VERIFIED = ChangeState.VERIFIED
_NO_PLAN = {Status.IGNORED, Status.MALFORMED, Status.DUPLICATE}
_STATUSES = [each for each in Status if each not in _NO_PLAN]
_MAY_RUN = [
    Status.PLANNED,
    Status.HELD,
    Status.AWAITING_APPROVAL,
    Status.FAILED,
    Status.RESTRICTED,
    Status.UNVERIFIED,
    Status.EXPIRED,
]
_AFTER_STOP = [
    *("notify", "false-positive", "rotate-secrets", "disable-identity", "save-logs"),
    *("root-cause", "rebuild", "close"),
]
_MOST_TASKS, _MOST_WORDS = 10, 450


def evidence_of(kind: Kind = Kind.SERVICE, **changes: Any) -> Evidence:
    """Evidence on a workload of a kind."""
    ran = {"execution": "storefront-abcde", "revision": None} if kind is Kind.JOB else {}
    this = finding(workload=workload(kind=kind), **ran)
    return evidence(finding=this, configuration=configuration(kind=kind), **changes)


def in_two_regions() -> Evidence:
    """Evidence on a multi-region service."""
    return evidence(configuration=configuration(regions=("europe-west1", "us-central1")))


def test_a_contained_incident_leaves_eight_tasks() -> None:
    """Owners first, the finding last."""
    assert list(plan(Status.CONTAINED)) == _AFTER_STOP


@pytest.mark.parametrize("status", _MAY_RUN)
def test_what_may_run_is_stopped_before_anything_is_rotated(status: Status) -> None:
    """A running attacker would read a new secret version and get a new token."""
    tasks = plan(status)
    assert [*tasks][2:] == _AFTER_STOP
    assert {*[*tasks][:2]} == {"stop", "copy-evidence"}
    for name in ("rotate-secrets", "disable-identity"):
        assert tasks[name].why.startswith("Not before it is stopped")


@pytest.mark.parametrize("status", _STATUSES)
@pytest.mark.parametrize("kind", list(Kind))
def test_no_incident_has_more_than_ten_tasks(status: Status, kind: Kind) -> None:
    """Each with a title, what to do and why, and unlike any other."""
    denied = "cannot read it: permission run.services.get is missing"
    gaps = tuple(Gap(name, denied) for name in ("settings", "access", "audit-log"))
    blind = Evidence(evidence_of(kind).finding, confirmed=True, gaps=gaps)
    for of in (evidence_of(kind), blind, in_two_regions()):
        tasks = plan(status, of)
        assert 1 <= len(tasks) <= _MOST_TASKS
        for task in tasks.values():
            assert all((task.title, task.text, task.why))
            assert "  " not in task_text(task)


async def test_the_plan_of_the_sample_is_short(tmp_path: Path) -> None:
    """Eight tasks of at most 450 words without commands, folded ones included."""
    async with responder_environment(tmp_path) as env:
        outcome = (await env.deliver()).outcome
    assessment = outcome.assessment
    assert assessment
    tasks = assessment.playbook.people
    assert [task.id for task in tasks] == _AFTER_STOP
    assert sum(len(task_text(task).split()) for task in tasks) <= _MOST_WORDS


@pytest.mark.parametrize(
    ("status", "command"),
    [
        (Status.AWAITING_APPROVAL, "approve {}"),
        (Status.RESTRICTED, "contain {} --action scale-to-zero"),
        (Status.UNVERIFIED, "contain {}"),
        (Status.PLANNED, "contain {}"),
        (Status.HELD, "contain {} --action scale-to-zero"),
        (Status.FAILED, "contain {}"),
        (Status.EXPIRED, "contain {}"),
        (Status.RELEASED, "contain {}"),
    ],
)
def test_the_stop_task_has_the_right_command(status: Status, command: str) -> None:
    """The responder's command, and below it one that needs gcloud only."""
    stop = plan(status)["stop"]
    assert stop.command == f"cloud-run-responder {command.format(INCIDENT_ID)}"
    manual = [
        f"gcloud beta run services update storefront --scaling=0 {PLACE}",
        f"gcloud run services update-traffic storefront --clear-tags {PLACE}",
    ]
    listed = [each for each in task_commands(stop) if "--scaling" in each or "traffic" in each]
    assert listed == ([] if status is Status.RELEASED else manual)
    assert ("cannot undo it" in task_text(stop)) is (
        status not in (Status.UNVERIFIED, Status.RELEASED)
    )


def test_a_plan_without_a_change_that_stops_names_the_action() -> None:
    """Else `contain` would repeat what failed to stop the workload."""
    stop = plan(Status.FAILED, changes=())["stop"]
    assert str(stop.command).endswith(" --action scale-to-zero")


@pytest.mark.parametrize("status", _MAY_RUN)
def test_the_text_says_that_it_may_run(status: Status) -> None:
    """The first task on stopping says it in its text."""
    text = plan(status)["stop"].text
    assert "still run" in text or "not stopped" in text or "Nothing shows that" in text


def test_evidence_is_copied_before_it_is_destroyed() -> None:
    """First for what a person decides on; by a shell in the affected container."""
    sidecars = template(containers=(template().containers[0],) * 2)
    of = evidence(configuration=configuration(template=sidecars))
    for status in (Status.HELD, Status.AWAITING_APPROVAL, Status.RESTRICTED, Status.PLANNED):
        process = finding().main_process
        suspect = Suspect(process, File("/usr/bin/x y", None, partially_hashed=False))
        tasks = playbook_plan(outcome_of(status, of), facts_of(of, suspect=suspect)).people
        copy = tasks[0]
        assert copy.id == "copy-evidence"
        assert "destroys the container" in copy.text
        shell = "gcloud beta run services ssh storefront"
        assert str(copy.command).startswith(f"{shell} --container=storefront-1 {PLACE}")
        assert task_commands(copy)[-2:] == ["base64 '/usr/bin/x y'", "base64 /proc/73/exe"]
    assert [*plan(Status.FAILED)][:2] == ["stop", "copy-evidence"]
    for done in (Status.CONTAINED, Status.RELEASED, Status.ALREADY_CONTAINED):
        assert "copy-evidence" not in plan(done)
    job = plan(Status.HELD, evidence_of(Kind.JOB))
    assert [*job][:2] == ["stop", "copy-evidence"]
    assert not any(" ssh " in command for command in plan_commands(job))


def test_nothing_tells_to_wait_for_a_time_that_may_have_passed() -> None:
    """The plan names the time until which requests could run; it is read at any time."""
    task = plan(Status.CONTAINED, drains_until=NOW)["rotate-secrets"]
    assert "could read secrets until 2026-10-02 08:14:12 UTC" in task.text
    assert "wait" not in task_text(task).lower()
    assert "in flight" not in plan(Status.CONTAINED)["rotate-secrets"].text


@pytest.mark.parametrize(
    ("raised_by", "policy", "expected", "command"),
    [
        ("policy", "file:///etc/p.yaml", "Fix", "cloud-run-responder policy check /etc/p.yaml"),
        ("protect", "gs://b/p.yaml", "(gs://b/p.yaml)", "gcloud storage cp gs://b/p.yaml"),
        ("protect", "", "RESPONDER_POLICY", ""),
        ("source", "-x", "whose source", ""),
        ("project_known", "p.yaml", "which project", "gcloud projects describe example-shop-prod"),
        *(
            (by, "p.yaml", "nothing lifts this", "")
            for by in ("route", "finding_consistent", "filed_in_own_project")
        ),
        ("anything", "p.yaml", "put right first", ""),
    ],
)
def test_a_contain_command_that_would_be_refused_is_not_suggested(
    raised_by: str, policy: str, expected: str, command: str
) -> None:
    """The task names the fix and the manual alternative instead."""
    fixed = explain_blocker(Blocker(raised_by, "because."), workload(), policy)
    blocker = ReportedBlocker(fixed.text, fixed.fix, fixed.command or None)
    tasks = plan(Status.HELD, blockers=(blocker,))
    stop = tasks["stop"]
    assert "would be refused: because. " in stop.text
    assert expected in stop.text
    assert str(stop.command or "").startswith(command)
    assert bool(stop.command) is bool(command)
    assert not any("cloud-run-responder contain" in each for each in plan_commands(tasks))
    manual = [each for each in task_commands(stop) if "--scaling=0" in each]
    assert manual == [f"gcloud beta run services update storefront --scaling=0 {PLACE}"]


def test_the_reason_of_a_hold_is_not_repeated() -> None:
    """Every reader has it as the decision's first reason."""
    held = outcome_of(Status.HELD, blockers=(ReportedBlocker("it is protected", "Ask"),))
    held = replace(held, decision=replace(held.decision, reasons=("it is protected.",)))
    (stop,) = (t for t in playbook_plan(held, facts_of()).people if t.id == "stop")
    assert "would be refused. Ask." in stop.text
    assert "protected" not in stop.text


def test_every_guard_that_binds_a_person_has_a_fix() -> None:
    """Each guard has a fix of its own; an unknown guard gets the default fix."""
    waived = containing_operator("").waived_guards
    names = {guard.__name__ for guard in GUARDS} - waived
    for name in names:
        assert (
            explain_blocker(Blocker(name, ""), workload(), "").fix
            != explain_blocker(Blocker("", ""), workload(), "").fix
        )


@pytest.mark.parametrize(
    ("kind", "commands"),
    [
        (
            Kind.JOB,
            [
                f"gcloud run jobs executions list --job=storefront {PLACE}",
                f"gcloud run jobs executions cancel storefront-abcde {PLACE}",
            ],
        ),
        (
            Kind.WORKER_POOL,
            [f"gcloud beta run worker-pools update storefront --scaling=0 {PLACE}"],
        ),
    ],
)
def test_each_kind_is_stopped_in_its_own_way(kind: Kind, commands: list[str]) -> None:
    """A job's executions are cancelled; a pool is scaled to zero."""
    tasks = plan(Status.HELD, evidence_of(kind))
    assert task_commands(tasks["stop"])[1:] == commands
    words = [command.split()[:4] for command in plan_commands(tasks)]
    assert not any("services" in each and "list" not in each for each in words)


@pytest.mark.parametrize("often_benign", [True, False])
def test_findings_that_are_often_benign_are_checked_first(*, often_benign: bool) -> None:
    """The responder's checks, and how to mute a false positive."""
    facts = facts_of(checks=("its parent.",), often_benign=often_benign)
    tasks = playbook_plan(outcome_of(Status.EXPIRED), facts).people
    order = [task.id for task in tasks]
    assert (order.index("false-positive") < order.index("stop")) is often_benign
    (check,) = (task for task in tasks if task.id == "false-positive")
    assert check.text.startswith("Check: its parent. False positive? Mute the finding")
    assert str(check.command).startswith("gcloud scc findings set-mute projects/")


@pytest.mark.parametrize("status", [Status.CONTAINED, Status.RESTRICTED, Status.UNVERIFIED])
def test_a_false_positive_is_released_at_once(status: Status) -> None:
    """While there is a containment that a release undoes."""
    change = (with_state(scale_to_zero_change(), VERIFIED),)
    task = plan(status, changes=change)["false-positive"]
    assert "Release it now" in task.text
    assert task.command == f"cloud-run-responder release {INCIDENT_ID}"
    irreversible = (replace(change[0], reversible=False),)
    assert "release" not in str(plan(status, changes=irreversible)["false-positive"].command)


@pytest.mark.parametrize(
    ("mask", "kind", "restored", "traffic"),
    [
        (("scaling", "traffic"), Kind.SERVICE, "its scaling and its traffic split", True),
        (("ingress",), Kind.SERVICE, "restores its ingress, and", False),
        (("scaling.manual_instance_count",), Kind.WORKER_POOL, "its number of instances", False),
        ((), Kind.JOB, "restores who may start it, and", False),
    ],
)
def test_the_release_describes_only_what_was_changed(
    mask: tuple[str, ...], kind: Kind, restored: str, *, traffic: bool
) -> None:
    """Without a traffic change no command sends traffic anywhere."""
    change = replace(with_state(scale_to_zero_change(), VERIFIED), mask=mask)
    change = replace(change, kind=change.kind if mask else ChangeKind.IAM_POLICY)
    tasks = plan(Status.CONTAINED, evidence_of(kind), changes=(change,))
    assert restored in tasks["close"].text
    assert any("--to-latest" in command for command in plan_commands(tasks)) is traffic
    assert ("scaling, traffic or ingress" in tasks["rebuild"].text) is (kind is Kind.SERVICE)


def test_what_was_stopped_manually_is_started_again() -> None:
    """In each way of its kind; a cancelled execution is not resumed."""
    for kind, flag in ((Kind.SERVICE, "FORMER_SCALING"), (Kind.WORKER_POOL, "FORMER_NUMBER")):
        commands = plan_commands(plan(Status.HELD, evidence_of(kind)))
        assert any(f"--scaling={flag}" in command for command in commands)
    job, execute = evidence_of(Kind.JOB), f"gcloud run jobs execute storefront {PLACE}"
    assert execute in plan_commands(plan(Status.HELD, job))
    cancelled = replace(
        with_state(scale_to_zero_change(), VERIFIED), kind=ChangeKind.CANCELLATION, mask=()
    )
    close = plan(Status.CONTAINED, job, changes=(cancelled,))["close"]
    assert execute in task_commands(close)
    assert "an execution is not resumed" in task_text(close)


def test_other_regions_are_stopped_too() -> None:
    """By a task of their own once the first is contained; else below the task that stops it."""
    update = "gcloud beta run services update storefront --scaling=0 --region=us-central1"
    contained = plan(Status.CONTAINED, in_two_regions())
    assert next(iter(contained)) == "stop"
    assert contained["stop"].title == "Stop it in us-central1 too"
    held = plan(Status.HELD, in_two_regions())
    for tasks in (contained, held):
        assert any(each.startswith(update) for each in task_commands(tasks["stop"]))
        assert any("FORMER_SCALING --region=us-c" in each for each in plan_commands(tasks))
    assert "also runs in us-central1" in held["stop"].text


def test_an_execution_that_ended_by_itself_was_stopped_by_nobody() -> None:
    """The task says how it ended; an unknown end is looked up."""
    over = Execution(
        name="x",
        short_name="storefront-abcde",
        create_time=NOW,
        start_time=NOW,
        completion_time=NOW,
        state="CONDITION_SUCCEEDED",
        reason="",
        tasks={},
        template=template(),
        creator="",
    )
    ended = evidence_of(Kind.JOB, executions=(over,))
    stop = plan(Status.ALREADY_CONTAINED, ended)["stop"]
    assert stop.text.startswith("Nobody stopped it: execution storefront-abcde succeeded on 2026-")
    assert stop.command == f"gcloud run jobs executions describe storefront-abcde {PLACE}"
    assert "Find out who" in plan(Status.ALREADY_CONTAINED, evidence_of(Kind.JOB))["stop"].text
    assert "Find out who" in plan(Status.ALREADY_CONTAINED)["stop"].text


def test_owners_are_named_by_address_only() -> None:
    """A contact that is no email address is left out; without any, gcloud lists the project's."""
    contacts = ("soc@example.com", "<script>x</script>", "a b@example.com", "\u202ex@example.com")
    named = plan(Status.HELD, evidence(finding=finding(contacts=contacts)))["notify"]
    assert named.text.startswith("Tell soc@example.com what happened")
    assert named.command is None
    unnamed = plan(Status.HELD, evidence(finding=finding(contacts=contacts[1:])))["notify"]
    assert str(unnamed.command).startswith("gcloud essential-contacts compute")


def test_every_possible_revision_is_shown_before_one_is_deleted() -> None:
    """A revision that serves, or is one of several, is not deleted."""
    idle = finding(revision="storefront-00041")
    delete = f"gcloud run revisions delete storefront-00041 {PLACE}"
    assert delete in plan_commands(plan(Status.HELD, evidence(finding=idle)))
    serving = configuration(live_revisions=("storefront-00041",))
    for of in (
        evidence(finding=idle, configuration=serving),
        evidence(finding=idle, configuration=None),
        evidence(revisions=(template(), template(revision="a")), configuration=serving),
    ):
        commands = plan_commands(plan(Status.CONTAINED, of))
        assert not any("revisions delete" in command for command in commands)
        assert f"gcloud run revisions list --service=storefront {PLACE}" in commands
    job = plan_commands(plan(Status.CONTAINED, evidence_of(Kind.JOB)))
    assert f"gcloud run jobs executions delete storefront-abcde {PLACE}" in job


def test_each_missing_evidence_is_named_with_a_command() -> None:
    """The task says why it is missing, and what shows it."""
    denied = "cannot read it: permission run.services.get is missing. Grant it"
    gaps = tuple(Gap(name, denied) for name in ("settings", "access", "audit-log"))
    blind = Evidence(finding(containers=()), confirmed=True, gaps=gaps)
    tasks = plan(Status.HELD, blind)
    describe = f"gcloud run services describe storefront {PLACE}"
    for name, command in (
        ("stop", describe),
        ("rotate-secrets", describe),
        ("disable-identity", describe),
        ("root-cause", "gcloud logging read "),
        ("root-cause", f"gcloud run services get-iam-policy storefront {PLACE}"),
    ):
        assert any(each.startswith(command) for each in task_commands(tasks[name]))
        assert "permission run.services.get is missing" in task_text(tasks[name])


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        ("Execution: Modified Malicious Binary Executed", "was changed while it ran"),
        ("Execution: Added Malicious Library Loaded", "was brought in while it ran"),
        ("Execution: Built in Malicious Binary Executed", "trust neither the image"),
        ("Reverse Shell", "its code, its build or its deployment"),
    ],
)
def test_the_finding_type_decides_whether_the_image_is_trusted(
    category: str, expected: str
) -> None:
    """A file changed at run time leaves a clean image; a built-in one does not."""
    of = evidence(finding=finding(category=category))
    assert expected in plan(Status.HELD, of)["root-cause"].text


def test_volumes_that_persist_are_searched() -> None:
    """A bucket has its command, whatever the spelling of its source."""
    for source in ("gcs://uploads", "gcs uploads"):
        what = template(revision="", volumes=(Volume("d", source, persists=True),))
        task = plan(Status.HELD, evidence(configuration=configuration(template=what)))["root-cause"]
        assert "gcloud storage ls 'gs://uploads/**' --long" in task_commands(task)
        assert "Files on gs://uploads outlive the instance" in task_text(task)
    share = template(revision="", volumes=(Volume("d", "nfs filer:/shop", persists=True),))
    task = plan(Status.HELD, evidence(configuration=configuration(template=share)))["root-cause"]
    assert "Files on the file share filer:/shop" in task_text(task)


def test_an_incident_without_a_workload_has_one_task() -> None:
    """Its finding's page says what it is about."""
    tasks = plan(Status.HELD, evidence(finding=finding(workload=None), configuration=None))
    assert [*tasks] == ["look"]
    assert str(tasks["look"].link).startswith("https://console.cloud.google.com/security/")


@pytest.mark.parametrize("status", _STATUSES)
def test_an_updated_plan_equals_a_fresh_one(status: Status) -> None:
    """The stored facts give, for the new status, what the evidence would give."""
    of = evidence(access=Access((Binding("roles/run.invoker", ("allUsers",), None),)))
    waiting = playbook_plan(outcome_of(Status.AWAITING_APPROVAL, of), facts_of(of))
    done = (replace(with_state(scale_to_zero_change(), VERIFIED), action="restrict-ingress"),)
    now = outcome_of(status, of, changes=done, drains_until=NOW)
    stored = Outcome.from_json(
        replace(now, assessment=ReportedAssessment(playbook=waiting)).to_json()
    )
    updated = with_updated_plan(stored).assessment
    assert updated
    assert updated.playbook == playbook_plan(now, facts_of(of))
    assert not any(
        "cloud-run-responder approve" in str(each.command) for each in updated.playbook.people
    ) or (status is Status.AWAITING_APPROVAL)


def test_an_outcome_without_a_plan_stays_as_it_is() -> None:
    """Such as the outcome of an incident without evidence."""
    for bare in (Outcome(Status.FAILED), Outcome(Status.HELD, assessment=ReportedAssessment())):
        assert with_updated_plan(bare) is bare


def _edited(state: ChangeState) -> tuple[Change, ...]:
    change = replace(scale_to_zero_change(), action="scale-to-zero+require-authentication")
    return (with_state(change, state),)


def test_what_a_verified_action_did_is_not_asked_for() -> None:
    """Requiring authentication removes plain bindings of invoking roles, and no others."""
    roles = (("roles/run.invoker", None), ("roles/run.invoker", "daily"), ("roles/run.admin", None))
    let_in = Access(tuple(Binding(role, ("allUsers",), only) for role, only in roles))
    of = evidence(access=let_in)
    removals = {
        state: [
            each
            for each in plan_commands(plan(Status.RESTRICTED, of, changes=_edited(state)))
            if "remove-iam" in each and "run services" in each
        ]
        for state in (ChangeState.PLANNED, VERIFIED)
    }
    verb = "gcloud run services remove-iam-policy-binding storefront --member=allUsers"
    admin = f"{verb} --role=roles/run.admin {PLACE}"
    assert removals[VERIFIED] == [admin]
    assert removals[ChangeState.PLANNED] == [
        admin,
        f"{verb} --role=roles/run.invoker {PLACE}",
    ]
    text = task_text(plan(Status.RESTRICTED, of, changes=_edited(VERIFIED))["root-cause"])
    assert "allUsers (roles/run.invoker under the condition “daily”): in the console" in text


def test_every_container_of_several_has_its_command() -> None:
    """Without a name, gcloud updates the container that has ports."""
    first = template().containers[0]
    two = (replace(first, name="app", image="gcr.io/p/app"), replace(first, name="side"))
    of = evidence(
        configuration=configuration(template=template(revision="", containers=two)),
        finding=finding(containers=(Container("side", "", None),)),
    )
    (update,) = task_commands(plan(Status.CONTAINED, of)["rebuild"])
    image = "--image=registry.example/storefront@sha256:NEW_DIGEST"
    assert update == f"gcloud run services update storefront {PLACE} --container=side {image}"
