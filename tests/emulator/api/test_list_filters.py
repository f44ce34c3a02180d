"""The filter languages, as syntax."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.api.list_filters import (
    LOGGING_DIALECT,
    SECURITY_CENTER_DIALECT,
    Comparison,
    Dialect,
    FilterSyntaxError,
    Value,
    comparisons,
    evaluate,
    parse_filter,
)

DIALECTS = st.sampled_from([SECURITY_CENTER_DIALECT, LOGGING_DIALECT])
PIECES = st.sampled_from(
    ['"', "\\", '\\"', "a", "b.c", ".", '"x"', "=", "!=", ">=", "=~", ":", "-", "(", ")", " ",
     "AND", "OR", "NOT", "1", "*", "\n", "é", "\\x41", "\\u00", "/"]
)  # fmt: skip
FILTERISH = st.lists(PIECES, max_size=30).map("".join)


def true_for(text: str, names: str, dialect: Dialect = SECURITY_CENTER_DIALECT) -> bool:
    """Whether a filter over fields such as `a="1"` holds when just these fields are true."""
    return evaluate(parse_filter(text, dialect), lambda comparison: comparison.path[0] in names)


def quoted(text: str) -> str:
    """A text in quotation marks, as a careful client writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.mark.parametrize("dialect", [SECURITY_CENTER_DIALECT, LOGGING_DIALECT])
@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ('a="1"', "a"),
        ('a="1" AND b="1"', "a and b"),
        ('a="1" b="1"', "a and b"),
        ('a="1"\n  b="1"', "a and b"),
        ('a="1" OR b="1"', "a or b"),
        ('a="1" AND b="1" OR c="1"', "a and (b or c)"),
        ('a="1" OR b="1" AND c="1"', "(a or b) and c"),
        ('a="1" OR b="1" c="1" OR d="1"', "(a or b) and (c or d)"),
        ('(a="1" AND b="1") OR c="1"', "(a and b) or c"),
        ('-a="1" AND b="1"', "not a and b"),
        ('NOT a="1" OR b="1"', "not a or b"),
        ('a="1" AND NOT (b="1" OR c="1")', "a and not (b or c)"),
        ('-(a="1" b="1")', "not (a and b)"),
        ('a="1" OR NOT b="1" AND NOT c="1" OR d="1"', "(a or not b) and (not c or d)"),
        ("", "True"),
        ("  ", "True"),
    ],
)
def test_or_binds_tighter_than_and(text: str, meaning: str, dialect: Dialect) -> None:
    """NOT before OR before AND, and what stands side by side is joined by AND."""
    for number in range(16):
        names = "".join(name for bit, name in enumerate("abcd") if number >> bit & 1)
        expected = eval(meaning, {}, {name: name in names for name in "abcd"})  # noqa: S307
        assert true_for(text, names, dialect) == expected, names


def only(text: str, dialect: Dialect) -> Comparison:
    """The one comparison of a filter."""
    (comparison,) = comparisons(parse_filter(text, dialect))
    return comparison


@pytest.mark.parametrize(
    ("text", "path", "operator", "value"),
    [
        ('a.b="x"', ("a", "b"), "=", Value("x", quoted=True)),
        ('a : "x y"', ("a",), ":", Value("x y", quoted=True)),
        ("event_time>=1560208038000", ("event_time",), ">=", Value("1560208038000", quoted=False)),
        ("a<-5", ("a",), "<", Value("-5", quoted=False)),
        (r'a="\"\\"', ("a",), "=", Value('"\\', quoted=True)),
        ('a="line\nbreak"', ("a",), "=", Value("line\nbreak", quoted=True)),
        ('security_marks.marks.a-b="x"', ("security_marks", "marks", "a-b"), "=",
         Value("x", quoted=True)),
    ],
)  # fmt: skip
def test_a_comparison_is_read(text: str, path: Any, operator: str, value: Value) -> None:
    """Field, operator and value, with the escapes that both dialects have."""
    for dialect in (SECURITY_CENTER_DIALECT, LOGGING_DIALECT):
        assert only(text, dialect) == Comparison(path, operator, value)


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ('labels."run.googleapis.com/execution_name"="e"',
         ("labels", "run.googleapis.com/execution_name"), "e"),
        ('labels."a\\"b".c="e"', ("labels", 'a"b', "c"), "e"),
        ("severity>=ERROR", ("severity",), "ERROR"),
        ("resource.type=cloud_run_revision", ("resource", "type"), "cloud_run_revision"),
        ('a!="x"', ("a",), "x"),
        ("a:*", ("a",), "*"),
        (r'a="\n\t\x41\101\u00e9\U0001F600"', ("a",), "\n\tAAé😀"),
    ],
)  # fmt: skip
def test_cloud_logging_has_more(text: str, path: tuple[str, ...], value: str) -> None:
    """Quoted pieces of a path, `!=`, presence, bare words and more escapes."""
    comparison = only(text, LOGGING_DIALECT)
    assert (comparison.path, comparison.value.text) == (path, value)


def test_cloud_logging_compares_with_lists() -> None:
    """A list in parentheses holds if the field compares with one of its values."""
    node = parse_filter('a=("x" OR "y") AND NOT b:(z "w")', LOGGING_DIALECT)
    for a in "xyz":
        for b in ("z", "w", "zw", ""):
            values = {"a": {a}, "b": set(b)}
            found = evaluate(node, lambda c, values=values: c.value.text in values[c.path[0]])  # type: ignore[misc]
            assert found == (a in "xy" and b != "zw")


@pytest.mark.parametrize(
    "text",
    [
        "a", '"a"', 'a="1', 'a="1" AND', 'AND a="1"', 'a="1" OR OR b="1"', '(a="1"', 'a="1")',
        "a=", '="1"', 'a=="1"', '"a"="1"', 'a."b', 'a..b="1"', ".a=1", "a. =1", "NOT", "()",
        r'a="\q"', "a=\\", 'a="1" #', "a='1'", "a=~", 'a=~"x"', 'a!~"x"', "a=AND", "a=(", 'a=é"',
        "(" * 1000, "(" * 50 + 'a="1"' + ")" * 50,
    ],
)  # fmt: skip
def test_what_is_not_a_filter_is_refused(text: str) -> None:
    """Nothing is guessed: a filter that is not understood matches neither all nor nothing."""
    for dialect in (SECURITY_CENTER_DIALECT, LOGGING_DIALECT):
        with pytest.raises(FilterSyntaxError):
            parse_filter(text, dialect)


@pytest.mark.parametrize(
    "text", ['a!="1"', 'a=("x" OR "y")', r'a="\n"', r'a="\x41"', r'a="\u0041"']
)
def test_security_center_has_less(text: str) -> None:
    """What only Cloud Logging documents is refused."""
    with pytest.raises(FilterSyntaxError):
        parse_filter(text, SECURITY_CENTER_DIALECT)


@pytest.mark.parametrize(
    "text", [r'a="\xg1"', r'a="\ud800"', r'a="\U00110000"', r'a="\8"', r'a="\é"']
)
def test_escapes_that_mean_no_character_are_refused(text: str) -> None:
    """An unfinished or impossible escape is an error."""
    with pytest.raises(FilterSyntaxError, match="escape"):
        parse_filter(text, LOGGING_DIALECT)


@settings(deadline=None)
@given(st.one_of(st.text(max_size=60), FILTERISH), DIALECTS)
def test_a_parser_raises_nothing_but_its_own_error(text: str, dialect: Dialect) -> None:
    """Any text is a filter or a BadFilter."""
    try:
        node = parse_filter(text, dialect)
    except FilterSyntaxError:
        return
    assert evaluate(node, lambda _: True) in (True, False)


@settings(deadline=None)
@given(st.text(max_size=60), DIALECTS)
def test_a_quoted_text_is_one_value_whatever_is_in_it(text: str, dialect: Dialect) -> None:
    """No text can end its quotation and begin to be a filter."""
    node = parse_filter(f'a={quoted(text)} AND b="1"', dialect)
    first, second = comparisons(node)
    assert first == Comparison(("a",), "=", Value(text, quoted=True))
    assert second == Comparison(("b",), "=", Value("1", quoted=True))
