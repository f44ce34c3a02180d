"""Releases after others have deleted what the snapshot names: the rest is restored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from emulator.api.faults import Fault
from incident.containment.not_restored import PartKind
from incident.containment.release import ReleaseIncomplete, carry_out_release, validated_plan
from incident.containment.undo import undo_write
from incident.model import Change, GiveUp, Kind
from incident.model.ports import CloudRunPort
from tests.support.constants import LATEST
from tests.support.environment import JsonDict
from tests.support.releases import ContainedWorkload, contained_workload, release_options
from tests.support.worlds import rich_world, workload_in

Code = grpc.StatusCode
SCHEDULER = "serviceAccount:scheduler@example.com"
TO_REVISION = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
ISOLATE = "[isolate-revision]"


def older_and_latest(world: JsonDict) -> tuple[str, str]:
    """Short names of a world's two revisions."""
    older, latest = (revision["name"].rpartition("/")[2] for revision in world["revisions"])
    return older, latest


def service_of(held: ContainedWorkload) -> Any:
    """The emulated service itself."""
    (service,) = held.env.emulator.world.services.values()
    return service


def delete_revision(held: ContainedWorkload, name: str) -> None:
    """As Cloud Run and clean-ups do with a revision that has no traffic and no tag."""
    revisions = held.env.emulator.world.revisions
    (key,) = (key for key in revisions if key.endswith(f"/{name}"))
    del revisions[key]


def policy_of(held: ContainedWorkload) -> Any:
    """The only policy."""
    (policy,) = held.env.emulator.world.iam_policies.values()
    return policy


async def test_a_revision_that_had_only_a_tag_does_not_keep_the_service_down(
    tmp_path: Path,
) -> None:
    """Its tag is left out, in plan, record and result; the rest is as before."""
    world = rich_world(Kind.SERVICE)
    older, latest = older_and_latest(world)
    world["services"][0]["traffic"] = [
        {"type": LATEST, "percent": 100, "tag": "newest"},
        {"type": TO_REVISION, "revision": older, "tag": "pr-17"},
        {"type": TO_REVISION, "revision": latest, "tag": "canary"},
    ]
    async with contained_workload(tmp_path, Kind.SERVICE, world=world) as held:
        delete_revision(held, older)
        plan = await held.plan_release()
        assert not plan.differences
        assert [(part.kind, part.name) for part in plan.not_restored] == [
            (PartKind.REVISION, older)
        ]
        done = await held.release_in_part(plan)
        assert done.not_restored == plan.not_restored
        assert "its tag pr-17 is not restored" in done.not_restored[0].reason
        expected = workload_in(held.world_before, Kind.SERVICE)
        now = workload_in(held.world, Kind.SERVICE)
        assert now["traffic"] == [expected["traffic"][0], expected["traffic"][2]]
        for name in ("scaling", "ingress", "invokerIamDisabled", "annotations"):
            assert now.get(name) == expected.get(name)
        (record,) = held.read_records("released")
        assert record["not_restored"] == [part.reason for part in done.not_restored]
        assert not (await held.plan_release()).containment


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        # The revision that is gone had all of it: it goes where it goes now.
        ((100, 0), [{"type": LATEST, "percent": 100}]),
        # Another one had a share: that one gets it.
        ((70, 30), [{"type": TO_REVISION, "revision": "latest", "percent": 100}]),
    ],
)
async def test_the_traffic_of_a_missing_revision_goes_elsewhere(
    tmp_path: Path, shares: tuple[int, int], expected: list[JsonDict]
) -> None:
    """Cloud Run wants 100 %: the plan names who gets the share, and the service runs again."""
    world = rich_world(Kind.SERVICE)
    older, latest = older_and_latest(world)
    world["services"][0]["traffic"] = [
        {"type": TO_REVISION, "revision": name, "percent": percent}
        for name, percent in zip((older, latest), shares, strict=True)
        if percent
    ]
    actions = "[scale-to-zero]"
    async with contained_workload(tmp_path, Kind.SERVICE, world=world, actions=actions) as held:
        # As Cloud Run allows it: once nothing leads to it.
        service_of(held).traffic = [{"type_": 1, "percent": 100}]
        delete_revision(held, older)
        plan = await held.plan_release()
        # What the release would write anyway is nobody's change.
        assert [each.name for each in plan.differences] == (["traffic"] if shares[1] else [])
        done = await held.release_in_part(plan)
        assert f"{shares[0]} % of the traffic is not restored" in done.not_restored[0].reason
        now = workload_in(held.world, Kind.SERVICE)
        wanted = [
            {**target, "revision": latest} if target.get("revision") else target
            for target in expected
        ]
        assert now["traffic"] == wanted
        assert now["scaling"] == workload_in(held.world_before, Kind.SERVICE)["scaling"]


async def test_an_isolated_revision_that_was_deleted_leaves_its_traffic_where_it_is(
    tmp_path: Path,
) -> None:
    """The clean-up that suggests itself: no difference, no force."""
    world = rich_world(Kind.SERVICE)
    older, latest = older_and_latest(world)
    world["services"][0]["traffic"] = [
        {"type": TO_REVISION, "revision": latest, "percent": 100},
        {"type": TO_REVISION, "revision": older, "tag": "known-good"},
    ]
    async with contained_workload(tmp_path, Kind.SERVICE, world=world, actions=ISOLATE) as held:
        assert held.outcome["status"] == "contained", held.outcome
        delete_revision(held, latest)
        plan = await held.plan_release()
        assert not plan.differences
        done = await held.release_in_part(plan)
        assert [part.name for part in done.not_restored] == [latest]
        traffic = workload_in(held.world, Kind.SERVICE)["traffic"]
        assert {"type": TO_REVISION, "revision": older, "tag": "known-good"} in traffic
        assert {"type": TO_REVISION, "revision": older, "percent": 100} in traffic


async def test_a_refusal_names_a_revision_that_the_list_still_has(tmp_path: Path) -> None:
    """Also where the list of revisions cannot be read: Google's refusal is what counts."""
    world = rich_world(Kind.SERVICE)
    older, _ = older_and_latest(world)
    async with contained_workload(tmp_path, Kind.SERVICE, world=world) as held:
        delete_revision(held, older)
        held.set_faults(Fault("ListRevisions", Code.PERMISSION_DENIED))
        plan = await held.plan_release()
        assert not plan.not_restored
        checked = await validated_plan(plan, held.containment_records, held.clients.cloud_run)
        assert [part.name for part in checked.not_restored] == [older]
        assert (await held.release_in_part(plan)).not_restored == checked.not_restored
        assert not (await held.plan_release()).containment


async def test_a_deleted_starter_of_a_job_does_not_keep_the_others_out(tmp_path: Path) -> None:
    """Google refuses the whole policy and names the member; several are left out one by one."""
    world = rich_world(Kind.JOB)
    (policy,) = world["iamPolicies"].values()
    others = [f"serviceAccount:gone-{number}@example.com" for number in range(3)]
    members = ["user:a@example.com", SCHEDULER, *others]
    policy |= {
        "version": 1,
        "bindings": [
            {"role": "roles/run.invoker", "members": members},
            {"role": "roles/run.jobsExecutor", "members": [SCHEDULER]},
        ],
    }
    async with contained_workload(tmp_path, Kind.JOB, world=world) as held:
        held.env.emulator.world.deleted_principals |= {SCHEDULER, *others}
        done = await held.release_in_part()
        assert {part.name for part in done.not_restored} == {SCHEDULER, *others}
        (now,) = held.world["iamPolicies"].values()
        assert now["bindings"] == [{"role": "roles/run.invoker", "members": [members[0]]}]
        (record,) = held.read_records("released")
        assert sum(SCHEDULER in text for text in record["not_restored"]) == 1
        assert not (await held.plan_release()).containment


async def test_a_member_of_a_service_that_was_deleted_is_no_change_of_anybody(
    tmp_path: Path,
) -> None:
    """Google spells it anew. The public is let in again, and the entry stays as it is."""
    world = rich_world(Kind.SERVICE)
    async with contained_workload(tmp_path, Kind.SERVICE, world=world) as held:
        held.env.emulator.world.deleted_principals |= {"user:a@example.com"}
        plan = await held.plan_release()
        assert not plan.differences
        assert not plan.not_restored
        assert not (await held.release_in_part(plan)).not_restored
        spelled = [
            member
            for binding in policy_of(held).bindings
            for member in binding.members
            if "user:a@example.com" in member
        ]
        assert [each.partition("?")[0] for each in spelled] == ["deleted:user:a@example.com"]
        members = [m for binding in policy_of(held).bindings for m in binding.members]
        assert "allUsers" in members


async def test_a_public_member_that_the_organization_forbids_is_left_out(tmp_path: Path) -> None:
    """The refusal names nobody; without the public it is accepted."""
    world = rich_world(Kind.SERVICE)

    async with contained_workload(tmp_path, Kind.SERVICE, world=world) as held:
        words = (
            "One or more users named in the policy do not belong to a permitted customer,  perhaps"
            " due to an organization policy."
        )
        held.set_faults(Fault("SetIamPolicy", Code.FAILED_PRECONDITION, times=1, message=words))
        done = await held.release_in_part()
        assert {part.name for part in done.not_restored} == {"allUsers", "allAuthenticatedUsers"}
        assert all("permitted customer" in part.reason for part in done.not_restored)


async def test_a_role_that_is_refused_is_left_out(tmp_path: Path) -> None:
    """The bindings of other roles are restored."""
    world = rich_world(Kind.JOB)
    (policy,) = world["iamPolicies"].values()
    policy["bindings"].append({"role": "roles/run.jobsExecutor", "members": [SCHEDULER]})
    async with contained_workload(tmp_path, Kind.JOB, world=world) as held:
        words = "Role roles/run.invoker is not supported for this resource."
        held.set_faults(Fault("SetIamPolicy", Code.INVALID_ARGUMENT, times=1, message=words))
        done = await held.release_in_part()
        assert [(p.kind, p.name) for p in done.not_restored] == [
            (PartKind.ROLE, "roles/run.invoker")
        ]
        (now,) = held.world["iamPolicies"].values()
        roles = [b["role"] for b in now["bindings"] if not b.get("condition")]
        assert "roles/run.jobsExecutor" in roles
        assert "roles/run.invoker" not in roles


class IngressForbidden:
    """Cloud Run of a project whose organization has forbidden public ingress meanwhile."""

    WORDS = "Constraint constraints/run.allowedIngress violated"

    def __init__(self, cloud_run: CloudRunPort) -> None:
        self._cloud_run = cloud_run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cloud_run, name)

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Refuse whatever has the ingress in it."""
        if "ingress" in change.after:
            raise GiveUp(f"cannot change {change.target}: Google refuses the call ({self.WORDS})")
        return await self._cloud_run.write(change, validate_only=validate_only)


async def test_force_leaves_out_a_field_that_google_refuses(tmp_path: Path) -> None:
    """Without force the refusal is in the plan, and reported; with it the rest is written."""
    async with contained_workload(tmp_path, Kind.SERVICE) as held:
        cloud_run: Any = IngressForbidden(held.clients.cloud_run)
        records, plan = held.containment_records, await held.plan_release()
        checked = await validated_plan(plan, records, cloud_run)
        assert IngressForbidden.WORDS in checked.refusal
        with pytest.raises(ReleaseIncomplete, match=r"allowedIngress.*release it with --force"):
            await carry_out_release(plan, records, cloud_run, release_options())
        done = await carry_out_release(plan, records, cloud_run, release_options(force=True))
        assert [(p.kind, p.name) for p in done.not_restored] == [(PartKind.FIELD, "ingress")]
        assert IngressForbidden.WORDS in done.not_restored[0].reason
        now = workload_in(held.world, Kind.SERVICE)
        before = workload_in(held.world_before, Kind.SERVICE)
        for name in ("scaling", "traffic", "invokerIamDisabled", "annotations"):
            assert now.get(name) == before.get(name)
        assert now["ingress"] != before["ingress"]
        fields, *_ = done.changes
        assert "ingress" not in fields.after
        assert {"scaling", "traffic"} <= set(fields.after)
        assert not (await held.plan_release()).containment


async def test_force_ends_a_release_whose_iam_policy_google_refuses(tmp_path: Path) -> None:
    """For a reason that names nothing of it: the service runs, and the policy stays as it is."""
    words = "Policy contains an unsupported combination."
    async with contained_workload(tmp_path, Kind.SERVICE) as held:
        held.set_faults(Fault("SetIamPolicy", Code.INVALID_ARGUMENT, message=words))
        with pytest.raises(ReleaseIncomplete, match=r"in part only.*release it with --force"):
            await held.release()
        contained = [str(binding) for binding in policy_of(held).bindings]
        done = await held.release_in_part(force=True)
        assert [part.kind for part in done.not_restored] == [PartKind.IAM_POLICY]
        assert words in done.not_restored[0].reason
        assert [str(binding) for binding in policy_of(held).bindings] == contained
        assert not (await held.plan_release()).containment


async def test_undoing_a_write_leaves_out_what_is_gone(tmp_path: Path) -> None:
    """A release was begun while our write was under way; the tagged revision is deleted."""
    world = rich_world(Kind.SERVICE)
    older, _ = older_and_latest(world)
    world["services"][0]["traffic"] = [
        {"type": LATEST, "percent": 100},
        {"type": TO_REVISION, "revision": older, "tag": "pr-17"},
    ]
    actions = "[scale-to-zero]"
    async with contained_workload(tmp_path, Kind.SERVICE, world=world, actions=actions) as held:
        containment = (await held.plan_release()).containment
        assert containment
        delete_revision(held, older)
        records, cloud_run = held.containment_records, held.clients.cloud_run
        text = await undo_write(containment, containment.snapshots[-1], records, cloud_run)
        assert text == "took back scale-to-zero"
        now = workload_in(held.world, Kind.SERVICE)
        before = workload_in(held.world_before, Kind.SERVICE)
        assert (now["scaling"], now["traffic"]) == (before["scaling"], before["traffic"][:1])


async def test_without_its_scaling_nothing_is_called_released(tmp_path: Path) -> None:
    """Also with force: the service would stay down, and the record would say that it runs."""
    async with contained_workload(tmp_path, Kind.SERVICE, actions="[scale-to-zero]") as held:
        held.set_faults(Fault("UpdateService", Code.INVALID_ARGUMENT, message="scaling: no"))
        with pytest.raises(ReleaseIncomplete, match="scaling: no"):
            await held.release_in_part(force=True)
        assert not held.read_records("released")
        held.set_faults()
        await held.release()
        assert held.is_restored()


async def test_an_instance_that_does_not_start_is_not_called_released(tmp_path: Path) -> None:
    """Also with force; its start is validated beforehand."""
    async with contained_workload(tmp_path, Kind.INSTANCE) as held:
        held.set_faults(Fault("StartInstance", Code.FAILED_PRECONDITION, message="no such image"))
        plan = await held.plan_release()
        checked = await validated_plan(plan, held.containment_records, held.clients.cloud_run)
        assert "no such image" in checked.refusal
        with pytest.raises(ReleaseIncomplete, match="no such image"):
            await held.release_in_part(plan, force=True)
        assert not held.read_records("released")
        held.set_faults()
        await held.release()
        assert held.is_restored()


async def test_settings_that_cloud_run_cannot_serve_are_restored_all_the_same(
    tmp_path: Path,
) -> None:
    """A secret that is gone fails the reconciliation: said, and the release is complete."""
    words = "Secret projects/1/secrets/session-key/versions/latest was not found"
    async with contained_workload(tmp_path, Kind.SERVICE) as held:
        held.set_faults(Fault("reconcile", Code.FAILED_PRECONDITION, message=words))
        done = await held.release_in_part()
        assert [part.kind for part in done.not_restored] == [PartKind.STATE]
        assert words in done.not_restored[0].reason
        held.set_faults()
        assert not (await held.plan_release()).containment
        now = workload_in(held.world, Kind.SERVICE)
        before = workload_in(held.world_before, Kind.SERVICE)
        assert [now[n] for n in ("scaling", "traffic")] == [
            before[n] for n in ("scaling", "traffic")
        ]


async def test_force_does_not_wait_for_a_reconciliation_that_never_ends(tmp_path: Path) -> None:
    """Without force it is not released for certain."""
    async with contained_workload(tmp_path, Kind.SERVICE) as held:
        held.set_faults(Fault("reconcile", Code.DEADLINE_EXCEEDED))
        with pytest.raises(ReleaseIncomplete, match="still at work"):
            await held.release(patience_s=0.5)
        done = await held.release_in_part(patience_s=0.5, force=True)
        assert [part.kind for part in done.not_restored] == [PartKind.STATE]
        assert not (await held.plan_release()).containment


async def test_an_account_that_was_deleted_is_named_with_what_to_do(tmp_path: Path) -> None:
    """Google refuses every update then: only another account, or undeleting it, helps."""
    async with contained_workload(tmp_path, Kind.SERVICE) as held:
        account = workload_in(held.world, Kind.SERVICE)["template"]["serviceAccount"]
        words = (
            f"Permission 'iam.serviceaccounts.actAs' denied on service account {account} (or it may"
            " not exist)."
        )
        held.set_faults(Fault("UpdateService", Code.PERMISSION_DENIED, message=words))
        with pytest.raises(ReleaseIncomplete, match="undelete it") as refused:
            await held.release_in_part(force=True)
        assert "nothing was written" in str(refused.value)
