"""The report: what stands in it, and that nothing in it is anything but text."""

from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from incident.report import CaseObjects, render, shown
from tests.road import road

_TAGS = "<script>hacked=1</script>\"'><img src=x onerror=hacked=1>"
HOSTILE = _TAGS + "\x1b[31m\u202e=cmd|' /C calc'!A0{{7*7}}"
_FORBIDDEN = {"script", "img", "iframe", "link", "object", "embed", "form", "base"}
_SCHEMES = re.compile(r"(?:https://|#)")


class Seen(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        self.elements.add(tag)
        self.attributes += attrs


async def a_case(folder: Path) -> CaseObjects:
    """The case file of the sample finding."""
    async with road(folder) as way:
        outcome = (await way.deliver()).outcome
        stored = way.stored(f"incidents/{outcome['incident']}/**/*")
    named = {path.partition("/")[2].partition("/")[2]: data for path, data in stored.items()}
    evidence = {
        name.removeprefix("evidence/").removesuffix(".json"): json.loads(data)
        for name, data in named.items()
        if name.startswith("evidence/")
    }
    evidence["logs"] = [json.loads(line) for line in named["logs.jsonl"].splitlines()]
    records = [json.loads(d) for n, d in named.items() if re.fullmatch(r"\d{4}-[a-z]+\.json", n)]
    return CaseObjects(outcome, evidence, records, dict.fromkeys(named, "0" * 64))


def with_hostile_text(value: Any) -> Any:
    """The same with a hostile text in the place of each text that is not a number or a word."""
    if isinstance(value, dict):
        return {key: with_hostile_text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_hostile_text(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


async def test_the_page_says_what_matters_and_refers_to_nothing_outside(tmp_path: Path) -> None:
    """Verdict, next steps, process, exposure, evidence; no script, and links are only links."""
    page = render(await a_case(tmp_path))
    for words in (
        "contained",
        "What to do now",
        "/usr/local/bin/healthcheck",
        "storefront-session-key",
        "Timeline",
        "Exposure",
        "T1105",
        "minInstanceCount: 1",
        "an attacker may have forged them",
        "python cli.py release",
        "(first: what still runs would read a new secret version as well)",
    ):
        assert words in page
    seen = Seen()
    seen.feed(page)
    assert not seen.elements & _FORBIDDEN
    for name, value in seen.attributes:
        assert not name.startswith("on")
        assert name not in {"src", "srcset", "action", "data", "background"}
        if name == "href":
            assert _SCHEMES.match(value or "")
    assert "url(" not in page
    assert "@import" not in page


async def test_hostile_text_in_every_field_stays_text(tmp_path: Path) -> None:
    """Whatever the outcome and the evidence say, the elements of the page are the same."""
    case = await a_case(tmp_path)
    hostile = CaseObjects(
        {**with_hostile_text(case.outcome), "status": HOSTILE, "incident": HOSTILE},
        with_hostile_text(case.evidence),
        with_hostile_text(list(case.records)),
        {HOSTILE: HOSTILE},
    )
    page = render(hostile)
    seen, honest = Seen(), Seen()
    seen.feed(page)
    honest.feed(render(case))
    assert seen.elements <= honest.elements
    assert not any(name.startswith("on") for name, _ in seen.attributes)
    assert "<script" not in page
    assert "{{7*7}}" in page
    assert not set(page) & {"\x1b", "\u202e"}


async def test_the_same_case_makes_the_same_page(tmp_path: Path) -> None:
    """A page is a function of what is stored: two runs that write it write the same bytes."""
    case = await a_case(tmp_path)
    assert render(case) == render(copy.deepcopy(case))


@pytest.mark.parametrize(
    "outcome",
    [
        {"assessment": None},
        {"workload": None, "changes": []},
        {"detected": {"arguments": []}},
        {"timings_ms": {}, "gaps": [{"collector": "logs", "reason": "no answer within 10 s"}]},
    ],
)
async def test_what_is_lacking_is_said(tmp_path: Path, outcome: dict[str, Any]) -> None:
    """No responder, no workload, nothing detected, gaps: the page stands all the same."""
    case = await a_case(tmp_path)
    told: dict[str, Any] = {**case.outcome, **outcome}
    whole: Any = case.outcome["detected"]
    told["detected"] = {**dict.fromkeys(whole), "arguments": [], **told["detected"]}
    page = render(CaseObjects(told, {}, (), {}))
    assert ("no answer within 10 s" in page) is bool(outcome.get("gaps"))


def test_what_cannot_be_seen_is_shown() -> None:
    """Control and bidirectional characters are spelled out, and length is bounded."""
    assert shown("a\x1b[31m\u202eb") == "a\\x1b[31m\\u202eb"
    assert len(shown("x" * 100_000)) < 1000
