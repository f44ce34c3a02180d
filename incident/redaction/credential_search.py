"""Search a text for the credentials of the table of formats, in one pass."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from threading import Lock
from typing import NamedTuple

from incident.redaction.credential_formats import ALPHABETS, FORMATS, CredentialFormat, Piece

_MIN_DISTINCT_LENGTH = 5  # of a prefix that is taken for one although it ends in a letter
_MIN_BODY_LENGTH = 8
_ENOUGH_LENGTH = 20  # characters behind a distinct prefix, however many are documented
_MIN_LENGTH = 12  # of any credential that begins with its prefix
_MAX_EXAMINED_LENGTH = 64  # characters that tell whether a candidate looks random
_UUID_PIECES = 5
_MIXED_CASE = frozenset({"alnum", "word", "token", "dotted", "base64", "url"})
# Where a word may begin: also behind an escaped line break, a percent-encoded character and the
# end of a terminal's colour, whose last letters look as if they belonged to it.
_WORD_START = (
    r"(?:(?<![A-Za-z0-9_-])|(?<=[nrtm0-9A-Fa-f])"
    r"(?:(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2})|(?<=\[[0-9]m)|(?<=\[[0-9]{2}m)))"
)
_REST_OF_WORD = re.compile(r"[A-Za-z0-9_-]*+=*+")
_COMPILING = Lock()  # of several threads that redact their first text, one compiles
_DIGIT, _LOWER, _UPPER = re.compile("[0-9]"), re.compile("[a-z]"), re.compile("[A-Z]")


class _Matcher(NamedTuple):
    """How a format is recognised around its first literal text, the anchor.

    Attributes:
        length: The length of the anchor.
        before: The characters before the anchor, if any belong to the credential.
        least_before: How many of them there are at least.
        body: Matches what follows the anchor, as far as it is examined.
        rest: Matches what may still follow.
        mixed: Whether digits, small letters and capitals must all be in it; else a digit, or
            both cases.
    """

    length: int
    before: str
    least_before: int
    body: re.Pattern[str]
    rest: re.Pattern[str]
    mixed: bool

    def match(self, text: str, anchor: int) -> tuple[int, int] | None:
        """Start and end of the credential whose anchor is at this position, if there is one."""
        found = self.body.match(text, anchor + self.length)
        if found is None:
            return None
        start = anchor
        if self.before:
            left = text[max(anchor - 2 * self.least_before, 0) : anchor]
            start -= len(left) - len(left.rstrip(self.before))
            if anchor - start < self.least_before:
                return None
        if not self._looks_random(text[start:anchor] + found[0]):
            return None
        end = found.end()
        for more in (self.rest, _REST_OF_WORD):
            following = more.match(text, end)
            end = following.end() if following else end
        return start, end

    def _looks_random(self, body: str) -> bool:
        digit, lower, upper = (bool(kind.search(body)) for kind in (_DIGIT, _LOWER, _UPPER))
        return (digit and lower and upper) if self.mixed else (digit or (lower and upper))


def find_credentials(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each credential of the table in a text.

    Takes time in proportion to the text: of what looks like a credential and is none a bounded
    number of characters is examined.
    """
    with _COMPILING:
        searches = _searches()
    for anchors, names in searches:
        at = 0
        while found := anchors.search(text, at):
            anchor = found.start()
            at = anchor + 1
            for name in names[found[0]]:
                span = _matcher(name).match(text, anchor)
                if span:
                    yield span
                    at = span[1]
                    break


def _anchor(format_: CredentialFormat) -> str:
    """The first literal text of a format."""
    return next(part for part in format_.parts if isinstance(part, str))


@cache
def _matcher(name: str) -> _Matcher:
    """How a format is recognised; compiled when its anchor is first seen."""
    format_ = next(each for each in FORMATS if each.name == name)
    parts = format_.parts
    before, least_before = "", 0
    if isinstance(parts[0], Piece):
        before, least_before = _characters((parts[0],)), parts[0].length
        parts = parts[1:]
    anchor, rest = _anchor(format_), parts[1:]
    pieces = [part for part in rest if isinstance(part, Piece)]
    short = len(anchor) < _MIN_DISTINCT_LENGTH - 1
    distinct = len(anchor) >= _MIN_DISTINCT_LENGTH or anchor[-1] in "_-."
    exact = bool(before) or short or not distinct or len(pieces) >= _UUID_PIECES
    mixed = not before and short and any(piece.alphabet in _MIXED_CASE for piece in pieces)
    characters = _class(_characters(rest))
    return _Matcher(
        len(anchor),
        before,
        least_before,
        re.compile(_exact_body(rest) if exact else f"{characters}{_repetition(rest)}"),
        re.compile(f"{characters}*+" if rest else ""),
        mixed,
    )


def _exact_body(parts: Sequence[str | Piece]) -> str:
    """Each part at its length; a piece may be up to twice as long."""
    return "".join(
        re.escape(part)
        if isinstance(part, str)
        else f"{_class(_characters((part,)))}{{{part.length},{2 * part.length}}}"
        for part in parts
    )


def _repetition(parts: Sequence[str | Piece]) -> str:
    """Half of the documented length, 20 characters at most: the prefix alone is nearly proof."""
    length = sum(len(part) if isinstance(part, str) else part.length for part in parts)
    least = max(min((length + 1) // 2, _ENOUGH_LENGTH), min(length, _MIN_BODY_LENGTH))
    return f"{{{least},{max(least, _MAX_EXAMINED_LENGTH)}}}+"


def _characters(parts: Sequence[str | Piece]) -> str:
    """All characters that some parts may contain."""
    printable = "".join(map(chr, range(33, 127)))
    found: set[str] = set()
    for part in parts:
        found |= set(
            part
            if isinstance(part, str)
            else re.findall(f"[{ALPHABETS[part.alphabet]}]", printable)
        )
    return "".join(sorted(found))


def _class(characters: str) -> str:
    return f"[{re.escape(characters)}]"


def _trie(words: Iterable[str]) -> str:
    """An expression that matches the longest of some words at a position."""
    branches: dict[str, list[str]] = {}
    ends = False
    for word in words:
        if word:
            branches.setdefault(word[0], []).append(word[1:])
        else:
            ends = True
    if not branches:
        return ""
    options = "|".join(re.escape(first) + _trie(rest) for first, rest in branches.items())
    return f"(?:{options}){'?' if ends else ''}"


_Search = tuple[re.Pattern[str], Mapping[str, tuple[str, ...]]]


@cache
def _searches() -> tuple[_Search, _Search]:
    """What to search for: prefixes where a word begins, and literal text inside a credential.

    Most text is words too short for a credential, which the first look at a prefix rules out.
    """
    inner = [format_ for format_ in FORMATS if isinstance(format_.parts[0], Piece)]
    first = [format_ for format_ in FORMATS if isinstance(format_.parts[0], str)]
    return _search(f"(?=[!-~]{{{_MIN_LENGTH}}}){_WORD_START}", first), _search("", inner)


def _search(before: str, formats: Sequence[CredentialFormat]) -> _Search:
    """An expression for the anchors of some formats, and the names of those to try at each."""
    by_anchor: dict[str, list[CredentialFormat]] = {}
    for format_ in formats:
        by_anchor.setdefault(_anchor(format_), []).append(format_)
    to_try = {
        anchor: tuple(
            format_.name
            for length in range(len(anchor), 0, -1)
            for format_ in by_anchor.get(anchor[:length], ())
        )
        for anchor in by_anchor
    }
    return re.compile(before + _trie(by_anchor)), to_try
