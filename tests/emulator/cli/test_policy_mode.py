"""Setting the mode in the text of a policy."""

from __future__ import annotations

import pytest

from emulator.cli.policy_mode import CannotSetMode, set_mode


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("mode: dry-run   # why\nrules: []\n", "mode: enforce   # why\nrules: []\n"),
        ("rules:\n  - {name: a, mode: approve}\n", None),
        ("# nothing\nguards: {}", "# nothing\nguards: {}\nmode: enforce\n"),
        ("{mode: 'dry-run', rules: []}\n", "{mode: enforce, rules: []}\n"),
        ("{rules: []}\n", "{rules: [], mode: enforce}\n"),
        ("mode:\nrules: []\n", "mode: enforce\nrules: []\n"),
        ("---\nrules: []\n...\n", "---\nrules: []\nmode: enforce\n...\n"),
        ("  rules: []\n", "  rules: []\n  mode: enforce\n"),
    ],
)
def test_only_the_top_level_mode_changes(before: str, after: str | None) -> None:
    """Comments, lines and the modes of rules stay; a mode that lacks is added at the end."""
    expected = f"{before}mode: enforce\n" if after is None else after

    assert set_mode(before.encode(), "enforce").decode() == expected


@pytest.mark.parametrize(
    "policy",
    [
        *(b"", b"# only a comment\n", b"- a list\n", b"just text", b"mode: [", b"\xff\xfe\xfa"),
        *(b"mode: dry-run\nmode: enforce\n", b"a: 1\n---\nb: 2\n", b"mode: !!python/name:os.x\n"),
    ],
)
def test_what_is_not_a_readable_policy_is_passed_on(policy: bytes) -> None:
    """It is for the function to say what is wrong with it."""
    assert set_mode(policy, "enforce") == policy


@pytest.mark.parametrize(
    "policy", [b"a: &m dry-run\nmode: *m\n", b"<<: {mode: x}\nmode: &b x\nc: *b"]
)
def test_a_mode_that_text_cannot_replace_is_refused(policy: bytes) -> None:
    """Nothing else than the mode is ever changed to set it."""
    with pytest.raises(CannotSetMode, match="on a line of its own"):
        set_mode(policy, "enforce")
