"""Promise 8 over generated worlds: contained means that nothing runs, whoever interferes.

Worlds have up to hundreds of executions, revisions, tags and bindings, and pages of any length.
Between any two calls of the responder somebody starts an execution, adds a tag, scales up, lets
somebody in. What happens after the responder's last reading of the workload is not judged here:
that is the patrol's.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.cloud import run_v2

from emulator.services.cloud_run import executions
from emulator.services.gate import CallPoint
from emulator.world.cloud_run import execution_phases, instance_rules, resources, traffic_split
from emulator.world.state import World
from incident.model import Kind
from incident.model.calling_roles import editable_roles
from tests.support.constants import LATEST, REVISION, SAMPLE_OF_KIND
from tests.support.environment import JsonDict, responder_environment
from tests.support.findings import sample_notification
from tests.support.worlds import workload_in, world_around

#: The steps of each kind that stop it, alone and with others.
STEPS = {
    Kind.SERVICE: (
        "[scale-to-zero]",
        "[scale-to-zero, restrict-ingress, require-authentication]",
        "[[isolate-revision, scale-to-zero]]",
        "[isolate-revision, require-authentication]",
    ),
    Kind.JOB: ("[cancel-executions]", "[cancel-executions, require-authentication]"),
    Kind.WORKER_POOL: ("[scale-to-zero]",),
    Kind.INSTANCE: ("[stop-instance]",),
}
ROLES = ("run.invoker", "run.servicesInvoker", "run.jobsExecutor", "run.viewer", "run.developer")
MEMBERS = ("allUsers", "allAuthenticatedUsers", "user:a@example.com", "group:b@example.com")
CONDITION = {"title": "mornings", "expression": "request.time.getHours() < 12"}
#: The first 600 were tried.
SEEDS = range(20)
#: The revision that the sample of a service names.
AFFECTED = "storefront-00042-abc"
STOPPED = {"contained", "already-contained"}


# What others do to a workload, at the world itself: they need no quota and make no log entry.


def start_an_execution(world: World) -> None:
    """The job's schedule."""
    for key, job in list(world.jobs.items()):
        started = executions.new_execution(job, run_v2.RunJobRequest.Overrides())
        world.executions[f"{key}/executions/{started.name.rpartition('/')[2]}"] = started
        job.latest_created_execution = execution_phases.execution_reference(started)


def add_a_tag(world: World) -> None:
    """To the oldest revision of a service."""
    for service in world.services.values():
        oldest = next(iter(world.revisions)).rpartition("/")[2]
        tag = run_v2.TrafficTarget(type_=2, revision=oldest, tag=f"again-{len(service.traffic)}")
        service.traffic = [*service.traffic, tag]
        _wrote(service)


def scale_up(world: World) -> None:
    """To one instance."""
    owners: list[Any] = [*world.services.values(), *world.worker_pools.values()]
    for owner in owners:
        owner.scaling.manual_instance_count = 1
        _wrote(owner)


def send_all_traffic_to_the_newest(world: World) -> None:
    """As the console's button."""
    for service in world.services.values():
        service.traffic = [run_v2.TrafficTarget(type_=1, percent=100)]
        _wrote(service)


def let_the_public_in(world: World) -> None:
    """By a role that only allows calling or starting."""
    for policy in world.iam_policies.values():
        policy.bindings.add(role="roles/run.invoker", members=["allUsers"])
        policy.etag = policy.etag[::-1] + b"1"


def switch_the_invoker_check_off(world: World) -> None:
    """Then nobody asks the IAM policy."""
    for service in world.services.values():
        service.invoker_iam_disabled = True
        _wrote(service)


def start_the_instance(world: World) -> None:
    """By a person, at once."""
    for instance in world.instances.values():
        instance_rules.begin_change(instance, stop=False, now=resources.current_time())
        instance.observed_generation, instance.reconciling = instance.generation, False
        instance_rules.end_change(instance, resources.current_time())


def _wrote(owner: Any) -> None:
    """A write that Cloud Run has brought about at once."""
    owner.generation += 1
    owner.observed_generation = owner.generation
    owner.reconciling = False
    traffic_split.apply_split(owner)


Act = Callable[[World], None]
ACTS: dict[Kind, tuple[Act, ...]] = {
    Kind.SERVICE: (
        add_a_tag,
        scale_up,
        send_all_traffic_to_the_newest,
        let_the_public_in,
        switch_the_invoker_check_off,
    ),
    Kind.JOB: (start_an_execution, let_the_public_in),
    Kind.WORKER_POOL: (scale_up,),
    Kind.INSTANCE: (start_the_instance,),
}


@dataclass
class Interference:
    """Acts at some calls, until the containment is recorded as verified.

    Attributes:
        acts: What is done, by the number of the moment: two for each call.
        store: The responder's store, in which that record appears.
        world: The world, once there is one.
        seen: Whether a reading of the workload began after the last act, before that record.
    """

    acts: dict[int, Act]
    store: Path
    world: World | None = None
    seen: bool = True
    _moment: int = 0
    log: list[str] = field(default_factory=list)

    def __call__(self, point: CallPoint) -> None:
        """The emulator's hook."""
        self._moment += 1
        if self.world is None or any(self.store.glob("containments/**/*-verified.json")):
            return
        if act := self.acts.get(self._moment):
            act(self.world)
            self.log.append(f"{self._moment} {point.method}: {act.__name__}")
            self.seen = False
        elif point.phase == "before" and point.method.rpartition("/")[2] in (
            "GetService",
            "GetJob",
            "GetWorkerPool",
            "GetInstance",
        ):
            self.seen = True


# Worlds.


@dataclass(frozen=True)
class Case:
    """A world to contain a workload in, and what is done at which moments."""

    kind: Kind
    steps: str
    world: JsonDict
    acts: dict[int, Act]


def case_of(seed: int) -> Case:
    """The case of a seed, always the same one."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    kind = list(Kind)[seed % len(Kind)]
    pages = chance.choice([1, 2, 7, 40, None])
    most = 20 if pages in (1, 2) else 150
    world = world_around(sample_notification(SAMPLE_OF_KIND[kind]), latency={"reconcile": "1ms"})
    world["pages"] = {"emptyFirst": chance.random() < 0.3, **({"size": pages} if pages else {})}
    if kind is Kind.JOB:
        add_executions(chance, world, most)
    if kind is Kind.SERVICE:
        add_revisions_and_tags(chance, world, most)
    add_bindings(chance, world)
    count = chance.choice([0, 1, 1, 2, 3, 5])
    moments = chance.sample(range(1, 80), k=count)
    acts = {moment: chance.choice(ACTS[kind]) for moment in moments}
    return Case(kind, chance.choice(STEPS[kind]), world, acts)


def add_executions(chance: random.Random, world: JsonDict, most: int) -> None:
    """Executions that are over, and some that run, anywhere among them."""
    first = world["executions"][0]
    job = first["name"].rpartition("/executions/")[0]
    for name in ("executionCount", "latestCreatedExecution"):
        workload_in(world, Kind.JOB).pop(name, None)
    count = chance.randint(0, most)
    running = set(chance.sample(range(count), k=chance.randint(0, min(count, 8))))
    over = [{"type": "Completed", "state": "CONDITION_SUCCEEDED"}]
    older: list[JsonDict] = []
    for number in range(count):
        begun = f"2026-09-{1 + number // 60:02d}T08:{number % 60:02d}:00Z"
        ended = {} if number in running else {"completionTime": begun, "conditions": over}
        older.append(
            {
                "name": f"{job}/executions/nightly-report-n{number:04d}",
                "template": first["template"],
                "createTime": begun,
                "startTime": begun,
                **ended,
            }
        )
    world["executions"] = [*older, *world["executions"]]


def add_revisions_and_tags(chance: random.Random, world: JsonDict, most: int) -> None:
    """Older revisions, some of them with a share or a tag; perhaps one that is known good."""
    service, template = workload_in(world, Kind.SERVICE), world["revisions"][0]
    place = template["name"].rpartition("/")[0]
    names = [f"storefront-{number:05d}-old" for number in range(chance.randint(1, most))]
    made = [
        {
            **template,
            "name": f"{place}/{name}",
            "createTime": f"2026-03-{1 + at // 60 % 28:02d}T08:{at % 60:02d}:00Z",
        }
        for at, name in enumerate(names)
    ]
    world["revisions"] = [*made, *world["revisions"]]
    shares = chance.sample(names, k=min(len(names), chance.randint(0, 5)))
    tagged = chance.sample(names, k=chance.randint(0, len(names)))
    good = [target for target in service["traffic"] if target.get("tag") == "known-good"]
    service["traffic"] = [
        *({"type": REVISION, "revision": name, "percent": 10} for name in shares),
        {"type": REVISION, "revision": AFFECTED, "percent": 20, "tag": "affected"},
        {"type": LATEST, "percent": 80 - 10 * len(shares)},
        *({"type": REVISION, "revision": n, "tag": f"t-{at}"} for at, n in enumerate(tagged)),
        *(good if chance.random() < 0.7 else ()),
    ]


def add_bindings(chance: random.Random, world: JsonDict) -> None:
    """Any roles, members and conditions."""
    for policy in world.get("iamPolicies", {}).values():  # an instance has none here
        policy["version"] = 3
        policy["bindings"] = [
            {
                "role": f"roles/{chance.choice(ROLES)}",
                "members": chance.sample(MEMBERS, k=chance.randint(1, len(MEMBERS))),
                **({"condition": CONDITION} if chance.random() < 0.3 else {}),
            }
            for _ in range(chance.choice([0, 1, 3, 9, 100]))
        ]


# The property.


def running_parts(world: World, kind: Kind, steps: str) -> list[str]:
    """What of the workload runs, is reachable by a tag, or can be started."""
    found = [e.name for e in world.executions.values() if not e.completion_time]
    for pool in world.worker_pools.values():
        found += [f"{pool.scaling}"] * bool(pool.scaling.manual_instance_count)
    found += [i.name for i in world.instances.values() if not instance_rules.is_stopped(i)]
    for service in world.services.values():
        zero = service.scaling.scaling_mode == 2 and not service.scaling.manual_instance_count
        targets: list[Any] = [*service.traffic, *service.traffic_statuses]
        if "isolate-revision" in steps and not zero:
            latest = service.latest_ready_revision.rpartition("/")[2]
            found += [
                f"{target}"
                for target in targets
                if AFFECTED in (target.revision, latest if target.type_ == 1 else "")
                and (target.tag or target.percent)
            ]
        else:
            found += [f"{service.scaling}"] * (not zero)
            found += [t.tag for t in targets if t.tag]
    if kind is Kind.JOB and "require-authentication" in steps:
        (policy,) = world.iam_policies.values()
        found += [
            f"{binding}"
            for binding in policy.bindings
            if binding.role in editable_roles(kind) and not binding.HasField("condition")
        ]
    return found


@pytest.mark.parametrize("seed", SEEDS)
async def test_contained_means_that_nothing_runs(tmp_path: Path, seed: int) -> None:
    """Whatever there is, however long the pages, and whoever does what between two calls."""
    case = case_of(seed)
    interference = Interference(case.acts, tmp_path / "store")
    async with responder_environment(
        tmp_path,
        notification=sample_notification(SAMPLE_OF_KIND[case.kind]),
        world=case.world,
        policy_text=f"mode: enforce\ncontain:\n  {case.kind}: {case.steps}\n",
        hook=interference,
        verify_timeout=timedelta(seconds=2),
    ) as env:
        interference.world = env.emulator.world
        answer = await env.deliver()
        status = answer.outcome.status
        runs = running_parts(env.emulator.world, case.kind, case.steps)
    if status in STOPPED and interference.seen:
        assert not runs, interference.log
