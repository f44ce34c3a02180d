"""Routing: which responder answers a finding, and what is held or ignored instead."""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

import responders
from incident.model import Evidence, Notification, Responder, Verdict
from responders import RESPONDERS, catalogue, route
from responders.modified_malicious_binary import RESPONDER
from tests.values import CATEGORY, finding, notification, workload

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
def test_each_sample_takes_its_way(name: str, verdict: Verdict, reason: str) -> None:
    """Category, detector and host must agree; a look-alike is none of our business."""
    answer = route(notification(name))
    assert answer.verdict is verdict
    assert reason in answer.reason
    assert bool(answer.reason) is (verdict is not CONTAIN)
    assert answer.responder is (None if verdict is IGNORE else RESPONDER)


GKE = "//container.googleapis.com/projects/p/locations/l/clusters/c"


@pytest.mark.parametrize(
    ("changes", "verdict", "reason"),
    [
        ({"category": "Reverse Shell"}, IGNORE, "no responder answers the category"),
        ({"category": CATEGORY.lower()}, IGNORE, "no responder"),
        ({"category": f"{CATEGORY} "}, IGNORE, "no responder"),
        ({"category": ""}, IGNORE, "no responder"),
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
def test_the_way_of_a_finding(changes: dict[str, Any], verdict: Verdict, reason: str) -> None:
    """Texts are compared exactly, and what is in doubt is for a person."""
    answer = route(notification(**changes))
    assert answer.verdict is verdict
    assert reason in answer.reason


def test_a_deletion_is_ignored_whatever_else_it_says() -> None:
    """A finding that is gone needs no answer."""
    gone = replace(notification(detector="", state=""), deleted=True)
    assert route(gone).verdict is IGNORE


def test_a_long_resource_name_is_cut_in_the_reason() -> None:
    """The name is the attacker's; what is said of it stays readable."""
    answer = route(notification(workload=None, resource_name="//run.googleapis.com/" + "x" * 9999))
    assert len(answer.reason) < 500


@pytest.mark.parametrize("kind", ["job", "worker-pool", "service"])
def test_every_kind_of_workload_has_a_way(kind: str) -> None:
    """Which kinds are acted on is the policy's to say."""
    told = finding(workload=workload(kind=kind))
    assert route(Notification(told, "", deleted=False)).verdict is CONTAIN


# The catalogue.


def module(name: str, *categories: str) -> ModuleType:
    """A module with a responder."""
    made = ModuleType(name)
    vars(made)["RESPONDER"] = Responder(name, categories, RESPONDER.assess)
    return made


def test_a_category_claimed_twice_fails_and_names_both() -> None:
    """Neither of the two wins silently."""
    with pytest.raises(ValueError, match="take it out of one") as raised:
        catalogue([module("one", "A", "B"), module("two", "C"), module("three", "B")])
    assert all(name in str(raised.value) for name in ("'B'", "one", "three"))


def test_a_responder_that_claims_a_category_twice_is_told() -> None:
    """It is a slip, and the message names it."""
    with pytest.raises(ValueError, match="by one and by one"):
        catalogue([module("one", "A", "A")])


def test_a_module_without_a_responder_fails() -> None:
    """A file in the folder that forgets its responder does not go unnoticed."""
    with pytest.raises(AttributeError, match="RESPONDER"):
        catalogue([ModuleType("empty")])


def test_each_category_leads_to_its_responder() -> None:
    """One responder may answer several categories."""
    one, two = module("one", "A", "B"), module("two", "C")
    made = catalogue([one, two])
    assert {category: answer.name for category, answer in made.items()} == {
        "A": "one",
        "B": "one",
        "C": "two",
    }


FOUND = [found.name for found in pkgutil.iter_modules(responders.__path__)]


def test_every_module_of_the_folder_is_found() -> None:
    """A responder is there by being there: file and name agree."""
    assert {answer.name.replace("-", "_") for answer in RESPONDERS.values()} == set(FOUND)
    assert RESPONDERS[CATEGORY] is RESPONDER


@pytest.mark.parametrize("responder", set(RESPONDERS.values()), ids=lambda each: each.name)
def test_every_responder_is_sound(responder: Responder) -> None:
    """Its name is a word, its categories are exact texts, and it assesses the barest evidence."""
    assert responder.name.replace("-", "").isalnum()
    assert responder.name == responder.name.lower()
    assert responder.categories
    assert all(text and text == text.strip() for text in responder.categories)
    bare = Evidence(finding(processes=(), containers=(), workload=None))
    assessed = responder.assess(bare)
    assert assessed == responder.assess(bare)
    assert assessed.summary
    assert assessed.reasons
    assert all(reason.text and reason.evidence for reason in assessed.reasons)
    assert all(technique.url.startswith("https://") for technique in assessed.techniques)
