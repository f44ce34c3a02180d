"""Which role each command belongs to, held against what it calls."""

from __future__ import annotations

from pathlib import Path

from clients.caller_identity import USE_QUOTA
from clients.cloud_logging import LIST_ENTRIES
from commands import cli
from commands.permission_catalogue import COMMAND_ROLES, Role, every_action, permission_catalogue
from emulator.services.gate import CallPoint
from tests.clients.test_permissions import permissions_of_calls
from tests.support.constants import SERVICE, TOPIC
from tests.support.environment import policy_yaml, responder_environment
from tests.support.findings import encode
from tests.test_cli import run_command


def permissions_of_role(role: Role) -> set[str]:
    """The permissions of a role, whatever the policy names."""
    return {grant.name for grant in permission_catalogue(every_action(), announces=True)[role]}


def test_every_command_has_a_role() -> None:
    """A new one must say whose it is."""
    assert set(COMMAND_ROLES) == set(cli.commands)
    assert {whose for whose in COMMAND_ROLES.values() if whose} == set(Role) - {
        Role.READER,
        Role.ACTOR,
    }


async def test_no_command_asks_for_more_than_its_role_has(tmp_path: Path) -> None:
    """One after the other, on one incident and its workload, as processes."""
    moments: list[CallPoint] = []
    store = "gs://case-files/responder"
    given = responder_environment(
        tmp_path, policy_text=policy_yaml("approve"), hook=moments.append, store=store
    )
    finding = tmp_path / "finding.json"
    asked: dict[str, set[str]] = {}
    async with given as env:
        finding.write_bytes(encode(env.notification))
        incident = str((await env.deliver()).outcome.incident)
        assert env.settings.now
        now = env.settings.now.isoformat()
        # Operators need no policy; it is not even named to them.
        alone = {"now": now, "topic": TOPIC}
        whole = {**alone, "policy": env.settings.policy}
        for line, variables in (
            (("list",), alone),
            (("show", incident), alone),
            (("report", incident, "--output", str(tmp_path / "r.html")), alone),
            (("verify", incident), alone),
            (("approve", incident, "--yes"), whole),
            (("patrol",), whole),
            (("release", incident, "--yes"), alone),
            (("contain", incident, "--yes"), whole),
            (("release", incident, "--yes"), alone),
            (("drill", SERVICE, "--yes"), whole),
            (("replay", str(finding)), whole),
        ):
            del moments[:]
            code, _, err = await run_command(env, *line, **variables)
            assert code == 0, (line, err)
            asked.setdefault(line[0], set()).update(
                permissions_of_calls({m.method for m in moments})
            )
    for command, permissions in asked.items():
        role = COMMAND_ROLES[command]
        assert role
        assert permissions <= permissions_of_role(role), command
    # The other way round: an operator's commands use all that the role has, but for workloads
    # of other kinds, for the audit log, which a release reads when somebody was there since, and
    # for service accounts, which this policy does not disable.
    only = set().union(
        *(asked[name] for name, whose in COMMAND_ROLES.items() if whose is Role.OPERATOR)
    )
    idle = {
        name
        for name in permissions_of_role(Role.OPERATOR) - only
        if not name.startswith(("run.", "iam.serviceAccounts."))
    }
    assert idle == {USE_QUOTA.name, LIST_ENTRIES.name}


def test_an_approver_can_release_an_interrupted_drill() -> None:
    """The approver's role can release an interrupted drill."""
    assert permissions_of_role(Role.OPERATOR) <= permissions_of_role(Role.APPROVER)
