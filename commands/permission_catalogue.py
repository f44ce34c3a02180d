"""Permission catalogue: least IAM permissions by role, for a policy. Pure.

Each client declares beside its calls what they need, and each containment action in its file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from clients import asset_inventory, cloud_logging, cloud_run, pubsub, security_center, store
from clients.caller_identity import USE_QUOTA
from clients.impersonation import MAKE_TOKENS
from clients.rest import LOCATIONS
from incident.actions.action import Action
from incident.actions.catalogue import ACTIONS, available_actions
from incident.model import GrantScope, Kind, Mode, Permission
from incident.policy.resolve import Policy

#: Actions by the kind of workload that they are for.
ActionsByKind = Mapping[Kind, frozenset[str]]


class Role(StrEnum):
    """Roles that permissions are granted to."""

    READER = "reader"
    ACTOR = "actor"
    OPERATOR = "operator"
    APPROVER = "approver"
    SURVEYOR = "surveyor"
    POLICY_EDITOR = "policy-editor"

    @property
    def purpose(self) -> str:
        """What the role can do."""
        return _PURPOSES[self]


_PURPOSES = {
    Role.READER: "the function while nothing is enforced, and whoever replays a finding",
    Role.ACTOR: "the function where the policy enforces",
    Role.OPERATOR: "people who list, show, report, verify and release",
    Role.APPROVER: "people who approve a plan, contain by hand, drill, patrol or replay",
    Role.SURVEYOR: "people who look for workloads that cannot be contained (coverage)",
    Role.POLICY_EDITOR: "people who change the policy, and so may stop everything",
}


#: Role that each command needs; None if it makes no call to Google. `contain` and `patrol` may do
#: everything that the function does, and `replay` its dry run: hence the approver.
COMMAND_ROLES: Mapping[str, Role | None] = {
    "list": Role.OPERATOR,
    "show": Role.OPERATOR,
    "report": Role.OPERATOR,
    "verify": Role.OPERATOR,
    "release": Role.OPERATOR,
    "approve": Role.APPROVER,
    "contain": Role.APPROVER,
    "drill": Role.APPROVER,
    "patrol": Role.APPROVER,
    "replay": Role.APPROVER,
    "coverage": Role.SURVEYOR,
    "permissions": Role.POLICY_EDITOR,
    "policy": None,
    "responders": None,
}


@dataclass(frozen=True, slots=True)
class Grant:
    """One permission of a role.

    Attributes:
        name: IAM permission.
        scope: Narrowest resource to grant it on.
        reasons: What it is for.
    """

    name: str
    scope: GrantScope
    reasons: tuple[str, ...]


def permission_catalogue(
    actions: ActionsByKind, *, announces: bool
) -> dict[Role, tuple[Grant, ...]]:
    """Least permissions of each role.

    Args:
        actions: Actions for each kind of workload.
        announces: Whether outcomes are published to a topic.
    """
    reading = [*_reading(announces=announces)]
    acting = [*reading, *_acting(actions)]
    return {
        Role.READER: _merged(reading),
        Role.ACTOR: _merged(acting),
        Role.OPERATOR: _merged((*_releasing(actions, announces=announces), USE_QUOTA)),
        Role.APPROVER: _merged((*acting, USE_QUOTA)),
        Role.SURVEYOR: _merged(_searching()),
        Role.POLICY_EDITOR: _merged(store.EDIT_POLICY),
    }


def every_action() -> ActionsByKind:
    """All actions: what any policy may need."""
    return {kind: frozenset(available_actions(kind)) for kind in Kind}


def actions_of(policy: Policy) -> ActionsByKind:
    """The actions that a policy names anywhere, whatever the mode."""
    action_sets = (policy.contain, *(rule.contain for rule in policy.rules))
    return {
        kind: frozenset(
            name for each in action_sets for step in each.steps(kind) or () for name in step
        )
        for kind in Kind
    }


def role_of_function(policy: Policy) -> Role:
    """The role that the function itself needs under a policy."""
    modes = {policy.mode, *(rule.mode or policy.mode for rule in policy.rules)}
    acts = Mode.ENFORCE in modes and any(actions_of(policy).values())
    return Role.ACTOR if acts else Role.READER


def _reading(*, announces: bool) -> Iterator[Permission]:
    """Permissions of a dry run, for every kind: a finding may be about any."""
    yield security_center.LIST
    for kind in Kind:
        yield from cloud_run.READ_PERMISSIONS[kind]
    yield cloud_logging.LIST_ENTRIES
    yield asset_inventory.SEARCH
    yield from store.READ
    yield store.CREATE
    yield store.READ_POLICY
    if announces:
        yield pubsub.PUBLISH


def _searching() -> Iterator[Permission]:
    """Permissions to search for workloads; ``coverage`` checks them with the function's own."""
    yield asset_inventory.SEARCH
    yield from cloud_run.LIST_PERMISSIONS
    yield LOCATIONS
    yield store.READ_POLICY
    yield USE_QUOTA
    yield MAKE_TOKENS


def _acting(actions: ActionsByKind) -> Iterator[Permission]:
    if any(actions.values()):
        yield from security_center.UPDATE_FINDING
    for kind, names in actions.items():
        for action in _in_order(names):
            yield from action.permissions[kind]
            yield from action.permissions_to_plan


def _releasing(actions: ActionsByKind, *, announces: bool) -> Iterator[Permission]:
    """Permissions to read containments and their audit logs, and to release them."""
    yield from store.READ
    yield store.CREATE
    if any(actions.values()):
        yield from security_center.UPDATE_FINDING
    if announces:
        yield pubsub.PUBLISH
    for kind, names in actions.items():
        if names:
            yield cloud_run.GET_PERMISSIONS[kind]
            yield cloud_logging.LIST_ENTRIES
            if kind in (Kind.SERVICE, Kind.WORKER_POOL):  # a snapshot may name a deleted revision
                yield from cloud_run.REVISION_PERMISSIONS
        for action in _in_order(names):
            if action.reversible:
                yield from action.permissions[kind]


def _in_order(names: Iterable[str]) -> tuple[Action, ...]:
    """Actions in the catalogue's order, so that the reasons come in one order too."""
    return tuple(action for name, action in ACTIONS.items() if name in names)


def _merged(permissions: Iterable[Permission]) -> tuple[Grant, ...]:
    """Each permission once on each scope, with every reason, in the order of the scopes."""
    reasons: dict[tuple[GrantScope, str], dict[str, None]] = {}
    for each in permissions:
        reasons.setdefault((each.scope, each.name), {})[each.reason] = None
    order = list(GrantScope)
    found = sorted(reasons, key=lambda key: (order.index(key[0]), key[1]))
    return tuple(Grant(name, scope, tuple(reasons[scope, name])) for scope, name in found)
