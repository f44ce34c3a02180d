"""What a command tells of the manifests that it wrote: a digest that the store cannot change."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from incident.case_file.journal import Store
from incident.case_file.recording_store import witness
from incident.model import Json
from incident.report.terminal import visible


def seals_of(store: Store) -> dict[str, Json]:
    """By case file, the digest of the newest manifest that was written through a store."""
    return {**dict(sorted(witness(store).seals.items()))}


def say_sealed(console: Console, store: Store) -> None:
    """Tell a person the digests: nobody else has them, but whoever reads this and the store."""
    for folder, sha256 in seals_of(store).items():
        text = visible(f"{folder} is sealed. Keep this, for `verify --sha256`: {sha256}")
        console.print(Text(text), soft_wrap=True)
