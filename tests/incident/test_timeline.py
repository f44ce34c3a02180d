"""The timeline: every event in its place, in order, and few enough to be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from incident.drawing import bars, boxes, rows
from incident.model import JsonObject
from incident.timeline import Lane, moment, timeline
from tests.values import repeatable

EVENT = datetime(2026, 10, 2, 8, 14, 7, tzinfo=UTC)
OUTCOME: dict[str, Any] = {"finding": {"event_time": EVENT.isoformat(), "category": "Execution: X"}}


def at(seconds: float) -> str:
    """A time after the event, as evidence spells it."""
    return (EVENT + timedelta(seconds=seconds)).isoformat()


def test_everything_that_has_a_time_stands_in_order() -> None:
    """Deployment, related finding, logs, finding and our own steps, whoever tells them."""
    events = timeline(
        OUTCOME,
        {
            "audit-log": [
                {"timestamp": at(-7200), "method": "a.b.UpdateService", "principal": "me"}
            ],
            "revisions": [{"create_time": at(-7190), "revision": "r-1"}],
            "related-findings": [{"event_time": at(-240), "category": "Reverse Shell"}],
            "logs": [{"timestamp": at(-100)}, {"timestamp": at(-101)}],
        },
        [{"kind": "decided", "recorded_at": at(4)}, {"kind": "alive", "recorded_at": at(5)}],
    )
    assert [event.lane for event in events] == [
        *(Lane.DEPLOYMENT, Lane.DEPLOYMENT, Lane.RELATED),
        *(Lane.LOGS, Lane.FINDING, Lane.RESPONDER),
    ]
    assert events[0].text == "UpdateService by me"
    assert events[3].count == len(["both entries of that minute"]) + 1
    assert [bool(event.quiet) for event in events] == [False, False, True, True, True, False]


def test_of_many_events_the_nearest_to_the_finding_stay() -> None:
    """A thousand deployments do not push the finding off its own timeline."""
    audit = [{"timestamp": at(-60 * n), "method": "UpdateService"} for n in range(1, 1000)]
    events = timeline(OUTCOME, {"audit-log": audit}, [])
    assert len(events) < len(audit) // 10
    assert Lane.FINDING in {event.lane for event in events}


_odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@repeatable
@given(_odd, _odd, _odd)
def test_odd_evidence_draws_no_error(audit: Any, logs: Any, timings: Any) -> None:
    """A store that somebody else wrote to makes an odd page at worst."""
    evidence = {"audit-log": audit, "logs": logs, "revisions": audit, "related-findings": logs}
    picture = rows(timeline(OUTCOME, evidence, [audit] if isinstance(audit, dict) else []))
    places = [row.y for row in picture.parts]
    assert places == sorted(places)
    assert picture.height > max(places)
    assert bars(timings).height > 0
    assert moment(audit) is None or isinstance(audit, str)


def test_bars_are_as_long_as_their_share() -> None:
    """The longest is full, and none runs out of the picture."""
    placed: Any = bars({"read": 25.0, "total": 100.0}).parts
    assert placed[0].length * 4 == placed[1].length


def test_the_exposure_goes_from_outside_to_what_is_in_reach() -> None:
    """Ingress before callers before the workload before what it could read."""
    points: list[JsonObject] = [
        {
            "topic": "secrets",
            "text": "rotate",
            "names": ["projects/p/secrets/key"],
            "serious": True,
        },
        {"topic": "entry", "text": "anybody", "names": [], "serious": True},
    ]
    placed: Any = boxes("shop", points).parts
    titles = [(box.title, box.text) for box in placed]
    assert titles == [("Ingress", "anybody"), ("Workload", "shop"), ("Secrets in reach", "key")]
