"""Folders and projects, as Resource Manager tells them."""

from __future__ import annotations

from typing import Any

import pytest

from clients.rest import ResourceManager
from incident.model import Missing, Retry
from tests.clients.conftest import connected_clients as google

WORLD: dict[str, Any] = {
    "projects": [
        {"projectId": "a", "projectNumber": "11", "folders": ["2", "1"]},
        {"projectId": "b", "projectNumber": "12", "folders": ["1"]},
        {"projectId": "c", "projectNumber": "13", "folders": []},
    ]
}


async def test_each_level_is_listed_by_itself() -> None:
    """What is deeper is not, and any organization is the one above all."""
    async with google(WORLD) as cloud:
        hierarchy = ResourceManager(cloud.settings)
        assert await hierarchy.projects("organizations/9") == (("c", "13"),)
        assert await hierarchy.folders("organizations/9") == ("1",)
        assert await hierarchy.projects("folders/1") == (("b", "12"),)
        assert await hierarchy.folders("folders/1") == ("2",)
        assert await hierarchy.folders("folders/2") == ()
        assert await hierarchy.parent_of("2") == "folders/1"
        assert (await hierarchy.parent_of("1")).startswith("organizations/")
        with pytest.raises(Missing, match="cannot read folders/7"):
            await hierarchy.parent_of("7")


async def test_its_calls_can_be_made_to_fail() -> None:
    """Under the names that faults know."""
    faults = [{"method": "ListFolders", "code": "UNAVAILABLE"}]
    async with google({**WORLD, "faults": faults}) as cloud:
        with pytest.raises(Retry, match="cannot list the folders of folders/1"):
            await ResourceManager(cloud.settings).folders("folders/1")
