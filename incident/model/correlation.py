"""How another finding on a workload bears on the one at hand: one attack, or a coincidence. Pure.

Judged by place, time, what both name, and the order of an attack; never by a free text.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from incident.model.finding import Container, Finding
from incident.model.workload import span

#: Findings so near to one another may be one attack for their place alone.
_TOGETHER = timedelta(minutes=15)
#: What has a file, an address or an account in common is one attack for so long.
_SAME_DAY = timedelta(hours=24)
#: The API's classes that tell of a state of things rather than of something that happened.
_REPORTS = {
    "VULNERABILITY": "a vulnerability report",
    "MISCONFIGURATION": "a misconfiguration report",
    "OBSERVATION": "an observation",
    "SCC_ERROR": "an error of Security Command Center's own",
    "POSTURE_VIOLATION": "a posture report",
    "TOXIC_COMBINATION": "a report of risks that add up",
    "CHOKEPOINT": "a report of risks that meet",
    "SENSITIVE_DATA_RISK": "a report on sensitive data",
}
#: Beginnings of finding types, by the phase of an attack in which they are met. The first match
#: counts. Our judgement, after the order of ATT&CK's tactics.
_PHASES = (
    (1, ("Unexpected Child Shell", "Execution: Possible ")),
    (
        3,
        (
            *("Execution: Container Escape", "Execution: Kubernetes", "Execution: Local Recon"),
            *("Credential Access:", "Privilege Escalation:", "Discovery:", "Lateral Movement:"),
        ),
    ),
    (4, ("Exfiltration:", "Impact:")),
    (
        2,
        (
            *("Execution:", "Command and Control:", "Defense Evasion:", "Persistence:"),
            *("Malicious Script", "Malicious URL", "Reverse Shell"),
        ),
    ),
)
_SHARED = "containers of one instance share its network and volumes"
_MEANT = {
    1: "a way in",
    2: "hostile code or remote control",
    3: "searching and spreading",
    4: "stealing or destroying",
}


@dataclass(frozen=True, slots=True)
class Related:
    """Another finding on the workload, with what speaks for one attack or a coincidence.

    Attributes:
        category: The finding type.
        severity: Such as ``CRITICAL``.
        event_time: When it was detected.
        name: Its canonical name.
        linked: Whether it probably belongs to the same attack.
        meaning: What is thought of it, in a few words.
        why: What speaks for that.
        raises: Whether it makes the finding at hand more certain: linked, and of another type.
    """

    category: str
    severity: str
    event_time: datetime
    name: str
    linked: bool
    meaning: str
    why: str
    raises: bool = False

    @property
    def text(self) -> str:
        """What is thought of it, and why."""
        return f"{self.meaning}: {self.why}"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where another finding was, beside the one at hand.

    Attributes:
        same: Whether it is the same container; None where that cannot be told.
        text: The same in words.
        beside: Whether it is another container that may be of the same instance.
    """

    same: bool | None
    text: str
    beside: bool = False


def relate(other: Finding, finding: Finding, accounts: Collection[str] = ()) -> Related:
    """How another finding bears on one.

    Args:
        other: The other finding.
        finding: The one at hand.
        accounts: Accounts that are the workload's alone: who acts as one of them came from it.
    """
    place, when = _place(other, finding), _when(other, finding)
    common = _in_common(other, finding, accounts)
    sequence = _sequence(other, finding)
    void = _void(other, finding)
    linked = not void and _linked(other, finding, place, common)
    raises = linked and other.category != finding.category
    meaning, parts = "perhaps a coincidence", [place.text, when, *common]
    if void:
        meaning, parts = "does not count", [void, when]
    elif linked:
        meaning = "one attack with this one"
        parts += [sequence] if sequence else []
        parts += [_SHARED] if place.beside and not common else []
        parts += [] if raises else ["the same detector again, so it makes nothing more certain"]
    elif not common and place.same is not False and sequence is None:
        parts.append("nothing in common")
    return Related(
        category=other.category,
        severity=other.severity,
        event_time=other.event_time,
        name=other.canonical_name,
        linked=linked,
        meaning=meaning,
        why=", ".join(parts),
        raises=raises,
    )


def _linked(other: Finding, finding: Finding, place: _Place, common: Collection[str]) -> bool:
    """Whether place, time, things in common and order make it one attack."""
    apart = abs(other.event_time - finding.event_time)
    if common:
        return apart <= _SAME_DAY
    if apart > _TOGETHER:
        return False
    if place.beside:
        return None not in (_phase(other.category), _phase(finding.category))
    if place.same is None:
        return _sequence(other, finding) is not None
    return place.same


def _void(other: Finding, finding: Finding) -> str | None:
    """Why a finding tells of no event at all, or of none that stands."""
    if (other.source_id, other.finding_id) == (finding.source_id, finding.finding_id):
        return "it is this finding itself, reported again"
    if other.finding_class in _REPORTS:
        return f"{_REPORTS[other.finding_class]}, not an event"
    if other.mute == "MUTED":
        return "somebody muted it in Security Command Center"
    if other.state == "INACTIVE":
        return "it is closed in Security Command Center"
    return None


def _when(other: Finding, finding: Finding) -> str:
    apart = other.event_time - finding.event_time
    if not apart:
        return "at the same moment"
    amount = span(abs(apart)) if abs(apart) >= timedelta(seconds=1) else "less than 1 s"
    return f"{amount} {'before' if apart < timedelta(0) else 'after'}"


def _place(other: Finding, finding: Finding) -> _Place:
    """Where it was, from the workload down to the container."""
    theirs, ours = other.workload, finding.workload
    if theirs and ours and not theirs.same_as(ours):
        return _Place(same=False, text=f"another {theirs.kind.spelled}, {theirs.name}")
    for called, there, here in (
        ("execution", other.execution, finding.execution),
        ("revision", other.revision, finding.revision),
    ):
        if there and here and there != here:
            return _Place(same=False, text=f"another {called}, {there}")
    return _in_containers(other, finding)


def _in_containers(other: Finding, finding: Finding) -> _Place:
    run = other.revision or other.execution
    kind = "execution" if other.execution else "revision"
    within = f" of the same {kind}" if run and run in (finding.revision, finding.execution) else ""
    ours = {each.name: each for each in finding.containers if each.name}
    theirs = {each.name: each for each in other.containers if each.name}
    if not ours or not theirs:
        one = "neither finding" if not ours and not theirs else "one of the two"
        named = "names its container" if one == "neither finding" else "names no container"
        where = f"the same {kind}" if within else "the same workload"
        return _Place(same=None, text=f"{where}, though {one} {named}")
    both = [name for name in ours if name in theirs]
    if not both:
        called = f"another container{within or ' of the same workload'}, {', '.join(theirs)}"
        return _Place(same=False, text=called, beside=True)
    return _of_one_name(theirs[both[0]], ours[both[0]], within)


def _of_one_name(there: Container, here: Container, within: str) -> _Place:
    """Instances have containers of the same names: image and time of creation tell them apart."""
    if there.digest and here.digest and there.digest != here.digest:
        return _Place(same=False, text=f"a container {here.name} of another image")
    if there.create_time and here.create_time and there.create_time != here.create_time:
        return _Place(same=None, text=f"container {here.name} in another instance{within}")
    return _Place(same=True, text=f"the same container {here.name}{within}")


def _in_common(other: Finding, finding: Finding, accounts: Collection[str]) -> tuple[str, ...]:
    """What both findings name that two unrelated ones would not."""
    found = []
    if _hostile(finding) & _hashes(other) or _hostile(other) & _hashes(finding):
        found.append("the same SHA-256")
    addresses = [each for each in other.addresses if each in finding.addresses and _telling(each)]
    if addresses:
        found.append(f"the same address {addresses[0]}")
    urls = [url for url in other.urls if url in finding.urls]
    if urls:
        found.append("the same URL")
    if other.principal and other.principal == finding.principal:
        found.append(f"the same account {other.principal}")
    elif other.principal and other.principal in accounts:
        found.append(f"done as {other.principal}, which this workload runs as")
    return tuple(found)


def _hashes(finding: Finding) -> set[str]:
    """Every file that a finding names, by a hash of the whole of it."""
    files = [
        file
        for process in finding.processes
        for file in (process.binary, *process.libraries, process.script)
    ]
    return {file.sha256 for file in files if file and file.sha256 and not file.partially_hashed}


def _hostile(finding: Finding) -> set[str]:
    """The files that a finding calls malicious; the shell that ran one is on every system."""
    processes = finding.processes
    if "Malicious Binary" in finding.category:
        main = finding.main_process
        files = [main.binary] if main else []
    elif "Malicious Library" in finding.category:
        files = [library for process in processes for library in process.libraries]
    else:
        files = [process.script for process in processes if process.script]
    return {file.sha256 for file in files if file.sha256 and not file.partially_hashed}


def _telling(address: str) -> bool:
    """Whether two findings that name an address have anything in common."""
    parsed = ip_address(address)
    return not (parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified)


def _sequence(other: Finding, finding: Finding) -> str | None:
    """What the two are in the order of an attack, if they stand in it."""
    first, second = sorted((other, finding), key=lambda each: each.event_time)
    before, after = _phase(first.category), _phase(second.category)
    if before is None or after is None or first.category == second.category or before > after:
        return None
    if before == after:
        return f"both {_MEANT[before]}"
    return f"in an attack's usual order: {_MEANT[before]}, then {_MEANT[after]}"


def _phase(category: str) -> int | None:
    return next((phase for phase, names in _PHASES if category.startswith(names)), None)
