"""Reading the policy file: what is refused, and how clearly that is said."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident.model import InvalidPolicy
from incident.policy.errors import MAX_MISTAKES
from incident.policy.resolve import Policy, parse_policy

KEYS = (
    *("mode", "categories", "sources", "contain", "rules", "protect", "guards", "virustotal"),
    *("evidence", "name", "match", "projects", "folders", "services", "labels", "service", "job"),
    *("max_finding_age", "max_containments_per_hour", "min_malicious", "when_unknown", "deadline"),
)

#: A file that is not a policy, and the one line that says why.
MISTAKES = [
    pytest.param(
        "",
        "p.yaml:1:1: the file is empty; expected keys with values, such as mode: dry-run",
        id="empty",
    ),
    pytest.param(
        "# mode: enforce\n",
        "p.yaml:1:1: the file is empty; expected keys with values, such as mode: dry-run",
        id="only comments",
    ),
    pytest.param(
        "- mode",
        "p.yaml:1:1: found a list; expected keys, each with a value",
        id="list",
    ),
    pytest.param(
        "enforce",
        'p.yaml:1:1: found "enforce"; expected keys, each with a value',
        id="text",
    ),
    pytest.param(
        "mode: dry-run\n---\nmode: enforce\n",
        "p.yaml:2:1: a second document begins; expected one in a file",
        id="two documents",
    ),
    pytest.param(
        "guards:\n\tmax_finding_age: 24h\n",
        "p.yaml:2:1: not YAML: while scanning for the next token, found character '\\t' that "
        "cannot start any token; indent with spaces, not tabs",
        id="tab",
    ),
    pytest.param(
        'mode: "enforce\n',
        "p.yaml:2:1: not YAML: while scanning a quoted scalar, found unexpected end of stream",
        id="open quote",
    ),
    pytest.param(
        "mode: \x07",
        "p.yaml:1:7: the character U+0007 may not stand in YAML",
        id="control character",
    ),
    pytest.param(
        b"# caf\xc3\xa9\nmode: \xe9",
        "p.yaml:2:7: the byte 0xe9 is not UTF-8; save the file as UTF-8",
        id="not UTF-8",
    ),
    pytest.param(
        'mode: "\\UFFFFFFFF"',
        "p.yaml:1:10: not YAML: the escape names a character that does not exist",
        id="no such character",
    ),
    pytest.param(
        'mode: "\\ud800"',
        "p.yaml:1:7: mode: found '\\ud800'; expected whole characters, not one half of a pair",
        id="half a character",
    ),
    pytest.param(
        '"\\ud800": enforce',
        "p.yaml:1:1: '\\ud800': found '\\ud800'; expected whole characters, not one half of a pair",
        id="half a character as a key",
    ),
    pytest.param(
        "[" * 50,
        "p.yaml:1:21: not YAML: nested more than 20 levels deep",
        id="too deep",
    ),
    pytest.param(
        "#" * 200_001,
        "p.yaml:1:1: the file has 200,001 bytes; expected at most 200,000",
        id="too large",
    ),
    pytest.param(
        "mode: dry-run\nguards: {}\nmode: enforce\n",
        "p.yaml:3:1: mode: the key stands on line 1 already; expected each key once",
        id="repeated key",
    ),
    pytest.param(
        'rules:\n- name: a\n  match: {services: ["b"], services: ["c"]}\n',
        "p.yaml:3:28: rules[0].match.services: the key stands on line 3 already; expected "
        "each key once",
        id="repeated key, deep",
    ),
    pytest.param(
        "contain: &all {service: [scale-to-zero]}\n"
        'rules: [{name: a, match: {jobs: ["b"]}, contain: *all}]\n',
        "p.yaml:2:50: rules[0].contain: found the alias *all; expected it written out, "
        "aliases are not allowed",
        id="alias",
    ),
    pytest.param(
        "guards:\n  <<: {max_finding_age: 1h}\n",
        "p.yaml:2:3: guards.<<: merge keys are not allowed; write the keys out",
        id="merge key",
    ),
    pytest.param(
        "mode: !!python/object:os.system enforce",
        'p.yaml:1:7: mode: found the tag "tag:yaml.org,2002:python/object:os.system"; '
        "expected plain values, tags are not allowed",
        id="tag",
    ),
    pytest.param(
        "guards: {24: x}",
        "p.yaml:1:10: guards.24: found the key the number 24; expected a text: put it in quotes",
        id="number as a key",
    ),
    pytest.param(
        'protect: [{labels: {yes: "1"}}]',
        "p.yaml:1:21: protect[0].labels.yes: found the key yes, which YAML takes for true or "
        "false; expected a text: put it in quotes",
        id="yes as a key",
    ),
    pytest.param(
        "contain:\nmode: dry-run\n",
        "p.yaml:1:9: contain: found nothing; expected a value, or leave the key out",
        id="nothing",
    ),
    pytest.param(
        "protect: [{services: [yes]}]",
        "p.yaml:1:23: protect[0].services[0]: found yes, which YAML takes for true or false; "
        "expected a text: put it in quotes",
        id="yes for a name",
    ),
    pytest.param(
        "protect:\n- folders: [345678901234]\n",
        "p.yaml:2:13: protect[0].folders[0]: found the number 345678901234; expected a text: "
        "put it in quotes",
        id="digits without quotes",
    ),
    pytest.param(
        "categories: [Execution: Modified Malicious Binary Executed]",
        "p.yaml:1:14: categories[0]: found a mapping; expected a text (put a text with a "
        "colon in quotes)",
        id="colon without quotes",
    ),
    pytest.param(
        'categories: ["Execution: *"]',
        'p.yaml:1:14: categories[0]: found "Execution: *"; expected the exact text of a '
        "category, such as 'Execution: Modified Malicious Binary Executed'",
        id="category pattern",
    ),
    pytest.param(
        "evidense: {}",
        "p.yaml:1:1: evidense: unknown key (did you mean evidence?); expected one of: mode, "
        "categories, sources, contain, identity, rules, protect, guards, approval_expires, "
        "reapply_limit, virustotal, evidence, playbook",
        id="unknown key",
    ),
    pytest.param(
        'protect: [{project: ["a"]}]',
        "p.yaml:1:12: protect[0].project: unknown key (did you mean projects?); expected one "
        "of: projects, folders, regions, services, jobs, worker_pools, instances, labels",
        id="unknown key of a match",
    ),
    pytest.param(
        '"[key]": 1',
        "p.yaml:1:1: [key]: unknown key; expected one of: mode, categories, sources, "
        "contain, identity, rules, protect, guards, approval_expires, reapply_limit, "
        "virustotal, evidence, playbook",
        id="unknown key in pydantic's spelling",
    ),
    pytest.param(
        "mode: enforced",
        "p.yaml:1:7: mode: found \"enforced\"; expected 'dry-run', 'approve' or 'enforce'",
        id="mode",
    ),
    pytest.param(
        'sources: ["organizations/1/sources/2"]',
        'p.yaml:1:11: sources[0]: found "organizations/1/sources/2"; expected the digits '
        "that end a source's name, in quotes",
        id="source",
    ),
    pytest.param(
        "contain:\n  service: [scale-to-zer]\n",
        'p.yaml:2:13: contain.service[0]: found "scale-to-zer"; no such action (did you mean '
        "scale-to-zero?); available for a service: "
        "isolate-revision, scale-to-zero, restrict-ingress, require-authentication, "
        "disable-service-account",
        id="misspelled action",
    ),
    pytest.param(
        "contain: {job: [scale-to-zero]}",
        'p.yaml:1:17: contain.job[0]: found "scale-to-zero"; it never fits a job, only a '
        "service or a worker-pool; available for a job: cancel-executions, require-authentication, "
        "disable-service-account",
        id="action of another kind",
    ),
    pytest.param(
        "contain: {service: [scale-to-zero, scale-to-zero]}",
        'p.yaml:1:36: contain.service[1]: found "scale-to-zero"; expected each step once in a list',
        id="action twice",
    ),
    pytest.param(
        "contain: {service: [[scale-to-zero, scale-to-zero]]}",
        'p.yaml:1:37: contain.service[0][1]: found "scale-to-zero"; expected each alternative once',
        id="alternative twice",
    ),
    pytest.param(
        "contain: {service: [scale-to-zero, [scale-to-zero]]}",
        "p.yaml:1:36: contain.service[1]: found a list; expected each step once in a list",
        id="the same step, spelled in two ways",
    ),
    pytest.param(
        "contain: {service: [[scale-to-zero], [scale-to-zero]]}",
        "p.yaml:1:38: contain.service[1]: found a list; expected each step once in a list",
        id="alternatives twice",
    ),
    pytest.param(
        "contain: {service: [[]]}",
        "p.yaml:1:21: contain.service[0]: found an empty list; expected at least one action",
        id="no alternatives",
    ),
    pytest.param(
        "contain: {service: [[[scale-to-zero]]]}",
        "p.yaml:1:22: contain.service[0][0]: found a list; expected the name of an action; "
        "available for a service: "
        "isolate-revision, scale-to-zero, restrict-ingress, require-authentication, "
        "disable-service-account",
        id="lists too deep",
    ),
    pytest.param(
        "contain: {service: scale-to-zero}",
        'p.yaml:1:20: contain.service: found "scale-to-zero"; expected a list of actions, '
        "such as [scale-to-zero]",
        id="action without a list",
    ),
    pytest.param(
        "rules:\n  - name: a\n",
        "p.yaml:2:5: rules[0].match: missing; this key is required",
        id="rule without a match",
    ),
    pytest.param(
        "rules: [{name: a, match: {}}]",
        "p.yaml:1:26: rules[0].match: found an empty mapping; expected at least one of: "
        "projects, folders, regions, services, jobs, worker_pools, instances, labels, categories",
        id="rule for everything",
    ),
    pytest.param(
        "protect: [{projects: []}]",
        "p.yaml:1:22: protect[0].projects: found an empty list; expected at least one entry, "
        "or leave the key out",
        id="empty list of patterns",
    ),
    pytest.param(
        'protect: [{projects: [""]}]',
        'p.yaml:1:23: protect[0].projects[0]: found ""; expected a text that is not empty',
        id="empty pattern",
    ),
    pytest.param(
        'protect: [{services: ["^shop$"]}]',
        'p.yaml:1:23: protect[0].services[0]: found "^shop$"; expected a whole name or a '
        "glob with * ? [abc]; no name has '^' in it, and neither regular expressions nor "
        "paths are understood",
        id="regular expression",
    ),
    pytest.param(
        'protect: [{services: ["shop["]}]',
        'p.yaml:1:23: protect[0].services[0]: found "shop["; expected a ] that closes the [',
        id="open bracket",
    ),
    pytest.param(
        'protect: [{folders: ["folders/123"]}]',
        'p.yaml:1:22: protect[0].folders[0]: found "folders/123"; expected the number of a '
        'folder in quotes, such as "345678901234"',
        id="path of a folder",
    ),
    pytest.param(
        'protect: [{labels: {"env*": x}}]',
        'p.yaml:1:21: protect[0].labels.env*: found "env*"; expected the key of a label '
        "exactly, without a pattern",
        id="pattern for a label's key",
    ),
    pytest.param(
        'rules:\n- {name: a, match: {jobs: ["b"]}}\n- {name: a, match: {jobs: ["c"]}}\n',
        'p.yaml:3:10: rules[1].name: "a" is the name of the rule on line 2 too; expected a '
        "name of its own",
        id="repeated rule name",
    ),
    pytest.param(
        'rules: [{name: defaults, match: {jobs: ["b"]}}]',
        'p.yaml:1:16: rules[0].name: found "defaults"; expected a name on one line, other '
        "than 'defaults'",
        id="reserved rule name",
    ),
    pytest.param(
        "evidence: {deadline: 10}",
        "p.yaml:1:22: evidence.deadline: found the number 10; expected a whole number and "
        "one of s m h d, such as 10s or 24h",
        id="duration without a unit",
    ),
    pytest.param(
        "evidence: {log_window: 1:30}",
        "p.yaml:1:24: evidence.log_window: found 1:30, which YAML takes for a number; "
        "expected a whole number and one of s m h d, such as 10s or 24h",
        id="duration as a clock",
    ),
    pytest.param(
        "evidence: {deadline: 2m}",
        'p.yaml:1:22: evidence.deadline: found "2m"; expected more than 0s and at most 60s',
        id="duration too long",
    ),
    pytest.param(
        "guards: {max_finding_age: 0h}",
        'p.yaml:1:27: guards.max_finding_age: found "0h"; expected more than 0s and at most 365d',
        id="no duration",
    ),
    pytest.param(
        'guards: {max_containments_per_hour: "10"}',
        'p.yaml:1:37: guards.max_containments_per_hour: found "10"; expected a whole number '
        "in plain digits, without quotes, such as 10",
        id="number in quotes",
    ),
    pytest.param(
        "guards: {max_containments_per_hour: true}",
        "p.yaml:1:37: guards.max_containments_per_hour: found true, which YAML takes for "
        "true or false; expected a whole number in plain digits, without quotes, such as 10",
        id="true for a number",
    ),
    pytest.param(
        "guards: {max_containments_per_hour: 010}",
        "p.yaml:1:37: guards.max_containments_per_hour: found 010, which YAML takes for a "
        "number; expected a whole number in plain digits, without quotes, such as 10",
        id="octal number",
    ),
    pytest.param(
        "guards: {max_per_project_per_hour: -1}",
        "p.yaml:1:36: guards.max_per_project_per_hour: found the number -1; expected at least 0",
        id="number too small",
    ),
    pytest.param(
        "evidence: {log_entries: 5001}",
        "p.yaml:1:25: evidence.log_entries: found the number 5001; expected at most 5000",
        id="number too large",
    ),
    pytest.param(
        "virustotal: {min_malicious: 3, when_unknown: maybe}",
        "p.yaml:1:46: virustotal.when_unknown: found \"maybe\"; expected 'contain' or 'hold'",
        id="gate",
    ),
]


def refusal(text: str | bytes) -> list[str]:
    """The lines of the error that a file is refused with."""
    with pytest.raises(InvalidPolicy) as refused:
        parse_policy(text, source="p.yaml")
    return str(refused.value).splitlines()


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_a_mistake_names_its_position_what_was_found_and_expected(
    text: str | bytes, expected: str
) -> None:
    """Each mistake makes one line that an engineer understands at once."""
    assert refusal(text) == ["Cannot use the policy p.yaml: 1 mistake", f"  {expected}"]


def test_every_mistake_is_listed_in_the_order_of_the_file() -> None:
    """Mistakes of reading and of meaning stand together, so that one round corrects them all."""
    text = """\
mode: off
contain:
  job: [isolate-revision]
  service: *all
rules:
  - name: one
    match: {jobs: ["a"], jobs: ["b"], services: [3, ""]}
  - name: one
    match: {}
    mode: enforce!
protect: {}
1: x
"""
    header, *lines = refusal(text)
    assert header == "Cannot use the policy p.yaml: 11 mistakes"
    assert [line.split(": ")[:2] for line in lines] == [
        ["  p.yaml:1:7", "mode"],
        ["  p.yaml:3:9", "contain.job[0]"],
        ["  p.yaml:4:12", "contain.service"],
        ["  p.yaml:7:26", "rules[0].match.jobs"],
        ["  p.yaml:7:50", "rules[0].match.services[0]"],
        ["  p.yaml:7:53", "rules[0].match.services[1]"],
        ["  p.yaml:8:11", "rules[1].name"],
        ["  p.yaml:9:12", "rules[1].match"],
        ["  p.yaml:10:11", "rules[1].mode"],
        ["  p.yaml:11:10", "protect"],
        ["  p.yaml:12:1", "1"],
    ]


def test_a_file_full_of_mistakes_makes_a_bounded_message() -> None:
    """A thousand mistakes are counted; the first of them are shown, each within bounds."""
    lines = refusal(f"sources: [{', '.join(['x' * 150] * 1000)}]")
    assert lines[0].endswith("1000 mistakes")
    assert lines[-1] == f"  … and {1000 - MAX_MISTAKES} more"
    assert max(map(len, lines)) < 250


def test_a_byte_order_mark_and_an_unused_anchor_do_no_harm() -> None:
    """What cannot be misread is accepted."""
    assert parse_policy(b"\xef\xbb\xbfmode: &here enforce", source="p").mode == "enforce"


#: Pieces that steer random files towards the shape of a policy.
PIECES = st.sampled_from(
    [
        *("mode", "contain", "rules", "protect", "match", "labels", "service", "name", "guards"),
        *(": ", "- ", "\n", "\n  ", ", ", "[", "]", "{", "}", '"', "'", "&a ", "*a", "<<: ", "? "),
        *("!!int ", "!!set", "---\n", "...", "%YAML 1.1\n", "|\n", ">-\n", "\t", "#", "\\", "\\u"),
        *("yes", "~", "1", "0x_", "2001-99-99", "1:30", "scale-to-zero", "24h", "=", "é", "\ufeff"),
    ]
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=60),
    st.binary(max_size=60),
    st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=30).map("".join),
)


@given(TEXTS)
@settings(deadline=None, derandomize=True, database=None, max_examples=200)
def test_any_text_is_a_policy_or_an_invalid_policy(text: str | bytes) -> None:
    """No file whatsoever raises anything but InvalidPolicy, whose message can be stored."""
    try:
        assert isinstance(parse_policy(text, source="p.yaml"), Policy)
    except InvalidPolicy as refused:
        header, *lines = str(refused).encode().decode().split("\n")
        assert header.startswith("Cannot use the policy p.yaml: ")
        assert lines
        assert all(line.startswith("  p.yaml:") for line in lines)


VALUES: st.SearchStrategy[object] = st.sampled_from(
    [0, -1, 10**30, 0.5, True, None, "", "24h", "*", "scale-to-zero", [], [[]], {}, [{}], [None]]
)
SECTIONS = st.dictionaries(st.sampled_from(KEYS), VALUES | st.lists(VALUES, max_size=2), max_size=3)
NESTED = st.dictionaries(st.sampled_from(KEYS), VALUES | SECTIONS, max_size=3)


@given(st.dictionaries(st.sampled_from(KEYS), NESTED | st.lists(NESTED, max_size=2), max_size=4))
@settings(deadline=None, derandomize=True, database=None, max_examples=150)
def test_any_value_of_any_key_is_accepted_or_refused(data: object) -> None:
    """Well-formed YAML with any values under the policy's own keys raises nothing else either."""
    with contextlib.suppress(InvalidPolicy):
        parse_policy(json.dumps(data), source="p.yaml")
