"""Text made to be slow to search costs at most half a second of processor per megabyte."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import pytest

from incident.redaction.credential_contexts import PATTERNS, CredentialPattern
from incident.redaction.credential_formats import FORMATS
from incident.redaction.credential_search import find_credentials
from incident.redaction.redactor import Redactor
from incident.redaction.secret_names import find_named_values, names_secret
from incident.redaction.spans import encoded_url_spans

SIZE = 200_000
BOUND_S = 0.5 * SIZE / 1_000_000
RUNS = 5  # the best of them counts: other processes take caches and clock
PREFIXES = [part for row in FORMATS for part in row.parts if isinstance(part, str)]


def filled(part: str, size: int = SIZE) -> str:
    """A part of a text over and over."""
    return (part * (size // len(part) + 1))[:size]


def cost_s(search: Callable[[str], Iterable[object]], text: str) -> float:
    """The processor time of a search, in seconds."""
    best = float("inf")
    for _ in range(RUNS):
        started = time.process_time()
        for _found in search(text):
            pass
        best = min(best, time.process_time() - started)
        if best < BOUND_S:
            break
    return best


def hostile_texts(pattern: CredentialPattern) -> Iterable[str]:
    """Texts that begin as the pattern's example does, and lead nowhere."""
    example = "".join(pattern.example)
    found = pattern.expression.search(example)
    assert found
    start = found.start("secret")
    before = example[:start] or example[:4]
    yield from (filled(before), filled(example[:-1]), filled(example))
    yield from (before + filled(character) for character in "a -")
    yield from (filled(before + more) for more in ("a1", " ", "\\", "-", found["secret"][:1]))
    yield from (filled(example[:length]) for length in (1, 2, 3, 5, 8))


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
def test_no_pattern_backtracks(pattern: CredentialPattern) -> None:
    """Beginnings without an end, ends without a beginning, and both."""
    for text in hostile_texts(pattern):
        assert cost_s(pattern.expression.finditer, text) < BOUND_S, text[:60]


@pytest.mark.parametrize("between", ["", "a", "/", "a/", "aB1/", "=", " ", "/aB1aB1aB1aB1aB1aB1/"])
def test_no_format_is_slow(between: str) -> None:
    """The prefixes of all formats, one after the other, with what may follow them."""
    text = filled("".join(prefix + between for prefix in PREFIXES))

    assert cost_s(find_credentials, text) < BOUND_S


@pytest.mark.parametrize(
    "prefix", ["dop_v1_", "sk-", "s.", "M", "+ASt", "-us", "T3BlbkFJ", ".atlasv1."]
)
@pytest.mark.parametrize("between", ["", "/", "a/", "="])
def test_no_prefix_is_slow_alone(prefix: str, between: str) -> None:
    """One prefix over and over, so that each is a candidate."""
    assert cost_s(find_credentials, filled(prefix + between)) < BOUND_S


@pytest.mark.parametrize(
    "part",
    [
        *("a", "a ", "a=", "a=b ", "a.b-", ">", "\\", '\\"', "password=", "password=,"),
        *("password='a", "password=\\", "pass=", "sid=a1", "session=aaaaaaaa1", "--password "),
        *('"name": "a", ', '"password": ', "token=&a", "token=a,", "token=)a", "[redacted:"),
        *("password: |\n ", "password: |\\n ", "\u5bc6\u7801\uff1a"),
    ],
)
def test_no_name_is_slow(part: str) -> None:
    """Names that announce values which do not come, or do not end."""
    assert cost_s(lambda text: find_named_values(text, names_secret), filled(part)) < BOUND_S


@pytest.mark.parametrize(
    "part", ["a", "a%3A", "%25", "http%3A%2F%2F", "http%253A%252F%252F", "http%3A%2F%2Fa%3Fb%3D& "]
)
def test_no_encoded_url_is_slow(part: str) -> None:
    """Encoded URLs inside encoded URLs, and beginnings of them."""
    text = filled(part)
    lowered = text.lower()

    assert cost_s(lambda text: encoded_url_spans(text, lowered), text) < BOUND_S


@pytest.mark.parametrize("part", ["a", " ", "://a:", "password=,", '"\\', "--token ", "[redacted:"])
def test_the_whole_redaction_takes_time_in_proportion(part: str) -> None:
    """Four times the text takes about four times as long, whatever its author wants."""
    redactor = Redactor(b"key of the tests")

    def redact(text: str) -> Iterable[str]:
        yield redactor.text(text)

    small, large = filled(part, SIZE // 16), filled(part, SIZE // 4)
    ratio = 4 * 3  # measurements of milliseconds are noisy; quadratic work would take 16 times
    assert min(cost_s(redact, large) for _ in range(2)) < max(
        ratio * max(cost_s(redact, small) for _ in range(3)), BOUND_S
    )
