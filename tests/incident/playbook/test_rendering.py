"""Templates of a playbook: every value of a command is quoted, and mistakes are found."""

from __future__ import annotations

import shlex
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.model import (
    Access,
    Binding,
    Container,
    InvalidPlaybook,
    Kind,
    SecretUse,
    Status,
    Volume,
)
from incident.playbook.rendering import ShellCommand, Templates
from tests.support.model import (
    configuration,
    evidence,
    finding,
    repeatable,
    template,
    workload,
)
from tests.support.playbook import plan, plan_commands

_HOSTILE = ("x'; touch /tmp/owned; echo '", "$(touch x)", "a\nb", "--flag", '"; rm -rf /', "`id`")
TEMPLATES = Templates()


@repeatable
@given(st.text(max_size=60))
def test_a_value_is_one_word_or_its_line_is_left_out(value: str) -> None:
    """A shell reads back exactly the value, alone and as a part of a word."""
    source = "show {{ x }} --project={{ x }} {{ x ~ 'end' }}"
    lines = TEMPLATES.commands(source, {"x": value})
    if lines:
        (line,) = lines
        assert shlex.split(line) == ["show", value, f"--project={value}", f"{value}end"]
        assert not value.startswith("-")
    else:
        assert value == "" or value.startswith("-") or not value.isprintable()


def test_only_the_line_of_a_bad_value_is_left_out() -> None:
    """Lines are commands."""
    source = "{% for each in names %}\nshow {{ each }}\n{% endfor %}\nend"
    lines = TEMPLATES.commands(source, {"names": ["a", "", "b\x1b[31m", "-c", "d e"]})
    assert lines == ("show a", "show 'd e'", "end")


def test_a_command_that_code_made_stands_as_it_is() -> None:
    """The type alone makes the difference; a template cannot make one."""
    made = {"x": ShellCommand("gcloud a --b='c d'"), "y": "gcloud a --b='c d'"}
    assert TEMPLATES.commands("{{ x }}", made) == ("gcloud a --b='c d'",)
    assert shlex.split(TEMPLATES.commands("{{ y }}", made)[0]) == [made["y"]]
    assert shlex.split(TEMPLATES.commands("{{ x ~ y }}", made)[0]) == [made["x"] + made["y"]]


@pytest.mark.parametrize(
    "source",
    [
        "echo '{{ x }}'",
        'echo "{{ x }}"',
        "echo `{{ x }}`",
        "cat <<{{ x }}",
        "true # {{ x }}",
        "echo \\{{ x }}",
        "echo '{{ x }}",
        'echo "a {{ x }}',
        "{{ unknown }}",
        "{{ x.unknown.deeper }}",
        "{{ x",
        "{% for %}",
        "{{ x.__class__.__mro__ }}",
        "{% include 'a' %}",
    ],
)
def test_a_template_that_would_misplace_a_value_is_a_mistake(source: str) -> None:
    """Within quotes, comments, here-documents; unknown names; what the sandbox refuses."""
    with pytest.raises(InvalidPlaybook):
        TEMPLATES.commands(source, {"x": "value"})


def test_texts_and_conditions_are_strict() -> None:
    """Texts are one line; a condition is true or false."""
    assert TEMPLATES.text("a\n  {{ x }}", {"x": "b"}) == "a b"
    assert TEMPLATES.condition("x == 'b' and y", {"x": "b", "y": [1]})
    assert not TEMPLATES.condition("y", {"y": []})
    assert TEMPLATES.condition("", {})
    for source in ("{{ z }}", "{{ x.z }}"):
        with pytest.raises(InvalidPlaybook):
            TEMPLATES.text(source, {"x": {}})
    with pytest.raises(InvalidPlaybook):
        TEMPLATES.condition("z", {})


def test_threads_share_the_compiled_templates() -> None:
    """Incidents are rendered side by side."""
    templates = Templates()
    results: list[str] = []

    def render() -> None:
        results.extend(templates.text(f"{number} {{{{ x }}}}", {"x": 1}) for number in range(20))

    threads = [threading.Thread(target=render) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted([f"{number} 1" for number in range(20)] * 4)
    assert templates.compiled("0 {{ x }}", commands=False) is templates.compiled(
        "0 {{ x }}", commands=False
    )


@pytest.mark.parametrize("hostile", _HOSTILE)
@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("status", [Status.CONTAINED, Status.HELD])
def test_no_command_runs_what_the_evidence_says(hostile: str, kind: Kind, status: Status) -> None:
    """In a shell every untrusted value stays in one word, and none becomes a flag."""
    what = template(
        revision="",
        service_account=hostile,
        secret_names=(hostile, f"projects/{hostile}/secrets/{hostile}"),
        secret_uses=(SecretUse(hostile, "1", hostile, mounted=False),),
        volumes=(Volume("v", f"gcs://{hostile}", persists=True),),
    )
    this = finding(
        containers=(Container(hostile, hostile, f"sha256:{hostile}"),),
        workload=workload(kind=kind, name=hostile, location=hostile, project_id=hostile),
        revision=hostile,
        execution=hostile,
        contacts=(hostile,),
    )
    access = Access((Binding("roles/run.invoker", ("allUsers", hostile), None),))
    of = evidence(
        finding=this, configuration=configuration(template=what, kind=kind), access=access
    )
    tasks = plan(status, of)
    for command in plan_commands(tasks):
        words = shlex.split(command)
        assert not {"touch", "rm", "id", "--flag"} & set(words)
        assert "\n" not in command
    for task in tasks.values():
        if task.link:
            assert task.link.startswith("https://console.cloud.google.com/")
            assert not set(" \"'<>\n") & set(task.link)
