"""Collect secret values that a command has read, to redact its errors."""

from __future__ import annotations

from collections.abc import Iterable

from incident.model import JsonObject, Secret, Template, json_object, json_objects


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
        for process in json_objects(json_object(record.get("finding")).get("processes")):
            for variable in json_objects(process.get("envVariables")):
                name, value = variable.get("name"), variable.get("val")
                if isinstance(name, str) and isinstance(value, str):
                    self.secrets[Secret(name, value)] = None
