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
from incident.case_file.manifest import digest, manifest_of
from tests.support.environment import (
    CONTAINMENTS,
    Road,
    policy,
    printed_by,
    road,
    two_on_one_service,
)
from tests.support.model import folder_store
from tests.test_cli import run


async def said(
    way: Road, *arguments: str, log: str | None = None, **environment: str
) -> tuple[int, str, str]:
    """What it ends with, prints, and complains of. It needs the store alone, and no process."""
    given = (*arguments, *(() if log is None else ("--log", "-")))
    environment = {"RESPONDER_STORE": way.settings.store, **environment}
    # It has a loop of its own, as a command has.
    invoked = await asyncio.to_thread(CliRunner().invoke, verify, given, log, environment)
    return invoked.exit_code, invoked.stdout, invoked.stderr


async def verified(way: Road, *arguments: str, log: str | None = None) -> tuple[int, Any]:
    """What it ends with, and what it prints as JSON."""
    code, out, err = await said(way, *arguments, "--json", log=log)
    assert err == ""
    return code, json.loads(out)


def queried(printed: str) -> str:
    """What the query prints of the lines of a log."""
    lines = [json.loads(line) for line in printed.splitlines()]
    return "".join(f"t\t{line['manifest_sha256']}\t{line['case_file']}\n" for line in lines)


def before_folders(printed: str) -> str:
    """The same of lines as they were before they told the case file."""
    lines = [json.loads(line) for line in printed.splitlines()]
    return "".join(f"t\t{line['manifest_sha256']}\n" for line in lines)


def as_entries(printed: str) -> str:
    """The same lines as `gcloud logging read --format=json` prints them."""
    return json.dumps([{"jsonPayload": json.loads(line)} for line in printed.splitlines()])


async def test_a_case_file_is_held_against_the_digests_that_were_kept(tmp_path: Path) -> None:
    """Of the log and of whoever released it: together they vouch for all of it."""
    async with road(tmp_path) as way:
        answer = await way.deliver()
        incident, logged = str(answer.outcome["incident"]), str(answer.manifest_sha256)
        code, out, err = await said(way, incident)
        assert (code, err) == (0, "")
        assert "intact, as far as the store itself can tell" in out
        assert f'jsonPayload.incident="{incident}"' in out
        assert 'timestamp>="2026-10-02T00:00:00Z"' in out
        assert f"verify {incident} --log -" in out
        code, out, err = await run(way, "release", incident, "--yes", "--json")
        released = json.loads(out)["manifest_sha256"][f"incidents/{incident}"]
        assert f"{incident} is sealed" in err
        (tmp_path / "log").write_text(f"2026-10-02T08:14:12Z\t{logged}\n\n")
        code, told = await verified(way, incident, "--log", str(tmp_path / "log"))
        assert (code, told["verdict"], told["proven"]) == (4, "unproven", False)
        names = [path.rpartition("/")[2] for path in told["unproven"]]
        assert names == ["manifest-3.json", "manifest-4.json"]
        both = ("--log", str(tmp_path / "log"), "--sha256", released)
        code, told = await verified(way, incident, *both)
        assert (code, told["proven"], told["unproven"]) == (0, True, [])


async def test_what_was_done_to_a_case_file_comes_first(tmp_path: Path) -> None:
    """Each object with its path, then what to do; the rest is only counted."""
    async with road(tmp_path) as way:
        answer = await way.deliver()
        incident = str(answer.outcome["incident"])
        store = tmp_path / "store"
        place = store / "incidents" / incident
        (place / "evidence" / "finding.json").write_text("not even JSON")
        (place / "0001-received.json").write_text("[")
        (place / "report.html").unlink()
        (place / "1001-\u202ereleased.json").write_text("{}")
        (store / CONTAINMENTS / "1" / "0009-released.json").write_text("{}")
        code, out, _ = await said(way, incident)
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
            f"not listed  {CONTAINMENTS}/1/0009-released.json",
            f"not listed  incidents/{incident}/1001-\\u202ereleased.json",
        ]
        assert "evidence/settings.json" not in out
        code, told = await verified(way, incident, "--sha256", "0" * 64)
        assert (code, told["replaced"]) == (1, ["0" * 64])
        assert told["counts"]["changed"] == 2
        assert {o["mark"] for o in told["objects"][:5]} == {"changed", "missing", "not listed"}


async def rehearsed_and_contained(way: Road) -> tuple[str, str]:
    """An incident as the README recommends it: a dry run first. Its id, and the log's lines."""
    answer, dry = await printed_by(way)
    way.policy(policy())
    _, armed = await printed_by(way)
    assert answer
    return str(answer.outcome["incident"]), dry + armed


@pytest.mark.parametrize("form", [queried, before_folders, as_entries, str])
async def test_a_dry_run_of_the_same_id_is_another_chain(
    tmp_path: Path, form: Callable[[str], str]
) -> None:
    """Its digests are told as such, and neither count for the incident nor against it."""
    async with road(tmp_path, rules=policy("dry-run")) as way:
        incident, printed = await rehearsed_and_contained(way)
        code, told = await verified(way, incident, log=form(printed))
        assert (code, told["verdict"], told["replaced"]) == (0, "proven", [])
        assert [*told["elsewhere"]] == [f"dry-runs/{incident}"]
        code, out, _ = await said(way, incident, log=form(printed))
        assert f"of dry-runs/{incident}, another case file: not counted" in out


async def test_a_dry_run_does_not_stand_in_for_an_incident_that_is_gone(tmp_path: Path) -> None:
    """Nor do the incident's manifests vouch for anything where somebody has moved them."""
    async with road(tmp_path, rules=policy("dry-run")) as way:
        incident, printed = await rehearsed_and_contained(way)
        store = tmp_path / "store"
        genuine = json.loads(printed.splitlines()[-1])["manifest_sha256"]
        newest = store / "incidents" / incident / "manifest-2.json"
        newest.rename(store / "dry-runs" / incident / "manifest-3.json")
        code, told = await verified(way, incident, log=before_folders(printed))
        assert (code, told["replaced"]) == (1, [genuine])
        shutil.rmtree(store / "incidents" / incident)
        code, told = await verified(way, incident, log=queried(printed))
        assert (code, told["gone"]) == (1, [f"incidents/{incident}"])


async def test_what_rests_on_another_incident_is_proven_with_it_only(tmp_path: Path) -> None:
    """The query asks for the lines of both."""
    one, other, world = two_on_one_service()
    async with road(tmp_path, notification=one, world=world) as way:
        first, printed = await printed_by(way)
        second, more = await printed_by(way, other)
        assert first
        assert second
        names = [str(answer.outcome["incident"]) for answer in (first, second)]
        code, out, _ = await said(way, names[0])
        assert (code, f"it rests on {names[1]}" in out) == (0, True)
        assert f'jsonPayload.incident=("{names[0]}" OR "{names[1]}")' in out
        code, told = await verified(way, names[0], log=queried(printed))
        assert (code, told["proven"], told["others"]) == (4, False, [names[1]])
        code, told = await verified(way, names[0], log=queried(printed + more))
        assert (code, told["verdict"]) == (0, "proven")
        place = tmp_path / "store" / "incidents" / names[1]
        text = (place / "manifest.json").read_text()
        (place / "manifest.json").write_text(text + " ")
        (place / "manifest-2.json").unlink()
        code, told = await verified(way, names[0], log=queried(printed + more))
        assert (code, len(told["replaced"])) == (1, 2)


async def test_an_incident_that_was_invented_vouches_for_nothing(tmp_path: Path) -> None:
    """A record that was planted in a containment, and a manifest of nobody's that lists it."""
    async with road(tmp_path) as way:
        answer, printed = await printed_by(way)
        assert answer
        invented, store = "20261002-ffffffffffff", folder_store(tmp_path / "store")
        path = f"{CONTAINMENTS}/1/0009-released.json"
        record = json.dumps({"incident": invented, "by": "nobody@example.com"}).encode()
        await store.create(path, record)
        link = manifest_of(f"incidents/{invented}", None, {path: digest(record)}, {})
        await store.create(f"incidents/{invented}/manifest.json", link)
        incident = str(answer.outcome["incident"])
        code, told = await verified(way, incident, log=queried(printed))
        assert (code, told["proven"], told["verdict"]) == (4, False, "unproven")
        _, out, _ = await said(way, incident, log=queried(printed))
        assert out.startswith(f"{incident}: NOT PROVEN: it rests on {invented}, for which")


async def test_what_a_redelivery_found_is_no_evidence_by_itself(tmp_path: Path) -> None:
    """Planted under one of our names, it is listed by the next run; that vouches for nobody."""
    async with road(tmp_path) as way:
        answer, printed = await printed_by(way)
        assert answer
        incident = str(answer.outcome["incident"])
        place = tmp_path / "store" / "incidents" / incident
        (place / "1001-released.json").write_text(
            (place / "1000-done.json").read_text().replace('"contained"', '"released"')
        )
        _, again = await printed_by(way)
        code, told = await verified(way, incident, log=queried(printed + again))
        assert (code, told["verdict"], told["found"]) == (3, "found", 1)
        assert (told["intact"], told["proven"]) == (False, False)
        code, out, _ = await said(way, incident)
        assert code == 3
        assert out.startswith(f"{incident}: 1 object was found later, whose writer nobody vouches")


async def test_a_log_without_a_digest_proves_nothing(tmp_path: Path) -> None:
    """As where the query failed, and printed nothing."""
    async with road(tmp_path) as way:
        incident = str((await way.deliver()).outcome["incident"])
        code, out, _ = await said(way, incident, log="")
        assert code == 4
        assert "NOT PROVEN: what was given (--log, --sha256) has no digest of this incident" in out
        assert "with your project in place of PROJECT_ID:" in out
        _, out, _ = await said(way, incident, GOOGLE_CLOUD_PROJECT="sec-responder")
        assert "--project=sec-responder " in out
        assert "PROJECT_ID" not in out


async def test_what_is_not_there_cannot_be_verified(tmp_path: Path) -> None:
    """No such incident, or one without a manifest: one clear sentence."""
    async with road(tmp_path) as way:
        incident = str((await way.deliver()).outcome["incident"])
        code, _, err = await said(way, "20261002-000000000000")
        assert (code, "cannot find incident" in err) == (1, True)
        for path in (tmp_path / "store" / "incidents" / incident).glob("manifest*"):
            path.unlink()
        code, _, err = await said(way, incident)
        assert (code, "has no manifest" in err) == (1, True)
