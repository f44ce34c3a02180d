"""Collect and merge the spans of a text to redact: by format, by name, in URLs."""

from __future__ import annotations

import base64
import binascii
import re
import string
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from incident.redaction.credential_contexts import MARK_PATTERN, candidate_patterns
from incident.redaction.credential_search import find_credentials
from incident.redaction.secret_names import (
    find_named_values,
    may_name_secret,
    names_secret,
    suggests_secret,
)

_MARK = re.compile(MARK_PATTERN)
_ESCAPED = re.compile("%[0-9A-Fa-f]{2}")
_ENCODED_URL = re.compile(
    r"(?i)(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{1,20}+%(?:25){0,2}+3A(?:%(?:25){0,2}+2F){2}[^\s\"'<>\\&]*+"
)
_MAX_DECODINGS = 3
_MIN_URL_LENGTH = 30  # of a URL with a credential in its path
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{32,}+={0,2}")


class Span(NamedTuple):
    """A piece of a text that must not be shown, and the secret in it, decoded."""

    start: int
    end: int
    value: str


def credential_spans(text: str, lowered: str) -> Iterator[Span]:
    """Credentials by their format, in a text given as it is and in lower case."""
    for start, end in find_credentials(text):
        yield Span(start, end, text[start:end])
    for pattern in candidate_patterns(text, lowered):
        for found in pattern.expression.finditer(text):
            yield Span(*found.span("secret"), found["secret"])


def named_value_spans(text: str, lowered: str) -> Iterator[Span]:
    """What the names before it announce, in a text given as it is and in lower case."""
    if may_name_secret(lowered):
        for start, end in find_named_values(text, names_secret):
            yield Span(start, end, text[start:end])


def suspicious_spans(text: str) -> Iterator[Span]:
    """What may be secret in a malformed text: by any suspicious name, or as encoded text."""

    def suspicious(name: str) -> bool:
        return name in {"val", "value"} or suggests_secret(name)

    for start, end in find_named_values(text, suspicious):
        yield Span(start, end, text[start:end])
    for found in _ENCODED.finditer(text):
        if _is_base64_text(found[0]):
            yield Span(*found.span(), found[0])


def _is_base64_text(encoded: str) -> bool:
    """Whether it is base64 of text, as the envelope of a push has it, at any alignment."""
    return any(_decodes_to_text(encoded[start : start + 64]) for start in range(4))


def _decodes_to_text(encoded: str) -> bool:
    aligned = encoded[: len(encoded) // 4 * 4]
    try:
        data = base64.b64decode(aligned, b"-_" if set("-_") & set(aligned) else None)
    except binascii.Error:
        return False
    printable = sum(chr(byte) in string.printable for byte in data)
    return bool(data) and printable > 0.9 * len(data)


def url_spans(value: str) -> Iterator[Span]:
    """The userinfo, the fragment and the values of the query of a URL."""
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


def encoded_url_spans(text: str, lowered: str) -> Iterator[Span]:
    """The secret parts of URLs that are percent-encoded as a whole, up to three times."""
    if "2f%2" not in lowered:
        return
    for found in _ENCODED_URL.finditer(text):
        url, starts = found[0], list(range(found.start(), found.end() + 1))
        for _ in range(_MAX_DECODINGS):
            url, starts = _decode_percent(url, starts)
            if "://" in url[:32]:
                break
        credentials = credential_spans(url, url.lower()) if len(url) >= _MIN_URL_LENGTH else ()
        for start, end, value in (*url_spans(url), *credentials):
            if start < end:
                yield Span(starts[start], starts[end], value)


def _decode_percent(text: str, starts: Sequence[int]) -> tuple[str, list[int]]:
    """A text decoded once, and where each of its characters begins; one more for the end."""
    decoded: list[str] = []
    positions: list[int] = []
    done = 0
    for found in _ESCAPED.finditer(text):
        decoded += (text[done : found.start()], chr(int(found[0][1:], 16)))
        positions += starts[done : found.start() + 1]
        done = found.end()
    return "".join(decoded) + text[done:], [*positions, *starts[done:]]


def merge_spans(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    """The spans in order, those that overlap as one; a mark is never split."""
    marks = (Span(*found.span(), found[0]) for found in _MARK.finditer(text))
    ordered = sorted((*spans, *marks), key=lambda span: (span.start, -span.end))
    start = end = 0
    value: str | None = None  # None: of the text itself
    for span in ordered:
        if span.end <= span.start:
            continue
        if span.start >= end:
            if end > start:
                yield Span(start, end, text[start:end] if value is None else value)
            start, end, value = span
        elif span.end > end:
            end, value = span.end, None
    if end > start:
        yield Span(start, end, text[start:end] if value is None else value)
