"""`approve` and `contain` as processes: what they print, ask and end with."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from tests.support.environment import Road, policy, road
from tests.test_cli import run


def around(way: Road, **later: float) -> dict[str, str]:
    """What the commands are told besides where the store is: the policy, and the time."""
    assert way.settings.now
    then = way.settings.now + timedelta(**later)
    return {"policy": way.settings.policy, "now": then.isoformat()}


async def test_approve_prints_plan_and_result_as_one_object(tmp_path: Path) -> None:
    """Nothing else on standard output; the plan for people goes to standard error."""
    async with road(tmp_path, rules=policy("approve")) as way:
        waiting = (await way.deliver()).outcome
        incident = str(waiting["incident"])
        code, out, err = await run(way, "approve", incident, "--json", **around(way))
        assert code == 0, err
        told = json.loads(out)
        assert (told["incident"], told["result"]["status"]) == (incident, "contained")
        assert "(emulator)" in told["result"]["decision"]["reasons"][0]
        exact = ("target", "mask", "before", "after")
        assert [{key: c[key] for key in exact} for c in told["plan"]["changes"]] == [
            {key: c[key] for key in exact} for c in told["result"]["changes"]
        ]
        assert "-   tag: known-good" in err
        code, out, err = await run(way, "approve", incident, "--json", **around(way))
        assert (code, json.loads(out)["result"]) == (1, None)
        assert "it is contained already" in json.loads(out)["error"]
        assert "it is contained already" in err
        code, _, err = await run(way, "release", incident, "--yes", **around(way))
        assert code == 0, err
        code, out, _ = await run(way, "list", "--json")
        assert [row["status"] for row in json.loads(out)] == ["released"]


async def test_contain_asks_and_says_what_it_did(tmp_path: Path) -> None:
    """Without an answer nothing is written; an action of another kind is wrong use."""
    async with road(tmp_path, rules=policy("approve")) as way:
        incident = str((await way.deliver()).outcome["incident"])
        late = around(way, hours=13)
        code, _, err = await run(way, "approve", incident, **late)
        assert code == 1
        assert "its plan has expired" in err
        code, out, err = await run(way, "contain", incident, **late)
        assert code == 1
        assert "scale-to-zero on projects/example-shop-prod" in out
        assert "Do this?" in err
        code, _, err = await run(way, "contain", incident, "--action", "cancel-executions", **late)
        assert code == 2
        assert "cancel-executions does not fit a service" in err
        assert way.containing == []
        code, _, err = await run(way, "contain", incident, "--yes", **late)
        assert code == 0, err
        assert f"{incident} is contained" in err
