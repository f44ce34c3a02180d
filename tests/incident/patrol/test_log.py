"""What a patrol says: one line for each thing it found, and one that sums it up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from incident.case_file.manifest import digest
from incident.patrol import log
from incident.response.trace import Trace
from tests.support.environment import CONTAINMENTS, SERVICE, Road, policy, road, standard_output
from tests.support.patrol import automatic, deploy, patrol


async def said(way: Road) -> list[dict[str, Any]]:
    """The lines of one round."""
    found = await patrol(way)
    with standard_output() as output:
        log.patrolled(found, trace=Trace("abc", "", sampled=False, project=""))
    return [json.loads(line) for line in output.getvalue().splitlines()]


async def test_where_all_stands_one_line_says_so(tmp_path: Path) -> None:
    """With the counts, and no outcome: it is nobody's delivery."""
    async with road(tmp_path) as way:
        await way.deliver()
        (line,) = await said(way)
        assert (line["severity"], line["message"]) == ("INFO", "patrol ended")
        assert (line["patrol"]["stands"], line["patrol"]["complete"]) == (1, True)
        assert line["trace"] == "abc"
        assert "outcome" not in line


async def test_a_reversion_is_an_error_that_names_what_where_and_who(tmp_path: Path) -> None:
    """Everything that an alert has to show."""
    async with road(tmp_path) as way:
        outcome = (await way.deliver()).outcome
        await deploy(way, automatic)
        line, seal, summary = await said(way)
        assert (line["severity"], line["message"]) == ("ERROR", "containment reverted")
        assert line["incident"] == outcome["incident"]
        assert line["workload"] == SERVICE
        assert line["containment"] == f"{CONTAINMENTS}/1"
        assert line["differs"][0].startswith("scaling: ")
        assert set(line["by"]) == {"who", "when", "how", "source", "others"}
        assert "reapply_limit" in line["note"]
        assert line["logging.googleapis.com/labels"] == {
            "incident": outcome["incident"],
            "workload_kind": "service",
            "project": "example-shop-prod",
        }
        assert (seal["severity"], seal["incident"]) == ("INFO", outcome["incident"])
        newest = max(way.stored("incidents/*/manifest-*.json").items())[1]
        assert seal["manifest_sha256"] == digest(newest)
        assert (summary["severity"], summary["patrol"]["reverted"]) == ("ERROR", 1)


async def test_a_policy_that_cannot_be_used_is_an_error_and_stops_no_watching(
    tmp_path: Path,
) -> None:
    """What is held is verified all the same."""
    async with road(tmp_path) as way:
        await way.deliver()
        way.policy("mode: enfroce\n")
        (summary,) = await said(way)
        assert summary["severity"] == "ERROR"
        assert "policy.yaml" in summary["problem"]
        assert summary["patrol"]["stands"] == 1


async def test_what_cannot_be_looked_at_is_an_error_of_its_own(tmp_path: Path) -> None:
    """And hides nothing of the rest."""
    async with road(tmp_path, rules=policy("approve")) as way:
        await way.deliver()
        folder = tmp_path / "store" / CONTAINMENTS.replace("storefront", "another") / "1"
        folder.mkdir(parents=True)
        (folder / "0001-before.json").write_text("[]")
        later = way.later(86_400)
        expired, seal, unread, summary = await said(later)
        assert expired["outcome"]["status"] == "expired"
        assert seal["message"] == "case file sealed"
        assert "not a JSON object" in unread["reason"]
        assert summary["patrol"]["unchecked"] == 1
        assert [each["severity"] for each in (expired, unread, summary)] == ["ERROR"] * 3
