"""The JSON cases beside the responders: a finding, what was gathered, and what is made of it."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import responders
from incident.model import Access, Assessment, Binding, Evidence, Responder, Volume
from incident.notification import parse_record
from responders import RESPONDERS, by_category
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
    others = None if related is None else tuple(finding(category=each) for each in related)
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


def check(responder: Responder, case: dict[str, Any]) -> None:
    """Verdict, confidence, techniques, and the words that an analyst needs."""
    assert set(case) <= {"case", "category", "finding", "evidence", "expect"}
    answer, expect = assessed(responder, case), case["expect"]
    assert set(expect) <= {"verdict", "confidence", "techniques", "summary", "reasons", "unsaid"}
    assert answer.verdict.value == expect["verdict"]
    assert answer.confidence.value == expect["confidence"]
    assert [technique.id for technique in answer.techniques] == expect["techniques"]
    said = "\n".join(reason.text for reason in answer.reasons)
    assert [text for text in expect["summary"] if text not in answer.summary] == []
    assert [text for text in expect["reasons"] if text not in said] == []
    everything = f"{answer.summary}\n{said}"
    assert [text for text in expect.get("unsaid", ()) if text in everything] == []


def lacking(known: Mapping[str, Responder], folder: Path) -> list[tuple[str, str]]:
    """The responders' categories of which a folder has no case."""
    lacks = []
    for name, responder in known.items():
        path = folder / f"{name}.json"
        cases = json.loads(path.read_text()) if path.exists() else []
        told = {case.get("category") or responder.categories[0] for case in cases}
        lacks += [(name, category) for category in responder.categories if category not in told]
        if not cases:
            lacks.append((name, "any"))
    return lacks


@pytest.mark.parametrize(("name", "case"), TOLD)
def test_a_case_is_read_as_expected(name: str, case: dict[str, Any]) -> None:
    """Whatever lies beside the responders."""
    check(KNOWN[name], case)


def test_every_responder_has_a_case_of_each_of_its_categories() -> None:
    """Nobody adds a responder, or a spelling, without saying what it should make of a finding."""
    assert lacking(KNOWN, CASES) == []


def test_every_file_of_cases_belongs_to_a_responder() -> None:
    """A case that is left behind by a renamed responder is noticed."""
    assert {path.stem for path in CASES.iterdir()} == set(KNOWN)


def test_who_follows_the_readme_has_a_responder_that_passes(tmp_path: Path) -> None:
    """Its row in a copy of the table that it names, its case in a copy of the folder of cases."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    shown = readme.partition("### Add a responder")[2]
    row, case = (
        shown.partition(f"```{language}\n")[2].partition("```")[0]
        for language in ("python", "json")
    )
    table, file = (
        CASES.parents[1] / re.findall(rf"`(responders/{form})`", shown)[0]
        for form in (r"\w+\.py", r"cases/[\w-]+\.json")
    )
    assert table.exists()
    cases = tmp_path / "cases"
    shutil.copytree(CASES, cases)
    before = table.read_text()
    copy = tmp_path / table.name
    # Whoever has really added it has it there already.
    end = "\n)\n\nRESPONDERS"
    added = before if row.split('"')[1] in before else before.replace(end, f"\n{row}{end[1:]}")
    copy.write_text(added)
    (cases / file.name).unlink(missing_ok=True)
    assert {name for name, _ in lacking(responders_of(copy), cases)} == {file.stem}
    (cases / file.name).write_text(case)
    known = responders_of(copy)
    assert lacking(known, cases) == []
    for told in json.loads(case):
        check(known[file.stem], told)


def responders_of(file: Path) -> Mapping[str, Responder]:
    """The responders of a file, by name, as the folder's own are found."""
    spec = importlib.util.spec_from_file_location("copied", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {each.name: each for each in by_category([module]).values()}
