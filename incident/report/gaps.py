"""What a page says of evidence that is lacking: each reason once, then where it stands. Pure.

Lacking is not the same as empty, so that it is said wherever the evidence would stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from incident.model import Json, JsonObject

_AT_THE_TOP = "as the verdict at the top says"


def gaps_told(gaps: Sequence[JsonObject], because: str) -> Iterator[tuple[str, str]]:
    """Collector and reason of each gap; of a reason that was given before, where.

    Args:
        gaps: The outcome's gaps.
        because: The reason that the verdict gives; may be empty.
    """
    said = {because: _AT_THE_TOP} if because else {}
    for gap in gaps:
        collector, reason = str(gap.get("collector")), str(gap.get("reason"))
        yield collector, said.setdefault(reason, reason)
        if said[reason] == reason:
            said[reason] = f"for the same reason as {collector}"


def reasons_told(reasons: Iterable[object], because: str) -> list[object]:
    """The decision's reasons; not once more the one that the verdict gives."""
    return [_AT_THE_TOP if reason == because else reason for reason in reasons]


def unknown(
    evidence: Mapping[str, Json],
    gaps: Sequence[JsonObject],
    asked: Iterable[str],
    *,
    named: bool,
) -> dict[str, str]:
    """Of each piece of evidence that is lacking, why; of what is there, nothing.

    Args:
        evidence: Evidence by its collector.
        gaps: The outcome's gaps.
        asked: The collectors that the page tells of.
        named: Whether the finding names a workload.
    """
    reasons = {str(gap.get("collector")): str(gap.get("reason")) for gap in gaps}
    unread = "it was not read" if named else "the finding names no Cloud Run workload to read it of"
    return {
        name: "" if isinstance(evidence.get(name), list | Mapping) else reasons.get(name, unread)
        for name in asked
    }
