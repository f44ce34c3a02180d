"""Collect secret values that a command has read, to redact its errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from incident.model import JsonObject, Secret, Template


class ObservedSecrets:
    """Collects values while a command runs. The function, which runs on, does not use it.

    Attributes:
        secrets: Values that may be secret, each once.
        names: Parts of the names of what was read; these are not redacted.
    """

    def __init__(self) -> None:
        self.secrets: dict[Secret, None] = {}
        self.names: set[str] = set()

    def add_templates(self, name: str, found: Iterable[Template]) -> None:
        """Collect the environment values of a workload's templates."""
        self.names.update(name.split("/"))
        self.secrets |= dict.fromkeys(secret for each in found for secret in each.secrets)

    def add_finding(self, record: JsonObject) -> None:
        """Collect the environment values of the processes in a finding from SCC."""
        for process in _objects(_object(record.get("finding")).get("processes")):
            for variable in _objects(process.get("envVariables")):
                name, value = variable.get("name"), variable.get("val")
                if isinstance(name, str) and isinstance(value, str):
                    self.secrets[Secret(name, value)] = None


def _object(value: object) -> JsonObject:
    return value if isinstance(value, Mapping) else {}


def _objects(value: object) -> list[JsonObject]:
    return [_object(each) for each in value] if isinstance(value, list) else []
