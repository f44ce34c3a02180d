"""The outcome's log line stays below 64 KiB; the record keeps all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from incident.model import Kind
from tests.support.constants import REVISION, SAMPLE_OF_KIND
from tests.support.environment import deliver_and_log, responder_environment
from tests.support.findings import sample_notification
from tests.support.worlds import rich_world, workload_in

MEMBERS, TAGS = 1_500, 2_000
POLICY = "mode: enforce\ncontain:\n  service: [scale-to-zero, require-authentication]\n"
LIMIT = 64 * 1024


async def test_many_members_and_tags_are_cut_in_the_line_and_kept_in_the_record(
    tmp_path: Path,
) -> None:
    """Cut lists are counted; what a release needs, and the outcome's record, have every entry."""
    world = rich_world(Kind.SERVICE)
    service = workload_in(world, Kind.SERVICE)
    older = world["revisions"][0]["name"].rpartition("/")[2]
    service["traffic"] += [
        {"type": REVISION, "revision": older, "tag": f"pr-{number}"} for number in range(TAGS)
    ]
    (policy,) = world["iamPolicies"].values()
    policy["bindings"][0]["members"] = [f"user:p{n}@example.com" for n in range(MEMBERS)]
    notification = sample_notification(SAMPLE_OF_KIND[Kind.SERVICE])
    async with responder_environment(
        tmp_path, notification=notification, world=world, policy_text=POLICY
    ) as env:
        answer, printed = await deliver_and_log(env)
        (text,) = printed.splitlines()
        assert len(text.encode()) < LIMIT
        line: Any = json.loads(text)
        assert line["outcome"]["status"] == "contained"
        assert line["manifest_sha256"]
        counts = {entry["of"] for entry in line["cut"]}
        assert {MEMBERS, TAGS + 4} <= counts
        assert answer
        record = json.dumps(answer.outcome.to_json()["changes"])
        (path,) = env.stored_objects("incidents/*/0999-concluded.json")
        for whole in (record, json.dumps(env.read_record(path))):
            assert whole.count("user:p") >= MEMBERS
            assert whole.count('"pr-') >= TAGS
