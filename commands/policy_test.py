"""``policy test``: decide the cases beside a policy and compare with what they expect."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from commands.shared import as_json_option, print_json
from finding_input.decoding import UnusableInputError
from finding_input.reading import read_findings
from incident.model import Finding, IncidentError, InvalidPolicy, Json
from incident.notification.parse import parse_notification
from incident.policy.resolve import Policy, parse_policy
from incident.readiness.policy_cases import CaseFile, CaseResult, parse_cases, run_case
from incident.report.terminal import escape_unprintable, escape_unprintable_lines
from responders import route

_SUFFIX = "_test"


@dataclass(frozen=True, slots=True)
class _Tested:
    """A file of cases and what was decided about them.

    Attributes:
        file: The file.
        policy: The policy that it is for.
        results: One for each case, with its line.
    """

    file: Path
    policy: Path
    results: tuple[tuple[int, CaseResult], ...]

    @property
    def differing(self) -> tuple[tuple[int, CaseResult], ...]:
        """The cases that do not pass."""
        return tuple((line, result) for line, result in self.results if result.differences)


@click.command(name="test")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@as_json_option
def policy_test(*, files: Sequence[Path], as_json: bool) -> None:
    """Decide the cases in each FILE with its policy, and compare with what they expect.

    FILE is named like the policy it is for: policy_test.yaml beside policy.yaml; naming the policy
    itself does too. Nothing is read but these files, and nothing is written. docs/policy-tests.md
    says what a case may hold.

    Exit status: 0 every decision is as expected, 1 a case differs, 2 a file cannot be used.
    """
    tested: list[_Tested] = []
    errors: list[str] = []
    for file in files:
        try:
            tested.append(_run_file(_case_file_of(file)))
        except (OSError, IncidentError) as error:
            errors.append(_error_text(error))
    if as_json:
        print_json({"files": [_file_json(each) for each in tested], "errors": errors})
    else:
        for line in (line for each in tested for line in _lines(each)):
            click.echo(escape_unprintable(line))
        for text in errors:
            click.echo(f"Error: {escape_unprintable_lines(text)}", err=True)
    if errors:
        sys.exit(2)
    sys.exit(1 if any(each.differing for each in tested) else 0)


def _case_file_of(file: Path) -> Path:
    """The file itself; of a policy, the cases beside it."""
    beside = file.with_name(f"{file.stem}{_SUFFIX}{file.suffix}")
    return beside if not file.stem.endswith(_SUFFIX) and beside.exists() else file


def _run_file(file: Path) -> _Tested:
    """Run the cases of one file.

    Raises:
        OSError: A file cannot be read.
        IncidentError: A file has mistakes.
    """
    cases, lines = parse_cases(file.read_bytes(), source=str(file))
    policy_file = _policy_file(file, cases)
    policy = parse_policy(policy_file.read_bytes(), source=str(policy_file))
    results = _results(file, cases, policy)
    return _Tested(file, policy_file, tuple(zip(lines, results, strict=True)))


def _results(file: Path, cases: CaseFile, policy: Policy) -> Iterator[CaseResult]:
    for case in cases.cases:
        claim = _read_finding(file.parent / case.finding) if case.finding else None
        yield run_case(case, claim, policy, route)


def _policy_file(file: Path, cases: CaseFile) -> Path:
    """The policy that a file of cases is for.

    Raises:
        InvalidPolicy: The file does not say, and its name does not either.
    """
    if cases.policy:
        return file.parent / cases.policy
    if not file.stem.endswith(_SUFFIX):
        raise InvalidPolicy(
            f"Cannot tell which policy {file} is for: it is not named like policy_test.yaml beside"
            " policy.yaml. Name the policy in it: policy: policy.yaml"
        )
    return file.with_name(f"{file.stem.removesuffix(_SUFFIX)}{file.suffix}")


def _read_finding(path: Path) -> Finding:
    """The one finding in a file, in whatever form people have it.

    Raises:
        OSError: The file cannot be read.
        IncidentError: It has none, several, or one that lacks what is needed.
    """
    try:
        found = read_findings(path.read_bytes())
    except UnusableInputError as error:
        raise InvalidPolicy(f"Cannot use {path}: {error}") from error
    if len(found) > 1:
        raise InvalidPolicy(f"Cannot use {path}: it has {len(found)} findings; expected one")
    return parse_notification(found[0].data).finding


def _error_text(error: OSError | IncidentError) -> str:
    if isinstance(error, OSError):
        return f"cannot read {error.filename}: {error.strerror}"
    return str(error)


def _lines(tested: _Tested) -> Iterator[str]:
    """The result of a file for a person; a case that differs as a diff."""
    total, differing = len(tested.results), tested.differing
    cases = "1 case" if total == 1 else f"{total} cases"
    if not differing:
        yield f"{tested.file}: {cases}, all decided as expected by {tested.policy.name}"
        return
    count = "1 case" if len(differing) == 1 else f"{len(differing)} cases"
    yield f"{tested.file}: {count} of {total} decided otherwise by {tested.policy.name}"
    for line, result in differing:
        yield f"  {tested.file}:{line}: {result.name}"
        for difference in result.differences:
            yield f"    - {difference.key}: {difference.expected}"
            yield f"    + {difference.key}: {difference.decided}"
        yield from (f"      because {text}" for text in result.decided["reason"])
        yield from (f"      {text}" for text in result.explanation)


def _file_json(tested: _Tested) -> dict[str, Json]:
    return {
        "file": str(tested.file),
        "policy": str(tested.policy),
        "cases": [
            {
                "name": result.name,
                "line": line,
                "passed": not result.differences,
                "differences": [
                    {"key": each.key, "expected": each.expected, "decided": each.decided}
                    for each in result.differences
                ],
                "decided": dict(result.decided),
            }
            for line, result in tested.results
        ],
    }
