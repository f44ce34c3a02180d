"""The playbook: the right next task for each outcome, and commands that are safe to paste."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest

from incident.actions.changes import change_json, with_state
from incident.decision.guards import GUARDS, containing_operator
from incident.model import (
    Access,
    AuditEvent,
    Binding,
    Blocker,
    ChangeKind,
    ChangeState,
    Container,
    Evidence,
    Gap,
    Json,
    Kind,
    Mode,
    SecretUse,
    Status,
    TaskPurpose,
    Volume,
)
from incident.model.json_text import workload_json
from incident.playbook.inputs import explain_blocker
from incident.playbook.plan import (
    PlaybookInputs,
    automatic_tasks,
    people_tasks,
    task_json,
    with_updated_plan,
)
from tests.support.constants import INCIDENT_ID
from tests.support.model import (
    NOW,
    configuration,
    evidence,
    finding,
    scale_to_zero_change,
    template,
    workload,
)

VERIFIED = ChangeState.VERIFIED
_NO_PLAN = {Status.IGNORED, Status.MALFORMED, Status.DUPLICATE}
_CONTAINMENT_PARTS = {"stop", "wait", "no-attack", "give-back", "resume", "look"}
_HOSTILE = "x'; touch /tmp/owned; echo '"


def situation_of(status: Status, of: Evidence | None = None) -> PlaybookInputs:
    """Inputs of an incident with a status; with CONTAINED its change is verified."""
    state = ChangeState.VERIFIED if status is Status.CONTAINED else ChangeState.PLANNED
    change = with_state(scale_to_zero_change(), state)
    return PlaybookInputs(INCIDENT_ID, status, Mode.ENFORCE, of or evidence(), (change,))


def parts(status: Status, of: Evidence | None = None) -> list[str]:
    """The purposes of a playbook, each once, in order."""
    steps = people_tasks(situation_of(status, of))
    return list(dict.fromkeys(step.purpose.value for step in steps if step.purpose))


@pytest.mark.parametrize(
    "status",
    [
        Status.PLANNED,
        Status.HELD,
        Status.AWAITING_APPROVAL,
        Status.FAILED,
        Status.RESTRICTED,
        Status.UNVERIFIED,
        Status.EXPIRED,
    ],
)
def test_what_may_run_on_is_stopped_and_shut_before_anything_is_rotated(status: Status) -> None:
    """A running attacker would read a new secret version and get a new token."""
    result = parts(
        status, evidence(access=Access((Binding("roles/run.invoker", ("allUsers",), None),)))
    )
    way_out = "no-attack" if status in (Status.RESTRICTED, Status.UNVERIFIED) else "look"
    shut = ["ingress", "authentication"]
    assert result[:7] == ["stop", way_out, *shut, "tell", "rotate", "revoke"]
    (rotate,) = {
        step.reason
        for step in people_tasks(situation_of(status))
        if step.purpose is TaskPurpose.ROTATE
    } - {""}
    assert "not before it is stopped" in rotate


def test_after_containment_owners_are_informed_before_any_repair() -> None:
    """Owners see the outage and may report a false positive."""
    result = parts(Status.CONTAINED)
    assert result[:4] == ["tell", "no-attack", "rotate", "revoke"]
    assert result.index("rebuild") < result.index("ingress") < result.index("give-back")
    assert result.index("give-back") < result.index("open") < result.index("delete")
    assert result[-1] == "close"


def test_nothing_is_rotated_while_requests_in_flight_may_read_it() -> None:
    """The first task names the time until which requests may run."""
    drains = replace(situation_of(Status.CONTAINED), drains_until=NOW)
    first, second = people_tasks(drains)[:2]
    assert first.purpose is TaskPurpose.WAIT
    assert "2026-10-02 08:14:12 UTC" in first.text
    assert second.purpose is TaskPurpose.NOTIFY


@pytest.mark.parametrize("status", [each for each in Status if each not in _NO_PLAN])
def test_every_part_gives_its_reason_once(status: Status) -> None:
    """The first task of each purpose has a reason; every order has every purpose."""
    open_wide = Access((Binding("roles/run.invoker", ("allUsers",), None),))
    what = template(volumes=(Volume("d", "gcs b", persists=True),))
    steps = people_tasks(situation_of(status, evidence(access=open_wide, revisions=(what,))))
    seen = set()
    for step in steps:
        assert step.purpose
        assert task_json(step)["part_title"]
        assert bool(step.reason) is (step.purpose not in seen)
        seen.add(step.purpose)


@pytest.mark.parametrize(
    ("status", "command"),
    [
        (Status.AWAITING_APPROVAL, "approve"),
        (Status.RESTRICTED, "contain {} --action scale-to-zero"),
        (Status.UNVERIFIED, "contain"),
        (Status.PLANNED, "contain"),
        (Status.HELD, "contain {} --action scale-to-zero"),
        (Status.FAILED, "contain"),
        (Status.EXPIRED, "contain"),
    ],
)
def test_what_may_run_on_is_stopped_first(status: Status, command: str) -> None:
    """With the responder's command, and one that needs gcloud only."""
    first, *others = people_tasks(situation_of(status))
    incident = INCIDENT_ID
    wanted = command.format(incident) if "{}" in command else f"{command} {incident}"
    assert first.command == f"cloud-run-responder {wanted}"
    by_hand = [step.command for step in others if step.purpose is TaskPurpose.STOP]
    place = "--region=europe-west1 --project=example-shop-prod"
    assert by_hand == [
        f"gcloud beta run services update storefront --scaling=0 {place}",
        f"gcloud run services update-traffic storefront --clear-tags {place}",
    ]


@pytest.mark.parametrize(
    ("by", "policy", "expected", "command"),
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
    by: str, policy: str, expected: str, command: str
) -> None:
    """The task names the fix and the manual alternative instead."""
    held = replace(
        situation_of(Status.HELD), blockers=(Blocker(by, "because."),), policy_url=policy
    )
    first, *others = people_tasks(held)
    assert "as things are: because. " in first.text
    assert expected in first.text
    assert first.command.startswith(command)
    assert bool(first.command) is bool(command)
    assert not any("cloud-run-responder contain" in step.command for step in (first, *others))
    stop = [step.command for step in others if step.purpose is TaskPurpose.STOP]
    assert stop[0].startswith("gcloud beta run services update storefront --scaling=0")


def test_every_guard_that_binds_a_person_says_what_comes_first() -> None:
    """Each guard has a fix of its own; an unknown guard gets the default fix."""
    waived = containing_operator("").waived_guards
    names = {guard.__name__ for guard in GUARDS} - waived
    for name in names:
        assert (
            explain_blocker(Blocker(name, ""), workload(), "").fix
            != explain_blocker(Blocker("", ""), workload(), "").fix
        )


def test_a_plan_without_a_change_that_stops_names_the_action() -> None:
    """Else `contain` would repeat what failed to stop the workload."""
    failed = replace(situation_of(Status.FAILED), changes=())
    assert people_tasks(failed)[0].command.endswith(" --action scale-to-zero")


@pytest.mark.parametrize(
    ("kind", "commands"),
    [
        (
            Kind.JOB,
            [
                "gcloud run jobs executions list --job=storefront --region=europe-west1",
                "gcloud run jobs executions cancel storefront-abcde --region=europe-west1",
            ],
        ),
        (
            Kind.WORKER_POOL,
            ["gcloud beta run worker-pools update storefront --scaling=0 --region=europe-west1"],
        ),
    ],
)
def test_each_kind_is_stopped_in_its_own_way(kind: Kind, commands: list[str]) -> None:
    """A job's executions are cancelled; a pool is scaled to zero."""
    this = finding(workload=workload(kind=kind), execution="storefront-abcde", revision=None)
    steps = people_tasks(situation_of(Status.HELD, evidence(finding=this)))
    result = [step.command for step in steps if step.purpose is TaskPurpose.STOP][1:]
    assert result == [f"{command} --project=example-shop-prod" for command in commands]


@pytest.mark.parametrize("doubtful", [True, False])
def test_the_false_positive_step_precedes_destructive_steps(*, doubtful: bool) -> None:
    """Where findings of a type are often benign, triage comes before stopping too."""
    held = replace(
        situation_of(Status.HELD), investigation_steps=("its parent.",), often_benign=doubtful
    )
    steps = people_tasks(held)
    assert (steps[0].purpose is TaskPurpose.TRIAGE) is doubtful
    compare, mute = (step for step in steps if step.purpose is TaskPurpose.TRIAGE)
    assert compare.text.endswith("at this: its parent")
    assert mute.command.startswith("gcloud scc findings set-mute ")
    assert "nothing below is needed" in mute.text
    assert ("All that follows is for what is not harmless" in mute.text) is doubtful
    order = [step.purpose for step in steps]
    assert (
        order.index(TaskPurpose.TRIAGE)
        < order.index(TaskPurpose.INGRESS)
        < order.index(TaskPurpose.ROTATE)
    )


@pytest.mark.parametrize(
    ("mask", "kind", "restored", "traffic"),
    [
        (("scaling", "traffic"), Kind.SERVICE, "scaling and the traffic split with its", True),
        (("ingress",), Kind.SERVICE, "restores its ingress, exactly", False),
        (("scaling.manual_instance_count",), Kind.WORKER_POOL, "number of instances, e", False),
        ((), Kind.JOB, "restores who may start it, exactly", False),
    ],
)
def test_the_release_step_describes_only_what_was_changed(
    mask: tuple[str, ...], kind: Kind, restored: str, *, traffic: bool
) -> None:
    """Without a traffic change no task mentions traffic."""
    change = replace(with_state(scale_to_zero_change(), VERIFIED), mask=mask)
    change = replace(change, kind=change.kind if mask else ChangeKind.IAM_POLICY)
    of = evidence(finding=finding(workload=workload(kind=kind), revision="storefront-00041"))
    now = replace(situation_of(Status.CONTAINED, of), changes=(change,))
    steps = people_tasks(now)
    texts = " ".join(step.text for step in steps)
    assert restored in next(step.text for step in steps if step.purpose is TaskPurpose.RELEASE)
    assert ("Not before the release" in texts) is traffic
    assert any("--to-latest" in step.command for step in steps) is traffic
    assert ("scaling, traffic or ingress" in texts) is (kind is Kind.SERVICE)


def test_manually_restricted_access_has_a_manual_restore_step() -> None:
    """The task restores the earlier ingress; the owner decides about public callers."""
    access = Access((Binding("roles/run.invoker", ("allUsers",), None),))
    fields: dict[str, Json] = {
        "ingress": "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
        "invokerIamDisabled": True,
    }
    of = evidence(access=access, configuration=configuration(fields=fields))
    steps = people_tasks(situation_of(Status.HELD, of))
    opened = [
        step
        for step in steps
        if step.purpose in (TaskPurpose.RESTORE_INGRESS, TaskPurpose.RESTORE_CALLERS)
    ]
    first, check, member = (step.command for step in opened)
    assert "--ingress=internal-and-cloud-load-balancing" in first
    assert "--no-invoker-iam-check" in check
    assert "add-iam-policy-binding storefront --member=allUsers" in member
    assert "its owner decides" in opened[-1].text
    assert any(
        "--scaling=FORMER_SCALING" in s.command for s in steps if s.purpose is TaskPurpose.RESUME
    )


def test_an_unverified_attempt_still_has_a_snapshot() -> None:
    """The manual alternative mentions the snapshot of the attempt."""
    texts = {
        status: " ".join(step.text for step in people_tasks(situation_of(status)))
        for status in (Status.UNVERIFIED, Status.HELD)
    }
    assert "which kept how it was before its attempt" in texts[Status.UNVERIFIED]
    assert "no before-image" in texts[Status.HELD]
    assert "no before-image" not in texts[Status.UNVERIFIED]


def test_every_secret_volume_and_account_has_its_step() -> None:
    """Each secret, volume and account of the blast radius has a task."""
    what = template(
        revision="",
        secret_names=("db-password", "projects/other/secrets/shared-key"),
        volumes=(Volume("data", "gcs://bucket", persists=True),),
    )
    texts = "\n".join(
        f"{step.text} {step.command}"
        for step in people_tasks(
            situation_of(Status.CONTAINED, evidence(configuration=configuration(template=what)))
        )
    )
    assert "secrets versions add db-password --data-file=FILE --project=example-shop-prod" in texts
    assert "versions disable projects/other/secrets/shared-key/versions/OLD_VERSION" in texts
    assert "gs://bucket" in texts
    assert "iam service-accounts disable storefront@example-shop-prod" in texts
    assert "MODE" in texts


@pytest.mark.parametrize(
    ("access", "role", "fields", "command"),
    [
        ("allUsers", "invoker", {}, "--member=allUsers --role=roles/run.invoker"),
        (
            "allAuthenticatedUsers",
            "admin",
            {},
            "--member=allAuthenticatedUsers --role=roles/run.ad",
        ),
        ("user:a@example.com", "invoker", {"invokerIamDisabled": True}, "--invoker-iam-check"),
    ],
)
def test_the_command_removes_the_public_members_it_found(
    access: str, role: str, fields: dict[str, Json], command: str
) -> None:
    """The command removes the member from the role that has it, or turns the check on."""
    let_in = Access((Binding(f"roles/run.{role}", (access,), None),))
    of = evidence(access=let_in, configuration=configuration(fields=fields))
    commands = [step.command for step in people_tasks(situation_of(Status.HELD, of))]
    assert any(command in each for each in commands)


def test_access_by_other_roles_or_conditions_keeps_its_step() -> None:
    """Requiring authentication removes neither, so neither task is dropped."""
    roles = (("roles/run.invoker", None), ("roles/run.invoker", "daily"), ("roles/run.admin", None))
    let_in = Access(tuple(Binding(role, ("allUsers",), only) for role, only in roles))
    change = replace(with_state(scale_to_zero_change(), VERIFIED), action="require-authentication")
    done = replace(situation_of(Status.RESTRICTED, evidence(access=let_in)), changes=(change,))
    steps = [step for step in people_tasks(done) if step.purpose is TaskPurpose.AUTHENTICATION]
    assert [bool(step.command) for step in steps] == [True, False]
    assert "(roles/run.admin)" in steps[0].text
    assert "(roles/run.invoker under the condition “daily”)" in steps[1].text
    assert steps[1].link.startswith("https://console.cloud.google.com/run/detail/")
    planned = situation_of(Status.PLANNED, evidence(access=let_in))
    result: dict[str, Json] = {
        "incident": "x",
        "status": "restricted",
        "workload": workload_json(workload()),
        "changes": [{"action": "require-authentication", "state": "verified"}],
        "assessment": {"plan": {"people": [task_json(each) for each in people_tasks(planned)]}},
    }
    assessment = with_updated_plan(result)["assessment"]
    assert str(assessment).count("'part': 'authentication'") == 2
    assert "--role=roles/run.invoker" not in str(assessment)


@pytest.mark.parametrize("source", ["gcs://uploads", "gcs uploads"])
def test_a_bucket_that_persists_has_its_command(source: str) -> None:
    """Each spelling of the volume source gives the same command."""
    what = template(revision="", volumes=(Volume("d", source, persists=True),))
    of = evidence(configuration=configuration(template=what))
    (step,) = (
        s for s in people_tasks(situation_of(Status.HELD, of)) if s.purpose is TaskPurpose.FILES
    )
    assert step.command == "gcloud storage ls 'gs://uploads/**' --long"
    assert "changed on gs://uploads since" in step.text
    nfs = template(revision="", volumes=(Volume("d", "nfs filer:/shop", persists=True),))
    share = evidence(configuration=configuration(template=nfs))
    (step,) = (
        s for s in people_tasks(situation_of(Status.HELD, share)) if s.purpose is TaskPurpose.FILES
    )
    assert "changed on the file share filer:/shop since" in step.text


@pytest.mark.parametrize("hostile", [_HOSTILE, "$(touch x)", "a\nb", "--flag", '"; rm -rf /'])
@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("status", [Status.CONTAINED, Status.HELD])
def test_no_command_runs_what_the_evidence_says(hostile: str, kind: Kind, status: Status) -> None:
    """In a shell every untrusted value stays one word, and none becomes a flag."""
    what = template(
        revision="",
        service_account=hostile,
        secret_names=(hostile, f"projects/{hostile}/secrets/{hostile}"),
        secret_uses=(SecretUse(hostile, "1", hostile, mounted=False),),
        volumes=(Volume("v", f"gcs://{hostile}", persists=True),),
    )
    this = finding(
        containers=(Container(hostile, hostile, f"sha256:{hostile}"),),
        workload=workload(kind=kind, name=hostile, location=hostile, project_id=hostile),
        revision=hostile,
        execution=hostile,
        contacts=(hostile,),
    )
    access = Access((Binding("roles/run.invoker", ("allUsers", hostile), None),))
    of = evidence(
        finding=this, configuration=configuration(template=what, kind=kind), access=access
    )
    for step in people_tasks(situation_of(status, of)):
        words = shlex.split(step.command)
        assert shlex.join(words) == step.command
        assert not {"touch", "rm", "--flag"} & set(words)
        assert "\n" not in step.command
        if step.link:
            assert step.link.startswith("https://console.cloud.google.com/")
            assert not set(" \"'<>\n") & set(step.link)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("status", [each for each in Status if each not in _NO_PLAN])
def test_every_command_about_cloud_run_says_where(kind: Kind, status: Status) -> None:
    """Every command names region and project; lists of a project name the project only."""
    this = finding(workload=workload(kind=kind))
    for step in people_tasks(situation_of(status, evidence(finding=this))):
        words = step.command.split()
        if words[:2] == ["gcloud", "run"] or words[:3] == ["gcloud", "beta", "run"]:
            assert "--project=example-shop-prod" in words
            assert "--region=europe-west1" in words or "list" in words[3:5]
        if kind is not Kind.SERVICE:
            assert "services" not in words[:4] or "list" in words[3:5]


def test_job_steps_name_executions_and_pool_steps_name_revisions() -> None:
    """Job tasks speak of executions, pool tasks of revisions."""
    job = finding(workload=workload(kind=Kind.JOB), revision=None, execution="storefront-abcde")
    result = people_tasks(situation_of(Status.CONTAINED, evidence(finding=job)))
    assert any("executions delete storefront-abcde" in step.command for step in result)
    assert not any("revision" in step.text for step in result)
    pool = finding(workload=workload(kind=Kind.WORKER_POOL), revision="storefront-00042")
    commands = [
        s.command for s in people_tasks(situation_of(Status.CONTAINED, evidence(finding=pool)))
    ]
    listed = "gcloud beta run worker-pools revisions list --worker-pool=storefront"
    assert any(command.startswith(listed) for command in commands)


def test_owners_are_named_by_address_and_by_nothing_that_is_none() -> None:
    """A contact that is no email address is left out."""
    contacts = ("soc@example.com", "<script>x</script>", "a b@example.com", "\u202ex@example.com")
    texts = {
        listed_contacts: " ".join(
            f"{step.text} {step.command}"
            for step in people_tasks(
                situation_of(Status.HELD, evidence(finding=finding(contacts=listed_contacts)))
            )
            if step.purpose is TaskPurpose.NOTIFY
        )
        for listed_contacts in (contacts, contacts[1:])
    }
    assert texts[contacts].rstrip().endswith("what is down: soc@example.com")
    assert "gcloud essential-contacts compute" in texts[contacts[1:]]


def test_unread_evidence_is_not_called_gathered() -> None:
    """The automatic task counts and names the collectors with a gap."""
    blind = evidence(gaps=(Gap("settings", "x"), Gap("logs", "x"), Gap("logs", "y")))
    result = [automatic_tasks(situation_of(Status.HELD, of))[0].text for of in (evidence(), blind)]
    assert result[0].endswith("it stands in the case file")
    assert result[1].endswith("; 2 could not be (settings, logs)")


def test_the_responders_own_part_says_how_far_each_change_came() -> None:
    """Planned, verified, unverified and failed changes read differently."""
    result = {
        state: automatic_tasks(
            replace(
                situation_of(Status.FAILED), changes=(with_state(scale_to_zero_change(), state),)
            )
        )[1].text
        for state in (ChangeState.PLANNED, ChangeState.VERIFIED, ChangeState.FAILED)
    }
    assert "nothing was written" in result[ChangeState.PLANNED]
    assert "read back in effect" in result[ChangeState.VERIFIED]
    assert "failed" in result[ChangeState.FAILED]


@pytest.mark.parametrize(
    ("status", "parts", "so_far"),
    [
        ("contained", ["wait", "tell"], "done, and read back in effect"),
        ("released", ["stop", "tell"], "taken back since"),
        ("unverified", ["stop", "no-attack"], "done, and read back in effect"),
    ],
)
def test_a_resumed_incident_has_its_own_plan(status: str, parts: list[str], so_far: str) -> None:
    """After an approval the approval task is gone, and the order is that of the new status."""
    waiting = replace(situation_of(Status.AWAITING_APPROVAL), mode=Mode.APPROVE)
    stored: Any = {
        "automatic": [task_json(step) for step in automatic_tasks(waiting)],
        "people": [task_json(step) for step in people_tasks(waiting)],
    }
    renewed: Any = with_updated_plan(outcome_with_plan(status, stored))
    plan = renewed["assessment"]["plan"]
    result = list(dict.fromkeys(step["part"] for step in plan["people"]))
    assert result[:2] == parts
    assert so_far in plan["automatic"][1]["text"]
    assert "cloud-run-responder approve" not in str(plan)
    kept = [step["text"] for step in stored["people"] if step["part"] not in _CONTAINMENT_PARTS]
    now = [step["text"] for step in plan["people"] if step["part"] not in _CONTAINMENT_PARTS]
    assert sorted(now) == sorted(kept)


def test_an_uncertain_revision_is_not_to_be_deleted() -> None:
    """Where several revisions may be affected, the task finds out which first."""
    for revisions, deleted in (
        ((template(),), True),
        ((template(), template(revision="a")), False),
    ):
        later = configuration({"minInstanceCount": 2}, update_time=NOW)
        of = evidence(revisions=revisions, configuration=later)
        steps = people_tasks(situation_of(Status.CONTAINED, of))
        assert any("revisions delete storefront-00042" in step.command for step in steps) is deleted
        assert any("Find out which revision" in step.text for step in steps) is not deleted


@pytest.mark.parametrize("status", ["contained", "released", "unverified", "restricted", "failed"])
def test_a_recomputed_plan_equals_a_fresh_plan(status: str) -> None:
    """The update of a stored playbook gives what the evidence would give."""
    now = replace(
        situation_of(Status(status)), changes=(with_state(scale_to_zero_change(), VERIFIED),)
    )
    waiting = replace(now, status=Status.AWAITING_APPROVAL)
    stored: Any = {"automatic": [], "people": [task_json(step) for step in people_tasks(waiting)]}
    renewed: Any = with_updated_plan(outcome_with_plan(status, stored, drains_until=None))
    assert renewed["assessment"]["plan"]["people"] == [
        task_json(step) for step in people_tasks(now)
    ]


def test_completed_steps_are_dropped() -> None:
    """After an approved containment the ingress task is gone."""
    stored: Any = {"people": [task_json(step) for step in people_tasks(situation_of(Status.HELD))]}
    change = {
        **outcome_with_plan("contained", stored)["changes"][0],
        "action": "scale-to-zero+restrict-ingress",
    }
    renewed: Any = with_updated_plan(
        {**outcome_with_plan("contained", stored), "changes": [change]}
    )
    plan = renewed["assessment"]["plan"]
    assert "ingress" in {step["part"] for step in stored["people"]}
    assert "ingress" not in {step["part"] for step in plan["people"]}


def test_each_missing_evidence_has_a_step() -> None:
    """Each gap has a task that names the reason."""
    denied = "cannot read it: permission run.services.get is missing. Grant it"
    gaps = tuple(Gap(name, denied) for name in ("settings", "access", "audit-log"))
    blind = Evidence(finding(), confirmed=True, gaps=gaps)
    found = {
        step.purpose: step for step in reversed(people_tasks(situation_of(Status.HELD, blind)))
    }
    for part, command in (
        (TaskPurpose.INGRESS, "gcloud run services describe storefront"),
        (TaskPurpose.AUTHENTICATION, "gcloud run services get-iam-policy storefront"),
        (TaskPurpose.ROTATE, "gcloud run services describe storefront"),
        (TaskPurpose.FILES, "gcloud run services describe storefront"),
        (TaskPurpose.ROOT_CAUSE, "gcloud logging read"),
        (TaskPurpose.REVOKE, "gcloud run services describe storefront"),
    ):
        assert found[part].command.startswith(command)
        assert "not known" in found[part].text
        assert "permission run.services.get is missing" in found[part].text


def test_the_public_that_the_audit_log_shows_is_taken_out_though_the_policy_is_not_read() -> None:
    """Public members of the audit log get a command, unless removed or refused."""

    def event(verb: str, error: str = "") -> AuditEvent:
        member = f"{verb} roles/run.invoker allUsers"
        return AuditEvent(NOW, "a@example.com", "SetIamPolicy", "", "", error, (member,))

    for events, taken_out in (
        ((event("ADD"),), True),
        ((event("REMOVE"), event("ADD")), False),
        ((event("ADD", "denied"),), False),
    ):
        steps = people_tasks(situation_of(Status.HELD, evidence(access=None, audit=events)))
        result = [step for step in steps if step.purpose is TaskPurpose.AUTHENTICATION]
        assert ("opened to allUsers" in result[0].text) is taken_out
        assert any("--member=allUsers" in step.command for step in result) is taken_out


def test_tasks_of_an_unknown_purpose_stay_last() -> None:
    """The update of a stored playbook keeps them in their order, after all others."""
    commands = ("gcloud secrets versions list s", "gcloud run services list")
    people = [{"text": f"x{at}", "command": c, "part": "new"} for at, c in enumerate(commands)]
    renewed: Any = with_updated_plan(outcome_with_plan("contained", {"people": people}))
    texts = [step["text"] for step in renewed["assessment"]["plan"]["people"]]
    assert texts[-2:] == ["x0", "x1"]


def test_an_outcome_without_a_plan_stays_as_it_is() -> None:
    """Such as the outcome of an incident without evidence."""
    bare: Any = {"incident": "i", "status": "failed", "assessment": None, "workload": None}
    assert with_updated_plan(bare) == bare


def outcome_with_plan(status: str, plan: Any, **more: Any) -> Any:
    """An outcome with a playbook and one verified change."""
    return {
        "incident": INCIDENT_ID,
        "status": status,
        "workload": {
            "kind": "service",
            "name": "storefront",
            "location": "europe-west1",
            "project": "example-shop-prod",
        },
        "assessment": {"plan": plan},
        "changes": [change_json(with_state(scale_to_zero_change(), VERIFIED))],
        "drains_until": "2026-10-02T08:19:12.318000Z",
        **more,
    }
