"""Redact secrets in text, URLs, command lines and JSON; a keyed HMAC mark takes their place.

A mark is ``[redacted:`` and eight hex digits of a keyed hash: equal secrets have equal marks
within one key, and nobody without the key can test a guess.

Two kinds of secrets are found in a text: known values, in the encodings that programs commonly
print, and credentials, by their format or by the name before them. Not found: a password that
stands alone and is in no environment, a secret behind a name that does not suggest one, one that
is split, reversed or compressed, one shorter than four characters. Environment values are
hidden everywhere, so an attacker who sets the environment can hide other evidence; the marks
still show where it was, and that it is the same value.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple, TypeVar

from incident.model import IncidentError, Json, Secret
from incident.redaction.credential_contexts import MARK_PATTERN
from incident.redaction.known_values import KnownValues, known_values
from incident.redaction.secret_names import names_secret, split_name, suggests_secret
from incident.redaction.spans import (
    Span,
    credential_spans,
    encoded_url_spans,
    merge_spans,
    named_value_spans,
    suspicious_spans,
    url_spans,
)

_MARKS = re.compile(rf"(?:{MARK_PATTERN})+")
_MAX_PASSES = 4  # one replacement may uncover another; nearly always the second finds nothing
_MAX_DEPTH = 100
_MARGIN = 8192  # characters beyond the cut, so that what the cut splits is still recognised
_MAX_NAME_LENGTH = 128  # characters of a name that are looked at
# The names of logs, services and severities come with every log entry.
_MAX_REMEMBERED_LENGTH = 200
_MAX_REMEMBERED = 2000

_RESOURCE = re.compile(r"projects/[\w.:-]+/[a-zA-Z]+/[\w./-]+")  # a name, not what it names
_ENVIRONMENTS = frozenset(
    {"env", "environ", "envvariables", "envvars", "environment", "environmentvariables"}
)
_COMMANDS = frozenset({"args", "arguments", "command"})
_AUDIT_BODIES = frozenset({"request", "response"})
_SECRET_HEADERS = frozenset({"authorization", "proxyauthorization", "cookie", "setcookie"})
_URL_WORDS = frozenset({"url", "urls", "uri", "uris", "referer", "referrer"})
_SECRET_REFERENCE_KEYS = frozenset(
    {"secret", "version", "items", "defaultmode", "projectid", "key", "name", "optional", "mode"}
)
_PASSWORD_FLAGS = {
    "-p": frozenset({"sshpass", "login"}),
    "-a": frozenset({"redis-cli"}),
    "-b": frozenset({"curl"}),
}
_ATTACHED_PASSWORD_PROGRAMS = frozenset(
    {"mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump", "sshpass"}
)
_FLAG = re.compile(r"--?[A-Za-z][\w.-]*")
_LONG_FLAG = re.compile(r"--[a-z][a-z-]+|-[A-Za-z]")
_ASSIGNMENT = re.compile(r"(--?[A-Za-z][\w.-]*|[A-Za-z_]\w*)=(?=.)")
_HEADER = re.compile(r"\s*([\w-]+)\s*:\s*(?=\S)")


_E = TypeVar("_E", bound=IncidentError)


class _KeyRule(NamedTuple):
    """What a key of JSON says of its value: its kind, whether it is never shown, or a URL."""

    kind: str
    secret: bool
    url: bool


class Redactor:
    """Replaces what is secret in the evidence of one incident.

    Args:
        key: Key of the marks.
        secrets: Values that may be secret, with their names. Those that plainly are not, such
            as a path of the system, a number or the value of ``PORT``, are left out.
        harmless: Values that stay, such as the names of the workload, project and region.

    Raises:
        ValueError: The key is empty.
    """

    def __init__(
        self, key: bytes, secrets: Iterable[Secret] = (), *, harmless: Iterable[str] = ()
    ) -> None:
        if not key:
            raise ValueError("redact: the key of the marks is empty")
        self._key = key
        self._shown_names: dict[str, str] = {}
        self._shown_texts: dict[str, str] = {}
        self._secrets = tuple(secrets)
        self._harmless = frozenset(harmless)

    @cached_property
    def _known(self) -> KnownValues:
        """The known values; with many of them it takes a while, so at first use, in a thread."""
        return known_values(self._secrets, self._harmless)

    @property
    def limit(self) -> str:
        """What of the known values is not searched for, for a person; empty where all is."""
        number = self._known.unencoded
        if not number:
            return ""
        return f"{number} environment values are searched for as they are, not in other encodings"

    def text(self, value: str) -> str:
        """Evidence text, with known secret values and credentials replaced by marks."""
        if len(value) > _MAX_REMEMBERED_LENGTH:
            return self._until_stable(value, self._spans)
        shown = self._shown_texts.get(value)
        if shown is None:
            if len(self._shown_texts) >= _MAX_REMEMBERED:
                self._shown_texts.clear()
            shown = self._until_stable(value, self._spans)
            self._shown_texts[value] = shown
        return shown

    def arguments(self, values: Sequence[str]) -> list[str]:
        """A command line, each argument as text and as what the one before it announces."""
        programs = frozenset(
            value.rpartition("/")[2] for value in values if len(value) < _MAX_NAME_LENGTH
        )
        shown: list[str] = []
        before = ""
        for value in values:
            shown.append(self._argument(before, value, programs))
            before = value
        return shown

    def value(self, name: str, value: str) -> str:  # noqa: ARG002 - no name makes it showable
        """The mark of a value that is never shown, such as that of an environment variable."""
        return self._redacted(value)

    def url(self, value: str) -> str:
        """A URL without userinfo, fragment and the values of its query; names are kept."""
        return self._until_stable(value, lambda text: [*self._spans(text), *url_spans(text)])

    def json(self, value: Json) -> Json:
        """Any JSON of the same shape, each part redacted as its key demands.

        Strings are text; ``args``, ``arguments`` and ``command`` are command lines; environment
        values and values under a name that announces a secret are replaced whole; requests
        and responses of audit entries are dropped to a mark; URLs are treated as such. What is
        nested deeper than 100 levels becomes a mark.
        """
        return self._walk(value, "", _MAX_DEPTH)

    def malformed(self, data: bytes, *, limit: int) -> str:
        """The redacted beginning of a malformed message: what stood in its first characters.

        Args:
            data: Any bytes.
            limit: How many characters of it are shown at most, before the replacements.
        """
        margin = max(_MARGIN, self._known.longest)
        text = data[: 4 * (limit + margin)].decode(errors="replace").replace("\0", "")
        text = text[: limit + margin]
        suspected = list(suspicious_spans(text))
        # A value under a secret name may occur again without that name.
        repeated = KnownValues((Secret("SECRET", span.value) for span in suspected), frozenset())
        spans = [*self._spans(text), *suspected, *repeated.spans(text)]
        return self.text(self._with_marks(text, spans, limit))

    def _mark(self, value: str) -> str:
        digest = hmac.digest(self._key, value.encode(errors="surrogatepass"), "sha256")
        return f"[redacted:{digest.hex()[:8]}]"

    def _redacted(self, value: str) -> str:
        return value if not value or _MARKS.fullmatch(value) else self._mark(value)

    def _until_stable(self, text: str, find: Callable[[str], Iterable[Span]]) -> str:
        """The text once no more is found in it, so that a second redaction changes nothing."""
        for _ in range(_MAX_PASSES):
            shown = self._with_marks(text, find(text))
            if shown == text:
                break
            text = shown
        return text

    def _spans(self, text: str) -> list[Span]:
        shown_by_itself = _remembered_spans if len(text) <= _MAX_REMEMBERED_LENGTH else _spans
        return [*self._known.spans(text), *shown_by_itself(text)]

    def _with_marks(self, text: str, spans: Iterable[Span], limit: int | None = None) -> str:
        """The text up to a limit, with marks for the spans that begin before it."""
        limit = len(text) if limit is None else limit
        parts: list[str] = []
        done = 0
        for start, end, value in merge_spans(text, spans):
            if start >= limit:
                break
            original = text[start:end]
            parts += (
                text[done:start],
                original if _MARKS.fullmatch(original) else self._mark(value),
            )
            done = end
        return "".join(parts) + text[done:limit]

    def _argument(self, before: str, value: str, programs: frozenset[str]) -> str:
        flag = bool(_FLAG.fullmatch(before))
        if flag and not _LONG_FLAG.fullmatch(value):
            if names_secret(before) or not programs.isdisjoint(_PASSWORD_FLAGS.get(before, ())):
                return self._redacted(value)
            if before in {"-u", "--user", "--proxy-user"}:
                user, colon, password = value.partition(":")
                if password and not password.isdigit() and not password.startswith("//"):
                    return self.text(user) + colon + self._redacted(password)
        if before in {"-H", "--header"} and (header := _HEADER.match(value)):
            return self._header(header[1], value, header.end())
        if (
            value.startswith("-p")
            and value != "-p"
            and not programs.isdisjoint(_ATTACHED_PASSWORD_PROGRAMS)
        ):
            return value[:2] + self._redacted(value[2:])
        script = before.startswith("-") and before.endswith("c")
        assigned = _ASSIGNMENT.match(value)
        if assigned and not script and names_secret(assigned[1]):
            return value[: assigned.end()] + self._redacted(value[assigned.end() :])
        return self.text(value)

    def _header(self, name: str, value: str, start: int) -> str:
        shown = self.text(value)
        if shown != value or not suggests_secret(name):
            return shown
        return value[:start] + self._redacted(value[start:])

    def _walk(self, value: Json, key: str, depth: int) -> Json:
        if value is None or isinstance(value, str | bool | int | float):
            return self._scalar(value, key)
        if depth <= 0:
            return self._mark("")
        kind = _key_rule(key[:_MAX_NAME_LENGTH]).kind
        if kind in _ENVIRONMENTS:
            return self._environment(value, depth - 1)
        if isinstance(value, Mapping):
            return self._object(value, kind, depth - 1)
        strings = [item for item in value if isinstance(item, str)]
        if kind in _COMMANDS and len(strings) == len(value):
            return list(self.arguments(strings))
        return [self._walk(item, key, depth - 1) for item in value]

    def _scalar(self, value: Json, key: str) -> Json:
        if value is None or isinstance(value, bool):
            return value
        rule = _key_rule(key[:_MAX_NAME_LENGTH])
        if not isinstance(value, str):
            secret = rule.secret or str(value) in self._known
            return self._mark(str(value)) if secret else value
        if rule.secret and not _RESOURCE.fullmatch(value):
            return self._redacted(value)
        return self.url(value) if rule.url else self.text(value)

    def _object(self, value: Mapping[str, Json], kind: str, depth: int) -> Json:
        audit = kind == "protopayload" or str(value.get("@type", "")).endswith(".AuditLog")
        reference = "secret" in value and _SECRET_REFERENCE_KEYS.issuperset(
            map(_normalized_key, value)
        )
        named = value.get("name", value.get("key"))
        secret = isinstance(named, str) and suggests_secret(named)
        members: dict[str, Json] = {}
        for name, member in value.items():
            shown: Json
            if audit and name in _AUDIT_BODIES and member is not None:
                shown = self._mark(_as_text(member))
            elif reference and isinstance(member, str):
                shown = self.text(member)
            elif secret and name in {"val", "value"} and isinstance(member, str):
                shown = self._redacted(member)
            else:
                shown = self._walk(member, name, depth)
            members[self._shown_name(name)] = shown
        return members

    def _environment(self, value: Json, depth: int) -> Json:
        """Variables as a map, as a list of names and values, or as a list of ``NAME=value``."""
        if depth <= 0:
            return self._mark("")
        if isinstance(value, str):
            name, equals, rest = value.partition("=")
            return (
                self._shown_name(name) + equals + self._redacted(rest)
                if equals
                else self.text(value)
            )
        if isinstance(value, Mapping):
            entry = "name" in value
            return {
                self._shown_name(name): self._variable(name, member, depth - 1, entry=entry)
                for name, member in value.items()
            }
        if isinstance(value, Sequence):
            return [self._environment(item, depth - 1) for item in value]
        return value

    def _variable(self, name: str, member: Json, depth: int, *, entry: bool) -> Json:
        if isinstance(member, Mapping) or member is None:
            return self._walk(member, name, depth)
        if isinstance(member, str | int | float) and not (entry and name == "name"):
            return self._redacted(str(member))
        return self._walk(member, "", depth)

    def _shown_name(self, name: str) -> str:
        """A key of JSON: a mark where any of it is secret, so that keys stay distinct."""
        if name not in self._shown_names:
            self._shown_names[name] = name if self.text(name) == name else self._mark(name)
        return self._shown_names[name]


def redact_error(error: _E, redactor: Redactor) -> _E:
    """The same error with a redacted message, which may be stored, logged and printed.

    What Google answers is text from outside: it may quote the environment that it was sent, and
    headers of the call.
    """
    error.args = (redactor.text(str(error)),)
    return error


def _spans(text: str) -> tuple[Span, ...]:
    """What a text gives away by itself, whatever values are known."""
    lowered = text.lower()
    return (
        *credential_spans(text, lowered),
        *named_value_spans(text, lowered),
        *encoded_url_spans(text, lowered),
    )


#: Roles, permissions, names of fields and the playbook's sentences come with every incident.
_remembered_spans = lru_cache(maxsize=8192)(_spans)


@lru_cache(maxsize=1024)
def _key_rule(key: str) -> _KeyRule:
    kind = _normalized_key(key)
    last = split_name(key)[-1:]
    return _KeyRule(
        kind, kind in _SECRET_HEADERS or names_secret(key), bool(_URL_WORDS.intersection(last))
    )


def _normalized_key(key: str) -> str:
    return key.replace("_", "").replace("-", "").lower()


def _as_text(value: Json) -> str:
    try:
        return json.dumps(value, sort_keys=True, default=str)
    except RecursionError:
        return ""
