"""Runbooks: one shape, one way to the shell, and nothing in them that cannot be typed."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from emulator.api import list_filters
from tests.deploy.documents import command_lines
from tests.deploy.terraform import DEPLOY, GIVEN, log_alerts, module, source
from tests.support.environment import deliver_and_log, responder_environment
from tests.support.findings import encode, sample_notification

RUNBOOKS = DEPLOY / "runbooks"
LONGEST_DOCUMENTATION = 8192
#: Words that Monitoring fills in, and the label of the log line that it takes.
LABELLED = {"INCIDENT_ID": "incident", "WORKLOAD_NAME": "workload", "PRINCIPAL": "principal"}
SHAPE = ["Look", "Decide", "Act", "Afterwards"]
#: Who may run a command: those whose role has what it needs.
ROLES = {
    "approve": {"approver"},
    "contain": {"approver"},
    "coverage": {"surveyor"},
    "patrol": {"approver"},
    "replay": {"approver"},
    "list": {"operator", "approver"},
    "release": {"operator", "approver"},
    "show": {"operator", "approver"},
    "report": {"operator", "approver"},
    "verify": {"operator", "approver"},
    "policy": set[str](),  # a file on one's own machine
}
#: What Google asks for when a command of a runbook is run, and who is given that.
NEEDED = {
    "logging read": ("operator", "logging.logEntries.list"),
    "pubsub subscriptions describe": ("operator", "pubsub.subscriptions.get"),
    "pubsub topics get-iam-policy": ("operator", "pubsub.topics.getIamPolicy"),
    "scheduler jobs describe": ("operator", "cloudscheduler.jobs.get"),
    "scheduler jobs resume": ("operator", "cloudscheduler.jobs.enable"),
    "scheduler jobs run": ("operator", "cloudscheduler.jobs.run"),
    "pubsub subscriptions pull": ("on one resource", "google_pubsub_subscription_iam_member"),
    "pubsub subscriptions ack": ("on one resource", "google_pubsub_subscription_iam_member"),
    "pubsub topics publish": ("on one resource", "google_pubsub_topic_iam_member"),
    "auth application-default set-quota-project": ("operator", "serviceusage.services.use"),
    "storage cp": ("policy-editor", "storage.objects.delete"),
    "storage ls": ("operator", "storage.objects.list"),
    "storage cat": ("operator", "storage.objects.get"),
    "run services describe": ("operator", "run.services.get"),
    "beta run worker-pools describe": ("operator", "run.workerpools.get"),
    "run jobs executions list": ("operator", "run.executions.list"),
    "run services update-traffic": ("operator", "run.services.update"),
    "beta run services update": ("operator", "run.services.update"),
    "beta run worker-pools update": ("operator", "run.workerpools.update"),
    "run jobs executions cancel": ("approver", "run.executions.cancel"),
}
#: They ask for nothing, or only say what somebody else did.
NEEDING_NOTHING = {"auth login", "run services replace"}


def runbooks() -> list[Any]:
    """The runbooks, each under its name."""
    return [pytest.param(path, id=path.stem) for path in sorted(RUNBOOKS.glob("*.md"))]


def shell_instructions(text: str) -> str:
    """How a runbook says that one gets to a shell in which its commands work."""
    return text[text.index("**Shell**") : text.index("\n## Look")]


def queries(text: str) -> Iterable[str]:
    """The Logging filters that a runbook has people type."""
    return re.findall(r"gcloud logging read '([^']+)'", text)


@pytest.mark.parametrize("path", runbooks())
def test_a_runbook_fits_into_a_notification(path: Path) -> None:
    """Monitoring cuts nothing off: it refuses what is longer, with the names filled in."""
    assert len(path.read_text().encode()) < LONGEST_DOCUMENTATION - 1500


@pytest.mark.parametrize("path", runbooks())
def test_every_runbook_has_the_same_sections(path: Path) -> None:
    """What it means, how urgent, who, how to get there; then look, decide, act, afterwards."""
    text = path.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SHAPE
    top = text[: text.index("\n## Look")]
    places = [
        top.index(piece) for piece in ("# ", "* **How urgent**: ", "* **Who**: ", "**Shell**")
    ]
    assert places == sorted(places)
    assert places[0] == 0
    meaning = top[: places[1]].split("\n\n", 1)[1]
    assert len(meaning.split()) < 80  # to be read while the notification is still on the screen


@pytest.mark.parametrize("path", runbooks())
def test_a_runbook_names_the_role_for_each_command(path: Path) -> None:
    """Each command is for somebody who is named: in the line that says who, or beside it."""
    text = path.read_text()
    for command in set(re.findall(r"cloud-run-responder ([a-z]+)", text)):
        allowed = ROLES[command]
        assert not allowed or any(f"`{role}`" in text for role in allowed), command


def permissions_by_role() -> dict[str, set[str]]:
    """What people may do, by the role that gives it."""
    listed: list[dict[str, Any]] = json.loads((DEPLOY / "permissions.json").read_text())
    roles = {
        role: {entry["permission"] for entry in listed if role in entry["roles"]}
        for role in ("operator", "approver", "policy-editor")
    }
    return roles | {
        "on one resource": {
            resource.kind
            for resource in module().resources
            if "people" in resource.name or "approvers" in resource.name
        },
    }


def gcloud_commands() -> set[str]:
    """The commands of ``gcloud`` in all runbooks, without what follows the command's name."""
    known = {*NEEDED, *NEEDING_NOTHING}
    found = set()
    for path in RUNBOOKS.glob("*.md"):
        for line in command_lines(path, "gcloud"):
            text = " ".join(line)
            found.add(max((k for k in known if text.startswith(k)), key=len, default=text))
    return found


def test_people_have_exactly_the_permissions_that_runbooks_need() -> None:
    """Every command has its right, and every right in the responder's project its command."""
    assert gcloud_commands() == {*NEEDED, *NEEDING_NOTHING}
    granted = permissions_by_role()
    assert [key for key, (role, right) in NEEDED.items() if right not in granted[role]] == []
    used = {right for _, right in NEEDED.values()}
    listed: list[dict[str, Any]] = json.loads((DEPLOY / "permissions.json").read_text())
    on_duty = {e["permission"] for e in listed if e["scope"] == "responder-project"}
    # Beside logging.logEntries.list, where the query is about a bucket's data access log.
    assert on_duty - used == {"logging.privateLogEntries.list"}
    bucket_queries = [q for p in RUNBOOKS.glob("*.md") for q in queries(p.read_text())
                      if "gcs_bucket" in q]  # fmt: skip
    assert bucket_queries


def test_every_runbook_leads_to_the_same_shell() -> None:
    """With the environment that the functions have, so that both look into one store."""
    (block,) = {shell_instructions(path.read_text()) for path in RUNBOOKS.glob("*.md")}
    given = dict(re.findall(r"(RESPONDER_[A-Z]+)=(\S+)", block))
    assert set(given) <= set(module().locals["environment"])
    buckets = {
        name: module().text(b["name"]) for name, b in module().all("google_storage_bucket").items()
    }
    topic = module().text(module().one("google_pubsub_topic", "outcomes")["name"])
    project = GIVEN["project_id"]
    named = {
        name: value.replace("PROJECT_ID", project).replace("DEPLOYMENT", "threat-responder")
        for name, value in given.items()
    }
    assert named == {
        "RESPONDER_STORE": f"gs://{buckets['evidence']}",
        "RESPONDER_POLICY": f"gs://{buckets['policy']}/{module().locals['policy_object']}",
        "RESPONDER_TOPIC": f"projects/{project}/topics/{topic}",
        "RESPONDER_PROJECT": project,
        "RESPONDER_MODE": "CEILING",  # filled in by Terraform
    }
    assert f'output "{block.split("output -raw ")[1].split(")")[0]}"' in source()


@pytest.mark.parametrize("path", runbooks())
def test_a_runbook_has_only_placeholders_that_are_filled_in(path: Path) -> None:
    """An incident's id stands only where the alert has one to fill in; the same for the others."""
    text = path.read_text()
    by = set(log_alerts().get(path.stem, {}).get("by", []))
    named = {label for word, label in LABELLED.items() if word in text}
    assert named == by
    assert "${" not in text


@pytest.mark.parametrize("path", runbooks())
def test_runbook_queries_parse_as_logging_filters(path: Path) -> None:
    """Each parses as a Logging filter."""
    for query in queries(path.read_text()):
        list_filters.parse_filter(query, list_filters.LOGGING_DIALECT)


def test_dead_letters_are_acknowledged_only_after_redelivery() -> None:
    """They are acknowledged last, after they were delivered again."""
    text = (RUNBOOKS / "dead-letters.md").read_text()
    assert "--auto-ack" not in "".join(re.findall(r"`gcloud[^`]+`", text))
    order = [text.index(f"gcloud pubsub {what}") for what in
             ("subscriptions pull", "topics publish", "subscriptions ack")]  # fmt: skip
    assert order == sorted(order)


def test_the_printed_commands_split_dead_letters_into_files(tmp_path: Path) -> None:
    """Each finding into a file of its own, as it was published; and the id that takes it off."""
    found = sample_notification()
    pulled = [
        {"ackId": f"ack-{number}", "message": {"data": data, "messageId": f"{number}"}}
        for number, data in enumerate(
            (base64.b64encode(encode(found)).decode(), base64.b64encode(b"{}").decode()), 1
        )
    ]
    (tmp_path / "dead-letters.json").write_text(json.dumps(pulled))
    text = (RUNBOOKS / "dead-letters.md").read_text()
    apart, first = (
        subprocess.run(
            (sys.executable, "-c", code), cwd=tmp_path, capture_output=True, check=True, timeout=30
        ).stdout.decode()
        for code in re.findall(r"python -c '([^']+)'", text)
    )
    assert (apart, first) == ("1 1\n2 2\n", "ack-1\n")
    assert json.loads((tmp_path / "dead-letter-1.json").read_bytes()) == found
    assert (tmp_path / "dead-letter-2.json").read_bytes() == b"{}"


async def test_a_runbook_names_no_key_that_show_prints_in_other_words(tmp_path: Path) -> None:
    """`show` prints for people; the keys of the outcome stand in `--json` and in the log only."""
    async with responder_environment(tmp_path) as env:
        answer, _ = await deliver_and_log(env)
    assert answer is not None
    keys = {*answer.outcome.to_json(), "decision.reasons"} - {
        "approval_expires"
    }  # a key of the policy too
    assert {"changes", "gaps", "assessment"} <= keys
    for path in RUNBOOKS.glob("*.md"):
        assert keys & set(re.findall(r"`([a-z_.]+)`", path.read_text())) == set(), path.stem
