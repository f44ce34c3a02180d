"""What the documents have people type: every command line is taken apart by what would run it."""

from __future__ import annotations

import re
import runpy
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from commands import cli
from tests.deploy.documents import DOCUMENTS, command_lines, command_words
from tests.deploy.terraform import DEPLOY
from tests.support.constants import REPOSITORY

Tree = dict[str, Any]


def parse(arguments: list[str]) -> None:
    """Take a command line apart as ``cloud-run-responder`` does, and run nothing."""
    group: click.Group = cli
    parent = click.Context(cli, info_name="cloud-run-responder")
    while arguments and arguments[0] not in ("--help", "--version"):
        name, *arguments = arguments
        command = group.get_command(parent, name)
        assert command is not None, f"no command {name}"
        if isinstance(command, click.Group):
            group = command
            continue
        if arguments:  # a command that is only mentioned needs no arguments
            command.make_context(name, arguments, parent=parent)
        return


def test_documents_contain_commands() -> None:
    """The documents are read as people read them: fenced, indented and within a line."""
    assert (
        len([line for path in DOCUMENTS for line in command_lines(path, "cloud-run-responder")])
        > 60
    )
    assert len([line for path in DOCUMENTS for line in command_lines(path, "gcloud")]) > 60
    assert command_words("gcloud a b --c='d | e' | f") == ["gcloud", "a", "b", "--c=d | e"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_documented_cli_commands_parse(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands, options and the number of arguments are those of the real parser."""
    monkeypatch.chdir(tmp_path)
    for line in command_lines(path, "cloud-run-responder"):
        for word in line:
            if re.fullmatch(r"[\w-]+\.(json|yaml)|FILE", word):
                (tmp_path / word).touch()  # the parser looks whether it is there
        parse(line)


@cache
def sdk() -> Tree:
    """The command tree that the Cloud SDK completes by."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        pytest.skip("needs gcloud, to know its commands")
    path = Path(gcloud).resolve().parents[1] / "data/cli/gcloud_completions.py"
    if not path.exists():
        pytest.skip("this Cloud SDK has no completions, which tell its commands")
    tree: Tree = runpy.run_path(str(path))["STATIC_COMPLETION_CLI_TREE"]
    return tree


def unknown(line: list[str], tree: Tree) -> str:
    """What of a gcloud command line the SDK does not know; empty if it knows all of it."""
    flags, node = set(tree["flags"]), tree
    while node.get("commands"):
        name, *line = line or [""]
        if name not in node["commands"]:
            return f"command {name!r}"
        node = node["commands"][name]
        flags |= set(node.get("flags", ()))
    given = {word.partition("=")[0] for word in line if word.startswith("--")}
    return " ".join(sorted(given - flags))


def test_documented_gcloud_commands_exist() -> None:
    """Commands and flags exist. Those that are only mentioned as well."""
    tree = sdk()
    wrong = {
        f"{path.name}: gcloud {' '.join(line)}": found
        for path in DOCUMENTS
        for line in command_lines(path, "gcloud")
        if (found := unknown(line, tree))
    }
    assert wrong == {}
    assert unknown(["pubsub", "subscriptions", "pull", "x", "--auto-nack"], tree) == "--auto-nack"
    assert unknown(["pubsub", "subscriptions", "push"], tree) == "command 'push'"


def test_the_policy_check_prints_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that the first apply leaves, with the rule that is added to it, asked as it says."""
    monkeypatch.chdir(tmp_path)
    text = (DEPLOY / "README.md").read_text()
    added = re.search(r"^```yaml\n(rules:.*?)^```", text, re.MULTILINE | re.DOTALL)
    shown = re.search(r"^The check prints\n\n```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert added
    assert shown
    seed = 'protect:\n  - projects: ["sec-responder-prod"]\n'
    Path("policy.yaml").write_text((DEPLOY / "policy.yaml").read_text() + seed + added[1])
    sample = (REPOSITORY / "tests/samples/cloud-run-service.json").read_text()
    Path("finding.json").write_text(sample.replace("example-shop-prod", "sandbox-1"))
    asked = ["policy", "check", "policy.yaml", "--finding", "finding.json"]
    assert asked in command_lines(DEPLOY / "README.md", "cloud-run-responder")
    answer = CliRunner().invoke(cli, asked)
    assert (answer.exit_code, answer.stdout) == (0, shown[1])
