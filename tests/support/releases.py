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
from emulator.services.gate import CallPoint
from incident.case_file.containments import ContainmentRecords
from incident.containment.release import ReleaseOptions, ReleaseResult, carry_out_release
from incident.containment.release_plan import ReleasePlan, plan_release
from incident.model import Change, Kind, Workload
from incident.notification.resource_names import parse_resource_name
from incident.redaction.redactor import Redactor
from tests.support.constants import ALL_ACTIONS, DEDICATED_ACCOUNTS, SAMPLE_OF_KIND
from tests.support.environment import JsonDict, ResponderEnvironment, responder_environment
from tests.support.findings import sample_notification
from tests.support.worlds import WORLD_COLLECTIONS, rich_world, workload_in

RELEASED_BY = "someone@example.com"

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


def enforcing_policy(kind: Kind, actions: str = "") -> str:
    """A policy that enforces some steps for one kind of workload."""
    steps = actions or ALL_ACTIONS[kind]
    return f"mode: enforce\ncontain:\n  {kind}: {steps}\n{DEDICATED_ACCOUNTS}"


def comparable_world(world: JsonDict, kind: Kind, lost: Collection[str] = ()) -> JsonDict:
    """A dumped world without what may differ.

    Args:
        world: The dump.
        kind: Of which kind the workload is.
        lost: Names of the executions that the plan said cannot be restored. They differ, so do
            their tasks, and what the job says of the latest of them.
    """
    compared = copy.deepcopy(world)
    for workload in compared[WORLD_COLLECTIONS[kind]]:
        # Whether an instance runs stands in its condition alone.
        state = workload["terminalCondition"].get("message") if kind is Kind.INSTANCE else None
        for name in OUTPUT_ONLY:
            workload.pop(name, None)
        workload["state"] = state
    for policy in compared["iamPolicies"].values():
        policy.pop("etag")  # stands for one version of the policy
    compared.pop("logEntries")  # the audit log says who wrote, us among them
    for listed in compared["findings"]:  # what was reported to SCC of the incident stays there
        _without_responder_marks(listed["finding"])
    for name in ("executions", "tasks"):
        compared[name] = [
            e for e in compared[name] if not any(e["name"].startswith(n) for n in lost)
        ]
    if lost:
        for name in ("completionTime", "completionStatus"):
            workload_in(compared, kind)["latestCreatedExecution"].pop(name, None)
    return compared


def release_options(
    *,
    patience_s: float = 5,
    step: Callable[[str], None] = lambda _: None,
    force: bool = False,
    enable_now: bool = True,
) -> ReleaseOptions:
    """The options of a release by the operator, who does not wait for tokens to expire."""
    return ReleaseOptions(
        RELEASED_BY,
        timedelta(seconds=patience_s),
        Redactor(b"key"),
        step,
        force=force,
        enable_now=enable_now,
    )


@dataclass(frozen=True, slots=True)
class ContainedWorkload:
    """A workload that was contained on a road, and what it takes to release it.

    Attributes:
        env: The responder's environment.
        clients: Clients of the operator's own.
        workload: What was contained.
        world_before: The world before the delivery.
        outcome: The result of the delivery.
    """

    env: ResponderEnvironment
    clients: Clients
    workload: Workload
    world_before: JsonDict
    outcome: Any

    def containment_records_at(self, moment: datetime) -> ContainmentRecords:
        """Its containments, as the operator sees them at a moment."""
        return ContainmentRecords(
            self.clients.store, self.workload, f"cli {RELEASED_BY}", lambda: moment
        )

    @property
    def containment_records(self) -> ContainmentRecords:
        """Its containments, as the operator sees them."""
        return ContainmentRecords(
            self.clients.store, self.workload, f"cli {RELEASED_BY}", lambda: datetime.now(UTC)
        )

    async def plan_release(self) -> ReleasePlan:
        """What a release would do now."""
        return await plan_release(self.workload, self.containment_records, self.clients.cloud_run)

    async def release(
        self,
        plan: ReleasePlan | None = None,
        *,
        patience_s: float = 5,
        step: Callable[[str], None] = lambda _: None,
    ) -> tuple[Change, ...]:
        """Release it, by default for a plan that is made now."""
        return (await self.release_in_part(plan, patience_s=patience_s, step=step)).changes

    async def release_in_part(
        self,
        plan: ReleasePlan | None = None,
        *,
        patience_s: float = 5,
        step: Callable[[str], None] = lambda _: None,
        force: bool = False,
    ) -> ReleaseResult:
        """The same, with what was not restored."""
        options = release_options(patience_s=patience_s, step=step, force=force)
        agreed = plan or await self.plan_release()
        return await carry_out_release(
            agreed, self.containment_records, self.clients.cloud_run, options
        )

    @property
    def world(self) -> JsonDict:
        """The world as it is now."""
        return dump_world(self.env)

    def set_faults(self, *faults: Fault) -> None:
        """From now on these go wrong, and nothing else."""
        self.env.emulator.world.faults = Faults(faults)

    def is_restored(self) -> bool:
        """Whether the world is, in every field that may not differ, what it was before."""
        kind = self.workload.kind
        lost = [c["target"] for c in self.outcome["changes"] if not c["reversible"]]
        before, now = (
            comparable_world(world, kind, lost) for world in (self.world_before, self.world)
        )
        return before == now

    def read_records(self, kind: str) -> list[JsonDict]:
        """The containment's records of a kind."""
        paths = self.env.stored_objects(f"containments/**/*-{kind}.json")
        return [self.env.read_record(path) for path in paths]

    def writes(self) -> list[str]:
        """What was written to the workload since, by the last part of the method."""
        writes = [write for write in self.env.emulator.writes if not write.validate_only]
        names = [w.method for w in writes if ".cloud.run." in w.method or ".iam." in w.method]
        return [name.rpartition("/")[2] for name in names]


def dump_world(env: ResponderEnvironment) -> JsonDict:
    """The world as it is now."""
    world: Any = env.emulator.world.dump()
    return json.loads(json.dumps(world))  # type: ignore[no-any-return]


def _without_responder_marks(finding: JsonDict) -> None:
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
async def contained_workload(
    folder: Path,
    kind: Kind,
    *,
    world: JsonDict | None = None,
    actions: str = "",
    policy_text: str = "",
    hook: Callable[[CallPoint], None] | None = None,
    **given: Any,
) -> AsyncIterator[ContainedWorkload]:
    """A workload contained by a delivery in enforce mode."""
    start_world = rich_world(kind) if world is None else world
    notification = sample_notification(SAMPLE_OF_KIND[kind])
    async with responder_environment(
        folder,
        notification=notification,
        world=start_world,
        policy_text=policy_text or enforcing_policy(kind, actions),
        hook=hook,
        **given,
    ) as env:
        world_before = dump_world(env)
        outcome: Any = (await env.deliver()).outcome.to_json()
        name = workload_in(world_before, kind)["name"]
        workload = parse_resource_name(f"//run.googleapis.com/{name}").workload
        assert workload
        clients = await connect(env.settings)
        try:
            yield ContainedWorkload(env, clients, workload, world_before, outcome)
        finally:
            await clients.close()
