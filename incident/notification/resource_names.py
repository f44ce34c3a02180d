"""Parse resource, project, folder and finding names; report contradictions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from incident.model import Kind, Workload

_CLOUD_RUN = "run.googleapis.com"
_MAX_QUOTE = 80

# Google Cloud: a project id is 6 to 30 letters, digits and hyphens, in old organisations after
# the domain and a colon; numbers of projects and folders are positive int64.
_ID = r"(?:[a-z0-9][a-z0-9.-]{0,252}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"
_NUMBER = r"[1-9][0-9]{0,18}"
# Cloud Run names are RFC 1035 labels; regions have that form too.
_LABEL = r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
_MANAGER = r"//cloudresourcemanager\.googleapis\.com/"

_PROJECT = re.compile(rf"(?:(?:{_MANAGER})?projects/)?(?:(?P<id>{_ID})|(?P<number>{_NUMBER}))")
_FOLDER = re.compile(rf"(?:(?:{_MANAGER})?folders/)?({_NUMBER})")
_ORGANISATION = re.compile(rf"(?:{_MANAGER})?organizations/({_NUMBER})")
# The collections are those of Cloud Asset Inventory's names for run.googleapis.com.
_WORKLOAD = re.compile(
    rf"""projects/(?:(?P<id>{_ID})|(?P<number>{_NUMBER}))
    /locations/(?P<location>{_LABEL})
    /(?:services/(?P<service>{_LABEL})(?:/revisions/(?P<revision>{_LABEL}))?
    |jobs/(?P<job>{_LABEL})
        (?:/executions/(?P<execution>{_LABEL})(?:/tasks/[a-z0-9][a-z0-9-]{{0,79}})?)?
    |workerPools/(?P<pool>{_LABEL})(?:/revisions/(?P<pool_revision>{_LABEL}))?
    |instances/(?P<instance>{_LABEL})
    )""",
    re.VERBOSE,
)
# Google documents finding ids as 1 to 32 alphanumerics and sources as numbers; further
# characters that cannot change the meaning of a name are accepted.
_FINDING = re.compile(
    r"""(?P<parent>(?:organizations|folders|projects)/[A-Za-z0-9][A-Za-z0-9.:_-]{0,319})
    /sources/(?P<source>[A-Za-z0-9][A-Za-z0-9-]{0,63})
    (?:/locations/[a-z][a-z0-9-]{0,62})?
    /findings/(?P<finding>[A-Za-z0-9_-]{1,128})""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class ResourceName:
    """The parts of a full resource name.

    Attributes:
        host: The text between ``//`` and the next ``/``, in lower case; empty without ``//``.
        workload: The owning Cloud Run workload, with its project as the name spells it;
            None where the name is not one of Cloud Run, or not in a known form.
        revision: Short name of the revision, where the name has one.
        execution: Short name of the job's execution, where the name has one.
    """

    host: str
    workload: Workload | None = None
    revision: str | None = None
    execution: str | None = None


@dataclass(frozen=True, slots=True)
class FindingName:
    """The parts of a finding's name: ``organizations/O``, the source's id, the finding's id."""

    parent: str
    source_id: str
    finding_id: str


@dataclass(frozen=True, slots=True)
class MessageNames:
    """Every name in a message, each with its path in the message, the most trusted first.

    Attributes:
        resources: Names of the resource.
        findings: Names of the finding.
        projects: Texts that may name the project.
        folders: Names of all folders above the project, nearest first; None where they are not
            given.
    """

    resources: tuple[tuple[str, str], ...]
    findings: tuple[tuple[str, str], ...]
    projects: tuple[tuple[str, str], ...]
    folders: tuple[tuple[str, tuple[str, ...] | None], ...]


@dataclass(frozen=True, slots=True)
class ProjectName:
    """A project by its id or by its number, never both."""

    id: str | None
    number: str | None


def parse_resource_name(name: str) -> ResourceName:
    """Reduce a full resource name to the workload that owns the resource.

    Takes every form of Cloud Asset Inventory for Cloud Run: services and worker pools with or
    without a revision, jobs with or without an execution or task. A segment that Cloud Run
    would not allow makes the workload None: a person has to check it; it is no error.
    """
    host, path = _split_host(name)
    match = _WORKLOAD.fullmatch(path) if host == _CLOUD_RUN else None
    if match is None:
        return ResourceName(host)
    kind, short_name = next(
        (kind, match[group])
        for kind, group in (
            (Kind.SERVICE, "service"),
            (Kind.JOB, "job"),
            (Kind.WORKER_POOL, "pool"),
            (Kind.INSTANCE, "instance"),
        )
        if match[group]
    )
    return ResourceName(
        host=host,
        workload=Workload(
            kind=kind,
            location=match["location"],
            name=short_name,
            project_id=match["id"],
            project_number=match["number"],
        ),
        revision=match["revision"] or match["pool_revision"],
        execution=match["execution"],
    )


def parse_finding_name(name: str) -> FindingName | None:
    """The parts of a finding's name, with or without a location; None for any other form.

    Google's own ``parse_finding_path`` knows only names under organisations without a location.
    """
    match = _FINDING.fullmatch(name)
    if match is None:
        return None
    return FindingName(match["parent"], match["source"], match["finding"])


def parse_project(text: str) -> ProjectName:
    """A project's id or number from ``projects/X``, its full name, or X alone.

    Neither for any other text: some fields that may name a project can hold free text.
    """
    match = _PROJECT.fullmatch(text)
    return ProjectName(match["id"], match["number"]) if match else ProjectName(None, None)


def folder_number(text: str) -> str | None:
    """A folder's number from ``folders/N``, its full name, or N alone; else None."""
    match = _FOLDER.fullmatch(text)
    return match[1] if match else None


def is_organisation(text: str) -> bool:
    """Whether the text is ``organizations/N`` or the full name of an organisation."""
    return _ORGANISATION.fullmatch(text) is not None


def organisation_number(text: str) -> str | None:
    """An organisation's number from ``organizations/N`` or its full name; else None."""
    match = _ORGANISATION.fullmatch(text)
    return match[1] if match else None


def quote_untrusted(text: str) -> str:
    """Quote untrusted text: one line, escaped, at most 80 characters."""
    quote = repr(text[:_MAX_QUOTE])
    if len(quote) <= _MAX_QUOTE and len(text) <= _MAX_QUOTE:
        return quote
    return f"{quote[: _MAX_QUOTE - 2]}…{quote[-1]}"


def resolve_workload(
    workload: Workload | None, names: MessageNames
) -> tuple[Workload | None, tuple[str, ...]]:
    """Fill in the workload's project and folders from all names, and report contradictions.

    Returns:
        The workload as the most trusted name has it, and a sentence for each contradiction.
        A contradiction is no error: a person has to check it.
    """
    resource_projects = list(_resource_projects(names))
    # A finding's own name says under which project it was filed. It is compared with the
    # resource's project, and never used instead of it.
    all_projects = [*resource_projects, *_filing_projects(names)]
    _, id_doubt = _first_and_conflict(
        "The project's id", ((p, name.id) for p, name in all_projects)
    )
    _, number_doubt = _first_and_conflict(
        "The project's number", ((p, n.number) for p, n in all_projects)
    )
    project_id, _ = _first_and_conflict(
        "The project's id", ((p, name.id) for p, name in resource_projects)
    )
    number, _ = _first_and_conflict(
        "The project's number", ((p, n.number) for p, n in resource_projects)
    )
    folders, folder_doubt = _first_and_conflict("The path of folders", _folder_paths(names))
    _, resource_doubt = _first_and_conflict("The resource", _workload_names(names))
    _, finding_doubt = _first_and_conflict("The finding", _finding_ids(names))
    doubts = (id_doubt, number_doubt, folder_doubt, resource_doubt, finding_doubt)
    if workload is not None:
        workload = replace(
            workload,
            project_id=project_id,
            project_number=number,
            folders=None if folders is None else tuple(filter(None, folders.split("/"))),
        )
    return workload, tuple(doubt for doubt in doubts if doubt)


_ValuesByPath = Iterator[tuple[str, str | None]]


def _first_and_conflict(
    subject: str, values: Iterable[tuple[str, str | None]]
) -> tuple[str | None, str]:
    """The first value, and a sentence on the first that contradicts it, or an empty text."""
    known = [(place, value) for place, value in values if value is not None]
    if not known:
        return None, ""
    path, value = known[0]
    for other_path, other in known:
        if other != value:
            first = f"{subject} is {quote_untrusted(value)} in {path}"
            return value, f"{first}, but {quote_untrusted(other)} in {other_path}."
    return value, ""


def _resource_projects(names: MessageNames) -> Iterator[tuple[str, ProjectName]]:
    """The project in each spelling; the one that a write would use comes first."""
    for path, name in names.resources:
        workload = parse_resource_name(name).workload
        if workload is not None:
            yield path, ProjectName(workload.project_id, workload.project_number)
    for path, text in names.projects:
        yield path, parse_project(text)


def _filing_projects(names: MessageNames) -> Iterator[tuple[str, ProjectName]]:
    """The project under which the finding is filed, from each of its names."""
    for path, text in names.findings:
        finding = parse_finding_name(text)
        yield path, parse_project(finding.parent if finding else "")


def _folder_paths(message_names: MessageNames) -> _ValuesByPath:
    """The folders' numbers, joined; a path with a folder without a number is not known."""
    for path, names in message_names.folders:
        numbers = [folder_number(name) for name in names or ()]
        known = [number for number in numbers if number is not None]
        yield path, None if names is None or len(known) < len(names) else "/".join(known)


def _workload_names(names: MessageNames) -> _ValuesByPath:
    """The workload without its project, if any of the names is a workload's."""
    workloads = [parse_resource_name(name).workload for _, name in names.resources]
    if any(workloads):
        for (path, name), workload in zip(names.resources, workloads, strict=True):
            yield path, workload.resource_name.partition("/locations/")[2] if workload else name


def _finding_ids(names: MessageNames) -> _ValuesByPath:
    """The finding without its parent, which has several spellings."""
    for path, name in names.findings:
        finding = parse_finding_name(name)
        yield path, f"{finding.source_id}/{finding.finding_id}" if finding else name


def _split_host(name: str) -> tuple[str, str]:
    """Split ``//host/path`` in two; a name without ``//`` has no host."""
    if not name.startswith("//"):
        return "", name
    host, _, path = name[2:].partition("/")
    return host.lower(), path
