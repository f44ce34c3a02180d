"""Pages for people: the Google Cloud console and VirusTotal. Pure; every name is quoted."""

from __future__ import annotations

from urllib.parse import quote

from incident.model import Finding, Kind, Workload

_CONSOLE = "https://console.cloud.google.com"
_RUN_PAGES = {Kind.SERVICE: "detail", Kind.JOB: "jobs/details", Kind.WORKER_POOL: "workerpools"}


def finding_page(finding: Finding) -> str:
    """The finding in the console, which takes its name as a parameter."""
    project = finding.workload.project if finding.workload else ""
    scope = f"?project={_quoted(project)}&" if project else "?"
    name = _quoted(finding.canonical_name)
    return f"{_CONSOLE}/security/command-center/findingsv2{scope}resourceId={name}"


def workload_page(workload: Workload | None) -> str | None:
    """The workload in the console."""
    if workload is None:
        return None
    page = _RUN_PAGES[workload.kind]
    path = f"{_quoted(workload.location)}/{_quoted(workload.name)}"
    return f"{_CONSOLE}/run/{page}/{path}?project={_quoted(workload.project)}"


def virustotal_page(sha256: str) -> str:
    """The page of a file on VirusTotal, by its hash."""
    return f"https://www.virustotal.com/gui/file/{sha256}"


def logs_page(project: str, query: str) -> str:
    """The Logs Explorer with a query."""
    return f"{_CONSOLE}/logs/query;query={_quoted(query)}?project={_quoted(project)}"


def secret_page(project: str, secret: str) -> str:
    """A secret in Secret Manager."""
    name = _quoted(secret)
    return f"{_CONSOLE}/security/secret-manager/secret/{name}/versions?project={_quoted(project)}"


def service_account_page(project: str, account: str) -> str:
    """A service account in the console."""
    name = _quoted(account)
    return f"{_CONSOLE}/iam-admin/serviceaccounts/details/{name}?project={_quoted(project)}"


def image_page(name: str) -> str | None:
    """An image in Artifact Registry by its name there; None for any other registry's."""
    host, _, path = name.partition("/")
    location, parts = host.removesuffix("-docker.pkg.dev"), path.split("/", 2)
    if location == host or len(parts) < 3:  # noqa: PLR2004 - project, repository, image
        return None
    project, repository, image = (_quoted(part) for part in parts)
    location_path = f"{project}/{_quoted(location)}/{repository}/{image}"
    return f"{_CONSOLE}/artifacts/docker/{location_path}?project={project}"


def _quoted(text: str) -> str:
    return quote(text, safe="")
