"""Set the top-level mode of a policy file and keep the rest as written."""

from __future__ import annotations

import yaml


class CannotSetMode(Exception):  # noqa: N818 - named for what happened
    """The mode stands in the file in a way that an edit of the text cannot replace."""


def set_mode(policy: bytes, mode: str) -> bytes:
    """The policy's text with its top-level mode replaced, or added at the end.

    Comments and line numbers stay, so that complaints about the policy point at the lines of
    the operator's file. What is not a readable YAML mapping is passed on as it is: saying what
    is wrong with it is the function's business.

    Args:
        policy: Content of the policy file.
        mode: The mode to set.

    Raises:
        CannotSetMode: The mode is written over several lines, or through an alias.
    """
    try:
        text = policy.decode()
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        before = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return policy
    if not isinstance(root, yaml.MappingNode) or not isinstance(before, dict):
        return policy
    if sum(key.value == "mode" for key, _ in root.value) > 1:
        return policy
    edited = _edited_text(text, root, mode)
    if not _differs_in_mode_only(edited, before, mode):
        raise CannotSetMode("write `mode: dry-run` on a line of its own at the top of the policy")
    return edited.encode()


def _edited_text(text: str, root: yaml.MappingNode, mode: str) -> str:
    for key, value in root.value:
        if key.value == "mode":
            start, end = value.start_mark.index, value.end_mark.index
            gap = "" if text[start - 1 : start].isspace() else " "
            return f"{text[:start]}{gap}{mode}{text[end:]}"
    if root.flow_style:
        end = root.end_mark.index - 1
        comma = ", " if root.value else ""
        return f"{text[:end]}{comma}mode: {mode}{text[end:]}"
    end = root.end_mark.index
    newline = "" if text[:end].endswith("\n") else "\n"
    return f"{text[:end]}{newline}{' ' * root.start_mark.column}mode: {mode}\n{text[end:]}"


def _differs_in_mode_only(edited: str, before: dict[object, object], mode: str) -> bool:
    try:
        after = yaml.safe_load(edited)
    except yaml.YAMLError:
        return False
    return bool(after == before | {"mode": mode})
