"""Fill in the templates of a playbook: texts, conditions, and commands with every value quoted.

Templates are Jinja, sandboxed and strict: an unknown name is an error. Each value inserted into a
command is quoted for a POSIX shell by the environment itself, so that no template can forget it.
"""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from incident.model import InvalidPlaybook
from incident.playbook.links import is_printable

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

#: They surround a value in a rendered command until it is quoted. Private characters, which no
#: printable value contains.
_START, _END = "\ue000", "\ue001"
_VALUE = re.compile(f"{_START}([^{_START}{_END}]*){_END}")
#: Where a quoted value would be read differently: quotes, backquotes, comments, here-documents.
_NO_VALUE_IN = re.compile(
    r"""'[^']*(?:'|$)|"(?:\\.|[^"\\])*(?:"|$)|`[^`]*(?:`|$)|(?:^|\s)#.*|<<.*|\\."""
)


class ShellCommand(str):
    """A command that code has quoted already: it is inserted into a command as it stands."""

    __slots__ = ()


class Templates:
    """Compiled templates of this process. Thread-safe; imports Jinja at the first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._compiled: dict[tuple[str, bool], Template] = {}
        self._environments: dict[bool, SandboxedEnvironment] = {}

    def text(self, source: str, facts: Mapping[str, Any]) -> str:
        """A text for a person: one line.

        Raises:
            InvalidPlaybook: It is no template, or names a fact that does not exist.
        """
        return " ".join(self._render(source, facts, commands=False).split())

    def condition(self, source: str, facts: Mapping[str, Any]) -> bool:
        """Whether a condition holds; an empty one does.

        Raises:
            InvalidPlaybook: As for a text.
        """
        return not source or self.text(condition_template(source), facts) == "yes"

    def commands(self, source: str, facts: Mapping[str, Any]) -> tuple[str, ...]:
        """Commands, one a line, each inserted value one word of a POSIX shell or a part of it.

        A line is left out where a value would change its meaning: an empty one, one with
        invisible characters, and one that begins a word with ``-``.

        Raises:
            InvalidPlaybook: As for a text; or a value stands within quotes or the like.
        """
        rendered = self._render(source, facts, commands=True) if source else ""
        lines = (line.strip() for line in rendered.split("\n"))
        return tuple(quoted for line in lines if line and (quoted := _quoted(line)))

    def compiled(self, source: str, *, commands: bool) -> Template:
        """The template, compiled once per process.

        Raises:
            InvalidPlaybook: It is no template.
        """
        from jinja2 import TemplateError  # noqa: PLC0415 - not at start: few deliveries render

        with self._lock:
            key = (source, commands)
            if key not in self._compiled:
                try:
                    self._compiled[key] = self._environment(commands=commands).from_string(source)
                except TemplateError as error:
                    raise InvalidPlaybook(f"{error.message}, in: {_shortened(source)}") from error
            return self._compiled[key]

    def _render(self, source: str, facts: Mapping[str, Any], *, commands: bool) -> str:
        if not commands and "{" not in source:
            return source
        template = self.compiled(source, commands=commands)
        try:
            return template.render(facts)
        except Exception as error:  # whatever a template of an operator raises is its mistake
            raise InvalidPlaybook(f"{error}, in: {_shortened(source)}") from error

    def _environment(self, *, commands: bool) -> SandboxedEnvironment:
        from jinja2 import StrictUndefined  # noqa: PLC0415
        from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415

        if commands not in self._environments:
            finalize: Callable[[Any], Any] | None = _marked if commands else None
            self._environments[commands] = SandboxedEnvironment(
                undefined=StrictUndefined,
                finalize=finalize,
                autoescape=False,
                trim_blocks=True,
                lstrip_blocks=True,
                extensions=(),
            )
        return self._environments[commands]


def condition_template(expression: str) -> str:
    """The template of a condition, which gives ``yes`` where it holds."""
    return f"{{% if {expression or 'true'} %}}yes{{% endif %}}"


#: The templates of this process.
TEMPLATES = Templates()


def _marked(value: Any) -> Any:
    """Applied by Jinja to every value that it inserts into a command."""
    if isinstance(value, ShellCommand):
        return value
    text = str(value)  # raises for an undefined value
    return f"{_START}{text}{_END}" if is_printable(text) else _START


def _quoted(line: str) -> str:
    """A rendered line with its values quoted; empty where one would change its meaning."""
    values = list(_VALUE.finditer(line))
    if not line.count(_START) == line.count(_END) == len(values):
        return ""
    around = _VALUE.sub(_START, line)
    if _START in "".join(_NO_VALUE_IN.findall(around)):
        raise InvalidPlaybook(
            "a value stands within quotes, a comment or the like, in:"
            f" {_shortened(around.replace(_START, 'VALUE'))}. Take the quotes away: values are"
            " quoted by themselves"
        )
    if any(_begins_option(line, each) or not each[1] for each in values):
        return ""
    return _VALUE.sub(lambda found: shlex.quote(found[1]), line)


def _begins_option(line: str, value: re.Match[str]) -> bool:
    starts_word = value.start() == 0 or line[value.start() - 1].isspace()
    return starts_word and value[1].startswith("-")


def _shortened(source: str) -> str:
    text = " ".join(source.split())
    return f"{text[:80]}…" if len(text) > 80 else text  # noqa: PLR2004 - a line of a terminal


def template_names(source: str) -> Iterator[str]:
    """The names of facts that a template uses.

    Raises:
        InvalidPlaybook: It is no template.
    """
    from jinja2 import meta  # noqa: PLC0415

    TEMPLATES.compiled(source, commands=False)
    environment = TEMPLATES._environment(commands=False)  # noqa: SLF001
    yield from sorted(meta.find_undeclared_variables(environment.parse(source)))
