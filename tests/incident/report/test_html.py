"""HTML report: its content, and that untrusted text stays text."""

from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from incident.case_file.index import CaseSummary
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
    return CaseFileContents(outcome, evidence, records, dict.fromkeys(named, "0" * 64))


def with_hostile_text(value: Any) -> Any:
    """The same value with every string replaced by a hostile one."""
    if isinstance(value, dict):
        return {key: with_hostile_text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_hostile_text(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


async def test_the_page_is_complete_and_loads_nothing_external(tmp_path: Path) -> None:
    """Every section is there; no script; links are links only."""
    page = render_html(await sample_case(tmp_path))
    for words in (
        "contained",
        "What to do now",
        "How sure, and why",
        "No guard objected",
        "/usr/local/bin/healthcheck",
        "storefront-session-key",
        "Timeline",
        "Exposure",
        "T1105",
        "minInstanceCount: 1",
        "an attacker may have forged them",
        "cloud-run-responder release",
        "What was taken outlives the containment.",
    ):
        assert words in page
    assert re.findall(r"<li[^>]*>[a-z][^<]*", page) == []
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


async def test_each_task_has_its_heading(tmp_path: Path) -> None:
    """Tasks are numbered; the first one is in the verdict too."""
    case = await sample_case(tmp_path)
    page = render_html(case)
    assessment: Any = case.outcome["assessment"]
    titles = [task["title"] for task in assessment["plan"]["people"]]
    headings = re.findall(r"<h3>(\d+\. .*?)</h3>", page)
    assert headings == [f"{number}. {title}" for number, title in enumerate(titles, start=1)]
    assert re.search(r"Do first:</strong> <a href=\"#next\">Tell soc@example.com", page)


async def test_hostile_text_in_every_field_stays_text(tmp_path: Path) -> None:
    """Hostile values add no element and no attribute."""
    case = await sample_case(tmp_path)
    hostile = CaseFileContents(
        {**with_hostile_text(case.outcome), "status": HOSTILE, "incident": HOSTILE},
        with_hostile_text(case.evidence),
        with_hostile_text(list(case.records)),
        {HOSTILE: HOSTILE},
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


async def test_the_same_case_makes_the_same_page(tmp_path: Path) -> None:
    """Two runs on the same case file write the same bytes."""
    case = await sample_case(tmp_path)
    assert render_html(case) == render_html(copy.deepcopy(case))


@pytest.mark.parametrize(
    "outcome",
    [
        {"assessment": None},
        {"workload": None, "changes": []},
        {"detected": {"arguments": []}},
        {"timings_ms": {}, "gaps": [{"collector": "logs", "reason": "no answer within 10 s"}]},
    ],
)
async def test_missing_parts_are_shown_as_missing(tmp_path: Path, outcome: dict[str, Any]) -> None:
    """An outcome without responder, workload and detection has a page."""
    case = await sample_case(tmp_path)
    changed: dict[str, Any] = {**case.outcome, **outcome}
    whole: Any = case.outcome["detected"]
    changed["detected"] = {**dict.fromkeys(whole), "arguments": [], **changed["detected"]}
    page = render_html(CaseFileContents(changed, {}, (), {}))
    assert ("no answer within 10 s" in page) is bool(outcome.get("gaps"))


def page_with(case: CaseFileContents, evidence: dict[str, Any], **outcome: Any) -> str:
    """The page of a case with parts replaced; None means not read."""
    changed: dict[str, Any] = {**case.outcome, **outcome}
    gathered = {n: v for n, v in {**case.evidence, **evidence}.items() if v is not None}
    return render_html(
        CaseFileContents(changed, gathered, case.records, case.digests, case.containment)
    )


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
    gaps = [{"collector": name, "reason": f"no {name}"} for name in _COLLECTORS]
    lacking = page_with(case, dict.fromkeys(_COLLECTORS), gaps=gaps, **nobody)
    assert not any(words in lacking for words in _NOTHING)
    for name in _COLLECTORS:
        assert f"<strong>{name}:</strong> no {name}</p>" in lacking
    assert lacking.count("<strong>Not known:</strong> <a href") == len(_COLLECTORS)
    unread = page_with(case, dict.fromkeys(_COLLECTORS), **nobody)
    assert unread.count("<strong>Not known:</strong> it was not read") == len(_COLLECTORS)


@pytest.mark.parametrize(
    ("user_id", "claimed", "words"),
    [
        (0, None, "<strong>root</strong> (0)</dd>"),
        (101, 0, "<dd>101</dd>"),
        (None, None, "<dd>not given"),
        (None, 0, "<strong>root</strong> (0), by the notification"),
    ],
)
async def test_the_process_is_shown_with_its_parent(
    tmp_path: Path, user_id: int | None, claimed: int | None, words: str
) -> None:
    """A missing user id is not shown as root."""
    case = await sample_case(tmp_path)
    detected: Any = case.outcome["detected"]
    assert (detected["user_id"], detected["user_id_claimed"]) == (None, 0)
    assert "Process id 1 is the first process of the container" in render_html(case)
    parent = {**detected, "pid": 12, "binary_path": "/usr/sbin/nginx", "arguments": ["nginx: w"]}
    changed = {
        **detected,
        "user_id": user_id,
        "user_id_claimed": claimed,
        "parent_pid": 12,
        "parents": [parent],
    }
    page = page_with(
        case, {}, detected={**changed, "libraries": ["/opt/x.so"], "script": "/opt/i.sh"}
    )
    known = {**detected["virustotal"], "said": "VirusTotal: 58 of 71 engines call it malicious"}
    assert "<dt>VirusTotal</dt><dd>58 of" in page_with(
        case, {}, detected={**changed, "virustotal": known}
    )
    for text in (words, "process id 12: <code>nginx: w</code>", "/opt/x.so", "/opt/i.sh"):
        assert text in page


async def test_executions_are_shown_as_they_were_before_the_containment(tmp_path: Path) -> None:
    """The table says that its states are older than the cancellation."""
    job = sample_notification("v1-job-execution")
    rules = "mode: enforce\ncontain:\n  job: [cancel-executions]\n"
    async with responder_environment(tmp_path, notification=job, policy_text=rules) as env:
        await env.deliver()
        (path,) = env.stored_objects("incidents/*/report.html")
        page = (tmp_path / "store" / path).read_text()
    assert "As read before the containment at 2" in page
    assert "State before" in page
    assert "<dt>Execution</dt><dd>nightly-report-" in page
    assert "<dt>Revision</dt>" not in page
    assert ">yes, verified</td>" in page


async def test_the_same_reason_is_given_once_in_full(tmp_path: Path) -> None:
    """Later places refer to the first one."""
    case = await sample_case(tmp_path)
    gaps = [
        *(
            {"collector": "settings", "reason": "r-one"},
            {"collector": "revisions", "reason": "r-one"},
        ),
        *({"collector": "logs", "reason": "r-two"}, {"collector": "audit-log", "reason": "r-two"}),
    ]
    decision = {"verdict": "hold", "reasons": ["r-one"]}
    refused = {"status": "failed", "gaps": gaps, "decision": decision, "changes": []}
    page = page_with(case, dict.fromkeys(_COLLECTORS), **refused)
    text = page[: page.index('<svg viewBox="0 0 360')] + page.rpartition("</svg>")[2]
    assert (text.count("r-one"), text.count("r-two")) == (1, 1)
    assert "<strong>audit-log:</strong> for the same reason as logs</p>" in page
    assert "<li>As the verdict at the top says</li>" in page


_VERDICT_REASONS = (
    ("held", None, "the first reason"),
    ("failed", "permission missing", "permission missing"),
    ("failed", None, "the first reason"),
    ("unverified", "not seen within 60 s", "not seen within 60 s"),
    ("unverified", "undone since: scaling", "the first reason"),
    ("restricted", None, None),
    ("contained", None, None),
)


async def test_the_verdict_says_why_it_came_to_this(tmp_path: Path) -> None:
    """The verdict quotes the error of a write, or the decision's first reason."""
    case = await sample_case(tmp_path)
    listed: Any = case.outcome["changes"]
    decision = {"verdict": "contain", "reasons": ["the first reason", "another"]}
    for status, error, why in _VERDICT_REASONS:
        changes = [{**change, "error": error} for change in listed]
        page = page_with(case, {}, status=status, changes=changes, decision=decision)
        shown = re.search(r"<strong>Why:</strong> (.*)</p>", page)
        assert (shown and shown[1]) == why
        assert not why or page.index("Do first:") < page.index("Why:</strong>")
        assert ("Undone since." in page) is bool(error and error.startswith("undone"))


async def test_a_pending_plan_shows_its_deadline_and_approver(tmp_path: Path) -> None:
    """Only while the plan waits."""
    case = await sample_case(tmp_path)
    expires = "2026-10-02T20:14:12.352003Z"
    page = page_with(case, {}, status="awaiting-approval", approval_expires=expires)
    verdict = page.partition("</header>")[0]
    assert "<strong>Until 2026-10-02 20:14:12 UTC</strong> the plan may be approved" in verdict
    assert "<code>approver</code>" in verdict
    assert "may be approved" not in page_with(case, {}, approval_expires=expires)


def test_an_incident_that_could_not_be_resumed_has_a_page() -> None:
    """A case file with only its first record has a page."""
    first = record(1, "received", finding="f", event_time="2026-10-02T08:14:07Z", workload="w")
    outcome = closing_outcome(
        CaseSummary(INCIDENT_ID, "incidents/x", (first,)), "gone", "file:///x"
    )
    page = render_html(CaseFileContents(outcome.to_json(), {}, (), {}))
    assert "A finding whose category is not known" in page
    assert page.count("<strong>Not known:</strong> the finding names no Cloud Run workload") > 1


def test_invisible_characters_are_spelled_out() -> None:
    """Control and bidirectional characters become escapes, and length is bounded."""
    assert page_text("a\x1b[31m\u202eb") == "a\\x1b[31m\\u202eb"
    assert len(page_text("x" * 100_000)) < 1000
