"""Security Command Center API v2: ListFindings.

Fields, operators and sizes are those that the v2 API documents for ListFindings.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

from google.cloud import securitycenter_v2
from google.cloud.securitycenter_v2.types import Finding, ListFindingsResponse

from emulator.api import list_filters, list_pages, proto_json, timestamps
from emulator.api.errors import invalid_argument
from emulator.api.list_filters import Comparison, FilterSyntaxError
from emulator.api.resource_names import last_segment, segment_after
from emulator.services.gate import Method, method
from emulator.world.state import World

FindingResult = ListFindingsResponse.ListFindingsResult

_DEFAULT_PAGE_SIZE, _MAX_PAGE_SIZE = 10, 1000
_PARENT = re.compile(
    r"(?P<scope>(organizations|folders|projects)/[^/]+)/sources/(?P<source>[^/]+)"
    r"(/locations/(?P<location>[^/]+))?"
)
_NAME = re.compile(
    r"(?P<scope>[^/]+/[^/]+)/sources/(?P<source>[^/]+)(/locations/(?P<location>[^/]+))?/findings/.+"
)
_GLOBAL = "global"
_ORDERINGS: dict[str, Callable[[int, int], bool]] = {
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_TEXTS: dict[str, Callable[[FindingResult], Iterable[str]]] = {
    "name": lambda r: [r.finding.name],
    "parent": lambda r: [r.finding.parent or r.finding.name.partition("/findings/")[0]],
    "resource_name": lambda r: [r.finding.resource_name],
    "state": lambda r: [Finding.State(r.finding.state).name],
    "category": lambda r: [r.finding.category],
    "external_uri": lambda r: [r.finding.external_uri],
    "severity": lambda r: [Finding.Severity(r.finding.severity).name],
    "resource.name": lambda r: [r.resource.name],
    "resource.type": lambda r: [r.resource.type_],
    "resource.display_name": lambda r: [r.resource.display_name],
    "resource.parent_name": lambda r: [r.resource.gcp_metadata.parent],
    "resource.parent_display_name": lambda r: [r.resource.gcp_metadata.parent_display_name],
    "resource.project_name": lambda r: [r.resource.gcp_metadata.project],
    "resource.project_display_name": lambda r: [r.resource.gcp_metadata.project_display_name],
    "resource.folders.resource_folder": lambda r: [
        folder.resource_folder for folder in r.resource.gcp_metadata.folders
    ],
}
_MARKS_PATH = ("security_marks", "marks")
_SORTABLE = ("name", "parent", "state", "category", "resource_name")


class FindingsService:
    """The findings of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def methods(self) -> list[Method]:
        """The methods of `google.cloud.securitycenter.v2.SecurityCenter` that are there."""
        service = "/google.cloud.securitycenter.v2.SecurityCenter"
        request = securitycenter_v2.ListFindingsRequest
        return [method(f"{service}/ListFindings", request, self.list_findings)]

    async def list_findings(
        self, request: securitycenter_v2.ListFindingsRequest
    ) -> ListFindingsResponse:
        """The findings under a parent that match a filter, sorted and in pages."""
        parent = _PARENT.fullmatch(request.parent)
        if parent is None:
            raise invalid_argument(f"parent {request.parent!r} is not a source")
        matches = _matcher(request.filter)
        under = [e.result for e in self._world.findings if self._is_under(e.result, parent)]
        found = _sorted([result for result in under if matches(result)], request.order_by)
        length = list_pages.clamp_page_size(
            request.page_size, default=_DEFAULT_PAGE_SIZE, maximum=_MAX_PAGE_SIZE
        )
        query = (request.parent, request.filter, request.order_by)
        page, token = list_pages.paginate(
            found,
            size=length,
            token=request.page_token,
            query=query,
            rules=self._world.pages,
            key=lambda result: str(result.finding.name),
        )
        paths = list(proto_json.unwrap(request).field_mask.paths)
        return ListFindingsResponse(
            list_findings_results=[_masked(result, paths) for result in page],
            next_page_token=token,
            total_size=len(found),
        )

    def _is_under(self, result: FindingResult, parent: re.Match[str]) -> bool:
        """Whether one of the two names of a finding lies under a parent.

        No location means `global`, and the source `-` means every source. For a folder, a project
        that the world or the finding puts into it will do.
        """
        wanted = self._world.canonical(parent["scope"])
        is_folder = wanted.startswith("folders/")
        finding = proto_json.unwrap(result).finding
        for name in (finding.name, finding.canonical_name):
            found = _NAME.fullmatch(name)
            if (
                found
                and parent["source"] in {"-", found["source"]}
                and (parent["location"] or _GLOBAL) == (found["location"] or _GLOBAL)
                and (
                    wanted == self._world.canonical(found["scope"])
                    or (is_folder and wanted in self._scopes(result))
                )
            ):
                return True
        return False

    def _scopes(self, result: FindingResult) -> Iterable[str]:
        """The folders that a finding's project is in."""
        for folder in result.resource.gcp_metadata.folders:
            yield f"folders/{last_segment(folder.resource_folder)}"
        spelling = segment_after(result.finding.canonical_name, "projects")
        project = self._world.projects.find(spelling)
        yield from (f"folders/{number}" for number in (project.folders if project else ()))


def _matcher(text: str) -> Callable[[FindingResult], bool]:
    """The filter of a request as a function.

    Raises:
        ApiError: INVALID_ARGUMENT for what is not a filter, and for fields, operators and values
            that the API does not document.
    """
    try:
        return list_filters.compile_filter(
            text, list_filters.SECURITY_CENTER_DIALECT, _check_comparison, _compare
        )
    except FilterSyntaxError as error:
        raise invalid_argument(f"Invalid filter: {error}") from error


def _check_comparison(comparison: Comparison) -> None:
    field = ".".join(comparison.path)
    if field == "event_time":
        if comparison.operator == ":":
            raise FilterSyntaxError("the operator : is not supported for event_time")
        if _event_nanoseconds(comparison) is None:
            raise FilterSyntaxError("event_time needs an RFC3339 time in quotes, or milliseconds")
        return
    if field not in _TEXTS and (comparison.path[:2] != _MARKS_PATH or len(comparison.path) <= 2):  # noqa: PLR2004  marks and a key
        raise FilterSyntaxError(f"the field {field} is not supported")
    if comparison.operator not in ("=" if field == "name" else "=:"):
        raise FilterSyntaxError(f"the operator {comparison.operator} is not supported for {field}")
    if not comparison.value.quoted:
        raise FilterSyntaxError(f"the value of {field} has to be in quotes")


def _compare(comparison: Comparison, result: FindingResult) -> bool:
    field = ".".join(comparison.path)
    if field == "event_time":
        nanoseconds = _event_nanoseconds(comparison)
        event_time = timestamps.nanoseconds(Finding.pb(result.finding).event_time)
        return nanoseconds is not None and _ORDERINGS[comparison.operator](event_time, nanoseconds)
    wanted = comparison.value.text
    texts = _TEXTS[field](result) if field in _TEXTS else _mark_values(result, comparison.path[2:])
    if comparison.operator == ":":
        return any(wanted in text for text in texts)
    return any(wanted == text for text in texts)


def _mark_values(result: FindingResult, key: tuple[str, ...]) -> list[str]:
    mark = result.finding.security_marks.marks.get(".".join(key))
    return [] if mark is None else [mark]


def _event_nanoseconds(comparison: Comparison) -> int | None:
    value = comparison.value
    return timestamps.rfc3339(value.text) if value.quoted else timestamps.milliseconds(value.text)


def _sorted(results: list[FindingResult], order_by: str) -> list[FindingResult]:
    """Results in the order of `field [desc], …`; without one, in the order of the world."""
    for term in reversed([term.split() for term in order_by.split(",") if term.strip()]):
        field, *direction = term
        if field not in (*_SORTABLE, "event_time") or direction not in ([], ["asc"], ["desc"]):
            raise invalid_argument(f"order_by {order_by!r} is invalid")
        results = sorted(results, key=_sort_key(field), reverse=direction == ["desc"])
    return results


def _sort_key(field: str) -> Callable[[FindingResult], Any]:
    if field == "event_time":
        return lambda result: timestamps.nanoseconds(Finding.pb(result.finding).event_time)
    return lambda result: list(_TEXTS[field](result))


def _masked(result: FindingResult, paths: list[str]) -> FindingResult:
    """A result with only the fields of the finding that were asked for; none means all."""
    if not paths:
        return result
    known = set(Finding.meta.fields)
    wanted = [path.removeprefix("finding.") for path in paths]
    for path in wanted:
        if path.split(".")[0] not in known:
            raise invalid_argument(f"field_mask: {path!r} is not a field of a finding")
    finding = proto_json.copy(result.finding)
    for name in known - {path.split(".")[0] for path in wanted}:
        Finding.pb(finding).ClearField(name)
    return FindingResult(finding=finding, resource=result.resource)
