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
from incident.model import Access, Assessment, Binding, Evidence, Kind, Responder, Volume
from incident.notification.parse import parse_record
from responders import RESPONDERS, by_category
from responders._unknown_type import UNKNOWN_TYPE
from tests.support.model import configuration, finding, listed_finding_json, template, workload

CASES = Path(next(iter(responders.__path__))) / "cases"
RESPONDER_BY_NAME = {each.name: each for each in (*RESPONDERS.values(), UNKNOWN_TYPE)}
CASE_PARAMETERS = [
    pytest.param(path.stem, case, id=f"{path.stem}: {case['case']}")
    for path in sorted(CASES.glob("*.json"))
    for case in json.loads(path.read_text())
]


def evidence_of(
    *,
    confirmed: bool = True,
    related: list[str] | None = None,
    public: bool = False,
    service_account: str = "storefront@example-shop-prod.iam.gserviceaccount.com",
    secrets: tuple[str, ...] = (),
    persists: tuple[str, ...] = (),
) -> Evidence:
    """The evidence that a case words; an unknown key is a mistake."""
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
        configuration=configuration(template=running),
        related=others,
        access=Access((Binding("roles/run.invoker", members, None),)),
    )


def assess_case(responder: Responder, case: dict[str, Any]) -> Assessment:
    """What a responder makes of a case, read by the parser that reads SCC's own records."""
    category = case.get("category") or responder.categories[0]
    record = listed_finding_json(**case["finding"], category=category)
    evidence = replace(evidence_of(**case.get("evidence", {})), finding=parse_record(record))
    return responder.assess(evidence)


def check_assessment(responder: Responder, case: dict[str, Any]) -> None:
    """Verdict, confidence, techniques, and the words that an analyst needs."""
    assert set(case) <= {"case", "category", "finding", "evidence", "expect"}
    answer, expect = assess_case(responder, case), case["expect"]
    assert set(expect) <= {"verdict", "confidence", "techniques", "summary", "reasons", "unsaid"}
    assert answer.verdict.value == expect["verdict"]
    assert answer.confidence.value == expect["confidence"]
    assert [technique.id for technique in answer.techniques] == expect["techniques"]
    confirmed = case.get("evidence", {}).get("confirmed", True)
    assert answer.reasons[0].evidence == ("responder" if confirmed else "security-center")
    reasons = "\n".join(reason.text for reason in answer.reasons)
    assert [text for text in expect["summary"] if text not in answer.summary] == []
    assert [text for text in expect["reasons"] if text not in reasons] == []
    everything = f"{answer.summary}\n{reasons}"
    assert [text for text in expect.get("unsaid", ()) if text in everything] == []


#: ATT&CK Enterprise 16, as its pages have it: each technique's name and tactics.
ATTACK = {
    "T1001.002": ("Data Obfuscation: Steganography", "Command and Control"),
    "T1027.004": ("Obfuscated Files or Information: Compile After Delivery", "Defense Evasion"),
    "T1027.010": ("Obfuscated Files or Information: Command Obfuscation", "Defense Evasion"),
    "T1046": ("Network Service Discovery", "Discovery"),
    "T1048": ("Exfiltration Over Alternative Protocol", "Exfiltration"),
    "T1059.004": ("Command and Scripting Interpreter: Unix Shell", "Execution"),
    "T1059.006": ("Command and Scripting Interpreter: Python", "Execution"),
    "T1068": ("Exploitation for Privilege Escalation", "Privilege Escalation"),
    "T1070.004": ("Indicator Removal: File Deletion", "Defense Evasion"),
    "T1082": ("System Information Discovery", "Discovery"),
    "T1090": ("Proxy", "Command and Control"),
    "T1095": ("Non-Application Layer Protocol", "Command and Control"),
    "T1098": ("Account Manipulation", "Persistence, Privilege Escalation"),
    "T1098.003": (
        "Account Manipulation: Additional Cloud Roles",
        "Persistence, Privilege Escalation",
    ),
    "T1105": ("Ingress Tool Transfer", "Command and Control"),
    "T1106": ("Native API", "Execution"),
    "T1129": ("Shared Modules", "Execution"),
    "T1140": ("Deobfuscate/Decode Files or Information", "Defense Evasion"),
    "T1190": ("Exploit Public-Facing Application", "Initial Access"),
    "T1195.002": ("Supply Chain Compromise: Compromise Software Supply Chain", "Initial Access"),
    "T1485": ("Data Destruction", "Impact"),
    "T1496.001": ("Resource Hijacking: Compute Hijacking", "Impact"),
    "T1525": ("Implant Internal Image", "Persistence"),
    "T1528": ("Steal Application Access Token", "Credential Access"),
    "T1548.003": (
        "Abuse Elevation Control Mechanism: Sudo and Sudo Caching",
        "Privilege Escalation, Defense Evasion",
    ),
    "T1552.001": ("Unsecured Credentials: Credentials In Files", "Credential Access"),
    "T1552.004": ("Unsecured Credentials: Private Keys", "Credential Access"),
    "T1570": ("Lateral Tool Transfer", "Lateral Movement"),
    "T1574": ("Hijack Execution Flow", "Persistence, Privilege Escalation, Defense Evasion"),
    "T1609": ("Container Administration Command", "Execution"),
    "T1611": ("Escape to Host", "Privilege Escalation"),
    "T1613": ("Container and Resource Discovery", "Discovery"),
    "T1620": ("Reflective Code Loading", "Defense Evasion"),
    "T1648": ("Serverless Execution", "Execution"),
}


@pytest.mark.parametrize(("name", "case"), CASE_PARAMETERS)
def test_a_technique_is_explained_for_this_finding(name: str, case: dict[str, Any]) -> None:
    """Under its own name and tactic, of this program, file or workload; never a mere definition."""
    for technique in assess_case(RESPONDER_BY_NAME[name], case).techniques:
        title, tactics = ATTACK[technique.id]
        assert technique.name == title
        assert technique.tactic in tactics.split(", ")
        paths = [
            part for process in case["finding"].get("processes", ()) for part in _paths(process)
        ]
        assert any(each in technique.meaning for each in ("storefront", *paths)), technique
        assert "{" not in technique.meaning


def _paths(process: dict[str, Any]) -> list[str]:
    files = (process.get("binary"), process.get("script"), *process.get("libraries", ()))
    return [path for file in files if file and (path := file.get("path"))]


def test_the_catalogue_explains_techniques_without_a_finding() -> None:
    """No place is left open in what every responder says of itself."""
    assert [each for each in RESPONDER_BY_NAME.values() if "{" in str(each.techniques)] == []


def test_what_an_attacker_calls_a_program_is_no_pattern() -> None:
    """A path that contains a placeholder is shown as it is."""
    path = "/tmp/{workload}{file}{program}"  # noqa: S108 - of the finding
    case = {"finding": {"processes": [{"binary": {"path": path}}]}}
    (first, *_) = assess_case(RESPONDER_BY_NAME["added-malicious-binary"], case).techniques
    assert first.meaning.startswith(f"{path} was brought into storefront")


def missing_categories(known: Mapping[str, Responder], folder: Path) -> list[tuple[str, str]]:
    """The responders' categories of which a folder has no case."""
    lacks = []
    for name, responder in known.items():
        path = folder / f"{name}.json"
        cases = json.loads(path.read_text()) if path.exists() else []
        expected = {case.get("category") or responder.categories[0] for case in cases}
        lacks += [(name, category) for category in responder.categories if category not in expected]
        if not cases:
            lacks.append((name, "any"))
    return lacks


@pytest.mark.parametrize("kind", [Kind.JOB, Kind.WORKER_POOL])
def test_a_workload_without_requests_has_no_request_checks(kind: Kind) -> None:
    """Of every finding type; what stands instead is no shorter a list."""
    for responder in RESPONDER_BY_NAME.values():
        about = finding(workload=workload(kind=kind))
        expected = responder.assess(Evidence(about, confirmed=True)).investigation_steps
        assert "request" not in str(expected)
        assert len(expected) == len(responder.investigation_steps)


@pytest.mark.parametrize(("name", "case"), CASE_PARAMETERS)
def test_a_case_is_read_as_expected(name: str, case: dict[str, Any]) -> None:
    """Whatever lies beside the responders."""
    check_assessment(RESPONDER_BY_NAME[name], case)


def test_every_responder_has_a_case_of_each_of_its_categories() -> None:
    """Nobody adds a responder, or a spelling, without saying what it should make of a finding."""
    assert missing_categories(RESPONDER_BY_NAME, CASES) == []


def test_every_file_of_cases_belongs_to_a_responder() -> None:
    """A case that is left behind by a renamed responder is noticed."""
    assert {path.stem for path in CASES.iterdir()} == set(RESPONDER_BY_NAME)


def test_who_follows_the_document_has_a_responder_that_passes(tmp_path: Path) -> None:
    """Its row in a copy of the table that it names, its case in a copy of the folder of cases."""
    document = (Path(__file__).parents[2] / "docs" / "development.md").read_text()
    shown = document.partition("\n## Add a responder\n")[2]
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
    # A responder that was really added is present already.
    end = "\n)\n\nRESPONDERS"
    added = before if row.split('"')[1] in before else before.replace(end, f"\n{row}{end[1:]}")
    copy.write_text(added)
    (cases / file.name).unlink(missing_ok=True)
    assert {name for name, _ in missing_categories(responders_of(copy), cases)} == {file.stem}
    (cases / file.name).write_text(case)
    known = responders_of(copy)
    assert missing_categories(known, cases) == []
    for expected in json.loads(case):
        check_assessment(known[file.stem], expected)


def responders_of(file: Path) -> Mapping[str, Responder]:
    """The responders of a file, by name, as the folder's own are found."""
    spec = importlib.util.spec_from_file_location("copied", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {each.name: each for each in by_category([module]).values()}
