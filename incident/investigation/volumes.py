"""What a workload mounts, and whether a changed file there outlives its instance. Pure."""

from __future__ import annotations

from incident.model import Evidence, ExposureFact, ExposureTopic, Volume

#: What is true of each kind of volume, whatever becomes of the workload.
_PERSISTENT_TEXTS = {
    "gcs": "a file that was changed in a Cloud Storage bucket stays there, and comes back with"
    " every instance that mounts it",
    "nfs": "a file that was changed on a file share stays there, and comes back with every"
    " instance and every other machine that mounts it",
}
_PERSISTENT_DEFAULT_TEXT = "a file that was changed there outlives the instance"
_NON_PERSISTENT_TEXTS = {
    "gcs": "buckets mounted read-only could be read, not changed",
    "nfs": "file shares mounted read-only could be read, not changed",
    "cloud-sql": "the databases behind its Cloud SQL connections could be reached, and keep what"
    " was changed in them",
    "empty_dir": "what is in memory is lost with its instance",
}
_MAX_NAMES = 5
_SERIOUS_KINDS = frozenset({"cloud-sql"})
_KIND_ALIASES = {"empty-dir": "empty_dir", "memory": "empty_dir"}


def describe_volumes(evidence: Evidence) -> tuple[ExposureFact, ...]:
    """A point for each kind of volume, and what becomes of the changed file elsewhere.

    Secrets that are mounted are on the list of secrets.
    """
    affected, source = evidence.affected_template, evidence.affected_revision.template_source
    if affected is None:
        text = f"what it mounts is {evidence.describe_gap('settings')}"
        return (ExposureFact(ExposureTopic.VOLUMES, text, "settings", known=False),)
    persistent = [volume for volume in affected.volumes if volume.persists]
    points = [*_describe_kinds(persistent, source, persistent=True)]
    if not persistent:
        text = (
            "it mounts nothing that keeps a changed"
            f" file{evidence.affected_revision.current_only_note}: what was changed"
            " in the container's own file system lasts as long as its instance, and is lost when"
            " that stops"
        )
        points.append(ExposureFact(ExposureTopic.VOLUMES, text, source))
    others = [v for v in affected.volumes if not v.persists and _volume_kind(v) != "secret"]
    return (*points, *_describe_kinds(others, source, persistent=False))


def _describe_kinds(mounted: list[Volume], source: str, *, persistent: bool) -> list[ExposureFact]:
    texts = _PERSISTENT_TEXTS if persistent else _NON_PERSISTENT_TEXTS
    points = []
    for kind in dict.fromkeys(_volume_kind(volume) for volume in mounted):
        names = tuple(_volume_name(volume) for volume in mounted if _volume_kind(volume) == kind)
        default = (
            _PERSISTENT_DEFAULT_TEXT
            if persistent
            else f"whether a change to a volume of type {kind} lasts is not known"
        )
        text = f"it mounts {_names_text(names)}: {texts.get(kind, default)}"
        serious = persistent or kind in _SERIOUS_KINDS
        points.append(ExposureFact(ExposureTopic.VOLUMES, text, source, names, serious=serious))
    return points


def _names_text(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return f"{', '.join(names[:_MAX_NAMES])}{more}"


def _volume_kind(volume: Volume) -> str:
    """The first word of what is mounted, such as ``gcs``."""
    word = volume.source.replace("://", " ", 1).partition(" ")[0]
    return _KIND_ALIASES.get(word, word)


def _volume_name(volume: Volume) -> str:
    """What is mounted, or where nothing but a kind tells it, the volume's own name."""
    return volume.source if {" ", ":"} & set(volume.source) else volume.name
