"""Console and VirusTotal URLs; gcloud commands that code makes. Pure, every value quoted."""

from __future__ import annotations

import shlex
import unicodedata
from urllib.parse import quote

from incident.model import Finding, Kind, Workload

# Control, format, surrogate, private, unassigned and line separator characters: terminals act on
# them inside quotes too.
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_CONSOLE = "https://console.cloud.google.com"
_RUN_PAGES = {
    Kind.SERVICE: "detail",
    Kind.JOB: "jobs/details",
    Kind.WORKER_POOL: "workerpools",
    Kind.INSTANCE: "instances",
}


def gcloud(verb: str, *names: str, **flags: str | bool) -> str:
    """A gcloud command line; empty where a value would change its meaning.

    Args:
        verb: Group and command, such as ``run services update``; trusted.
        names: Positional arguments; one that is empty or starts with ``-`` gives no command.
        flags: Values by flag name, with underscores; True for a flag without a value.
    """
    values = [value for value in flags.values() if isinstance(value, str)]
    if any(not is_printable(text) for text in (*names, *values)):
        return ""
    if any(name.startswith("-") for name in names):
        return ""
    return shell_command("gcloud", *verb.split(), *names, *_flags(flags))


def shell_command(*words: str) -> str:
    """A command line with each word quoted for a POSIX shell."""
    return shlex.join(words)


def is_printable(text: str) -> bool:
    """Whether a text is not empty and has no invisible character."""
    return text != "" and not any(unicodedata.category(char) in _INVISIBLE for char in text)


def _flags(flags: dict[str, str | bool]) -> list[str]:
    spelled = ((name.replace("_", "-"), value) for name, value in flags.items())
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in spelled]


def finding_page(finding: Finding) -> str:
    """Console URL of a finding."""
    project = finding.workload.project if finding.workload else ""
    scope = f"?project={_quoted(project)}&" if project else "?"
    name = _quoted(finding.canonical_name)
    return f"{_CONSOLE}/security/command-center/findingsv2{scope}resourceId={name}"


def workload_page(workload: Workload | None) -> str | None:
    """Console URL of a workload; None without a workload."""
    if workload is None:
        return None
    page = _RUN_PAGES[workload.kind]
    path = f"{_quoted(workload.location)}/{_quoted(workload.name)}"
    return f"{_CONSOLE}/run/{page}/{path}?project={_quoted(workload.project)}"


def virustotal_page(sha256: str) -> str:
    """VirusTotal URL of a file, by its SHA-256."""
    return f"https://www.virustotal.com/gui/file/{sha256}"


def logs_page(project: str, query: str) -> str:
    """Logs Explorer URL of a query."""
    return f"{_CONSOLE}/logs/query;query={_quoted(query)}?project={_quoted(project)}"


def secrets_page(project: str) -> str:
    """Console URL of a project's secrets."""
    return f"{_CONSOLE}/security/secret-manager?project={_quoted(project)}"


def service_account_page(project: str, account: str) -> str:
    """Console URL of a service account."""
    name = _quoted(account)
    return f"{_CONSOLE}/iam-admin/serviceaccounts/details/{name}?project={_quoted(project)}"


def image_page(name: str) -> str | None:
    """Console URL of an Artifact Registry image; None for other registries.

    The project ``example.com:shop`` of a domain is ``example.com/shop`` in the image's path.
    """
    host, _, path = name.partition("/")
    location = host.removesuffix("-docker.pkg.dev")
    domain, slash, rest = path.partition("/")
    if slash and "." in domain:
        path = f"{domain}:{rest}"
    parts = path.split("/", 2)
    if location == host or len(parts) < 3:  # noqa: PLR2004 - project, repository, image
        return None
    project, repository, image = (_quoted(part) for part in parts)
    location_path = f"{project}/{_quoted(location)}/{repository}/{image}"
    return f"{_CONSOLE}/artifacts/docker/{location_path}?project={project}"


def _quoted(text: str) -> str:
    return quote(text, safe="")
