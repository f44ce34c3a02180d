"""Another finding on the workload: one attack with this one, or a coincidence, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.model import Connection, Container, Finding, Kind, RelatedFinding
from incident.model.correlation import correlate
from incident.notification.parse import parse_record
from tests.support.model import (
    NOW,
    evidence,
    finding,
    listed_finding_json,
    repeatable,
    template,
    workload,
)

#: The finding at hand: a binary that was modified, in a container and a revision that it names.
OWN_FINDING = finding(
    revision="shop-2",
    containers=(Container("shop-1", "image", "sha256:aa", NOW - timedelta(minutes=16)),),
)
ACCOUNT = "shop@example-shop-prod.iam.gserviceaccount.com"


def other_finding(
    seconds: float = 40, category: str = "Reverse Shell", /, **changes: Any
) -> Finding:
    """Another finding of the same container, so many seconds later, of nothing but a shell."""
    (process,) = OWN_FINDING.processes
    shell = replace(process, name="sh", binary_path="/bin/sh", sha256="b" * 64)
    plain = replace(
        OWN_FINDING,
        finding_id="another",
        category=category,
        event_time=OWN_FINDING.event_time + timedelta(seconds=seconds),
        processes=(shell,),
    )
    return replace(plain, **changes)


def sentence_about(
    found: Finding, here: Finding = OWN_FINDING, accounts: tuple[str, ...] = ()
) -> RelatedFinding:
    """What is said of a finding."""
    return correlate(found, here, accounts)


def container(name: str, digest: str | None = "sha256:aa", **changes: Any) -> tuple[Container, ...]:
    """One container of a finding."""
    return (replace(OWN_FINDING.containers[0], name=name, digest=digest, **changes),)


ONE, CHANCE, VOID = "one attack with this one: ", "perhaps a coincidence: ", "does not count: "


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            other_finding(40, processes=OWN_FINDING.processes),
            ONE + "the same container shop-1 of the same revision, 40 s after, the same SHA-256,"
            " both hostile code or remote control",
        ),
        (
            other_finding(90, "Credential Access: Find Google Cloud Credentials"),
            ONE + "the same container shop-1 of the same revision, 1 min 30 s after, in an"
            " attack's usual order: hostile code or remote control, then searching and spreading",
        ),
        (
            other_finding(-30, "Unexpected Child Shell", containers=()),
            ONE + "the same revision, though one of the two names no container, 30 s before, in"
            " an attack's usual order: a way in, then hostile code or remote control",
        ),
        (
            other_finding(0, "A New Detector"),
            ONE + "the same container shop-1 of the same revision, at the same moment",
        ),
        (
            other_finding(0.2, OWN_FINDING.category),
            ONE + "the same container shop-1 of the same revision, less than 1 s after, the same"
            " detector again, so it makes nothing more certain",
        ),
        (
            other_finding(5, containers=container("shop-1", create_time=NOW)),
            ONE + "container shop-1 in another instance of the same revision, 5 s after, both"
            " hostile code or remote control",
        ),
        (
            other_finding(3600, containers=container("sidecar"), processes=OWN_FINDING.processes),
            ONE + "another container of the same revision, sidecar, 1 h after, the same SHA-256,"
            " both hostile code or remote control",
        ),
        (
            other_finding(-60, "Escalation", revision="shop-1", principal=ACCOUNT),
            ONE + f"another revision, shop-1, 1 min before, done as {ACCOUNT}, which this workload"
            " runs as",
        ),
        (
            other_finding(-780, "Malicious Script Executed", containers=container("sidecar")),
            ONE + "another container of the same revision, sidecar, 13 min before, both hostile"
            " code or remote control, containers of one instance share its network and volumes",
        ),
        (
            other_finding(40, OWN_FINDING.category, containers=container("sidecar"), revision=None),
            ONE + "another container of the same workload, sidecar, 40 s after, containers of one"
            " instance share its network and volumes, the same detector again, so it makes nothing"
            " more certain",
        ),
        (
            other_finding(-901, containers=container("sidecar")),
            CHANCE + "another container of the same revision, sidecar, 15 min 1 s before",
        ),
        (
            other_finding(40, "A New Detector", containers=container("sidecar")),
            CHANCE + "another container of the same revision, sidecar, 40 s after",
        ),
        (
            other_finding(40, containers=container("shop-1", "sha256:bb")),
            CHANCE + "a container shop-1 of another image, 40 s after",
        ),
        (other_finding(40, revision="shop-1"), CHANCE + "another revision, shop-1, 40 s after"),
        (
            other_finding(40, execution="shop-abc", revision=None),
            CHANCE + "another execution, shop-abc, 40 s after",
        ),
        (
            other_finding(40, workload=workload(name="cart")),
            CHANCE + "another service, cart, 40 s after",
        ),
        (
            other_finding(-3 * 86_400),
            CHANCE + "the same container shop-1 of the same revision, 3 d before",
        ),
        (
            other_finding(-3 * 86_400, processes=OWN_FINDING.processes),
            CHANCE + "the same container shop-1 of the same revision, 3 d before, the same SHA-256",
        ),
        (
            other_finding(40, "A New Detector", containers=()),
            CHANCE + "the same revision, though one of the two names no container, 40 s after,"
            " nothing in common",
        ),
        (
            other_finding(-40, "Impact: Remove Bulk Data From Disk", containers=(), revision=None),
            CHANCE + "the same workload, though one of the two names no container, 40 s before,"
            " nothing in common",
        ),
        (
            other_finding(40, finding_class="VULNERABILITY"),
            VOID + "a vulnerability report, not an event, 40 s after",
        ),
        (
            other_finding(40, mute="MUTED"),
            VOID + "somebody muted it in Security Command Center, 40 s after",
        ),
        (
            other_finding(40, state="INACTIVE"),
            VOID + "it is closed in Security Command Center, 40 s after",
        ),
        (
            other_finding(40, finding_id=OWN_FINDING.finding_id),
            VOID + "it is this finding itself, reported again, 40 s after",
        ),
    ],
)
def test_each_finding_has_the_reason_for_its_correlation(found: Finding, text: str) -> None:
    """Place, time, what both name and the order: whatever decides it is said."""
    execution = (
        replace(OWN_FINDING, execution="shop-xyz", revision=None)
        if found.execution
        else OWN_FINDING
    )
    correlation = sentence_about(found, execution, (ACCOUNT,))
    assert correlation.text == text
    assert correlation.same_attack is text.startswith(ONE)
    assert correlation.raises_confidence is (
        correlation.same_attack and found.category != OWN_FINDING.category
    )


@pytest.mark.parametrize(
    ("changes", "common"),
    [
        ({"addresses": ("203.0.113.9",)}, "the same address 203.0.113.9"),
        ({"urls": ("http://203.0.113.9/x",)}, "the same URL"),
        ({"principal": "mallory@example.com"}, "the same account mallory@example.com"),
        ({"addresses": ("127.0.0.1",)}, None),
        ({"addresses": ("169.254.169.254",)}, None),
        ({"addresses": ()}, None),
    ],
)
def test_shared_indicators_link_findings_anywhere(
    changes: dict[str, Any], common: str | None
) -> None:
    """Addresses that everybody has are none; an hour apart, only things in common link."""
    found = other_finding(3600, containers=container("sidecar"), **changes)
    correlation = sentence_about(found, replace(OWN_FINDING, **changes))
    assert correlation.same_attack is (common is not None)
    assert common is None or common in correlation.text


def test_a_shell_that_both_ran_links_nothing() -> None:
    """Only the hash of a malicious file counts, not that of a shell that every image has."""
    shell = other_finding().processes
    here = replace(OWN_FINDING, category="Reverse Shell", processes=shell)
    found = other_finding(3600, "Unexpected Child Shell", processes=shell)
    assert "SHA-256" not in sentence_about(found, here).text
    assert not sentence_about(found, here).same_attack


def test_the_account_that_it_shares_with_others_links_nothing() -> None:
    """Actions of a default account may come from any workload of the project."""
    default = "210987654321-compute@developer.gserviceaccount.com"
    found = other_finding(3600, containers=container("sidecar"), principal=default)
    shared = evidence(
        finding=replace(OWN_FINDING, revision=None),
        related=(found,),
        revisions=(template(service_account=default),),
    )
    (correlation,) = shared.correlations or ()
    assert not correlation.same_attack


def test_correlated_fields_are_parsed_from_the_listed_finding() -> None:
    """Class, addresses, account and the container's time are parsed as SCC lists them."""
    parsed = parse_record(
        listed_finding_json(
            findingClass="THREAT",
            indicator={"ipAddresses": ["203.0.113.9", "no address", 7]},
            access={"principalEmail": "mallory@example.com", "callerIp": "198.51.100.7"},
        )
    )
    assert parsed.finding_class == "THREAT"
    assert parsed.addresses == ("203.0.113.9", "198.51.100.7")
    assert parsed.principal == "mallory@example.com"
    assert parsed.containers[0].create_time is not None
    assert parse_record(listed_finding_json(access=7, indicator=[])).addresses == ()


@repeatable
@given(
    st.timedeltas(timedelta(days=-9), timedelta(days=9)),
    st.sampled_from(["Reverse Shell", OWN_FINDING.category, "Impact: X", "\x1b[31m", ""]),
    st.sampled_from([(), container("shop-1"), container("sidecar")]),
    st.sampled_from([None, "shop-1", "shop-2"]),
    st.sampled_from(list(Kind)),
)
def test_correlation_is_symmetric(
    apart: timedelta,
    category: str,
    containers: tuple[Container, ...],
    revision: str | None,
    kind: Kind,
) -> None:
    """Being one attack is mutual, and only what is linked makes anything surer."""
    found = replace(
        other_finding(0, category, containers=containers, revision=revision),
        event_time=OWN_FINDING.event_time + apart,
        workload=workload(kind=kind),
        connection=Connection("203.0.113.9", 1, "", None),
    )
    one, two = sentence_about(found), sentence_about(OWN_FINDING, found)
    assert one.same_attack is two.same_attack
    assert one.same_attack or not one.raises_confidence
    assert ONE in one.text or CHANCE in one.text or VOID in one.text
