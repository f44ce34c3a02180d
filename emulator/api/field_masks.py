"""Field masks: apply a masked update to a stored message.

Over gRPC the paths arrive as the client spelled them. Cloud Run resolves snake_case names only;
what it does with a camelCase path was seen to differ between products, from silently changing
nothing to a misleading conflict. Here such a path is INVALID_ARGUMENT: the write has no effect
either way, and the reason is said.
"""

from __future__ import annotations

from typing import Any, TypeVar

from emulator.api import proto_json
from emulator.api.errors import invalid_argument

M = TypeVar("M")


def apply_mask(stored: M, sent: M, paths: list[str], *, mutable: frozenset[str]) -> M:
    """A copy of the stored message with the fields of the mask taken from the sent one.

    Args:
        stored: What exists.
        sent: The body of the update.
        paths: The mask. Empty, or the single path `*`: every mutable field is replaced.
        mutable: Names of the top-level fields that callers decide. Paths into other fields are
            passed over, as Google passes over what is only output.

    Raises:
        ApiError: INVALID_ARGUMENT, for a path that the message does not have.
    """
    result = proto_json.copy(stored)
    for path in sorted(mutable) if paths in ([], ["*"]) else paths:
        _check_path(proto_json.unwrap(stored), path)
        if path.split(".")[0] in mutable:
            _replace_field(proto_json.unwrap(result), proto_json.unwrap(sent), path.split("."))
    return result


def covers(paths: list[str], path: str) -> bool:
    """Whether a mask replaces the field at a path."""
    if paths in ([], ["*"]):
        return True
    return any(path == given or path.startswith(f"{given}.") for given in paths)


def _check_path(message: Any, path: str) -> None:
    descriptor = message.DESCRIPTOR
    for name in path.split("."):
        field = descriptor.fields_by_name.get(name) if descriptor else None
        if field is None:
            raise invalid_argument(
                f"The update_mask in the request is invalid: {path!r} is not a field of "
                f"{message.DESCRIPTOR.full_name}."
            )
        descriptor = None if field.is_repeated else field.message_type


def _replace_field(stored: Any, sent: Any, names: list[str]) -> None:
    """Replaces one field at any depth; a parent message that was not sent counts as empty."""
    name, *deeper = names
    if deeper:
        _replace_field(getattr(stored, name), getattr(sent, name), deeper)
        return
    field = stored.DESCRIPTOR.fields_by_name[name]
    stored.ClearField(name)
    if field.is_repeated or field.message_type:
        present = field.is_repeated or sent.HasField(name)
        if present:
            getattr(stored, name).MergeFrom(getattr(sent, name))
    elif not field.has_presence or sent.HasField(name):
        setattr(stored, name, getattr(sent, name))
