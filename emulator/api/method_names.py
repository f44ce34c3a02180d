"""Names of all methods that faults and latencies may name."""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path

_LIBRARIES = (
    "google.cloud.run_v2",
    "google.cloud.securitycenter_v2",
    "google.cloud.logging_v2",
    "google.pubsub_v1",
    "google.cloud.asset_v1",
    "google.cloud.iam_admin_v1",
)
_OPERATIONS = ("GetOperation", "ListOperations", "WaitOperation", "DeleteOperation")
STORAGE_METHODS = (
    "storage.PUT",
    "storage.GET",
    "storage.HEAD",
    "storage.LIST",
    "storage.DELETE",
    "storage.POST",
)
#: What looking a file up at VirusTotal is called; it is no gRPC method.
GET_FILE_REPORT = "GetFileReport"
#: What listing a project's regions is called; it is no gRPC method either.
LIST_LOCATIONS = "ListLocations"
_HTTP_METHODS = {*STORAGE_METHODS, GET_FILE_REPORT, LIST_LOCATIONS}
RECONCILE = "reconcile"


@functools.cache
def known_methods() -> frozenset[str]:
    """Full names of every method that a client of the emulated services can call.

    Read from the description of each service that Google's client libraries carry, so that it
    names methods that the emulator does not implement, too.
    """
    names = {f"/google.longrunning.Operations/{name}" for name in _OPERATIONS}
    for library in _LIBRARIES:
        metadata = json.loads((_folder(library) / "gapic_metadata.json").read_text("utf-8"))
        for service, description in metadata["services"].items():
            for rpc in description["clients"]["grpc"]["rpcs"]:
                names.add(f"/{metadata['protoPackage']}.{service}/{rpc}")
    return frozenset(names)


def _folder(library: str) -> Path:
    """Where a library lies, found without importing it: asset_v1 alone takes 0.3 s."""
    spec = importlib.util.find_spec(library)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{library} is not installed; run make setup")
    return Path(spec.submodule_search_locations[0])


@functools.cache
def known_spellings() -> frozenset[str]:
    """Every way to name a method: in full, by its last part, or as the HTTP ones are called."""
    full = known_methods()
    return full | {name.rsplit("/", 1)[-1] for name in full} | _HTTP_METHODS


def spelling_matches(spelling: str, method: str) -> bool:
    """Whether a spelling from a world means this method."""
    return spelling in (method, method.rsplit("/", 1)[-1])
