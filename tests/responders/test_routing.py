"""Routing: which responder answers a finding, and what is held or ignored instead."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

import responders
from incident.model import Evidence, Notification, Responder, Verdict
from incident.model.finding_types import CATEGORIES_BY_API_NAME
from responders import RESPONDERS, by_category, responder_catalogue, route
from responders._unknown_type import UNKNOWN_TYPE
from responders.modified_malicious_binary import RESPONDER
from tests.support.constants import CATEGORY
from tests.support.model import finding, notification, workload

ALL_RESPONDERS = sorted({*RESPONDERS.values(), UNKNOWN_TYPE}, key=lambda each: each.name)
CONTAIN, HOLD, IGNORE = Verdict.CONTAIN, Verdict.HOLD, Verdict.IGNORE


@pytest.mark.parametrize(
    ("name", "verdict", "reason"),
    [
        ("cloud-run-service", CONTAIN, ""),
        ("revision-by-number", CONTAIN, ""),
        ("several-processes", CONTAIN, ""),
        ("snake-case", CONTAIN, ""),
        ("v1-job-execution", CONTAIN, ""),
        ("v1-older-names", CONTAIN, ""),
        ("without-resource", CONTAIN, ""),
        ("worker-pool-without-containers", CONTAIN, ""),
        ("project-contradicted", CONTAIN, ""),
        ("deleted", IGNORE, "the finding was deleted"),
        ("inactive", IGNORE, "inactive"),
        ("muted", IGNORE, "muted"),
        ("gke-lookalike", IGNORE, "not about Cloud Run"),
        ("detector-disagrees", HOLD, "the detector is '"),
        ("detector-unnamed", HOLD, "the detector is not named"),
        ("host-disagrees", HOLD, "but the resource is at '"),
    ],
)
def test_each_sample_is_routed_as_expected(name: str, verdict: Verdict, reason: str) -> None:
    """Category, detector and host must agree; a look-alike has no responder."""
    answer = route(notification(name))
    assert answer.verdict is verdict
    assert reason in answer.reason
    assert bool(answer.reason) is (verdict is not CONTAIN)
    assert answer.responder is (None if verdict is IGNORE else RESPONDER)


ETD, PROJECTS = "Event Threat Detection", "cloudresourcemanager.googleapis.com"
MINING_IMAGE = "Execution: Cryptomining Docker Image"
NEW_SPELLING = "Execution: Binary Modified"
API_NAME = "CLOUD_RUN_MODIFIED_MALICIOUS_BINARY_EXECUTED"
MINING_API_NAME = "CLOUD_RUN_CRYPTOMINING_DOCKER_IMAGES"
GKE = "//container.googleapis.com/projects/p/locations/l/clusters/c"


@pytest.mark.parametrize(
    ("changes", "verdict", "reason"),
    [
        ({"category": "Reverse Shell"}, CONTAIN, ""),
        ({"category": "Reverse Shell", "detector": ""}, HOLD, "is not named"),
        ({"category": CATEGORY.lower(), "api_name": ""}, HOLD, "no responder knows the category"),
        ({"category": f"{CATEGORY} ", "api_name": ""}, HOLD, "no responder knows the category"),
        (
            {"category": CATEGORY.lower(), "api_name": API_NAME},
            HOLD,
            "no responder knows the category",
        ),
        ({"category": "New"}, HOLD, "no responder knows the category 'New'"),
        ({"category": "New", "host": "example.com"}, HOLD, "which of them is right"),
        ({"category": "New", "workload": None}, HOLD, "know how to read"),
        ({"category": "New", "state": "INACTIVE"}, IGNORE, "inactive"),
        ({"category": "New", "mute": "MUTED"}, IGNORE, "muted"),
        ({"category": "New", "detector": ""}, IGNORE, "no responder answers the category"),
        ({"category": "New", "detector": ETD}, HOLD, "no responder knows the category 'New'"),
        ({"category": "New", "detector": ETD, "host": PROJECTS}, IGNORE, "not about Cloud Run"),
        ({"detector": ETD}, HOLD, "should be Cloud Run Threat Detection"),
        ({"detector": ETD, "host": PROJECTS}, IGNORE, "not about Cloud Run"),
        ({"category": MINING_IMAGE, "detector": ETD}, CONTAIN, ""),
        ({"category": MINING_IMAGE}, HOLD, "should be Event Threat Detection"),
        ({"category": MINING_IMAGE, "detector": ""}, HOLD, "should be Event Threat Detection"),
        (
            {"category": MINING_IMAGE, "detector": ETD, "host": PROJECTS},
            HOLD,
            "the detector is Event Threat Detection, but the resource is at",
        ),
        ({"category": MINING_IMAGE, "detector": ETD, "workload": None}, HOLD, "know how to read"),
        ({"category": NEW_SPELLING, "api_name": ""}, HOLD, "no responder knows the category"),
        ({"category": NEW_SPELLING, "api_name": API_NAME}, CONTAIN, ""),
        (
            {"category": NEW_SPELLING, "api_name": API_NAME, "detector": ETD},
            HOLD,
            "should be Cloud",
        ),
        ({"category": NEW_SPELLING, "api_name": MINING_API_NAME, "detector": ETD}, HOLD, "no resp"),
        (
            {"category": "Execution: Docker Miner", "api_name": MINING_API_NAME, "detector": ETD},
            CONTAIN,
            "",
        ),
        ({"detector": "Container Threat Detection"}, HOLD, "'Container Threat Detection'"),
        ({"detector": "cloud run threat detection"}, HOLD, "should be Cloud Run Threat"),
        ({"detector": ""}, HOLD, "is not named"),
        ({"host": "container.googleapis.com"}, HOLD, "which of them is right"),
        ({"host": "run.googleapis.com.example.net"}, HOLD, "which of them is right"),
        ({"host": ""}, HOLD, "which of them is right"),
        (
            {"host": "container.googleapis.com", "detector": "Container Threat Detection"},
            IGNORE,
            "not about Cloud Run",
        ),
        ({"host": "container.googleapis.com", "detector": ""}, IGNORE, "not about Cloud Run"),
        ({"state": "INACTIVE"}, IGNORE, "inactive"),
        ({"state": "STATE_UNSPECIFIED"}, HOLD, "should be ACTIVE"),
        ({"state": ""}, HOLD, "is missing"),
        ({"mute": "MUTED"}, IGNORE, "muted"),
        ({"mute": "UNMUTED"}, CONTAIN, ""),
        ({"mute": "MUTED_SOMEHOW"}, CONTAIN, ""),
        ({"workload": None, "resource_name": "//run.googleapis.com/x"}, HOLD, "know how to read"),
    ],
)
def test_a_finding_is_routed_by_exact_text(
    changes: dict[str, Any], verdict: Verdict, reason: str
) -> None:
    """Texts are compared exactly, and what is in doubt is for a person."""
    answer = route(notification(**changes))
    assert answer.verdict is verdict
    assert reason in answer.reason


def test_a_deletion_is_ignored_whatever_else_it_says() -> None:
    """A finding that is gone needs no answer."""
    gone = replace(notification(detector="", state=""), deleted=True)
    assert route(gone).verdict is IGNORE


@pytest.mark.parametrize("api_name", CATEGORIES_BY_API_NAME)
def test_every_known_api_name_leads_to_its_responder(api_name: str) -> None:
    """Whatever its category is called: all spellings of a type have one responder."""
    (name,) = {RESPONDERS[each].name for each in CATEGORIES_BY_API_NAME[api_name]}
    detector = RESPONDERS[CATEGORIES_BY_API_NAME[api_name][0]].detector
    category = f"Named Anew: {api_name.replace('_', ' ').title()}"
    answer = route(notification(category=category, api_name=api_name, detector=detector))
    assert answer.responder
    assert (answer.verdict, answer.responder.name) == (CONTAIN, name)


def test_a_known_category_is_not_overruled_by_an_api_name() -> None:
    """The category decides where it is known; the name in a module field is not documented."""
    answer = route(notification(category="Unexpected Child Shell", api_name=API_NAME))
    assert answer.responder
    assert answer.responder.name == "unexpected-child-shell"


def test_a_long_resource_name_is_cut_in_the_reason() -> None:
    """The name is the attacker's; what is said of it stays readable."""
    answer = route(notification(workload=None, resource_name="//run.googleapis.com/" + "x" * 9999))
    assert len(answer.reason) < 500


@pytest.mark.parametrize("kind", ["job", "worker-pool", "service"])
def test_every_workload_kind_is_routed(kind: str) -> None:
    """Which kinds are acted on is the policy's to say."""
    entries = finding(workload=workload(kind=kind))
    assert route(Notification(entries, deleted=False)).verdict is CONTAIN


def test_an_unknown_category_is_answered_by_the_holding_responder() -> None:
    """The list of detectors is open: what is new is looked at, and never contained."""
    answer = route(notification(category="Malicious Skill Loaded"))
    assert answer.responder is UNKNOWN_TYPE
    assert UNKNOWN_TYPE.assess(Evidence(finding(category="New"))).verdict is HOLD


# Who answers what.


def module(name: str, *categories: str) -> ModuleType:
    """A module with a responder."""
    made = ModuleType(name)
    vars(made)["RESPONDER"] = Responder(name, categories, RESPONDER.assess)
    return made


def test_a_category_of_two_responders_fails_and_names_both() -> None:
    """Neither of the two wins silently."""
    with pytest.raises(ValueError, match="take it out of one") as raised:
        by_category([module("one", "A", "B"), module("two", "C"), module("three", "B")])
    assert all(name in str(raised.value) for name in ("'B'", "one", "three"))


def test_a_responder_with_a_category_twice_is_reported() -> None:
    """It is a slip, and the message names it."""
    with pytest.raises(ValueError, match="by one and by one"):
        by_category([module("one", "A", "A")])


def test_a_module_without_a_responder_fails() -> None:
    """A file in the folder that forgets its responder does not go unnoticed."""
    with pytest.raises(AttributeError, match="RESPONDER"):
        by_category([ModuleType("empty")])


def test_a_name_taken_twice_fails_and_names_both_modules() -> None:
    """Outcomes tell responders by their names."""
    again = module("two", "B")
    vars(again)["RESPONDER"] = replace(RESPONDER, name="one", categories=("B",))
    with pytest.raises(ValueError, match="'one' is taken in one and in two"):
        by_category([module("one", "A"), again])


def test_a_module_may_hold_several_responders() -> None:
    """A table is one module."""
    table = ModuleType("table")
    held = (replace(RESPONDER, name=name, categories=(name,)) for name in ("a", "b"))
    vars(table)["RESPONDERS"] = tuple(held)
    assert set(by_category([table])) == {"a", "b"}


def test_each_category_leads_to_its_responder() -> None:
    """One responder may answer several categories."""
    one, two = module("one", "A", "B"), module("two", "C")
    made = by_category([one, two])
    assert {category: answer.name for category, answer in made.items()} == {
        "A": "one",
        "B": "one",
        "C": "two",
    }


def test_every_module_of_the_folder_is_found() -> None:
    """Every module is a responder, but for names that begin with an underscore."""
    found = [each.name for each in pkgutil.iter_modules(responders.__path__)]
    modules = [importlib.import_module(f"responders.{name}") for name in found if name[0] != "_"]
    assert len(modules) > 1
    assert by_category(modules) == RESPONDERS
    assert RESPONDERS[CATEGORY] is RESPONDER


@pytest.mark.parametrize("responder", ALL_RESPONDERS, ids=lambda each: each.name)
def test_every_responder_is_sound(responder: Responder) -> None:
    """Its name is a word, its categories are exact texts, and it assesses the barest evidence."""
    assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", responder.name)
    assert all(category == category.strip() != "" for category in responder.categories)
    bare = Evidence(finding(processes=(), containers=(), workload=None))
    assessed = responder.assess(bare)
    assert assessed == responder.assess(bare)
    assert assessed.verdict is responder.verdict
    assert assessed.summary
    assert assessed.reasons
    assert all(reason.text and reason.evidence for reason in assessed.reasons)
    suspect = responder.suspect(bare.finding)
    assert (suspect.process, suspect.file) == (None, None)


def text_of(responder: Responder) -> list[str]:
    """All that a responder says whatever the evidence is."""
    meanings = [technique.meaning for technique in responder.techniques]
    return [responder.rationale, *responder.investigation_steps, *meanings]


@pytest.mark.parametrize("responder", ALL_RESPONDERS, ids=lambda each: each.name)
def test_every_responder_says_what_it_knows(responder: Responder) -> None:
    """Why its verdict, which techniques, investigation steps: each once, none empty."""
    texts = text_of(responder)
    assert all(text == text.strip() != "" and not text.endswith(".") for text in texts)
    assert len(texts) == len(set(texts))
    assert responder.verdict in {CONTAIN, HOLD}
    assert len(responder.investigation_steps) > 1
    assert responder.techniques or responder is UNKNOWN_TYPE
    for technique in responder.techniques:
        assert re.fullmatch(r"T1[0-9]{3}(\.0[0-9]{2})?", technique.id)
        path = technique.id.replace(".", "/")
        assert technique.url == f"https://attack.mitre.org/techniques/{path}/"
        assert technique.name
        assert technique.tactic in TACTICS


TACTICS = {
    "Collection",
    "Command and Control",
    "Credential Access",
    "Defense Evasion",
    "Discovery",
    "Execution",
    "Exfiltration",
    "Impact",
    "Initial Access",
    "Lateral Movement",
    "Persistence",
    "Privilege Escalation",
}


def test_a_technique_has_one_name_and_tactic_everywhere() -> None:
    """An id that means two things is a slip of the pen."""
    entries = {
        (technique.id, technique.name, technique.tactic)
        for responder in RESPONDERS.values()
        for technique in responder.techniques
    }
    assert len({number for number, *_ in entries}) == len(entries)


# The catalogue.


def test_the_catalogue_lists_every_responder_as_plain_data() -> None:
    """It can be printed, and what a person finds in it is what is answered."""
    entries = {str(entry["name"]): entry for entry in json.loads(json.dumps(responder_catalogue()))}
    assert list(entries)[-1] == UNKNOWN_TYPE.name
    assert set(entries) == {each.name for each in (*RESPONDERS.values(), UNKNOWN_TYPE)}
    entry = entries["reverse-shell"]
    assert (entry["categories"], entry["verdict"]) == (["Reverse Shell"], "contain")
    assert [each["id"] for each in entry["techniques"]] == ["T1059.004", "T1095", "T1105"]
    assert entry["because"]
    assert entry["look_at"]
    assert sum(len(each["categories"]) for each in entries.values()) == len(RESPONDERS)
