"""The question before a write says what it does, as whom, and for which finding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from commands.confirmation import _ACTIONS, apply_question, release_question
from incident.actions.catalogue import ACTIONS
from incident.model import Change
from tests.support.model import scale_to_zero_change, workload


def changes(*actions: str) -> list[Change]:
    """One change for each action."""
    return [replace(scale_to_zero_change(), action=action) for action in actions]


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        (
            ["scale-to-zero"],
            (
                "Scale storefront to 0 in example-shop-prod as you@example.com, for Reverse Shell?"
                " It will be offline."
            ),
        ),
        (
            ["scale-to-zero", "restrict-ingress", "scale-to-zero"],
            (
                "Scale storefront to 0 and close storefront to requests from the internet in"
                " example-shop-prod as you@example.com, for Reverse Shell? It will be offline."
            ),
        ),
        (
            ["restrict-ingress"],
            (
                "Close storefront to requests from the internet in example-shop-prod as"
                " you@example.com, for Reverse Shell? What runs goes on running."
            ),
        ),
        (
            [],
            (
                "Record that storefront is contained in example-shop-prod as you@example.com, for"
                " Reverse Shell? Nothing is left to write."
            ),
        ),
    ],
)
def test_the_question_says_what_goes_offline(actions: list[str], expected: str) -> None:
    """What only restricts is of no account beside what stops."""
    given = changes(*actions)
    assert apply_question(given, workload(), "Reverse Shell", "you@example.com") == expected


def test_every_action_has_its_words() -> None:
    """A new action needs its own."""
    assert set(ACTIONS) <= set(_ACTIONS)


def test_a_release_names_the_incident() -> None:
    """And that the workload goes back into service."""
    question = release_question(changes("scale-to-zero"), workload(), "me@x", "20261002-1, X\x1b")
    assert question == (
        "Release storefront in example-shop-prod as me@x, contained for 20261002-1, X\\x1b?"
        " It goes back into service as it was."
    )
