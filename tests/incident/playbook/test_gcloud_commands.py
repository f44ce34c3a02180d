"""All commands of all playbooks: gcloud accepts each, and redaction changes none."""

from __future__ import annotations

import runpy
import shlex
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from incident.actions.changes import with_state
from incident.model import (
    Access,
    Binding,
    ChangeState,
    ContainerConfiguration,
    Kind,
    Mode,
    PlaybookTask,
    SecretUse,
    Status,
    Volume,
)
from incident.playbook.plan import PlaybookInputs, people_tasks
from incident.redaction.redactor import Redactor
from tests.support.constants import INCIDENT_ID
from tests.support.model import (
    configuration,
    evidence,
    finding,
    scale_to_zero_change,
    template,
    workload,
)

_ACCOUNTS = ("", "a@b.iam.gserviceaccount.com", "service-1@gcp-sa-run.iam.gserviceaccount.com")


def steps() -> Iterator[PlaybookTask]:
    """The tasks of playbooks for every workload kind, status and account kind."""
    statuses = (Status.HELD, Status.CONTAINED, Status.RELEASED)
    named: tuple[dict[str, Any], ...] = (
        {"revision": "r-1", "execution": "e-1"},
        {"revision": None, "execution": None},
    )
    changes = (with_state(scale_to_zero_change(), ChangeState.VERIFIED),)
    open_wide = Access((Binding("roles/run.invoker", ("allUsers",), None),))
    names = ("MODE", "DATABASE_URL", "API_TOKEN", "PATH")
    for status, kind, ran, account in product(statuses, Kind, named, _ACCOUNTS):
        what = template(
            revision="",
            service_account=account,
            containers=(ContainerConfiguration("c", "gcr.io/p/shop:v2", names),),
            secret_names=("db-password", "projects/123/secrets/session-token"),
            secret_uses=(
                SecretUse("db-password", "3", "DB_PASSWORD", mounted=False),
                SecretUse("projects/123/secrets/session-token", "latest", "TOKEN", mounted=False),
            ),
            volumes=(Volume("data", "gcs uploads", persists=True),),
        )
        this: Any = finding(workload=workload(kind=kind), containers=(), **ran)
        found = configuration({"invokerIamDisabled": True}, template=what, kind=kind)
        of = evidence(finding=this, configuration=found, access=open_wide)
        yield from people_tasks(PlaybookInputs(INCIDENT_ID, status, Mode.ENFORCE, of, changes))


def test_no_redaction_takes_a_part_of_a_step() -> None:
    """Redaction leaves texts and commands of tasks unchanged."""
    redactor = Redactor(b"key", ())
    for step in steps():
        assert (redactor.text(step.text), redactor.text(step.command)) == (step.text, step.command)


@pytest.mark.skipif(shutil.which("gcloud") is None, reason="needs the Cloud SDK")
def test_gcloud_knows_every_command_and_every_flag() -> None:
    """The SDK's static completion tree has each command and flag."""
    gcloud = Path(str(shutil.which("gcloud"))).resolve()
    file = (gcloud.parent / "../data/cli/gcloud_completions.py").resolve()
    if not file.exists():
        pytest.skip("this Cloud SDK has no tree of commands")
    tree = runpy.run_path(str(file))["STATIC_COMPLETION_CLI_TREE"]
    commands = {step.command for step in steps() if step.command.startswith("gcloud ")}
    assert len(commands) > 40
    assert {command: lacks for command in commands if (lacks := _lacks(tree, command))} == {}


def _lacks(tree: dict[str, Any], command: str) -> list[str]:
    """The words of a command that the SDK does not know."""
    node, flags, words = tree, {*tree["flags"]}, shlex.split(command)[1:]
    while words and words[0] in node["commands"]:
        node = node["commands"][words.pop(0)]
        flags |= {*node["flags"]}
    if node["commands"]:
        return [f"no command {words[:1]}"]
    result = (word.partition("=")[0] for word in words if word.startswith("-"))
    return [
        flag for flag in result if flag not in flags and flag.replace("--", "--no-") not in flags
    ]
