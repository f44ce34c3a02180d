"""Routes of the APIs that are emulated over HTTP."""

from __future__ import annotations

from starlette.routing import Route

from emulator.services.asset_inventory import AssetInventory
from emulator.services.cloud_run.locations import LocationsApi
from emulator.services.gate import Gate
from emulator.services.storage.json_api import StorageJsonApi
from emulator.services.storage.objects import BucketObjects
from emulator.services.storage.xml_api import StorageXmlApi
from emulator.services.virustotal import VirusTotalApi
from emulator.world.state import World


def service_routes(gate: Gate, world: World) -> list[Route]:
    """All routes; Cloud Storage takes every path, so it is last."""
    objects = BucketObjects()
    return [
        *LocationsApi(gate, world).routes(),
        *AssetInventory(world).routes(gate),
        *VirusTotalApi(gate, world).routes(),
        *StorageJsonApi(gate, objects).routes(),
        *StorageXmlApi(gate, objects).routes(),
    ]
