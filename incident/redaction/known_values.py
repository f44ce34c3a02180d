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
from incident.redaction.secret_names import names_secret, suggests_secret
from incident.redaction.spans import Span, credential_spans, named_value_spans

_MAX_JSON_NODES = 10_000  # of a value that is JSON
_MIN_NAMED_LENGTH = 4  # the shortest value under a name that suggests a secret
_MIN_LENGTH = 6  # under any other name
_MIN_LINE_LENGTH = 20  # of a value of several lines: shown alone, it is still the secret's
_PREFIX_LENGTH = 1024  # characters by which a known value is recognised
_MIN_TRUNCATED_LENGTH = (
    8  # of a secret's beginning where a text ends; of base64 that tells something
)

_PLATFORM_VARIABLES = re.compile(
    r"PATH|HOME|LANG|LANGUAGE|LC_[A-Z]+|HOSTNAME|PORT|PWD|OLDPWD|TZ|SHLVL|SHELL|TERM|USER|LOGNAME|_"
    r"|K_(?:SERVICE|REVISION|CONFIGURATION)|CLOUD_RUN_[A-Z_]+|FUNCTION_(?:TARGET|SIGNATURE_TYPE)"
    r"|(?:GOOGLE_CLOUD_|GCP_|GCLOUD_)?(?:PROJECT|PROJECT_ID|REGION|LOCATION)"
    r"|PYTHON[A-Z_]*|NODE_VERSION|NODE_ENV|(?:APP_|RAILS_|FLASK_|DJANGO_)?ENV|ENVIRONMENT|LOG_LEVEL"
    r"|DEBIAN_FRONTEND|GPG_KEY|SSL_CERT_(?:FILE|DIR)|(?:JAVA|GO|GOPATH|CARGO|RUSTUP)_?(?:HOME|VERSION)"
)
_COMMON_VALUES = re.compile(
    r"(?i)true|false|enabled|disabled|default|production|development|staging|warning|localhost"
    r"|[0-9]{1,9}|(?:127\.0\.0\.1|0\.0\.0\.0|localhost)(?::[0-9]{1,5})?"
    r"|(?::?/(?:app|bin|data|dev|etc|home|lib|mnt|opt|proc|root|run|sbin|srv|tmp|usr|var|workspace)"
    r"(?:/[a-z._-]{1,30}+[0-9]{0,6}+)*+/?+(?=:|$))++"
)
# Words, at most with a short number behind them, joined as names and addresses are.
_PLAIN_WORD = r"(?:(?:[A-Z]?[a-z]+|[A-Z]+)[0-9]{0,3}|[0-9]{1,6})"
_PLAIN_NAME = re.compile(rf"(?:[a-z][a-z0-9+.-]*://)?{_PLAIN_WORD}(?:[._@/ :-]+{_PLAIN_WORD})*/?")
_EMPTY_LITERALS = frozenset({"true", "false", "none", "null"})


class KnownValues:
    """The values known to be secret, in all their encodings, found in one walk over a text.

    Of very long ones the beginning is enough to recognise them.
    """

    def __init__(self, secrets: Iterable[Secret], harmless: frozenset[str]) -> None:
        self._encodings: dict[str, tuple[str, str]] = {}
        truncatable: set[str] = set()
        for secret in (each for given in secrets for each in (given, *_json_strings(given))):
            if not _is_secret(secret, harmless):
                continue
            for value in _secret_parts(secret.value, harmless):
                encodings = {form for form in _encodings(value) if len(form) >= _MIN_NAMED_LENGTH}
                self._encodings.update({form[:_PREFIX_LENGTH]: (form, value) for form in encodings})
                if value != secret.value or suggests_secret(secret.name):
                    truncatable |= encodings
        self._sorted = sorted(self._encodings)
        self._longest_prefix = _longest_prefixes(self._sorted)
        self._grams = {form[:_MIN_NAMED_LENGTH] for form in self._sorted}
        self._truncatable = sorted(truncatable)
        self.longest = max((len(form) for form, _ in self._encodings.values()), default=0)

    def __contains__(self, value: str) -> bool:
        return self._encodings.get(value, ("", ""))[0] == value

    def spans(self, text: str) -> list[Span]:
        """Where a known value stands, or at the end of the text the beginning of one."""
        grams = self._grams
        if not grams:
            return []
        starts = [at for at in range(len(text) - 3) if text[at : at + _MIN_NAMED_LENGTH] in grams]
        spans = []
        for at in starts:
            found = self._longest_at(text, at)
            if found is not None:
                form, value = self._encodings[found]
                end = at + len(form if text.startswith(form, at) else found)
                spans.append(Span(at, end, value))
            elif self._is_truncated(text, at):
                spans.append(Span(at, len(text), text[at:]))
        return spans

    def _longest_at(self, text: str, at: int) -> str | None:
        """The longest of the sorted beginnings here: the last one before it, or in that one."""
        index = bisect_right(self._sorted, text[at : at + _PREFIX_LENGTH])
        found = self._sorted[index - 1] if index else None
        while found is not None and not text.startswith(found, at):
            found = self._longest_prefix.get(found)
        return found

    def _is_truncated(self, text: str, at: int) -> bool:
        rest = len(text) - at
        if not _MIN_TRUNCATED_LENGTH <= rest < self.longest:
            return False
        tail = text[at:]
        index = bisect_left(self._truncatable, tail)
        return index < len(self._truncatable) and self._truncatable[index].startswith(tail)


def _longest_prefixes(ordered: Sequence[str]) -> dict[str, str]:
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


def _is_secret(secret: Secret, harmless: frozenset[str]) -> bool:
    directory = secret.name in {"PWD", "OLDPWD"} and secret.value.startswith("/")
    platform = _PLATFORM_VARIABLES.fullmatch(secret.name) and not names_secret(secret.name)
    if directory or platform or secret.value in harmless:
        return False
    if suggests_secret(secret.name):
        number = secret.value.isdigit() and len(secret.value) < _MIN_LENGTH
        return (
            len(secret.value) >= _MIN_NAMED_LENGTH
            and not number
            and secret.value.lower() not in _EMPTY_LITERALS
        )
    return len(secret.value) >= _MIN_LENGTH and not _COMMON_VALUES.fullmatch(secret.value)


def _json_strings(secret: Secret) -> Iterator[Secret]:
    """The texts in a value that is JSON, which programs log alone; what plainly is a name stays.

    The names of hosts, accounts and places are evidence, and such a value is full of them.
    """
    if not secret.value.lstrip().startswith(("{", "[")):
        return
    try:
        waiting: list[tuple[str, Any]] = [(secret.name, json.loads(secret.value))]
    except (ValueError, RecursionError):
        return
    for _ in range(_MAX_JSON_NODES):
        if not waiting:
            return
        name, node = waiting.pop()
        if isinstance(node, dict):
            waiting += node.items()
        elif isinstance(node, list):
            waiting += [(name, each) for each in node]
        elif isinstance(node, str) and (names_secret(name) or not _PLAIN_NAME.fullmatch(node)):
            yield Secret(name, node)


def _secret_parts(value: str, harmless: frozenset[str]) -> set[str]:
    """A secret value, its long lines, and the credentials inside it.

    Options in an address, such as ``?sslmode=require``, are none by themselves.
    """
    lowered = value.lower()
    lines = {
        line.strip()
        for line in value.splitlines()
        if len(line) >= _MIN_LINE_LENGTH and "---" not in line
    }
    spans = (
        *credential_spans(value.partition("?")[0], lowered),
        *named_value_spans(value, lowered),
    )
    parts = lines | {span.value for span in spans} | {value.strip()}
    return {value} | {part for part in parts - harmless if len(part) >= _MIN_LENGTH}


def _encodings(value: str) -> Iterator[str]:
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
    if len(data) >= _MIN_LENGTH:
        yield data.hex()
        yield data.hex().upper()
        yield from _base64_encodings(data)
    if (
        _MIN_LENGTH <= len(data) <= _PREFIX_LENGTH
    ):  # nobody escapes more than that for a person to read
        yield from _fully_escaped(value, data)
        yield base64.b32encode(data).decode().rstrip("=")
        yield base64.b64encode(base64.b64encode(data)).decode().rstrip("=")


def _fully_escaped(value: str, data: bytes) -> Iterator[str]:
    """Every character escaped, whether it needs that or not."""
    units = value.encode("utf-16-be", errors="surrogatepass")
    for sign, digits in (("%", data.hex("%")), ("\\x", data.hex("%")), ("\\u", units.hex("%", 2))):
        for cased in (digits, digits.upper()):
            yield sign + cased.replace("%", sign)


def _base64_encodings(data: bytes) -> Iterator[str]:
    """Base64 of it alone, and what shows of it inside a longer encoded text."""
    for alphabet in (None, b"-_"):
        yield base64.b64encode(data, alphabet).decode()
        for shift, start in ((0, 0), (1, 2), (2, 3)):
            end = (shift + len(data)) * 8 // 6
            aligned = base64.b64encode(bytes(shift) + data, alphabet).decode()[start:end]
            if len(aligned) >= _MIN_TRUNCATED_LENGTH:
                yield aligned
