"""YAML files as strict pydantic models: mistakes with line and column, JSON Schema for editors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from incident.policy.errors import KeyPath
from incident.policy.values import format_policy_duration
from incident.policy.yaml_file import Document

ModelT = TypeVar("ModelT", bound=BaseModel)


def validate_document(document: Document, model: type[ModelT]) -> ModelT:
    """The model of a document that was read.

    Raises:
        InvalidPolicy: There are mistakes, those noted so far included.
    """
    try:
        value = model.model_validate(document.data)
    except ValidationError as error:
        document.note_validation_errors(error, known_keys=lambda path: _known_keys(model, path))
        raise document.invalid_policy() from error
    if document.mistakes:
        raise document.invalid_policy()
    return value


class _SchemaGenerator(GenerateJsonSchema):
    """Writes no null and no title: a key is left out rather than null."""

    def field_title_should_be_set(self, schema: object) -> bool:
        del schema
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        inner, default = self.generate_inner(schema["schema"]), schema.get("default")
        if isinstance(default, timedelta):
            return {**inner, "default": format_policy_duration(default)}
        section = isinstance(default, BaseModel)  # each of its keys has its own default
        return super().default_schema(schema) if default and not section else inner


def schema_of(model: type[BaseModel], title: str) -> JsonSchemaValue:
    """The JSON Schema of a file, for editors.

    Args:
        model: What the file must be.
        title: The schema's title.
    """
    schema = model.model_json_schema(schema_generator=_SchemaGenerator)
    return {"$schema": _SchemaGenerator.schema_dialect, **schema, "title": title}


def _known_keys(model: type[BaseModel], path: KeyPath) -> Sequence[str]:
    """The keys that may stand in the mapping at a path of the file."""
    section = model
    for part in path:
        for name, entry in section.model_fields.items():
            if part == (entry.alias or name):
                section = next(_models_in(entry.annotation))
                break
    return tuple(entry.alias or name for name, entry in section.model_fields.items())


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type names, in lists and alternatives too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
