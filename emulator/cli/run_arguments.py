"""Validate the arguments of `run` and build its request."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
import time
from pathlib import Path

import click

from emulator.cli import policy_mode, terminal_text
from emulator.runner.function_process import REPOSITORY
from emulator.world import state, surroundings
from finding_input.command_line import read_bytes, read_finding

_DEFAULT_POLICY = REPOSITORY / "deploy" / "policy.yaml"
_SAMPLES = REPOSITORY / "tests" / "samples"
_KEPT_RUNS = 10
_YOUNGEST_REMOVED_S = 600.0
_DELAY_AFTER_EVENT = dt.timedelta(seconds=5)
# What Pub/Sub takes as one message, in bytes.
_MAX_MESSAGE_BYTES = 10_000_000


class BadInput(click.ClickException):
    """Bad arguments or input: exit status 2."""

    exit_code = 2


def message_data(finding: Path, finding_id: str | None, via: str, *, verbatim: bool) -> bytes:
    """The message's data: the notification in the file, or the file's bytes as they are.

    Raises:
        BadInput: It is more than Pub/Sub takes.
        UnusableFinding: The file cannot be read, or has no finding or several.
    """
    data = read_bytes(finding) if verbatim else read_finding(finding, finding_id)
    if via == "pubsub" and len(data) > _MAX_MESSAGE_BYTES:
        raise BadInput(f"{finding}: {len(data)} bytes; Pub/Sub takes {_MAX_MESSAGE_BYTES} at most")
    return data


def _read_file(file: Path, what: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {what} {file}: {error.strerror}") from error


def load_or_make_world(
    file: Path | None, data: bytes, finding: Path, *, plausible_attack: bool | None
) -> state.World:
    """The world from the file, or a plausible one around the finding.

    Args:
        file: The world's file; None to make one.
        data: The notification.
        finding: The file that it came from.
        plausible_attack: Whether traces of an attack are invented as well; None for those of the
            shipped samples only, which nobody takes for findings of their own.

    Raises:
        BadInput: It cannot be read or is not a world.
    """
    try:
        if file is not None:
            return state.load_world(file)
        attacked = _is_sample(finding) if plausible_attack is None else plausible_attack
        return state.parse_world(
            surroundings.world_around(data, plausible_attack=attacked),
            source=f"the world made around {finding}",
        )
    except state.BadWorld as error:
        raise BadInput(terminal_text.clean(error)) from error


def _is_sample(finding: Path) -> bool:
    return finding.resolve().is_relative_to(_SAMPLES)


def policy_file(given: Path | None, mode: str | None, folder: Path) -> Path:
    """The policy file as given, or a copy of it with another mode.

    Raises:
        BadInput: It cannot be read, or its mode cannot be replaced.
    """
    policy = (given or _DEFAULT_POLICY).resolve()
    content = _read_file(policy, "the policy")
    if mode is None:
        return policy
    copy = folder / policy.name
    try:
        copy.write_bytes(policy_mode.set_mode(content, mode))
    except policy_mode.CannotSetMode as error:
        raise BadInput(f"cannot set --mode in {policy}: {error}") from error
    return copy


def store_folder(given: Path | None) -> Path:
    """The folder for the case files, made where it is not there; else a new, named one.

    Of the folders that were made like this, the newest ten are kept.

    Raises:
        BadInput: It cannot be made.
    """
    if given is None:
        return _new_run_folder()
    try:
        given.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cannot make the store {given}: {error.strerror}") from error
    return given.resolve()


def _new_run_folder() -> Path:
    """A folder for one run, in one folder for all of them; old ones are removed."""
    runs = Path(tempfile.gettempdir()) / f"cloud-run-responder-emulator-{os.getuid()}"
    runs.mkdir(mode=0o700, exist_ok=True)
    if runs.stat().st_uid != os.getuid():
        raise BadInput(f"{runs} belongs to somebody else; name a folder with --store")
    found = sorted(runs.glob("run-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in found[_KEPT_RUNS - 1 :]:
        # A run that is still at work is younger.
        if time.time() - old.stat().st_mtime > _YOUNGEST_REMOVED_S:
            shutil.rmtree(old, ignore_errors=True)
    now = dt.datetime.now(dt.UTC)
    return Path(tempfile.mkdtemp(prefix=f"run-{now:%Y%m%d-%H%M%S}-", dir=runs)).resolve()


def start_time(given: str | None, data: bytes) -> dt.datetime:
    """The time that the function believes it is: as given, or soon after the finding's event.

    Raises:
        BadInput: It is no time, or one without a zone.
    """
    if given is None:
        event = surroundings.event_time(data)
        return event + _DELAY_AFTER_EVENT if event else dt.datetime.now(dt.UTC)
    try:
        moment = dt.datetime.fromisoformat(given)
    except ValueError as error:
        raise BadInput(f"--now: {error}; write a time such as 2026-10-02T08:14:12Z") from error
    if moment.tzinfo is None:
        raise BadInput("--now: the time has no zone; write one such as 2026-10-02T08:14:12Z")
    return moment.astimezone(dt.UTC)
