"""The keys of the policy file and what each may hold.

Run as a module it prints them as a JSON Schema, for editors. Which workload a match means
does not belong here.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from incident.model import Kind, Mode
from incident.policy_file import KeyPath, did_you_mean

CATEGORY = "Execution: Modified Malicious Binary Executed"
DEFAULTS = "defaults"

Steps: TypeAlias = tuple[tuple[str, ...], ...]

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
#: What stands in regular expressions, paths and mistakes, and never in a name on Google Cloud.
_NEVER_IN_NAMES = re.compile(r"[\s/\\^$()|+{}]")


#: Every action by name, with the kinds of workload for which it makes sense at all, and
#: whether this version carries it out for them.
ACTIONS: Mapping[str, Mapping[Kind, bool]] = MappingProxyType(
    {
        "scale-to-zero": {Kind.SERVICE: True, Kind.WORKER_POOL: False},
        "isolate-revision": {Kind.SERVICE: False},
        "restrict-ingress": {Kind.SERVICE: False},
        "require-authentication": {Kind.SERVICE: False, Kind.JOB: False},
        "cancel-executions": {Kind.JOB: False},
    }
)


def _wrong(text: str) -> PydanticCustomError:
    """A mistake in our own words: what was expected."""
    return PydanticCustomError("policy", "{text}", {"text": text})


@dataclass(frozen=True, slots=True)
class _StepsFor:
    """Reads and describes the list of actions for one kind of workload."""

    kind: Kind

    @property
    def available(self) -> list[str]:
        return [name for name, kinds in ACTIONS.items() if kinds.get(self.kind)]

    def read(self, value: object) -> Steps:
        if not isinstance(value, list | tuple):
            raise _wrong("expected a list of actions, such as [scale-to-zero]")
        mistakes = [
            InitErrorDetails(type=_wrong(text), loc=path, input=value)
            for path, text in self.mistakes(value)
        ]
        if mistakes:
            raise ValidationError.from_exception_data("actions", mistakes)
        return tuple(tuple(step) if isinstance(step, list | tuple) else (step,) for step in value)

    def mistakes(self, steps: Sequence[object]) -> Iterator[tuple[KeyPath, str]]:
        seen: list[list[object]] = []
        for at, step in enumerate(steps):
            nested = isinstance(step, list | tuple)
            alternatives = list(step) if isinstance(step, list | tuple) else [step]
            if not alternatives:
                yield (at,), "expected at least one action"
            if alternatives in seen:
                yield (at,), "expected each step once in a list"
            seen.append(alternatives)
            for inner, action in enumerate(alternatives):
                path = (at, inner) if nested else (at,)
                yield from self.unfit(path, action, alternatives[:inner])

    def unfit(
        self, path: KeyPath, action: object, before: Sequence[object]
    ) -> Iterator[tuple[KeyPath, str]]:
        """What is wrong with an action for this kind, and after the alternatives before it."""
        available = f"available for a {self.kind}: {', '.join(self.available) or 'none yet'}"
        if not isinstance(action, str):
            yield path, f"expected the name of an action; {available}"
        elif action not in ACTIONS:
            yield path, f"no such action{did_you_mean(action, ACTIONS)}; {available}"
        elif self.kind not in ACTIONS[action]:
            kinds = " or a ".join(ACTIONS[action])
            yield path, f"it never fits a {self.kind}, only a {kinds}; {available}"
        elif action not in self.available:
            yield path, f"not available in this version yet; {available}"
        elif action in before:
            yield path, "expected each alternative once"

    def schema(self) -> JsonSchemaValue:
        """How an editor checks the list."""
        names = ", ".join(self.available) or "none in this version yet"
        told = {"type": "array", "description": f"Steps for a {self.kind}; available: {names}."}
        if not self.available:
            return {**told, "maxItems": 0}
        action = {"type": "string", "enum": self.available}
        nested = {"type": "array", "items": action, "minItems": 1, "uniqueItems": True}
        return {**told, "items": {"anyOf": [action, nested]}, "uniqueItems": True}


def _up_to(longest: str) -> Callable[[object], timedelta]:
    """Reads a duration above zero and up to a longest one."""

    def read(value: object) -> timedelta:
        duration = value if isinstance(value, timedelta) else _duration(value)
        if duration is None:
            raise _wrong("expected a whole number and one of s m h d, such as 10s or 24h")
        if not timedelta(0) < duration <= (_duration(longest) or duration):
            raise _wrong(f"expected more than 0s and at most {longest}")
        return duration

    return read


def _duration(value: object) -> timedelta | None:
    written = re.fullmatch(r"([0-9]{1,9})([smhd])", value) if isinstance(value, str) else None
    return timedelta(seconds=int(written[1]) * _UNITS_S[written[2]]) if written else None


def _written(duration: timedelta) -> str:
    seconds = int(duration.total_seconds())
    unit = next(unit for unit in "hms" if seconds % _UNITS_S[unit] == 0)
    return f"{seconds // _UNITS_S[unit]}{unit}"


def _closed(pattern: str) -> str:
    opened = pattern.find("[")
    if opened >= 0 and "]" not in pattern[opened + 2 :]:
        raise _wrong("expected a ] that closes the [")
    return pattern


def _of_names(pattern: str) -> str:
    if never := _NEVER_IN_NAMES.search(pattern):
        raise _wrong(
            f"expected a whole name or a glob with * ? [abc]; no name has {never[0]!a} in it, "
            "and neither regular expressions nor paths are understood"
        )
    return _closed(pattern)


def _of_folders(pattern: str) -> str:
    if not re.fullmatch(r"[0-9*?\[\]!-]+", pattern):
        raise _wrong('expected the number of a folder in quotes, such as "345678901234"')
    return _closed(pattern)


def _exact(category: str) -> str:
    if re.search(r"[*?\[\]]|^\s|\s$|^$", category):
        raise _wrong(f"expected the exact text of a category, such as {CATEGORY!r}")
    return category


def _digits(source: str) -> str:
    if not re.fullmatch("[0-9]+", source):
        raise _wrong("expected the digits that end a source's name, in quotes")
    return source


def _label_key(key: str) -> str:
    if not key or re.search(r"[\s*?\[\]/]", key):
        raise _wrong("expected the key of a label exactly, without a pattern")
    return key


def _rule_name(name: str) -> str:
    if name == DEFAULTS or not name.strip() or not name.isprintable():
        raise _wrong(f"expected a name on one line, other than {DEFAULTS!r}")
    return name


_Text = Annotated[str, StringConstraints(min_length=1)]
_Names = Annotated[tuple[Annotated[_Text, AfterValidator(_of_names)], ...], Field(min_length=1)]
_Folders = Annotated[tuple[Annotated[_Text, AfterValidator(_of_folders)], ...], Field(min_length=1)]
_Labels = Annotated[
    Mapping[Annotated[str, AfterValidator(_label_key)], Annotated[str, AfterValidator(_of_names)]],
    Field(min_length=1),
]
_Cap = Annotated[int, Field(strict=True, ge=0, le=1000)]
_DURATION = WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,9}[smhd]$"})
_SERVICE, _POOL, _JOB = map(_StepsFor, (Kind.SERVICE, Kind.WORKER_POOL, Kind.JOB))


class _Section(BaseModel):
    """What every mapping of the file has in common: unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Contain(_Section):
    """What is done, per kind of workload.

    Every step is applied. A step is an action, or a list of alternatives of which the first
    that fits is taken. An empty list means that nothing is done: findings are held.
    """

    service: Annotated[
        Steps | None, PlainValidator(_SERVICE.read), WithJsonSchema(_SERVICE.schema())
    ] = None
    worker_pool: Annotated[
        Steps | None, PlainValidator(_POOL.read), WithJsonSchema(_POOL.schema())
    ] = Field(default=None, alias="worker-pool")
    job: Annotated[Steps | None, PlainValidator(_JOB.read), WithJsonSchema(_JOB.schema())] = None

    def steps(self, kind: Kind) -> Steps | None:
        """The steps for a kind of workload; None where nothing is said about it."""
        steps = {
            Kind.SERVICE: self.service,
            Kind.WORKER_POOL: self.worker_pool,
            Kind.JOB: self.job,
        }
        return steps[kind]


class Match(_Section):
    """Which workloads are meant: those that match every key given, by one of its patterns.

    Patterns are whole names or globs with ``*``, ``?`` and ``[abc]``, case-sensitive. Each of
    ``services``, ``jobs`` and ``worker_pools`` speaks of its own kind, and a match with any of
    them means no kind that it leaves out.
    """

    projects: _Names = Field(
        default=(), description="Project ids; a pattern of digits is a project number."
    )
    folders: _Folders = Field(
        default=(), description="Numbers of folders anywhere above the project."
    )
    regions: _Names = Field(default=(), description="Regions, such as europe-west1.")
    services: _Names = Field(default=(), description="Names of services; no other kind is meant.")
    jobs: _Names = Field(default=(), description="Names of jobs; no other kind is meant.")
    worker_pools: _Names = Field(
        default=(), description="Names of worker pools; no other kind is meant."
    )
    labels: _Labels = Field(
        default_factory=dict,
        description="Labels that the workload has: the key exactly, the value as a pattern.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise _wrong(f"expected at least one of: {', '.join(type(self).model_fields)}")
        return self


class RuleMatch(Match):
    """Which findings a rule is for."""

    categories: Annotated[
        tuple[Annotated[_Text, AfterValidator(_closed)], ...], Field(min_length=1)
    ] = Field(
        default=(),
        description="Finding types, as patterns, in place of the top-level categories.",
    )


class Rule(_Section):
    """What differs for some workloads. What a rule leaves out comes from the top level."""

    name: Annotated[str, AfterValidator(_rule_name)] = Field(
        description="A name of its own, which logs and records show."
    )
    match: RuleMatch
    mode: Mode | None = Field(default=None, description="How far to go for these workloads.")
    contain: Contain = Field(
        default=Contain(), description="What is done; a kind left out is as at the top level."
    )


class Guards(_Section):
    """Bounds on what may happen unattended."""

    max_finding_age: Annotated[timedelta, PlainValidator(_up_to("365d")), _DURATION] = Field(
        default=timedelta(hours=24), description="Older findings are held, at most 365d."
    )
    max_containments_per_hour: _Cap = Field(
        default=10, description="In all projects together; 0 holds everything."
    )
    max_per_project_per_hour: _Cap = Field(
        default=3, description="In any one project; 0 holds everything."
    )


class VirusTotal(_Section):
    """A gate: contain only what VirusTotal calls malicious."""

    min_malicious: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        description="How many engines must call the binary malicious."
    )
    when_unknown: Literal["contain", "hold"] = Field(
        default="hold", description="What to do when VirusTotal does not know or cannot be asked."
    )


class EvidenceBounds(_Section):
    """How much evidence is gathered."""

    log_window: Annotated[timedelta, PlainValidator(_up_to("7d")), _DURATION] = Field(
        default=timedelta(minutes=30),
        description="How far around the event logs and related findings are read, at most 7d.",
    )
    log_entries: Annotated[int, Field(strict=True, ge=1, le=5000)] = Field(
        default=500, description="How many log entries are kept at most."
    )
    deadline: Annotated[timedelta, PlainValidator(_up_to("60s")), _DURATION] = Field(
        default=timedelta(seconds=10),
        description="How long each piece of evidence is waited for, at most 60s.",
    )


class Policy(_Section):
    """What may be done to which workload. The defaults contain nothing."""

    mode: Mode = Field(
        default=Mode.DRY_RUN,
        description="dry-run: plan only; approve: wait for a person; enforce: contain.",
    )
    categories: Annotated[
        tuple[Annotated[str, AfterValidator(_exact)], ...], Field(min_length=1)
    ] = Field(default=(CATEGORY,), description="Finding types that are answered, exact texts.")
    sources: tuple[Annotated[str, AfterValidator(_digits)], ...] = Field(
        default=(), description="SCC source ids that findings must come from; empty: any."
    )
    contain: Contain = Contain()
    rules: tuple[Rule, ...] = Field(
        default=(), description="Tried in order; the first that matches applies."
    )
    protect: tuple[Match, ...] = Field(
        default=(),
        description="Workloads that are never contained, whatever a rule says. What cannot be "
        "known about a workload counts as protected.",
    )
    guards: Guards = Guards()
    virustotal: VirusTotal | None = Field(default=None, description="Left out: no gate.")
    evidence: EvidenceBounds = EvidenceBounds()


class _Generator(GenerateJsonSchema):
    """Says what the file may hold: a key is left out rather than given as nothing."""

    def field_title_should_be_set(self, schema: object) -> bool:
        del schema
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        inner, default = self.generate_inner(schema["schema"]), schema.get("default")
        if isinstance(default, timedelta):
            return {**inner, "default": _written(default)}
        section = isinstance(default, BaseModel)  # each of its keys has its own default
        return super().default_schema(schema) if default and not section else inner


def policy_schema() -> JsonSchemaValue:
    """The JSON Schema of the policy file."""
    schema = Policy.model_json_schema(schema_generator=_Generator)
    return {"$schema": _Generator.schema_dialect, **schema, "title": "Containment policy"}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(policy_schema(), indent=2) + "\n")
