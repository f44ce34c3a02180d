"""Correlate another finding on the workload with this one: same attack or coincidence. Pure.

Judged by container, time, indicators that both name, and the order of an attack; never by free
text.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from incident.model.durations import format_duration
from incident.model.finding import Container, Finding

#: Findings in the same container within this time may be one attack, without more.
_SAME_CONTAINER_WINDOW = timedelta(minutes=15)
#: Findings that share a file, an address or an account within this time are one attack.
_SHARED_INDICATOR_WINDOW = timedelta(hours=24)
#: Finding classes of the API that report a state rather than an event.
_NOT_EVENTS = {
    "VULNERABILITY": "a vulnerability report",
    "MISCONFIGURATION": "a misconfiguration report",
    "OBSERVATION": "an observation",
    "SCC_ERROR": "an error of Security Command Center's own",
    "POSTURE_VIOLATION": "a posture report",
    "TOXIC_COMBINATION": "a report of risks that add up",
    "CHOKEPOINT": "a report of risks that meet",
    "SENSITIVE_DATA_RISK": "a report on sensitive data",
}
#: Prefixes of finding types by phase of an attack; the first match counts. The phases follow the
#: order of ATT&CK's tactics; which type belongs to which is our judgement.
_ATTACK_PHASES = (
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
_SHARED_INSTANCE_NOTE = "containers of one instance share its network and volumes"
_PHASE_NAMES = {
    1: "a way in",
    2: "hostile code or remote control",
    3: "searching and spreading",
    4: "stealing or destroying",
}


@dataclass(frozen=True, slots=True)
class RelatedFinding:
    """Another finding on the workload, judged as the same attack or a coincidence.

    Attributes:
        category: The finding type.
        severity: Such as ``CRITICAL``.
        event_time: When it was detected.
        name: Its canonical name.
        same_attack: Whether it probably belongs to the same attack.
        meaning: The judgement, in a few words.
        reason: The evidence for it.
        raises_confidence: Whether it makes this finding more certain: the same attack, and another
            finding type.
    """

    category: str
    severity: str
    event_time: datetime
    name: str
    same_attack: bool
    meaning: str
    reason: str
    raises_confidence: bool = False

    @property
    def text(self) -> str:
        """The judgement, and why."""
        return f"{self.meaning}: {self.reason}"


@dataclass(frozen=True, slots=True)
class _Location:
    """Where the other finding was, compared with this one.

    Attributes:
        same_container: Whether it is the same container; None where that is not known.
        text: The same in words.
        may_share_instance: Whether it is another container, perhaps of the same instance.
    """

    same_container: bool | None
    text: str
    may_share_instance: bool = False


def correlate(other: Finding, finding: Finding, accounts: Collection[str] = ()) -> RelatedFinding:
    """Whether another finding belongs to the same attack as this one, and why.

    Args:
        other: The other finding.
        finding: This one.
        accounts: Service accounts that only this workload uses: their actions come from it.
    """
    location, offset = _location(other, finding), _time_offset(other, finding)
    indicators = _shared_indicators(other, finding, accounts)
    order = _attack_order(other, finding)
    irrelevant = _why_irrelevant(other, finding)
    same_attack = not irrelevant and _is_same_attack(other, finding, location, indicators)
    raises_confidence = same_attack and other.categories[0] != finding.categories[0]
    meaning, parts = "perhaps a coincidence", [location.text, offset, *indicators]
    if irrelevant:
        meaning, parts = "does not count", [irrelevant, offset]
    elif same_attack:
        meaning = "one attack with this one"
        parts += [order] if order else []
        parts += [_SHARED_INSTANCE_NOTE] if location.may_share_instance and not indicators else []
        parts += (
            []
            if raises_confidence
            else ["the same detector again, so it makes nothing more certain"]
        )
    elif not indicators and location.same_container is not False and order is None:
        parts.append("nothing in common")
    return RelatedFinding(
        category=other.category,
        severity=other.severity,
        event_time=other.event_time,
        name=other.canonical_name,
        same_attack=same_attack,
        meaning=meaning,
        reason=", ".join(parts),
        raises_confidence=raises_confidence,
    )


def _is_same_attack(
    other: Finding, finding: Finding, location: _Location, indicators: Collection[str]
) -> bool:
    """Whether container, time, shared indicators and order make it one attack."""
    offset = abs(other.event_time - finding.event_time)
    if indicators:
        return offset <= _SHARED_INDICATOR_WINDOW
    if offset > _SAME_CONTAINER_WINDOW:
        return False
    if location.may_share_instance:
        return None not in (_phase(other), _phase(finding))
    if location.same_container is None:
        return _attack_order(other, finding) is not None
    return location.same_container


def _why_irrelevant(other: Finding, finding: Finding) -> str | None:
    """Why a finding reports no event, or one that is closed."""
    if (other.source_id, other.finding_id) == (finding.source_id, finding.finding_id):
        return "it is this finding itself, reported again"
    if other.finding_class in _NOT_EVENTS:
        return f"{_NOT_EVENTS[other.finding_class]}, not an event"
    if other.mute == "MUTED":
        return "somebody muted it in Security Command Center"
    if other.state == "INACTIVE":
        return "it is closed in Security Command Center"
    return None


def _time_offset(other: Finding, finding: Finding) -> str:
    offset = other.event_time - finding.event_time
    if not offset:
        return "at the same moment"
    duration = (
        format_duration(abs(offset)) if abs(offset) >= timedelta(seconds=1) else "less than 1 s"
    )
    return f"{duration} {'before' if offset < timedelta(0) else 'after'}"


def _location(other: Finding, finding: Finding) -> _Location:
    """Compare the workloads, then the revisions or executions, then the containers."""
    others, own = other.workload, finding.workload
    if others and own and not others.same_as(own):
        return _Location(same_container=False, text=f"another {others.kind.label}, {others.name}")
    for label, there, here in (
        ("execution", other.execution, finding.execution),
        ("revision", other.revision, finding.revision),
    ):
        if there and here and there != here:
            return _Location(same_container=False, text=f"another {label}, {there}")
    return _container_location(other, finding)


def _container_location(other: Finding, finding: Finding) -> _Location:
    run = other.revision or other.execution
    kind = "execution" if other.execution else "revision"
    within = f" of the same {kind}" if run and run in (finding.revision, finding.execution) else ""
    own = {each.name: each for each in finding.containers if each.name}
    others = {each.name: each for each in other.containers if each.name}
    if not own or not others:
        one = "neither finding" if not own and not others else "one of the two"
        named = "names its container" if one == "neither finding" else "names no container"
        where = f"the same {kind}" if within else "the same workload"
        return _Location(same_container=None, text=f"{where}, though {one} {named}")
    both = [name for name in own if name in others]
    if not both:
        text = f"another container{within or ' of the same workload'}, {', '.join(others)}"
        return _Location(same_container=False, text=text, may_share_instance=True)
    return _same_name_location(others[both[0]], own[both[0]], within)


def _same_name_location(there: Container, here: Container, within: str) -> _Location:
    """Containers of one name run in every instance: image and creation time differ."""
    if there.digest and here.digest and there.digest != here.digest:
        return _Location(same_container=False, text=f"a container {here.name} of another image")
    if there.create_time and here.create_time and there.create_time != here.create_time:
        return _Location(
            same_container=None, text=f"container {here.name} in another instance{within}"
        )
    return _Location(same_container=True, text=f"the same container {here.name}{within}")


def _shared_indicators(
    other: Finding, finding: Finding, accounts: Collection[str]
) -> tuple[str, ...]:
    """What both findings name, and unrelated findings would not."""
    indicators = []
    if _malicious_hashes(finding) & _hashes(other) or _malicious_hashes(other) & _hashes(finding):
        indicators.append("the same SHA-256")
    addresses = [
        each for each in other.addresses if each in finding.addresses and _is_distinctive(each)
    ]
    if addresses:
        indicators.append(f"the same address {addresses[0]}")
    urls = [url for url in other.urls if url in finding.urls]
    if urls:
        indicators.append("the same URL")
    if other.principal and other.principal == finding.principal:
        indicators.append(f"the same account {other.principal}")
    elif other.principal and other.principal in accounts:
        indicators.append(f"done as {other.principal}, which this workload runs as")
    return tuple(indicators)


def _hashes(finding: Finding) -> set[str]:
    """Whole-file hashes of every file that a finding names."""
    files = [
        file
        for process in finding.processes
        for file in (process.binary, *process.libraries, process.script)
    ]
    return {file.sha256 for file in files if file and file.sha256 and not file.partially_hashed}


def _malicious_hashes(finding: Finding) -> set[str]:
    """Hashes of the files that a finding calls malicious: not of the shell that ran one."""
    processes = finding.processes
    if "Malicious Binary" in finding.categories[0]:
        main = finding.main_process
        files = [main.binary] if main else []
    elif "Malicious Library" in finding.categories[0]:
        files = [library for process in processes for library in process.libraries]
    else:
        files = [process.script for process in processes if process.script]
    return {file.sha256 for file in files if file.sha256 and not file.partially_hashed}


def _is_distinctive(address: str) -> bool:
    """Whether an address says anything: loopback and link-local ones occur everywhere."""
    parsed = ip_address(address)
    return not (parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified)


def _attack_order(other: Finding, finding: Finding) -> str | None:
    """How the two fit the usual order of an attack; None where they do not."""
    first, second = sorted((other, finding), key=lambda each: each.event_time)
    before, after = _phase(first), _phase(second)
    if (
        before is None
        or after is None
        or first.categories[0] == second.categories[0]
        or before > after
    ):
        return None
    if before == after:
        return f"both {_PHASE_NAMES[before]}"
    return f"in an attack's usual order: {_PHASE_NAMES[before]}, then {_PHASE_NAMES[after]}"


def _phase(finding: Finding) -> int | None:
    category = finding.categories[0]
    return next((phase for phase, names in _ATTACK_PHASES if category.startswith(names)), None)
