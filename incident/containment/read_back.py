"""What enforcing came to: every change read back, told, and put on record.

Nothing is called contained here that was not seen in effect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from incident.actions import plan
from incident.actions.annotation import ANNOTATION, annotated
from incident.actions.before_image import Image, stated
from incident.containment.types import Result, Scene, Tools
from incident.containment.verify import verify
from incident.containment.write import status_of
from incident.investigation.workload_reader import look
from incident.model import (
    Change,
    ChangeKind,
    ChangeState,
    IncidentError,
    Kind,
    Reason,
    Settings,
    Status,
)


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of the decision, to be read back.

    Attributes:
        image: The image of what was written; None when nothing was.
        failed: The changes that were refused.
        written_at: When the writes were accepted.
        last: Number of the containment's last record.
        exact: Whether nobody else wrote between reading and writing.
    """

    image: Image | None
    failed: tuple[Change, ...]
    written_at: datetime | None
    last: int
    exact: bool = True

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes that were written."""
        return self.image.changes if self.image else ()


async def read_back(made: Made, scene: Scene, tools: Tools) -> Result:
    """Read back what was written, and tell it change by change."""
    settings: Settings | None = None
    lacking: tuple[str | None, ...] = ()
    if made.changes:
        settings, lacking = await verify(
            made.changes, scene.workload, tools.run, tools.verify_timeout
        )
    told = replace(made, failed=await _over(made.failed, scene, tools))
    result = came_to(told, lacking, scene, tools)
    if made.image is None:
        return result
    unseen = [c.error for c in result.changes if c.state is ChangeState.UNVERIFIED]
    if unseen:
        await tools.note(scene, made.last, "unverified", made.image, reason=unseen[0])
        return result
    last = await tools.note(scene, made.last, "verified", made.image)
    if settings is None or result.status not in (Status.CONTAINED, Status.RESTRICTED):
        return result
    reasons = await _annotate(settings, made.image, last, scene, tools)
    return replace(result, reasons=(*reasons, *result.reasons))


def came_to(made: Made, lacking: tuple[str | None, ...], scene: Scene, tools: Tools) -> Result:
    """What the changes come to, each in effect or with why it is not."""
    told = [_told(change, why) for change, why in zip(made.changes, lacking, strict=True)]
    changes = sorted((*told, *made.failed), key=lambda change: not change.stops)
    status = status_of(changes)
    text = (
        "another change came between reading and writing: the before-image may lack it;"
        " the audit log has it"
    )
    return Result(
        status=status,
        decision=scene.decision,
        changes=tuple(changes),
        folder=tools.custody.folder(scene.history) if made.image else None,
        stopped_at=made.written_at if status is Status.CONTAINED else None,
        seen_at=tools.clock() if status is Status.CONTAINED else None,
        reasons=() if made.exact else (Reason(text, "settings"),),
        alarm=any(change.state is not ChangeState.VERIFIED for change in changes)
        or status is not Status.CONTAINED,
    )


def _told(change: Change, lacking: str | None) -> Change:
    """A change once it was read back."""
    if lacking:
        return stated(change, ChangeState.UNVERIFIED, lacking)
    return stated(change, ChangeState.VERIFIED)


async def _over(failed: tuple[Change, ...], scene: Scene, tools: Tools) -> tuple[Change, ...]:
    """What was refused; an execution that was over before it was cancelled is as wanted."""
    cancelled = [change for change in failed if change.kind is ChangeKind.CANCELLATION]
    if not cancelled:
        return failed
    needs = plan.needed_by(cancelled)
    try:
        settings = await look(scene.workload, needs, tools.run)
    except IncidentError:
        return failed
    return tuple(
        stated(change, ChangeState.VERIFIED)
        if change in cancelled and plan.in_effect(change, settings)
        else change
        for change in failed
    )


async def _annotate(
    settings: Settings, image: Image, last: int, scene: Scene, tools: Tools
) -> tuple[Reason, ...]:
    """Name the incident on the workload, for whoever finds it down. Information only."""
    job = settings.kind is Kind.JOB  # a job can only be replaced as a whole
    if job or image.incident != scene.incident or ANNOTATION in settings.annotations:
        return ()
    change = annotated(settings, scene.incident)
    try:
        await tools.run.write(change, validate_only=False)
    except IncidentError as error:
        text = f"the workload does not name the incident: {error}"
        return (Reason(text, "settings"),)
    # A release takes our own key away again; what others wrote there is theirs.
    await tools.note(scene, last, "annotated", image, annotation=ANNOTATION)
    return ()
