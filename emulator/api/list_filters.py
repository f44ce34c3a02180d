"""Parse the filter language of Google's list methods, in its two dialects.

What fields exist and how values compare is the business of the service that a filter is for.
Common to both dialects, and unlike most languages: `OR` binds tighter than `AND`, and expressions
that merely follow one another are joined by AND. `NOT` or a leading `-` binds tightest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, Union

T = TypeVar("T")

_MAX_DEPTH = 40
_WORD = r"[A-Za-z0-9_][-A-Za-z0-9_/+%~*]*(?:\.[-A-Za-z0-9_/+%~*]+)*|\*"
_TOKEN = re.compile(
    rf"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<operator>!=|>=|<=|=~|!~|[=<>:])
    |(?P<mark>[()\-.])
    |(?P<word>{_WORD}))""",
    re.VERBOSE | re.DOTALL,
)


class FilterSyntaxError(Exception):
    """A filter that is not one. The text says what is wrong and at which character."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value that a field is compared with.

    Attributes:
        text: Its text, escapes resolved.
        quoted: Whether it stood in quotation marks.
    """

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field, an operator and a value.

    Attributes:
        path: The field, piece by piece.
        operator: One of `= != : > < >= <=`, or a regular expression operator.
        value: What it is compared with.
    """

    path: tuple[str, ...]
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class Not:
    """True where its operand is not."""

    operand: Node


@dataclass(frozen=True, slots=True)
class All:
    """True where all of its operands are; without any it is always true."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True where one of its operands is."""

    operands: tuple[Node, ...]


Node = Union[Comparison, Not, All, AnyOf]  # noqa: UP007  the names are defined by now only for Union


@dataclass(frozen=True, slots=True)
class Dialect:
    r"""What one service understands.

    Attributes:
        operators: The operators it has.
        escapes: What a letter after a backslash stands for, inside quotation marks.
        lists: Whether a field can be compared with values in parentheses, joined by AND and OR.
        numeric_escapes: Whether `\x41`, `\101` and `\u0041` are escapes too.
    """

    operators: frozenset[str]
    escapes: dict[str, str]
    lists: bool
    numeric_escapes: bool


SECURITY_CENTER_DIALECT = Dialect(
    operators=frozenset({"=", ":", ">", "<", ">=", "<="}),
    escapes={'"': '"', "\\": "\\"},
    lists=False,
    numeric_escapes=False,
)
LOGGING_DIALECT = Dialect(
    operators=frozenset({"=", "!=", ":", ">", "<", ">=", "<="}),
    escapes={
        '"': '"', "\\": "\\", "'": "'", "a": "\a", "b": "\b", "f": "\f",
        "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    },
    lists=True,
    numeric_escapes=True,
)  # fmt: skip


def parse_filter(text: str, dialect: Dialect) -> Node:
    """The filter in a text; an empty one matches everything.

    Raises:
        FilterSyntaxError: The text is not a filter of this dialect.
    """
    parser = _Parser(_tokens(text), dialect)
    if parser.at_end:
        return All(())
    node = parser.conjunction(parser.term)
    if not parser.at_end:
        raise parser.unexpected()
    return node


def compile_filter(
    text: str,
    dialect: Dialect,
    check: Callable[[Comparison], None],
    compare: Callable[[Comparison, T], bool],
) -> Callable[[T], bool]:
    """The filter in a text as a function.

    Args:
        text: The filter.
        dialect: What the service understands.
        check: Raises BadFilter for a comparison that the service has no field or operator for.
        compare: Decides a single comparison for the thing that is looked at.

    Raises:
        FilterSyntaxError: The text is not a filter of this service.
    """
    node = parse_filter(text, dialect)
    for comparison in comparisons(node):
        check(comparison)
    return lambda thing: evaluate(node, lambda comparison: compare(comparison, thing))


def evaluate(node: Node, compare: Callable[[Comparison], bool]) -> bool:
    """Whether a filter matches.

    Args:
        node: The filter.
        compare: Decides a single comparison for the thing that is looked at.
    """
    match node:
        case Comparison():
            return compare(node)
        case Not(operand):
            return not evaluate(operand, compare)
        case All(operands):
            return all(evaluate(operand, compare) for operand in operands)
        case AnyOf(operands):
            return any(evaluate(operand, compare) for operand in operands)


def comparisons(node: Node) -> list[Comparison]:
    """Every comparison in a filter, so that a service can refuse what it has no field for."""
    match node:
        case Comparison():
            return [node]
        case Not(operand):
            return comparisons(operand)
        case All(operands) | AnyOf(operands):
            return [found for operand in operands for found in comparisons(operand)]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    end = len(text.rstrip())
    position = 0
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise FilterSyntaxError(f"unexpected text at character {position}")
        start, position = match.span(match.lastgroup)
        tokens.append(_Token(match.lastgroup, match[match.lastgroup], start, position))
    return tokens


class _Parser:
    """Reads tokens from left to right, never going back."""

    def __init__(self, tokens: list[_Token], dialect: Dialect) -> None:
        self._tokens = tokens
        self._dialect = dialect
        self._next = 0
        self._depth = 0

    @property
    def at_end(self) -> bool:
        return self._next >= len(self._tokens)

    def unexpected(self) -> FilterSyntaxError:
        if self.at_end:
            return FilterSyntaxError("the filter ends too early")
        token = self._tokens[self._next]
        return FilterSyntaxError(f"unexpected {token.text[:40]!r} at character {token.start}")

    def conjunction(self, term: Callable[[], Node]) -> Node:
        """`a AND b c`: disjunctions joined by AND or by nothing."""
        operands = [self._disjunction(term)]
        while not self.at_end and not self._next_is(")"):
            self._take("AND")
            operands.append(self._disjunction(term))
        return operands[0] if len(operands) == 1 else All(tuple(operands))

    def _disjunction(self, term: Callable[[], Node]) -> Node:
        """`a OR b`."""
        operands = [self._negation(term)]
        while self._take("OR"):
            operands.append(self._negation(term))
        return operands[0] if len(operands) == 1 else AnyOf(tuple(operands))

    def _negation(self, term: Callable[[], Node]) -> Node:
        """`NOT a`, `-a`, `(a)` or `a`."""
        if self._take("NOT") or self._take("-"):
            return Not(self._unit(term))
        return self._unit(term)

    def _unit(self, term: Callable[[], Node]) -> Node:
        """One term, or an expression in parentheses."""
        if not self._take("("):
            return term()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise FilterSyntaxError(f"the filter is nested more than {_MAX_DEPTH} deep")
        node = self.conjunction(term)
        if not self._take(")"):
            raise self.unexpected()
        self._depth -= 1
        return node

    def term(self) -> Node:
        """`field operator value`."""
        path = self._path()
        operator = self._operator()
        if self._dialect.lists and self._next_is("("):
            return self._unit(lambda: Comparison(path, operator, self._value()))
        return Comparison(path, operator, self._value())

    def _path(self) -> tuple[str, ...]:
        """`resource.labels."quoted key"`: words joined by dots, no space between them."""
        if self.at_end or self._tokens[self._next].kind != "word" or self._next_is_keyword():
            raise self.unexpected()
        token = self._advance()
        pieces = token.text.split(".")
        while self._next_is(".") and self._tokens[self._next].start == token.end:
            self._advance()
            if self.at_end or self._tokens[self._next].kind not in {"word", "string"}:
                raise self.unexpected()
            token = self._advance()
            quoted = token.kind == "string"
            pieces += [self._unescaped(token)] if quoted else token.text.split(".")
        return tuple(pieces)

    def _operator(self) -> str:
        if self.at_end or self._tokens[self._next].kind != "operator":
            raise self.unexpected()
        token = self._advance()
        if token.text not in self._dialect.operators:
            raise FilterSyntaxError(f"the operator {token.text} is not supported")
        return token.text

    def _value(self) -> Value:
        sign = "-" if self._take("-") else ""
        if self.at_end or self._next_is_keyword():
            raise self.unexpected()
        token = self._tokens[self._next]
        if token.kind == "string" and not sign:
            self._advance()
            return Value(self._unescaped(token), quoted=True)
        if token.kind != "word":
            raise self.unexpected()
        self._advance()
        return Value(sign + token.text, quoted=False)

    def _unescaped(self, token: _Token) -> str:
        return _ESCAPE.sub(lambda found: self._escape(token, found), token.text[1:-1])

    def _escape(self, token: _Token, found: re.Match[str]) -> str:
        text = found[1]
        if text in self._dialect.escapes:
            return self._dialect.escapes[text]
        digits, base = (text, 8) if text[0] in "01234567" else (text[1:], 16)
        if self._dialect.numeric_escapes and digits:
            code = int(digits, base)
            if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004  Unicode's limits
                return chr(code)
        raise FilterSyntaxError(
            f"\\{text} is not an escape, at character {token.start + found.start()}"
        )

    def _next_is(self, text: str) -> bool:
        if self.at_end:
            return False
        token = self._tokens[self._next]
        return token.kind in {"mark", "word"} and token.text == text

    def _next_is_keyword(self) -> bool:
        return any(self._next_is(keyword) for keyword in ("AND", "OR", "NOT"))

    def _take(self, text: str) -> bool:
        if not self._next_is(text):
            return False
        self._advance()
        return True

    def _advance(self) -> _Token:
        token = self._tokens[self._next]
        self._next += 1
        return token


_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|[0-7]{1,3}|.)", re.DOTALL)
