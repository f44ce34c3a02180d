"""A workload as Cloud Asset Inventory lists it: what it runs, as whom, and how it is exposed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from incident.model.configuration import ListedWorkload
from incident.model.workload import Workload


class Ingress(StrEnum):
    """Which network a workload's URL can be reached from."""

    ALL = "all"
    INTERNAL = "internal"
    INTERNAL_AND_LOAD_BALANCER = "internal-and-load-balancer"
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class InventoryWorkload:
    """One workload of the inventory. The inventory lags behind by minutes.

    Attributes:
        workload: The workload, with its project's number and folders.
        listed: What coverage says of it.
        images: The images of its containers, as they were deployed: by tag or by digest.
        service_account: E-mail of the runtime identity; empty means the project's default.
        labels: Its labels.
        ingress: Which network can reach it; a job and a worker pool have no URL.
        invoker_check_off: Whether everyone whom the ingress lets in may call it.
        unread: Why the inventory's description could not be read; empty where it was read.
    """

    workload: Workload
    listed: ListedWorkload
    images: tuple[str, ...] = ()
    service_account: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    ingress: Ingress = Ingress.UNKNOWN
    invoker_check_off: bool = False
    unread: str = ""
