"""The documents as people read them: which command lines they have somebody type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from tests.deploy.terraform import DEPLOY
from tests.support.constants import REPOSITORY

DOCUMENTS = [
    REPOSITORY / "README.md",
    DEPLOY / "README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
    *sorted((DEPLOY / "runbooks").glob("*.md")),
]
_FENCE = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^    (?=[a-z.])(.+)$", re.MULTILINE)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_START = re.compile(r"(?:^|(?<=[\s(`]))(?:gcloud|(?:\S*/)?cloud-run-responder) (?! )")
#: Ends a command, as far as our documents write shell.
_ENDS = re.compile(r"[;|<>()&]+")
#: What a reader fills in, where only some values are taken.
_FILLED_IN = {"YYYY-MM-DD": "2026-10-02", "$status": "contained"}


def code_pieces(text: str) -> Iterator[str]:
    """The code of a document, piece by piece, each on one line."""
    for block in _FENCE.findall(text):
        yield from re.sub(r"(\\|\|)\n\s*", lambda cut: cut[1].strip("\\") + " ", block).splitlines()
    rest = _FENCE.sub("", text)
    yield from _INDENTED.findall(rest)
    yield from (" ".join(span.split()) for span in _SPAN.findall(_INDENTED.sub("", rest)))


def command_words(code: str) -> list[str]:
    """The words of the command that a piece of code begins with."""
    lexer = shlex.shlex(code, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found = []
    for word in lexer:
        if _ENDS.fullmatch(word):
            break
        found.append(word)
    return found


def command_lines(path: Path, program: str) -> list[list[str]]:
    """The command lines of a program in a document, without its name."""
    lines = []
    for piece in code_pieces(path.read_text()):
        for start in _START.finditer(piece):
            name, *rest = command_words(piece[start.start() :])
            if name.endswith(program):
                lines.append([_FILLED_IN.get(word, word) for word in rest])
    return lines
