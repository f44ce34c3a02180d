"""Indicators of an incident: what to block and to search for, and where each was found. Pure.

Hashes, paths, addresses, domains, URLs and accounts, from the finding, from VirusTotal's answer and
from the log lines about the event. All of it is untrusted text, redacted before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, ip_network

from incident.model import ExposureTopic
from incident.model.outcome import Detected, Outcome
from incident.report.log_lines import LogLine

_MOST = 24
#: Scheme, host with port, and path of a URL; without user, query and fragment, which hold secrets.
_URL = re.compile(
    r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]{1,20})://(?:[^\s/@\"'<>]{0,200}@)?"
    r"(?P<host>\[[0-9a-fA-F:.]{2,45}\]|[^\s/:?#@\"'<>|`\\\[\]]{1,253})(?P<port>:\d{1,5})?"
    r"(?P<path>/[^\s?#\"'<>|`\\]{0,400})?(?:[?#][^\s\"'<>|`\\]*)?"
)
_IP = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])")
# Looked at where a name begins only: at every label it would take quadratic time.
_HOST_AND_PORT = re.compile(
    r"(?<![a-z0-9-])(?<![a-z0-9-]\.)((?:[a-z0-9-]{1,63}\.)+[a-z]{2,24}):\d{1,5}", re.IGNORECASE
)
_DOMAIN = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9-]{1,24}", re.IGNORECASE)
_TIME = re.compile(r"\d\d:\d\d:\d\d")
#: Addresses of no interest: nobody can block them, or they are the workload's own network.
_OWN_NETWORKS = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "::/127",
            "fc00::/7",
            "fe80::/10",
        ),
    )
)


class IndicatorKind(StrEnum):
    """What an indicator is."""

    HASH = "SHA-256"
    ADDRESS = "address"
    DOMAIN = "domain"
    URL = "URL"
    PATH = "path"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Indicator:
    """An indicator.

    Attributes:
        kind: What it is.
        value: The plain value.
        sources: Where it was found.
    """

    kind: IndicatorKind
    value: str
    sources: tuple[str, ...]

    @property
    def defanged(self) -> str:
        """The value as a chat room shows it without a link; the same for what is none."""
        if self.kind in (IndicatorKind.ADDRESS, IndicatorKind.DOMAIN):
            return _defanged_host(self.value)
        if self.kind is not IndicatorKind.URL:
            return self.value
        scheme, _, rest = self.value.partition("://")
        host, slash, path = rest.partition("/")
        shown = re.sub("^http", "hxxp", scheme) if scheme.startswith("http") else f"{scheme}[:]"
        colon = "://" if scheme.startswith("http") else "//"
        return f"{shown}{colon}{_defanged_host(host)}{slash}{path}"


def indicators(outcome: Outcome, lines: Sequence[LogLine]) -> tuple[Indicator, ...]:
    """The indicators of an outcome, by kind, each once.

    Args:
        outcome: The outcome.
        lines: The log lines about the event, as a person reads them.
    """
    found: dict[tuple[IndicatorKind, str], list[str]] = {}
    detected = outcome.detected or Detected()
    for kind, value, source in (
        *_of_finding(detected),
        *_of_account(outcome),
        *(each for line in lines for each in _of_line(line)),
    ):
        sources = found.setdefault((kind, value), [])
        if source not in sources:
            sources.append(source)
    ranks = list(IndicatorKind)
    ordered = sorted(found, key=lambda each: ranks.index(each[0]))
    return tuple(Indicator(*key, _merged(found[key])) for key in ordered[:_MOST])


def _merged(sources: Sequence[str]) -> tuple[str, ...]:
    """Sources with the times of one log listed once."""
    by_log: dict[str, list[str]] = {}
    for source in sources:
        log, _, time = source.rpartition(" ")
        timed = bool(log) and _TIME.fullmatch(time) is not None
        by_log.setdefault(log if timed else source, []).extend([time] if timed else [])
    return tuple(" ".join(filter(None, (log, ", ".join(times)))) for log, times in by_log.items())


_Found = tuple[IndicatorKind, str, str]


def _of_finding(detected: Detected) -> Iterator[_Found]:
    if detected.sha256 and not detected.hash_is_partial:
        known = detected.reputation
        engines = (
            f", VirusTotal {known.malicious}/{known.engines}" if known and known.engines else ""
        )
        yield IndicatorKind.HASH, detected.sha256, f"finding{engines}"
    for path in (detected.file, detected.binary_path, detected.script, *detected.libraries):
        if path and path.startswith("/"):
            yield IndicatorKind.PATH, path, "finding"
    if detected.connection and detected.connection.remote_ip:
        yield from _address(detected.connection.remote_ip, "finding, connection")
    for url in detected.urls:
        yield from _in_text(url, "finding")
    yield from _in_text(" ".join(detected.arguments), "command line")
    for parent in detected.parents:
        yield from _in_text(" ".join(parent.arguments), "parent's command line")
    for each in detected.source_properties:
        yield from _in_text(each.text, f"finding, {each.name}")


def _of_account(outcome: Outcome) -> Iterator[_Found]:
    """The account whose tokens may be stolen."""
    for fact in outcome.assessment.exposure if outcome.assessment else ():
        if fact.topic is ExposureTopic.IDENTITY and fact.known:
            for name in fact.names:
                if "@" in name:
                    yield IndicatorKind.ACCOUNT, name, "settings: it ran as this"


def _of_line(line: LogLine) -> Iterator[_Found]:
    source = f"{line.kind} {line.at:%H:%M:%S}"
    if line.remote_ip:
        yield from _address(line.remote_ip, source)
    if not line.is_request:  # the address of a request is the service's own
        yield from _in_text(line.text, source)


def _in_text(text: str, source: str) -> Iterator[_Found]:
    """URLs with their hosts, and addresses, in a text."""
    for url in _URL.finditer(text):
        host, path = url["host"].rstrip("."), (url["path"] or "").rstrip(".,;:)]}")
        yield IndicatorKind.URL, f"{url['scheme']}://{host}{url['port'] or ''}{path}", source
        yield from _host(host.strip("[]"), source)
    rest = _URL.sub(" ", text)
    for address in _IP.findall(rest):
        yield from _address(address, source)
    for host in _HOST_AND_PORT.findall(rest):
        yield from _host(host, source)


def _host(host: str, source: str) -> Iterator[_Found]:
    if list(_address(host, source)):
        yield from _address(host, source)
    elif _DOMAIN.fullmatch(host):
        yield IndicatorKind.DOMAIN, host.lower(), source


def _address(text: str, source: str) -> Iterable[_Found]:
    try:
        address = ip_address(text)
    except ValueError:
        return ()
    if any(address in network for network in _OWN_NETWORKS if network.version == address.version):
        return ()
    return ((IndicatorKind.ADDRESS, str(address), source),)


def _defanged_host(host: str) -> str:
    return host.replace(".", "[.]").replace("::", "[::]")
