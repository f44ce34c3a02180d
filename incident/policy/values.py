"""Value types of the policy file: actions, durations, patterns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import InitErrorDetails

from incident.actions.action import Steps
from incident.actions.catalogue import ACTIONS, available_actions
from incident.model import Kind
from incident.policy.errors import KeyPath, did_you_mean, invalid_value

DEFAULT_CATEGORY = "Execution: Modified Malicious Binary Executed"
DEFAULTS_RULE = "defaults"

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
#: Characters of regular expressions and paths, which no name on Google Cloud has.
_NEVER_IN_NAMES = re.compile(r"[\s/\\^$()|+{}]")


@dataclass(frozen=True, slots=True)
class _StepsValidator:
    """Validates and describes the list of actions for one kind of workload."""

    kind: Kind

    def read(self, value: object) -> Steps:
        if not isinstance(value, list | tuple):
            raise invalid_value("expected a list of actions, such as [scale-to-zero]")
        mistakes = [
            InitErrorDetails(type=invalid_value(text), loc=path, input=value)
            for path, text in self.mistakes(value)
        ]
        if mistakes:
            raise ValidationError.from_exception_data("actions", mistakes)
        return tuple(tuple(step) if isinstance(step, list | tuple) else (step,) for step in value)

    def mistakes(self, steps: Sequence[object]) -> Iterator[tuple[KeyPath, str]]:
        earlier: list[list[object]] = []
        for at, step in enumerate(steps):
            nested = isinstance(step, list | tuple)
            alternatives = list(step) if isinstance(step, list | tuple) else [step]
            if not alternatives:
                yield (at,), "expected at least one action"
            if alternatives in earlier:
                yield (at,), "expected each step once in a list"
            earlier.append(alternatives)
            for inner, action in enumerate(alternatives):
                path = (at, inner) if nested else (at,)
                yield from self.action_mistakes(path, action, alternatives[:inner])

    def action_mistakes(
        self, path: KeyPath, action: object, before: Sequence[object]
    ) -> Iterator[tuple[KeyPath, str]]:
        """What is wrong with an action for this kind, after the alternatives before it."""
        allowed = available_actions(self.kind)
        listed = f"available for {self.kind.with_article}: {', '.join(allowed) or 'none yet'}"
        if not isinstance(action, str):
            yield path, f"expected the name of an action; {listed}"
        elif action not in ACTIONS:
            yield path, f"no such action{did_you_mean(action, ACTIONS)}; {listed}"
        elif action not in allowed:
            kinds = " or a ".join(ACTIONS[action].kinds)
            yield path, f"it never fits a {self.kind}, only a {kinds}; {listed}"
        elif action in before:
            yield path, "expected each alternative once"

    def schema(self) -> JsonSchemaValue:
        """JSON Schema of the list."""
        allowed = available_actions(self.kind)
        names = ", ".join(allowed) or "none in this version yet"
        array = {
            "type": "array",
            "description": f"Steps for {self.kind.with_article}; available: {names}.",
        }
        if not allowed:
            return {**array, "maxItems": 0}
        action = {"type": "string", "enum": allowed}
        nested = {"type": "array", "items": action, "minItems": 1, "uniqueItems": True}
        return {**array, "items": {"anyOf": [action, nested]}, "uniqueItems": True}


def duration_up_to(maximum: str) -> Callable[[object], timedelta]:
    """A validator of durations above zero and up to a maximum."""

    def read(value: object) -> timedelta:
        duration = value if isinstance(value, timedelta) else _duration(value)
        if duration is None:
            raise invalid_value("expected a whole number and one of s m h d, such as 10s or 24h")
        if not timedelta(0) < duration <= (_duration(maximum) or duration):
            raise invalid_value(f"expected more than 0s and at most {maximum}")
        return duration

    return read


def _duration(value: object) -> timedelta | None:
    parts = re.fullmatch(r"([0-9]{1,9})([smhd])", value) if isinstance(value, str) else None
    return timedelta(seconds=int(parts[1]) * _UNITS_S[parts[2]]) if parts else None


def format_policy_duration(duration: timedelta) -> str:
    """A duration as the file spells it, in the largest unit up to hours."""
    seconds = int(duration.total_seconds())
    unit = next(unit for unit in "hms" if seconds % _UNITS_S[unit] == 0)
    return f"{seconds // _UNITS_S[unit]}{unit}"


def _check_brackets(pattern: str) -> str:
    opened = pattern.find("[")
    if opened >= 0 and "]" not in pattern[opened + 2 :]:
        raise invalid_value("expected a ] that closes the [")
    return pattern


def _name_pattern(pattern: str) -> str:
    if never := _NEVER_IN_NAMES.search(pattern):
        raise invalid_value(
            f"expected a whole name or a glob with * ? [abc]; no name has {never[0]!a} in it, "
            "and neither regular expressions nor paths are understood"
        )
    return _check_brackets(pattern)


def _account_pattern(pattern: str) -> str:
    _name_pattern(pattern)
    if "@" not in pattern or not pattern.endswith(".gserviceaccount.com"):
        raise invalid_value(
            "expected the e-mail of a service account, or a glob of it, such as"
            " web-runtime@*.iam.gserviceaccount.com"
        )
    return pattern


def _folder_pattern(pattern: str) -> str:
    if not re.fullmatch(r"[0-9*?\[\]!-]+", pattern):
        raise invalid_value('expected the number of a folder in quotes, such as "345678901234"')
    return _check_brackets(pattern)


def _exact_category(category: str) -> str:
    if re.search(r"[*?\[\]]|^\s|\s$|^$", category):
        raise invalid_value(f"expected the exact text of a category, such as {DEFAULT_CATEGORY!r}")
    return category


def _source_id(source: str) -> str:
    if not re.fullmatch("[0-9]+", source):
        raise invalid_value("expected the digits that end a source's name, in quotes")
    return source


def _label_key(key: str) -> str:
    if not key or re.search(r"[\s*?\[\]/]", key):
        raise invalid_value("expected the key of a label exactly, without a pattern")
    return key


def _rule_name(name: str) -> str:
    if name == DEFAULTS_RULE or not name.strip() or not name.isprintable():
        raise invalid_value(f"expected a name on one line, other than {DEFAULTS_RULE!r}")
    return name


_Text = Annotated[str, StringConstraints(min_length=1)]
Names = Annotated[tuple[Annotated[_Text, AfterValidator(_name_pattern)], ...], Field(min_length=1)]
Accounts = tuple[Annotated[_Text, AfterValidator(_account_pattern)], ...]
Folders = Annotated[
    tuple[Annotated[_Text, AfterValidator(_folder_pattern)], ...], Field(min_length=1)
]
Labels = Annotated[
    Mapping[
        Annotated[str, AfterValidator(_label_key)], Annotated[str, AfterValidator(_name_pattern)]
    ],
    Field(min_length=1),
]
Categories = Annotated[
    tuple[Annotated[str, AfterValidator(_exact_category)], ...], Field(min_length=1)
]
CategoryPatterns = Annotated[
    tuple[Annotated[_Text, AfterValidator(_check_brackets)], ...], Field(min_length=1)
]
Sources = tuple[Annotated[str, AfterValidator(_source_id)], ...]
RuleName = Annotated[str, AfterValidator(_rule_name)]
DURATION_SCHEMA = WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,9}[smhd]$"})
_SERVICE, _POOL, _JOB, _INSTANCE = map(
    _StepsValidator, (Kind.SERVICE, Kind.WORKER_POOL, Kind.JOB, Kind.INSTANCE)
)
ServiceSteps = Annotated[
    Steps | None, PlainValidator(_SERVICE.read), WithJsonSchema(_SERVICE.schema())
]
WorkerPoolSteps = Annotated[
    Steps | None, PlainValidator(_POOL.read), WithJsonSchema(_POOL.schema())
]
JobSteps = Annotated[Steps | None, PlainValidator(_JOB.read), WithJsonSchema(_JOB.schema())]
InstanceSteps = Annotated[
    Steps | None, PlainValidator(_INSTANCE.read), WithJsonSchema(_INSTANCE.schema())
]
