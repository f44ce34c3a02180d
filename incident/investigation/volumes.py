"""What a workload mounts, and whether a changed file there outlives its instance. Pure."""

from __future__ import annotations

from incident.model import Evidence, Point, Topic, Volume

#: What is true of each kind of volume, whatever becomes of the workload.
_KEPT = {
    "gcs": "a file that was changed in a Cloud Storage bucket stays there, and comes back with"
    " every instance that mounts it",
    "nfs": "a file that was changed on a file share stays there, and comes back with every"
    " instance and every other machine that mounts it",
}
_ANY_KEPT = "a file that was changed there outlives the instance"
_GONE = {
    "gcs": "buckets mounted read-only could be read, not changed",
    "nfs": "file shares mounted read-only could be read, not changed",
    "cloud-sql": "the databases behind its Cloud SQL connections could be reached, and keep what"
    " was changed in them",
    "empty_dir": "what is in memory is lost with its instance",
}
_MOST_NAMES = 5
_SERIOUS = frozenset({"cloud-sql"})
_KINDS = {"empty-dir": "empty_dir", "memory": "empty_dir"}


def volumes(evidence: Evidence) -> tuple[Point, ...]:
    """A point for each kind of volume, and what becomes of the changed file elsewhere.

    Secrets that are mounted are on the list of secrets.
    """
    affected, source = evidence.affected, evidence.ran.source
    if affected is None:
        text = f"what it mounts is {evidence.unknown('settings')}"
        return (Point(Topic.VOLUMES, text, "settings", known=False),)
    kept = [volume for volume in affected.volumes if volume.persists]
    points = [*_points(kept, source, kept=True)]
    if not kept:
        text = (
            f"it mounts nothing that keeps a changed file{evidence.ran.as_now}: what was changed"
            " in the container's own file system lasts as long as its instance, and is lost when"
            " that stops"
        )
        points.append(Point(Topic.VOLUMES, text, source))
    others = [v for v in affected.volumes if not v.persists and _kind(v) != "secret"]
    return (*points, *_points(others, source, kept=False))


def _points(mounted: list[Volume], source: str, *, kept: bool) -> list[Point]:
    texts = _KEPT if kept else _GONE
    points = []
    for kind in dict.fromkeys(_kind(volume) for volume in mounted):
        names = tuple(_called(volume) for volume in mounted if _kind(volume) == kind)
        other = (
            _ANY_KEPT if kept else f"whether a change to a volume of type {kind} lasts is not known"
        )
        text = f"it mounts {_listed(names)}: {texts.get(kind, other)}"
        serious = kept or kind in _SERIOUS
        points.append(Point(Topic.VOLUMES, text, source, names, serious=serious))
    return points


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{', '.join(names[:_MOST_NAMES])}{more}"


def _kind(volume: Volume) -> str:
    """The first word of what is mounted, such as ``gcs``."""
    word = volume.source.replace("://", " ", 1).partition(" ")[0]
    return _KINDS.get(word, word)


def _called(volume: Volume) -> str:
    """What is mounted, or where nothing but a kind tells it, the volume's own name."""
    return volume.source if {" ", ":"} & set(volume.source) else volume.name
