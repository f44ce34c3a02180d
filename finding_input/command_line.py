"""Read a FINDING argument: a file or ``-``; of several findings, take the one that is asked for."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from finding_input.decoding import UnusableInputError
from finding_input.reading import PastedFinding, read_findings

#: A file, or ``-`` for standard input.
FINDING_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
_LONGEST_LIST = 30
_UTC = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z")


class UnusableFinding(click.ClickException):
    """The file holds no finding, or several; exit status 2."""

    exit_code = 2


def finding_id_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--finding-id``, which chooses one of several findings."""
    text = "Which finding, if there are several: its id or the beginning of it."
    return click.option("--finding-id", metavar="ID", help=text)(command)


def read_bytes(file: Path) -> bytes:
    """The content of a file, or of standard input for ``-``.

    Raises:
        UnusableFinding: It cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise UnusableFinding(f"Cannot read {file}: {error.strerror}") from error


def read_finding(file: Path, finding_id: str | None) -> bytes:
    """The notification in a file, in any form that people have findings in.

    Of several findings it takes the one with the id, or asks at a terminal.

    Raises:
        UnusableFinding: There is none, or nothing says which one.
    """
    data = read_bytes(file)
    name = "standard input" if str(file) == "-" else str(file)
    try:
        findings = read_findings(data)
    except UnusableInputError as error:
        raise UnusableFinding(f"{_printable(name)}: {_printable(str(error))}") from error
    matching = [one for one in findings if one.finding_id.startswith(finding_id or "")]
    if not matching:
        text = f"No finding's id begins with {_printable(finding_id or '')}."
        raise UnusableFinding(f"{text} {_list_text(name, findings)}")
    if len({one.finding_id for one in matching}) > 1:
        return _asked(name, matching).data
    # Several notifications of one finding: the state that Security Command Center has now.
    return max(matching, key=lambda one: one.event_time).data


def _asked(name: str, findings: Sequence[PastedFinding]) -> PastedFinding:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        command = "Choose one with --finding-id ID."
        raise UnusableFinding(f"{_list_text(name, findings)}\n{command}")
    click.echo(_list_text(name, findings, numbered=True), err=True)
    number = click.prompt("Which one?", type=click.IntRange(1, len(findings)), err=True)
    return findings[number - 1]


def _list_text(name: str, findings: Sequence[PastedFinding], *, numbered: bool = False) -> str:
    shown = findings if numbered else findings[:_LONGEST_LIST]
    lines = [
        f"  {f'{number}. ' if numbered else ''}{_line(one)}"
        for number, one in enumerate(shown, start=1)
    ]
    more = len(findings) - len(shown)
    lines += [f"  … and {more} more"] if more else []
    count = f"{len(findings)} findings" if len(findings) > 1 else "1 finding"
    return "\n".join((f"{_printable(name)} has {count}:", *lines))


def _line(one: PastedFinding) -> str:
    workload = one.resource.rpartition("/")[2]
    parts = (one.finding_id, _time_text(one.event_time), one.category, workload)
    return "  ".join(_printable(part) for part in parts if part)


def _time_text(event_time: str) -> str:
    """An RFC 3339 time in UTC as people read it; any other text as it is."""
    match = _UTC.fullmatch(event_time)
    return f"{match[1]} {match[2]} UTC" if match else event_time


def _printable(text: str) -> str:
    """A line whose characters all show; findings are texts that an attacker may have chosen."""
    return "".join(
        char if unicodedata.category(char)[0] not in "CZ" or char == " " else ascii(char)[1:-1]
        for char in text
    )
