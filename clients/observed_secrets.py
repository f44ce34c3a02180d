"""What may be secret of all that a command has read: its errors must not repeat any of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from incident.model import JsonObject, Secret, Template


class ObservedSecrets:
    """Remembers values while a command runs; a process that answers for ever keeps none.

    Attributes:
        secrets: What may be secret, each once.
        names: Names of what was read, which stay in every text.
    """

    def __init__(self) -> None:
        self.secrets: dict[Secret, None] = {}
        self.names: set[str] = set()

    def add_templates(self, name: str, found: Iterable[Template]) -> None:
        """Remember the environments of a workload, by its resource name."""
        self.names.update(name.split("/"))
        self.secrets |= dict.fromkeys(secret for each in found for secret in each.secrets)

    def add_finding(self, record: JsonObject) -> None:
        """Remember the environments of a finding's processes, as Security Command Center lists."""
        for process in _objects(_object(record.get("finding")).get("processes")):
            for variable in _objects(process.get("envVariables")):
                name, value = variable.get("name"), variable.get("val")
                if isinstance(name, str) and isinstance(value, str):
                    self.secrets[Secret(name, value)] = None


def _object(value: object) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


def _objects(value: object) -> list[JsonObject]:
    return [_object(each) for each in value] if isinstance(value, list) else []
