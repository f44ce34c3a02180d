"""The Terraform modules as tests read them: parsed, and where an expression asks for it, evaluated.

Parsing needs nothing installed and resolves templates of plain references. Whatever computes is
evaluated by Terraform itself, without its provider, where it is installed. What a plan shows is
tested by Terraform's own tests, in ``deploy/terraform/*/tests``.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hcl2
import pytest
from hcl2.utils import SerializationOptions

DEPLOY = Path(__file__).parents[2] / "deploy"
MODULES = DEPLOY / "terraform"
RESPONDER, ORGANIZATION = "responder", "organization"
EXAMPLES = DEPLOY / "examples"
#: What a test's deployment is called; all other variables have their defaults.
GIVEN = {"project_id": "sec-responder", "region": "europe-west1", "source_archive": "function.zip"}
_GIVEN: Mapping[str, Mapping[str, Any]] = {
    RESPONDER: GIVEN,
    ORGANIZATION: {
        "organization_id": "123456789012",
        "scope": "organizations/123456789012",
        "findings_topic": "projects/sec-responder/topics/threat-responder-findings",
        "service_accounts": {},
    },
}
_READ = SerializationOptions(
    with_comments=False, explicit_blocks=False, strip_string_quotes=True, preserve_heredocs=False
)
_REFERENCE = re.compile(r"\$\{(var|local)\.([a-z_]+)\}")
_LOCALS = re.compile(r"^locals \{\n.*?^\}\n", re.MULTILINE | re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')

Block = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource block: its type, its name and its arguments."""

    kind: str
    name: str
    body: Block


@dataclass(frozen=True, slots=True)
class Module:
    """All blocks of the module.

    Attributes:
        settings: Its `terraform` block.
        resources: Its resources.
        data: Its data sources.
        variables: Its variables, by name.
        outputs: Its outputs, by name.
        locals: Its local values, unevaluated, by name.
        calls: The modules that it calls, by name.
    """

    settings: Block
    resources: tuple[Resource, ...]
    data: tuple[Resource, ...]
    variables: Mapping[str, Block]
    outputs: Mapping[str, Block]
    locals: Mapping[str, Any]
    calls: Mapping[str, Block]

    def one(self, kind: str, name: str) -> Block:
        """The arguments of one resource."""
        (found,) = (r.body for r in self.resources if (r.kind, r.name) == (kind, name))
        return found

    def all(self, kind: str) -> dict[str, Block]:
        """The arguments of every resource of a type, by name."""
        return {r.name: r.body for r in self.resources if r.kind == kind}

    def text(self, template: str) -> str:
        """A string as Terraform would have it, where it refers to nothing but other strings."""
        done = _REFERENCE.sub(lambda found: self.text(self._named(found[1], found[2])), template)
        return _ESCAPED.sub(r"\1", done)

    def _named(self, where: str, name: str) -> str:
        if where == "local":
            return str(self.locals[name])
        return str(GIVEN.get(name, self.variables[name].get("default")))


def read_module(folder: Path) -> Module:
    """The module in a folder."""
    files = [hcl2.loads(path.read_text(), serialization_options=_READ) for path in _files(folder)]

    def labelled(kind: str) -> dict[str, Block]:
        return {
            name.strip('"'): body
            for file in files
            for block in file.get(kind, ())
            for name, body in block.items()
        }

    def typed(kind: str) -> tuple[Resource, ...]:
        return tuple(
            Resource(of_type.strip('"'), name.strip('"'), body)
            for of_type, named in (
                pair for file in files for block in file.get(kind, ()) for pair in block.items()
            )
            for name, body in named.items()
        )

    values = {
        name: value
        for file in files
        for block in file.get("locals", ())
        for name, value in block.items()
    }
    (settings,) = (block for file in files for block in file.get("terraform", ()))
    return Module(
        settings,
        typed("resource"),
        typed("data"),
        labelled("variable"),
        labelled("output"),
        values,
        labelled("module"),
    )


@cache
def module(name: str = RESPONDER) -> Module:
    """A module in ``deploy/terraform``."""
    return read_module(MODULES / name)


def log_alerts() -> dict[str, Any]:
    """The alerts on log lines, by name."""
    found: dict[str, Any] = module().locals["log_alerts"]
    return found


def source(*names: str) -> str:
    """The text of all files of some modules, for what only the text can tell."""
    folders = [MODULES / name for name in names or (RESPONDER, ORGANIZATION)]
    return "\n".join(path.read_text() for folder in folders for path in _files(folder))


def evaluated(
    folder: Path, expression: str, *files: str, of: str = RESPONDER, **variables: Any
) -> Any:
    """What Terraform makes of an expression over variables and local values.

    Args:
        folder: An empty folder of the test's own.
        expression: The expression.
        files: Files whose local values it needs. They may refer to no resource: the provider is
            not at hand.
        of: The module.
        variables: Input variables besides the usual ones.
    """
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("needs terraform, to evaluate an expression of the module")
    beside = folder / "terraform" / of
    beside.mkdir(parents=True)
    shutil.copytree(DEPLOY / "runbooks", folder / "runbooks")
    for name in ("policy.yaml", "permissions.json"):
        shutil.copy(DEPLOY / name, folder)
    shutil.copy(MODULES / of / "variables.tf", beside)
    for name in files:
        (beside / name).write_text("".join(_LOCALS.findall((MODULES / of / name).read_text())))
    (beside / "given.tfvars.json").write_text(json.dumps({**_GIVEN[of], **variables}))
    answer = subprocess.run(
        (terraform, "console", "-var-file=given.tfvars.json"),
        cwd=beside,
        input=f"jsonencode({expression})",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "CHECKPOINT_DISABLE": "1"},
    )
    problem = re.sub(r"\x1b\[[0-9;]*m", "", answer.stderr)
    assert answer.returncode == 0, problem
    return json.loads(json.loads(answer.stdout))


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.tf"))
