"""What releasing a workload comes to: the writes, what stands against them, what stays lost.

Reads and writes nothing but what it is given; carrying it out is next door, in ``release``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from incident.actions.annotation import ANNOTATION
from incident.actions.before_image import Image, Part
from incident.actions.fields import as_sent, in_full, in_snake_case, normal, targets
from incident.actions.invokers import NAME, alike, bindings_in, invokers, restored
from incident.actions.plan import needed_by
from incident.case_file.containments import Containment, Custody, History
from incident.investigation.workload_reader import Looking, look
from incident.model import Change, ChangeKind, Json, Need, Settings, Workload

ACTION = "release"


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that is neither as our write left it nor as it was before: somebody's work.

    Attributes:
        name: The field; of an IAM policy the part that we edited.
        left: How our write left it.
        now: How it is.
    """

    name: str
    left: Json
    now: Json


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """What a release would do, for settings and records read at one moment.

    Attributes:
        workload: What is held.
        containment: The containment that is taken back; None when nothing is held.
        history: All containments of the workload.
        image: What the release restores.
        changes: The writes that restore it, in their order: all fields in one, and after them
            the IAM policy, so that nobody is let in before the rest is as it was. Empty when
            all is as it was already.
        lost: What the containment did that nobody can take back.
        differs: What somebody changed since.
        settings: The workload's settings, as read.
    """

    workload: Workload
    containment: Containment | None
    history: History
    image: Image | None
    changes: tuple[Change, ...]
    lost: tuple[Change, ...]
    differs: tuple[Difference, ...]
    settings: Settings

    def change(self, kind: ChangeKind) -> Change | None:
        """The write of one kind, if one is needed."""
        return next((change for change in self.changes if change.kind is kind), None)


async def plan_release(workload: Workload, custody: Custody, run: Looking) -> ReleasePlan:
    """What releasing the workload would write, for settings read now. Writes nothing.

    Raises:
        Retry: Time may heal it.
        GiveUp: The workload or the records cannot be read.
    """
    history = await custody.history()
    held = history.current
    policies = _policies(held.effective if held else None)
    settings = await look(workload, needed_by(part.change for part in policies), run)
    history = history.of(settings)
    current = history.current
    image = current.effective if current else None
    if current is None or image is None:
        return ReleasePlan(workload, None, history, None, (), (), (), settings)
    return ReleasePlan(
        workload=workload,
        containment=current,
        history=history,
        image=image,
        changes=_changes(image, current, settings),
        lost=current.irreversible,
        differs=(*_fields_changed(image, settings), *_invokers_changed(image, settings)),
        settings=settings,
    )


def lacking(plan: ReleasePlan, settings: Settings, kinds: Collection[ChangeKind]) -> str | None:
    """Why a workload is not as it was before; None when it is.

    Judged field by field against the before-image, whatever was written, and only once Cloud Run
    has observed it.

    Args:
        plan: What is to be restored.
        settings: The workload as it is now.
        kinds: Which of it is looked at: fields, the IAM policy.
    """
    image, current = plan.image, plan.containment
    if image is None or current is None:
        return None
    for part in _policies(image) if ChangeKind.IAM_POLICY in kinds else ():
        now = settings.access.raw if settings.access else ()
        if settings.access is None or not alike(now, bindings_in(part.restores)):
            return f"the {NAME} do not read back as they were before"
    wanted = _wanted(image, current, settings) if ChangeKind.FIELDS in kinds else {}
    if wanted and settings.observed_generation < settings.generation:
        return "Cloud Run is still at work on it"
    for name, value in wanted.items():
        there = _now(name, settings)
        if normal(name, there, settings.kind) != normal(name, value, settings.kind):
            return _maximum_lost(value, there) or f"{name} does not read back as it was before"
    return None


def needs_of(plan: ReleasePlan) -> frozenset[Need]:
    """What judging a release needs to know besides the workload's settings."""
    return needed_by(part.change for part in _policies(plan.image))


def _maximum_lost(wanted: Json, now: Json) -> str | None:
    """A maximum of 0 lets nothing start, and may be what Cloud Run makes of a manual 0."""
    most = [
        value.get("maxInstanceCount") or 0 if isinstance(value, Mapping) else 0
        for value in (wanted, now)
    ]
    if not most[0] or most[1]:
        return None
    return (
        f"the maximum of instances reads back 0 where it was {most[0]}: nothing could start. Set"
        f" it by hand (gcloud run services update --max={most[0]}), or release with --force"
    )


def _changes(image: Image, current: Containment, settings: Settings) -> tuple[Change, ...]:
    found = [_of_fields(image, current, settings)]
    found += [_of_policy(part, settings) for part in _policies(image)]
    return tuple(change for change in found if change)


def _of_fields(image: Image, current: Containment, settings: Settings) -> Change | None:
    """The one masked write of all fields that are not as they were before."""
    wanted = _wanted(image, current, settings)
    needed = {
        name: value for name, value in wanted.items() if not _as_before(name, value, settings)
    }
    if not needed:
        return None
    return Change(
        action=ACTION,
        target=settings.name,
        mask=tuple(map(in_snake_case, needed)),
        before={name: _now(name, settings) for name in needed},
        after=needed,
        stops=False,
        reversible=True,
    )


def _wanted(image: Image, current: Containment, settings: Settings) -> dict[str, Json]:
    """All fields as they were before, and the annotations without our own."""
    wanted = {name: as_sent(name, value, settings.kind) for name, value in image.restores.items()}
    if settings.annotations.get(ANNOTATION) in current.incidents:
        # What others wrote there since, or under the same key, is theirs.
        others = {key: text for key, text in settings.annotations.items() if key != ANNOTATION}
        wanted["annotations"] = others
    return wanted


def _of_policy(part: Part, settings: Settings) -> Change | None:
    """The edit that lets in again whom ours kept out, and touches no other binding."""
    access, kept = settings.access, bindings_in(part.restores)
    if access is None or alike(access.raw, kept):
        return None
    form = {name: value for name, value in part.restores.items() if name != "bindings"}
    return Change(
        action=ACTION,
        target=settings.name,
        mask=("bindings",),
        before={"bindings": list(access.raw)},
        after={"bindings": list(restored(access.raw, kept)), **form},
        stops=False,
        reversible=True,
        kind=ChangeKind.IAM_POLICY,
        etag=access.etag,
    )


def _policies(image: Image | None) -> tuple[Part, ...]:
    parts = image.parts if image else ()
    # There is one policy: the newest part of it is the one whose edit stands.
    return tuple(part for part in parts if part.change.kind is ChangeKind.IAM_POLICY)[:1]


def _fields_changed(image: Image, settings: Settings) -> tuple[Difference, ...]:
    found = []
    for name, value in image.restores.items():
        now, kind = _now(name, settings), settings.kind
        known = [normal(name, image.left[name], kind), normal(name, value, kind)]
        if normal(name, now, kind) not in known:
            found.append(Difference(name, image.left[name], now))
    return tuple(found)


def _invokers_changed(image: Image, settings: Settings) -> tuple[Difference, ...]:
    found = []
    for part in _policies(image):
        now = settings.access.raw if settings.access else ()
        left = bindings_in(part.change.after)
        if not alike(now, left) and not alike(now, bindings_in(part.restores)):
            found.append(Difference(NAME, list(invokers(left)), list(invokers(now))))
    return tuple(found)


def _as_before(name: str, wanted: Json, settings: Settings) -> bool:
    """Whether a field is as it was, traffic to the letter: target for target, or not set."""
    if name == "traffic":
        return targets(settings.fields.get(name)) == targets(wanted)
    return normal(name, _now(name, settings), settings.kind) == normal(name, wanted, settings.kind)


def _now(name: str, settings: Settings) -> Json:
    return dict(settings.annotations) if name == "annotations" else in_full(settings.fields, name)
