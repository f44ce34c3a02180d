"""The world: the state of the emulated cloud; load and dump it as one JSON document.

How Google's services change it is the business of the modules named after them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.cloud import run_v2
from google.cloud.logging_v2.types import LogEntry
from google.iam.v1 import policy_pb2

from emulator.api import proto_json
from emulator.api.faults import Faults, Latency
from emulator.api.list_pages import PageRules
from emulator.api.resource_names import Projects, collection_of
from emulator.world.completion import common, instances, services_and_pools
from emulator.world.completion import jobs as plausible_jobs
from emulator.world.document import json_document, world_parts
from emulator.world.document.json_document import BadWorld, JsonNode
from emulator.world.document.world_parts import FindingEntry
from emulator.world.inventory import Inventory
from emulator.world.service_accounts import ServiceAccounts, used_accounts

__all__ = ["BadWorld", "World", "load_world", "parse_world"]

_RESOURCES: dict[str, tuple[type[Any], str]] = {
    "services": (run_v2.Service, "projects/*/locations/*/services/*"),
    "revisions": (run_v2.Revision, "projects/*/locations/*/services|workerPools/*/revisions/*"),
    "jobs": (run_v2.Job, "projects/*/locations/*/jobs/*"),
    "executions": (run_v2.Execution, "projects/*/locations/*/jobs/*/executions/*"),
    "tasks": (run_v2.Task, "projects/*/locations/*/jobs/*/executions/*/tasks/*"),
    "workerPools": (run_v2.WorkerPool, "projects/*/locations/*/workerPools/*"),
    "instances": (run_v2.Instance, "projects/*/locations/*/instances/*"),
}
_WORLD_KEYS = (
    "projects",
    *_RESOURCES,
    "iamPolicies",
    "deletedPrincipals",
    "serviceAccounts",
    "findings",
    "logEntries",
    "virustotal",
    "inventory",
    "published",
    "latency",
    "faults",
    "pages",
)


@dataclass(slots=True)
class World:
    """What exists. Resources lie under their names, with the project spelled as its id.

    Attributes:
        projects: The projects that names are understood with.
        services: Cloud Run services; the resources of the other kinds lie beside them.
        iam_policies: Policies by the name of the resource that they guard.
        deleted_principals: Members of policies that were deleted, such as `user:EMAIL`.
        findings: Findings as ListFindings returns them.
        log_entries: Log entries, in no order.
        virustotal: Answers of VirusTotal v3 by file hash.
        inventory: Where Cloud Asset Inventory differs from what there is.
        published: Messages that were published, in order, as they appear in the dump.
        latency: How slow calls are. Not part of the dump.
        faults: What goes wrong. Not part of the dump.
        pages: How long the pages of lists are. Not part of the dump.
    """

    projects: Projects = field(default_factory=Projects)
    services: dict[str, run_v2.Service] = field(default_factory=dict)
    revisions: dict[str, run_v2.Revision] = field(default_factory=dict)
    jobs: dict[str, run_v2.Job] = field(default_factory=dict)
    executions: dict[str, run_v2.Execution] = field(default_factory=dict)
    tasks: dict[str, run_v2.Task] = field(default_factory=dict)
    worker_pools: dict[str, run_v2.WorkerPool] = field(default_factory=dict)
    instances: dict[str, run_v2.Instance] = field(default_factory=dict)
    iam_policies: dict[str, policy_pb2.Policy] = field(default_factory=dict)
    deleted_principals: set[str] = field(default_factory=set)
    service_accounts: ServiceAccounts = field(default_factory=ServiceAccounts)
    findings: list[FindingEntry] = field(default_factory=list)
    log_entries: list[LogEntry] = field(default_factory=list)
    virustotal: dict[str, Any] = field(default_factory=dict)
    inventory: Inventory = field(default_factory=Inventory)
    published: list[dict[str, Any]] = field(default_factory=list)
    latency: Latency = field(default_factory=Latency)
    faults: Faults = field(default_factory=Faults)
    pages: PageRules = field(default_factory=PageRules)

    def canonical(self, name: str) -> str:
        """The key that a resource of this name lies under, whichever way its project is spelled."""
        return self.projects.canonical(name)

    def generation(self, key: str) -> int:
        """How often the resource under a key was changed; 0 for what does not exist."""
        resource = self.resource(key)
        return int(resource.generation) if resource else 0

    def tables(self) -> dict[str, dict[str, Any]]:
        """The resources of Cloud Run by their keys, under the names of their collections."""
        return {
            "services": self.services,
            "revisions": self.revisions,
            "jobs": self.jobs,
            "executions": self.executions,
            "tasks": self.tasks,
            "workerPools": self.worker_pools,
            "instances": self.instances,
        }

    def resource(self, key: str) -> Any | None:
        """The resource of Cloud Run that lies under a key, `None` when there is none."""
        return self.tables().get(collection_of(key), {}).get(key)

    def dump(self) -> dict[str, object]:
        """The state in the form that `parse` reads, without latency, faults and pages."""
        lists = {
            key: [proto_json.to_json(resource) for resource in table.values()]
            for key, table in self.tables().items()
        }
        policies = {name: proto_json.to_json(policy) for name, policy in self.iam_policies.items()}
        return {
            "projects": [project.to_json() for project in self.projects.all],
            **lists,
            "iamPolicies": policies,
            **self._deleted_principals(),
            "serviceAccounts": self.service_accounts.to_json(),
            "findings": [entry.data for entry in self.findings],
            "logEntries": [proto_json.to_json(entry) for entry in self.log_entries],
            "virustotal": self.virustotal,
            "inventory": self.inventory.to_json(),
            "published": list(self.published),
        }

    def _deleted_principals(self) -> dict[str, object]:
        """The entry of the dump, where there are any."""
        deleted = sorted(self.deleted_principals)
        return {"deletedPrincipals": deleted} if deleted else {}


def load_world(path: Path) -> World:
    """The world in a file.

    Raises:
        BadWorld: The file cannot be read or does not describe a world; says what and where.
    """
    return parse_world(json_document.read_json_file(path), source=str(path))


def parse_world(data: object, *, source: str) -> World:
    """The world that a JSON document describes, with plausible values where it leaves them out.

    Args:
        data: What a JSON parser returned.
        source: What to call the document in an error.

    Raises:
        BadWorld: The document does not describe a world; says what and where.
    """
    document = JsonNode(source, data).json_object(allowed_keys=_WORLD_KEYS)
    projects = world_parts.parse_projects(document.get("projects", []))
    tables = {
        key: world_parts.parse_resources(document.get(key, []), kind, pattern, projects)
        for key, (kind, pattern) in _RESOURCES.items()
    }
    world = World(
        projects=projects,
        services=tables["services"],
        revisions=tables["revisions"],
        jobs=tables["jobs"],
        executions=tables["executions"],
        tasks=tables["tasks"],
        worker_pools=tables["workerPools"],
        instances=tables["instances"],
        iam_policies=world_parts.parse_policies(document.get("iamPolicies", {}), projects),
        deleted_principals={
            item.string() for item in document.get("deletedPrincipals", []).items()
        },
        service_accounts=world_parts.parse_service_accounts(
            document.get("serviceAccounts", []), projects
        ),
        findings=world_parts.parse_findings(document.get("findings", [])),
        log_entries=world_parts.parse_log_entries(document.get("logEntries", [])),
        virustotal=dict(document.get("virustotal", {}).json_object().value),
        inventory=world_parts.parse_inventory(document.get("inventory", {}), projects),
        published=[item.json_object().value for item in document.get("published", []).items()],
        latency=world_parts.parse_latency(document.get("latency", {})),
        faults=world_parts.parse_faults(document.get("faults", [])),
        pages=world_parts.parse_pages(document.get("pages", {})),
    )
    _complete_resources(document, world)
    return world


def _complete_resources(document: JsonNode, world: World) -> None:
    """Fills in what the lists of Cloud Run resources leave out, and refuses contradictions."""
    owners = {"services": set(world.services), "workerPools": set(world.worker_pools)}
    list_nodes = {key: document.get(key, []) for key in _RESOURCES}
    common.check_owners(list_nodes["revisions"], world.revisions, owners)
    for key, table in (("services", world.services), ("workerPools", world.worker_pools)):
        services_and_pools.complete_services_and_pools(
            list_nodes[key], table, world.revisions, world.projects
        )
    instances.complete_instances(
        list_nodes["instances"], world.instances, world.services, world.projects
    )
    plausible_jobs.complete_jobs(
        list_nodes, world.jobs, world.executions, world.tasks, world.projects
    )
    used = used_accounts(world.tables(), world.projects)
    world.service_accounts.complete(used, world.projects)
