"""The code speaks the field's language: no private word is a name, a module or a heading."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.constants import REPOSITORY

PACKAGES = (
    "responders",
    "incident",
    "clients",
    "commands",
    "emulator",
    "finding_input",
    "benchmarks",
)
PRIVATE_WORDS = frozenset(
    [
        "told",
        "said",
        "telling",
        "whoever",
        "ours",
        "mend",
        "bench",
        "beat",
        "vigil",
        "witness",
        "sighting",
        "standing",
        "scene",
        "lettering",
        "custody",
        "together",
        "core",
        "books",
        "outside",
        "desk",
        "anew",
    ]
)
#: Words that only a module's name must not be.
PRIVATE_MODULES = PRIVATE_WORDS | {"held", "place", "road"}
#: Not ASCII: what stands outside of a range is no metaphor.
ALLOWED = frozenset({"_OUTSIDE_ASCII"})


def words(name: str) -> set[str]:
    """The words of an identifier in snake_case or CamelCase."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def names_in(tree: ast.AST) -> Iterator[str]:
    """The names that a module gives: classes, functions, parameters, variables, attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.arg():
                yield node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr


def sources(folder: str) -> list[Path]:
    """The Python modules below a folder."""
    return sorted((REPOSITORY / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", [*PACKAGES, "tests"])
def test_no_name_is_a_private_word(folder: str) -> None:
    """A reader meets the terms that he can look up."""
    found = [
        f"{path.relative_to(REPOSITORY)}: {name}"
        for path in (*sources(folder), REPOSITORY / "main.py", REPOSITORY / "wiring.py")
        for name in {path.stem: path.stem, **dict.fromkeys(names_in(ast.parse(path.read_text())))}
        if name not in ALLOWED and words(name) & PRIVATE_WORDS
    ]
    assert found == []


@pytest.mark.parametrize("folder", [*PACKAGES, "tests"])
def test_no_module_or_folder_is_a_private_word(folder: str) -> None:
    """The tree itself says where things are."""
    paths = {path.relative_to(REPOSITORY).with_suffix("") for path in sources(folder)}
    parts = {part for path in paths for part in path.parts}
    assert {part for part in parts if words(part) & PRIVATE_MODULES} == set()


@pytest.mark.parametrize("document", ["DECISIONS.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_no_heading_has_a_private_word(document: str) -> None:
    """Titles hold the term that one would look up."""
    text = (REPOSITORY / document).read_text()
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    assert headings
    assert [title for title in headings if words(title) & PRIVATE_WORDS] == []
