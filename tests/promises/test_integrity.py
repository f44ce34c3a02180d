"""Promise 16: tampering is evident, whatever is done to the store, and a crash is no tampering."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clients import connect
from incident.case_file.manifest import RecordingStore, sha256_hex, write_manifest
from incident.case_file.verification import (
    CaseFileVerification,
    KnownDigest,
    ObjectState,
    verify_case_file,
)
from incident.response.deliveries import DeliveryHandler
from incident.response.response import Response
from tests.support.constants import CONTAINMENTS_FOLDER
from tests.support.environment import ResponderEnvironment, deliver_and_log, responder_environment
from tests.support.findings import encode, sample_notification
from tests.support.model import folder_store
from tests.support.patrol import ProcessKilled, deploy, run_patrol, with_automatic_scaling
from tests.support.stores import StoreKilledAt
from tests.support.worlds import world_around
from wiring import build_process

CONTAINMENT = f"../../{CONTAINMENTS_FOLDER}/1"
Damage = Callable[[Path], Any]


def plant(name: str) -> Damage:
    """Put an object beside another one."""
    return lambda path: (path.parent / name).write_text("{}")


def swap_with(name: str) -> Damage:
    """Swap the contents of two objects of one folder."""

    def swap(path: Path) -> None:
        other = path.parent / name
        content = path.read_bytes()
        path.write_bytes(other.read_bytes())
        other.write_bytes(content)

    return swap


def change(path: Path) -> None:
    """Change an object, though not what it says."""
    path.write_bytes(path.read_bytes() + b" ")


CHANGED, MISSING, NOT_LISTED = ObjectState.CHANGED, ObjectState.MISSING, ObjectState.NOT_LISTED
DAMAGES: list[tuple[str, Damage, dict[str, ObjectState]]] = [
    ("evidence/finding.json", change, {"finding.json": CHANGED}),
    ("evidence/finding.json", Path.unlink, {"finding.json": MISSING}),
    ("evidence/finding.json", plant("extra.json"), {"extra.json": NOT_LISTED}),
    (
        "evidence/finding.json",
        swap_with("settings.json"),
        {"finding.json": CHANGED, "settings.json": CHANGED},
    ),
    ("report.html", plant("report-9.html"), {"report-9.html": NOT_LISTED}),
    ("1000-done.json", change, {"1000-done.json": CHANGED}),
    ("1000-done.json", Path.unlink, {"1000-done.json": MISSING}),
    ("1000-done.json", plant("1001-released.json"), {"1001-released.json": NOT_LISTED}),
    ("1000-done.json", plant("1001-logged.json"), {"1001-logged.json": NOT_LISTED}),
    ("1000-logged.json", change, {"1000-logged.json": CHANGED}),
    ("1000-logged.json", Path.unlink, {"1000-logged.json": MISSING}),
    ("0001-received.json", plant("0009-heartbeat.json"), {"0009-heartbeat.json": NOT_LISTED}),
    ("manifest.json", plant("manifest-9.json"), {"manifest-9.json": NOT_LISTED}),
    (f"{CONTAINMENT}/0001-snapshot.json", change, {"0001-snapshot.json": CHANGED}),
    (f"{CONTAINMENT}/0001-snapshot.json", Path.unlink, {"0001-snapshot.json": MISSING}),
    (
        f"{CONTAINMENT}/0001-snapshot.json",
        plant("0009-released.json"),
        {"0009-released.json": NOT_LISTED},
    ),
]


async def verification(store: Path, result: Response, *, log: bool = True) -> CaseFileVerification:
    """The verification of a delivery's case file, with the digest from its log line."""
    known = (KnownDigest(str(result.manifest_sha256), result.case_file),)
    return await verify_case_file(
        folder_store(store), str(result.case_file), known if log else None
    )


def suspected(found: CaseFileVerification) -> dict[str, ObjectState]:
    """The objects that are not intact, by the last part of their paths."""
    return {
        item.path.rpartition("/")[2]: item.state
        for item in found.objects
        if item.state is not ObjectState.INTACT
    }


async def test_any_tampering_is_reported(tmp_path: Path) -> None:
    """Changed, deleted, planted or swapped: each object is named, and no other is suspected."""
    async with responder_environment(tmp_path) as env:
        result = await env.deliver()
        stored = env.stored_objects()
    assert (await verification(tmp_path / "store", result)).intact
    for number, (where, damage, expected) in enumerate(DAMAGES):
        store = tmp_path / str(number)
        for path, data in stored.items():
            (store / path).parent.mkdir(parents=True, exist_ok=True)
            (store / path).write_bytes(data)
        damage((store / str(result.case_file) / where).resolve())
        found = await verification(store, result)
        assert suspected(found) == expected, where
        assert not found.intact


@pytest.mark.parametrize("damage", [change, Path.unlink])
async def test_a_manifest_that_was_changed_or_deleted_lists_nothing(
    tmp_path: Path, damage: Damage
) -> None:
    """Its digest, which the log has, is reported as missing."""
    async with responder_environment(tmp_path) as env:
        result = await env.deliver()
        damage(tmp_path / "store" / str(result.case_file) / "manifest.json")
        found = await verification(tmp_path / "store", result)
        assert found.missing_manifests == (result.manifest_sha256,)
        assert found.counts[ObjectState.INTACT] == 0
        assert found.counts[ObjectState.CHANGED] == found.counts[ObjectState.MISSING] == 0


async def test_a_fully_forged_case_file_is_detected_with_the_log_only(tmp_path: Path) -> None:
    """An attacker can write new manifests, but not their digests into the log."""
    async with responder_environment(tmp_path) as env:
        result = await env.deliver()
        folder, store = str(result.case_file), tmp_path / "store"
        (store / folder / "1000-done.json").write_text('{"outcome": {"status": "held"}}')
        (store / folder / "manifest.json").unlink()
        forger = RecordingStore(folder_store(store))
        stored = env.stored_objects()
        forger.created = {path: sha256_hex(data) for path, data in stored.items()}
        await write_manifest(forger, folder)
        assert (await verification(store, result, log=False)).intact
        found = await verification(store, result)
        assert found.missing_manifests == (result.manifest_sha256,)
        assert set(suspected(found).values()) == {ObjectState.NOT_LISTED}


async def test_every_run_lists_what_it_created_and_nothing_else(tmp_path: Path) -> None:
    """After a delivery and a patrol run, each manifest is needed for its own objects."""
    async with responder_environment(tmp_path) as env:
        result = await env.deliver()
        await deploy(env, with_automatic_scaling)
        (check,) = (await run_patrol(env.later(900))).checks
        logged = (
            KnownDigest(str(result.manifest_sha256), result.case_file),
            KnownDigest(str(check.manifest_sha256), check.containment),
        )
        store, folder = folder_store(tmp_path / "store"), str(result.case_file)
        assert (await verify_case_file(store, folder, logged)).intact
        first, second = [
            suspected(await verify_case_file(store, folder, (one,))).keys() for one in logged
        ]
        assert {"0005-reverted.json", "1001-unverified.json", "report-2.html"} <= first
        assert {"0001-snapshot.json", "1000-done.json", "report.html"} <= second
        assert first & second == {"manifest.json"}  # of the containment, and of the case file


async def deliver_until_killed(env: ResponderEnvironment, name: str, when: str) -> None:
    """One delivery to a process that is killed at an object; nothing of it is logged."""
    clients = await connect(env.settings)
    store = StoreKilledAt(clients.store, name, when)
    handler = DeliveryHandler(replace(build_process(env.settings, clients), store=store))
    try:
        with pytest.raises(ProcessKilled):
            await handler.record_logged(await handler.receive(encode(env.notification)))
    finally:
        await clients.close()


#: A step of each kind, in the order in which an undisturbed delivery takes them.
STEPS = [
    "0001-received.json",
    "0001-snapshot.json",
    "evidence/finding.json",
    "0999-concluded.json",
    "report.html",
    "1000-done.json",
    "manifest.json",
    "1000-logged.json",
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_at_any_step_is_no_tampering(tmp_path: Path, step: str, when: str) -> None:
    """The objects of the run that crashed are not listed; the next run lists only its own.

    Evidence that the next run gathers with the same content is its own as well. No object is
    ever reported as changed, or as missing once the outcome was logged.
    """
    async with responder_environment(tmp_path) as env:
        await deliver_until_killed(env, f"/{step}", when)
        await asyncio.sleep(0.1)  # a put that was on its way when the process was killed
        left = env.stored_objects()
        later = env.later(60)
        result, printed = await deliver_and_log(later)
        assert result
        logged_before = (step, when) == ("1000-logged.json", "after")
        assert result.outcome.status == ("duplicate" if logged_before else "contained")
        created = {path for path in env.stored_objects() if path not in left}
        found = await verification(tmp_path / "store", result)
        listed = {item.path for item in found.objects if item.state is ObjectState.INTACT}
        assert created <= listed or logged_before
        again_created = {path for path in listed - created if "evidence" in path or "logs" in path}
        assert listed - created <= {*again_created, f"{result.case_file}/report.html"}
        assert set(suspected(found).values()) <= {ObjectState.NOT_LISTED}
        assert not found.missing_manifests or logged_before
        line = json.loads(printed.splitlines()[-1])
        assert (line["manifest_sha256"], line["case_file"]) == (
            result.manifest_sha256,
            result.case_file,
        )
        again, _ = await deliver_and_log(later)
        assert again
        assert (again.outcome.status, again.manifest_sha256) == ("duplicate", None)


async def test_a_retried_delivery_lists_what_it_created(tmp_path: Path) -> None:
    """Its line has the digest, so that a transient fault leaves nothing unlisted."""
    faults = [{"method": "UpdateSecurityMarks", "code": "INTERNAL", "times": 1}]
    world = world_around(sample_notification(), faults=faults)
    async with responder_environment(tmp_path, world=world) as env:
        first, retried = await deliver_and_log(env)
        assert first is None
        line = json.loads(retried)
        assert line["stage"] == "retried"
        second, _ = await deliver_and_log(env)
        assert second
        known = [KnownDigest(line["manifest_sha256"], line["case_file"])]
        known.append(KnownDigest(str(second.manifest_sha256), second.case_file))
        store = folder_store(tmp_path / "store")
        assert (await verify_case_file(store, str(second.case_file), known)).intact
