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
    Evidence,
    Kind,
    PlaybookTask,
    SecretUse,
    Status,
    Volume,
)
from incident.redaction.redactor import Redactor
from tests.support.model import (
    configuration,
    evidence,
    finding,
    scale_to_zero_change,
    template,
    workload,
)
from tests.support.playbook import plan, task_commands, task_text

_STATUSES = (Status.HELD, Status.CONTAINED, Status.RELEASED, Status.AWAITING_APPROVAL)
_ACCOUNTS = ("", "a@b.iam.gserviceaccount.com", "service-1@gcp-sa-run.iam.gserviceaccount.com")


#: Newer than the Cloud SDK that tests may find, with the flags of its reference page.
_NEWER = {
    "gcloud beta run services ssh": {"--container", "--revision", "--region", "--project"},
    "gcloud beta run instances ssh": {"--container", "--region", "--project"},
    "gcloud beta run instances update": {
        *("--container", "--image", "--update-secrets", "--region", "--project"),
    },
    "gcloud beta run instances describe": {"--format", "--region", "--project"},
    **{
        f"gcloud beta run instances {verb}": {"--region", "--project"}
        for verb in ("stop", "start", "get-iam-policy")
    },
    **{
        f"gcloud beta run instances {verb}-iam-policy-binding": {
            *("--member", "--role", "--region", "--project"),
        }
        for verb in ("add", "remove")
    },
}


def plans() -> Iterator[tuple[PlaybookTask, ...]]:
    """Plans for every workload kind, status and account kind."""
    named: tuple[dict[str, Any], ...] = (
        {"revision": "r-1", "execution": "e-1"},
        {"revision": None, "execution": None},
    )
    changes = (with_state(scale_to_zero_change(), ChangeState.VERIFIED),)
    open_wide = Access((Binding("roles/run.invoker", ("allUsers",), None),))
    names = ("MODE", "DATABASE_URL", "API_TOKEN", "PATH")
    for status, kind, ran, account in product(_STATUSES, Kind, named, _ACCOUNTS):
        what = template(
            revision="",
            service_account=account,
            containers=(ContainerConfiguration("c", "gcr.io/p/shop:v2", names),) * 2,
            secret_names=("db-password", "projects/123/secrets/session-token"),
            secret_uses=(
                SecretUse("db-password", "3", "DB_PASSWORD", mounted=False, container="c"),
                SecretUse("projects/123/secrets/session-token", "latest", "TOKEN", mounted=False),
            ),
            volumes=(Volume("data", "gcs uploads", persists=True),),
        )
        this: Any = finding(workload=workload(kind=kind), containers=(), **ran)
        regions = ("europe-west1", "us-central1") if kind is Kind.SERVICE else ()
        found = configuration(
            {"invokerIamDisabled": True}, template=what, kind=kind, regions=regions
        )
        of = evidence(finding=this, configuration=found, access=open_wide)
        blind = Evidence(this, confirmed=True)
        for known in (of, blind):
            yield tuple(plan(status, known, changes=changes).values())


def test_no_redaction_takes_a_part_of_a_plan() -> None:
    """Redaction leaves texts and commands of tasks unchanged."""
    redactor = Redactor(b"key", ())
    texts = {task_text(task) for tasks in plans() for task in tasks}
    commands = {line for tasks in plans() for task in tasks for line in task_commands(task)}
    assert {
        text: found for text in texts | commands if (found := redactor.text(text)) != text
    } == {}


@pytest.mark.skipif(shutil.which("gcloud") is None, reason="needs the Cloud SDK")
def test_gcloud_knows_every_command_and_every_flag() -> None:
    """The SDK's static completion tree has each command and flag."""
    gcloud = Path(str(shutil.which("gcloud"))).resolve()
    file = (gcloud.parent / "../data/cli/gcloud_completions.py").resolve()
    if not file.exists():
        pytest.skip("this Cloud SDK has no tree of commands")
    tree = runpy.run_path(str(file))["STATIC_COMPLETION_CLI_TREE"]
    lines = {line for tasks in plans() for task in tasks for line in task_commands(task)}
    commands = {line[line.index("gcloud ") :] for line in lines if "gcloud " in line}
    assert len(commands) > 60
    assert {command: lacks for command in commands if (lacks := _lacks(tree, command))} == {}


def _lacks(tree: dict[str, Any], command: str) -> list[str]:
    """The words of a command that the SDK does not know."""
    command = command.partition("; ")[0].partition(" > ")[0]
    for newer, known in _NEWER.items():
        if command.startswith(newer):
            words = shlex.split(command.removeprefix(newer))
            return [w for w in words if w.startswith("-") and w.partition("=")[0] not in known]
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
