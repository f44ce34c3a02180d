"""What a page says of evidence that is lacking: each reason once, then where it stands. Pure.

Lacking is not the same as empty, so that it is said wherever the evidence would stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from incident.model import Json, JsonObject

_SEE_VERDICT = "as the verdict at the top says"


def grouped_gaps(gaps: Sequence[JsonObject], main_reason: str) -> Iterator[tuple[str, str]]:
    """Collector and reason of each gap; of a reason that was given before, where.

    Args:
        gaps: The outcome's gaps.
        main_reason: The reason that the verdict gives; may be empty.
    """
    explained = {main_reason: _SEE_VERDICT} if main_reason else {}
    for gap in gaps:
        collector, reason = str(gap.get("collector")), str(gap.get("reason"))
        yield collector, explained.setdefault(reason, reason)
        if explained[reason] == reason:
            explained[reason] = f"for the same reason as {collector}"


def without_main_reason(reasons: Iterable[object], main_reason: str) -> list[object]:
    """The decision's reasons; not once more the one that the verdict gives."""
    return [_SEE_VERDICT if reason == main_reason else reason for reason in reasons]


def missing_evidence(
    evidence: Mapping[str, Json],
    gaps: Sequence[JsonObject],
    collectors: Iterable[str],
    *,
    has_workload: bool,
) -> dict[str, str]:
    """Of each piece of evidence that is lacking, why; of what is there, nothing.

    Args:
        evidence: Evidence by its collector.
        gaps: The outcome's gaps.
        collectors: The collectors that the page tells of.
        has_workload: Whether the finding names a workload.
    """
    reasons = {str(gap.get("collector")): str(gap.get("reason")) for gap in gaps}
    unread = (
        "it was not read"
        if has_workload
        else "the finding names no Cloud Run workload to read it of"
    )
    return {
        name: "" if isinstance(evidence.get(name), list | Mapping) else reasons.get(name, unread)
        for name in collectors
    }
