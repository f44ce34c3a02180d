"""No regular expression of the product takes long over hostile text: half a second a megabyte."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import clients
import incident
import responders
from incident.redaction.credential_contexts import PATTERNS
from incident.redaction.credential_formats import FORMATS
from incident.redaction.credential_search import _matcher, _searches

_MEGABYTE = 1_000_000
_LIMIT_S = 0.5
# What takes quadratic time takes seconds for this much already; what is not suspicious here is
# not tried with a megabyte.
_SAMPLE, _SUSPICIOUS_S = 20_000, 0.005
_SCANNING = {"search", "finditer", "findall", "sub", "split"}
#: Runs that make expressions backtrack: of what they repeat, without what they end with.
_PIECES = (
    *("a", "A", "0", " ", "\t", "\n", "-", "_", ".", "/", "=", ":", "@", "%", "'", '"', "\\", "$"),
    *("a ", "a-", "a.", "a/", "a=", "a:", "a,", "ab@", "aA0", "0.", "a\n", " \n", "\\n", '\\"'),
    *("%41", "%2F", "://", "a://", "?a=", "&a=", "projects/", "projects/a/", "-----BEGIN ", "--a "),
    *("-----BEGIN A PRIVATE KEY-----", "eyJ", "eyJaaaaaaaa.", "password ", "password=", "login a "),
    *("bearer ", "authorization: ", "cookie: ", "identified by ", "mysql a ", "redis-cli a "),
    *("<a", "</", '"name": "', '"name": "a", ', "key: |\n ", "auth", "a:a@", "[redacted:"),
    *("$6$", "\x1b[0m", "\u0430", "\u0301"),
)


def product_modules() -> Iterator[ModuleType]:
    """Every module of what is deployed."""
    for package in (incident, clients, responders):
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def scanned_names(module: ModuleType) -> set[str]:
    """The names whose expressions a module searches for anywhere in a text."""
    return {
        node.value.id
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Attribute)
        and node.attr in _SCANNING
        and isinstance(node.value, ast.Name)
    }


def product_patterns() -> dict[str, tuple[re.Pattern[str], bool]]:
    """All expressions with their names, and whether a text is searched for them."""
    found: dict[str, tuple[re.Pattern[str], bool]] = {}
    for module in product_modules():
        scanned = scanned_names(module)
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                found[f"{module.__name__}.{name}"] = (value, name in scanned)
            for at, pattern in enumerate(_members(value)):
                found[f"{module.__name__}.{name}[{at}]"] = (pattern, True)
    found |= {f"credential {each.name}": (each.expression, True) for each in PATTERNS}
    found |= {f"anchors {at}": (each, True) for at, (each, _) in enumerate(_searches())}
    for format_ in FORMATS:
        matcher = _matcher(format_.name)
        found[f"body of {format_.name}"] = (matcher.body, False)
        found[f"rest of {format_.name}"] = (matcher.rest, False)
    return found


def _members(value: Any) -> list[re.Pattern[str]]:
    members = value.values() if isinstance(value, dict) else value
    return (
        [each for each in members if isinstance(each, re.Pattern)]
        if isinstance(value, tuple | list | dict)
        else []
    )


EXPRESSIONS = product_patterns()


def seconds(pattern: re.Pattern[str], text: str, *, scanned: bool) -> float:
    """The processor time that a pattern takes over a text, as the product uses it."""
    begun = time.thread_time()
    if scanned:
        for _ in pattern.finditer(text):
            pass
    else:
        pattern.match(text)
        pattern.fullmatch(text)
    return time.thread_time() - begun


@pytest.mark.parametrize("piece", _PIECES, ids=ascii)
def test_no_expression_backtracks_on_hostile_text(piece: str) -> None:
    """Whatever is repeated: a megabyte of it takes half a second at most."""
    sample, text = repeated(piece, _SAMPLE), repeated(piece, _MEGABYTE)
    for name, (pattern, scanned) in EXPRESSIONS.items():
        took = seconds(pattern, sample, scanned=scanned)
        assert took < _LIMIT_S, f"{name} takes {took:.1f} s for {_SAMPLE} characters"
        if took > _SUSPICIOUS_S:
            took = min(seconds(pattern, text, scanned=scanned) for _ in range(2))
            assert took < _LIMIT_S, f"{name} takes {took:.1f} s for {_MEGABYTE} characters"


def repeated(piece: str, size: int) -> str:
    """A text of so many characters that repeats a piece."""
    return (piece * (size // len(piece) + 1))[:size]


def test_the_expressions_are_found() -> None:
    """Those of redaction, policy, filters and clients are among them."""
    assert len(EXPRESSIONS) > 300
    assert "incident.redaction.secret_names._QUOTED" in EXPRESSIONS
    assert sum(scanned for _, scanned in EXPRESSIONS.values()) > 40
