"""``policy test`` as a person and as CI run it, and the gallery of policies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from commands import cli
from incident.policy.resolve import parse_policy
from incident.policy.yaml_model import schema_of
from incident.readiness.policy_cases import CaseFile
from tests.support.constants import REPOSITORY, SAMPLES_FOLDER

GALLERY = sorted((REPOSITORY / "deploy/policies").glob("*.yaml"))
GALLERY = [path for path in GALLERY if not path.stem.endswith("_test")]
POLICY = "mode: enforce\ncontain: {service: [scale-to-zero]}\nprotect: [{services: [checkout]}]\n"
CASES = """
cases:
  - name: a service is stopped
    expect: {verdict: contain, mode: enforce, rule: defaults, actions: [scale-to-zero]}
  - name: the checkout is protected
    facts: {name: checkout}
    expect: {verdict: hold, actions: []}
"""


def run(*arguments: str | Path) -> Result:
    """Run ``policy test``."""
    return CliRunner().invoke(cli, ["policy", "test", *map(str, arguments)])


def written(folder: Path, *, policy: str = POLICY, cases: str = CASES) -> Path:
    """A policy and its cases; returns the file of cases."""
    (folder / "policy.yaml").write_text(policy)
    (folder / "policy_test.yaml").write_text(cases)
    return folder / "policy_test.yaml"


def test_a_policy_that_decides_as_expected_passes(tmp_path: Path) -> None:
    """One line for a file; naming the policy itself finds its cases."""
    file = written(tmp_path)
    for named in (file, tmp_path / "policy.yaml"):
        result = run(named)
        assert (result.exit_code, result.output) == (
            0,
            f"{file}: 2 cases, all decided as expected by policy.yaml\n",
        )


def test_a_wrong_policy_fails_with_a_diff(tmp_path: Path) -> None:
    """The case, its line, what was expected, what was decided, and why; the others stay silent."""
    file = written(tmp_path, policy=POLICY.replace("checkout", "payments"))
    result = run(file)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0] == f"{file}: 1 case of 2 decided otherwise by policy.yaml"
    assert lines[1] == f"  {file}:5: the checkout is protected"
    assert lines[2:6] == [
        "    - verdict: hold",
        "    + verdict: contain",
        "    - actions: none",
        "    + actions: scale-to-zero",
    ]
    assert '      protect[0]: no, name: "checkout" is not among "payments"' in lines
    assert "a service is stopped" not in result.output


def test_json_has_every_case(tmp_path: Path) -> None:
    """One object, for another tool."""
    file = written(tmp_path, policy=POLICY.replace("enforce", "approve"))
    result = run(file, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["errors"] == []
    (only,) = found["files"]
    assert (only["file"], only["policy"]) == (str(file), str(tmp_path / "policy.yaml"))
    assert [(each["line"], each["passed"]) for each in only["cases"]] == [(3, False), (5, True)]
    assert only["cases"][0]["differences"] == [
        {"key": "mode", "expected": "enforce", "decided": "approve"}
    ]


def test_a_finding_is_read_beside_the_file(tmp_path: Path) -> None:
    """The path begins at the folder of the file, wherever the command runs."""
    sample = (SAMPLES_FOLDER / "cloud-run-service.json").read_bytes()
    (tmp_path / "finding.json").write_bytes(sample)
    cases = "cases:\n- name: x\n  finding: finding.json\n  expect: {actions: [scale-to-zero]}\n"
    assert run(written(tmp_path, cases=cases)).exit_code == 0
    # As `gcloud scc findings list` gives it; but only one.
    one = json.loads(sample)
    (tmp_path / "finding.json").write_text(json.dumps([one]))
    assert run(written(tmp_path, cases=cases)).exit_code == 0
    other = json.loads(sample.replace(b"1a9b7055", b"2b9b7055"))
    (tmp_path / "finding.json").write_text(json.dumps([one, other]))
    result = run(written(tmp_path, cases=cases))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "finding.json: it has 2 findings; expected one" in result.stderr


@pytest.mark.parametrize(
    ("policy", "cases", "message"),
    [
        (POLICY, "cases: 3", "policy_test.yaml:1:8: cases: found the number 3; expected a list"),
        ("mode: enforced", CASES, "policy.yaml:1:7: mode: found"),
        (POLICY, f"policy: other.yaml\n{CASES}", "other.yaml: No such file or directory"),
        (
            POLICY,
            "cases:\n- name: x\n  finding: none.json\n  expect: {mode: enforce}",
            "none.json: No such file or directory",
        ),
        (
            POLICY,
            "cases:\n- name: x\n  finding: policy.yaml\n  expect: {mode: enforce}",
            "policy.yaml: This is ",
        ),
    ],
)
def test_what_cannot_be_used_ends_with_2(
    tmp_path: Path, policy: str, cases: str, message: str
) -> None:
    """Each error is on standard error; the other files are still tested."""
    (tmp_path / "good").mkdir()
    good = written(tmp_path / "good")
    result = run(written(tmp_path, policy=policy, cases=cases), good)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == f"{good}: 2 cases, all decided as expected by policy.yaml\n"


def test_a_file_of_another_name_must_name_its_policy(tmp_path: Path) -> None:
    """No policy is guessed."""
    file = tmp_path / "cases.yaml"
    written(tmp_path)
    file.write_text(CASES)
    assert run(file).exit_code == 2
    file.write_text(f"policy: policy.yaml\n{CASES}")
    assert run(file).exit_code == 0


def test_the_gallery_has_five_policies() -> None:
    """As many as the document names."""
    text = (REPOSITORY / "docs/policy-tests.md").read_text()
    assert [path.name for path in GALLERY if f"/{path.name})" in text] == [
        "approve-production.yaml",
        "dry-run-everywhere.yaml",
        "jobs-and-worker-pools.yaml",
        "one-team.yaml",
        "watch-only.yaml",
    ]


@pytest.mark.parametrize(
    "policy", [REPOSITORY / "deploy/policy.yaml", *GALLERY], ids=lambda path: path.stem
)
def test_every_policy_that_is_shipped_passes_its_tests(policy: Path) -> None:
    """Each has cases, and they name each of its rules."""
    result = run(policy.with_name(f"{policy.stem}_test.yaml"))
    assert result.exit_code == 0, result.output
    cases = policy.with_name(f"{policy.stem}_test.yaml").read_text()
    for rule in parse_policy(policy.read_bytes(), source=str(policy)).rules:
        assert f"rule: {rule.name}" in cases


def test_the_schema_for_editors_is_generated_and_takes_what_is_shipped() -> None:
    """An editor marks what the command refuses; `make generate` writes it."""
    stored = json.loads((REPOSITORY / "deploy/policy_test.schema.json").read_text())
    assert stored == schema_of(CaseFile, "Policy test")
    validator = Draft202012Validator(stored)
    shipped = [*GALLERY, REPOSITORY / "deploy/policy.yaml"]
    for policy in shipped:
        validator.validate(yaml.safe_load(policy.with_name(f"{policy.stem}_test.yaml").read_text()))
    wrong = {"name": "x", "facts": {"virustotal": "maybe"}, "expect": {}}
    assert not validator.is_valid({"cases": [wrong]})
