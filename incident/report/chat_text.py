"""Chat message (Slack, Google Chat) for an outcome; escapes untrusted text. Pure.

Both take ``{"text": …}`` and have a markup of their own. Untrusted text becomes one line without
mentions, links and formatting. The only markup is backticks around commands: code in both.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from incident.model import Json, JsonObject, Status
from incident.model.json_text import json_list, json_object, json_objects
from incident.playbook.links import gcloud

_LONGEST = 240
#: Where threat findings without a process name the binary.
_BINARY_PROPERTY = "Process_Binary_Fullpath"
_MOST_CHANGES = 6
_LONGEST_SUMMARY = 130
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
# Commands in backticks: such as have these characters only.
_PLAIN_COMMAND = re.compile(r"gcloud [A-Za-z0-9 .:=-]+")
_POLICY_CHECK = re.compile(r"cloud-run-responder policy check [A-Za-z0-9._/:=+-]+")

_IRREVERSIBLE = " (nothing takes it back)"
#: What was done, and what to do; with placeholders.
_STATUS_TEXTS: Mapping[Status, tuple[str, str]] = {
    Status.CONTAINED: (
        "stopped by us, and read back as stopped: {changes}",
        "rotate the exposed secrets first, then find the root cause; {show} has the steps.{back}",
    ),
    Status.RESTRICTED: (
        "access is restricted, and was read back: {changes}. What runs was NOT stopped",
        "look now; if it is hostile, stop it with {stop}",
    ),
    Status.ALREADY_CONTAINED: (
        "nothing by us: somebody had stopped it before",
        "ask who stopped it, and keep it stopped; {show} has the steps",
    ),
    Status.UNVERIFIED: (
        "written, but NOT seen in effect: {changes}. It may be running",
        "look now whether it runs, and contain it again with {contain}",
    ),
    Status.FAILED: (
        "it could NOT be done: {changes}. Nothing shows that it is stopped",
        "check now, fix the cause given under Why, then {contain}",
    ),
    Status.AWAITING_APPROVAL: (
        "nothing yet, it runs on. A plan waits for approval: {changes}",
        "as an approver: read {show}, then run {approve}{until}",
    ),
    Status.HELD: (
        "nothing, so it may run on. It is held for a person to decide",
        "{to_stop}",
    ),
    Status.PLANNED: (
        "nothing, it runs on: this was a dry run. Enforcing would do: {changes}",
        "read {show}; to do it now run {contain}",
    ),
    Status.EXPIRED: (
        "nothing, so it may run on: nobody approved the plan in time",
        "look whether it is hostile; for a fresh plan run {contain}",
    ),
    Status.RELEASED: (
        "{by}, the containment was taken back and it runs again. Given back: {changes}",
        "watch it: later events of this finding are held. Rotate exposed secrets, unless done",
    ),
}
#: The same for a job whose execution was over before the responder looked.
_ENDED_TEXTS = (
    "nothing, since nothing ran any more: {ended}, by itself. Nobody stopped it",
    "keep the job from starting again; {show} has the steps",
)
_STOP_ACTIONS = {"job": "cancel-executions"}


def chat_message(outcome: JsonObject) -> str:
    """The message: a few lines of a few hundred characters each."""
    return "\n".join(_lines(outcome))


def escape_for_chat(text: str) -> str:
    """Untrusted text as one bounded line of plain text for both services."""
    composed = unicodedata.normalize("NFC", text[: 2 * _LONGEST])
    visible = "".join(
        " " if char.isspace() else "�" if unicodedata.category(char) in _INVISIBLE else char
        for char in composed
    )
    plain = " ".join(visible.split()).translate(_LOOKALIKES)
    shown = f"{plain[:_LONGEST]}…" if len(plain) > _LONGEST or len(text) > 2 * _LONGEST else plain
    return _DOMAIN.sub("[.]", _SCHEME.sub("[:]", shown))


def _lines(outcome: JsonObject) -> Iterator[str]:
    keys = ("finding", "detected", "workload", "links")
    finding, detected, workload, links = (json_object(outcome.get(key)) for key in keys)
    status = Status(str(outcome["status"]))
    severity = f" ({_text(finding, 'severity')})" if finding.get("severity") else ""
    regions = ", ".join(map(escape_for_chat, map(str, json_list(workload.get("other_regions")))))
    also = f". It ALSO RUNS in {regions}: nothing was done there" if regions else ""
    yield f"{status.value.upper()}: {_text(finding, 'category')}{severity}{also}"
    yield f"Where: {_workload_text(workload)}"
    if detected.get("binary_path"):
        yield f"Detected: {_text(detected, 'binary_path')}"
    for named in json_objects(detected.get("source_properties")):
        if named.get("name") == _BINARY_PROPERTY and not detected.get("binary_path"):
            yield f"Detected: {_text(named, 'text')} (from sourceProperties)"
    done, to_do = _status_texts(status, workload)
    placeholders = _placeholders(outcome, status)
    yield f"Done: {done.format_map(placeholders)}"
    if outcome.get("drains_until"):
        yield f"Requests in flight may run until {_utc_text(outcome['drains_until'])}"
    if why := _reason_text(outcome, status):
        yield f"Why: {escape_for_chat(why)}"
    yield f"To do: {to_do.format_map(placeholders)}"
    for region in json_list(workload.get("other_regions")):
        if command := _stop_command(workload, str(region)):
            yield f"To stop it in {escape_for_chat(str(region))}: `{command}`"
    if workload.get("function"):
        yield "It is a Cloud Run function: deploying it lifts the containment"
    yield f"Incident {_text(outcome, 'incident')}: {_case_file_link(links)}"


def _status_texts(status: Status, workload: JsonObject) -> tuple[str, str]:
    """What was done and what to do; of a job that was over, nothing that somebody stopped."""
    done, to_do = _STATUS_TEXTS.get(status, ("nothing", "read {show}"))
    if status is not Status.ALREADY_CONTAINED or workload.get("kind") != "job":
        return done, to_do
    if workload.get("execution_ended"):
        return _ENDED_TEXTS
    return "nothing, since nothing of the job ran any more", to_do


def _placeholders(outcome: JsonObject, status: Status) -> Mapping[str, str]:
    """Values for the sentences by status; untrusted ones are escaped."""
    incident = _text(outcome, "incident")
    workload = json_object(outcome.get("workload"))
    stop = _STOP_ACTIONS.get(str(workload.get("kind")), "scale-to-zero")
    until = outcome.get("approval_expires")
    commands = {
        "show": f"show {incident}",
        "approve": f"approve {incident}",
        "contain": f"contain {incident}",
        "stop": f"contain {incident} --action {stop}",
    }
    listed = json_objects(outcome.get("changes"))
    if status is Status.FAILED and not any(change.get("stops") for change in listed):
        commands["contain"] = commands["stop"]
    return {
        # In backticks a tap copies the command.
        **{name: f"`cloud-run-responder {words}`" for name, words in commands.items()},
        "changes": _changes_text(listed, status),
        "by": escape_for_chat(next(iter(_reasons(outcome)), "released")),
        "to_stop": _stop_instruction(outcome, commands["stop"], commands["show"]),
        "back": _release_instruction(listed, incident),
        "ended": _text(workload, "execution_ended"),
        "until": f" before {_utc_text(until)}, when the plan expires" if until else "",
    }


def _stop_instruction(outcome: JsonObject, stop: str, show: str) -> str:
    """How to stop a held workload, or how to fix what blocks that."""
    read = f"read `cloud-run-responder {show}`"
    if not json_object(outcome.get("workload")):
        return read
    for blocker in json_objects(json_object(outcome.get("decision")).get("barred")):
        manual_note = ", which has the commands to stop it manually: `contain` would refuse. "
        command = str(blocker.get("command") or "")
        check = f" (`{command}`)" if _POLICY_CHECK.fullmatch(command) else ""
        return f"{read}{manual_note}{_text(blocker, 'first')}{check}"
    return f"{read}; to stop it run `cloud-run-responder {stop}`"


def _release_instruction(changes: list[JsonObject], incident: str) -> str:
    """How to release it; empty where nothing is reversible."""
    if changes and not any(change.get("reversible") for change in changes):
        return ""
    return f" No attack? `cloud-run-responder release {incident}` gives it back"


def _changes_text(changes: list[JsonObject], status: Status) -> str:
    """The actions with their states, each once."""
    if status is Status.RELEASED:
        restored = [_text(c, "action") for c in changes if c.get("reversible")]
        lost = [_text(c, "action") for c in changes if not c.get("reversible")]
        items = [*restored, *(f"NOT {action}, which nothing takes back" for action in lost)]
    elif status in (Status.PLANNED, Status.AWAITING_APPROVAL):
        items = [
            f"{_text(c, 'action')}{'' if c.get('reversible') else _IRREVERSIBLE}" for c in changes
        ]
    else:
        items = [f"{_text(change, 'action')} {_text(change, 'state')}" for change in changes]
    distinct = list(dict.fromkeys(items))
    more = len(distinct) - _MOST_CHANGES
    nothing = "by a containment" if status is Status.CONTAINED else "no change"
    named = ", ".join(distinct[:_MOST_CHANGES]) or f"{nothing} on record"
    return f"{named} and {more} more" if more > 0 else named


def _reason_text(outcome: JsonObject, status: Status) -> str:
    """The error of a change, else the assessment, else the first reason."""
    errors = [str(c["error"]) for c in json_objects(outcome.get("changes")) if c.get("error")]
    if status is Status.RELEASED:
        return ""
    held = status in (Status.HELD, Status.FAILED, Status.EXPIRED)
    # The first reason of a containment is often that no guard objected: the assessment says more.
    found = [] if held else [assessment] if (assessment := _assessment_text(outcome)) else []
    return next(iter([*errors, *found, *_reasons(outcome)]), "")


def _assessment_text(outcome: JsonObject) -> str:
    """Summary, confidence and VirusTotal's result."""
    assessment = json_object(outcome.get("assessment"))
    detected = json_object(outcome.get("detected"))
    if not assessment.get("summary"):
        return ""
    whole = str(assessment["summary"]).rstrip(".")
    cut = whole[:_LONGEST_SUMMARY].rpartition(" ")[0] or whole[:_LONGEST_SUMMARY]
    summary = whole if len(whole) <= _LONGEST_SUMMARY else f"{cut}…"
    sure = f", with {assessment['confidence']} confidence" if assessment.get("confidence") else ""
    known = json_object(detected.get("virustotal"))
    reputation = f". {known['said']}" if known.get("lookup") in ("known", "unknown") else ""
    return f"{summary}{sure}{reputation}"


def _reasons(outcome: JsonObject) -> list[str]:
    reasons = json_object(outcome.get("decision")).get("reasons")
    return [str(reason) for reason in reasons] if isinstance(reasons, list) else []


def _stop_command(workload: JsonObject, region: str) -> str:
    """Gcloud command for another region; empty where a value has a character of markup."""
    name, project = str(workload.get("name")), str(workload.get("project"))
    command = gcloud("beta run services update", name, scaling="0", region=region, project=project)
    return command if _PLAIN_COMMAND.fullmatch(command) else ""


def _workload_text(workload: JsonObject) -> str:
    if not workload:
        return "no Cloud Run workload that we know of"
    name, project, region = (_text(workload, key) for key in ("name", "project", "location"))
    kind = _text(workload, "kind").replace("-", " ")
    return f"{kind} {name} in project {project}, {region}"


def _utc_text(moment: Json) -> str:
    """A time in UTC, to the second."""
    return f"{escape_for_chat(str(moment))[:19].replace('T', ' ')} UTC"


def _case_file_link(links: JsonObject) -> str:
    """Console URL of the case file in its bucket, else its path; without markup characters."""
    location = str(links.get("case_file") or "")
    bucket = location.removeprefix("gs://")
    return f"{_STORAGE}/{quote(bucket)}" if bucket != location else quote(location, safe="/:")


def _text(value: JsonObject, key: str) -> str:
    text: Json = value.get(key)
    return escape_for_chat(str(text)) if text is not None else "unknown"
