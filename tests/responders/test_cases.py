"""The JSON cases beside the responders: a finding, what was gathered, and what is made of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import responders
from incident.model import Access, Assessment, Binding, Evidence, Responder, Verdict, Volume
from incident.notification import parse_record
from responders import RESPONDERS
from responders import _attack as attack
from responders._row import Row
from responders._unknown import UNKNOWN
from tests.values import finding, raw_finding, settings, template

CASES = Path(next(iter(responders.__path__))) / "cases"
KNOWN = {each.name: each for each in (*RESPONDERS.values(), UNKNOWN)}
TOLD = [
    pytest.param(path.stem, case, id=f"{path.stem}: {case['case']}")
    for path in sorted(CASES.glob("*.json"))
    for case in json.loads(path.read_text())
]


def gathered(
    *,
    confirmed: bool = True,
    related: list[str] | None = None,
    public: bool = False,
    service_account: str = "storefront@example-shop-prod.iam.gserviceaccount.com",
    secrets: tuple[str, ...] = (),
    persists: tuple[str, ...] = (),
) -> Evidence:
    """The evidence that a case words; a key that is none of these is a mistake."""
    running = replace(
        template(),
        service_account=service_account,
        secret_names=tuple(secrets),
        volumes=tuple(Volume("data", source, persists=True) for source in persists),
    )
    others = (
        None
        if related is None
        else tuple(finding(finding_id=each, category=each) for each in related)
    )
    members = ("allUsers",) if public else ("user:x@example.com",)
    return Evidence(
        finding(),
        confirmed=confirmed,
        settings=settings(template=running),
        related=others,
        access=Access((Binding("roles/run.invoker", members, None),)),
    )


def assessed(responder: Responder, case: dict[str, Any]) -> Assessment:
    """What a responder makes of a case, read by the parser that reads SCC's own records."""
    category = case.get("category") or responder.categories[0]
    record = raw_finding(**case["finding"], category=category)
    evidence = replace(gathered(**case.get("evidence", {})), finding=parse_record(record))
    return responder.assess(evidence)


@pytest.mark.parametrize(("name", "case"), TOLD)
def test_a_case_is_read_as_expected(name: str, case: dict[str, Any]) -> None:
    """Verdict, confidence, techniques, and the words that an analyst needs."""
    assert set(case) <= {"case", "category", "finding", "evidence", "expect"}
    answer, expect = assessed(KNOWN[name], case), case["expect"]
    assert set(expect) <= {"verdict", "confidence", "techniques", "summary", "reasons", "unsaid"}
    assert answer.verdict.value == expect["verdict"]
    assert answer.confidence.value == expect["confidence"]
    assert [technique.id for technique in answer.techniques] == expect["techniques"]
    said = "\n".join(reason.text for reason in answer.reasons)
    assert [text for text in expect["summary"] if text not in answer.summary] == []
    assert [text for text in expect["reasons"] if text not in said] == []
    everything = f"{answer.summary}\n{said}"
    assert [text for text in expect.get("unsaid", ()) if text in everything] == []


def test_every_responder_has_a_case_of_each_of_its_categories() -> None:
    """Nobody adds a responder, or a spelling, without saying what it should make of a finding."""
    lacking = []
    for name, responder in KNOWN.items():
        path = CASES / f"{name}.json"
        cases = json.loads(path.read_text()) if path.exists() else []
        told = {case.get("category") or responder.categories[0] for case in cases}
        lacking += [(name, category) for category in responder.categories if category not in told]
        if not cases:
            lacking.append((name, "any"))
    assert lacking == []


def test_every_file_of_cases_belongs_to_a_responder() -> None:
    """A case that is left behind by a renamed responder is noticed."""
    assert {path.stem for path in CASES.iterdir()} == set(KNOWN)


def test_the_row_that_the_readme_shows_is_a_responder() -> None:
    """Who copies it gets what it promises."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    shown = readme.partition("### Add a responder")[2].partition("```python\n")[2]
    names = {"Row": Row, "attack": attack, "CONTAIN": Verdict.CONTAIN}
    row = eval(shown.partition("```")[0], names)  # noqa: S307 - our own page
    made = row.responder()
    assert made.categories[0] not in RESPONDERS
    assert made.assess(gathered()).verdict is Verdict.CONTAIN
    assert "/usr/local/bin/healthcheck in storefront was executed" in (
        made.assess(gathered()).summary
    )
