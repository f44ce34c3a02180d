"""The catalogue of containment actions, by name. To add an action: its file, and a line here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType, ModuleType

from incident.actions import (
    cancel_executions,
    disable_service_account,
    isolate_revision,
    require_authentication,
    restrict_ingress,
    scale_to_zero,
    stop_instance,
)
from incident.actions.action import Action
from incident.model import Kind


def by_name(modules: Iterable[ModuleType]) -> Mapping[str, Action]:
    """The action that each module declares as ``ACTION``, by its name.

    Raises:
        ValueError: Two modules claim one name, or an action's mappings differ in their kinds.
    """
    found: dict[str, tuple[Action, ModuleType]] = {}
    for module in modules:
        action: Action = module.ACTION
        if action.name in found:
            other = found[action.name][1]
            raise ValueError(
                f"{other.__name__} and {module.__name__} both claim the action {action.name}"
            )
        kinds = action.desired_state.keys()
        for mapping in (action.writes, action.change_kinds, action.permissions):
            if mapping.keys() != kinds:
                raise ValueError(f"{module.__name__} does not say all of each kind of workload")
        found[action.name] = (action, module)
    return MappingProxyType({name: action for name, (action, _) in found.items()})


#: In the order in which actions are applied: what stops comes first, and moving traffic off a
#: revision before everything is stopped.
ACTIONS = by_name(
    (
        isolate_revision,
        scale_to_zero,
        cancel_executions,
        stop_instance,
        restrict_ingress,
        require_authentication,
        disable_service_account,
    )
)


def available_actions(kind: Kind) -> list[str]:
    """The names of the actions that fit a kind of workload."""
    return [name for name, action in ACTIONS.items() if kind in action.desired_state]
