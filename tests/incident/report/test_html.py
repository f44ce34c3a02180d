"""Page of an incident: its content, and that untrusted text stays text."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from incident.case_file.index import CaseSummary
from incident.model import Gap, Status
from incident.model.outcome import Outcome, ReportedDecision, ReportedProcess
from incident.patrol.unfinished import closing_outcome
from incident.report.html import CaseFileContents, render_html
from incident.report.html_template import page_text
from tests.support.constants import INCIDENT_ID
from tests.support.environment import responder_environment
from tests.support.findings import sample_notification
from tests.support.model import record

_TAGS = "<script>hacked=1</script>\"'><img src=x onerror=hacked=1>"
HOSTILE = _TAGS + "\x1b[31m\u202e=cmd|' /C calc'!A0{{7*7}}"
_FORBIDDEN = {"script", "img", "iframe", "link", "object", "embed", "form", "base"}
_SCHEMES = re.compile(r"(?:https://|#)")


class ParsedPage(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record one element."""
        self.elements.add(tag)
        self.attributes += attrs


async def sample_case(folder: Path) -> CaseFileContents:
    """The case file of the sample finding."""
    async with responder_environment(folder) as env:
        outcome = (await env.deliver()).outcome.to_json()
        stored = env.stored_objects(f"incidents/{outcome['incident']}/**/*")
    named = {path.partition("/")[2].partition("/")[2]: data for path, data in stored.items()}
    evidence = {
        name.removeprefix("evidence/").removesuffix(".json"): json.loads(data)
        for name, data in named.items()
        if name.startswith("evidence/")
    }
    evidence["logs"] = [json.loads(line) for line in named["logs.jsonl"].splitlines()]
    records = [json.loads(d) for n, d in named.items() if re.fullmatch(r"\d{4}-[a-z]+\.json", n)]
    return CaseFileContents(Outcome.from_json(outcome), evidence, records)


def with_hostile_text(value: Any) -> Any:
    """The same value with every string replaced by a hostile one."""
    if is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: with_hostile_text(getattr(value, f.name)) for f in fields(value)}
        return replace(value, **changed)
    if isinstance(value, dict):
        return {key: with_hostile_text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(with_hostile_text(item) for item in value)
    return HOSTILE if isinstance(value, str) and not isinstance(value, StrEnum) else value


def page_with(
    case: CaseFileContents, evidence: dict[str, Any] | None = None, **outcome: Any
) -> str:
    """The page of a case with parts replaced; evidence that is None was not read."""
    gathered = {n: v for n, v in {**case.evidence, **(evidence or {})}.items() if v is not None}
    return render_html(replace(case, outcome=replace(case.outcome, **outcome), evidence=gathered))


def section(page: str, name: str) -> str:
    """The part of a page with a title's id, as plain text."""
    part = page.partition(f'<h2 id="{name}">')[2].partition("</section>")[0]
    return " ".join(re.sub(r"<[^>]*>", " ", part).split())


def verdict(page: str) -> str:
    """The text of the verdict."""
    part = page.partition('<div class="verdict')[2].partition("</div>")[0].partition(">")[2]
    return " ".join(re.sub(r"<[^>]*>", " ", part).split())


async def test_the_page_is_complete_and_loads_nothing_external(tmp_path: Path) -> None:
    """Every section is there; no script; links are links only."""
    page = render_html(await sample_case(tmp_path))
    for words in (
        "<title>SIMULATED storefront: malicious binary executed</title>",
        "<h1>storefront: malicious binary executed</h1>",
        "No guard objected",
        "/usr/local/bin/healthcheck",
        "storefront-session-key",
        "T1105",
        "minInstanceCount: 1",
        "an attacker may have forged them",
        "cloud-run-responder release",
        "What was taken outlives the containment.",
        f'@top-left {{ content: "Incident {INCIDENT_ID}, SIMULATED"; }}',
    ):
        assert words in page
    titles = re.findall(r"<h2[^>]*>([^<]*?) *<", page)
    assert titles == [
        *("What happened", "Do next", "Indicators", "Timeline of the attack", "Exposure"),
        *("Changes", "What else is affected", "Decisive log lines"),
        *("Playbook", "Evidence", "Records"),
    ]
    assert re.findall(r"<li>[a-z][^<]*", page) == []
    seen = ParsedPage()
    seen.feed(page)
    assert not seen.elements & _FORBIDDEN
    for name, value in seen.attributes:
        assert not name.startswith("on")
        assert name not in {"src", "srcset", "action", "data", "background"}
        if name == "href":
            assert _SCHEMES.match(value or "")
    assert "url(" not in page
    assert "@import" not in page


async def test_only_what_is_simulated_is_marked(tmp_path: Path) -> None:
    """In the title, at the top and on each printed page."""
    case = await sample_case(tmp_path)
    assert render_html(case).count("SIMULATED") == len(("title", "top", "paper"))
    assert "SIMULATED" not in page_with(case, simulated=None)


async def test_the_first_screen_answers_what_runs_what_to_do_and_what_to_block(
    tmp_path: Path,
) -> None:
    """Verdict, chips, five facts, three actions, indicators, the attack in order."""
    page = render_html(await sample_case(tmp_path))
    assert verdict(page).startswith("CONTAINED STOPPED since 2026-10-02 08:14:12 UTC")
    chips = re.findall(r"<li class=\"\w+\"><span>(.*?)</span> <strong>(.*?)</strong>", page)
    assert chips == [
        ("Severity", "CRITICAL"),
        ("Confidence", "high"),
        ("Exposure", "internet, no authentication"),
        ("Identity", "storefront"),
        ("Secrets in reach", "2"),
    ]
    facts = page.partition('<h2 id="facts">')[2].partition("</section>")[0]
    assert re.findall(r"<dt>(.*?)</dt>", facts) == ["What", "File", "Process", "Where", "When"]
    actions = page.partition('<ol class="next">')[2].partition("</ol>")[0]
    assert re.findall(r'<a href="#task-(\d)">', actions) == ["1", "2", "3"]
    shown = section(page, "indicators")
    for words in (
        "pool[.]example[.]net pool.example.net command line",
        "hxxp://198[.]51[.]100[.]23/update.bin http://198.51.100.23/update.bin stderr 08:14:00",
        "203[.]0[.]113[.]77 203.0.113.77 request 08:13:59, 08:14:09",
        "account storefront@example-shop-prod.iam.gserviceaccount.com",
    ):
        assert words in shown
    events = section(page, "timeline")
    order = (
        "deployed by",
        "allUsers added",
        "Related finding",
        "POST /upload",
        "fetched",
        "FINDING",
    )
    assert [events.index(words) for words in order] == sorted(events.index(w) for w in order)
    assert re.search(r"Responder: contained, \d+ steps in ", events)


async def test_a_disabled_identity_is_marked(tmp_path: Path) -> None:
    """Once it was verified, and until it is released."""
    case = await sample_case(tmp_path)
    (change,) = case.outcome.changes
    changes = (change, replace(change, action="disable-service-account"))
    shown = "<span>Identity</span> <strong>storefront, disabled</strong>"
    assert shown in page_with(case, changes=changes)
    assert shown not in page_with(case, changes=changes, status=Status.RELEASED)
    assert shown not in render_html(case)


async def test_tasks_are_numbered_and_folded(tmp_path: Path) -> None:
    """Each with its commands in one block, whole however long, and its details below."""
    case = await sample_case(tmp_path)
    page = render_html(case)
    assert case.outcome.assessment
    tasks = case.outcome.assessment.playbook.people
    headings = re.findall(r'<details class="task" id="task-\d+"><summary><h3>(.*?)</h3>', page)
    assert headings == [f"{number}. {task.title}" for number, task in enumerate(tasks, start=1)]
    long = replace(tasks[0], command=f"show {'x' * 900}\nend")
    plan = replace(case.outcome.assessment.playbook, people=(long,))
    changed = replace(case.outcome.assessment, playbook=plan)
    assert f"<code>show {'x' * 900}\nend</code>" in page_with(case, assessment=changed)


async def test_hostile_text_in_every_field_stays_text(tmp_path: Path) -> None:
    """Hostile values add no element and no attribute."""
    case = await sample_case(tmp_path)
    hostile = CaseFileContents(
        replace(with_hostile_text(case.outcome), drains_until=None),
        with_hostile_text(case.evidence),
        with_hostile_text(list(case.records)),
    )
    page = render_html(hostile)
    seen, honest = ParsedPage(), ParsedPage()
    seen.feed(page)
    honest.feed(render_html(case))
    assert seen.elements <= honest.elements
    assert not any(name.startswith("on") for name, _ in seen.attributes)
    assert "<script" not in page
    assert "{{7*7}}" in page
    assert not set(page) & {"\x1b", "\u202e"}
    assert 'content: "Incident script' in page


async def test_the_same_case_makes_the_same_page(tmp_path: Path) -> None:
    """Two runs on the same case file write the same bytes."""
    case = await sample_case(tmp_path)
    assert render_html(case) == render_html(copy.deepcopy(case))


@pytest.mark.parametrize(
    "outcome",
    [
        {"assessment": None},
        {"workload": None, "changes": ()},
        {"detected": None, "finding": None},
        {"timings_ms": {}, "gaps": (Gap("logs", "no answer within 10 s"),)},
    ],
)
async def test_missing_parts_are_shown_as_missing(tmp_path: Path, outcome: dict[str, Any]) -> None:
    """An outcome without responder, workload and detection has a page."""
    case = await sample_case(tmp_path)
    page = render_html(CaseFileContents(replace(case.outcome, **outcome), {}, ()))
    assert ("no answer within 10 s" in page) is bool(outcome.get("gaps"))


_COLLECTORS = ("related-findings", "audit-log", "revisions", "access", "logs")
_NOTHING = ("None in the time", "No change in the time", "None.", "grants nothing", "No entries in")


async def test_unread_evidence_is_not_shown_as_empty(tmp_path: Path) -> None:
    """Missing evidence shows its reason, empty evidence that it is empty."""
    case = await sample_case(tmp_path)
    nobody: Any = {"assessment": None}
    empty = page_with(
        case, {**{name: [] for name in _COLLECTORS}, "access": {"bindings": []}}, **nobody
    )
    assert all(words in empty for words in _NOTHING)
    assert "Not known:" not in empty
    gaps = tuple(Gap(name, f"no {name}") for name in _COLLECTORS)
    lacking = page_with(case, dict.fromkeys(_COLLECTORS), gaps=gaps, **nobody)
    shown = section(lacking, "evidence")
    assert not any(words in shown for words in _NOTHING)
    assert shown.count("Not known: the reason stands under") == len(_COLLECTORS)
    for name in _COLLECTORS:
        assert f"{name}: no {name}" in shown
    unread = page_with(case, dict.fromkeys(_COLLECTORS), **nobody)
    assert section(unread, "evidence").count("Not known: not read") == len(_COLLECTORS)
    partly = page_with(case, gaps=(Gap("logs", "cut at 500"),))
    shown = section(partly, "evidence")
    assert "logs: cut at 500" in shown
    assert "Not complete: the reason stands under" in shown


@pytest.mark.parametrize(
    ("user_id", "claimed", "words"),
    [
        (0, None, "PID 73, user 0 (root))"),
        (101, 0, "PID 73, user 101)"),
        (None, None, "user not given (Security Command Center leaves a 0 out"),
        (None, 0, "user 0 (root) by the notification only)"),
    ],
)
async def test_the_process_is_shown_with_its_parent(
    tmp_path: Path, user_id: int | None, claimed: int | None, words: str
) -> None:
    """A missing user id is not shown as root."""
    case = await sample_case(tmp_path)
    detected = case.outcome.detected
    assert detected
    assert (detected.user_id, detected.user_id_claimed) == (None, 0)
    assert "PID 1, the first process of the container" in render_html(case)
    parent = ReportedProcess(pid=12, binary_path="/usr/sbin/nginx", arguments=("nginx: w",))
    changed = replace(
        detected,
        user_id=user_id,
        user_id_claimed=claimed,
        parent_pid=12,
        parents=(parent,),
        libraries=("/opt/x.so",),
        script="/opt/i.sh",
    )
    shown = section(page_with(case, detected=changed), "evidence")
    for text in (words, "Parent /usr/sbin/nginx: nginx: w (PID 12,", "/opt/x.so", "/opt/i.sh"):
        assert text in shown


async def test_executions_are_shown_as_they_were_before_the_containment(tmp_path: Path) -> None:
    """The table says that its states are older than the cancellation."""
    job = sample_notification("v1-job-execution")
    rules = "mode: enforce\ncontain:\n  job: [cancel-executions]\n"
    async with responder_environment(tmp_path, notification=job, policy_text=rules) as env:
        await env.deliver()
        (path,) = env.stored_objects("incidents/*/report.html")
        page = (tmp_path / "store" / path).read_text()
    assert "As read before the containment at 2" in page
    assert ">State before<" in page
    assert "<dt>Execution</dt><dd>nightly-report-" in page
    assert "<dt>Revision</dt>" not in page
    assert ">yes, verified</td>" in page


async def test_the_same_reason_is_given_once(tmp_path: Path) -> None:
    """What several collectors lack for one reason stands together; the verdict's is referred to."""
    case = await sample_case(tmp_path)
    gaps = tuple(
        Gap(name, reason)
        for name, reason in (
            ("settings", "r-one"),
            ("revisions", "r-one"),
            ("logs", "r-two"),
            ("audit-log", "r-two"),
        )
    )
    decision = ReportedDecision(reasons=("r-one", "r-three"))
    for status in (Status.FAILED, Status.HELD):
        page = page_with(case, status=status, gaps=gaps, decision=decision, changes=())
        assert page.count("r-one") == 1
        assert page.count("r-two") == 1
        assert "<strong>logs, audit-log:</strong> r-two</p>" in page
        assert "<strong>settings, revisions:</strong> the reason at the top</p>" in page


_VERDICT_REASONS = (
    (Status.HELD, None, "The first reason"),
    (Status.FAILED, "permission missing", "permission missing"),
    (Status.FAILED, None, "The first reason"),
    (Status.UNVERIFIED, "not seen within 60 s", "Not seen within 60 s"),
    (Status.UNVERIFIED, "undone since: scaling", "The first reason"),
    (Status.RESTRICTED, None, None),
    (Status.CONTAINED, None, None),
)


async def test_the_verdict_says_why_it_came_to_this(tmp_path: Path) -> None:
    """The verdict quotes the error of a write, or the decision's first reason."""
    case = await sample_case(tmp_path)
    decision = ReportedDecision(reasons=("the first reason", "another"))
    for status, error, why in _VERDICT_REASONS:
        undone = bool(error and error.startswith("undone"))
        changes = tuple(
            replace(change, error=error, reverted=undone) for change in case.outcome.changes
        )
        page = page_with(case, status=status, changes=changes, decision=decision)
        shown = re.search(r"<strong>Why:</strong> (.*)</p>", page)
        assert (shown and shown[1]) == why
        assert ("The containment was undone." in page) is undone


_STATES = {
    Status.CONTAINED: "STOPPED",
    Status.ALREADY_CONTAINED: "STOPPED",
    Status.UNVERIFIED: "MAY BE RUNNING",
    Status.RESTRICTED: "RUNNING",
    Status.FAILED: "RUNNING",
    Status.AWAITING_APPROVAL: "RUNNING",
    Status.HELD: "RUNNING",
    Status.PLANNED: "RUNNING",
    Status.EXPIRED: "RUNNING",
    Status.RELEASED: "RUNNING",
}


async def test_every_status_says_whether_it_runs_and_since_when(tmp_path: Path) -> None:
    """First thing, with the time; only what was verified is called stopped."""
    case = await sample_case(tmp_path)
    for status, state in _STATES.items():
        shown = verdict(page_with(case, status=status))
        word = status.value.replace("-", " ").upper()
        assert re.match(rf"{word} {state} (since|as of) 2026-10-02 08:14:1\d UTC ", shown), shown
    failed, waiting = (
        verdict(page_with(case, status=each)) for each in (Status.FAILED, Status.AWAITING_APPROVAL)
    )
    assert "Containment FAILED. The workload is still running." in failed
    assert "The code still runs until an approver approves the plan." in waiting
    assert "RUNNING" not in verdict(page_with(case, status=Status.HELD, workload=None))


async def test_the_verdict_tells_to_wait_for_nothing_that_may_have_passed(tmp_path: Path) -> None:
    """It names the time until which requests may run: the page is read at any time."""
    case = await sample_case(tmp_path)
    shown = verdict(render_html(case))
    assert "Requests in flight end by 2026-10-02 08:19:12 UTC." in shown
    assert "wait" not in shown.lower()


async def test_a_pending_plan_shows_its_deadline_and_approver(tmp_path: Path) -> None:
    """Only while the plan waits."""
    case = await sample_case(tmp_path)
    assert case.outcome.drains_until
    expires: Any = {"approval_expires": case.outcome.drains_until}
    shown = verdict(page_with(case, status=Status.AWAITING_APPROVAL, **expires))
    assert "The plan expires 2026-10-02 08:19:12 UTC. The role approver approves." in shown
    assert "plan expires" not in verdict(page_with(case, **expires))


def test_an_incident_that_could_not_be_resumed_has_a_page() -> None:
    """A case file with only its first record has a page."""
    first = record(1, "received", finding="f", event_time="2026-10-02T08:14:07Z", workload="w")
    outcome = closing_outcome(
        CaseSummary(INCIDENT_ID, "incidents/x", (first,)), "gone", "file:///x"
    )
    page = render_html(CaseFileContents(outcome, {}, ()))
    assert "<h1>Unknown workload: finding of an unknown type</h1>" in page
    assert page.count("Not known: the finding names no Cloud Run workload") > 1


@pytest.mark.parametrize(
    ("category", "words"),
    [
        ("Execution: Modified Malicious Binary Executed", "malicious binary executed"),
        ("Execution: Built in Malicious Binary Executed", "malicious binary executed"),
        ("Reverse Shell", "reverse shell"),
        ("Unexpected Child Shell", "unexpected child shell"),
        ("Command and Control: Find Google Cloud Credentials", "find Google Cloud credentials"),
        ("Malicious URL Observed", "malicious URL observed"),
        ("", "finding of an unknown type"),
    ],
)
async def test_the_title_says_what_happened(tmp_path: Path, category: str, words: str) -> None:
    """In plain words, whatever the finding's type."""
    case = await sample_case(tmp_path)
    assert case.outcome.finding
    finding = replace(case.outcome.finding, category=category)
    assert f"<h1>storefront: {words}</h1>" in page_with(case, finding=finding)


def test_invisible_characters_are_spelled_out() -> None:
    """Control and bidirectional characters become escapes, and length is bounded."""
    assert page_text("a\x1b[31m\u202eb") == "a\\x1b[31m\\u202eb"
    assert len(page_text("x" * 100_000)) < 1000
