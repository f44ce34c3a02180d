"""The response plan: the right next step for each outcome, and commands that are safe to paste."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest

from incident.images import change_json, stated
from incident.model import (
    Access,
    Binding,
    ChangeState,
    Container,
    Evidence,
    Json,
    Mode,
    Status,
    Volume,
)
from incident.response_plan import Situation, automatic, for_people, replanned
from tests.values import NOW, evidence, finding, scaled_to_zero, settings, template

_HOSTILE = "x'; touch /tmp/owned; echo '"


def situation(status: Status, of: Evidence | None = None) -> Situation:
    """An incident of a status, with one change read back where there was one."""
    state = ChangeState.VERIFIED if status is Status.CONTAINED else ChangeState.PLANNED
    change = stated(scaled_to_zero(), state)
    return Situation("20261002-6255b37a8bf0", status, Mode.ENFORCE, of or evidence(), (change,))


@pytest.mark.parametrize(
    ("status", "command"),
    [
        (Status.CONTAINED, "release"),
        (Status.AWAITING_APPROVAL, "approve"),
        (Status.RESTRICTED, "contain {} --action scale-to-zero"),
        (Status.UNVERIFIED, "contain"),
        (Status.PLANNED, "contain"),
        (Status.HELD, "contain {} --action scale-to-zero"),
        (Status.FAILED, "contain"),
        (Status.EXPIRED, "contain"),
    ],
)
def test_the_first_step_is_about_the_workload(status: Status, command: str) -> None:
    """Whether it runs comes first, with the command that decides it."""
    first = for_people(situation(status))[0]
    incident = "20261002-6255b37a8bf0"
    wanted = command.format(incident) if "{}" in command else f"{command} {incident}"
    assert first.command == f"python cli.py {wanted}"


def test_every_secret_volume_and_account_has_its_step() -> None:
    """Nothing in reach is left out of the list of what to do."""
    what = template(
        revision="",
        secret_names=("db-password", "projects/other/secrets/shared-key"),
        volumes=(Volume("data", "gcs://bucket", persists=True),),
    )
    texts = "\n".join(
        f"{step.text} {step.command}"
        for step in for_people(
            situation(Status.CONTAINED, evidence(settings=settings(template=what)))
        )
    )
    assert "secrets versions list db-password --project=example-shop-prod" in texts
    assert "secrets versions list shared-key --project=other" in texts
    assert "gs://bucket" in texts
    assert "iam service-accounts disable storefront@example-shop-prod" in texts
    assert "MODE" in texts


@pytest.mark.parametrize(
    ("access", "fields", "command"),
    [
        ("allUsers", {}, "--member=allUsers"),
        ("allAuthenticatedUsers", {}, "--member=allAuthenticatedUsers"),
        ("user:a@example.com", {"invokerIamDisabled": True}, "--invoker-iam-check"),
    ],
)
def test_whoever_is_let_in_is_the_one_to_be_kept_out(
    access: str, fields: dict[str, Json], command: str
) -> None:
    """The command removes the very member that is there, or puts the check back."""
    let_in = Access((Binding("roles/run.invoker", (access,), None),))
    of = evidence(access=let_in, settings=settings(fields=fields))
    commands = [step.command for step in for_people(situation(Status.HELD, of))]
    assert any(command in each for each in commands)


@pytest.mark.parametrize("source", ["gcs://uploads", "gcs uploads"])
def test_a_bucket_that_persists_has_its_command(source: str) -> None:
    """However the volume is spelled."""
    what = template(revision="", volumes=(Volume("d", source, persists=True),))
    of = evidence(settings=settings(template=what))
    commands = [step.command for step in for_people(situation(Status.HELD, of))]
    assert "gcloud storage ls --long 'gs://uploads/**'" in commands


def test_a_default_account_is_not_told_to_be_disabled() -> None:
    """Disabling what everything runs as would be the worse outage."""
    shared = template(revision="", service_account="1-compute@developer.gserviceaccount.com")
    of = evidence(settings=settings(template=shared))
    commands = [step.command for step in for_people(situation(Status.CONTAINED, of))]
    assert not any("service-accounts disable" in command for command in commands)


@pytest.mark.parametrize("hostile", [_HOSTILE, "$(touch x)", "a\nb", "--flag", '"; rm -rf /'])
def test_no_command_runs_what_the_evidence_says(hostile: str) -> None:
    """Pasted into a shell, every word from outside stays one word."""
    what = template(
        revision="",
        service_account=hostile,
        secret_names=(hostile,),
        volumes=(Volume("v", f"gcs://{hostile}", persists=True),),
    )
    this = finding(containers=(Container(hostile, hostile, f"sha256:{hostile}"),))
    of = evidence(finding=this, settings=settings(template=what))
    for step in for_people(situation(Status.CONTAINED, of)):
        words = shlex.split(step.command)
        assert shlex.join(words) == step.command
        assert not {"touch", "rm"} & set(words)
        if step.link:
            assert step.link.startswith("https://console.cloud.google.com/")
            assert not set(" \"'<>\n") & set(step.link)


def test_the_responders_own_part_says_how_far_each_change_came() -> None:
    """Planned is not done, and failed is not hidden."""
    told = {
        state: automatic(
            replace(situation(Status.FAILED), changes=(stated(scaled_to_zero(), state),))
        )[1].text
        for state in (ChangeState.PLANNED, ChangeState.VERIFIED, ChangeState.FAILED)
    }
    assert "nothing was written" in told[ChangeState.PLANNED]
    assert "read back in effect" in told[ChangeState.VERIFIED]
    assert "failed" in told[ChangeState.FAILED]


@pytest.mark.parametrize(
    ("status", "first", "so_far"),
    [
        ("contained", "release", "done, and read back in effect"),
        ("released", "was taken back", "taken back since"),
        ("unverified", "contain", "done, and read back in effect"),
    ],
)
def test_a_case_that_is_carried_on_has_a_plan_of_its_own(
    status: str, first: str, so_far: str
) -> None:
    """Nothing is left of the approval it waited for, and all else that people have to do is."""
    waiting = replace(situation(Status.AWAITING_APPROVAL), mode=Mode.APPROVE)
    said = {
        "automatic": [{"text": step.text} for step in automatic(waiting)],
        "people": [
            {"text": step.text, "command": step.command, "link": step.link}
            for step in for_people(waiting)
        ],
    }
    changes = [change_json(stated(scaled_to_zero(), ChangeState.VERIFIED))]
    outcome: Any = {
        "incident": "20261002-6255b37a8bf0",
        "status": status,
        "workload": {"kind": "service"},
        "assessment": {"plan": said},
        "changes": changes,
        "links": {"workload": "https://console.cloud.google.com/run"},
    }
    renewed: Any = replanned(outcome)
    plan = renewed["assessment"]["plan"]
    assert first in f"{plan['people'][0]['text']} {plan['people'][0]['command']}"
    assert so_far in plan["automatic"][1]["text"]
    assert "cli.py approve" not in str(plan)
    others = [s for s in said["people"] if not str(s["command"]).startswith("python cli.py")]
    assert [s["text"] for s in plan["people"] if s["text"] in {o["text"] for o in others}] == [
        o["text"] for o in others
    ]


def test_no_revision_is_told_to_be_deleted_that_may_not_be_the_one() -> None:
    """Where one of several ran, finding out which comes before any deletion."""
    for revisions, deleted in (
        ((template(),), True),
        ((template(), template(revision="a")), False),
    ):
        later = settings({"minInstanceCount": 2}, update_time=NOW)
        of = evidence(revisions=revisions, settings=later)
        steps = for_people(situation(Status.CONTAINED, of))
        assert any("revisions delete storefront-00042" in step.command for step in steps) is deleted
        assert any("Find out what ran" in step.text for step in steps) is not deleted
