"""Messages that could not be read as notifications, as the store keeps them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from incident.case_file.journal import ObjectStore
from incident.case_file.paths import parse_quarantine_path, quarantine_path
from incident.model import GiveUp, Json
from incident.model.concurrency import gather_all

_SHORT = 12
_ROOT = "quarantine/"


@dataclass(frozen=True, slots=True)
class QuarantinedMessage:
    """A message that could not be read.

    Attributes:
        sha256: Its digest, which is its id.
        size: Its size in bytes.
        error: Why it could not be read.
        excerpt: Its beginning, redacted.
    """

    sha256: str
    size: int
    error: str
    excerpt: str

    @property
    def short_id(self) -> str:
        """The beginning of its id, by which it can be shown."""
        return self.sha256[:_SHORT]

    @property
    def json(self) -> dict[str, Json]:
        """The message for scripts."""
        return {
            "sha256": self.sha256,
            "size": self.size,
            "error": self.error,
            "excerpt": self.excerpt,
        }


async def read_quarantine(
    store: ObjectStore, beginning: str = ""
) -> tuple[tuple[QuarantinedMessage, ...], dict[str, str]]:
    """The messages whose digest begins so, and by path why others cannot be read.

    Raises:
        Retry: The store does not answer.
        GiveUp: The store refuses.
    """
    paths = [path for path in await store.list(_ROOT) if parse_quarantine_path(path)]
    wanted = [path for path in paths if (parse_quarantine_path(path) or "").startswith(beginning)]
    contents = await gather_all(*map(store.read, wanted))
    found, problems = [], {}
    for path, content in zip(wanted, contents, strict=True):
        try:
            found.append(_parse(content or b""))
        except (ValueError, KeyError, TypeError):
            problems[path] = "not a record of a quarantined message"
    return tuple(found), problems


async def get_quarantined(store: ObjectStore, beginning: str) -> QuarantinedMessage:
    """The one message whose digest begins so.

    Raises:
        Retry: The store does not answer.
        GiveUp: There is none, there are several, or its record cannot be read.
    """
    found, problems = await read_quarantine(store, beginning)
    if len(found) == 1:
        return found[0]
    if found:
        names = "".join(f"\n  {message.sha256}" for message in found)
        raise GiveUp(f"cannot tell which quarantined message {beginning!r} means:{names}")
    if problems:
        raise GiveUp(f"cannot read {next(iter(problems))}: {next(iter(problems.values()))}")
    raise GiveUp(
        f"cannot find {quarantine_path(beginning)}: no message with such a digest is quarantined;"
        " `cloud-run-responder list --quarantined` shows them"
    )


def _parse(content: bytes) -> QuarantinedMessage:
    body = json.loads(content)
    texts = [str(body[key]) for key in ("sha256", "error", "excerpt")]
    return QuarantinedMessage(texts[0], int(body["size"]), texts[1], texts[2])
