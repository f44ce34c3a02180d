"""Routes of the Google services, and of VirusTotal, that are emulated over HTTP."""

from __future__ import annotations

from starlette.routing import Route

from emulator.services.cloud_run.locations import RegionsSite
from emulator.services.gate import Gate
from emulator.services.resource_manager import HierarchySite
from emulator.services.storage.json_api import StorageJsonSite
from emulator.services.storage.objects import Objects
from emulator.services.storage.xml_api import StorageSite
from emulator.services.virustotal import VirusTotalSite
from emulator.world.state import World


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
