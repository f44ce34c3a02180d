"""What is declared to be needed against what is called: neither more nor less, by any policy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from clients import Clients, cloud_run
from clients.caller_identity import USE_QUOTA
from clients.cloud_run import permissions_for_change
from clients.cloud_run_writes import WRITE_PERMISSIONS
from clients.impersonation import MAKE_TOKENS
from clients.paging import ListBounds
from clients.permissions import missing_permission_text
from clients.service_accounts import account_name
from commands.permission_catalogue import (
    ActionsByKind,
    Role,
    actions_of,
    every_action,
    permission_catalogue,
    role_of_function,
)
from emulator.services.gate import CallPoint
from incident.actions.masked_changes import plan_changes
from incident.case_file.index import CaseFileIndex
from incident.containment import release as releasing
from incident.decision.process import Process
from incident.investigation.workload_reader import READABLE_NEEDS, read_workload
from incident.model import Change, ChangeKind, Denied, GrantScope, Kind, Mode
from incident.policy.resolve import parse_policy
from incident.readiness.drill import drill_request, run_drill
from incident.redaction.redactor import Redactor
from incident.report.outcome_updates import released_outcome as taken_back
from incident.response.pipeline import propose
from incident.response.publish import publish
from tests.clients.conftest import ConnectClients
from tests.support.constants import SAMPLE_OF_KIND, TOPIC
from tests.support.environment import JsonDict, responder_environment
from tests.support.findings import sample_notification
from tests.support.manual_containment import command_line_user
from tests.support.model import finding, fixed_now, workload
from tests.support.worlds import service_of, world_around

RUN = "google.cloud.run.v2"
SCC = "google.cloud.securitycenter.v2.SecurityCenter"
IAM = "google.iam.admin.v1.IAM"
ACCOUNT = "*@*.iam.gserviceaccount.com"
OWN_ACCOUNT = "storefront@example-shop-prod.iam.gserviceaccount.com"
TO_RUN = (
    "iam.serviceAccounts.actAs",
    "artifactregistry.repositories.downloadArtifacts",
)
#: What each method needs. Written manually, after Google's references: of Cloud Run's IAM
#: permissions and required roles, of Security Command Center's, Cloud Logging's, Pub/Sub's and
#: Cloud Storage's access control; and of TestIamPermissions, which anybody may call.
PERMISSIONS_OF_METHODS: dict[str, tuple[str, ...]] = {
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
    f"/{RUN}.Revisions/GetRevision": ("run.revisions.get",),
    f"/{RUN}.Executions/ListExecutions": ("run.executions.list",),
    f"/{RUN}.Executions/GetExecution": ("run.executions.get",),
    f"/{RUN}.Executions/CancelExecution": ("run.executions.cancel",),
    f"/{RUN}.Tasks/ListTasks": ("run.tasks.list",),
    f"/{RUN}.Services/ListServices": ("run.services.list",),
    f"/{RUN}.Jobs/ListJobs": ("run.jobs.list",),
    f"/{RUN}.WorkerPools/ListWorkerPools": ("run.workerpools.list",),
    f"/{RUN}.Instances/GetInstance": ("run.instances.get",),
    f"/{RUN}.Instances/ListInstances": ("run.instances.list",),
    f"/{RUN}.Instances/StopInstance": ("run.instances.stop",),
    f"/{RUN}.Instances/StartInstance": ("run.instances.start",),
    f"/{SCC}/ListFindings": ("securitycenter.findings.list",),
    f"/{SCC}/UpdateSecurityMarks": ("securitycenter.findingsecuritymarks.update",),
    f"/{SCC}/UpdateExternalSystem": ("securitycenter.findingexternalsystems.update",),
    "/google.logging.v2.LoggingServiceV2/ListLogEntries": ("logging.logEntries.list",),
    "/google.cloud.asset.v1.AssetService/SearchAllResources": (
        "cloudasset.assets.searchAllResources",
    ),
    "/google.pubsub.v1.Publisher/Publish": ("pubsub.topics.publish",),
    f"/{IAM}/GetServiceAccount": ("iam.serviceAccounts.get",),
    f"/{IAM}/DisableServiceAccount": ("iam.serviceAccounts.disable",),
    f"/{IAM}/EnableServiceAccount": ("iam.serviceAccounts.enable",),
    "storage.PUT": ("storage.objects.create",),
    "storage.GET": ("storage.objects.get",),
    "storage.LIST": ("storage.objects.list",),
}
EVERYTHING = """
  service: [isolate-revision, scale-to-zero, restrict-ingress, require-authentication]
  worker-pool: [scale-to-zero]
  job: [cancel-executions, require-authentication]
  instance: [stop-instance]
"""
#: Declared with what stops, and called by its release alone.
ONLY_RELEASING = {"run.instances.start"}
POLICIES = {
    "everything": EVERYTHING,
    "services stopped": "\n  service: [scale-to-zero]\n",
    "services restricted": "\n  service: [[isolate-revision, restrict-ingress]]\n",
    "authentication": "\n  service: [require-authentication]\n  job: [require-authentication]\n",
    "jobs stopped": "\n  job: [cancel-executions]\n",
    "pools stopped": "\n  worker-pool: [scale-to-zero]\n",
    "instances stopped": "\n  instance: [stop-instance]\n",
}


def policy(contain: str, mode: Mode) -> str:
    """A policy that contains so much, in a mode."""
    return f"mode: {mode}\ncontain: {contain}\nidentity: {{dedicated: ['{ACCOUNT}']}}\n"


def granted_permissions(actions: ActionsByKind, role: Role, *, announces: bool = True) -> set[str]:
    """The permissions of a role."""
    return {grant.name for grant in permission_catalogue(actions, announces=announces)[role]}


async def calls_for_findings(
    folder: Path, contain: str, mode: Mode, kinds: Iterable[Kind]
) -> set[str]:
    """What was called for a finding on each of some kinds, but for what only validates."""
    seen: set[str] = set()
    for kind in kinds:
        (folder / kind).mkdir()
        notification = sample_notification(SAMPLE_OF_KIND[kind])
        moments: list[CallPoint] = []
        world = world_around(notification, latency={"reconcile": "1ms"})
        async with responder_environment(
            folder / kind,
            notification=notification,
            world=world,
            policy_text=policy(contain, mode),
            hook=moments.append,
            store="gs://case-files/responder",
            topic=TOPIC,
        ) as env:
            await env.deliver()
            await env.deliver()  # a redelivery reads what was recorded
            validated = {w.method for w in env.emulator.writes if w.validate_only}
            written = {w.method for w in env.emulator.writes if not w.validate_only}
        seen |= {moment.method for moment in moments} - (validated - written)
    return seen


def permissions_of_calls(methods: set[str]) -> set[str]:
    """The permissions that some calls need; a call that is not in the table fails here."""
    return {permission for method in methods for permission in PERMISSIONS_OF_METHODS[method]}


@pytest.mark.parametrize("contain", POLICIES.values(), ids=POLICIES)
async def test_what_enforcing_calls_is_exactly_what_is_declared(
    tmp_path: Path, contain: str
) -> None:
    """For any policy: nothing is lacking, and nothing is granted idly."""
    actions = actions_of(parse_policy(policy(contain, Mode.ENFORCE), source="test"))
    kinds = [kind for kind, names in actions.items() if names]
    seen = permissions_of_calls(await calls_for_findings(tmp_path, contain, Mode.ENFORCE, kinds))
    # Every kind is read, whatever the policy names; that is held against the wire below. The
    # policy of these roads is a file; in a bucket it needs what the store's objects do.
    granted = granted_permissions(actions, Role.ACTOR)
    assert seen | granted_permissions(actions, Role.READER) == granted - ONLY_RELEASING


@pytest.mark.parametrize("kind", Kind)
async def test_what_disabling_an_account_calls_is_declared(tmp_path: Path, kind: Kind) -> None:
    """Only a write that lost against a release is taken back, which enables it."""
    contain = f"\n  {kind}: [disable-service-account]\n"
    actions = actions_of(parse_policy(policy(contain, Mode.ENFORCE), source="test"))
    seen = permissions_of_calls(await calls_for_findings(tmp_path, contain, Mode.ENFORCE, [kind]))
    assert {"iam.serviceAccounts.get", "iam.serviceAccounts.disable"} <= seen
    granted = granted_permissions(actions, Role.ACTOR)
    unseen = granted - seen - granted_permissions(actions, Role.READER)
    assert unseen == {"iam.serviceAccounts.enable"}
    assert seen <= granted | {"run.services.update", "run.workerpools.update", *TO_RUN}


async def test_what_a_dry_run_calls_is_exactly_what_is_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that it writes only asks to be validated, as far as the permissions go.

    Where a list is cut, what the finding names is read by its name as well.
    """
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    seen = await calls_for_findings(tmp_path / "whole", EVERYTHING, Mode.DRY_RUN, Kind)
    none = ListBounds(0, 8)
    bounds = cloud_run.CloudRunBounds(revisions=none, executions=none)
    monkeypatch.setattr(cloud_run, "BOUNDS", bounds)
    seen |= await calls_for_findings(tmp_path / "cut", EVERYTHING, Mode.DRY_RUN, Kind)
    assert permissions_of_calls(seen) == granted_permissions(every_action(), Role.READER)


def test_every_permission_in_the_table_is_declared_in_code() -> None:
    """A permission that is in the table only, or in the code only, fails here."""
    table = {permission for needs in PERMISSIONS_OF_METHODS.values() for permission in needs}
    over_http = {"run.locations.list", USE_QUOTA.name, MAKE_TOKENS.name}
    roles = (Role.ACTOR, Role.SURVEYOR)
    assert table | over_http == set().union(
        *(granted_permissions(every_action(), role) for role in roles)
    )


async def test_what_releasing_calls_is_exactly_what_is_declared(tmp_path: Path) -> None:
    """A person who releases needs no more than the operator's role, and all of it."""
    contain = "\n  service: [scale-to-zero, restrict-ingress, require-authentication]\n"
    moments: list[CallPoint] = []
    rules = policy(contain, Mode.ENFORCE)
    store = "gs://case-files/responder"
    async with responder_environment(
        tmp_path, policy_text=rules, hook=moments.append, store=store
    ) as env:
        outcome = (await env.deliver()).outcome
        google: Process = env.processes[0]._process  # noqa: SLF001 - the same clients
        del moments[:]
        case = await CaseFileIndex(google.store).get(str(outcome.incident))
        assert case.workload
        run = replace(google, clock=fixed_now).for_run("cli")
        containment_records = run.containments(case.workload)
        released = await releasing.plan_release(
            case.workload, containment_records, google.cloud_run
        )
        await google.logging.audit(case.workload, fixed_now(), fixed_now(), limit=1)
        given = releasing.ReleaseOptions("x", env.settings.verify_timeout, Redactor(b"key"))
        await releasing.carry_out_release(released, containment_records, google.cloud_run, given)
        outcome_after = taken_back(outcome, "x")
        file = await run.case_file(case.folder)
        response = await publish(replace(run, topic=None), file, outcome_after, Redactor(b"key"))
        assert not response.outcome.gaps
    actions = actions_of(parse_policy(rules, source="test"))
    seen = {moment.method for moment in moments}
    wanted = granted_permissions(actions, Role.OPERATOR, announces=False)
    # Google asks for the quota before any call; revisions are read by name if their list was cut.
    assert permissions_of_calls(seen) | {USE_QUOTA.name, "run.revisions.get"} == wanted


async def test_a_drill_calls_no_more_than_an_approver_may(tmp_path: Path) -> None:
    """And it asks Security Command Center nothing."""
    moments: list[CallPoint] = []
    rules = policy(EVERYTHING, Mode.DRY_RUN)
    store = "gs://case-files/responder"
    environment = responder_environment(
        tmp_path, policy_text=rules, hook=moments.append, store=store
    )
    async with environment as env, command_line_user(env) as me:
        request = await drill_request(me.process, workload(), me.name)
        proposal = await propose(me.process, request)
        assert (await run_drill(me.process, request, proposal)).passed
    methods = {moment.method for moment in moments}
    assert permissions_of_calls(methods) <= granted_permissions(every_action(), Role.APPROVER)
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
        writes |= {*PERMISSIONS_OF_METHODS[f"/{SCC}/{method}"]}
    both = permission_catalogue(actions_of(enforcing), announces=False)
    assert {g.name for g in both[Role.ACTOR]} - {g.name for g in both[Role.READER]} == writes
    assert "pubsub.topics.publish" not in {g.name for g in both[Role.ACTOR]}


def test_every_grant_says_why_and_on_what() -> None:
    """What anybody may be is never granted over a project."""
    for grants in permission_catalogue(every_action(), announces=True).values():
        for grant in grants:
            assert all(grant.reasons), grant
            assert grant.scope.described
            on_account = grant.scope is GrantScope.DISABLED_ACCOUNT
            never = grant.name in TO_RUN or on_account
            assert never is ("never the project" in grant.scope.described)


def test_every_write_has_its_permissions() -> None:
    """What an action makes of a kind of workload can be sent, and needs to be read as well."""
    for change, kind in WRITE_PERMISSIONS:
        names = [each.name for each in permissions_for_change(change, kind)]
        assert len(names) == len(set(names)) > len(WRITE_PERMISSIONS[change, kind])


# Denied, one method after the other.


#: An instance cannot have the name of a service of its region.
NAMES = {Kind.INSTANCE: {"name": "agent"}}


async def _change(clients: Clients, kind: Kind, action: str) -> None:
    place = workload(kind=kind, **NAMES.get(kind, {}))
    settings = await read_workload(place, READABLE_NEEDS[kind], clients.cloud_run)
    made = plan_changes(((action,),), settings, finding(workload=place)).changes
    wanted = ChangeKind.IAM_POLICY if action == "require-authentication" else None
    change = next(each for each in made if wanted in (None, each.kind))
    await clients.cloud_run.write(change, validate_only=False)


async def _publish(clients: Clients) -> None:
    assert clients.topic
    await clients.topic.publish(b"{}", {})


def _reading(method: str, kind: Kind) -> Callable[[Clients], Awaitable[object]]:
    place = workload(kind=kind, **NAMES.get(kind, {}))
    return lambda clients: getattr(clients.cloud_run, method)(place)


def _listing(kind: Kind) -> Callable[[Clients], Awaitable[object]]:
    return lambda clients: clients.cloud_run.list_workloads(
        "example-shop-prod", "europe-west1", kind
    )


async def _start(clients: Clients) -> None:
    change = Change(
        action="release",
        target=workload(kind=Kind.INSTANCE, name="agent").resource_name,
        mask=(),
        before={"running": False},
        after={"running": True},
        stops=False,
        reversible=True,
    )
    await clients.cloud_run.write(change, validate_only=False)


def _writing(kind: Kind, action: str) -> Callable[[Clients], Awaitable[object]]:
    return lambda clients: _change(clients, kind, action)


def _asking(kind: Kind) -> Callable[[Clients], Awaitable[object]]:
    change = ChangeKind.CANCELLATION if kind is Kind.JOB else ChangeKind.FIELDS
    return lambda clients: clients.cloud_run.missing_permissions(workload(kind=kind), change)


PLACE = "projects/example-shop-prod"
FINDING = f"{PLACE}/sources/1/locations/global/findings/f"
EXECUTION = f"{PLACE}/locations/europe-west1/jobs/storefront/executions/e"
#: One call of each method, by the product's own clients.
CALLS: dict[str, Callable[[Clients], Awaitable[object]]] = {
    f"/{RUN}.Services/GetService": _reading("configuration", Kind.SERVICE),
    f"/{RUN}.Services/UpdateService": _writing(Kind.SERVICE, "scale-to-zero"),
    f"/{RUN}.Services/GetIamPolicy": _reading("access", Kind.SERVICE),
    f"/{RUN}.Services/SetIamPolicy": _writing(Kind.SERVICE, "require-authentication"),
    f"/{RUN}.Services/TestIamPermissions": _asking(Kind.SERVICE),
    f"/{RUN}.Jobs/GetJob": _reading("configuration", Kind.JOB),
    f"/{RUN}.Jobs/GetIamPolicy": _reading("access", Kind.JOB),
    f"/{RUN}.Jobs/SetIamPolicy": _writing(Kind.JOB, "require-authentication"),
    f"/{RUN}.Jobs/TestIamPermissions": _asking(Kind.JOB),
    f"/{RUN}.WorkerPools/GetWorkerPool": _reading("configuration", Kind.WORKER_POOL),
    f"/{RUN}.WorkerPools/UpdateWorkerPool": _writing(Kind.WORKER_POOL, "scale-to-zero"),
    f"/{RUN}.WorkerPools/GetIamPolicy": _reading("access", Kind.WORKER_POOL),
    f"/{RUN}.WorkerPools/TestIamPermissions": _asking(Kind.WORKER_POOL),
    f"/{RUN}.Revisions/ListRevisions": _reading("revisions", Kind.SERVICE),
    f"/{RUN}.Revisions/GetRevision": lambda clients: clients.cloud_run._revision_reader(  # noqa: SLF001 - used after a cut list, which hides the error in its reason
        workload()
    )("storefront-00042"),
    f"/{RUN}.Executions/ListExecutions": _reading("executions", Kind.JOB),
    f"/{RUN}.Executions/GetExecution": lambda clients: clients.cloud_run._execution_reader(  # noqa: SLF001 - the same
        workload(kind=Kind.JOB)
    )("storefront-x"),
    f"/{RUN}.Executions/CancelExecution": _writing(Kind.JOB, "cancel-executions"),
    f"/{RUN}.Tasks/ListTasks": lambda clients: clients.cloud_run.tasks(EXECUTION),
    f"/{RUN}.Services/ListServices": _listing(Kind.SERVICE),
    f"/{RUN}.Jobs/ListJobs": _listing(Kind.JOB),
    f"/{RUN}.WorkerPools/ListWorkerPools": _listing(Kind.WORKER_POOL),
    f"/{RUN}.Instances/GetInstance": _reading("configuration", Kind.INSTANCE),
    f"/{RUN}.Instances/ListInstances": _listing(Kind.INSTANCE),
    f"/{RUN}.Instances/StopInstance": _writing(Kind.INSTANCE, "stop-instance"),
    f"/{RUN}.Instances/StartInstance": _start,
    f"/{SCC}/ListFindings": lambda clients: clients.security_center.findings_at(
        f"{PLACE}/sources/1/locations/global", fixed_now()
    ),
    f"/{SCC}/UpdateSecurityMarks": lambda clients: clients.security_center.set_marks(
        FINDING, {"a": "b"}
    ),
    f"/{SCC}/UpdateExternalSystem": lambda clients: clients.security_center.set_external_system(
        FINDING, "x", {"status": "b"}
    ),
    "/google.logging.v2.LoggingServiceV2/ListLogEntries": lambda clients: clients.logging.audit(
        workload(), fixed_now(), fixed_now(), limit=1
    ),
    "/google.cloud.asset.v1.AssetService/SearchAllResources": lambda clients: (
        clients.inventory.workloads(PLACE)
    ),
    "/google.pubsub.v1.Publisher/Publish": _publish,
    f"/{IAM}/GetServiceAccount": lambda clients: clients.service_accounts.get(OWN_ACCOUNT),
    f"/{IAM}/DisableServiceAccount": lambda clients: clients.service_accounts.set_disabled(
        account_name(OWN_ACCOUNT), disabled=True
    ),
    f"/{IAM}/EnableServiceAccount": lambda clients: clients.service_accounts.set_disabled(
        account_name(OWN_ACCOUNT), disabled=False
    ),
    "storage.PUT": lambda clients: clients.store.create("a.json", b"{}"),
    "storage.GET": lambda clients: clients.store.read("a.json"),
    "storage.LIST": lambda clients: clients.store.list("a/"),
}


def world_of_every_kind() -> JsonDict:
    """A world with a workload of each kind, by one name."""
    world = world_around(sample_notification())
    del world["findings"]
    location = f"{PLACE}/locations/europe-west1"
    containers = {"containers": [{"image": "registry.example/x:1"}]}
    job, pool = f"{location}/jobs/storefront", f"{location}/workerPools/storefront"
    world["jobs"] = [{"name": job, "template": {"template": containers}}]
    world["executions"] = [{"name": EXECUTION, "taskCount": 1}]
    world["workerPools"] = [{"name": pool, "scaling": {"manualInstanceCount": 3}}]
    world["instances"] = [{"name": f"{location}/instances/agent", **containers}]
    everybody = {"bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]}
    world["iamPolicies"] = {service_of(world)["name"]: everybody, job: everybody}
    return world


@pytest.mark.parametrize("method", PERMISSIONS_OF_METHODS)
async def test_a_denied_call_names_the_permission_and_where_to_grant_it(
    connect_clients: ConnectClients, method: str
) -> None:
    """Method by method: the name in the error is the one in the table."""
    faults = [{"method": method, "code": "PERMISSION_DENIED"}]
    async with connect_clients({**world_of_every_kind(), "faults": faults}, topic=TOPIC) as cloud:
        with pytest.raises(Denied) as raised:
            await CALLS[method](cloud.clients)
    message = str(raised.value)
    if not PERMISSIONS_OF_METHODS[method]:
        assert "Google does not permit it" in message
        return
    first, *others = PERMISSIONS_OF_METHODS[method]
    assert f"permission {first} is missing" in message
    assert all(f"{each} on " in message for each in others)
    assert f"Grant it on {_grant_target(method)}" in message


@pytest.mark.parametrize(
    ("google_text", "instruction"),
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
def test_missing_quota_project_error_says_how_to_fix_it(google_text: str, instruction: str) -> None:
    """What is lacking is not the permission that the call itself needs."""
    text = missing_permission_text(
        permissions_for_change(ChangeKind.FIELDS, Kind.SERVICE), PLACE, google_text
    )
    assert instruction in text
    assert "run.services" not in text


def _grant_target(method: str) -> str:
    """What the permission of a method is to be granted on, in the world of these calls."""
    if method.startswith("storage."):
        return "gs://case-files"
    if method.endswith("Publish"):
        return TOPIC
    if method.startswith(f"/{IAM}/"):
        return account_name(OWN_ACCOUNT)
    return f"{PLACE}"
