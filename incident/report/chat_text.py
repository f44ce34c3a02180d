"""Chat message of an outcome: what it says, and as plain text; untrusted text is escaped. Pure.

Slack and Google Chat have a markup of their own. Untrusted text becomes one line without mentions,
links and formatting. The only markup is backticks around commands and permissions: code in both.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from incident.model import Change, Kind, Lookup, Status
from incident.model.outcome import Outcome, ReportedWorkload
from incident.playbook.links import gcloud
from incident.report.status_texts import status_text

#: Longer texts lose their middle: the file's name is at the end, and so is what an error refused.
_LONGEST = 600
#: Where threat findings without a process name the binary.
_BINARY_PROPERTY = "Process_Binary_Fullpath"
_MOST_CHANGES = 6
_STORAGE = "https://console.cloud.google.com/storage/browser"
# Characters that begin markup in either service, and lookalikes that replace them. HTML entities
# are no alternative: Google Chat shows them as text.
_LOOKALIKES = str.maketrans("<>&*_~`|@#[]", "‹›＆∗＿∼ʼ¦＠＃()")  # noqa: RUF001 - lookalikes are the point
# Control, format (bidirectional ones too), surrogate, private, unassigned, line separator and
# combining characters.
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Me", "Mn"))
# Both services make links of these.
_SCHEME = re.compile(r":(?=//)|(?<=mailto):|(?<=tel):", re.IGNORECASE)
# With the other full stops of IDNA (RFC 3490, section 3.1).
_DOMAIN = re.compile(r"[.\u3002\uff0e\uff61](?=[^\W\d_]{2})")
#: A permission of Google's looks like a domain. It stays as it is, as code, of which no room makes
#: a link: SERVICE.RESOURCE.VERB, of the services that the responder calls.
_PERMISSION = re.compile(
    r"(?<![\w.\uff20/:-])(?:artifactregistry|cloudasset|cloudscheduler|iam|logging|pubsub"
    r"|resourcemanager|run|securitycenter|serviceusage|storage)\.[a-zA-Z]{2,30}\.(?:actAs|cancel"
    r"|create|delete|disable|downloadArtifacts|enable|get|getAccessToken|getIamPolicy|invoke|list"
    r"|publish|run|searchAllResources|setIamPolicy|start|stop|update|use)(?![\w.-])"
)
# Commands in backticks: such as have these characters only.
_PLAIN_COMMAND = re.compile(r"gcloud [A-Za-z0-9 .:=-]+")
_POLICY_CHECK = re.compile(r"cloud-run-responder policy check [A-Za-z0-9._/:=+-]+")

_SIMULATED = "SIMULATED "
_IRREVERSIBLE = " (cannot be undone)"
#: What is added to what a status means, and what to do; with placeholders.
_STATUS_TEXTS: Mapping[Status, tuple[str, str]] = {
    Status.CONTAINED: (
        " Changes: {changes}",
        "rotate the exposed secrets first, then find the root cause; {show} has the steps.{back}",
    ),
    Status.RESTRICTED: (" Changes: {changes}", "check it now; if it is hostile, stop it: {stop}"),
    Status.ALREADY_CONTAINED: (
        "",
        "ask who stopped it, and keep it stopped; {show} has the steps",
    ),
    Status.UNVERIFIED: (
        " Changes: {changes}",
        "check now whether it runs, then contain it again: {contain}",
    ),
    Status.FAILED: (" Changes: {changes}", "fix the cause given under Why, then {contain}"),
    Status.AWAITING_APPROVAL: (
        " Plan: {changes}",
        "as an approver, read {show}, then run {approve}{until}",
    ),
    Status.HELD: ("", "{to_stop}"),
    Status.PLANNED: (
        " Enforcing would do: {changes}",
        "read {show}; to contain it now: {contain}",
    ),
    Status.EXPIRED: ("", "check whether it is hostile; for a fresh plan: {contain}"),
    Status.RELEASED: (
        " It was {by}. Restored: {changes}",
        "watch it: later events of this finding are held. Rotate exposed secrets, unless done",
    ),
}
#: What to do about a job whose execution was over before the responder looked.
_ENDED_TO_DO = "keep the job from starting again; {show} has the steps"
_STOP_ACTIONS = {Kind.JOB: "cancel-executions", Kind.INSTANCE: "stop-instance"}


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """What a message says; all texts are escaped, commands in them stand in backticks.

    Attributes:
        status: The status in capitals.
        workload: Short name of the workload; empty where there is none.
        headline: Status, finding type and severity.
        facts: Label and text, in order.
        reference: The incident and the address of its case file.
        links: Pages by the label of their button; ``https`` addresses only.
    """

    status: str
    workload: str
    headline: str
    facts: tuple[tuple[str, str], ...]
    reference: str
    links: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """The message as plain text, one line for each fact."""
        facts = (f"{label}: {text}" for label, text in self.facts)
        return "\n".join((self.headline, *facts, self.reference))


def chat_message(outcome: Outcome, runbooks: str = "") -> ChatMessage:
    """What to say of an outcome.

    Args:
        outcome: The outcome.
        runbooks: URL of the folder with the runbooks; empty for none.
    """
    finding, workload, incident = outcome.finding, outcome.workload, _known(outcome.incident)
    severity = f" ({escape_for_chat(finding.severity)})" if finding and finding.severity else ""
    regions = ", ".join(map(escape_for_chat, workload.other_regions)) if workload else ""
    also = f". It ALSO RUNS in {regions}: nothing was done there" if regions else ""
    status = f"{_SIMULATED if outcome.simulated else ''}{outcome.status.value.upper()}"
    category = _known(finding.category if finding else None)
    return ChatMessage(
        status=status,
        workload=escape_for_chat(workload.name) if workload else "",
        headline=f"{status}: {category}{severity}{also}",
        facts=tuple(_facts(outcome)),
        reference=f"Incident {incident}: {_case_file_link(outcome.links.case_file)}",
        links=tuple(_links(outcome, runbooks)),
    )


def escape_for_chat(text: str) -> str:
    """Untrusted text as one bounded line of plain text for both services."""
    bounded = _without_middle(text, 2 * _LONGEST)
    visible = "".join(
        " " if char.isspace() else "�" if unicodedata.category(char) in _INVISIBLE else char
        for char in unicodedata.normalize("NFC", bounded)
    )
    plain = _without_middle(" ".join(visible.split()).translate(_LOOKALIKES), _LONGEST)
    parts, end = [], 0
    for permission in _PERMISSION.finditer(plain):
        parts += [_defanged(plain[end : permission.start()]), f"`{permission[0]}`"]
        end = permission.end()
    return "".join((*parts, _defanged(plain[end:])))


def _without_middle(text: str, longest: int) -> str:
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"


def _defanged(text: str) -> str:
    return _DOMAIN.sub("[.]", _SCHEME.sub("[:]", text))


def _facts(outcome: Outcome) -> Iterator[tuple[str, str]]:
    workload = outcome.workload
    yield "Where", _workload_text(workload)
    yield from _detection(outcome)
    added, to_do = _status_texts(outcome)
    placeholders = _placeholders(outcome)
    done = escape_for_chat(status_text(outcome).sentence)
    yield "State", f"{done}{added.format_map(placeholders)}"
    if outcome.drains_until:
        yield "Requests in flight may run until", _utc_text(outcome.drains_until)
    if why := _reason_text(outcome):
        yield "Why", why
    yield "To do", to_do.format_map(placeholders)
    for region in workload.other_regions if workload else ():
        if workload and (command := _stop_command(workload, region)):
            yield f"To stop it in {escape_for_chat(region)}", f"`{command}`"
    if workload and workload.function:
        yield "Note", "it is a Cloud Run function: deploying it lifts the containment"


def _detection(outcome: Outcome) -> Iterator[tuple[str, str]]:
    detected = outcome.detected
    if detected is None:
        return
    if detected.binary_path:
        yield "Detected", escape_for_chat(detected.binary_path)
    for named in detected.source_properties:
        if named.name == _BINARY_PROPERTY and not detected.binary_path:
            yield "Detected", f"{escape_for_chat(named.text)} (from sourceProperties)"
    if detected.sha256 and not detected.hash_is_partial:
        yield "SHA-256", escape_for_chat(detected.sha256)


def _status_texts(outcome: Outcome) -> tuple[str, str]:
    """What was done and what to do."""
    added, to_do = _STATUS_TEXTS.get(outcome.status, ("", "read {show}"))
    workload = outcome.workload
    ended = workload is not None and workload.execution_ended
    if outcome.status is Status.ALREADY_CONTAINED and ended:
        to_do = _ENDED_TO_DO
    return added, to_do


def _placeholders(outcome: Outcome) -> Mapping[str, str]:
    """Values for the sentences by status; untrusted ones are escaped."""
    incident, workload = _known(outcome.incident), outcome.workload
    stop = _STOP_ACTIONS.get(workload.kind if workload else Kind.SERVICE, "scale-to-zero")
    until = outcome.approval_expires
    commands = {
        "show": f"show {incident}",
        "approve": f"approve {incident}",
        "contain": f"contain {incident}",
        "stop": f"contain {incident} --action {stop}",
    }
    if outcome.status is Status.FAILED and not any(each.stops for each in outcome.changes):
        commands["contain"] = commands["stop"]
    reasons = outcome.decision.reasons
    return {
        # In backticks a tap copies the command.
        **{name: f"`cloud-run-responder {words}`" for name, words in commands.items()},
        "changes": _changes_text(outcome.changes, outcome.status),
        "by": escape_for_chat(reasons[0] if reasons else "released"),
        "to_stop": _stop_instruction(outcome, commands["stop"], commands["show"]),
        "back": _release_instruction(outcome.changes, incident),
        "until": f" before {_utc_text(until)}, when the plan expires" if until else "",
    }


def _stop_instruction(outcome: Outcome, stop: str, show: str) -> str:
    """How to stop a held workload, or how to fix what blocks that."""
    read = f"read `cloud-run-responder {show}`"
    if outcome.workload is None:
        return read
    for blocker in outcome.decision.blockers:
        manual_note = ", which has the commands to stop it manually: `contain` would refuse. "
        command = blocker.command or ""
        check = f" (`{command}`)" if _POLICY_CHECK.fullmatch(command) else ""
        return f"{read}{manual_note}{escape_for_chat(blocker.fix)}{check}"
    return f"{read}; to stop it: `cloud-run-responder {stop}`"


def _release_instruction(changes: tuple[Change, ...], incident: str) -> str:
    """How to release it; empty where nothing is reversible."""
    if changes and not any(change.reversible for change in changes):
        return ""
    return f" False positive? `cloud-run-responder release {incident}`"


def _changes_text(changes: tuple[Change, ...], status: Status) -> str:
    """The actions with their states, each once."""
    if status is Status.RELEASED:
        restored = [_action(each) for each in changes if each.reversible]
        lost = [_action(each) for each in changes if not each.reversible]
        items = [*restored, *(f"NOT {action}, which cannot be undone" for action in lost)]
    elif status in (Status.PLANNED, Status.AWAITING_APPROVAL):
        items = [f"{_action(c)}{'' if c.reversible else _IRREVERSIBLE}" for c in changes]
    else:
        items = [f"{_action(change)} {change.state.value}" for change in changes]
    distinct = list(dict.fromkeys(items))
    more = len(distinct) - _MOST_CHANGES
    nothing = "by a containment" if status is Status.CONTAINED else "no change"
    named = ", ".join(distinct[:_MOST_CHANGES]) or f"{nothing} on record"
    return f"{named} and {more} more" if more > 0 else named


def _action(change: Change) -> str:
    return escape_for_chat(change.action)


def _reason_text(outcome: Outcome) -> str:
    """The error of a change, else the assessment, else the first reason; escaped."""
    if outcome.status is Status.RELEASED:
        return ""
    held = outcome.status in (Status.HELD, Status.FAILED, Status.EXPIRED)
    errors = [change.error for change in outcome.changes if change.error]
    # The first reason of a containment is often that no guard objected: the assessment says more.
    if not errors and not held and (assessment := _assessment_text(outcome)):
        return assessment
    return escape_for_chat(next(iter([*errors, *outcome.decision.reasons]), ""))


def _assessment_text(outcome: Outcome) -> str:
    """Summary, confidence and VirusTotal's result, each whole; escaped."""
    assessment, detected = outcome.assessment, outcome.detected
    if assessment is None or not assessment.summary:
        return ""
    confidence = assessment.confidence
    sure = f". Confidence: {confidence.value}" if confidence else ""
    known = detected.reputation if detected else None
    answered = known is not None and known.lookup in (Lookup.KNOWN, Lookup.UNKNOWN)
    reputation = f". {escape_for_chat(known.summary)}" if known and answered else ""
    return f"{escape_for_chat(assessment.summary.rstrip('.'))}{sure}{reputation}"


def _stop_command(workload: ReportedWorkload, region: str) -> str:
    """Gcloud command for another region; empty where a value has a character of markup."""
    command = gcloud(
        "beta run services update",
        workload.name,
        scaling="0",
        region=region,
        project=workload.project,
    )
    return command if _PLAIN_COMMAND.fullmatch(command) else ""


def _workload_text(workload: ReportedWorkload | None) -> str:
    if workload is None:
        return "no known Cloud Run workload"
    name, *rest = map(escape_for_chat, (workload.name, workload.project, workload.location))
    return f"{name} ({', '.join((workload.kind.label, *rest))})"


def _links(outcome: Outcome, runbooks: str) -> Iterator[tuple[str, str]]:
    """The buttons: a browser can open each, and none has a character of markup."""
    links = outcome.links
    runbook = f"{runbooks.rstrip('/')}/{outcome.status.value}.md" if runbooks else ""
    pages = {
        "Finding": links.console or "",
        "Page": _browser_url(links.report),
        "Runbook": runbook if outcome.status in _WITH_RUNBOOK else "",
        "Workload": links.workload or "",
        "VirusTotal": links.virustotal or "",
    }
    for label, url in pages.items():
        if _PLAIN_URL.fullmatch(url):
            yield label, url


_PLAIN_URL = re.compile(r"https://[A-Za-z0-9._~:/?=&%+;,-]{1,2900}")
#: Statuses that deploy/runbooks has a page for.
_WITH_RUNBOOK = frozenset(
    {
        Status.AWAITING_APPROVAL,
        Status.CONTAINED,
        Status.FAILED,
        Status.HELD,
        Status.MALFORMED,
        Status.RESTRICTED,
        Status.UNVERIFIED,
    }
)


def _browser_url(location: str | None) -> str:
    """Where a browser that is logged in opens an object of a bucket; empty for a local file."""
    path = (location or "").removeprefix("gs://")
    return f"https://storage.cloud.google.com/{quote(path)}" if path != (location or "") else ""


def _case_file_link(location: str | None) -> str:
    """Console URL of the case file in its bucket, else its path; without markup characters."""
    path = (location or "").removeprefix("gs://")
    return f"{_STORAGE}/{quote(path)}" if path != (location or "") else quote(path, safe="/:")


def _utc_text(moment: datetime) -> str:
    """A time in UTC, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _known(text: str | None) -> str:
    return "unknown" if text is None else escape_for_chat(text)
