"""Worlds worth containing, and releasing in one process: what the tests of releases share."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from clients import Clients, connect
from emulator.api.faults import Fault, Faults
from emulator.services.gate import Moment
from incident.case_file.containments import Custody
from incident.containment.release import Given, carry_out
from incident.containment.release_plan import ReleasePlan, plan_release
from incident.model import Change, Kind, Workload
from incident.notification.resource_names import parse_resource_name
from incident.redaction.redactor import Redactor
from tests.support.environment import Road, World, road, sample, world_around

SAMPLES = {
    Kind.SERVICE: "revision-by-number",
    Kind.JOB: "v1-job-execution",
    Kind.WORKER_POOL: "worker-pool-without-containers",
}
ALL_STEPS = {
    Kind.SERVICE: "[scale-to-zero, restrict-ingress, require-authentication]",
    Kind.JOB: "[cancel-executions, require-authentication]",
    Kind.WORKER_POOL: "[scale-to-zero]",
}
_COLLECTIONS = {Kind.SERVICE: "services", Kind.JOB: "jobs", Kind.WORKER_POOL: "workerPools"}
CONDITION = {"title": "office hours", "expression": "request.time.getHours() > 7"}
#: Several bindings of invokers, others between them, one with a condition.
BINDINGS: list[World] = [
    {"role": "roles/run.viewer", "members": ["user:viewer@example.com"]},
    {
        "role": "roles/run.invoker",
        "members": ["user:b@example.com", "allUsers", "user:a@example.com"],
    },
    {"role": "roles/run.invoker", "members": ["allUsers"], "condition": CONDITION},
    {"role": "roles/run.invoker", "members": ["allAuthenticatedUsers"]},
    {"role": "roles/run.developer", "members": ["user:dev@example.com"]},
]
AUDIT_CONFIGS = [{"service": "allServices", "auditLogConfigs": [{"logType": "DATA_READ"}]}]
ANNOTATIONS = {"example.com/owner": "shop", "example.com/on-call": "they: \u00e4"}
BY = "someone@example.com"
QUICK = {"reconcile": "5ms"}

#: What a workload may be left with after a containment and its release: what only Cloud Run
#: writes, to say that, when and by whom something was written at all.
OUTPUT_ONLY = frozenset(
    {
        "generation",  # counts writes, ours and the release's
        "observedGeneration",  # follows it
        "etag",  # stands for one version
        "updateTime",  # of the last write
        "lastModifier",  # of the last write
        "terminalCondition",  # its time is that of the last reconciliation
    }
)


def rules(kind: Kind, steps: str = "") -> str:
    """A policy that enforces some steps for one kind of workload."""
    return f"mode: enforce\ncontain:\n  {kind}: {steps or ALL_STEPS[kind]}\n"


def rich_world(kind: Kind, **changes: Any) -> World:
    """A world in which everything that a release has to restore is there.

    Args:
        kind: Of which kind the workload is.
        changes: Top-level fields of the workload to replace.
    """
    world = world_around(sample(SAMPLES[kind]), latency=dict(QUICK))
    (name,) = world["iamPolicies"]
    world["iamPolicies"][name] = {
        "version": 3,
        "bindings": copy.deepcopy(BINDINGS),
        "auditConfigs": copy.deepcopy(AUDIT_CONFIGS),
    }
    workload = workload_in(world, kind)
    workload["annotations"] = dict(ANNOTATIONS)
    if kind is Kind.SERVICE:
        before, now = (r["name"].rpartition("/")[2] for r in world["revisions"])
        revision = {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": before}
        workload["traffic"] = [
            {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 70, "tag": "newest"},
            {**revision, "percent": 30},
            {**revision, "tag": "known-good"},
            {**revision, "revision": now, "tag": "canary"},
        ]
        workload["ingress"] = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
        workload["invokerIamDisabled"] = True
        for each in world["revisions"]:
            each["scaling"] = {"minInstanceCount": 1, "maxInstanceCount": 5}
    workload |= changes
    return world


def workload_in(world: World, kind: Kind) -> World:
    """The only workload of a kind in a world or a dump of one."""
    (workload,) = world[_COLLECTIONS[kind]]
    found: World = workload
    return found


def comparable(world: World, kind: Kind, lost: Collection[str] = ()) -> World:
    """A dumped world without what may differ.

    Args:
        world: The dump.
        kind: Of which kind the workload is.
        lost: Names of the executions that the plan said cannot be restored. They differ, so do
            their tasks, and what the job says of the latest of them.
    """
    left = copy.deepcopy(world)
    for workload in left[_COLLECTIONS[kind]]:
        for name in OUTPUT_ONLY:
            workload.pop(name, None)
    for policy in left["iamPolicies"].values():
        policy.pop("etag")  # stands for one version of the policy
    left.pop("logEntries")  # the audit log says who wrote, us among them
    for listed in left["findings"]:  # what SCC was told of the incident stays there
        _without_our_word(listed["finding"])
    for name in ("executions", "tasks"):
        left[name] = [e for e in left[name] if not any(e["name"].startswith(n) for n in lost)]
    if lost:
        for name in ("completionTime", "completionStatus"):
            workload_in(left, kind)["latestCreatedExecution"].pop(name, None)
    return left


@dataclass(frozen=True, slots=True)
class Release:
    """A workload that was contained on a road, and what it takes to release it.

    Attributes:
        way: The road.
        clients: Clients of the operator's own.
        workload: What was contained.
        before: The world before it was.
        outcome: What its delivery came to.
    """

    way: Road
    clients: Clients
    workload: Workload
    before: World
    outcome: Any

    @property
    def custody(self) -> Custody:
        """Its containments, as the operator sees them."""
        return Custody(self.clients.store, self.workload, f"cli {BY}", lambda: datetime.now(UTC))

    async def plan(self) -> ReleasePlan:
        """What a release would do now."""
        return await plan_release(self.workload, self.custody, self.clients.run)

    async def carry_out(
        self,
        plan: ReleasePlan | None = None,
        *,
        patience_s: float = 5,
        step: Callable[[str], None] = lambda _: None,
    ) -> tuple[Change, ...]:
        """Release it, by default for a plan that is made now."""
        given = Given(BY, timedelta(seconds=patience_s), Redactor(b"key"), step)
        agreed = plan or await self.plan()
        return await carry_out(agreed, self.custody, self.clients.run, given)

    @property
    def world(self) -> World:
        """The world as it is now."""
        return dumped(self.way)

    def disturb(self, *faults: Fault) -> None:
        """From now on these go wrong, and nothing else."""
        self.way.emulator.world.faults = Faults(faults)

    def is_restored(self) -> bool:
        """Whether the world is, in every field that may not differ, what it was before."""
        kind = self.workload.kind
        lost = [c["target"] for c in self.outcome["changes"] if not c["reversible"]]
        before, now = (comparable(world, kind, lost) for world in (self.before, self.world))
        return before == now

    def records(self, kind: str) -> list[World]:
        """The containment's records of a kind."""
        paths = self.way.stored(f"containments/**/*-{kind}.json")
        return [self.way.record(path) for path in paths]

    def written(self) -> list[str]:
        """What was written to the workload since, by the last part of the method."""
        writes = [write for write in self.way.emulator.writes if not write.validate_only]
        names = [write.method for write in writes if ".cloud.run." in write.method]
        return [name.rpartition("/")[2] for name in names]


def dumped(way: Road) -> World:
    """The world as it is now."""
    world: Any = way.emulator.world.dump()
    return json.loads(json.dumps(world))  # type: ignore[no-any-return]


def _without_our_word(finding: World) -> None:
    """A finding without the marks and the external system that are ours."""
    marks = finding.get("securityMarks", {})
    others = {k: v for k, v in marks.get("marks", {}).items() if not k.startswith("responder-")}
    marks.pop("marks", None)
    if others:
        marks["marks"] = others
    systems = finding.get("externalSystems", {})
    systems.pop("scc-responder", None)
    for name, rest in (("securityMarks", others), ("externalSystems", systems)):
        if not rest:
            finding.pop(name, None)


@asynccontextmanager
async def contained(
    folder: Path,
    kind: Kind,
    *,
    world: World | None = None,
    steps: str = "",
    hook: Callable[[Moment], None] | None = None,
    **given: Any,
) -> AsyncIterator[Release]:
    """A workload contained by a delivery in enforce mode."""
    there = rich_world(kind) if world is None else world
    notification = sample(SAMPLES[kind])
    async with road(
        folder, notification=notification, world=there, rules=rules(kind, steps), hook=hook, **given
    ) as way:
        before = dumped(way)
        outcome: Any = (await way.deliver()).outcome
        name = workload_in(before, kind)["name"]
        workload = parse_resource_name(f"//run.googleapis.com/{name}").workload
        assert workload
        clients = await connect(way.settings)
        try:
            yield Release(way, clients, workload, before, outcome)
        finally:
            await clients.close()
