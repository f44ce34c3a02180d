"""Each action: what it writes, when it does not fit, when it is in effect; and the catalogue."""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.cloud_run import permissions_for_change
from incident import actions
from incident.actions.action import Action
from incident.actions.catalogue import ACTIONS, by_name
from incident.actions.masked_changes import details_for_steps, in_effect, plan_changes
from incident.actions.require_authentication import bindings_to_keep
from incident.model import (
    Access,
    Change,
    ChangeKind,
    ContainerConfiguration,
    Execution,
    Finding,
    Json,
    Kind,
    ServiceAccount,
    Template,
    WorkloadConfiguration,
    WorkloadDetail,
)
from incident.model.calling_roles import INVOKER_ROLE
from tests.support.constants import LATEST, REVISION
from tests.support.model import NOW, configuration, finding, repeatable, template

BAD, GOOD, OTHER = "storefront-00042", "storefront-00041", "storefront-00040"
FINDING = finding(revision=BAD)
IMAGE = "registry.example/storefront:1"


def revision(name: str, image: str = IMAGE, **changes: Any) -> Template:
    """A revision that runs an image."""
    containers = (ContainerConfiguration("storefront-1", image, ()),)
    return template(revision=name, containers=containers, **changes)


def traffic_target(name: str, percent: int, tag: str = "") -> dict[str, Json]:
    """Traffic of a revision; of the latest where it has no name."""
    target: dict[str, Json] = {"type": REVISION if name else LATEST, "percent": percent}
    return {**target, **({"revision": name} if name else {}), **({"tag": tag} if tag else {})}


REVISIONS = (revision(BAD, "registry.example/storefront:2"), revision(GOOD), revision(OTHER))
SHOP_CONFIGURATION = configuration(
    {"minInstanceCount": 1},
    [
        traffic_target("", 80),
        traffic_target(BAD, 10, "new"),
        traffic_target(GOOD, 10, "known-good"),
    ],
    revisions=REVISIONS,
)


def planned_changes(
    action: str, found: WorkloadConfiguration, seen: Finding = FINDING
) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """The changes of one action, and why it does not fit."""
    made = plan_changes(((action,),), found, seen)
    assert made.applicable is not bool(made.not_applicable)
    return made.changes, made.not_applicable


def test_an_isolated_revision_has_neither_traffic_nor_a_tag() -> None:
    """Its share, also as the latest revision, moves to the known-good one."""
    ((change,), _) = planned_changes("isolate-revision", SHOP_CONFIGURATION)
    assert change.after == {"traffic": [traffic_target(GOOD, 100, "known-good")]}
    assert (change.stops, change.reversible, change.affected_revision) == (True, True, BAD)
    assert "scaling" not in change.mask


def test_what_other_revisions_have_stays() -> None:
    """Their shares and tags are not changed."""
    traffic: Json = [
        traffic_target(BAD, 50, "live"),
        traffic_target(OTHER, 50, "beta"),
        {"type": REVISION, "revision": GOOD, "tag": "known-good"},
    ]
    ((change,), _) = planned_changes(
        "isolate-revision", configuration({}, traffic, revisions=REVISIONS)
    )
    assert change.after["traffic"] == [
        traffic_target(OTHER, 50, "beta"),
        traffic_target(GOOD, 50, "known-good"),
    ]


def test_a_known_good_latest_is_pinned_by_its_name() -> None:
    """With the tag on the latest target, the share goes to the revision that is the latest now."""
    traffic: Json = [traffic_target(BAD, 100), traffic_target("", 0, "known-good")]
    found = configuration({}, traffic, revisions=REVISIONS, latest_ready_revision=GOOD)
    ((change,), _) = planned_changes("isolate-revision", found)
    assert change.after["traffic"] == [
        traffic_target("", 0, "known-good"),
        traffic_target(GOOD, 100),
    ]


def _with_known_good(**changes: Any) -> WorkloadConfiguration:
    """The shop, with its known-good revision changed."""
    revisions = tuple(replace(r, **changes) if r.revision == GOOD else r for r in REVISIONS)
    return replace(SHOP_CONFIGURATION, revisions=revisions)


MISFITS: dict[str, tuple[WorkloadConfiguration, Finding, str]] = {
    "unknown revision": (
        SHOP_CONFIGURATION,
        finding(revision=None),
        "does not name the affected revision",
    ),
    "revisions not read": (
        replace(SHOP_CONFIGURATION, revisions=None),
        FINDING,
        "revisions are not known",
    ),
    "not listed": (SHOP_CONFIGURATION, finding(revision="gone"), "gone is not among"),
    "affinity of the affected": (
        replace(
            SHOP_CONFIGURATION,
            revisions=(replace(REVISIONS[0], session_affinity=True), *REVISIONS[1:]),
        ),
        FINDING,
        "session affinity is on",
    ),
    "affinity of the service": (
        replace(SHOP_CONFIGURATION, template=template(session_affinity=True)),
        FINDING,
        "session affinity is on",
    ),
    "no tag": (
        configuration({}, [traffic_target("", 100)], revisions=REVISIONS),
        FINDING,
        "no revision is tagged",
    ),
    "itself": (
        configuration({}, [traffic_target("", 100, "known-good")], revisions=REVISIONS),
        FINDING,
        "is the affected one",
    ),
    "not ready": (_with_known_good(ready=False), FINDING, "is not ready"),
    "perhaps not ready": (_with_known_good(ready=None), FINDING, "is not ready"),
    "not older": (_with_known_good(create_time=NOW), FINDING, "is not older than the finding"),
    "of unknown age": (
        _with_known_good(create_time=None),
        FINDING,
        "is not older than the finding",
    ),
    "not older than the finding's making": (
        _with_known_good(create_time=NOW - timedelta(hours=1)),
        replace(FINDING, create_time=NOW - timedelta(hours=2)),
        "is not older than the finding",
    ),
    "same image": (
        _with_known_good(containers=REVISIONS[0].containers),
        FINDING,
        "runs the image of the affected one",
    ),
    "the digest found": (
        _with_known_good(
            containers=(
                ContainerConfiguration("x", f"r.example/s@{FINDING.containers[0].digest}", ()),
            )
        ),
        FINDING,
        "runs the image of the affected one",
    ),
    "good one not listed": (
        replace(SHOP_CONFIGURATION, revisions=REVISIONS[:1]),
        FINDING,
        "is not among those",
    ),
}


@pytest.mark.parametrize(("found", "seen", "reason"), MISFITS.values(), ids=MISFITS)
def test_nothing_is_isolated_without_a_known_good_revision(
    found: WorkloadConfiguration, seen: Finding, reason: str
) -> None:
    """Each doubt is a reason why it does not fit, and the next alternative is taken."""
    assert reason in planned_changes("isolate-revision", found, seen)[1][0]
    made = plan_changes((("isolate-revision", "scale-to-zero"),), found, seen)
    assert made.applicable
    assert [change.action for change in made.changes] == ["scale-to-zero"]


def test_isolation_is_verified_by_traffic_and_tags() -> None:
    """The traffic may be split in another way than was written."""
    ((change,), _) = planned_changes("isolate-revision", SHOP_CONFIGURATION)
    moved: Json = [traffic_target(OTHER, 100), traffic_target(GOOD, 0, "x")]
    assert in_effect(change, configuration({}, moved, revisions=None))
    for back in (
        [traffic_target("", 100)],
        [traffic_target(GOOD, 100), traffic_target(BAD, 0, "again")],
    ):
        assert not in_effect(change, configuration({}, [*back]))
    assert in_effect(
        change, configuration({}, [traffic_target("", 100)], latest_ready_revision=GOOD)
    )


@pytest.mark.parametrize(
    ("ingress", "wanted"),
    [
        ("INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_ONLY"),
        ("INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER", "INGRESS_TRAFFIC_INTERNAL_ONLY"),
        ("INGRESS_TRAFFIC_INTERNAL_ONLY", None),
        ("INGRESS_TRAFFIC_NONE", None),
    ],
)
def test_ingress_is_closed_and_never_opened(ingress: str, wanted: str | None) -> None:
    """What is as strict already stays as it is."""
    found = configuration(fields={"ingress": ingress})
    changes, _ = planned_changes("restrict-ingress", found)
    assert [change.after for change in changes] == ([{"ingress": wanted}] if wanted else [])


PUBLIC, USER = "allUsers", "user:a@example.com"


def iam_binding(*members: str, role: str = INVOKER_ROLE, condition: str = "") -> dict[str, Json]:
    """A binding of an IAM policy."""
    binding: dict[str, Json] = {"role": role, "members": [*members]}
    return {**binding, "condition": {"expression": condition}} if condition else binding


POLICIES: dict[str, tuple[Kind, list[dict[str, Json]], list[dict[str, Json]]]] = {
    "the public goes, others stay": (
        Kind.SERVICE,
        [
            iam_binding(PUBLIC, USER, "allAuthenticatedUsers"),
            iam_binding(PUBLIC, role="roles/viewer"),
        ],
        [iam_binding(USER), iam_binding(PUBLIC, role="roles/viewer")],
    ),
    "a binding of nobody else goes": (Kind.SERVICE, [iam_binding(PUBLIC)], []),
    "conditions are left alone": (
        Kind.SERVICE,
        [iam_binding(PUBLIC, condition="x"), iam_binding(PUBLIC)],
        [iam_binding(PUBLIC, condition="x")],
    ),
    "of a job, everybody goes": (
        Kind.JOB,
        [
            iam_binding(USER),
            iam_binding(PUBLIC, condition="x"),
            iam_binding(USER, role="roles/owner"),
        ],
        [iam_binding(PUBLIC, condition="x"), iam_binding(USER, role="roles/owner")],
    ),
}


@pytest.mark.parametrize(("kind", "before", "after"), POLICIES.values(), ids=POLICIES)
def test_only_direct_unconditional_invokers_go(
    kind: Kind, before: list[dict[str, Json]], after: list[dict[str, Json]]
) -> None:
    """The edit has the etag that was read and all bindings, before and after."""
    access = Access((), "abcd", tuple(before))
    found = configuration(kind=kind, access=access)
    changes, _ = planned_changes("require-authentication", found)
    (edit,) = (change for change in changes if change.kind is ChangeKind.IAM_POLICY)
    assert (edit.before, edit.after) == ({"bindings": before}, {"bindings": after})
    assert (edit.etag, edit.mask, edit.stops) == ("abcd", ("bindings",), False)
    assert not in_effect(edit, found)
    assert in_effect(edit, replace(found, access=Access((), "ef", tuple(after))))
    assert bindings_to_keep(tuple(after), kind) == tuple(after)


def test_the_invoker_check_goes_on_with_the_policy() -> None:
    """The invoker check is turned on only where it is off."""
    access = Access((), "ab", (iam_binding(USER),))
    off = configuration(fields={"invokerIamDisabled": True}, access=access)
    ((change,), _) = planned_changes("require-authentication", off)
    assert (change.mask, change.after) == (("invoker_iam_disabled",), {"invokerIamDisabled": False})
    assert change.before == {"invokerIamDisabled": True}
    assert planned_changes("require-authentication", configuration(access=access)) == ((), ())


def execution(name: str, *, running: bool = True) -> Execution:
    """An execution of a job."""
    full = f"projects/p/locations/l/jobs/j/executions/{name}"
    over = None if running else NOW
    return Execution(full, name, NOW, NOW, over, "", "", {}, template(), "ci@example.com")


def test_every_running_execution_is_cancelled_the_findings_own_first() -> None:
    """Each is one irreversible change that stops; executions that ended are left alone."""
    executions = (execution("b"), execution("over", running=False), execution("own"))
    found = configuration(kind=Kind.JOB, executions=executions)
    changes, _ = planned_changes("cancel-executions", found, finding(execution="own"))
    assert [change.target.rpartition("/")[2] for change in changes] == ["own", "b"]
    assert all(change.stops and not change.reversible for change in changes)
    assert not any(in_effect(change, found) for change in changes)
    done = replace(found, executions=tuple(replace(e, completion_time=NOW) for e in executions))
    assert all(in_effect(change, done) for change in changes)
    assert not in_effect(changes[0], replace(found, executions=None))


def test_a_pool_is_stopped_by_its_count() -> None:
    """A worker pool has only its count; where it is 0 already, nothing is written."""
    found = configuration({"manualInstanceCount": 3}, kind=Kind.WORKER_POOL)
    ((change,), _) = planned_changes("scale-to-zero", found)
    assert change.after == {"scaling": {"manualInstanceCount": 0}}
    assert change.before == {"scaling": {"manualInstanceCount": 3}}
    assert not in_effect(change, found)
    stopped = replace(found, fields=dict(change.after))
    assert in_effect(change, stopped)
    assert planned_changes("scale-to-zero", stopped) == ((), ())


def test_what_was_not_read_does_not_fit() -> None:
    """An action does not fit where what it needs was not read."""
    assert (
        "IAM policy is not known"
        in planned_changes("require-authentication", SHOP_CONFIGURATION)[1][0]
    )
    job = configuration(kind=Kind.JOB)
    assert "executions are not known" in planned_changes("cancel-executions", job)[1][0]


def test_each_action_names_what_it_needs() -> None:
    """Every alternative counts, for the kinds that it fits."""
    steps = (("isolate-revision", "scale-to-zero"), ("require-authentication",))
    assert details_for_steps(steps, Kind.SERVICE) == {
        WorkloadDetail.REVISIONS,
        WorkloadDetail.ACCESS,
    }
    assert details_for_steps(steps, Kind.JOB) == {WorkloadDetail.ACCESS}
    assert details_for_steps((("cancel-executions",),), Kind.JOB) == {WorkloadDetail.EXECUTIONS}
    assert details_for_steps((("scale-to-zero",),), Kind.WORKER_POOL) == set()


_STEPS = st.lists(
    st.lists(st.sampled_from(sorted(ACTIONS)), min_size=1, max_size=3, unique=True).map(tuple),
    min_size=1,
    max_size=5,
).map(tuple)
_EVERYTHING = replace(
    SHOP_CONFIGURATION,
    access=Access((), "ab", (iam_binding(PUBLIC, USER),)),
    executions=(execution("a"), execution("b")),
    accounts=(ServiceAccount(template().service_account),),
)


@given(_STEPS, st.sampled_from(Kind))
@repeatable
def test_any_list_of_steps_is_one_write_of_fields_and_stops_first(
    steps: tuple[tuple[str, ...], ...], kind: Kind
) -> None:
    """All field changes of a workload are one write, and stopping changes come first."""
    made = plan_changes(steps, replace(_EVERYTHING, kind=kind), FINDING)
    kinds = [change.kind for change in made.changes]
    assert kinds.count(ChangeKind.FIELDS) <= 1
    assert kinds.count(ChangeKind.IAM_POLICY) <= 1
    stops = [change.stops for change in made.changes]
    assert stops == sorted(stops, reverse=True)
    assert kinds.count(ChangeKind.SERVICE_ACCOUNT) <= 1
    fit = [any(kind in ACTIONS[name].desired_state for name in step) for step in steps]
    assert made.applicable is all(fit)


@pytest.mark.parametrize("order", [1, -1])
def test_isolating_and_stopping_come_to_a_stop(order: int) -> None:
    """In any order of the policy: no instance, no tag, no share for the affected revision."""
    steps = (("isolate-revision",), ("scale-to-zero",))[::order]
    (change,) = plan_changes(steps, SHOP_CONFIGURATION, FINDING).changes
    assert change.after["traffic"] == [traffic_target(GOOD, 100)]
    assert set(change.mask) == {"scaling", "traffic"}
    tagged: Json = [traffic_target(GOOD, 100, "known-good")]
    now = configuration(change.after["scaling"], tagged, revisions=REVISIONS)
    assert not in_effect(change, now)


def _module_with(**changes: Any) -> ModuleType:
    """A module that declares scale-to-zero, with some of it changed."""
    module = ModuleType("another_action")
    module.ACTION = replace(ACTIONS["scale-to-zero"], **changes)  # type: ignore[attr-defined]
    return module


def test_every_module_with_an_action_is_in_the_catalogue() -> None:
    """An action's file without its line in the catalogue fails here."""
    found = [
        import_module(f"incident.actions.{module.name}")
        for module in pkgutil.iter_modules(actions.__path__)
    ]
    declared = {module.ACTION.name for module in found if hasattr(module, "ACTION")}
    assert declared == set(ACTIONS)


def test_two_actions_of_one_name_are_refused() -> None:
    """The error names the modules of both."""
    original = import_module("incident.actions.scale_to_zero")
    with pytest.raises(
        ValueError, match=r"incident\.actions\.scale_to_zero and another_action both claim"
    ):
        by_name((original, _module_with()))


@pytest.mark.parametrize("mapping", ["writes", "change_kinds", "permissions"])
def test_an_action_says_everything_of_each_kind(mapping: str) -> None:
    """An action that leaves out a kind that it fits is refused."""
    with pytest.raises(ValueError, match="another_action does not say all"):
        by_name((_module_with(**{mapping: {}}),))


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_an_action_declares_the_permissions_of_its_calls(action: Action) -> None:
    """It names what its calls need, each with a reason, and nothing else."""
    for kind, declared in action.permissions.items():
        names = {(permission.name, permission.scope) for permission in declared}
        needed = {
            (permission.name, permission.scope)
            for change in action.change_kinds[kind]
            for permission in permissions_for_change(change, kind)
        }
        assert names == needed
        assert all(permission.reason for permission in declared)
    to_plan = {permission.name for permission in action.permissions_to_plan}
    lists_revisions = WorkloadDetail.REVISIONS in action.details
    assert to_plan == ({"run.revisions.list", "run.revisions.get"} if lists_revisions else set())


def test_the_readmes_table_is_the_catalogue() -> None:
    """One row for each action, as its file describes it."""
    rows = [
        f"| `{name}` | {action.writes.get(Kind.SERVICE, '')} |"
        f" {action.writes.get(Kind.WORKER_POOL, '')} | {action.writes.get(Kind.JOB, '')} |"
        f" {action.writes.get(Kind.INSTANCE, '')} |"
        f" {'yes' if action.stops else 'no'} | {'yes' if action.reversible else '**no**'} |"
        for name, action in ACTIONS.items()
    ]
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    in_readme = [
        line
        for line in readme.splitlines()
        if line.startswith("| `") and line[3:].split("`")[0] in ACTIONS
    ]
    assert [" ".join(line.split()) for line in in_readme] == [" ".join(row.split()) for row in rows]
