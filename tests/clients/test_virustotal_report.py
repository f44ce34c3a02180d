"""Reading a report on a file: nothing of it is believed but its shape."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clients.virustotal_report import parse_report
from incident.model import Lookup
from tests.support.model import repeatable

HASH = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "last_analysis_stats": st.dictionaries(st.sampled_from(["malicious", "harmless"]), JSON)
        | JSON,
        "popular_threat_classification": st.fixed_dictionaries({"suggested_threat_label": JSON}),
        "names": st.lists(JSON, max_size=4) | JSON,
        "meaningful_name": JSON,
        "tags": st.lists(JSON, max_size=4) | JSON,
        "type_description": JSON,
        "first_submission_date": st.integers() | JSON,
        "last_submission_date": st.integers() | JSON,
        "last_analysis_date": st.integers() | JSON,
    },
)


@repeatable
@given(JSON)
def test_anything_is_refused_that_is_no_report(answer: Any) -> None:
    """Whatever JSON comes, it is either read or refused in one way."""
    with contextlib.suppress(ValueError):
        parse_report(answer, HASH)


@repeatable
@given(ATTRIBUTES)
def test_whatever_is_read_can_be_stored_and_counted(attributes: dict[str, Any]) -> None:
    """Texts are bounded and storable; only counted engines make a file known."""
    with contextlib.suppress(ValueError):
        found = parse_report({"data": {"id": HASH.upper(), "attributes": attributes}}, HASH)
        assert 0 <= found.malicious <= found.engines
        assert (found.lookup is Lookup.KNOWN) == bool(found.engines)
        for text in (found.label, found.file_type, *found.names, *found.tags):
            assert len(text.encode()) <= 4 * 200
        assert "" not in (*found.names, *found.tags)
