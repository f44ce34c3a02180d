"""An outcome as a short text for a chat room: what, where, what was done, what to do, a link.

Slack and Google Chat take the same ``{"text": …}`` and have markup of their own in it. What
came from a finding is made harmless for both: no mention, no link, no formatting, one line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from incident.model import Json, JsonObject, Status

_LONGEST = 240
_MOST_CHANGES = 6
_STORAGE = "https://console.cloud.google.com/storage/browser"
# What begins markup in either, and what stands in for it, for the eye nearly the same. An
# entity for < is markup in Slack and five odd characters in Google Chat.
_HARMLESS = str.maketrans("<>&*_~`|@#[]", "‹›＆∗＿∼ʼ¦＠＃()")  # noqa: RUF001 - lookalikes are the point
# Control and format characters (bidirectional ones among them), surrogates, private and
# unassigned ones, separators of lines, and marks that pile up on the character before.
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Me", "Mn"))
# What both rooms would make a link of by themselves.
_SCHEME = re.compile(r":(?=//)|(?<=mailto):|(?<=tel):", re.IGNORECASE)
_DOMAIN = re.compile(r"\.(?=[^\W\d_]{2})")

_DONE: Mapping[Status, tuple[str, str]] = {
    Status.CONTAINED: (
        "stopped, and read back as stopped",
        "find out how it came in, rotate what was in reach, and release it when it is clean",
    ),
    Status.RESTRICTED: (
        "entry is restricted, and was read back; what runs was NOT stopped",
        "look now, and stop it by hand if it is hostile",
    ),
    Status.ALREADY_CONTAINED: (
        "nothing: it was stopped already, not by us",
        "ask whoever stopped it; there is nothing to release",
    ),
    Status.UNVERIFIED: (
        "written, but NOT seen in effect",
        "look now whether it still runs",
    ),
    Status.FAILED: (
        "it FAILED: nothing shows that it is contained",
        "look now, and contain it by hand; the reason says what to mend",
    ),
    Status.AWAITING_APPROVAL: (
        "nothing yet: the plan waits for a person",
        "look at the plan in the case file, and decide",
    ),
    Status.HELD: (
        "nothing: it is held for a person",
        "look at the evidence in the case file, and decide",
    ),
    Status.PLANNED: (
        "nothing: this was a dry run",
        "act by hand if it is right; nothing was written",
    ),
    Status.EXPIRED: (
        "nothing: nobody approved in time",
        "look whether it still runs, and decide",
    ),
    Status.RELEASED: (
        "the containment was taken back",
        "watch for later findings: they are held",
    ),
}


def brief(outcome: JsonObject) -> str:
    """The text, a few lines of a few hundred characters each at most."""
    return "\n".join(_lines(outcome))


def harmless(text: str) -> str:
    """A text of anybody's choice as it may stand in a chat room: one bounded line of plain text."""
    composed = unicodedata.normalize("NFC", text[: 2 * _LONGEST])
    visible = "".join(
        " " if char.isspace() else "�" if unicodedata.category(char) in _INVISIBLE else char
        for char in composed
    )
    plain = " ".join(visible.split()).translate(_HARMLESS)
    shown = f"{plain[:_LONGEST]}…" if len(plain) > _LONGEST or len(text) > 2 * _LONGEST else plain
    return _DOMAIN.sub("[.]", _SCHEME.sub("[:]", shown))


def _lines(outcome: JsonObject) -> Iterator[str]:
    finding, detected = _part(outcome, "finding"), _part(outcome, "detected")
    status = Status(str(outcome["status"]))
    severity = f" ({_text(finding, 'severity')})" if finding.get("severity") else ""
    yield f"{status.value.upper()}: {_text(finding, 'category')}{severity}"
    yield f"Where: {_where(_part(outcome, 'workload'))}"
    if detected.get("binary_path"):
        yield f"Detected: {_text(detected, 'binary_path')}"
    done, to_do = _DONE.get(status, ("nothing", "look at the case file"))
    yield f"Done: {done}{_actions(outcome)}"
    if outcome.get("drains_until"):
        yield f"Requests in flight may run until {_text(outcome, 'drains_until')}"
    if why := _why(outcome):
        yield f"Why: {harmless(why)}"
    yield f"To do: {to_do}"
    yield f"Incident {_text(outcome, 'incident')}: {_link(_part(outcome, 'links'))}"


def _why(outcome: JsonObject) -> str:
    """What went wrong with a change, if anything did; else the first reason of the decision."""
    changes = outcome.get("changes")
    listed = [c for c in changes if isinstance(c, Mapping)] if isinstance(changes, list) else []
    errors = [str(change["error"]) for change in listed if change.get("error")]
    reasons = _part(outcome, "decision").get("reasons")
    told = [str(reason) for reason in reasons] if isinstance(reasons, list) else []
    return next(iter([*errors, *told]), "")


def _where(workload: JsonObject) -> str:
    if not workload:
        return "no Cloud Run workload that we know of"
    name, project, region = (_text(workload, key) for key in ("name", "project", "location"))
    return f"{_text(workload, 'kind')} {name} in project {project}, {region}"


def _actions(outcome: JsonObject) -> str:
    """The actions with how far each came, such as ``(scale-to-zero verified)``."""
    changes = outcome.get("changes")
    told = [
        f"{_text(change, 'action')} {_text(change, 'state')}"
        for change in (changes if isinstance(changes, list) else ())
        if isinstance(change, Mapping)
    ]
    return f" ({', '.join(dict.fromkeys(told[:_MOST_CHANGES]))})" if told else ""


def _link(links: JsonObject) -> str:
    """Where to read on: the case file, in the console where it lies in a bucket.

    An address of our own making, without a character that either room takes for markup.
    """
    place = str(links.get("case_file") or "")
    bucket = place.removeprefix("gs://")
    return f"{_STORAGE}/{quote(bucket)}" if bucket != place else quote(place, safe="/:")


def _part(outcome: JsonObject, key: str) -> JsonObject:
    value = outcome.get(key)
    return value if isinstance(value, Mapping) else {}


def _text(value: JsonObject, key: str) -> str:
    said: Json = value.get(key)
    return harmless(str(said)) if said is not None else "unknown"
