"""A store that does not exist, a person without a login, and an emulator that does not answer."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from clients import store
from commands import cli
from tests.commands.test_progress import command_environment
from tests.support.constants import INCIDENT_ID, SAMPLES_FOLDER, SERVICE
from tests.support.environment import responder_environment

FINDING = str(SAMPLES_FOLDER / "cloud-run-service.json")
READING: dict[str, tuple[str, ...]] = {
    "list": ("list",),
    "show": ("show", INCIDENT_ID),
    "report": ("report", INCIDENT_ID),
    "verify": ("verify", INCIDENT_ID),
    "approve": ("approve", INCIDENT_ID, "--yes"),
    "contain": ("contain", INCIDENT_ID, "--yes"),
    "release": ("release", INCIDENT_ID, "--yes"),
    "patrol": ("patrol",),
}
#: Commands that need Google, whatever the store.
GOOGLE: dict[str, tuple[str, ...]] = {
    **{name: READING[name] for name in ("approve", "contain", "release", "patrol")},
    "drill": ("drill", SERVICE, "--yes"),
    "replay": ("replay", FINDING),
    "coverage": ("coverage", "--project", "example-shop-prod"),
}
STORES = {
    "unset": (None, "RESPONDER_STORE is not set"),
    "missing folder": ("{folder}/none", "there is no folder {folder}/none"),
    "a file": ("{folder}/file", "there is no folder {folder}/file"),
    "one slash": ("gs:/bucket", "RESPONDER_STORE: Value error, expected a folder"),
    "no slash": ("gs:bucket", "RESPONDER_STORE: Value error, expected a folder"),
    "an empty part": ("gs://bucket/a//b", "RESPONDER_STORE: Value error, expected a folder"),
    "another scheme": ("s3://bucket", "RESPONDER_STORE: Value error, expected a folder"),
}
LOGIN = "Not logged in. Run: gcloud auth application-default login"


def invoke(*arguments: str, **variables: str | None) -> Result:
    """Run a command in this process; None removes a variable."""
    return CliRunner(env=variables).invoke(cli, arguments)


@pytest.mark.parametrize("command", READING)
@pytest.mark.parametrize("case", STORES)
def test_a_store_that_does_not_exist_is_wrong_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, case: str
) -> None:
    """The command ends with 2, says why, and creates nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    url, text = STORES[case]
    address = url and url.format(folder=tmp_path)
    result = invoke(*READING[command], RESPONDER_STORE=address)
    assert result.exit_code == 2, result.output
    assert text.format(folder=tmp_path) in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
async def test_list_names_the_store_that_it_read(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Also if it is empty; with --json standard output is the list alone."""
    (tmp_path / "store").mkdir()
    async with responder_environment(tmp_path) as env:
        runner = CliRunner(env=command_environment(env))
        result = await asyncio.to_thread(runner.invoke, cli, ("list", *options))
        assert result.exit_code == 0, result.output
        if options:
            assert json.loads(result.stdout) == []
        else:
            assert result.stdout.strip() == f"no incidents in {env.settings.store}"
        await env.deliver()
        result = await asyncio.to_thread(runner.invoke, cli, ("list", *options))
        rows: Any = json.loads(result.stdout) if options else result.stdout
        assert len(rows) == 1 if options else f"1 incident in {env.settings.store}" in rows


@pytest.fixture
def no_login(tmp_path: Path) -> dict[str, str | None]:
    """The environment of a person who has never logged in."""
    store.google_credentials.cache_clear()
    return {
        "HOME": str(tmp_path),
        "CLOUDSDK_CONFIG": str(tmp_path),
        "GOOGLE_APPLICATION_CREDENTIALS": None,
        "NO_GCE_CHECK": "true",
        "RESPONDER_PROJECT": "example-shop-prod",
    }


@pytest.mark.parametrize("kind", ["folder", "bucket"])
@pytest.mark.parametrize("command", sorted(READING.keys() | GOOGLE.keys()))
def test_a_person_without_a_login_learns_how_to_log_in(
    tmp_path: Path, no_login: dict[str, str | None], command: str, kind: str
) -> None:
    """In every command that needs Google, with a folder and with a bucket; no traceback."""
    (tmp_path / "store").mkdir()
    address = "gs://case-files" if kind == "bucket" else str(tmp_path / "store")
    policy = tmp_path / "policy.yaml"
    policy.write_text("mode: dry-run\n")
    arguments = {**READING, **GOOGLE}[command]
    result = invoke(*arguments, **no_login, RESPONDER_STORE=address, RESPONDER_POLICY=str(policy))
    if kind == "folder" and command not in GOOGLE:
        assert LOGIN not in result.stderr
        return
    assert (result.exit_code, type(result.exception)) == (1, SystemExit), result.output
    assert result.stderr.startswith(f"Error: {LOGIN}")
    assert "service account" not in result.stderr


def test_permissions_without_a_login_says_how_to_log_in(no_login: dict[str, str | None]) -> None:
    """A policy in a bucket is read with the person's login."""
    result = invoke("permissions", **no_login, RESPONDER_POLICY="gs://config/policy.yaml")
    assert (result.exit_code, type(result.exception)) == (1, SystemExit), result.output
    assert result.stderr.startswith(f"Error: {LOGIN}")


@pytest.mark.parametrize("command", GOOGLE)
def test_an_emulator_that_does_not_answer_is_named_at_once(tmp_path: Path, command: str) -> None:
    """Within five seconds the error names the address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    (tmp_path / "store").mkdir()
    began = time.monotonic()
    result = invoke(
        *GOOGLE[command],
        RESPONDER_EMULATOR=json.dumps({"grpc": address, "http": address}),
        RESPONDER_STORE=str(tmp_path / "store"),
    )
    assert time.monotonic() - began < 5
    assert result.exit_code == 1, result.output
    assert f"cannot connect to {address} (emulator)" in result.stderr


def test_a_bucket_of_a_dead_emulator_is_named_at_once() -> None:
    """Commands that need the store alone check the address as well."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    began = time.monotonic()
    result = invoke(
        "list",
        RESPONDER_EMULATOR=json.dumps({"grpc": address, "http": address}),
        RESPONDER_STORE="gs://case-files",
    )
    assert time.monotonic() - began < 5
    assert result.exit_code == 1, result.output
    assert f"cannot connect to {address} (emulator)" in result.stderr
