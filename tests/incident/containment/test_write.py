"""The writes of one attempt: the result of each, and the status of all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from incident.actions.changes import with_state
from incident.containment.write import send_changes, status_of_changes
from incident.model import Change, ChangeState, Conflict, Denied, IncidentError, Retry, Status
from tests.support.model import scale_to_zero_change

STOP = scale_to_zero_change()
RESTRICT = replace(STOP, action="restrict-ingress", stops=False)
OK, NO, LOST = ChangeState.VERIFIED, ChangeState.FAILED, ChangeState.UNVERIFIED


class ScriptedCloudRun:
    """Cloud Run, answering each write with the next answer given."""

    def __init__(self, *answers: IncidentError | int | None) -> None:
        self.answers = list(answers)

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """The next answer."""
        del change
        assert not validate_only
        answer = self.answers.pop(0)
        if isinstance(answer, IncidentError):
            raise answer
        return answer


def scripted_cloud_run(*answers: IncidentError | int | None) -> Any:
    """Cloud Run with these answers; it is asked for nothing but writes."""
    return ScriptedCloudRun(*answers)


async def test_a_refused_write_does_not_stop_the_others() -> None:
    """It is named among what has no effect, with its error."""
    sent = await send_changes((STOP, RESTRICT, RESTRICT), scripted_cloud_run(Denied("no"), 8, 9))
    assert [change.state.value for change in sent.changes] == ["failed", "applied", "applied"]
    assert (sent.unsent, sent.generation, sent.any_applied, sent.answer_lost) == (
        (0,),
        9,
        True,
        False,
    )
    assert sent.failed[0].error == "no"


@pytest.mark.parametrize(
    ("error", "unsent", "lost"), [(Conflict("c"), (1, 2), False), (Retry("r"), (2,), True)]
)
async def test_after_a_conflict_or_a_lost_answer_nothing_more_is_sent(
    error: Retry, unsent: tuple[int, ...], *, lost: bool
) -> None:
    """A conflict has no effect; what was lost may have one."""
    run = scripted_cloud_run(8, error, 9)
    sent = await send_changes((STOP, RESTRICT, RESTRICT), run)
    assert (sent.unsent, sent.answer_lost, sent.interrupted) == (unsent, lost, error)
    assert run.answers == [9]


async def test_a_refused_change_that_is_found_in_effect_is_applied() -> None:
    """The answer said no, the workload says yes: it is among what was written after all."""
    sent = await send_changes(
        (STOP, RESTRICT, RESTRICT), scripted_cloud_run(Denied("no"), 8, Conflict("c"))
    )
    assert (sent.refused, sent.unsent) == ((0, 2), (0, 2))
    found = sent.corrected([2])
    assert [change.state.value for change in found.changes] == ["failed", "applied", "applied"]
    assert (found.refused, found.unsent, found.interrupted) == ((0,), (0,), sent.interrupted)
    assert sent.corrected([]) == sent


@pytest.mark.parametrize(
    ("stops", "closes", "status"),
    [
        ([OK], [OK], Status.CONTAINED),
        ([OK], [NO, LOST], Status.CONTAINED),
        ([OK, NO], [OK], Status.RESTRICTED),
        ([OK, NO], [], Status.FAILED),
        ([OK, LOST], [NO], Status.UNVERIFIED),
        ([LOST], [OK], Status.RESTRICTED),
        ([NO], [OK], Status.RESTRICTED),
        ([], [OK], Status.RESTRICTED),
        ([NO], [NO], Status.FAILED),
        ([], [LOST], Status.UNVERIFIED),
        ([], [], Status.FAILED),
    ],
)
def test_contained_requires_a_verified_stop(
    stops: list[ChangeState], closes: list[ChangeState], status: Status
) -> None:
    """Every stop must be read back in effect; otherwise only the restriction is reported."""
    changes = [with_state(replace(STOP, target=f"s{at}"), state) for at, state in enumerate(stops)]
    changes += [
        with_state(replace(RESTRICT, target=f"c{at}"), state) for at, state in enumerate(closes)
    ]
    assert status_of_changes(changes) is status
