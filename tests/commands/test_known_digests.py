"""Digests from outside the store, in every form in which they may be given."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.known_digests import digests_in_log, parse_digest
from incident.case_file.verification import KnownDigest
from tests.support.constants import INCIDENT_ID
from tests.support.model import repeatable

ONE, TWO = "1" * 64, "2" * 64
CASE = f"incidents/{INCIDENT_ID}"
HELD = "containments/shop-1/europe-west1/service/storefront/1"
CLAIM = "claims/20261002-6255b37a8bf0-00000000"
LINE = {
    "manifest_sha256": ONE,
    "case_file": CASE,
    "outcome": {"sha256": TWO, "links": {"case_file": f"gs://x/dry-runs/{CASE[10:]}"}},
}


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", ()),
        (f"{ONE}\n\n{TWO}\n", (KnownDigest(ONE), KnownDigest(TWO))),
        (f"2026-10-02T08:14:12Z\t{ONE}\t{CASE}\n", (KnownDigest(ONE, CASE),)),
        (f"t\t{ONE}\t\nt\t{ONE}\t\n", (KnownDigest(ONE),)),
        (f"Manifest SHA-256 of {CASE} (keep it): {ONE}", (KnownDigest(ONE, CASE),)),
        (f"t\t{ONE}\t{HELD}\n", (KnownDigest(ONE, HELD),)),
        (f"t\t{ONE}\t{CASE}/1000-done.json\n", (KnownDigest(ONE),)),
        (f"{ONE} {CLAIM}", (KnownDigest(ONE, CLAIM),)),
        (f"{CASE} dry-runs/{CASE[10:]} {ONE}", (KnownDigest(ONE),)),
        (json.dumps(LINE), (KnownDigest(ONE, CASE),)),
        (json.dumps([{"jsonPayload": LINE}, {"textPayload": TWO}, 7]), (KnownDigest(ONE, CASE),)),
        (json.dumps(LINE) + "\n" + json.dumps({"manifest_sha256": None}), (KnownDigest(ONE,
        CASE),)),
        (json.dumps({"manifest_sha256": ONE, "case_file": "../x"}), (KnownDigest(ONE),)),
        (f"{ONE}0 x{ONE[1:]}", ()),
    ],
)  # fmt: skip
def test_a_log_may_have_any_of_these_forms(log: str, expected: tuple[KnownDigest, ...]) -> None:
    """What an outcome says besides is no manifest's digest."""
    assert digests_in_log(log) == expected


@given(st.text(st.sampled_from(f'{ONE[:40]}{{}}[]",\n x')) | st.sampled_from(["[" * 9999, "7"]))
@repeatable
def test_any_log_line_is_parsed(log: str) -> None:
    """What is no digest is passed over."""
    assert all(parse_digest(digest.sha256) for digest in digests_in_log(log))
