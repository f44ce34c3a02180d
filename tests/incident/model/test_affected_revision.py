"""Infer the affected revision or execution, for certain or with its alternatives."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from time import process_time
from typing import Any

import pytest

from incident.model import (
    Container,
    ContainerConfiguration,
    Evidence,
    Execution,
    Gap,
    Json,
    Kind,
    LogEntry,
    Logs,
    Secret,
    Template,
    WorkloadConfiguration,
)
from tests.support.model import configuration, evidence, finding, template, workload

EVENT = finding().event_time
IMAGE = "registry.example/shop:1"


def revision(number: int, image: str = IMAGE, **changes: Any) -> Template:
    """A revision, older by a day for each number down."""
    plain = template(
        revision=f"shop-{number}",
        create_time=EVENT - timedelta(days=10 - number),
        containers=(ContainerConfiguration("shop", image, ()),),
    )
    return replace(plain, **changes)


def configuration_serving(*targets: Json, **changes: Any) -> WorkloadConfiguration:
    """A service whose traffic goes so, and did at the event."""
    names = tuple(str(t["revision"]) for t in targets if isinstance(t, dict) and "revision" in t)
    plain = configuration(traffic=[*targets], live_revisions=names, latest_ready_revision="shop-3")
    return replace(plain, **changes)


def traffic_target(number: int, percent: int = 0, tag: str = "") -> Json:
    """A target of a service's traffic."""
    target: dict[str, Json] = {"revision": f"shop-{number}"}
    return {**target, **({"percent": percent} if percent else {}), **({"tag": tag} if tag else {})}


def evidence_of(
    revisions: tuple[Template, ...] | None, of: WorkloadConfiguration | None = None, **changes: Any
) -> Evidence:
    """Evidence of a finding that names no revision, unless it says so, and whose image runs."""
    about = {"revision": None, "containers": (Container("shop", IMAGE, None),), **changes}
    return evidence(
        finding=finding(**about), revisions=revisions, configuration=of or configuration_serving()
    )


ALL = (revision(3), revision(2), revision(1))
SPLIT = configuration_serving(
    traffic_target(3, 90), traffic_target(2, 10), traffic_target(1, 0, "canary")
)
LATER = EVENT + timedelta(seconds=2)


@pytest.mark.parametrize(
    ("of", "which", "why"),
    [
        (evidence_of(ALL, SPLIT, revision="shop-2"), "revision shop-2", "the finding names it"),
        (
            evidence_of(ALL, configuration_serving(traffic_target(2, 100))),
            "revision shop-2",
            "no other was served at the event",
        ),
        (evidence_of(ALL), "revision shop-3", "no other was served at the event"),
        (evidence_of((revision(1),), SPLIT), "revision shop-1", "no other was there at the event"),
        (
            evidence_of((revision(3, "other"), revision(2), revision(1, "other")), SPLIT),
            "revision shop-2",
            "no other that was there runs the finding's image",
        ),
        (
            evidence_of(
                (revision(3, create_time=LATER), revision(2)),
                configuration_serving(update_time=LATER),
            ),
            "revision shop-2",
            "no other was there at the event",
        ),
        (
            evidence_of(
                (revision(3, "x/shop@sha256:aa"), revision(2, "x/shop@sha256:bb")),
                SPLIT,
                containers=(Container("shop", "x/shop:1", "sha256:bb"),),
            ),
            "revision shop-2",
            "runs the finding's image",
        ),
    ],
)
def test_the_affected_revision_is_certain_when_no_other_can_have_run(
    of: Evidence, which: str, why: str
) -> None:
    """By the finding's word, by what was there, by its image, or by what was served."""
    ran = of.affected_revision
    assert (ran.description, ran.certain, len(ran.templates)) == (which, True, 1)
    assert why in ran.reason
    assert of.affected_template
    assert of.affected_template.revision == ran.name == which.removeprefix("revision ")


@pytest.mark.parametrize(
    ("of", "which", "why"),
    [
        (
            evidence_of(ALL, SPLIT),
            "one of the revisions shop-3 (90 %), shop-2 (10 %), shop-1 (tag canary)",
            "each of them was served at the event",
        ),
        (
            evidence_of(
                ALL,
                configuration_serving(
                    traffic_target(2, 100, "blue"), traffic_target(3, 0, "green")
                ),
            ),
            "one of the revisions shop-3 (tag green), shop-2 (100 %, tag blue)",
            "each of them was served at the event",
        ),
        (
            evidence_of((revision(4, create_time=LATER), *ALL), replace(SPLIT, update_time=LATER)),
            "one of the revisions shop-3, shop-2, shop-1",
            "the workload was changed after it, on 2026-10-02 08:14:09 UTC",
        ),
        (
            evidence_of(ALL, replace(SPLIT, update_time=EVENT - timedelta(minutes=16))),
            "one of the revisions shop-3, shop-2, shop-1",
            "the workload was changed shortly before it",
        ),
        (
            evidence_of(ALL, replace(SPLIT, update_time=None)),
            "one of the revisions shop-3, shop-2, shop-1",
            "when it was last changed is not known",
        ),
        (
            replace(evidence_of(ALL), configuration=None),
            "one of the revisions shop-3, shop-2, shop-1",
            "its settings could not be read",
        ),
        (
            evidence_of(ALL, configuration_serving(traffic_target(9, 100))),
            "one of the revisions shop-3, shop-2, shop-1",
            "none that was served at the event fits it",
        ),
        (
            evidence_of(
                tuple(revision(n) for n in range(9, 0, -1)), replace(SPLIT, update_time=None)
            ),
            "one of the revisions shop-9, shop-8, shop-7, shop-6, shop-5 and 4 more",
            "is not known",
        ),
    ],
)
def test_every_revision_that_may_have_run_is_listed(of: Evidence, which: str, why: str) -> None:
    """With the traffic of each, if that is known; later revisions are not among them."""
    ran = of.affected_revision
    assert (ran.description, ran.certain, ran.name) == (which, False, "")
    assert why in ran.reason
    assert of.affected_template
    assert (of.affected_template.revision, of.affected_template.create_time) == ("", None)


@pytest.mark.parametrize(
    ("of", "which", "why"),
    [
        (
            evidence_of(None),
            "a revision that is not known",
            "its revisions could not be read (denied)",
        ),
        (evidence_of(()), "a revision that is not known", "no revision is listed"),
        (evidence_of(None, revision="shop-2"), "revision shop-2", "could not be read (denied)"),
        (evidence_of(ALL, revision="shop-9"), "revision shop-9", "it is not listed any more"),
    ],
)
def test_the_current_template_is_used_as_a_fallback_and_marked_as_one(
    of: Evidence, which: str, why: str
) -> None:
    """What was in reach may differ: a list of secrets that may be wrong is better than none."""
    ran = of.with_gap(Gap("revisions", "denied")).affected_revision
    assert (ran.description, ran.certain) == (which, False)
    assert why in ran.reason
    assert "the settings as they are now stand in for it" in ran.reason
    nothing = replace(of, configuration=None).affected_revision
    assert nothing.templates == ()
    assert "stand in" not in nothing.reason


def test_a_revision_that_the_finding_names_keeps_its_name_without_its_settings() -> None:
    """It may be deleted by that name; one that is gone, or not known, has none."""
    named = configuration(template=template(revision="shop-7"))
    for of, name in (
        (evidence_of(None, named, revision="shop-2"), "shop-2"),
        (evidence_of(None, named), ""),
        (evidence_of(ALL, named, revision="shop-9"), ""),
    ):
        assert of.affected_template
        assert (of.affected_template.revision, of.affected_revision.name) == (name, name)


def test_a_thousand_revisions_are_compared_quickly() -> None:
    """The time grows linearly with the number of revisions."""
    many = tuple(
        revision(
            3,
            revision=f"shop-{n}",
            secrets=tuple(Secret(f"k{at}", f"{n}" if at else "x") for at in range(20)),
        )
        for n in range(1000)
    )
    of = evidence_of(many, replace(SPLIT, update_time=LATER))
    start = process_time()
    assert of.affected_template
    assert len(of.affected_template.secrets) > 1000
    assert process_time() - start < 1


def entry(name: str, seconds: float) -> LogEntry:
    """A line that a revision logged."""
    moment = EVENT + timedelta(seconds=seconds)
    return LogEntry(moment, "stdout", "INFO", "x", None, name, "", None)


def test_logs_are_a_hint_and_no_proof() -> None:
    """A workload can write lines in the name of another revision."""
    lines = (entry("shop-2", 3), entry("shop-1", 300))
    ran = replace(evidence_of(ALL, SPLIT), logs=Logs(lines, truncated=False)).affected_revision
    assert not ran.certain
    assert "name shop-2 alone, though a workload can forge its logs" in ran.reason
    both = (entry("shop-2", 3), entry("shop-3", -3))
    assert (
        "alone"
        not in replace(
            evidence_of(ALL, SPLIT), logs=Logs(both, truncated=False)
        ).affected_revision.reason
    )


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
def test_the_affected_execution_of_a_job_is_found(
    executions: tuple[Execution, ...] | None,
    named: str | None,
    which: str,
    secrets: tuple[str, ...],
) -> None:
    """By the finding's word, else by which ran at the event; else the job as it is now."""
    of = evidence(finding=finding(workload=JOB, execution=named), executions=executions)
    assert of.affected_revision.description == which
    assert of.affected_template
    assert (of.affected_template.secret_names, of.affected_template.revision) == (secrets, "")
    assert ("stand in" in of.affected_revision.reason) is (secrets == ("db-password",))
