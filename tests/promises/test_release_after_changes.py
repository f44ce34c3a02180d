"""Promise 9: whatever others do to a contained workload, it can be released.

A workload is contained once. Then others do to copies of it what Cloud Run lets them, one thing
and several in a row; and then it is released, with force where the release asks for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.iam.v1 import iam_policy_pb2, options_pb2, policy_pb2

from clients import connect
from clients.settings import EmulatorAddresses
from emulator.server.emulator import Emulator
from emulator.world.state import parse_world
from incident.containment.not_restored import NotRestored
from incident.model import Kind, Missing
from incident.model.calling_roles import editable_roles
from tests.support.constants import LATEST, REVISION
from tests.support.environment import JsonDict, ResponderEnvironment
from tests.support.google_clients import GoogleClients
from tests.support.releases import ContainedWorkload, contained_workload
from tests.support.worlds import WORLD_COLLECTIONS, rich_world, workload_in

STARTERS = ["user:a@example.com", "user:b@example.com", "serviceAccount:scheduler@example.com"]
ISOLATE_ALL = "[isolate-revision, restrict-ingress, require-authentication]"
#: Seeds of the random sequences: 200 and more were tried.
SEEDS = range(3)


@dataclass(frozen=True)
class Others:
    """What others may do to a contained workload, as they do it: by Google's clients.

    Attributes:
        google: Their clients.
        name: The workload's name.
        kind: Its kind.
    """

    google: GoogleClients
    name: str
    kind: Kind

    @property
    def world(self) -> Any:
        """The emulated world, for what has no API here: principals that are deleted."""
        return self.google.emulator.world

    @property
    def policy_api(self) -> Any:
        """The client that has the workload's IAM policy."""
        return self.google.jobs if self.kind is Kind.JOB else self.google.services

    async def update(self, *paths: str, **fields: Any) -> None:
        """A masked update of the service, by whatever means."""
        await self.google.update(*paths, name=self.name, **fields)

    async def service(self) -> run_v2.Service:
        """The service as it is."""
        return await self.google.service(self.name)

    async def revisions(self) -> list[str]:
        """Short names of the revisions, oldest first."""
        found = await self.google.revisions.list_revisions(parent=self.name)
        return sorted([revision.name.rpartition("/")[2] async for revision in found])

    async def edit_policy(self, edit: Callable[[policy_pb2.Policy], None]) -> None:
        """Read, change and write the IAM policy."""
        options = options_pb2.GetPolicyOptions(requested_policy_version=3)
        request = iam_policy_pb2.GetIamPolicyRequest(resource=self.name, options=options)
        policy = await self.policy_api.get_iam_policy(request)
        edit(policy)
        policy.version = 3
        await self.policy_api.set_iam_policy(
            iam_policy_pb2.SetIamPolicyRequest(resource=self.name, policy=policy)
        )


Act = Callable[[Others], Awaitable[None]]


async def delete_every_revision_that_can_be(others: Others) -> None:
    """A clean-up job; Cloud Run refuses the latest one and those with traffic or a tag."""
    for name in await others.revisions():
        with contextlib.suppress(exceptions.FailedPrecondition):
            await others.google.revisions.delete_revision(name=f"{others.name}/revisions/{name}")


async def send_all_traffic_to_the_latest(others: Others) -> None:
    """As the console's button."""
    await others.update("traffic", traffic=[run_v2.TrafficTarget(type_=1, percent=100)])


async def send_all_traffic_to_the_oldest(others: Others) -> None:
    """A rollback."""
    oldest, *_ = await others.revisions()
    target = run_v2.TrafficTarget(type_=2, revision=oldest, percent=100)
    await others.update("traffic", traffic=[target])


async def tag_a_revision(others: Others) -> None:
    """A preview of a pull request."""
    service = await others.service()
    oldest, *_ = await others.revisions()
    tagged = run_v2.TrafficTarget(type_=2, revision=oldest, tag="preview")
    await others.update("traffic", traffic=[*service.traffic, tagged])


async def scale_up(others: Others) -> None:
    """Somebody wants it back."""
    if others.kind is Kind.WORKER_POOL:
        pool = run_v2.WorkerPool(name=others.name, scaling={"manual_instance_count": 2})
        request = run_v2.UpdateWorkerPoolRequest(
            worker_pool=pool, update_mask={"paths": ["scaling.manual_instance_count"]}
        )
        await others.google.worker_pools.update_worker_pool(request)
        return
    await others.update("scaling", scaling={"scaling_mode": "MANUAL", "manual_instance_count": 2})


async def scale_automatically(others: Others) -> None:
    """What `gcloud run deploy --scaling=auto` does."""
    await others.update("scaling", scaling={"scaling_mode": "AUTOMATIC", "max_instance_count": 7})


async def start_the_instance(others: Others) -> None:
    """Somebody wants it back."""
    await others.google.instances.start_instance(name=others.name)


async def start_and_stop_the_instance(others: Others) -> None:
    """Twice more than the containment did."""
    await start_the_instance(others)
    await asyncio.sleep(0.01)
    await others.google.instances.stop_instance(name=others.name)


async def deploy(others: Others) -> None:
    """A new revision, as a pipeline makes it; other fields stay."""
    template = (await others.service()).template
    template.revision = ""
    template.containers[0].image += "x"
    await others.update("template", template=template)


async def replace_the_service(others: Others) -> None:
    """`gcloud run services replace`: what the file does not name gets its default."""
    template = (await others.service()).template
    template.revision = ""
    await others.update(template=template)


async def open_the_ingress(others: Others) -> None:
    """Requests of everybody."""
    await others.update("ingress", ingress=1)


async def switch_the_invoker_check(others: Others) -> None:
    """On to off, or off to on."""
    disabled = (await others.service()).invoker_iam_disabled
    await others.update("invoker_iam_disabled", invoker_iam_disabled=not disabled)


async def annotate_and_label(others: Others) -> None:
    """What other tools write."""
    service = await others.service()
    annotations = {**service.annotations, "example.com/added": "since"}
    await others.update("annotations", "labels", annotations=annotations, labels={"team": "other"})


async def remove_all_annotations(others: Others) -> None:
    """Also that of the responder."""
    await others.update("annotations", annotations={})


async def let_somebody_in(others: Others) -> None:
    """Another caller, by a role of the table, and another under a condition."""

    def edit(policy: policy_pb2.Policy) -> None:
        policy.bindings.add(role="roles/run.invoker", members=["user:new@example.com"])
        added = policy.bindings.add(role="roles/run.invoker", members=["user:new@example.com"])
        added.condition.title, added.condition.expression = "mornings", "request.time > x"

    await others.edit_policy(edit)


async def remove_the_first_binding(others: Others) -> None:
    """Whatever it is."""

    def edit(policy: policy_pb2.Policy) -> None:
        del policy.bindings[:1]

    await others.edit_policy(edit)


async def touch_the_policy(others: Others) -> None:
    """Its etag changes, and nothing else."""
    await others.edit_policy(lambda _: None)


async def delete_a_principal(others: Others) -> None:
    """A person leaves."""
    others.world.deleted_principals.add(STARTERS[0])


async def delete_all_principals(others: Others) -> None:
    """A project is cleaned up."""
    others.world.deleted_principals.update(STARTERS)


async def delete_it(others: Others) -> None:
    """All of the service."""
    await others.google.services.delete_service(name=others.name)


async def delete_and_create_it(others: Others) -> None:
    """The same name and another uid."""
    service = await others.service()
    await others.google.services.delete_service(name=others.name)
    template = service.template
    template.revision = ""
    created = run_v2.Service(name=others.name, template=template)
    request = run_v2.UpdateServiceRequest(service=created, allow_missing=True)
    await others.google.services.update_service(request)
    (made,) = (each for each in others.world.services.values() if each.name == others.name)
    made.uid = "another-uid"


async def run_the_job(others: Others) -> None:
    """Its schedule, or a person."""
    await others.google.jobs.run_job(name=others.name)


async def delete_executions(others: Others) -> None:
    """Those that are over."""
    found = await others.google.executions.list_executions(parent=others.name)
    for name in [execution.name async for execution in found]:
        with contextlib.suppress(exceptions.FailedPrecondition):
            await others.google.executions.delete_execution(name=name)


ACTS: dict[Kind, tuple[Act, ...]] = {
    Kind.SERVICE: (
        delete_every_revision_that_can_be,
        send_all_traffic_to_the_latest,
        send_all_traffic_to_the_oldest,
        tag_a_revision,
        scale_up,
        scale_automatically,
        deploy,
        replace_the_service,
        open_the_ingress,
        switch_the_invoker_check,
        annotate_and_label,
        remove_all_annotations,
        let_somebody_in,
        remove_the_first_binding,
        touch_the_policy,
        delete_a_principal,
        delete_all_principals,
        delete_and_create_it,
        delete_it,
    ),
    Kind.JOB: (
        run_the_job,
        delete_executions,
        let_somebody_in,
        remove_the_first_binding,
        touch_the_policy,
        delete_a_principal,
        delete_all_principals,
    ),
    Kind.WORKER_POOL: (scale_up, delete_every_revision_that_can_be),
    Kind.INSTANCE: (start_the_instance, start_and_stop_the_instance),
}
#: Revisions that are the only one, or that have traffic or a tag, cannot be deleted.
HARMLESS = frozenset({delete_every_revision_that_can_be})


@dataclass(frozen=True)
class Contained:
    """A contained workload, of which copies are made.

    Attributes:
        kind: Its kind.
        before: The world before the containment.
        world: The world after it.
        held: The workload, whose store is copied.
    """

    kind: Kind
    before: JsonDict
    world: JsonDict
    held: ContainedWorkload

    @asynccontextmanager
    async def copy(self, folder: Path) -> AsyncIterator[tuple[ContainedWorkload, Others]]:
        """A copy in an emulator and a store of its own, and others who work on it."""
        original = self.held.env
        shutil.copytree(original.folder / "store", folder / "store")
        world = parse_world({**self.world, "latency": {"reconcile": "1ms"}}, source="copy")
        async with (
            Emulator(world) as emulator,
            grpc.aio.insecure_channel(emulator.grpc_address) as channel,
        ):
            addresses = EmulatorAddresses.model_validate_json(emulator.environment)
            store = original.settings.store.replace(str(original.folder), str(folder))
            settings = original.settings.model_copy(update={"store": store, "emulator": addresses})
            env = ResponderEnvironment(emulator, folder, settings, original.notification)
            clients = await connect(settings)
            try:
                held = ContainedWorkload(
                    env, clients, self.held.workload, self.before, self.held.outcome
                )
                name = workload_in(self.before, self.kind)["name"]
                yield held, Others(GoogleClients(emulator, channel), name, self.kind)
            finally:
                await clients.close()


async def release_copy(contained: Contained, folder: Path, acts: tuple[Act, ...]) -> None:
    """Let others act on a copy, release it, and check what it is like."""
    async with contained.copy(folder) as (held, others):
        for act in acts:
            with contextlib.suppress(exceptions.GoogleAPICallError):
                await act(others)
        await asyncio.sleep(0.005)
        changed = held.world
        assert changed != contained.world or not acts or HARMLESS.issuperset(acts), (
            "nothing was done"
        )
        if not changed[WORLD_COLLECTIONS[contained.kind]]:
            with pytest.raises(Missing):
                await held.plan_release()
            return
        plan = await held.plan_release()
        done = await held.release_in_part(plan, force=bool(plan.differences))
        assert not (await held.plan_release()).containment
        if plan.containment is None:
            assert delete_and_create_it in acts
            assert held.world == changed
            return
        if contained.kind is Kind.INSTANCE:
            assert held.is_restored()
            return
        written = {name for change in held.outcome["changes"] for name in change["after"]}
        worlds = (contained.before, changed, held.world)
        check_restored(contained.kind, worlds, written, done.not_restored)
        assert not (await held.release_in_part()).changes


def check_restored(
    kind: Kind,
    worlds: tuple[JsonDict, JsonDict, JsonDict],
    written: set[str],
    not_restored: Iterable[NotRestored],
) -> None:
    """The workload is as before but for what is named; what others did elsewhere is kept.

    Args:
        kind: The workload's kind.
        worlds: Before the containment, before the release, and now.
        written: The fields that were written to contain it.
        not_restored: What the release names.
    """
    before, changed, now = worlds
    earlier, others, current = (workload_in(world, kind) for world in (before, changed, now))
    named = {part.name for part in not_restored}
    for name in ("scaling", "ingress", "invokerIamDisabled"):
        expected = earlier if name in written else others
        assert current.get(name) == expected.get(name), name
    for name in ("labels", "template", "uid"):
        assert current.get(name) == others.get(name), name
    own = "scc-responder-incident"
    assert current.get("annotations", {}) == {
        key: value for key, value in others.get("annotations", {}).items() if key != own
    }
    named -= check_traffic(earlier, current, {r["name"] for r in now["revisions"]}, named)
    if kind in (Kind.SERVICE, Kind.JOB):
        named -= check_callers(kind, before, changed, now, named)
    assert not named
    assert now["executions"] == changed["executions"]


def check_traffic(
    earlier: JsonDict, current: JsonDict, revisions: set[str], named: set[str]
) -> set[str]:
    """Every target whose revision exists is as before; the others are named. Returns these."""
    wanted, found = earlier.get("traffic", []), current.get("traffic", [])
    existing = {name.rpartition("/")[2] for name in revisions}
    gone = {target["revision"] for target in wanted if target.get("revision")} - existing
    assert gone <= named
    if not gone:
        assert found == wanted
        return gone
    assert sum(target.get("percent", 0) for target in found) == sum(
        target.get("percent", 0) for target in wanted
    )
    for target in wanted:
        same = [t for t in found if {**t, "percent": 0} == {**target, "percent": 0}]
        shares = [each.get("percent", 0) for each in same]
        assert target.get("revision") in gone or max(shares) >= target.get("percent", 0)
    assert not gone & {target.get("revision") for target in found}
    return gone


def check_callers(
    kind: Kind, before: JsonDict, changed: JsonDict, now: JsonDict, named: set[str]
) -> set[str]:
    """Callers are as before but for deleted ones that are named; other bindings are kept."""
    deleted = set(changed.get("deletedPrincipals", ()))
    wanted, found = grants(before, kind), grants(now, kind)
    missing = {member for _, member in wanted - found}
    assert missing <= deleted & named
    assert found <= wanted
    assert other_bindings(now, kind) == other_bindings(changed, kind)
    return missing


def bindings(world: JsonDict) -> list[JsonDict]:
    """The bindings of the only policy, with deleted members as they were."""
    return [
        {
            **binding,
            "members": [m.removeprefix("deleted:").partition("?")[0] for m in binding["members"]],
        }
        for policy in world["iamPolicies"].values()
        for binding in policy.get("bindings", ())
    ]


def grants(world: JsonDict, kind: Kind) -> set[tuple[str, str]]:
    """Who has which role that only allows calling or starting."""
    return {
        (binding["role"], member)
        for binding in bindings(world)
        for member in binding["members"]
        if binding["role"] in editable_roles(kind) and "condition" not in binding
    }


def other_bindings(world: JsonDict, kind: Kind) -> list[JsonDict]:
    """The bindings that a release does not touch."""
    return [b for b in bindings(world) if b["role"] not in editable_roles(kind) or "condition" in b]


@asynccontextmanager
async def contained_world(folder: Path, kind: Kind, actions: str = "") -> AsyncIterator[Contained]:
    """A contained workload with several revisions, tags, callers and starters."""
    world = rich_world(kind)
    for policy in world["iamPolicies"].values():
        policy["bindings"][1]["members"] += STARTERS
        policy["bindings"].append({"role": "roles/run.jobsExecutor", "members": STARTERS[1:]})
    if kind is Kind.SERVICE:
        add_revisions(world)
    async with contained_workload(folder, kind, world=world, actions=actions) as held:
        assert held.outcome["status"] in {"contained", "restricted"}, held.outcome
        await asyncio.sleep(0.01)
        yield Contained(kind, held.world_before, held.world, held)


def add_revisions(world: JsonDict) -> None:
    """Three more, older ones: one with a share, one with a tag, one with both."""
    first = world["revisions"][0]
    names = [f"{first['name'].rpartition('/')[0]}/storefront-0000{n}-old" for n in (1, 2, 3)]
    world["revisions"] = [
        *({**first, "name": name, "createTime": "2026-03-01T00:00:00Z"} for name in names),
        *world["revisions"],
    ]
    short = [name.rpartition("/")[2] for name in names]
    traffic = workload_in(world, Kind.SERVICE)["traffic"]
    assert traffic[0] == {"type": LATEST, "percent": 70, "tag": "newest"}
    traffic[0]["percent"] = 40
    traffic += [
        {"type": REVISION, "revision": short[0], "percent": 10},
        {"type": REVISION, "revision": short[1], "tag": "pr-17"},
        {"type": REVISION, "revision": short[2], "percent": 20, "tag": "pr-18"},
    ]


CASES = {
    "a service": (Kind.SERVICE, ""),
    "a service that was isolated": (Kind.SERVICE, ISOLATE_ALL),
    "a job": (Kind.JOB, ""),
    "a worker pool": (Kind.WORKER_POOL, ""),
    "an instance": (Kind.INSTANCE, ""),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_release_restores_what_others_left(tmp_path: Path, case: str) -> None:
    """Each thing alone, each after the traffic was moved, and some in a row."""
    kind, actions = CASES[case]
    acts = ACTS[kind]
    sequences: list[tuple[Act, ...]] = [(), *((act,) for act in acts)]
    if case == "a service":
        moved = (send_all_traffic_to_the_latest, delete_every_revision_that_can_be)
        sequences += [(*moved, act) for act in acts]
    for seed in SEEDS:
        chosen = random.Random(seed)  # noqa: S311 - the same sequences in every run
        sequences.append(tuple(chosen.choices(acts, k=chosen.randint(2, 6))))
    async with contained_world(tmp_path, kind, actions) as contained:
        for number, sequence in enumerate(sequences):
            names = [act.__name__ for act in sequence]
            try:
                await release_copy(contained, tmp_path / str(number), sequence)
            except Exception as error:
                raise AssertionError(f"released after {names}") from error
