"""What the commands say to a person at a terminal."""

from __future__ import annotations

import io
import unicodedata
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from commands.console import print_diff, print_line
from tests.support.model import scale_to_zero_change


def console_output() -> tuple[Console, io.StringIO]:
    """A narrow terminal without colours, and what arrives there."""
    screen = io.StringIO()
    return Console(file=screen, width=20, force_terminal=True, no_color=True), screen


@settings(deadline=None)
@given(st.text())
def test_a_line_stays_one_line_and_moves_nothing(text: str) -> None:
    """Whatever somebody else chose, nothing of it is an order to the terminal."""
    console, screen = console_output()
    print_line(console, text)
    assert screen.getvalue().endswith("\n")
    line = screen.getvalue()[:-1]
    assert not [each for each in line if unicodedata.category(each) in ("Zl", "Zp")]
    assert not [each for each in line if unicodedata.category(each).startswith("C")]


def test_a_name_is_not_broken_in_two() -> None:
    """What is copied from a narrow terminal is the name."""
    console, screen = console_output()
    name = "projects/example-shop-prod/locations/europe-west1/services/storefront"
    print_line(console, name)
    assert screen.getvalue() == f"{name}\n"


def test_a_change_is_printed_as_a_diff() -> None:
    """Line by line, and what is invisible in a value shows as an escape."""
    console, screen = console_output()
    reported = replace(
        scale_to_zero_change(), before={"ingress": "\x1b[2J"}, after={"ingress": "internal"}
    )
    print_diff(console, reported)
    assert screen.getvalue() == '- ingress: "\\e[2J"\n+ ingress: internal\n'
