"""Which revision or execution a finding is about: told for sure, or with its alternatives."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from time import process_time
from typing import Any

import pytest

from incident.model import (
    Container,
    ContainerSettings,
    Evidence,
    Execution,
    Gap,
    Json,
    Kind,
    LogEntry,
    Logs,
    Secret,
    Settings,
    Template,
)
from tests.support.model import evidence, finding, settings, template, workload

EVENT = finding().event_time
IMAGE = "registry.example/shop:1"


def revision(number: int, image: str = IMAGE, **changes: Any) -> Template:
    """A revision, older by a day for each number down."""
    plain = template(
        revision=f"shop-{number}",
        create_time=EVENT - timedelta(days=10 - number),
        containers=(ContainerSettings("shop", image, ()),),
    )
    return replace(plain, **changes)


def serving(*targets: Json, **changes: Any) -> Settings:
    """A service whose traffic goes so, and did at the event."""
    names = tuple(str(t["revision"]) for t in targets if isinstance(t, dict) and "revision" in t)
    plain = settings(traffic=[*targets], live_revisions=names, latest_ready_revision="shop-3")
    return replace(plain, **changes)


def share(number: int, percent: int = 0, tag: str = "") -> Json:
    """A target of a service's traffic."""
    said: dict[str, Json] = {"revision": f"shop-{number}"}
    return {**said, **({"percent": percent} if percent else {}), **({"tag": tag} if tag else {})}


def found(
    revisions: tuple[Template, ...] | None, of: Settings | None = None, **changes: Any
) -> Evidence:
    """Evidence of a finding that names no revision, unless it says so, and whose image runs."""
    about = {"revision": None, "containers": (Container("shop", IMAGE, None),), **changes}
    return evidence(finding=finding(**about), revisions=revisions, settings=of or serving())


ALL = (revision(3), revision(2), revision(1))
SPLIT = serving(share(3, 90), share(2, 10), share(1, 0, "canary"))
LATER = EVENT + timedelta(seconds=2)


@pytest.mark.parametrize(
    ("of", "which", "why"),
    [
        (found(ALL, SPLIT, revision="shop-2"), "revision shop-2", "the finding names it"),
        (found(ALL, serving(share(2, 100))), "revision shop-2", "no other was served at the event"),
        (found(ALL), "revision shop-3", "no other was served at the event"),
        (found((revision(1),), SPLIT), "revision shop-1", "no other was there at the event"),
        (
            found((revision(3, "other"), revision(2), revision(1, "other")), SPLIT),
            "revision shop-2",
            "no other that was there runs the finding's image",
        ),
        (
            found((revision(3, create_time=LATER), revision(2)), serving(update_time=LATER)),
            "revision shop-2",
            "no other was there at the event",
        ),
        (
            found(
                (revision(3, "x/shop@sha256:aa"), revision(2, "x/shop@sha256:bb")),
                SPLIT,
                containers=(Container("shop", "x/shop:1", "sha256:bb"),),
            ),
            "revision shop-2",
            "runs the finding's image",
        ),
    ],
)
def test_what_ran_is_told_for_sure_where_nothing_else_can_have(
    of: Evidence, which: str, why: str
) -> None:
    """By the finding's word, by what was there, by its image, or by what was served."""
    ran = of.ran
    assert (ran.which, ran.sure, len(ran.templates)) == (which, True, 1)
    assert why in ran.why
    assert of.affected
    assert of.affected.revision == ran.name == which.removeprefix("revision ")


@pytest.mark.parametrize(
    ("of", "which", "why"),
    [
        (
            found(ALL, SPLIT),
            "one of the revisions shop-3 (90 %), shop-2 (10 %), shop-1 (tag canary)",
            "each of them was served at the event",
        ),
        (
            found(ALL, serving(share(2, 100, "blue"), share(3, 0, "green"))),
            "one of the revisions shop-3 (tag green), shop-2 (100 %, tag blue)",
            "each of them was served at the event",
        ),
        (
            found((revision(4, create_time=LATER), *ALL), replace(SPLIT, update_time=LATER)),
            "one of the revisions shop-3, shop-2, shop-1",
            "the workload was changed after it, on 2026-10-02 08:14:09 UTC",
        ),
        (
            found(ALL, replace(SPLIT, update_time=EVENT - timedelta(minutes=16))),
            "one of the revisions shop-3, shop-2, shop-1",
            "the workload was changed shortly before it",
        ),
        (
            found(ALL, replace(SPLIT, update_time=None)),
            "one of the revisions shop-3, shop-2, shop-1",
            "nothing tells when it was changed last",
        ),
        (
            replace(found(ALL), settings=None),
            "one of the revisions shop-3, shop-2, shop-1",
            "its settings could not be read",
        ),
        (
            found(ALL, serving(share(9, 100))),
            "one of the revisions shop-3, shop-2, shop-1",
            "none that was served at the event fits it",
        ),
        (
            found(tuple(revision(n) for n in range(9, 0, -1)), replace(SPLIT, update_time=None)),
            "one of the revisions shop-9, shop-8, shop-7, shop-6, shop-5 and 4 more",
            "is not known",
        ),
    ],
)
def test_where_several_may_have_run_all_of_them_are_told(
    of: Evidence, which: str, why: str
) -> None:
    """With what each got of the traffic, if that is known; what was made since is none of them."""
    ran = of.ran
    assert (ran.which, ran.sure, ran.name) == (which, False, "")
    assert why in ran.why
    assert of.affected
    assert (of.affected.revision, of.affected.create_time) == ("", None)


@pytest.mark.parametrize(
    ("of", "which", "why"),
    [
        (found(None), "a revision that is not known", "its revisions could not be read (denied)"),
        (found(()), "a revision that is not known", "no revision is listed"),
        (found(None, revision="shop-2"), "revision shop-2", "could not be read (denied)"),
        (found(ALL, revision="shop-9"), "revision shop-9", "it is not listed any more"),
    ],
)
def test_what_the_workload_is_now_stands_in_and_is_told_to(
    of: Evidence, which: str, why: str
) -> None:
    """What was in reach may differ: a list of secrets that may be wrong is better than none."""
    ran = of.with_gap(Gap("revisions", "denied")).ran
    assert (ran.which, ran.sure) == (which, False)
    assert why in ran.why
    assert "the settings as they are now stand in for it" in ran.why
    nothing = replace(of, settings=None).ran
    assert nothing.templates == ()
    assert "stand in" not in nothing.why


def test_a_revision_that_the_finding_names_keeps_its_name_without_its_settings() -> None:
    """It may be deleted by that name; one that is gone, or not known, has none."""
    named = settings(template=template(revision="shop-7"))
    for of, name in (
        (found(None, named, revision="shop-2"), "shop-2"),
        (found(None, named), ""),
        (found(ALL, named, revision="shop-9"), ""),
    ):
        assert of.affected
        assert (of.affected.revision, of.ran.name) == (name, name)


def test_a_thousand_revisions_are_told_soon() -> None:
    """Each with values of its own: what is told of all of them takes no square of them."""
    many = tuple(
        revision(
            3,
            revision=f"shop-{n}",
            secrets=tuple(Secret(f"k{at}", f"{n}" if at else "x") for at in range(20)),
        )
        for n in range(1000)
    )
    of = found(many, replace(SPLIT, update_time=LATER))
    start = process_time()
    assert of.affected
    assert len(of.affected.secrets) > 1000
    assert process_time() - start < 1


def entry(name: str, seconds: float) -> LogEntry:
    """A line that a revision logged."""
    moment = EVENT + timedelta(seconds=seconds)
    return LogEntry(moment, "stdout", "INFO", "x", None, name, "", None)


def test_logs_are_a_hint_and_no_proof() -> None:
    """A workload can write lines in the name of another revision."""
    lines = (entry("shop-2", 3), entry("shop-1", 300))
    ran = replace(found(ALL, SPLIT), logs=Logs(lines, truncated=False)).ran
    assert not ran.sure
    assert "name shop-2 alone, though a workload can forge its logs" in ran.why
    both = (entry("shop-2", 3), entry("shop-3", -3))
    assert "alone" not in replace(found(ALL, SPLIT), logs=Logs(both, truncated=False)).ran.why


def execution(name: str, start: float, end: float | None, **changes: Any) -> Execution:
    """An execution from and to so many minutes after the event."""
    begun = EVENT + timedelta(minutes=start)
    return Execution(
        name=f"projects/p/locations/l/jobs/j/executions/{name}",
        short_name=name,
        create_time=begun,
        start_time=begun,
        completion_time=None if end is None else EVENT + timedelta(minutes=end),
        state="",
        reason="",
        tasks={},
        template=template(revision="", secret_names=(name,), **changes),
        creator="cron@example.com",
    )


JOB = workload(kind=Kind.JOB)
RUNS = (execution("c", 1, None), execution("b", -5, None), execution("a", -60, -30))


@pytest.mark.parametrize(
    ("executions", "named", "which", "secrets"),
    [
        (RUNS, "a", "execution a", ("a",)),
        (RUNS, None, "execution b", ("b",)),
        ((*RUNS, execution("d", -9, 3)), None, "one of the executions b, d", ("b", "d")),
        (RUNS, "z", "execution z", ("db-password",)),
        (RUNS[:1], None, "an execution that is not known", ("db-password",)),
        (None, "a", "execution a", ("db-password",)),
        (None, None, "an execution that is not known", ("db-password",)),
    ],
)
def test_of_a_job_the_execution_is_told(
    executions: tuple[Execution, ...] | None,
    named: str | None,
    which: str,
    secrets: tuple[str, ...],
) -> None:
    """By the finding's word, else by which ran at the event; else the job as it is now."""
    of = evidence(finding=finding(workload=JOB, execution=named), executions=executions)
    assert of.ran.which == which
    assert of.affected
    assert (of.affected.secret_names, of.affected.revision) == (secrets, "")
    assert ("stand in" in of.ran.why) is (secrets == ("db-password",))
