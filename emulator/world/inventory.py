"""Cloud Asset Inventory's rules in a world: whether it is enabled, and where it lags behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Inventory:
    """How the inventory of a world differs from what there is.

    Attributes:
        enabled: Whether the API is enabled in the caller's project.
        not_yet_listed: Keys of workloads that the inventory does not have yet.
        still_listed: Proto JSON of workloads as the inventory still has them, by key: before a
            change, or before they were deleted.
    """

    enabled: bool = True
    not_yet_listed: frozenset[str] = frozenset()
    still_listed: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The entry `inventory` of a world's document; empty where nothing differs."""
        return {
            **({} if self.enabled else {"enabled": False}),
            **({"notYetListed": sorted(self.not_yet_listed)} if self.not_yet_listed else {}),
            **({"stillListed": [*self.still_listed.values()]} if self.still_listed else {}),
        }
