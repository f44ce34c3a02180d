"""What a patrol says: one line for each thing it found, and one that sums it up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from incident.case_file.manifest import sha256_hex
from incident.patrol import log
from incident.response.log import Trace
from tests.support.constants import CONTAINMENTS_FOLDER, SERVICE
from tests.support.environment import (
    ResponderEnvironment,
    captured_output,
    policy_yaml,
    responder_environment,
)
from tests.support.patrol import deploy, run_patrol, with_automatic_scaling


async def patrol_lines(env: ResponderEnvironment) -> list[dict[str, Any]]:
    """The lines of one round."""
    found = await run_patrol(env)
    with captured_output() as output:
        log.log_round(found, trace=Trace("abc", "", sampled=False, project=""))
    return [json.loads(line) for line in output.getvalue().splitlines()]


async def test_an_orderly_patrol_logs_one_line(tmp_path: Path) -> None:
    """With the counts, and no outcome: it belongs to no delivery."""
    async with responder_environment(tmp_path) as env:
        await env.deliver()
        (line,) = await patrol_lines(env)
        assert (line["severity"], line["message"]) == ("INFO", "Patrol finished")
        assert (line["patrol"]["in-effect"], line["patrol"]["complete"]) == (1, True)
        assert line["trace"] == "abc"
        assert "outcome" not in line


async def test_a_reversion_is_an_error_that_names_what_where_and_who(tmp_path: Path) -> None:
    """Everything that an alert has to show."""
    async with responder_environment(tmp_path) as env:
        outcome = (await env.deliver()).outcome
        await deploy(env, with_automatic_scaling)
        line, summary = await patrol_lines(env)
        assert (line["severity"], line["message"]) == ("ERROR", "Containment reverted")
        assert line["incident"] == outcome.incident
        assert line["workload"] == SERVICE
        assert line["containment"] == f"{CONTAINMENTS_FOLDER}/1"
        assert line["drift"][0].startswith("scaling: ")
        assert set(line["by"]) == {
            "principal",
            "changed_at",
            "method",
            "source",
            "other_principals",
        }
        assert "reapply_limit" in line["note"]
        assert line["logging.googleapis.com/labels"] == {
            "incident": outcome.incident,
            "workload_kind": "service",
            "project": "example-shop-prod",
        }
        (manifest,) = env.stored_objects("containments/**/manifest.json").values()
        assert line["case_file"] == f"{CONTAINMENTS_FOLDER}/1"
        assert line["manifest_sha256"] == sha256_hex(manifest)
        assert (summary["severity"], summary["patrol"]["reverted"]) == ("ERROR", 1)


async def test_an_invalid_policy_is_an_error_and_does_not_stop_drift_detection(
    tmp_path: Path,
) -> None:
    """What is held is verified nevertheless."""
    async with responder_environment(tmp_path) as env:
        await env.deliver()
        env.write_policy("mode: enfroce\n")
        (summary,) = await patrol_lines(env)
        assert summary["severity"] == "ERROR"
        assert "policy.yaml" in summary["problem"]
        assert summary["patrol"]["in-effect"] == 1


async def test_an_unreadable_containment_logs_its_own_error(tmp_path: Path) -> None:
    """And hides nothing of the rest."""
    async with responder_environment(tmp_path, policy_text=policy_yaml("approve")) as env:
        await env.deliver()
        folder = tmp_path / "store" / CONTAINMENTS_FOLDER.replace("storefront", "another") / "1"
        folder.mkdir(parents=True)
        (folder / "0001-snapshot.json").write_text("[]")
        later = env.later(86_400)
        expired, unread, summary = await patrol_lines(later)
        assert expired["outcome"]["status"] == "expired"
        assert expired["case_file"] == f"incidents/{expired['incident']}"
        manifest = env.stored_objects()[f"{expired['case_file']}/manifest-2.json"]
        assert expired["manifest_sha256"] == sha256_hex(manifest)
        assert "not a JSON object" in unread["reason"]
        assert summary["patrol"]["unchecked"] == 1
        assert [each["severity"] for each in (expired, unread, summary)] == ["ERROR"] * 3
