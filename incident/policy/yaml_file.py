"""Load the policy YAML with line and column of each error.

YAML that a reader could misread is rejected: repeated keys, aliases, merge keys, tags, several
documents, and unquoted texts that YAML takes for another type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from incident.model import InvalidPolicy
from incident.policy.errors import (
    KeyPath,
    Mistake,
    did_you_mean,
    format_path,
    invalid_policy,
    quote_value,
)

MAX_BYTES = 200_000
MAX_DEPTH = 20

_ALIAS = "an alias"
_YAML = "tag:yaml.org,2002:"
_STR, _INT, _NULL, _MAP, _SEQ = (f"{_YAML}{name}" for name in ("str", "int", "null", "map", "seq"))
#: Types that YAML gives to unquoted text, and no key of the policy accepts.
_YAML_TYPES = {
    _INT: "a number",
    f"{_YAML}float": "a number",
    f"{_YAML}bool": "true or false",
    f"{_YAML}timestamp": "a date",
    f"{_YAML}merge": "a merge key",
    f"{_YAML}value": "a default key",
}
_PLAIN_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_EXPECTED = {
    "enum": "expected {expected}",
    "literal_error": "expected {expected}",
    "int_type": "expected a whole number in plain digits, without quotes, such as 10",
    "greater_than_equal": "expected at least {ge}",
    "less_than_equal": "expected at most {le}",
    "string_too_short": "expected a text that is not empty",
    "too_short": "expected at least one entry, or leave the key out",
    "tuple_type": 'expected a list, such as ["one", "two"]',
    "model_type": "expected keys, each with a value",
    "dict_type": "expected keys, each with a value",
}


class Unusable:
    """Placeholder for a value that no key accepts, such as a date."""


@dataclass(slots=True)
class Document:
    """A policy file as data, with the position of every key and value.

    Attributes:
        source: What the file is called in messages.
        data: Mappings, lists, texts, whole numbers; ``Unusable`` for anything else.
        values: The node of each value, by its path.
        keys: The node of each key, by the path of its value.
        unusable: Paths of the values that loading rejected, so that they are reported once.
        mistakes: The mistakes so far.
        title: What the file is, for the first line of an error.
    """

    source: str
    data: object = None
    values: dict[KeyPath, Node] = field(default_factory=dict)
    keys: dict[KeyPath, Node] = field(default_factory=dict)
    unusable: set[KeyPath] = field(default_factory=set)
    mistakes: list[Mistake] = field(default_factory=list)
    title: str = "policy"

    def note(self, path: KeyPath, text: str, *, at: yaml.Mark) -> None:
        """Note a mistake at a path of the document."""
        where = f"{format_path(path)}: " if path else ""
        self.mistakes.append(Mistake(at.line + 1, at.column + 1, where + text))

    def note_validation_errors(
        self, error: ValidationError, *, known_keys: Callable[[KeyPath], Sequence[str]]
    ) -> None:
        """Note the errors of validation, except for values that loading rejected already.

        Args:
            error: Raised by validating ``data``.
            known_keys: The keys that may stand in the mapping at a path.
        """
        for problem in error.errors(include_url=False):
            path, node = self._locate(problem)
            # Pydantic counts only the good entries of a list: with bad ones it says too short.
            miscounted = problem["type"] == "too_short" and node.value
            if path not in self.unusable and not miscounted:
                self.note(path, _describe_problem(problem, node, known_keys), at=node.start_mark)

    def _locate(self, problem: ErrorDetails) -> tuple[KeyPath, Node]:
        """The path of a mistake, and its key or value."""
        path = problem["loc"]
        if path[-1:] == ("[key]",) and path not in self.keys:  # pydantic's name for the key itself
            return path[:-1], self.keys[path[:-1]]
        if problem["type"] == "extra_forbidden":
            return path, self.keys[path]
        nearest = path
        while nearest not in self.values:  # a missing key has no position: use its parent's
            nearest = nearest[:-1]
        return path, self.values[nearest]

    def invalid_policy(self) -> InvalidPolicy:
        """The error that lists the mistakes noted so far, in the order of the file."""
        return self.invalid_with(*self.mistakes)

    def invalid_with(self, *mistakes: Mistake) -> InvalidPolicy:
        """The error that lists these mistakes alone."""
        return invalid_policy(self.source, *mistakes, title=self.title)


def read_document(text: str | bytes, *, source: str, title: str = "policy") -> Document:
    """Read one YAML document.

    Args:
        text: The file; bytes are UTF-8.
        source: What the file is called in messages.
        title: What it is, for the first line of an error.

    Returns:
        The document with its mistakes, except those that keep it from being YAML.

    Raises:
        InvalidPolicy: It is too large, not UTF-8, not YAML, nested too deeply or empty.
    """
    document = Document(source, title=title)
    node = _compose(document, _decode(document, text))
    if node is None or node.tag == _NULL:
        expected = "the file is empty; expected keys with values, such as mode: dry-run"
        raise document.invalid_with(Mistake(1, 1, expected))
    document.data = _build(document, node, ())
    return document


def _decode(document: Document, text: str | bytes) -> str:
    if len(text) > MAX_BYTES:
        size = f"the file has {len(text):,} bytes; expected at most {MAX_BYTES:,}"
        raise document.invalid_with(Mistake(1, 1, size))
    if isinstance(text, str):
        return text
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        before = text[: error.start].decode()
        wrong = f"the byte 0x{text[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise document.invalid_with(_mistake_after(before, wrong)) from error


def _mistake_after(before: str, text: str) -> Mistake:
    """A mistake at the character that follows some text."""
    return Mistake(before.count("\n") + 1, len(before) - before.rfind("\n"), text)


class _Loader(yaml.SafeLoader):
    """Composes nodes only; limits their depth and leaves aliases unresolved."""

    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if self.check_event(AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]
            return ScalarNode(_ALIAS, event.anchor, event.start_mark, event.end_mark)
        if self.depth == MAX_DEPTH:
            deep = f"nested more than {MAX_DEPTH} levels deep"
            raise yaml.MarkedYAMLError(problem=deep, problem_mark=event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _compose(document: Document, text: str) -> Node | None:
    """The root of the first document; None where there is none."""
    try:
        loader = _Loader(text)
    except ReaderError as error:
        wrong = f"the character U+{ord(text[error.position]):04X} may not stand in YAML"
        raise document.invalid_with(_mistake_after(text[: error.position], wrong)) from error
    try:
        node = loader.get_node() if loader.check_node() else None
        if loader.check_node():
            mark = loader.peek_event().start_mark  # type: ignore[no-untyped-call]
            document.note((), "a second document begins; expected one in a file", at=mark)
    except yaml.MarkedYAMLError as error:
        raise document.invalid_with(_not_yaml(error)) from error
    except (ValueError, OverflowError) as error:  # PyYAML lets an escape such as "\UFFFFFFFF" pass
        mark = loader.get_mark()
        wrong = "not YAML: the escape names a character that does not exist"
        raise document.invalid_with(Mistake(mark.line + 1, mark.column + 1, wrong)) from error
    return node


def _not_yaml(error: yaml.MarkedYAMLError) -> Mistake:
    mark = error.problem_mark or error.context_mark
    text = "not YAML: " + ", ".join(part for part in (error.context, error.problem) if part)
    if error.problem and r"'\t'" in error.problem:
        text += "; indent with spaces, not tabs"
    return Mistake(mark.line + 1, mark.column + 1, text) if mark else Mistake(1, 1, text)


def _build(document: Document, node: Node, path: KeyPath) -> object:
    """Plain data of a node; notes what cannot be used."""
    document.values[path] = node
    if isinstance(node, MappingNode) and node.tag == _MAP:
        return _build_mapping(document, node, path)
    if isinstance(node, SequenceNode) and node.tag == _SEQ:
        return [_build(document, item, (*path, at)) for at, item in enumerate(node.value)]
    if isinstance(node, ScalarNode) and node.tag == _STR and not _SURROGATE.search(node.value):
        return node.value
    if isinstance(node, ScalarNode) and node.tag == _INT and _PLAIN_NUMBER.fullmatch(node.value):
        return int(node.value)
    if node.tag not in _YAML_TYPES:
        document.note(path, _why_refused(node), at=node.start_mark)
        document.unusable.add(path)
    return Unusable()


def _build_mapping(document: Document, node: MappingNode, path: KeyPath) -> dict[str, object]:
    data: dict[str, object] = {}
    for key, value in node.value:
        inner = (*path, key.value if isinstance(key.value, str) else _describe_node(key))
        if key.tag == f"{_YAML}merge":
            document.note(
                inner, "merge keys are not allowed; write the keys out", at=key.start_mark
            )
        elif key.tag != _STR:
            text = f"found the key {_describe_node(key)}; expected a text: put it in quotes"
            document.note(inner, text, at=key.start_mark)
        elif _SURROGATE.search(key.value):
            document.note(inner, _why_refused(key), at=key.start_mark)
        elif key.value in data:
            first = document.keys[inner].start_mark.line + 1
            text = f"the key stands on line {first} already; expected each key once"
            document.note(inner, text, at=key.start_mark)
        else:
            document.keys[inner] = key
            data[key.value] = _build(document, value, inner)
    return data


def _why_refused(node: Node) -> str:
    """Why a node that no key accepts is rejected."""
    if node.tag == _NULL:
        return "found nothing; expected a value, or leave the key out"
    if node.tag == _ALIAS:
        return f"found the alias *{node.value}; expected it written out, aliases are not allowed"
    if node.tag == _STR:
        return f"found {_describe_node(node)}; expected whole characters, not one half of a pair"
    return f"found the tag {quote_value(node.tag)}; expected plain values, tags are not allowed"


def _describe_node(node: Node) -> str:
    """A node for a person."""
    if not isinstance(node, ScalarNode):
        what = "list" if isinstance(node, SequenceNode) else "mapping"
        return f"a {what}" if node.value else f"an empty {what}"
    if node.tag not in _YAML_TYPES:
        return quote_value(node.value)
    plain = quote_value(node.value).strip('"')
    if _PLAIN_NUMBER.fullmatch(plain):
        return f"the number {plain}"
    return f"{plain}, which YAML takes for {_YAML_TYPES[node.tag]}"


def _describe_problem(
    problem: ErrorDetails, node: Node, known_keys: Callable[[KeyPath], Sequence[str]]
) -> str:
    """A validation error: what was found and what was expected."""
    kind, path = problem["type"], problem["loc"]
    if kind == "missing":
        return "missing; this key is required"
    if kind == "extra_forbidden":
        known = known_keys(path[:-1])
        suggestion = did_you_mean(str(path[-1]), known)
        return f"unknown key{suggestion}; expected one of: {', '.join(known)}"
    if kind == "string_type":
        return f"found {_describe_node(node)}; expected a text{_quoting_hint(node)}"
    expected = _EXPECTED.get(kind, "{msg}").format(msg=problem["msg"], **problem.get("ctx", {}))
    return f"found {_describe_node(node)}; {expected}"


def _quoting_hint(node: Node) -> str:
    """Advice on a text that YAML took for another type."""
    if isinstance(node, ScalarNode):
        return ": put it in quotes"
    one_entry = isinstance(node, MappingNode) and len(node.value) == 1
    return " (put a text with a colon in quotes)" if one_entry else ""
