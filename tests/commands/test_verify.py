"""`verify`: what it prints, and its exit status."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from google.cloud.logging_v2.types import ListLogEntriesRequest

from commands.verify import verify
from emulator.services.cloud_logging.list_entries import Logging
from emulator.world.state import parse_world
from incident.case_file.manifest import encode_manifest, sha256_hex
from incident.patrol import log as patrol_log
from incident.patrol.round import PatrolFault, RoundResult
from tests.support.constants import CONTAINMENTS_FOLDER
from tests.support.environment import (
    JsonDict,
    ResponderEnvironment,
    captured_output,
    deliver_and_log,
    policy_yaml,
    responder_environment,
)
from tests.support.model import folder_store
from tests.support.worlds import two_findings_on_one_service
from tests.test_cli import run_command


async def run_verify(
    env: ResponderEnvironment, *arguments: str, log: str | None = None, **environment: str
) -> tuple[int, str, str]:
    """Its exit status, standard output and standard error. It needs the store, and no process."""
    given = (*arguments, *(() if log is None else ("--log", "-")))
    environment = {"RESPONDER_STORE": env.settings.store, **environment}
    # It has a loop of its own, as a command has.
    invoked = await asyncio.to_thread(CliRunner().invoke, verify, given, log, environment)
    return invoked.exit_code, invoked.stdout, invoked.stderr


async def verify_json(
    env: ResponderEnvironment, *arguments: str, log: str | None = None
) -> tuple[int, Any]:
    """Its exit status, and the object that it prints."""
    code, out, err = await run_verify(env, *arguments, "--json", log=log)
    assert err == ""
    return code, json.loads(out)


def query_output(printed: str) -> str:
    """What the query prints of the lines of a log."""
    lines = [json.loads(line) for line in printed.splitlines()]
    return "".join(f"t\t{line['manifest_sha256']}\t{line['case_file']}\n" for line in lines)


def as_entries(printed: str) -> str:
    """The same lines as `gcloud logging read --format=json` prints them."""
    return json.dumps([{"jsonPayload": json.loads(line)} for line in printed.splitlines()])


@pytest.mark.parametrize("form", [query_output, as_entries, str])
async def test_a_case_file_is_compared_with_the_log_and_with_kept_digests(
    tmp_path: Path, form: Callable[[str], str]
) -> None:
    """The log has the digest of a delivery; the person who released it kept the other one."""
    async with responder_environment(tmp_path) as env:
        result, printed = await deliver_and_log(env)
        assert result
        incident = str(result.outcome.incident)
        code, report = await verify_json(env, incident, log=form(printed))
        assert (code, report["intact"], report["compared_with_log"]) == (0, True, True)
        assert report["counts"]["intact"] == len(report["objects"]) > 20
        code, out, err = await run_command(env, "release", incident, "--yes", "--json")
        released = json.loads(out)["manifest_sha256"]
        folder = f"{CONTAINMENTS_FOLDER}/1"
        line = f"Manifest SHA-256 of {folder} (keep it to verify the case file): {released}"
        assert line in err
        code, report = await verify_json(env, incident, log=form(printed))
        assert (code, report["counts"]["changed"], report["counts"]["missing"]) == (1, 0, 0)
        names = {item["path"] for item in report["objects"] if item["state"] == "not listed"}
        assert {f"{folder}/manifest.json", f"incidents/{incident}/1001-released.json"} <= names
        code, report = await verify_json(env, incident, "--sha256", released, log=form(printed))
        assert (code, report["intact"]) == (0, True)


async def test_without_digests_it_prints_the_query_for_the_log(tmp_path: Path) -> None:
    """An intact case file is called so, with the reservation that the log was not asked."""
    async with responder_environment(tmp_path) as env:
        incident = str((await env.deliver()).outcome.incident)
        code, out, err = await run_verify(env, incident)
        assert (code, err) == (0, "")
        title = f"{incident}: intact (the manifests are not compared with the log)"
        assert out.splitlines()[0] == title
        assert f'jsonPayload.incident="{incident}"' in out
        assert 'timestamp>="2026-10-02T00:00:00Z"' in out
        assert "with your project in place of PROJECT_ID:" in out
        assert f"verify {incident} --log -" in out
        _, out, _ = await run_verify(env, incident, GOOGLE_CLOUD_PROJECT="sec-responder")
        assert "--project=sec-responder " in out
        assert "PROJECT_ID" not in out


async def lines_matched(command: str, lines: list[JsonDict]) -> list[int]:
    """Which lines of a log the filter of a command selects, evaluated as Cloud Logging does."""
    arguments = shlex.split(command)
    assert arguments[:3] == ["gcloud", "logging", "read"]
    # The emulator has no regular expressions; this one leaves out lines without a digest.
    has_digest = ' AND jsonPayload.manifest_sha256=~"^[0-9a-f]{64}$"'
    assert has_digest in arguments[3]
    entries = [
        {
            "logName": "projects/sec/logs/run.googleapis.com%2Fstdout",
            "timestamp": line["time"],
            "insertId": str(number),
            "resource": {"type": "cloud_run_revision"},
            "jsonPayload": line,
        }
        for number, line in enumerate(lines)
    ]
    world = {"projects": [{"projectId": "sec", "projectNumber": "42"}], "logEntries": entries}
    request = ListLogEntriesRequest(
        resource_names=["projects/sec"],
        filter=arguments[3].replace(has_digest, ""),
        page_size=100,
    )
    found = await Logging(parse_world(world, source="test")).list_entries(request)
    selected = (int(entry.insert_id) for entry in found.entries)
    return sorted(number for number in selected if lines[number]["manifest_sha256"])


async def test_the_query_selects_every_line_that_has_a_digest(tmp_path: Path) -> None:
    """Of deliveries, and of the patrol, which may name the folder and no incident."""
    async with responder_environment(tmp_path) as env:
        result, printed = await deliver_and_log(env)
        assert result
        _, duplicate = await deliver_and_log(env)
        containment, other = f"{CONTAINMENTS_FOLDER}/1", f"{CONTAINMENTS_FOLDER}-2/1"
        found = RoundResult(
            faults=[
                PatrolFault("x/", "it took too long", case_file=folder, manifest_sha256="0" * 64)
                for folder in (containment, str(result.case_file), other)
            ]
        )
        with captured_output() as output:
            patrol_log.log_round(found, trace=None)
        lines = (printed + duplicate + output.getvalue()).splitlines()
        _, report = await verify_json(env, str(result.outcome.incident))
        matched = await lines_matched(report["log_query"], [json.loads(line) for line in lines])
        # The delivery, and two faults; neither a line without a digest nor one of another folder.
        assert matched == [0, 2, 3]


async def test_tampering_is_printed_first(tmp_path: Path) -> None:
    """Each object with its path, then what to do; intact objects are only counted."""
    async with responder_environment(tmp_path) as env:
        result, printed = await deliver_and_log(env)
        assert result
        incident = str(result.outcome.incident)
        store = tmp_path / "store"
        place = store / "incidents" / incident
        (place / "evidence" / "finding.json").write_text("not even JSON")
        (place / "0001-received.json").write_text("[")
        (place / "report.html").unlink()
        (place / "1001-\u202ereleased.json").write_text("{}")
        (store / CONTAINMENTS_FOLDER / "1" / "0009-released.json").write_text("{}")
        code, out, _ = await run_verify(env, incident, log=printed)
        assert code == 1
        lines = out.splitlines()
        assert lines[0] == f"{incident}: NOT INTACT"
        assert [line.split()[:2] for line in lines[1:3]] == [["changed", "2"], ["missing", "1"]]
        assert lines[3].startswith("not listed  2")
        assert lines[5:10] == [
            f"changed     incidents/{incident}/0001-received.json",
            f"changed     incidents/{incident}/evidence/finding.json",
            f"missing     incidents/{incident}/report.html",
            f"not listed  {CONTAINMENTS_FOLDER}/1/0009-released.json",
            f"not listed  incidents/{incident}/1001-\\u202ereleased.json",
        ]
        assert "evidence/settings.json" not in out
        assert "Somebody wrote to the store" in out
        code, report = await verify_json(env, incident, "--sha256", "0" * 64, log=printed)
        assert (code, report["missing_manifests"]) == (1, ["0" * 64])
        assert {o["state"] for o in report["objects"][:5]} == {"changed", "missing", "not listed"}


async def dry_run_then_contained(env: ResponderEnvironment) -> tuple[str, str]:
    """An incident as the README recommends it: a dry run first. Its id, and the log's lines."""
    result, dry_run = await deliver_and_log(env)
    env.write_policy(policy_yaml())
    _, enforced = await deliver_and_log(env)
    assert result
    return str(result.outcome.incident), dry_run + enforced


async def test_a_dry_run_of_the_same_id_is_another_case_file(tmp_path: Path) -> None:
    """Its digests count neither for the incident nor against it, nor do moved manifests."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("dry-run")) as env:
        incident, printed = await dry_run_then_contained(env)
        code, report = await verify_json(env, incident, log=query_output(printed))
        assert (code, report["intact"], report["missing_manifests"]) == (0, True, [])
        store, (_, genuine) = tmp_path / "store", map(json.loads, printed.splitlines())
        for source, target in (("incidents", "dry-runs"), ("dry-runs", "incidents")):
            there = store / target / incident / "manifest-2.json"
            shutil.copy(store / source / incident / "manifest.json", there)
        (store / "incidents" / incident / "manifest.json").unlink()
        code, report = await verify_json(env, incident, log=query_output(printed))
        assert (code, report["missing_manifests"]) == (1, [genuine["manifest_sha256"]])
        assert report["counts"]["intact"] == 0


async def test_a_dry_run_does_not_stand_in_for_a_deleted_incident(tmp_path: Path) -> None:
    """The log knows the incident's manifest, which is missing."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("dry-run")) as env:
        incident, printed = await dry_run_then_contained(env)
        shutil.rmtree(tmp_path / "store" / "incidents" / incident)
        code, report = await verify_json(env, incident, log=query_output(printed))
        assert (code, report["folder"]) == (1, f"dry-runs/{incident}")
        assert len(report["missing_manifests"]) == 1


async def test_objects_of_another_incident_need_its_digest(tmp_path: Path) -> None:
    """The query asks for the lines of both."""
    one, other, world = two_findings_on_one_service()
    async with responder_environment(tmp_path, notification=one, world=world) as env:
        first, printed = await deliver_and_log(env)
        second, more = await deliver_and_log(env, other)
        assert first
        assert second
        names = [str(result.outcome.incident) for result in (first, second)]
        code, out, _ = await run_verify(env, names[0])
        assert code == 0
        wanted = " OR ".join(f'"{name}"' for name in sorted(names))
        assert f"jsonPayload.incident=({wanted})" in out
        code, report = await verify_json(env, names[0], log=query_output(printed))
        assert (code, report["counts"]["not listed"]) == (1, 1)
        code, report = await verify_json(env, names[0], log=query_output(printed + more))
        assert (code, report["intact"]) == (0, True)


async def test_a_manifest_of_an_invented_incident_lists_nothing(tmp_path: Path) -> None:
    """A record that was planted in a containment names an incident that never was."""
    async with responder_environment(tmp_path) as env:
        result, printed = await deliver_and_log(env)
        assert result
        invented, store = "20261002-ffffffffffff", folder_store(tmp_path / "store")
        path = f"{CONTAINMENTS_FOLDER}/1/0009-released.json"
        record = json.dumps({"incident": invented, "by": "nobody@example.com"}).encode()
        await store.create(path, record)
        manifest = encode_manifest(f"incidents/{invented}", {path: sha256_hex(record)})
        await store.create(f"incidents/{invented}/manifest.json", manifest)
        incident = str(result.outcome.incident)
        code, report = await verify_json(env, incident, log=query_output(printed))
        assert (code, report["objects"][0]["path"]) == (1, path)
        assert report["objects"][0]["state"] == "not listed"
        assert f"only in incidents/{invented}/manifest.json" in report["objects"][0]["note"]


async def test_an_empty_log_lists_nothing(tmp_path: Path) -> None:
    """As where the query failed: nothing is called intact."""
    async with responder_environment(tmp_path) as env:
        incident = str((await env.deliver()).outcome.incident)
        code, report = await verify_json(env, incident, log="")
        assert (code, report["counts"]["intact"]) == (1, 0)
        for path in (tmp_path / "store" / "incidents" / incident).glob("manifest*"):
            path.unlink()
        code, report = await verify_json(env, incident)
        assert (code, report["counts"]["intact"]) == (1, 0)


async def test_wrong_use_has_an_exit_status_of_its_own(tmp_path: Path) -> None:
    """An unknown incident is an error, an invalid digest is wrong use."""
    async with responder_environment(tmp_path) as env:
        incident = str((await env.deliver()).outcome.incident)
        code, _, err = await run_verify(env, "20261002-000000000000")
        assert (code, "cannot find incident" in err) == (1, True)
        code, _, err = await run_verify(env, incident, "--sha256", "abc")
        assert (code, "not a SHA-256" in err) == (2, True)
