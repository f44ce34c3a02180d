"""An outcome as a short text for a chat room: what, where, what was done, what to do, a link.

Slack and Google Chat take the same ``{"text": …}`` and have markup of their own in it. What
came from a finding is made harmless for both: no mention, no link, no formatting, one line.
The only markup is ours: commands stand between backticks, which is code in both.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from incident.model import Json, JsonObject, Status

_LONGEST = 240
_MOST_CHANGES = 6
_LONGEST_SUMMARY = 130
_STORAGE = "https://console.cloud.google.com/storage/browser"
# What begins markup in either, and what stands in for it, for the eye nearly the same. An
# entity for < is markup in Slack and five odd characters in Google Chat.
_LOOKALIKES = str.maketrans("<>&*_~`|@#[]", "‹›＆∗＿∼ʼ¦＠＃()")  # noqa: RUF001 - lookalikes are the point
# Control and format characters (bidirectional ones among them), surrogates, private and
# unassigned ones, separators of lines, and marks that pile up on the character before.
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Me", "Mn"))
# What both rooms would make a link of by themselves.
_SCHEME = re.compile(r":(?=//)|(?<=mailto):|(?<=tel):", re.IGNORECASE)
# A full stop is also what IDNA takes for one (RFC 3490, section 3.1).
_DOMAIN = re.compile(r"[.\u3002\uff0e\uff61](?=[^\W\d_]{2})")
# The only command among what has to be lifted first that a tap may copy; nothing else is in it.
_POLICY_CHECK = re.compile(r"python cli\.py policy check [A-Za-z0-9._/:=+-]+")

_IRREVERSIBLE = " (nothing takes it back)"
#: What was done, and what is to be done: in braces what a message fills in.
_STATUS_TEXTS: Mapping[Status, tuple[str, str]] = {
    Status.CONTAINED: (
        "stopped by us, and read back as stopped: {changes}",
        "rotate what was in reach first, then find the way in; {show} has the steps.{back}",
    ),
    Status.RESTRICTED: (
        "access is restricted, and was read back: {changes}. What runs was NOT stopped",
        "look now; if it is hostile, stop it with {stop}",
    ),
    Status.ALREADY_CONTAINED: (
        "nothing by us: somebody had stopped it before",
        "ask whoever stopped it, and keep it stopped; {show} has the steps",
    ),
    Status.UNVERIFIED: (
        "written, but NOT seen in effect: {changes}. It may be running",
        "look now whether it runs, and contain it again with {contain}",
    ),
    Status.FAILED: (
        "it could NOT be done: {changes}. Nothing shows that it is stopped",
        "look now, mend what is said under why, then {contain}",
    ),
    Status.AWAITING_APPROVAL: (
        "nothing yet, it runs on. A plan waits for approval: {changes}",
        "whoever has the rights of an approver: read {show}, then run {approve}{until}",
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
        "watch it: later events of this finding are held. Rotate what was in reach if you have not",
    ),
}
_STOP_ACTIONS = {"job": "cancel-executions"}


def chat_message(outcome: JsonObject) -> str:
    """The text, a few lines of a few hundred characters each at most."""
    return "\n".join(_lines(outcome))


def escape_for_chat(text: str) -> str:
    """A text of anybody's choice as it may stand in a chat room: one bounded line of plain text."""
    composed = unicodedata.normalize("NFC", text[: 2 * _LONGEST])
    visible = "".join(
        " " if char.isspace() else "�" if unicodedata.category(char) in _INVISIBLE else char
        for char in composed
    )
    plain = " ".join(visible.split()).translate(_LOOKALIKES)
    shown = f"{plain[:_LONGEST]}…" if len(plain) > _LONGEST or len(text) > 2 * _LONGEST else plain
    return _DOMAIN.sub("[.]", _SCHEME.sub("[:]", shown))


def _lines(outcome: JsonObject) -> Iterator[str]:
    finding, detected = _object_at(outcome, "finding"), _object_at(outcome, "detected")
    status = Status(str(outcome["status"]))
    severity = f" ({_text(finding, 'severity')})" if finding.get("severity") else ""
    yield f"{status.value.upper()}: {_text(finding, 'category')}{severity}"
    yield f"Where: {_workload_text(_object_at(outcome, 'workload'))}"
    if detected.get("binary_path"):
        yield f"Detected: {_text(detected, 'binary_path')}"
    done, to_do = _STATUS_TEXTS.get(status, ("nothing", "read {show}"))
    placeholders = _placeholders(outcome, status)
    yield f"Done: {done.format_map(placeholders)}"
    if outcome.get("drains_until"):
        yield f"Requests in flight may run until {_utc_text(outcome['drains_until'])}"
    if why := _reason_text(outcome, status):
        yield f"Why: {escape_for_chat(why)}"
    yield f"To do: {to_do.format_map(placeholders)}"
    yield f"Incident {_text(outcome, 'incident')}: {_case_file_link(_object_at(outcome, 'links'))}"


def _placeholders(outcome: JsonObject, status: Status) -> Mapping[str, str]:
    """What fills the sentences in; what was of somebody else's choice is made harmless."""
    incident = _text(outcome, "incident")
    workload = _object_at(outcome, "workload")
    stop = _STOP_ACTIONS.get(str(workload.get("kind")), "scale-to-zero")
    until = outcome.get("approval_expires")
    commands = {
        "show": f"show {incident}",
        "approve": f"approve {incident}",
        "contain": f"contain {incident}",
        "stop": f"contain {incident} --action {stop}",
    }
    listed = _objects(outcome.get("changes"))
    if status is Status.FAILED and not any(change.get("stops") for change in listed):
        commands["contain"] = commands["stop"]
    return {
        # Between backticks neither room makes a link of cli.py, and a tap copies it whole.
        **{name: f"`python cli.py {words}`" for name, words in commands.items()},
        "changes": _changes_text(listed, status),
        "by": escape_for_chat(next(iter(_reasons(outcome)), "released")),
        "to_stop": _stop_instruction(outcome, commands["stop"], commands["show"]),
        "back": _release_instruction(listed, incident),
        "until": f" before {_utc_text(until)}, when the plan expires" if until else "",
    }


def _stop_instruction(outcome: JsonObject, stop: str, show: str) -> str:
    """How to stop what is held; where the responder would refuse, what has to be lifted first."""
    read = f"read `python cli.py {show}`"
    if not _object_at(outcome, "workload"):
        return read
    for blocker in _objects(_object_at(outcome, "decision").get("barred")):
        manual_note = ", which has the commands to stop it by hand: `contain` would refuse. "
        command = str(blocker.get("command") or "")
        check = f" (`{command}`)" if _POLICY_CHECK.fullmatch(command) else ""
        return f"{read}{manual_note}{_text(blocker, 'first')}{check}"
    return f"{read}; to stop it run `python cli.py {stop}`"


def _release_instruction(changes: list[JsonObject], incident: str) -> str:
    """How to give it back, unless nothing can."""
    if changes and not any(change.get("reversible") for change in changes):
        return ""
    return f" No attack? `python cli.py release {incident}` gives it back"


def _changes_text(changes: list[JsonObject], status: Status) -> str:
    """The actions, each once with how far it came where something was to be written."""
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
    """What went wrong with a change, if anything did; else the first reason of the decision."""
    errors = [str(c["error"]) for c in _objects(outcome.get("changes")) if c.get("error")]
    if status is Status.RELEASED:
        return ""
    held = status in (Status.HELD, Status.FAILED, Status.EXPIRED)
    # That nothing speaks against it tells nobody anything: what was found out does.
    found = [] if held else [assessment] if (assessment := _assessment_text(outcome)) else []
    return next(iter([*errors, *found, *_reasons(outcome)]), "")


def _assessment_text(outcome: JsonObject) -> str:
    """What was detected, how sure that is, and what VirusTotal says."""
    assessment, detected = _object_at(outcome, "assessment"), _object_at(outcome, "detected")
    if not assessment.get("summary"):
        return ""
    whole = str(assessment["summary"]).rstrip(".")
    cut = whole[:_LONGEST_SUMMARY].rpartition(" ")[0] or whole[:_LONGEST_SUMMARY]
    summary = whole if len(whole) <= _LONGEST_SUMMARY else f"{cut}…"
    sure = f", with {assessment['confidence']} confidence" if assessment.get("confidence") else ""
    known = _object_at(detected, "virustotal")
    reputation = f". {known['said']}" if known.get("lookup") in ("known", "unknown") else ""
    return f"{summary}{sure}{reputation}"


def _reasons(outcome: JsonObject) -> list[str]:
    reasons = _object_at(outcome, "decision").get("reasons")
    return [str(reason) for reason in reasons] if isinstance(reasons, list) else []


def _workload_text(workload: JsonObject) -> str:
    if not workload:
        return "no Cloud Run workload that we know of"
    name, project, region = (_text(workload, key) for key in ("name", "project", "location"))
    kind = _text(workload, "kind").replace("-", " ")
    return f"{kind} {name} in project {project}, {region}"


def _utc_text(moment: Json) -> str:
    """A time of ours, to the second, in UTC."""
    return f"{escape_for_chat(str(moment))[:19].replace('T', ' ')} UTC"


def _case_file_link(links: JsonObject) -> str:
    """Where to read on: the case file, in the console where it lies in a bucket.

    An address of our own making, without a character that either room takes for markup.
    """
    location = str(links.get("case_file") or "")
    bucket = location.removeprefix("gs://")
    return f"{_STORAGE}/{quote(bucket)}" if bucket != location else quote(location, safe="/:")


def _object_at(outcome: JsonObject, key: str) -> JsonObject:
    value = outcome.get(key)
    return value if isinstance(value, Mapping) else {}


def _objects(value: Json) -> list[JsonObject]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _text(value: JsonObject, key: str) -> str:
    text: Json = value.get(key)
    return escape_for_chat(str(text)) if text is not None else "unknown"
