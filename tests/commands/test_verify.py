"""`verify`: what it prints, and what it ends with."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from commands.verify import verify
from incident.case_file.manifest import encode_manifest, sha256_hex
from tests.support.environment import (
    CONTAINMENTS_FOLDER,
    ResponderEnvironment,
    deliver_and_log,
    policy_yaml,
    responder_environment,
    two_findings_on_one_service,
)
from tests.support.model import folder_store
from tests.test_cli import run_command


async def run_verify(
    env: ResponderEnvironment, *arguments: str, log: str | None = None, **environment: str
) -> tuple[int, str, str]:
    """What it ends with, prints, and complains of. It needs the store alone, and no process."""
    given = (*arguments, *(() if log is None else ("--log", "-")))
    environment = {"RESPONDER_STORE": env.settings.store, **environment}
    # It has a loop of its own, as a command has.
    invoked = await asyncio.to_thread(CliRunner().invoke, verify, given, log, environment)
    return invoked.exit_code, invoked.stdout, invoked.stderr


async def verify_json(
    env: ResponderEnvironment, *arguments: str, log: str | None = None
) -> tuple[int, Any]:
    """What it ends with, and what it prints as JSON."""
    code, out, err = await run_verify(env, *arguments, "--json", log=log)
    assert err == ""
    return code, json.loads(out)


def query_output(printed: str) -> str:
    """What the query prints of the lines of a log."""
    lines = [json.loads(line) for line in printed.splitlines()]
    return "".join(f"t\t{line['manifest_sha256']}\t{line['case_file']}\n" for line in lines)


def as_older_lines(printed: str) -> str:
    """The same of lines as they were before they told the case file."""
    lines = [json.loads(line) for line in printed.splitlines()]
    return "".join(f"t\t{line['manifest_sha256']}\n" for line in lines)


def as_entries(printed: str) -> str:
    """The same lines as `gcloud logging read --format=json` prints them."""
    return json.dumps([{"jsonPayload": json.loads(line)} for line in printed.splitlines()])


async def test_a_case_file_is_verified_with_kept_digests(tmp_path: Path) -> None:
    """Of the log and of whoever released it: together they vouch for all of it."""
    async with responder_environment(tmp_path) as env:
        answer = await env.deliver()
        incident, logged = str(answer.outcome["incident"]), str(answer.manifest_sha256)
        code, out, err = await run_verify(env, incident)
        assert (code, err) == (0, "")
        assert "intact, as far as the store itself can tell" in out
        assert f'jsonPayload.incident="{incident}"' in out
        assert 'timestamp>="2026-10-02T00:00:00Z"' in out
        assert f"verify {incident} --log -" in out
        code, out, err = await run_command(env, "release", incident, "--yes", "--json")
        released = json.loads(out)["manifest_sha256"][f"incidents/{incident}"]
        assert f"{incident} is sealed" in err
        (tmp_path / "log").write_text(f"2026-10-02T08:14:12Z\t{logged}\n\n")
        code, told = await verify_json(env, incident, "--log", str(tmp_path / "log"))
        assert (code, told["verdict"], told["proven"]) == (4, "unproven", False)
        names = [path.rpartition("/")[2] for path in told["unproven"]]
        assert names == ["manifest-3.json", "manifest-4.json"]
        both = ("--log", str(tmp_path / "log"), "--sha256", released)
        code, told = await verify_json(env, incident, *both)
        assert (code, told["proven"], told["unproven"]) == (0, True, [])


async def test_what_was_done_to_a_case_file_comes_first(tmp_path: Path) -> None:
    """Each object with its path, then what to do; the rest is only counted."""
    async with responder_environment(tmp_path) as env:
        answer = await env.deliver()
        incident = str(answer.outcome["incident"])
        store = tmp_path / "store"
        place = store / "incidents" / incident
        (place / "evidence" / "finding.json").write_text("not even JSON")
        (place / "0001-received.json").write_text("[")
        (place / "report.html").unlink()
        (place / "1001-\u202ereleased.json").write_text("{}")
        (store / CONTAINMENTS_FOLDER / "1" / "0009-released.json").write_text("{}")
        code, out, _ = await run_verify(env, incident)
        assert code == 1
        lines = out.splitlines()
        assert lines[0] == f"{incident}: NOT INTACT"
        assert [line.split()[:2] for line in lines[1:4]] == [
            ["changed", "2"],
            ["missing", "1"],
            ["not", "listed"],
        ]
        assert lines[7:12] == [
            f"changed     incidents/{incident}/0001-received.json",
            f"changed     incidents/{incident}/evidence/finding.json",
            f"missing     incidents/{incident}/report.html",
            f"not listed  {CONTAINMENTS_FOLDER}/1/0009-released.json",
            f"not listed  incidents/{incident}/1001-\\u202ereleased.json",
        ]
        assert "evidence/settings.json" not in out
        code, told = await verify_json(env, incident, "--sha256", "0" * 64)
        assert (code, told["replaced"]) == (1, ["0" * 64])
        assert told["counts"]["changed"] == 2
        assert {o["mark"] for o in told["objects"][:5]} == {"changed", "missing", "not listed"}


async def dry_run_then_contained(env: ResponderEnvironment) -> tuple[str, str]:
    """An incident as the README recommends it: a dry run first. Its id, and the log's lines."""
    answer, dry = await deliver_and_log(env)
    env.write_policy(policy_yaml())
    _, armed = await deliver_and_log(env)
    assert answer
    return str(answer.outcome["incident"]), dry + armed


@pytest.mark.parametrize("form", [query_output, as_older_lines, as_entries, str])
async def test_a_dry_run_of_the_same_id_is_another_chain(
    tmp_path: Path, form: Callable[[str], str]
) -> None:
    """Its digests are told as such, and neither count for the incident nor against it."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("dry-run")) as env:
        incident, printed = await dry_run_then_contained(env)
        code, told = await verify_json(env, incident, log=form(printed))
        assert (code, told["verdict"], told["replaced"]) == (0, "proven", [])
        assert [*told["elsewhere"]] == [f"dry-runs/{incident}"]
        code, out, _ = await run_verify(env, incident, log=form(printed))
        assert f"of dry-runs/{incident}, another case file: not counted" in out


async def test_a_dry_run_does_not_stand_in_for_an_incident_that_is_gone(tmp_path: Path) -> None:
    """Nor do the incident's manifests vouch for anything where somebody has moved them."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("dry-run")) as env:
        incident, printed = await dry_run_then_contained(env)
        store = tmp_path / "store"
        genuine = json.loads(printed.splitlines()[-1])["manifest_sha256"]
        newest = store / "incidents" / incident / "manifest-2.json"
        newest.rename(store / "dry-runs" / incident / "manifest-3.json")
        code, told = await verify_json(env, incident, log=as_older_lines(printed))
        assert (code, told["replaced"]) == (1, [genuine])
        shutil.rmtree(store / "incidents" / incident)
        code, told = await verify_json(env, incident, log=query_output(printed))
        assert (code, told["gone"]) == (1, [f"incidents/{incident}"])


async def test_objects_of_another_incident_need_its_digests(tmp_path: Path) -> None:
    """The query asks for the lines of both."""
    one, other, world = two_findings_on_one_service()
    async with responder_environment(tmp_path, notification=one, world=world) as env:
        first, printed = await deliver_and_log(env)
        second, more = await deliver_and_log(env, other)
        assert first
        assert second
        names = [str(answer.outcome["incident"]) for answer in (first, second)]
        code, out, _ = await run_verify(env, names[0])
        assert (code, f"it rests on {names[1]}" in out) == (0, True)
        assert f'jsonPayload.incident=("{names[0]}" OR "{names[1]}")' in out
        code, told = await verify_json(env, names[0], log=query_output(printed))
        assert (code, told["proven"], told["others"]) == (4, False, [names[1]])
        code, told = await verify_json(env, names[0], log=query_output(printed + more))
        assert (code, told["verdict"]) == (0, "proven")
        place = tmp_path / "store" / "incidents" / names[1]
        text = (place / "manifest.json").read_text()
        (place / "manifest.json").write_text(text + " ")
        (place / "manifest-2.json").unlink()
        code, told = await verify_json(env, names[0], log=query_output(printed + more))
        assert (code, len(told["replaced"])) == (1, 2)


async def test_an_invented_incident_verifies_nothing(tmp_path: Path) -> None:
    """A record that was planted in a containment, and a manifest of nobody's that lists it."""
    async with responder_environment(tmp_path) as env:
        answer, printed = await deliver_and_log(env)
        assert answer
        invented, store = "20261002-ffffffffffff", folder_store(tmp_path / "store")
        path = f"{CONTAINMENTS_FOLDER}/1/0009-released.json"
        record = json.dumps({"incident": invented, "by": "nobody@example.com"}).encode()
        await store.create(path, record)
        link = encode_manifest(f"incidents/{invented}", None, {path: sha256_hex(record)}, {})
        await store.create(f"incidents/{invented}/manifest.json", link)
        incident = str(answer.outcome["incident"])
        code, told = await verify_json(env, incident, log=query_output(printed))
        assert (code, told["proven"], told["verdict"]) == (4, False, "unproven")
        _, out, _ = await run_verify(env, incident, log=query_output(printed))
        assert out.startswith(f"{incident}: NOT PROVEN: it rests on {invented}, for which")


async def test_an_object_listed_as_found_is_not_verified_by_itself(tmp_path: Path) -> None:
    """Planted under one of our names, it is listed by the next run; that vouches for nobody."""
    async with responder_environment(tmp_path) as env:
        answer, printed = await deliver_and_log(env)
        assert answer
        incident = str(answer.outcome["incident"])
        place = tmp_path / "store" / "incidents" / incident
        (place / "1001-released.json").write_text(
            (place / "1000-done.json").read_text().replace('"contained"', '"released"')
        )
        _, again = await deliver_and_log(env)
        code, told = await verify_json(env, incident, log=query_output(printed + again))
        assert (code, told["verdict"], told["found"]) == (3, "found", 1)
        assert (told["intact"], told["proven"]) == (False, False)
        code, out, _ = await run_verify(env, incident)
        assert code == 3
        assert out.startswith(f"{incident}: 1 object was found later, whose writer nobody vouches")


async def test_a_log_without_a_digest_proves_nothing(tmp_path: Path) -> None:
    """As where the query failed, and printed nothing."""
    async with responder_environment(tmp_path) as env:
        incident = str((await env.deliver()).outcome["incident"])
        code, out, _ = await run_verify(env, incident, log="")
        assert code == 4
        assert "NOT PROVEN: what was given (--log, --sha256) has no digest of this incident" in out
        assert "with your project in place of PROJECT_ID:" in out
        _, out, _ = await run_verify(env, incident, GOOGLE_CLOUD_PROJECT="sec-responder")
        assert "--project=sec-responder " in out
        assert "PROJECT_ID" not in out


async def test_what_is_not_there_cannot_be_verified(tmp_path: Path) -> None:
    """No such incident, or one without a manifest: one clear sentence."""
    async with responder_environment(tmp_path) as env:
        incident = str((await env.deliver()).outcome["incident"])
        code, _, err = await run_verify(env, "20261002-000000000000")
        assert (code, "cannot find incident" in err) == (1, True)
        for path in (tmp_path / "store" / "incidents" / incident).glob("manifest*"):
            path.unlink()
        code, _, err = await run_verify(env, incident)
        assert (code, "has no manifest" in err) == (1, True)
