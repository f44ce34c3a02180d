"""What is declared to be needed against what is called: neither more nor less, by any policy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from clients import Clients
from clients.cloud_run import carrying_out
from clients.cloud_run_writing import WRITES
from clients.hierarchy import WALK
from clients.identity import USE_QUOTA
from clients.impersonation import MAKE_TOKENS
from clients.permissions import missing
from commands.catalogue import (
    Actions,
    Role,
    actions_of,
    catalogue,
    every_action,
    role_of_function,
)
from emulator.services.gate import Moment
from incident.actions.plan import plan
from incident.case_file.index import Cases
from incident.containment import release as releasing
from incident.decision.inputs import Books
from incident.investigation.workload_reader import ASKABLE, look
from incident.model import ChangeKind, Denied, Kind, Mode
from incident.policy.resolve import parse_policy
from incident.readiness.drill import carry_out
from incident.readiness.drill_plan import prepare
from incident.redaction.redactor import Redactor
from incident.report.outcome import released as taken_back
from incident.response.notify_scc import carry_back
from tests.clients.conftest import Connecting
from tests.support.environment import World, road, sample, service_of, world_around
from tests.support.manual_containment import person
from tests.support.model import finding, now, workload

RUN = "google.cloud.run.v2"
SCC = "google.cloud.securitycenter.v2.SecurityCenter"
TO_RUN = (
    "iam.serviceAccounts.actAs",
    "artifactregistry.repositories.downloadArtifacts",
)
#: What each method needs. By hand, after Google's references: of Cloud Run's IAM permissions and
#: required roles, of Security Command Center's, Cloud Logging's, Pub/Sub's and Cloud Storage's
#: access control; and of TestIamPermissions, which anybody may call.
NEEDED: dict[str, tuple[str, ...]] = {
    f"/{RUN}.Services/GetService": ("run.services.get",),
    f"/{RUN}.Services/UpdateService": ("run.services.update", *TO_RUN),
    f"/{RUN}.Services/GetIamPolicy": ("run.services.getIamPolicy",),
    f"/{RUN}.Services/SetIamPolicy": ("run.services.setIamPolicy",),
    f"/{RUN}.Services/TestIamPermissions": (),
    f"/{RUN}.Jobs/GetJob": ("run.jobs.get",),
    f"/{RUN}.Jobs/GetIamPolicy": ("run.jobs.getIamPolicy",),
    f"/{RUN}.Jobs/SetIamPolicy": ("run.jobs.setIamPolicy",),
    f"/{RUN}.Jobs/TestIamPermissions": (),
    f"/{RUN}.WorkerPools/GetWorkerPool": ("run.workerpools.get",),
    f"/{RUN}.WorkerPools/UpdateWorkerPool": ("run.workerpools.update", *TO_RUN),
    f"/{RUN}.WorkerPools/GetIamPolicy": ("run.workerpools.getIamPolicy",),
    f"/{RUN}.WorkerPools/TestIamPermissions": (),
    f"/{RUN}.Revisions/ListRevisions": ("run.revisions.list",),
    f"/{RUN}.Executions/ListExecutions": ("run.executions.list",),
    f"/{RUN}.Executions/CancelExecution": ("run.executions.cancel",),
    f"/{RUN}.Tasks/ListTasks": ("run.tasks.list",),
    f"/{RUN}.Services/ListServices": ("run.services.list",),
    f"/{RUN}.Jobs/ListJobs": ("run.jobs.list",),
    f"/{RUN}.WorkerPools/ListWorkerPools": ("run.workerpools.list",),
    f"/{SCC}/ListFindings": ("securitycenter.findings.list",),
    f"/{SCC}/UpdateSecurityMarks": ("securitycenter.findingsecuritymarks.update",),
    f"/{SCC}/UpdateExternalSystem": ("securitycenter.findingexternalsystems.update",),
    "/google.logging.v2.LoggingServiceV2/ListLogEntries": ("logging.logEntries.list",),
    "/google.pubsub.v1.Publisher/Publish": ("pubsub.topics.publish",),
    "storage.PUT": ("storage.objects.create",),
    "storage.GET": ("storage.objects.get",),
    "storage.LIST": ("storage.objects.list",),
}
SAMPLES = {
    Kind.SERVICE: "revision-by-number",
    Kind.JOB: "v1-job-execution",
    Kind.WORKER_POOL: "worker-pool-without-containers",
}
TOPIC = "projects/example-shop-prod/topics/outcomes"
EVERYTHING = """
  service: [isolate-revision, scale-to-zero, restrict-ingress, require-authentication]
  worker-pool: [scale-to-zero]
  job: [cancel-executions, require-authentication]
"""
POLICIES = {
    "everything": EVERYTHING,
    "services stopped": "\n  service: [scale-to-zero]\n",
    "services restricted": "\n  service: [[isolate-revision, restrict-ingress]]\n",
    "authentication": "\n  service: [require-authentication]\n  job: [require-authentication]\n",
    "jobs stopped": "\n  job: [cancel-executions]\n",
    "pools stopped": "\n  worker-pool: [scale-to-zero]\n",
}


def policy(contain: str, mode: Mode) -> str:
    """A policy that contains so much, in a mode."""
    return f"mode: {mode}\ncontain: {contain}"


def named(actions: Actions, role: Role, *, announces: bool = True) -> set[str]:
    """The permissions of a role."""
    return {grant.name for grant in catalogue(actions, announces=announces)[role]}


async def called(folder: Path, contain: str, mode: Mode, kinds: Iterable[Kind]) -> set[str]:
    """What was called for a finding on each of some kinds, but for what only validates."""
    seen: set[str] = set()
    for kind in kinds:
        (folder / kind).mkdir()
        notification = sample(SAMPLES[kind])
        moments: list[Moment] = []
        world = world_around(notification, latency={"reconcile": "1ms"})
        async with road(
            folder / kind,
            notification=notification,
            world=world,
            rules=policy(contain, mode),
            hook=moments.append,
            store="gs://case-files/responder",
            topic=TOPIC,
        ) as way:
            await way.deliver()
            await way.deliver()  # a redelivery reads what was recorded
            validated = {w.method for w in way.emulator.writes if w.validate_only}
            written = {w.method for w in way.emulator.writes if not w.validate_only}
        seen |= {moment.method for moment in moments} - (validated - written)
    return seen


def needed(methods: set[str]) -> set[str]:
    """The permissions that some calls need; a call that is not in the table fails here."""
    return {permission for method in methods for permission in NEEDED[method]}


@pytest.mark.parametrize("contain", POLICIES.values(), ids=POLICIES)
async def test_what_enforcing_calls_is_exactly_what_is_declared(
    tmp_path: Path, contain: str
) -> None:
    """For any policy: nothing is lacking, and nothing is granted idly."""
    actions = actions_of(parse_policy(policy(contain, Mode.ENFORCE), source="test"))
    kinds = [kind for kind, names in actions.items() if names]
    seen = needed(await called(tmp_path, contain, Mode.ENFORCE, kinds))
    # Every kind is read, whatever the policy names; that is held against the wire below. The
    # policy of these roads is a file; in a bucket it needs what the store's objects do.
    assert seen | named(actions, Role.READER) == named(actions, Role.ACTOR)


async def test_what_a_dry_run_calls_is_exactly_what_is_declared(tmp_path: Path) -> None:
    """All that it writes only asks to be validated, as far as the permissions go."""
    seen = await called(tmp_path, EVERYTHING, Mode.DRY_RUN, Kind)
    assert needed(seen) == named(every_action(), Role.READER)


def test_every_row_of_the_table_is_declared_by_somebody() -> None:
    """A permission that is in the table only, or in the code only, fails here."""
    table = {permission for needs in NEEDED.values() for permission in needs}
    over_http = {"run.locations.list", USE_QUOTA.name, MAKE_TOKENS.name}
    over_http |= {permission.name for permission in WALK}
    roles = (Role.ACTOR, Role.SURVEYOR)
    assert table | over_http == set().union(*(named(every_action(), role) for role in roles))


async def test_what_releasing_calls_is_exactly_what_is_declared(tmp_path: Path) -> None:
    """A person who releases needs no more than the operator's role, and all of it."""
    contain = "\n  service: [scale-to-zero, restrict-ingress, require-authentication]\n"
    moments: list[Moment] = []
    rules = policy(contain, Mode.ENFORCE)
    store = "gs://case-files/responder"
    async with road(tmp_path, rules=rules, hook=moments.append, store=store) as way:
        outcome: Any = (await way.deliver()).outcome
        google: Any = way.inboxes[0]._outside  # noqa: SLF001 - the same clients
        del moments[:]
        case = await Cases(google.store).one(outcome["incident"])
        assert case.workload
        books = Books(google.store, "cli", now)
        custody = books.custody(case.workload)
        released = await releasing.plan_release(case.workload, custody, google.run)
        await google.logging.audit(case.workload, now(), now(), limit=1)
        given = releasing.Given("x", way.settings.verify_timeout, Redactor(b"key"))
        await releasing.carry_out(released, custody, google.run, given)
        told = taken_back(outcome, "x")
        assert not await carry_back(await books.case(case.folder), google.security_center, told)
    actions = actions_of(parse_policy(rules, source="test"))
    seen = {moment.method for moment in moments}
    wanted = named(actions, Role.OPERATOR, announces=False)
    assert needed(seen) | {USE_QUOTA.name} == wanted  # asked for by Google before any call


async def test_a_drill_calls_no_more_than_an_approver_may(tmp_path: Path) -> None:
    """And it asks Security Command Center nothing."""
    moments: list[Moment] = []
    rules = policy(EVERYTHING, Mode.DRY_RUN)
    store = "gs://case-files/responder"
    road_to = road(tmp_path, rules=rules, hook=moments.append, store=store)
    async with road_to as way, person(way) as me:
        drill = await prepare(workload(), me.standing, me.outside, me.name)
        assert (await carry_out(drill)).good
    methods = {moment.method for moment in moments}
    assert needed(methods) <= named(every_action(), Role.APPROVER)
    assert not [method for method in methods if SCC in method]


def test_a_policy_is_granted_what_it_names_and_no_more() -> None:
    """Rules count beside the defaults; the function of a policy that never enforces only reads."""
    text = "contain: {service: [scale-to-zero]}\nrules:\n"
    text += "- {name: a, match: {projects: [x]}, contain: {job: [cancel-executions]}, mode: %s}\n"
    approving = parse_policy(text % "approve", source="test")
    enforcing = parse_policy(text % "enforce", source="test")
    assert actions_of(approving)[Kind.JOB] == {"cancel-executions"}
    assert role_of_function(approving) is Role.READER
    assert role_of_function(enforcing) is Role.ACTOR
    assert role_of_function(parse_policy("mode: enforce", source="test")) is Role.READER
    writes = {"run.executions.cancel", "run.services.update", *TO_RUN}
    for method in ("UpdateSecurityMarks", "UpdateExternalSystem"):
        writes |= {*NEEDED[f"/{SCC}/{method}"]}
    both = catalogue(actions_of(enforcing), announces=False)
    assert {g.name for g in both[Role.ACTOR]} - {g.name for g in both[Role.READER]} == writes
    assert "pubsub.topics.publish" not in {g.name for g in both[Role.ACTOR]}


def test_every_grant_says_why_and_on_what() -> None:
    """What anybody may be is never granted over a project."""
    for grants in catalogue(every_action(), announces=True).values():
        for grant in grants:
            assert all(grant.reasons), grant
            assert grant.scope.described
            assert (grant.name in TO_RUN) is ("never the project" in grant.scope.described)


def test_every_write_has_its_permissions() -> None:
    """What an action makes of a kind of workload can be sent, and needs to be read as well."""
    for change, kind in WRITES:
        names = [each.name for each in carrying_out(change, kind)]
        assert len(names) == len(set(names)) > len(WRITES[change, kind])


# Denied, one method after the other.


async def _change(clients: Clients, kind: Kind, action: str) -> None:
    place = workload(kind=kind)
    settings = await look(place, ASKABLE[kind], clients.run)
    made = plan(((action,),), settings, finding(workload=place)).changes
    wanted = ChangeKind.IAM_POLICY if action == "require-authentication" else None
    change = next(each for each in made if wanted in (None, each.kind))
    await clients.run.write(change, validate_only=False)


async def _publish(clients: Clients) -> None:
    assert clients.topic
    await clients.topic.publish(b"{}", {})


def _reading(method: str, kind: Kind) -> Callable[[Clients], Awaitable[object]]:
    return lambda clients: getattr(clients.run, method)(workload(kind=kind))


def _listing(kind: Kind) -> Callable[[Clients], Awaitable[object]]:
    return lambda clients: clients.run.listed("example-shop-prod", "europe-west1", kind)


def _writing(kind: Kind, action: str) -> Callable[[Clients], Awaitable[object]]:
    return lambda clients: _change(clients, kind, action)


def _asking(kind: Kind) -> Callable[[Clients], Awaitable[object]]:
    change = ChangeKind.CANCELLATION if kind is Kind.JOB else ChangeKind.FIELDS
    return lambda clients: clients.run.lacking(workload(kind=kind), change)


PLACE = "projects/example-shop-prod"
FINDING = f"{PLACE}/sources/1/locations/global/findings/f"
EXECUTION = f"{PLACE}/locations/europe-west1/jobs/storefront/executions/e"
#: One call of each method, by the product's own clients.
CALLS: dict[str, Callable[[Clients], Awaitable[object]]] = {
    f"/{RUN}.Services/GetService": _reading("settings", Kind.SERVICE),
    f"/{RUN}.Services/UpdateService": _writing(Kind.SERVICE, "scale-to-zero"),
    f"/{RUN}.Services/GetIamPolicy": _reading("access", Kind.SERVICE),
    f"/{RUN}.Services/SetIamPolicy": _writing(Kind.SERVICE, "require-authentication"),
    f"/{RUN}.Services/TestIamPermissions": _asking(Kind.SERVICE),
    f"/{RUN}.Jobs/GetJob": _reading("settings", Kind.JOB),
    f"/{RUN}.Jobs/GetIamPolicy": _reading("access", Kind.JOB),
    f"/{RUN}.Jobs/SetIamPolicy": _writing(Kind.JOB, "require-authentication"),
    f"/{RUN}.Jobs/TestIamPermissions": _asking(Kind.JOB),
    f"/{RUN}.WorkerPools/GetWorkerPool": _reading("settings", Kind.WORKER_POOL),
    f"/{RUN}.WorkerPools/UpdateWorkerPool": _writing(Kind.WORKER_POOL, "scale-to-zero"),
    f"/{RUN}.WorkerPools/GetIamPolicy": _reading("access", Kind.WORKER_POOL),
    f"/{RUN}.WorkerPools/TestIamPermissions": _asking(Kind.WORKER_POOL),
    f"/{RUN}.Revisions/ListRevisions": _reading("revisions", Kind.SERVICE),
    f"/{RUN}.Executions/ListExecutions": _reading("executions", Kind.JOB),
    f"/{RUN}.Executions/CancelExecution": _writing(Kind.JOB, "cancel-executions"),
    f"/{RUN}.Tasks/ListTasks": lambda clients: clients.run.tasks(EXECUTION),
    f"/{RUN}.Services/ListServices": _listing(Kind.SERVICE),
    f"/{RUN}.Jobs/ListJobs": _listing(Kind.JOB),
    f"/{RUN}.WorkerPools/ListWorkerPools": _listing(Kind.WORKER_POOL),
    f"/{SCC}/ListFindings": lambda clients: clients.security_center.findings_at(
        f"{PLACE}/sources/1/locations/global", now()
    ),
    f"/{SCC}/UpdateSecurityMarks": lambda clients: clients.security_center.mark(
        FINDING, {"a": "b"}
    ),
    f"/{SCC}/UpdateExternalSystem": lambda clients: clients.security_center.link(
        FINDING, "x", {"status": "b"}
    ),
    "/google.logging.v2.LoggingServiceV2/ListLogEntries": lambda clients: clients.logging.audit(
        workload(), now(), now(), limit=1
    ),
    "/google.pubsub.v1.Publisher/Publish": _publish,
    "storage.PUT": lambda clients: clients.store.create("a.json", b"{}"),
    "storage.GET": lambda clients: clients.store.read("a.json"),
    "storage.LIST": lambda clients: clients.store.list("a/"),
}


def placed() -> World:
    """A world with a workload of each kind, by one name."""
    world = world_around(sample())
    del world["findings"]
    location = f"{PLACE}/locations/europe-west1"
    containers = {"containers": [{"image": "registry.example/x:1"}]}
    job, pool = f"{location}/jobs/storefront", f"{location}/workerPools/storefront"
    world["jobs"] = [{"name": job, "template": {"template": containers}}]
    world["executions"] = [{"name": EXECUTION, "taskCount": 1}]
    world["workerPools"] = [{"name": pool, "scaling": {"manualInstanceCount": 3}}]
    everybody = {"bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]}
    world["iamPolicies"] = {service_of(world)["name"]: everybody, job: everybody}
    return world


@pytest.mark.parametrize("method", NEEDED)
async def test_a_denied_call_names_the_permission_and_where_to_grant_it(
    google: Connecting, method: str
) -> None:
    """Method by method: the name in the error is the one in the table."""
    faults = [{"method": method, "code": "PERMISSION_DENIED"}]
    async with google({**placed(), "faults": faults}, topic=TOPIC) as cloud:
        with pytest.raises(Denied) as raised:
            await CALLS[method](cloud.clients)
    message = str(raised.value)
    if not NEEDED[method]:
        assert "Google does not permit it" in message
        return
    first, *others = NEEDED[method]
    assert f"permission {first} is missing" in message
    assert all(f"{each} on " in message for each in others)
    assert f"Grant it on {_where(method)}" in message


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "The run.googleapis.com API requires a quota project, which is not set by default.",
            "Run: gcloud auth application-default set-quota-project",
        ),
        (
            "Grant the caller a role with the serviceusage.services.use permission",
            "permission serviceusage.services.use is missing. Grant it on the project that a",
        ),
    ],
)
def test_credentials_without_a_project_to_count_on_are_told_what_to_do(
    said: str, told: str
) -> None:
    """What is lacking is not the permission that the call itself needs."""
    text = missing(carrying_out(ChangeKind.FIELDS, Kind.SERVICE), PLACE, said)
    assert told in text
    assert "run.services" not in text


def _where(method: str) -> str:
    """What the permission of a method is to be granted on, in the world of these calls."""
    if method.startswith("storage."):
        return "gs://case-files"
    if method.endswith("Publish"):
        return TOPIC
    return f"{PLACE}"
