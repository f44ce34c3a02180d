"""Write the tables of inputs and outputs of the Terraform modules, in the form of terraform-docs.

``python -m tests.deploy.module_docs`` writes them between the markers in each module's README;
with ``--check`` it says which are not what the files say, and changes nothing.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.deploy.terraform import MODULES, ORGANIZATION, RESPONDER, Block, Module, module

_BEGIN, _END = "<!-- BEGIN_TF_DOCS -->", "<!-- END_TF_DOCS -->"
_MARKED = re.compile(f"{_BEGIN}.*?{_END}", re.DOTALL)


def tables(name: str) -> str:
    """Everything between the markers."""
    described = module(name)
    sections = (_requirements(described), _resources(described), _inputs(described))
    lines = [line for section in (*sections, _outputs(described)) for line in section]
    return "\n".join((_BEGIN, *lines, _END))


def in_sync(name: str, text: str) -> str:
    """A README with the tables as they should be.

    Raises:
        ValueError: It has no markers.
    """
    made, count = _MARKED.subn(lambda _: tables(name), text)
    if count != 1:
        raise ValueError(f"the README of {name} needs {_BEGIN} and {_END}, once")
    return made


def _requirements(described: Module) -> Iterator[str]:
    yield from ("## Requirements", "", "| Name | Version |", "|------|---------|")
    yield _row(_anchor("requirement", "terraform"), str(described.settings["required_version"]))
    (providers,) = described.settings["required_providers"]
    for name, provider in sorted(providers.items()):
        yield _row(_anchor("requirement", name), str(provider["version"]))
    yield ""


def _resources(described: Module) -> Iterator[str]:
    yield from ("## Resources", "", "| Name | Type |", "|------|------|")
    managed = [(f"{each.kind}.{each.name}", "resource") for each in described.resources]
    read = [(f"{each.kind}.{each.name}", "data source") for each in described.data]
    for name, kind in sorted((*managed, *read)):
        yield _row(name, kind)
    yield ""


def _inputs(described: Module) -> Iterator[str]:
    titles = ("Name", "Description", "Type", "Default", "Required")
    yield from (
        "## Inputs",
        "",
        _row(*titles),
        "|------|-------------|------|---------|:--------:|",
    )
    for name, variable in sorted(described.variables.items()):
        kind = _code(_type(str(variable["type"])))
        required = "default" not in variable
        default = "n/a" if required else _code(_value(variable["default"]))
        answer = "yes" if required else "no"
        yield _row(_anchor("input", name), _description(variable), kind, default, answer)
    yield ""


def _outputs(described: Module) -> Iterator[str]:
    yield from ("## Outputs", "", "| Name | Description |", "|------|-------------|")
    for name, output in sorted(described.outputs.items()):
        yield _row(_anchor("output", name), _description(output))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _anchor(kind: str, name: str) -> str:
    shown = name.replace("_", r"\_")
    return f'<a name="{kind}_{name}"></a> [{shown}](#{kind}\\_{shown})'


def _description(block: Block) -> str:
    return re.sub(r'\\(["\\])', r"\1", str(block["description"])).replace("|", r"\|")


def _type(text: str) -> str:
    """As people write it; an object with one attribute a line."""
    text = text.removeprefix("${").removesuffix("}")
    found = re.fullmatch(r"object\(\{(.*)\}\)", text)
    if not found:
        return text
    attributes = re.split(r", (?=\w+ = )", found[1])
    return "\n".join(("object({", *(f"  {each}" for each in attributes), "})"))


def _value(value: Any) -> str:
    short = json.dumps(value)
    return json.dumps(value, indent=2) if value and isinstance(value, dict) else short


def _code(text: str) -> str:
    return f"<pre>{text.replace(chr(10), '<br/>')}</pre>" if "\n" in text else f"`{text}`"


def main(arguments: Iterable[str]) -> int:
    """Write or check all of them; 1 if one is out of date."""
    stale = []
    for name in (RESPONDER, ORGANIZATION):
        path: Path = MODULES / name / "README.md"
        text = path.read_text()
        made = in_sync(name, text)
        if made == text:
            continue
        stale.append(path)
        if "--check" not in arguments:
            path.write_text(made)
    if stale and "--check" in arguments:
        names = ", ".join(str(path.relative_to(MODULES.parents[1])) for path in stale)
        sys.stderr.write(f"{names}: not what the .tf files say; run: make generate\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
