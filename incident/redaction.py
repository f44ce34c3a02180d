"""Redaction: what is secret leaves only as a keyed mark; the rest of the evidence stays.

A mark is ``[redacted:`` and eight hex digits of a keyed hash: equal secrets have equal marks
within one key, and nobody without the key can test a guess.

Two things are recognised in a text: values known to be secret, in the encodings that programs
commonly print, and credentials by their form or by the name before them. What neither can know
is a limit: a password that stands alone and is in no environment, a secret behind a name that
says nothing, one that is split, reversed or compressed, one shorter than four characters.
And since environment values are hidden wherever they stand, whoever sets the environment can
have other evidence hidden too; the marks still show where, and that it is the same.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import html
import json
import re
import string
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, quote_plus

from incident.credential_patterns import (
    announced,
    announces_secret,
    candidates,
    may_announce,
    suggests_secret,
    words,
)
from incident.model import Json, Secret

_MARK = re.compile(r"\[redacted:[0-9a-f]{8}\]")
_MARKS = re.compile(r"(?:\[redacted:[0-9a-f]{8}\])+")
_PASSES = 4  # one replacement may uncover another; nearly always the second finds nothing
_DEEPEST = 100
_MARGIN = 8192  # characters beyond the cut, so that what the cut splits is still recognised
_GRAM = 4  # the shortest value under a name that suggests a secret
_SHORTEST = 6  # under any other name
_LONG_LINE = 20  # of a value of several lines: shown alone, it is still the secret's
_PREFIX = 1024  # characters by which a known value is recognised
_TAIL = 8  # of a secret's beginning where a text ends; of base64 that tells something
_NAME = 128  # characters of a name that are looked at

_PLATFORM = re.compile(
    r"PATH|HOME|LANG|LANGUAGE|LC_[A-Z]+|HOSTNAME|PORT|PWD|OLDPWD|TZ|SHLVL|SHELL|TERM|USER|LOGNAME|_"
    r"|K_(?:SERVICE|REVISION|CONFIGURATION)|CLOUD_RUN_[A-Z_]+|FUNCTION_(?:TARGET|SIGNATURE_TYPE)"
    r"|(?:GOOGLE_CLOUD_|GCP_|GCLOUD_)?(?:PROJECT|PROJECT_ID|REGION|LOCATION)"
    r"|PYTHON[A-Z_]*|NODE_VERSION|NODE_ENV|(?:APP_|RAILS_|FLASK_|DJANGO_)?ENV|ENVIRONMENT|LOG_LEVEL"
    r"|DEBIAN_FRONTEND|GPG_KEY|SSL_CERT_(?:FILE|DIR)|(?:JAVA|GO|GOPATH|CARGO|RUSTUP)_?(?:HOME|VERSION)"
)
_ORDINARY = re.compile(
    r"(?i)true|false|enabled|disabled|default|production|development|staging|warning|localhost"
    r"|[0-9]{1,9}|(?:127\.0\.0\.1|0\.0\.0\.0|localhost)(?::[0-9]{1,5})?"
    r"|(?::?/(?:app|bin|data|dev|etc|home|lib|mnt|opt|proc|root|run|sbin|srv|tmp|usr|var|workspace)"
    r"(?:/[a-z._-]{1,30}+[0-9]{0,6}+)*+/?+(?=:|$))++"
)
_NOTHING = frozenset({"true", "false", "none", "null"})
_RESOURCE = re.compile(r"projects/[\w.:-]+/[a-zA-Z]+/[\w./-]+")  # a name, not what it names
_ENVIRONMENTS = frozenset({"env", "envvariables", "envvars", "environment", "environmentvariables"})
_COMMANDS = frozenset({"args", "arguments", "command"})
_BODIES = frozenset({"request", "response"})
_HEADERS = frozenset({"authorization", "proxyauthorization", "cookie", "setcookie"})
_URLS = frozenset({"url", "urls", "uri", "uris", "referer", "referrer"})
_REFERENCE = frozenset(
    {"secret", "version", "items", "defaultmode", "projectid", "key", "name", "optional", "mode"}
)
_PROGRAMS = {
    "-p": frozenset({"sshpass", "login"}),
    "-a": frozenset({"redis-cli"}),
    "-b": frozenset({"curl"}),
}
_GLUED = frozenset({"mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump", "sshpass"})
_FLAG = re.compile(r"--?[A-Za-z][\w.-]*")
_LONG_FLAG = re.compile(r"--[a-z][a-z-]+|-[A-Za-z]")
_ASSIGNED = re.compile(r"(--?[A-Za-z][\w.-]*|[A-Za-z_]\w*)=(?=.)")
_HEADER = re.compile(r"\s*([\w-]+)\s*:\s*(?=\S)")
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{64,}+={0,2}")


class Span(NamedTuple):
    """A piece of a text that must not be shown, and the secret that stands there, decoded."""

    start: int
    end: int
    value: str


class _Rule(NamedTuple):
    """What a key of JSON says of its value: its kind, whether it is never shown, or a URL."""

    kind: str
    hidden: bool
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
        self._names: dict[str, str] = {}
        self._known = _KnownValues(secrets, frozenset(harmless))

    def text(self, value: str) -> str:
        """Evidence text, with known secret values and credentials replaced by marks."""
        return self._settled(value, self._spans)

    def arguments(self, values: Sequence[str]) -> list[str]:
        """A command line, each argument as text and as what the one before it announces."""
        programs = frozenset(value.rpartition("/")[2] for value in values if len(value) < _NAME)
        shown: list[str] = []
        before = ""
        for value in values:
            shown.append(self._argument(before, value, programs))
            before = value
        return shown

    def value(self, name: str, value: str) -> str:  # noqa: ARG002 - no name makes it showable
        """The mark of a value that is never shown, such as that of an environment variable."""
        return self._hide(value)

    def url(self, value: str) -> str:
        """A URL without userinfo, fragment and the values of its query; names are kept."""
        return self._settled(value, lambda text: [*self._spans(text), *_url_spans(text)])

    def json(self, value: Json) -> Json:
        """Any JSON of the same shape, each part redacted as its key demands.

        Strings are text; ``args``, ``arguments`` and ``command`` are command lines; environment
        values and what stands under a name that announces a secret are replaced whole; requests
        and responses of audit entries are dropped to a mark; URLs are treated as such. What is
        nested deeper than 100 levels becomes a mark.
        """
        return self._walk(value, "", _DEEPEST)

    def raw(self, data: bytes, *, limit: int) -> str:
        """The redacted beginning of a malformed message: what stood in its first characters.

        Args:
            data: Any bytes.
            limit: How many characters of it are shown at most, before the replacements.
        """
        margin = max(_MARGIN, self._known.longest)
        text = data[: 4 * (limit + margin)].decode(errors="replace").replace("\0", "")
        text = text[: limit + margin]
        spans = [*self._spans(text), *_raw_spans(text)]
        return self.text(self._shown(text, spans, limit))

    def _mark(self, value: str) -> str:
        digest = hmac.digest(self._key, value.encode(errors="surrogatepass"), "sha256")
        return f"[redacted:{digest.hex()[:8]}]"

    def _hide(self, value: str) -> str:
        return value if not value or _MARKS.fullmatch(value) else self._mark(value)

    def _settled(self, text: str, find: Callable[[str], Iterable[Span]]) -> str:
        """The text once no more is found in it, so that a second redaction changes nothing."""
        for _ in range(_PASSES):
            shown = self._shown(text, find(text))
            if shown == text:
                break
            text = shown
        return text

    def _spans(self, text: str) -> list[Span]:
        lowered = text.lower()
        return [*self._known.spans(text), *_by_form(text, lowered), *_by_name(text, lowered)]

    def _shown(self, text: str, spans: Iterable[Span], limit: int | None = None) -> str:
        """The text up to a limit, with marks for the spans that begin before it."""
        limit = len(text) if limit is None else limit
        parts: list[str] = []
        done = 0
        for start, end, value in _merged(text, spans):
            if start >= limit:
                break
            hidden = text[start:end]
            parts += (text[done:start], hidden if _MARKS.fullmatch(hidden) else self._mark(value))
            done = end
        return "".join(parts) + text[done:limit]

    def _argument(self, before: str, value: str, programs: frozenset[str]) -> str:
        flag = bool(_FLAG.fullmatch(before))
        if flag and not _LONG_FLAG.fullmatch(value):
            if announces_secret(before) or not programs.isdisjoint(_PROGRAMS.get(before, ())):
                return self._hide(value)
            if before in {"-u", "--user", "--proxy-user"}:
                user, colon, password = value.partition(":")
                if password and not password.isdigit() and not password.startswith("//"):
                    return self.text(user) + colon + self._hide(password)
        if before in {"-H", "--header"} and (header := _HEADER.match(value)):
            return self._header(header[1], value, header.end())
        if value.startswith("-p") and value != "-p" and not programs.isdisjoint(_GLUED):
            return value[:2] + self._hide(value[2:])
        script = before.startswith("-") and before.endswith("c")
        assigned = _ASSIGNED.match(value)
        if assigned and not script and announces_secret(assigned[1]):
            return value[: assigned.end()] + self._hide(value[assigned.end() :])
        return self.text(value)

    def _header(self, name: str, value: str, start: int) -> str:
        shown = self.text(value)
        if shown != value or not suggests_secret(name):
            return shown
        return value[:start] + self._hide(value[start:])

    def _walk(self, value: Json, key: str, depth: int) -> Json:
        if value is None or isinstance(value, str | bool | int | float):
            return self._scalar(value, key)
        if depth <= 0:
            return self._mark("")
        kind = _rule(key[:_NAME]).kind
        if kind in _ENVIRONMENTS:
            return self._environment(value, depth - 1)
        if isinstance(value, Mapping):
            return self._members(value, kind, depth - 1)
        strings = [item for item in value if isinstance(item, str)]
        if kind in _COMMANDS and len(strings) == len(value):
            return list(self.arguments(strings))
        return [self._walk(item, key, depth - 1) for item in value]

    def _scalar(self, value: Json, key: str) -> Json:
        if value is None or isinstance(value, bool):
            return value
        rule = _rule(key[:_NAME])
        if not isinstance(value, str):
            secret = rule.hidden or str(value) in self._known
            return self._mark(str(value)) if secret else value
        if rule.hidden and not _RESOURCE.fullmatch(value):
            return self._hide(value)
        return self.url(value) if rule.url else self.text(value)

    def _members(self, value: Mapping[str, Json], kind: str, depth: int) -> Json:
        audit = kind == "protopayload" or str(value.get("@type", "")).endswith(".AuditLog")
        reference = "secret" in value and _REFERENCE.issuperset(map(_plain, value))
        named = value.get("name", value.get("key"))
        secret = isinstance(named, str) and suggests_secret(named)
        members: dict[str, Json] = {}
        for name, member in value.items():
            shown: Json
            if audit and name in _BODIES and member is not None:
                shown = self._mark(_dumped(member))
            elif reference and isinstance(member, str):
                shown = self.text(member)
            elif secret and name in {"val", "value"} and isinstance(member, str):
                shown = self._hide(member)
            else:
                shown = self._walk(member, name, depth)
            members[self._name(name)] = shown
        return members

    def _environment(self, value: Json, depth: int) -> Json:
        """Variables as a map, as a list of names and values, or as a list of ``NAME=value``."""
        if depth <= 0:
            return self._mark("")
        if isinstance(value, str):
            name, equals, rest = value.partition("=")
            return self._name(name) + equals + self._hide(rest) if equals else self.text(value)
        if isinstance(value, Mapping):
            entry = "name" in value
            return {
                self._name(name): self._variable(name, member, depth - 1, entry=entry)
                for name, member in value.items()
            }
        if isinstance(value, Sequence):
            return [self._environment(item, depth - 1) for item in value]
        return value

    def _variable(self, name: str, member: Json, depth: int, *, entry: bool) -> Json:
        if isinstance(member, Mapping) or member is None:
            return self._walk(member, name, depth)
        if isinstance(member, str | int | float) and not (entry and name == "name"):
            return self._hide(str(member))
        return self._walk(member, "", depth)

    def _name(self, name: str) -> str:
        """A key of JSON: a mark where any of it is secret, so that keys stay distinct."""
        if name not in self._names:
            self._names[name] = name if self.text(name) == name else self._mark(name)
        return self._names[name]


class _KnownValues:
    """The values known to be secret, in all their encodings, found in one walk over a text.

    Of very long ones the beginning is enough to recognise them.
    """

    def __init__(self, secrets: Iterable[Secret], harmless: frozenset[str]) -> None:
        self._forms: dict[str, tuple[str, str]] = {}
        cut: set[str] = set()
        for secret in secrets:
            if not _worth_hiding(secret, harmless):
                continue
            for value in _values(secret.value, harmless):
                forms = {form for form in _forms(value) if len(form) >= _GRAM}
                self._forms.update({form[:_PREFIX]: (form, value) for form in forms})
                if value != secret.value or suggests_secret(secret.name):
                    cut |= forms
        self._sorted = sorted(self._forms)
        self._shorter = _enclosed(self._sorted)
        self._grams = {form[:_GRAM] for form in self._sorted}
        self._cut = sorted(cut)
        self.longest = max((len(form) for form, _ in self._forms.values()), default=0)

    def __contains__(self, value: str) -> bool:
        return self._forms.get(value, ("", ""))[0] == value

    def spans(self, text: str) -> list[Span]:
        """Where a known value stands, or at the end of the text the beginning of one."""
        grams = self._grams
        if not grams:
            return []
        starts = [at for at in range(len(text) - 3) if text[at : at + _GRAM] in grams]
        spans = []
        for at in starts:
            found = self._longest_at(text, at)
            if found is not None:
                form, value = self._forms[found]
                end = at + len(form if text.startswith(form, at) else found)
                spans.append(Span(at, end, value))
            elif self._is_cut(text, at):
                spans.append(Span(at, len(text), text[at:]))
        return spans

    def _longest_at(self, text: str, at: int) -> str | None:
        """The longest of the sorted beginnings here: the last one before it, or in that one."""
        place = bisect_right(self._sorted, text[at : at + _PREFIX])
        found = self._sorted[place - 1] if place else None
        while found is not None and not text.startswith(found, at):
            found = self._shorter.get(found)
        return found

    def _is_cut(self, text: str, at: int) -> bool:
        rest = len(text) - at
        if not _TAIL <= rest < self.longest:
            return False
        tail = text[at:]
        place = bisect_left(self._cut, tail)
        return place < len(self._cut) and self._cut[place].startswith(tail)


def _enclosed(ordered: Sequence[str]) -> dict[str, str]:
    """For each of some sorted texts the longest other one with which it begins, if any."""
    enclosed: dict[str, str] = {}
    open_ones: list[str] = []
    for form in ordered:
        while open_ones and not form.startswith(open_ones[-1]):
            open_ones.pop()
        if open_ones:
            enclosed[form] = open_ones[-1]
        open_ones.append(form)
    return enclosed


def _worth_hiding(secret: Secret, harmless: frozenset[str]) -> bool:
    directory = secret.name in {"PWD", "OLDPWD"} and secret.value.startswith("/")
    platform = _PLATFORM.fullmatch(secret.name) and not announces_secret(secret.name)
    if directory or platform or secret.value in harmless:
        return False
    if suggests_secret(secret.name):
        number = secret.value.isdigit() and len(secret.value) < _SHORTEST
        return len(secret.value) >= _GRAM and not number and secret.value.lower() not in _NOTHING
    return len(secret.value) >= _SHORTEST and not _ORDINARY.fullmatch(secret.value)


def _values(value: str, harmless: frozenset[str]) -> set[str]:
    """A secret value, its long lines, and the credentials inside it.

    Options in an address, such as ``?sslmode=require``, are none by themselves.
    """
    lowered = value.lower()
    lines = {
        line.strip() for line in value.splitlines() if len(line) >= _LONG_LINE and "---" not in line
    }
    spans = (*_by_form(value.partition("?")[0], lowered), *_by_name(value, lowered))
    parts = lines | {span.value for span in spans} | {value.strip()}
    return {value} | {part for part in parts - harmless if len(part) >= _SHORTEST}


def _forms(value: str) -> Iterator[str]:
    """How programs print a value: as it is, percent-encoded, escaped, in base64, in hex."""
    yield value
    data = value.encode(errors="surrogatepass")
    for safe in ("", "/", "!'()*~", "/:?#[]@!$&'()*+,;=~"):
        encoded = quote(data, safe=safe)
        yield encoded
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)
    yield quote_plus(data)
    for ascii_only in (True, False):
        escaped = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")
        yield re.sub("[<>&]", lambda match: f"\\u{ord(match[0]):04x}", escaped)
        yield re.sub("[<>&='`]", lambda match: f"\\u{ord(match[0]):04x}", escaped)
        yield json.dumps(escaped, ensure_ascii=ascii_only)[1:-1]
    yield html.escape(value)
    yield value.replace("'", "'\\''")
    if len(data) >= _SHORTEST:
        yield data.hex()
        yield from _in_base64(data)


def _in_base64(data: bytes) -> Iterator[str]:
    """Base64 of it alone, and what shows of it inside a longer encoded text."""
    for alphabet in (None, b"-_"):
        yield base64.b64encode(data, alphabet).decode()
        for shift, first in ((0, 0), (1, 2), (2, 3)):
            whole = (shift + len(data)) * 8 // 6
            core = base64.b64encode(bytes(shift) + data, alphabet).decode()[first:whole]
            if len(core) >= _TAIL:
                yield core


def _by_form(text: str, lowered: str) -> Iterator[Span]:
    for pattern in candidates(text, lowered):
        for found in pattern.expression.finditer(text):
            yield Span(*found.span("secret"), found["secret"])


def _by_name(text: str, lowered: str) -> Iterator[Span]:
    if may_announce(lowered):
        for start, end in announced(text, announces_secret):
            yield Span(start, end, text[start:end])


def _raw_spans(text: str) -> Iterator[Span]:
    def suspicious(name: str) -> bool:
        return name in {"val", "value"} or suggests_secret(name)

    for start, end in announced(text, suspicious):
        yield Span(start, end, text[start:end])
    for found in _ENCODED.finditer(text):
        if _hides_text(found[0]):
            yield Span(*found.span(), found[0])


def _hides_text(encoded: str) -> bool:
    """Whether it is base64 of text, as the envelope of a push has it."""
    try:
        data = base64.b64decode(encoded[:64], b"-_" if set("-_") & set(encoded) else None)
    except binascii.Error:
        return False
    return sum(chr(byte) in string.printable for byte in data) > 0.9 * len(data)


def _url_spans(value: str) -> Iterator[Span]:
    scheme, _, after = value.partition("://")
    start = len(scheme) + 3
    authority = re.split("[/?#]", after, maxsplit=1)[0]
    userinfo, at, _ = authority.rpartition("@")
    if at:
        yield Span(start, start + len(userinfo), userinfo)
    rest, _, fragment = value.partition("#")
    yield Span(len(rest) + 1, len(value), fragment)
    path, _, query = rest.partition("?")
    end = len(path)
    for pair in query.split("&"):
        name, equals, shown = pair.partition("=")
        begin, end = end + 1, end + 1 + len(pair)
        yield Span(begin + len(name) + 1, end, shown) if equals else Span(begin, end, pair)


def _merged(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    """The spans in order, those that overlap as one; a mark is never split."""
    marks = (Span(*found.span(), found[0]) for found in _MARK.finditer(text))
    ordered = sorted((*spans, *marks), key=lambda span: (span.start, -span.end))
    current: Span | None = None
    for span in ordered:
        if span.end <= span.start:
            continue
        if current is None or span.start >= current.end:
            if current:
                yield current
            current = span
        elif span.end > current.end:
            current = Span(current.start, span.end, text[current.start : span.end])
    if current:
        yield current


@lru_cache(maxsize=1024)
def _rule(key: str) -> _Rule:
    kind = _plain(key)
    last = words(key)[-1:]
    return _Rule(kind, kind in _HEADERS or announces_secret(key), bool(_URLS.intersection(last)))


def _plain(key: str) -> str:
    return key.replace("_", "").replace("-", "").lower()


def _dumped(value: Json) -> str:
    try:
        return json.dumps(value, sort_keys=True, default=str)
    except RecursionError:
        return ""
