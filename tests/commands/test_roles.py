"""Which role each command belongs to, held against what it calls."""

from __future__ import annotations

from pathlib import Path

from clients.cloud_logging import ENTRIES
from clients.identity import USE_QUOTA
from commands import cli
from commands.catalogue import COMMANDS, Role, catalogue, every_action
from emulator.services.gate import Moment
from tests.clients.test_permissions import needed
from tests.support.environment import SERVICE, encode, policy, road
from tests.test_cli import run

TOPIC = "projects/example-shop-prod/topics/outcomes"


def held(role: Role) -> set[str]:
    """The permissions of a role, whatever the policy names."""
    return {grant.name for grant in catalogue(every_action(), announces=True)[role]}


def test_every_command_is_somebodys() -> None:
    """A new one must say whose it is."""
    assert set(COMMANDS) == set(cli.commands)
    assert {whose for whose in COMMANDS.values() if whose} == set(Role) - {Role.READER, Role.ACTOR}


async def test_no_command_asks_for_more_than_its_role_has(tmp_path: Path) -> None:
    """One after the other, on one incident and its workload, as processes."""
    moments: list[Moment] = []
    store = "gs://case-files/responder"
    given = road(tmp_path, rules=policy("approve"), hook=moments.append, store=store)
    finding = tmp_path / "finding.json"
    asked: dict[str, set[str]] = {}
    async with given as way:
        finding.write_bytes(encode(way.notification))
        incident = str((await way.deliver()).outcome["incident"])
        assert way.settings.now
        now = way.settings.now.isoformat()
        # Operators need no policy; it is not even named to them.
        alone = {"now": now, "topic": TOPIC}
        whole = {**alone, "policy": way.settings.policy}
        for line, variables in (
            (("list",), alone),
            (("show", incident), alone),
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
            code, _, err = await run(way, *line, **variables)
            assert code == 0, (line, err)
            asked.setdefault(line[0], set()).update(needed({m.method for m in moments}))
    for command, permissions in asked.items():
        role = COMMANDS[command]
        assert role
        assert permissions <= held(role), command
    # The other way round: an operator's commands come to all that the role has, but for workloads
    # of other kinds, and for the audit log, which a release reads when somebody was there since.
    only = set().union(*(asked[name] for name, whose in COMMANDS.items() if whose is Role.OPERATOR))
    idle = {name for name in held(Role.OPERATOR) - only if not name.startswith("run.")}
    assert idle == {USE_QUOTA.name, ENTRIES.name}


def test_an_approver_can_take_back_what_an_approver_did() -> None:
    """A drill that was interrupted is released by whoever drilled."""
    assert held(Role.OPERATOR) <= held(Role.APPROVER)
