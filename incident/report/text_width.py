"""How wide a text will be, nearly, and how it is broken into lines of a width. Pure.

Nobody knows the reader's fonts: widths are those of wide ones, so that a text is rather broken too
early than too late. Whoever draws still clips what might overrun.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from incident.report.terminal import escape_unprintable

_NARROW = frozenset("iljtfrI.,:;'|!()[]{}/\\ `\"-")
_BROAD = frozenset("mwMW@%&—…")
_NARROW_EM, _USUAL_EM, _UPPER_EM, _BROAD_EM = 0.4, 0.63, 0.76, 1.0
#: Of two columns, an emoji above all, and of scripts whose letters differ much in width.
_WIDE_EM, _FOREIGN_EM = 1.4, 1.1
_ASCII = 128
_MOST_CHARACTERS = 400


def text_width(text: str, font_size: float) -> float:
    """About how wide a text is, in units of its font size's."""
    return font_size * sum(_em(char) for char in text)


def wrapped_lines(
    text: str, max_width: float, font_size: float, max_lines: int = 2
) -> tuple[str, ...]:
    """A text on so many lines of a width, broken between words where that is possible.

    Args:
        text: Any text; what is invisible in it is spelled out.
        max_width: How wide a line may be.
        font_size: The font size.
        max_lines: How many lines at most; the last one says by ``…`` that there was more.
    """
    rest = escape_unprintable(text[:_MOST_CHARACTERS]).strip()
    found: list[str] = []
    while rest and len(found) < max_lines:
        end = _fitting(rest, max_width, font_size)
        if end < len(rest):
            if len(found) == max_lines - 1:
                end = _fitting(rest, max_width - text_width("…", font_size), font_size)
                return (*found, f"{rest[:end].rstrip()}…")
            space = rest.rfind(" ", 0, end + 1)
            end = space if space > end // 2 else end
        found.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return tuple(found) or ("",)


def _fitting(text: str, max_width: float, font_size: float) -> int:
    """How many characters fit; at least one, so that breaking goes on."""
    for count, used in enumerate(_widths(text, font_size)):
        if used > max_width:
            return max(count, 1)
    return len(text)


def _widths(text: str, font_size: float) -> Iterator[float]:
    used = 0.0
    for char in text:
        used += font_size * _em(char)
        yield used


def _em(char: str) -> float:
    if ord(char) < _ASCII:
        if char in _NARROW:
            return _NARROW_EM
        if char in _BROAD:
            return _BROAD_EM
        return _UPPER_EM if char.isupper() else _USUAL_EM
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0.0
    if unicodedata.east_asian_width(char) in ("W", "F") or unicodedata.category(char) == "So":
        return _WIDE_EM
    return _BROAD_EM if char in _BROAD else _FOREIGN_EM
