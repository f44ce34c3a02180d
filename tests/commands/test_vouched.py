"""Digests that were kept outside the store, in every form in which they may be given."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.vouched import Vouched, digest_of, digests_in
from tests.support.model import repeatable

ONE, TWO = "1" * 64, "2" * 64
CASE = "incidents/20261002-6255b37a8bf0"
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
        (f"{ONE}\n\n{TWO}\n", (Vouched(ONE), Vouched(TWO))),
        (f"2026-10-02T08:14:12Z\t{ONE}\t{CASE}\n", (Vouched(ONE, CASE),)),
        (f"t\t{ONE}\t\nt\t{ONE}\t\n", (Vouched(ONE),)),
        (f"{CASE} is sealed. Keep this: {ONE}", (Vouched(ONE, CASE),)),
        (f"{ONE} {CLAIM}", (Vouched(ONE, CLAIM),)),
        (f"{CASE} dry-runs/{CASE[10:]} {ONE}", (Vouched(ONE),)),
        (json.dumps(LINE), (Vouched(ONE, CASE),)),
        (json.dumps([{"jsonPayload": LINE}, {"textPayload": TWO}, 7]), (Vouched(ONE, CASE),)),
        (json.dumps(LINE) + "\n" + json.dumps({"manifest_sha256": None}), (Vouched(ONE, CASE),)),
        (json.dumps({"manifest_sha256": ONE, "case_file": "../x"}), (Vouched(ONE),)),
        (f"{ONE}0 x{ONE[1:]}", ()),
    ],
)  # fmt: skip
def test_a_log_may_have_any_of_these_forms(log: str, expected: tuple[Vouched, ...]) -> None:
    """What an outcome says besides is no manifest's digest."""
    assert digests_in(log) == expected


@given(st.text(st.sampled_from(f'{ONE[:40]}{{}}[]",\n x')) | st.sampled_from(["[" * 9999, "7"]))
@repeatable
def test_whatever_a_log_has_it_is_read(log: str) -> None:
    """What is no digest is passed over."""
    assert all(digest_of(told.sha256) for told in digests_in(log))
