"""What a command tells of the manifests that it wrote: a digest that the store cannot change."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from incident.case_file.journal import ObjectStore
from incident.case_file.recording_store import as_recording_store
from incident.model import Json
from incident.report.terminal import escape_unprintable


def manifest_digests(store: ObjectStore) -> dict[str, Json]:
    """By case file, the digest of the newest manifest that was written through a store."""
    return {**dict(sorted(as_recording_store(store).manifest_digests.items()))}


def print_manifest_digests(console: Console, store: ObjectStore) -> None:
    """Tell a person the digests: nobody else has them, but whoever reads this and the store."""
    for folder, sha256 in manifest_digests(store).items():
        text = escape_unprintable(f"{folder} is sealed. Keep this, for `verify --sha256`: {sha256}")
        console.print(Text(text), soft_wrap=True)
