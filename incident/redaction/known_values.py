"""The values known to be secret: which are worth hiding, how programs print them, where they stand.

What looks like a credential by itself does not belong here.
"""

from __future__ import annotations

import base64
import html
import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

from incident.model import Secret
from incident.redaction.secret_names import announces_secret, suggests_secret
from incident.redaction.spans import Span, by_form, by_name

_MOST_NODES = 10_000  # of a value that is JSON
_GRAM = 4  # the shortest value under a name that suggests a secret
_SHORTEST = 6  # under any other name
_LONG_LINE = 20  # of a value of several lines: shown alone, it is still the secret's
_PREFIX = 1024  # characters by which a known value is recognised
_TAIL = 8  # of a secret's beginning where a text ends; of base64 that tells something

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
# Words, at most with a short number behind them, joined as names and addresses are.
_WORD = r"(?:(?:[A-Z]?[a-z]+|[A-Z]+)[0-9]{0,3}|[0-9]{1,6})"
_NAME = re.compile(rf"(?:[a-z][a-z0-9+.-]*://)?{_WORD}(?:[._@/ :-]+{_WORD})*/?")
_NOTHING = frozenset({"true", "false", "none", "null"})


class KnownValues:
    """The values known to be secret, in all their encodings, found in one walk over a text.

    Of very long ones the beginning is enough to recognise them.
    """

    def __init__(self, secrets: Iterable[Secret], harmless: frozenset[str]) -> None:
        self._forms: dict[str, tuple[str, str]] = {}
        cut: set[str] = set()
        for secret in (each for given in secrets for each in (given, *_leaves(given))):
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


def _leaves(secret: Secret) -> Iterator[Secret]:
    """The texts in a value that is JSON, which programs log alone; what plainly is a name stays.

    The names of hosts, accounts and places are evidence, and such a value is full of them.
    """
    if not secret.value.lstrip().startswith(("{", "[")):
        return
    try:
        waiting: list[tuple[str, Any]] = [(secret.name, json.loads(secret.value))]
    except (ValueError, RecursionError):
        return
    for _ in range(_MOST_NODES):
        if not waiting:
            return
        name, node = waiting.pop()
        if isinstance(node, dict):
            waiting += node.items()
        elif isinstance(node, list):
            waiting += [(name, each) for each in node]
        elif isinstance(node, str) and (announces_secret(name) or not _NAME.fullmatch(node)):
            yield Secret(name, node)


def _values(value: str, harmless: frozenset[str]) -> set[str]:
    """A secret value, its long lines, and the credentials inside it.

    Options in an address, such as ``?sslmode=require``, are none by themselves.
    """
    lowered = value.lower()
    lines = {
        line.strip() for line in value.splitlines() if len(line) >= _LONG_LINE and "---" not in line
    }
    spans = (*by_form(value.partition("?")[0], lowered), *by_name(value, lowered))
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
        yield data.hex().upper()
        yield from _in_base64(data)
    if _SHORTEST <= len(data) <= _PREFIX:  # nobody escapes more than that for a person to read
        yield from _byte_by_byte(value, data)
        yield base64.b32encode(data).decode().rstrip("=")
        yield base64.b64encode(base64.b64encode(data)).decode().rstrip("=")


def _byte_by_byte(value: str, data: bytes) -> Iterator[str]:
    """Every character escaped, whether it needs that or not."""
    units = value.encode("utf-16-be", errors="surrogatepass")
    for sign, digits in (("%", data.hex("%")), ("\\x", data.hex("%")), ("\\u", units.hex("%", 2))):
        for cased in (digits, digits.upper()):
            yield sign + cased.replace("%", sign)


def _in_base64(data: bytes) -> Iterator[str]:
    """Base64 of it alone, and what shows of it inside a longer encoded text."""
    for alphabet in (None, b"-_"):
        yield base64.b64encode(data, alphabet).decode()
        for shift, first in ((0, 0), (1, 2), (2, 3)):
            whole = (shift + len(data)) * 8 // 6
            core = base64.b64encode(bytes(shift) + data, alphabet).decode()[first:whole]
            if len(core) >= _TAIL:
                yield core
