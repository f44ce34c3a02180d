"""The runtime service account: stolen tokens are refused from containment to release."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.api_core import exceptions
from google.cloud import run_v2
from google.cloud.run_v2.services.services.transports import ServicesGrpcAsyncIOTransport

from incident.actions.disable_service_account import NAME
from incident.containment.release import ReleaseRefused, carry_out_release
from incident.model import Kind
from tests.support.constants import ALL_ACTIONS, DEDICATED_ACCOUNTS, PROJECT_NUMBER, SAMPLE_OF_KIND
from tests.support.environment import JsonDict, ResponderEnvironment, responder_environment
from tests.support.findings import sample_notification
from tests.support.releases import contained_workload, release_options
from tests.support.worlds import WORLD_COLLECTIONS, rich_world, workload_in

KINDS = list(ALL_ACTIONS)


def policy(kind: Kind, identity: str = DEDICATED_ACCOUNTS, rest: str = "") -> str:
    """A policy that enforces all actions."""
    return f"mode: enforce\ncontain:\n  {kind}: {ALL_ACTIONS[kind]}\n{identity}{rest}"


def template_of(workload: JsonDict, kind: Kind) -> JsonDict:
    """What a workload in a world runs."""
    if kind is Kind.INSTANCE:  # it has no template
        return workload
    template: JsonDict = workload["template"]
    return template["template"] if kind is Kind.JOB else template


def account_of(world: JsonDict, kind: Kind) -> str:
    """The account that the workload of a world runs as."""
    return str(template_of(workload_in(world, kind), kind)["serviceAccount"])


def with_neighbour(world: JsonDict, kind: Kind, **changes: Any) -> JsonDict:
    """The world with a workload of another name that runs as the same account."""
    workload = json.loads(json.dumps(workload_in(world, kind)))
    workload["name"] += "-two"
    if kind is not Kind.INSTANCE:
        workload = {"name": workload["name"], "template": workload["template"]}
    workload |= changes
    world[WORLD_COLLECTIONS[kind]].append(workload)
    return world


async def accepts(env: ResponderEnvironment, email: str) -> bool:
    """Whether Google accepts a call with a token of an account."""
    (service, *_) = env.emulator.world.services or ["projects/p/locations/l/services/s"]
    async with grpc.aio.insecure_channel(env.emulator.grpc_address) as channel:
        client = run_v2.ServicesAsyncClient(transport=ServicesGrpcAsyncIOTransport(channel=channel))
        metadata = (("authorization", f"Bearer ya29.{email}"),)
        try:
            await client.get_service(name=service, retry=None, metadata=metadata)
        except exceptions.Unauthenticated:
            return False
        except exceptions.NotFound:
            return True
        return True


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stolen_token_is_refused_until_the_release(tmp_path: Path, kind: Kind) -> None:
    """After containment no call with it is accepted; a release gives all back, field for field."""
    async with contained_workload(tmp_path, kind, policy_text=policy(kind)) as contained:
        email = account_of(contained.world_before, kind)
        assert contained.outcome["status"] == "contained"
        change = contained.outcome["changes"][-1]
        assert (change["action"], change["state"], change["error"]) == (NAME, "verified", None)
        assert (change["before"], change["after"]) == ({"disabled": False}, {"disabled": True})
        assert not await accepts(contained.env, email)
        await contained.release()
        assert await accepts(contained.env, email)
        assert contained.is_restored()
        writes = [write.method.rpartition("/")[2] for write in contained.env.emulator.writes]
        google = [name for name in writes if not name.startswith("Update") or "Find" not in name]
        assert google[-1] == "EnableServiceAccount"


async def test_the_account_is_disabled_after_what_stops(tmp_path: Path) -> None:
    """The last containing write is that of the account."""
    async with contained_workload(
        tmp_path, Kind.SERVICE, policy_text=policy(Kind.SERVICE)
    ) as contained:
        containing = [
            write.method.rpartition("/")[2]
            for write in contained.env.emulator.writes
            if not write.validate_only and "annotations" not in write.mask
        ]
    assert containing.index("UpdateService") < containing.index("DisableServiceAccount")


async def test_a_release_waits_until_old_tokens_have_expired(tmp_path: Path) -> None:
    """Within the hour nothing is written at all, and the message says until when."""
    kind = Kind.SERVICE
    async with contained_workload(tmp_path, kind, policy_text=policy(kind)) as contained:
        email = account_of(contained.world_before, kind)
        before = len(contained.env.emulator.writes)
        plan = await contained.plan_release()
        assert plan.old_tokens_until
        with pytest.raises(ReleaseRefused, match=f"{plan.old_tokens_until:%H:%M:%S} UTC.*--now"):
            await carry_out_release(
                plan,
                contained.containment_records_at(plan.old_tokens_until - timedelta(seconds=1)),
                contained.clients.cloud_run,
                release_options(enable_now=False),
            )
        assert len(contained.env.emulator.writes) == before
        assert not await accepts(contained.env, email)
        await carry_out_release(
            plan,
            contained.containment_records_at(plan.old_tokens_until),
            contained.clients.cloud_run,
            release_options(enable_now=False),
        )
        assert contained.is_restored()


def run_as(world: JsonDict, kind: Kind, email: str) -> JsonDict:
    """The world with another runtime account everywhere."""
    own = account_of(world, kind)
    return json.loads(json.dumps(world).replace(own, email))  # type: ignore[no-any-return]


def without_inventory(world: JsonDict, _: Kind) -> JsonDict:
    """The Cloud Asset API is off."""
    return {**world, "inventory": {"enabled": False}}


def not_yet_listed(world: JsonDict, kind: Kind) -> JsonDict:
    """The inventory does not have the workload yet."""
    return {**world, "inventory": {"notYetListed": [workload_in(world, kind)["name"]]}}


PROTECTED = "protect:\n  - labels: {scc-responder: protected}\n"
SHARED = "rules:\n  - {name: all, match: {projects: ['*']}, identity: {shared: disable}}\n"


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why the account is left alone.

    Attributes:
        reason: Words of the reason.
        world: What differs in the world.
        identity: The policy's key.
        rest: More of the policy.
    """

    reason: str
    world: Callable[[JsonDict, Kind], JsonDict] = lambda world, _: world
    identity: str = DEDICATED_ACCOUNTS
    rest: str = ""


def running_as(email: str) -> Callable[[JsonDict, Kind], JsonDict]:
    """A world in which everything runs as an account."""
    return lambda world, kind: run_as(world, kind, email)


MISFITS = {
    "not declared": Misfit("is not declared", identity=""),
    "default compute account": Misfit(
        "a default service account",
        running_as(f"{PROJECT_NUMBER}-compute@developer.gserviceaccount.com"),
    ),
    "default App Engine account": Misfit(
        "a default service account", running_as("example-shop-prod@appspot.gserviceaccount.com")
    ),
    "account of Google": Misfit(
        "is managed by Google",
        running_as("service-1@gcp-sa-artifactregistry.iam.gserviceaccount.com"),
    ),
    "shared": Misfit("is shared: ", with_neighbour),
    "inventory off": Misfit("Cloud Asset API is disabled", without_inventory),
    "inventory off, shared": Misfit("Cloud Asset API is disabled", without_inventory, rest=SHARED),
    "inventory lags": Misfit("the inventory lags: it does not list", not_yet_listed),
    "protected neighbour": Misfit(
        "is protected by",
        lambda world, kind: with_neighbour(world, kind, labels={"scc-responder": "protected"}),
        rest=PROTECTED + SHARED,
    ),
}


@pytest.mark.parametrize("name", MISFITS)
@pytest.mark.parametrize("kind", KINDS)
async def test_what_does_not_fit_says_why_and_the_stop_still_happens(
    tmp_path: Path, kind: Kind, name: str
) -> None:
    """No account is touched, and the workload is contained all the same."""
    misfit = MISFITS[name]
    async with responder_environment(
        tmp_path,
        notification=sample_notification(SAMPLE_OF_KIND[kind]),
        world=misfit.world(rich_world(kind), kind),
        policy_text=policy(kind, misfit.identity, misfit.rest),
    ) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
        writes = [write.method for write in env.emulator.writes]
    assert outcome["status"] == "contained"
    assert [each for each in writes if "ServiceAccount" in each] == []
    reasons = " ".join(outcome["decision"]["reasons"])
    assert f"does not fit: {NAME}: " in reasons
    assert misfit.reason in reasons


@pytest.mark.parametrize("kind", KINDS)
async def test_a_shared_account_is_disabled_only_by_a_rule(tmp_path: Path, kind: Kind) -> None:
    """The rule's word stands for the account that others use, too."""
    async with responder_environment(
        tmp_path,
        notification=sample_notification(SAMPLE_OF_KIND[kind]),
        world=with_neighbour(rich_world(kind), kind),
        policy_text=policy(kind, "", SHARED),
    ) as env:
        outcome: Any = (await env.deliver()).outcome.to_json()
    assert outcome["changes"][-1]["action"] == NAME
    assert outcome["changes"][-1]["state"] == "verified"


async def test_an_account_of_the_responder_is_never_disabled(tmp_path: Path) -> None:
    """Nor any, where its own are not known: on Cloud Run they are set."""
    kind = Kind.SERVICE
    own = account_of(rich_world(kind), kind)
    given: Any
    for given, reason in (
        ({"service_accounts": own}, "an account of the responder itself"),
        ({"K_SERVICE": "threat-responder", "project": "sec"}, "own account is not known"),
    ):
        folder = tmp_path / reason[:6].strip()
        folder.mkdir()
        async with responder_environment(
            folder,
            notification=sample_notification(SAMPLE_OF_KIND[kind]),
            world=rich_world(kind),
            policy_text=policy(kind),
            store="gs://case-files/x",
            **given,
        ) as env:
            outcome: Any = (await env.deliver()).outcome.to_json()
        assert outcome["status"] == "contained"
        assert reason in json.dumps(outcome["decision"]["reasons"])
