"""What a log line holds is cut to 64 KiB, and what is cut is counted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident.model import Json
from incident.response.log_size import MAX_LINE_BYTES, fit_keys


def line_with(**outcome: Json) -> dict[str, Json]:
    """The keys of a line about an outcome."""
    return {"incident": "i-1", "outcome": {"incident": "i-1", "status": "contained", **outcome}}


def test_a_short_line_stays_as_it_is() -> None:
    """Nothing is cut, and nothing is added."""
    keys = line_with(changes=[{"before": {"scaling": {}}}], gaps=[])
    assert fit_keys(keys) == keys


def test_long_lists_are_cut_and_counted() -> None:
    """Short ones beside them stay whole."""
    members: list[Json] = [f"user:person-{number}@example.com" for number in range(1_500)]
    bindings: list[Json] = [{"role": "roles/run.invoker", "members": members}]
    gaps: list[Json] = [{"collector": "logs", "reason": "denied"}] * 3
    keys = line_with(changes=[{"before": {"bindings": bindings}}] * 2, gaps=gaps)
    fitted: Any = fit_keys(keys)
    assert len(json.dumps(fitted)) < MAX_LINE_BYTES
    assert fitted["outcome"]["gaps"] == gaps
    kept = fitted["outcome"]["changes"][0]["before"]["bindings"][0]["members"]
    assert kept == members[: len(kept)]
    assert {
        "path": "outcome.changes[0].before.bindings[0].members",
        "kept": len(kept),
        "of": 1_500,
        "unit": "items",
    } in fitted["cut"]


@pytest.mark.parametrize("letter", ["a", "\u00e4", "\U0001f600", '"', "\x00"])
def test_a_long_text_is_cut_whatever_its_letters_take_as_json(letter: str) -> None:
    """One of 10 MB; some letters take six bytes and more."""
    fitted: Any = fit_keys(line_with(detected={"program": {"arguments": [letter * 10_000_000]}}))
    assert len(json.dumps(fitted)) < MAX_LINE_BYTES
    (counted,) = fitted["cut"]
    assert (counted["of"], counted["unit"]) == (10_000_000, "characters")
    assert fitted["outcome"]["status"] == "contained"


_TEXTS = st.text(max_size=60) | st.integers(10, 30_000).map(lambda count: "x" * count)
_LISTS: st.SearchStrategy[Json] = st.integers(1, 3_000).map(lambda count: ["member"] * count)
_VALUES = st.recursive(
    _TEXTS | _LISTS | st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=9), inner, max_size=9)
    ),
    max_leaves=30,
)


@settings(deadline=None)
@given(values=st.dictionaries(st.sampled_from("abcdefgh"), _VALUES, max_size=8))
def test_any_line_fits_and_names_its_incident(values: dict[str, Json]) -> None:
    """However the outcome is nested; it stays valid JSON with its status."""
    fitted: Any = fit_keys(line_with(**values))
    assert len(json.dumps(fitted)) < MAX_LINE_BYTES
    assert (fitted["incident"], fitted["outcome"]["status"]) == ("i-1", "contained")
