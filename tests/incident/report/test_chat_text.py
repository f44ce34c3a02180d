"""Chat text of an outcome: what it reports, and that untrusted text stays plain text."""
# ruff: noqa: RUF001 - lookalikes are what it is about

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.model import Status
from incident.model.outcome import Outcome
from incident.report.chat_text import chat_message, escape_for_chat
from tests.support.constants import INCIDENT_ID, REPOSITORY
from tests.support.model import repeatable

CHANGE: dict[str, Any] = {
    "action": "scale-to-zero",
    "kind": "fields",
    "target": "x",
    "mask": [],
    "before": {},
    "after": {},
    "state": "verified",
    "error": None,
    "stops": True,
    "reversible": True,
    "etag": "",
    "affected": "",
}
OUTCOME: dict[str, Any] = {
    "status": "contained",
    "incident": INCIDENT_ID,
    "finding": {
        "category": "Execution: Modified Malicious Binary Executed",
        "severity": "CRITICAL",
    },
    "workload": {
        "kind": "service",
        "name": "storefront",
        "project": "example-shop-prod",
        "project_number": None,
        "location": "europe-west1",
        "resource_name": "projects/example-shop-prod/locations/europe-west1/services/storefront",
    },
    "detected": {"binary_path": "/usr/local/bin/healthcheck"},
    "decision": {"reasons": ["rule 1 names it", "another"]},
    "changes": [CHANGE],
    "drains_until": "2026-10-02T08:19:12Z",
    "links": {"case_file": "gs://case files/x/incidents/20261002-6255b37a8bf0"},
}
PAGE = (
    "https://console.cloud.google.com/storage/browser/"
    "case%20files/x/incidents/20261002-6255b37a8bf0"
)
#: What we put between backticks ourselves; nobody else can.
_COMMAND = re.compile(r"`cloud-run-responder [a-z]+ [^`\n]*`")
_CODE_FOLDERS = ("clients", "commands", "finding_input", "incident", "responders")
_DECLARED = re.compile(r"\bPermission\(\s*\"([a-zA-Z.]+)\"")
MARKUP = re.compile(r"[<>&*_~`|@#]|\]\(|(?<!\[:)://(?!console\.cloud\.google\.com/)")


def text_of(outcome: dict[str, Any]) -> str:
    """The plain text of an outcome, given as JSON."""
    return chat_message(Outcome.from_json(outcome)).text


def test_it_says_what_where_what_was_done_what_to_do_and_where_to_read_on() -> None:
    """One line for each."""
    show, release = (f"`cloud-run-responder {verb} {INCIDENT_ID}`" for verb in ("show", "release"))
    to_do = (
        f"To do: rotate the exposed secrets first, then find the root cause; {show} has the steps."
        f" False positive? {release}"
    )
    done = "STOPPED. Contained and verified: nothing of it runs."
    assert text_of(OUTCOME).splitlines() == [
        "CONTAINED: Execution: Modified Malicious Binary Executed (CRITICAL)",
        "Where: storefront (service, example-shop-prod, europe-west1)",
        "Detected: /usr/local/bin/healthcheck",
        f"State: {done} Changes: scale-to-zero verified",
        "Requests in flight may run until: 2026-10-02 08:19:12 UTC",
        "Why: rule 1 names it",
        to_do,
        f"Incident 20261002-6255b37a8bf0: {PAGE}",
    ]


@pytest.mark.parametrize("status", list(Status))
def test_every_status_says_what_was_done_and_what_to_do(status: Status) -> None:
    """Only verified containments are called stopped."""
    text = text_of({**OUTCOME, "status": status.value, "changes": []})
    assert text.startswith(f"{status.value.upper()}: ")
    assert "\nState: " in text
    assert "\nTo do: " in text
    assert ("STOPPED. Contained and verified" in text) == (status is Status.CONTAINED)


@pytest.mark.parametrize(
    ("status", "command"),
    [
        (Status.CONTAINED, f"release {INCIDENT_ID}"),
        (Status.RESTRICTED, f"contain {INCIDENT_ID} --action scale-to-zero"),
        (Status.ALREADY_CONTAINED, f"show {INCIDENT_ID}"),
        (Status.UNVERIFIED, f"contain {INCIDENT_ID}"),
        (Status.FAILED, f"contain {INCIDENT_ID}"),
        (Status.AWAITING_APPROVAL, f"approve {INCIDENT_ID}"),
        (Status.HELD, f"contain {INCIDENT_ID} --action scale-to-zero"),
        (Status.PLANNED, f"contain {INCIDENT_ID}"),
        (Status.EXPIRED, f"contain {INCIDENT_ID}"),
    ],
)
def test_each_task_has_its_command(status: Status, command: str) -> None:
    """Each status has the command to run next, in backticks."""
    text = text_of({**OUTCOME, "status": status.value})
    assert f"`cloud-run-responder {command}`" in text
    assert any(words in text for words in ("RUNNING", "STOPPED", "not confirmed stopped"))


def test_the_reason_line_has_detection_and_confidence() -> None:
    """The reason line quotes the assessment, not that no guard objected."""
    known = {"lookup": "known", "said": "VirusTotal: 41 of 70 engines call the file malicious"}
    rich = {
        **OUTCOME,
        "status": "planned",
        "workload": {**OUTCOME["workload"], "kind": "worker-pool"},
        "assessment": {"summary": "a changed binary ran.", "confidence": "high"},
        "detected": {**OUTCOME["detected"], "virustotal": known},
    }
    text = text_of(rich)
    why = "a changed binary ran. Confidence: high. VirusTotal: 41 of 70 engines call the file"
    assert f"\nWhy: {why} malicious\n" in text
    long = {**rich, "assessment": {"summary": f"{'word ' * 100}end", "confidence": "high"}}
    assert "word word end. Confidence: high. VirusTotal" in text_of(long)
    assert "\nWhere: storefront (worker pool, " in text
    assert "\nWhy: rule 1 names it" in text_of({**rich, "status": "held"})


def test_a_plan_that_waits_says_for_whom_and_until_when() -> None:
    """The text names the approver's role and the expiry."""
    waiting = {
        **OUTCOME,
        "status": "awaiting-approval",
        "approval_expires": "2026-10-02T20:14:12.318000Z",
        "changes": [{**OUTCOME["changes"][0], "state": "validated"}],
    }
    text = text_of(waiting)
    assert "The code still runs until an approver approves the plan. Plan: scale-to-zero\n" in text
    assert "To do: as an approver, read" in text
    assert text.splitlines()[-2].endswith("before 2026-10-02 20:14:12 UTC, when the plan expires")


def test_a_command_that_would_be_refused_is_not_suggested() -> None:
    """The text names the fix and the command that checks it."""
    bar = {
        "text": "t",
        "first": "Fix `it` first",
        "command": "cloud-run-responder policy check /p.yaml",
    }
    held = {**OUTCOME, "status": "held", "decision": {"reasons": [], "barred": [bar]}}
    text = text_of(held)
    assert "cloud-run-responder contain" not in text
    assert "Fix ʼitʼ first (`cloud-run-responder policy check /p.yaml`)" in text
    hostile = {
        **held["decision"],
        "barred": [{**bar, "command": "cloud-run-responder policy check `x`"}],
    }
    assert "`x`" not in text_of({**held, "decision": hostile})


def test_a_release_says_who_gave_what_back() -> None:
    """The text names the operator, what was restored and what was not."""
    cancelled = {**CHANGE, "action": "cancel-executions", "reversible": False}
    released = {
        **OUTCOME,
        "status": "released",
        "decision": {"reasons": ["released by ops@example.com", "rule 1 names it"]},
        "changes": [*OUTCOME["changes"], cancelled],
        "drains_until": None,
    }
    text = text_of(released)
    assert (
        "It was released by ops＠example[.]com. Restored: scale-to-zero,"
        " NOT cancel-executions, which cannot be undone"
    ) in text
    assert "verified" not in text
    assert "Why:" not in text


def test_what_cannot_be_taken_back_is_not_promised() -> None:
    """A plan marks irreversible changes, and a containment offers no release of them."""
    cancel = {**CHANGE, "action": "cancel-executions", "reversible": False}
    job = {**OUTCOME, "workload": {**OUTCOME["workload"], "kind": "job"}, "changes": [cancel]}
    assert "cloud-run-responder release" not in text_of(job)
    assert "cancel-executions (cannot be undone)" in text_of({**job, "status": "planned"})
    assert "--action cancel-executions" in text_of({**job, "status": "held"})


def test_a_failure_before_any_plan_names_the_action() -> None:
    """Without a recorded plan the command has `--action`."""
    text = text_of({**OUTCOME, "status": "failed", "changes": []})
    assert "The workload is still running. Changes: no change on record" in text
    assert f"contain {INCIDENT_ID} --action scale-to-zero" in text


def test_a_failing_action_is_not_hidden_behind_one_that_held() -> None:
    """Each action has its state."""
    changes = [*OUTCOME["changes"], {**CHANGE, "action": "restrict-ingress", "state": "failed"}]
    text = text_of({**OUTCOME, "changes": changes})
    assert "scale-to-zero verified, restrict-ingress failed" in text


def test_many_changes_are_counted() -> None:
    """A long list is cut and counted."""
    changes = [{**CHANGE, "action": f"a-{number}"} for number in range(9)]
    assert "a-5 verified and 3 more" in text_of({**OUTCOME, "changes": changes})


def test_an_outcome_of_little_has_a_text_too() -> None:
    """Workload, severity and link may be missing."""
    text = text_of({"status": "held", "incident": "i"})
    assert "no known Cloud Run workload" in text
    assert "cloud-run-responder show i" in text
    assert "cloud-run-responder contain" not in text


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("<!channel> look", "‹!channel› look"),
        ("<https://evil.example|log in>", "‹https[:]//evil[.]example¦log in›"),
        ("[log in](https://evil.example)", "(log in)(https[:]//evil[.]example)"),
        ("<users/all>", "‹users/all›"),
        ("*b* _i_ ~s~ `c`", "∗b∗ ＿i＿ ∼s∼ ʼcʼ"),
        ("&lt;!here&gt;", "＆lt;!here＆gt;"),
        ("@here #general", "＠here ＃general"),
        ("two\nlines\r\n\t and\u2028more", "two lines and more"),
        ("\u202egnp.exe\u2066\x1b[31m\x00", "�gnp[.]exe��(31m�"),
        ("e\u0301 a\u0301\u0316\u0317", "é á��"),
        ("mailto:a@b.example tel:+1", "mailto[:]a＠b[.]example tel[:]+1"),
        ("www.evil.example", "www[.]evil[.]example"),
        ("evil\u3002example evil\uff0eexample evil\uff61example", " ".join(["evil[.]example"] * 3)),
        ("/srv/python3.11 [redacted:0123abcd]", "/srv/python3.11 (redacted:0123abcd)"),
        ("x" * 700 + ".sh", "x" * 300 + "…" + "x" * 297 + "[.]sh"),
        (
            "lacks run.services.update and iam.serviceAccounts.actAs on it",
            "lacks `run.services.update` and `iam.serviceAccounts.actAs` on it",
        ),
        ("storage.evil.com run.services.evil", "storage[.]evil[.]com run[.]services[.]evil"),
        ("a.run.jobs.run x@run.jobs.run", "a[.]run[.]jobs[.]run x＠run[.]jobs[.]run"),
        (
            "https://run.jobs.run run.jobs.run.example",
            "https[:]//run[.]jobs[.]run run[.]jobs[.]run[.]example",
        ),
    ],
)
def test_what_either_room_would_act_upon_is_plain_text(hostile: str, shown: str) -> None:
    """Markup becomes lookalikes, and the text stays readable."""
    assert escape_for_chat(hostile) == shown


@repeatable
@given(st.text(max_size=600))
def test_no_text_has_markup_or_leaves_its_line(hostile: str) -> None:
    """Any text gives one bounded line without markup."""
    shown = escape_for_chat(hostile)
    assert not MARKUP.search(shown)
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp", "Cs"}]
    assert len(shown.splitlines()) <= 1
    assert len(shown) <= 800


@repeatable
@given(st.text(min_size=1, max_size=300), st.sampled_from(list(Status)))
def test_no_outcome_has_markup_and_none_is_long(hostile: str, status: Status) -> None:
    """The same with the text in every untrusted place of an outcome."""
    hostile = f"x{hostile}"
    outcome = {
        **OUTCOME,
        "status": status.value,
        "incident": hostile,
        "finding": {"category": hostile, "severity": hostile},
        "workload": {
            "kind": "service",
            "project_number": None,
            **dict.fromkeys(("name", "project", "location", "resource_name"), hostile),
        },
        "detected": {"binary_path": hostile},
        "decision": {"reasons": [hostile]},
        "changes": [{**CHANGE, "action": hostile, "error": hostile}] * 9,
        "links": {"case_file": f"gs://{hostile}"},
    }
    text = text_of(outcome)
    assert not MARKUP.search(_COMMAND.sub("", re.sub(r"https://console\S*", "", text)))
    assert len(text.splitlines()) == (7 if status is Status.RELEASED else 8), text
    assert len(text) < 12_000


def test_every_permission_stays_whole() -> None:
    """Those to grant, and those that the code declares: an operator copies them from a message."""
    granted = json.loads((REPOSITORY / "deploy" / "permissions.json").read_text())
    names = {str(each["permission"]) for each in granted}
    for folder in _CODE_FOLDERS:
        for source in (REPOSITORY / folder).rglob("*.py"):
            names.update(_DECLARED.findall(source.read_text()))
    assert {"iam.serviceAccounts.getAccessToken", "run.instances.stop"} <= names
    assert len(names) > 30
    for name in sorted(names):
        assert escape_for_chat(f"lacks {name} on x") == f"lacks `{name}` on x"
