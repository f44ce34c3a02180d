"""Commands that can be pasted: every word from outside is one word, whatever it says. Pure."""

from __future__ import annotations

import shlex
import unicodedata

from incident.model import Kind, Workload

#: What gcloud calls a kind of workload. Worker pools are there under ``beta`` in every release
#: that has them; under no track at all only in later ones (read in gcloud 528).
GCLOUD_GROUPS = {
    Kind.SERVICE: "run services",
    Kind.JOB: "run jobs",
    Kind.WORKER_POOL: "beta run worker-pools",
}
# Control, format, surrogate, private and unassigned characters, ends of lines: inside of quotes
# a terminal acts upon them all the same.
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def gcloud(verb: str, *names: str, **flags: str | bool) -> str:
    """A command of gcloud; empty where a value would make it another one, or none.

    Args:
        verb: Group and command, such as ``run services update``; our own words.
        names: Positional arguments; one that is empty or looks like a flag makes no command.
        flags: By name, with underscores; True for a flag without a value.
    """
    values = [value for value in flags.values() if isinstance(value, str)]
    if any(not is_printable(text) for text in (*names, *values)):
        return ""
    if any(name.startswith("-") for name in names):
        return ""
    return shell_command("gcloud", *verb.split(), *names, *_flags(flags))


def shell_command(*words: str) -> str:
    """Any command, each word quoted."""
    return shlex.join(words)


def is_printable(text: str) -> bool:
    """Whether a text is there and all of it is to be seen."""
    return text != "" and not any(unicodedata.category(char) in _INVISIBLE for char in text)


def workload_command(verb: str, workload: Workload, **flags: str | bool) -> str:
    """A command about a workload, such as ``update``, with its region and project."""
    return gcloud(
        f"{GCLOUD_GROUPS[workload.kind]} {verb}", workload.name, **flags, **location_flags(workload)
    )


def location_flags(workload: Workload) -> dict[str, str]:
    """Where a workload is, as flags."""
    return {"region": workload.location, "project": workload.project}


def _flags(flags: dict[str, str | bool]) -> list[str]:
    spelled = ((name.replace("_", "-"), value) for name, value in flags.items())
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in spelled]
