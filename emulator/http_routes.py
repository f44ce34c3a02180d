"""Routes of the Google services, and of VirusTotal, that are emulated over HTTP."""

from __future__ import annotations

from starlette.routing import Route

from emulator.hierarchy import HierarchySite
from emulator.regions import RegionsSite
from emulator.storage import Objects
from emulator.storage_http import StorageSite
from emulator.storage_json import StorageJsonSite
from emulator.virustotal import VirusTotalSite
from emulator.wire import Gate
from emulator.world import World


def service_routes(gate: Gate, world: World) -> list[Route]:
    """All routes; Cloud Storage takes every path, so it is last."""
    objects = Objects()
    return [
        *RegionsSite(gate, world).routes(),
        *HierarchySite(gate, world).routes(),
        *VirusTotalSite(gate, world).routes(),
        *StorageJsonSite(gate, objects).routes(),
        *StorageSite(gate, objects).routes(),
    ]
