"""Security Command Center API v2: update security marks and external systems.

Each write notifies the listeners again, as Security Command Center does.

Rules and sizes are those that the v2 API documents for the two messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from google.cloud import securitycenter_v2
from google.cloud.securitycenter_v2.types import ExternalSystem, SecurityMarks

from emulator.api import field_masks, proto_json
from emulator.api.errors import invalid_argument, not_found
from emulator.api.resource_names import last_segment
from emulator.services.gate import Method, method
from emulator.world.document.world_parts import FindingEntry
from emulator.world.state import World

_SERVICE = "/google.cloud.securitycenter.v2.SecurityCenter"
_MARKS = re.compile(r"(?P<finding>.+/findings/[^/]+)/securityMarks")
_SYSTEM = re.compile(r"(?P<finding>.+/findings/[^/]+)/externalSystems/[^/]+")
_FINDING = re.compile(
    r"(?P<source>[^/]+/[^/]+/sources/[^/]+)(/locations/(?P<location>[^/]+))?/(?P<tail>findings/.+)"
)
_KEY = re.compile(r"[A-Za-z0-9_-]{1,256}")
_MAX_VALUE_CHARACTERS = 4096
_GLOBAL = "global"
_MUTABLE_FIELDS = frozenset(ExternalSystem.meta.fields) - {"name"}


OnChange = Callable[[FindingEntry], None]


class FindingWrites:
    """The security marks and external systems of the findings of one world.

    Args:
        world: The world.
        changed: Called with a finding that was written to.
    """

    def __init__(self, world: World, on_change: OnChange = lambda _: None) -> None:
        self._world = world
        self._on_change = on_change

    def methods(self) -> list[Method]:
        """The methods of `google.cloud.securitycenter.v2.SecurityCenter` that write."""
        return [
            method(
                f"{_SERVICE}/UpdateSecurityMarks",
                securitycenter_v2.UpdateSecurityMarksRequest,
                self.update_marks,
                writes_to=lambda _: "",
            ),
            method(
                f"{_SERVICE}/UpdateExternalSystem",
                securitycenter_v2.UpdateExternalSystemRequest,
                self.update_system,
                writes_to=lambda _: "",
            ),
        ]

    async def update_marks(
        self, request: securitycenter_v2.UpdateSecurityMarksRequest
    ) -> SecurityMarks:
        """Replaces all marks of a finding, or sets and takes away those that the mask names."""
        entry, _ = self._find(_MARKS, request.security_marks.name)
        sent = {
            key: _checked_value(key, text) for key, text in request.security_marks.marks.items()
        }
        finding = entry.result.finding
        marks = _merged_marks(
            dict(finding.security_marks.marks), sent, list(request.update_mask.paths)
        )
        finding.security_marks = SecurityMarks(
            name=f"{finding.name}/securityMarks",
            marks=marks,
            canonical_name=f"{finding.canonical_name or finding.name}/securityMarks",
        )
        entry.data["finding"]["securityMarks"] = proto_json.to_json(finding.security_marks)
        self._on_change(entry)
        return finding.security_marks

    async def update_system(
        self, request: securitycenter_v2.UpdateExternalSystemRequest
    ) -> ExternalSystem:
        """Replaces the fields of the mask in what another system says of a finding, or all."""
        entry, key = self._find(_SYSTEM, request.external_system.name)
        finding = entry.result.finding
        stored = finding.external_systems.get(key, ExternalSystem())
        paths = list(request.update_mask.paths)
        system = field_masks.apply_mask(
            stored, request.external_system, paths, mutable=_MUTABLE_FIELDS
        )
        system.name = f"{finding.name}/externalSystems/{key}"
        finding.external_systems[key] = system
        systems: dict[str, Any] = entry.data["finding"].setdefault("externalSystems", {})
        systems[key] = proto_json.to_json(system)
        self._on_change(entry)
        return system

    def _find(self, pattern: re.Pattern[str], name: str) -> tuple[FindingEntry, str]:
        """The finding that something belongs to, and the short name of that.

        The name may begin with either name of the finding, and leave out `global`.
        """
        found = pattern.fullmatch(name)
        if found is None:
            raise invalid_argument(f"{name!r} is not a name of what findings have")
        wanted = self._normalized_name(found["finding"])
        tail = f"/{last_segment(wanted)}"
        for entry in self._world.findings:
            finding = proto_json.unwrap(entry.result).finding
            names = (finding.name, finding.canonical_name)
            if wanted in [self._normalized_name(each) for each in names if each.endswith(tail)]:
                return entry, last_segment(name)
        raise not_found(f"Finding {name!r} not found.")

    def _normalized_name(self, name: str) -> str:
        found = _FINDING.fullmatch(self._world.canonical(name))
        if found is None:
            return name
        return f"{found['source']}/locations/{found['location'] or _GLOBAL}/{found['tail']}"


def _checked_value(key: str, text: str) -> str:
    """The value of a mark as it is kept."""
    if not _KEY.fullmatch(key):
        reason = "1 to 256 letters, digits, underscores or dashes"
        raise invalid_argument(f"security_marks.marks: the key {key!r} is not {reason}")
    value = text.strip()
    if not 1 <= len(value) <= _MAX_VALUE_CHARACTERS:
        raise invalid_argument(
            f"security_marks.marks: the value of {key!r} has to be 1 to 4096 characters"
        )
    return value


def _merged_marks(stored: dict[str, str], sent: dict[str, str], paths: list[str]) -> dict[str, str]:
    """Marks after an update. Keys that differ in case only are one."""
    if len(set(paths)) != len(paths):
        raise invalid_argument("update_mask must not contain a field twice")
    if paths in ([], ["marks"]):
        return sent
    by_folded = {key.casefold(): (key, value) for key, value in sent.items()}
    result = dict(stored)
    for path in paths:
        head, _, key = path.partition(".")
        if head != "marks" or not _KEY.fullmatch(key):
            raise invalid_argument(f"update_mask: {path!r} is not marks or marks.<key>")
        for known in [known for known in result if known.casefold() == key.casefold()]:
            del result[known]
        if key.casefold() in by_folded:
            name, value = by_folded[key.casefold()]
            result[name] = value
    return result
