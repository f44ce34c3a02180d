"""Finding known secret values in a text."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.model import Secret
from incident.redaction.aho_corasick import Automaton
from incident.redaction.encodings import encodings
from incident.redaction.known_values import KnownValues
from tests.support.model import repeatable

NOTHING = frozenset[str]()
SMALL_ALPHABET = st.text(alphabet="abA", min_size=4, max_size=14)


def known(*values: str) -> KnownValues:
    """Some values, as known under names that suggest a secret."""
    return KnownValues([Secret(f"TOKEN_{at}", value) for at, value in enumerate(values)], NOTHING)


def hidden_positions(values: KnownValues, text: str) -> set[int]:
    """The positions of a text that are hidden."""
    return {at for start, end, _ in values.spans(text) for at in range(start, end)}


def occurrences(forms: set[str], text: str) -> set[int]:
    """The positions that occurrences of some forms take, found the slow way."""
    return {
        at
        for form in forms
        for start in range(len(text))
        if text.startswith(form, start)
        for at in range(start, start + len(form))
    }


@given(st.lists(SMALL_ALPHABET, min_size=1, max_size=8), st.text(alphabet="abA=", max_size=60))
@repeatable
def test_every_occurrence_of_every_form_is_hidden(values: list[str], text: str) -> None:
    """Overlapping, nested and repeated ones too; nothing else but beginnings at the end."""
    forms = {form for value in values for form in encodings(value) if len(form) >= 4}
    expected = occurrences(forms, text)
    tails = [
        length
        for length in range(8, len(text) + 1)
        if any(form.startswith(text[-length:]) for form in forms)
    ]
    expected |= set(range(len(text) - max(tails, default=0), len(text)))

    assert hidden_positions(known(*values), text) == expected


@pytest.mark.parametrize("length", [4, 5, 6, 7, 8, 12, 30, 2000])
def test_a_value_is_found_at_every_position(length: int) -> None:
    """Texts are looked at in steps, and no alignment of a value escapes them."""
    value = ("Qx7!" * length)[:length]
    values = known(value)
    for before in range(12):
        text = "-" * before + value + "-" * 9
        assert hidden_positions(values, text) == set(range(before, before + length))


def test_a_secret_that_overlaps_another_is_hidden_to_its_end() -> None:
    """What remains of the second one would be most of it."""
    values = known("first-secret", "secret-and-more-of-it")

    assert hidden_positions(values, "first-secret-and-more-of-it") == set(range(27))


def test_forms_may_be_seen_one_after_the_other() -> None:
    """The automaton grows with what texts show; what it knew it still knows."""
    secrets = [f"{number:04d}-value-{number:04d}" for number in range(300)]
    values = known(*secrets)
    for secret in [*secrets, *secrets]:
        assert hidden_positions(values, f"say {secret} now") == set(range(4, 4 + len(secret)))


def test_long_values_with_one_beginning_are_distinguished() -> None:
    """The automaton knows their first 1,024 characters; the text is compared with the rest."""
    beginning = "".join(random.Random(7).choices("abcdefgh", k=1024))  # noqa: S311 - repeatable
    values = known(beginning + "X" * 100, beginning + "Y" * 3000)

    for text in (beginning + "Y" * 3000, beginning + "X" * 100, beginning + "Y" * 2000):
        assert hidden_positions(values, f"{text}") == set(range(len(text)))
    assert hidden_positions(values, beginning + "Y" * 50 + "Z") == set(range(1024))


def test_too_many_forms_for_the_automaton_are_hidden_coarsely() -> None:
    """More may be hidden than needs be; never less, and no memory is spent on it."""
    rng = random.Random(11)  # noqa: S311 - repeatable
    secrets = ["".join(rng.choices("abcdefgh0123", k=1000)) for _ in range(400)]
    values = known(*secrets)
    text = " ".join(f"{secret} and words between them" for secret in secrets)

    hidden = hidden_positions(values, text)

    assert occurrences(set(secrets[:3]), text[:4000]) <= hidden
    assert all(text.index(secret) in hidden for secret in secrets)


def test_values_beyond_the_budget_are_counted() -> None:
    """What is looked for as it is only, not encoded, is a gap for the report to name."""
    values = known(*(f"{number:06d}" + "x" * 30_000 for number in range(30)))

    assert values.unencoded == 11
    assert hidden_positions(values, "say 000029" + "x" * 30_000) == set(range(4, 30_010))


LIKE_LETTERS = ["a" * length for length in range(6, 1006)]


@pytest.mark.parametrize(
    "line", ["a" * 9000, "ab" * 4500, "aaaaab" * 1500, "a" * 4500 + "b" * 4500]
)
def test_a_thousand_values_of_like_letters_cost_no_more_than_one(line: str) -> None:
    """The time is linear in the text, whatever the number of values: bounded processor time."""
    few, many = known("a" * 6), known(*LIKE_LETTERS)
    for values in (few, many):
        values.spans(line)

    def cost(values: KnownValues) -> float:
        started = time.process_time()
        for _ in range(20):
            values.spans(line)
        return time.process_time() - started

    assert min(cost(many) for _ in range(3)) < 5 * min(cost(few) for _ in range(3)) + 0.02


def test_the_automaton_reports_the_longest_beginning_at_the_end() -> None:
    """Of a pattern that may be cut off; others must be complete."""
    automaton = Automaton()
    automaton.add("bcdef", truncatable=True)
    automaton.add("abcdx", truncatable=False)
    automaton.link()

    covered, _, tail = automaton.scan("xxabcd", range(6), 0, 99)

    assert (covered, tail) == ([], 3)
