"""The file of a playbook: pydantic and JSON Schema. Run as a module it prints the JSON Schema."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from incident.model import InvalidPlaybook, InvalidPolicy
from incident.playbook.rendering import condition_template
from incident.policy.errors import KeyPath
from incident.policy.yaml_file import read_document

_Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
_Text = Annotated[str, Field(min_length=1, max_length=4000)]
_Condition = Annotated[str, Field(max_length=500)]
_Commands = Annotated[str, Field(max_length=8000)]
_MOST_TASKS = 40


class _Section(BaseModel):
    """A mapping of the file; unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Detail(_Section):
    """More on a task, folded below it."""

    when: _Condition = Field(default="", description="Jinja expression; left out: always.")
    text: _Text = Field(description="One sentence or two; Jinja.")
    commands: _Commands = Field(
        default="", description="Commands, one a line; Jinja. Every value is quoted by itself."
    )


class Task(_Section):
    """A task for a person."""

    id: _Id = Field(description="Unique in the file.")
    when: _Condition = Field(default="", description="Jinja expression; left out: always.")
    first: _Condition = Field(
        default="", description="Jinja expression: when it holds, the task comes before the others."
    )
    title: _Text = Field(description="What to do, in a few words; Jinja.")
    what: _Text = Field(description="What to do, in a sentence or two; Jinja.")
    why: _Text = Field(description="Why, and why now; Jinja.")
    commands: _Commands = Field(
        default="", description="Commands, one a line; Jinja. Every value is quoted by itself."
    )
    link: Annotated[str, Field(max_length=2000)] = Field(
        default="", description="A page of the console; Jinja."
    )
    more: tuple[Detail, ...] = Field(default=(), description="What is folded below the task.")


class Playbook(_Section):
    """The tasks left to people, in order."""

    tasks: Annotated[tuple[Task, ...], Field(min_length=1, max_length=_MOST_TASKS)] = Field(
        description="The tasks of an incident on a Cloud Run workload."
    )
    without_workload: Annotated[tuple[Task, ...], Field(min_length=1)] = Field(
        description="The tasks of an incident whose finding names no Cloud Run workload."
    )

    @property
    def all_tasks(self) -> tuple[Task, ...]:
        """The tasks of both lists."""
        return (*self.tasks, *self.without_workload)

    @property
    def templates(self) -> Iterator[tuple[str, bool]]:
        """Every template of it, and whether it is one of commands."""
        for task in self.all_tasks:
            yield from ((text, False) for text in (task.title, task.what, task.why, task.link))
            yield from ((detail.text, False) for detail in task.more)
            yield from (
                (block, True) for block in (task.commands, *(d.commands for d in task.more))
            )
            for condition in (task.when, task.first, *(detail.when for detail in task.more)):
                yield condition_template(condition), False


_SHIPPED = Path(__file__).with_name("playbook.yaml")


@functools.lru_cache(maxsize=4)
def parse_playbook(text: str | bytes, *, source: str) -> Playbook:
    """Parse a playbook file. An unchanged one is parsed once.

    Its templates are not looked at: :func:`incident.playbook.check.check_playbook` does.

    Args:
        text: YAML; bytes are UTF-8.
        source: What the file is called in messages, such as its path or URL.

    Raises:
        InvalidPlaybook: There are mistakes. Its message lists all, each with line and column.
    """
    try:
        document = read_document(text, source=source)
        try:
            playbook = Playbook.model_validate(document.data)
        except ValidationError as error:
            document.note_validation_errors(error, known_keys=_known_keys)
            raise document.invalid_policy() from error
        for path, task in _repeated(playbook):
            text_of_mistake = f"the id {task.id} stands in the file already; expected each once"
            document.note(path, text_of_mistake, at=document.values[path].start_mark)
        if document.mistakes:
            raise document.invalid_policy()
    except InvalidPolicy as error:
        raise InvalidPlaybook(str(error).replace("the policy", "the playbook", 1)) from error
    return playbook


def shipped_playbook() -> Playbook:
    """The playbook that comes with the product."""
    return _read_shipped()


@functools.cache
def _read_shipped() -> Playbook:
    return parse_playbook(_SHIPPED.read_bytes(), source=_SHIPPED.name)


def _repeated(playbook: Playbook) -> Iterable[tuple[KeyPath, Task]]:
    seen = set()
    for name, tasks in (("tasks", playbook.tasks), ("without_workload", playbook.without_workload)):
        for at, task in enumerate(tasks):
            if task.id in seen:
                yield (name, at, "id"), task
            seen.add(task.id)


def _known_keys(path: KeyPath) -> list[str]:
    models: dict[int, type[BaseModel]] = {0: Playbook, 2: Task}
    return list(models.get(len(path), Detail).model_fields)


def playbook_schema() -> dict[str, object]:
    """The JSON Schema of a playbook file."""
    schema = Playbook.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(playbook_schema(), indent=2) + "\n")
