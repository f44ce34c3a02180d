"""Check a playbook: fill in every task for every kind of workload and status. Pure."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from incident.model import Change, ChangeState, InvalidPlaybook, JsonObject, Kind, Status
from incident.model.outcome import Outcome, ReportedBlocker, ReportedDecision
from incident.playbook.entry_facts import CallerFacts, EntryFacts
from incident.playbook.facts import (
    AccountFacts,
    AffectedFacts,
    DeployedImage,
    Facts,
    FindingFacts,
    ImageFacts,
    OtherWorkload,
    SourceFacts,
    VolumeFacts,
    WorkloadFacts,
)
from incident.playbook.plan import filled_task, playbook_facts
from incident.playbook.rendering import TEMPLATES, template_names
from incident.playbook.schema import Playbook, parse_playbook
from incident.playbook.secret_facts import SecretFacts, SecretUpdate, VariableFacts

_MOST_MISTAKES = 20
_COLLECTORS = ("settings", "access", "audit-log", "related-findings")


@functools.lru_cache(maxsize=4)
def checked_playbook(text: bytes, *, source: str) -> Playbook:
    """Parse and check a playbook file. An unchanged one is checked once.

    Raises:
        InvalidPlaybook: There are mistakes; the message lists them.
    """
    playbook = parse_playbook(text, source=source)
    check_playbook(playbook, source=source)
    return playbook


def check_playbook(playbook: Playbook, *, source: str) -> None:
    """Check all templates of a playbook.

    Args:
        playbook: The parsed file.
        source: What it is called in messages.

    Raises:
        InvalidPlaybook: There are mistakes. Its message lists each with its task.
    """
    mistakes = [*_unknown_names(playbook), *_failures(playbook)]
    if mistakes:
        listed = list(dict.fromkeys(mistakes))
        lines = [f"  {source}: {text}" for text in listed[:_MOST_MISTAKES]]
        if len(listed) > _MOST_MISTAKES:
            lines.append(f"  … and {len(listed) - _MOST_MISTAKES} more")
        raise InvalidPlaybook("\n".join((f"Cannot use the playbook {source}:", *lines)))


def _unknown_names(playbook: Playbook) -> Iterator[str]:
    """Templates that are none, and names of no fact; task by task."""
    known = set(playbook_facts(*next(_examples())))
    for task in playbook.all_tasks:
        alone = Playbook(tasks=(task,), without_workload=(task,))
        for source, commands in alone.templates:
            try:
                TEMPLATES.compiled(source, commands=commands)
                unknown = [name for name in template_names(source) if name not in known]
            except InvalidPlaybook as error:
                yield f"task {task.id}: {error}"
                continue
            names = ", ".join(sorted(known))
            yield from (
                f"task {task.id}: no fact is called {n}; there are {names}" for n in unknown
            )


def _failures(playbook: Playbook) -> Iterator[str]:
    """What cannot be filled in, in any example."""
    for outcome, facts in _examples():
        known = playbook_facts(outcome, facts)
        tasks = playbook.tasks if facts.get("workload") else playbook.without_workload
        for task in tasks:
            try:
                if TEMPLATES.condition(task.when, known):
                    TEMPLATES.condition(task.first, known)
                    filled_task(task, known)
            except InvalidPlaybook as error:
                yield f"task {task.id}: {error}"


def _examples() -> Iterator[tuple[Outcome, JsonObject]]:
    """Outcomes and facts of every kind and status: with everything, with nothing."""
    finding = FindingFacts("Category", "projects/1/sources/2/findings/3", "https://example.com")
    unknown = AffectedFacts("", "a revision that is not known", "none is listed")
    yield Outcome(Status.HELD), Facts(finding, None, unknown).to_json()
    for kind in Kind:
        workload = WorkloadFacts(kind.value, kind.label, "shop", "project", "region", "https://c")
        gaps = dict.fromkeys(_COLLECTORS, "not known")
        facts = (
            Facts(finding, workload, unknown, queries=_queries(), gaps=gaps).to_json(),
            _everything(finding, workload),
        )
        for status in Status:
            for known in facts:
                yield _outcome(status), known


def _outcome(status: Status) -> Outcome:
    name = "projects/project/locations/region/services/shop"
    mask = ("scaling", "traffic")
    change = Change("scale-to-zero", name, mask, {}, {}, stops=True, reversible=True)
    blockers = (ReportedBlocker("why", "fix it", "true"),) if status is Status.HELD else ()
    return Outcome(
        status,
        "20260101-0123456789ab",
        decision=ReportedDecision(blockers=blockers),
        changes=(replace(change, state=ChangeState.VERIFIED),),
        drains_until=datetime(2026, 1, 1, tzinfo=UTC),
    )


def _queries() -> dict[str, str]:
    return {"logs": "logs", "audit": "audit", "page": "https://c"}


def _everything(finding: FindingFacts, workload: WorkloadFacts) -> dict[str, Any]:
    image = ImageFacts("r/i@sha256:0", in_artifact_registry=True, has_digest=False, page="")
    account = AccountFacts("a@b.c", "user", "p", in_other_project=True, page="", query="q")
    return Facts(
        finding=finding,
        workload=workload,
        affected=AffectedFacts("name", "revision name", "reason", "container", "yes"),
        images=(image,),
        deploy=(DeployedImage("container", "r/i"),),
        accounts=(account,),
        secrets=(SecretFacts("secret", "p", in_other_project=True, versions=("1",)),),
        secret_updates=(SecretUpdate("container", ("secret",), "A=secret:latest"),),
        variables=VariableFacts(("A_KEY",), ("B",)),
        volumes=(VolumeFacts("gs://bucket", "bucket"),),
        entry=EntryFacts(
            "all", unchecked=True, proxied=True, callers=(_caller(),), opened=("allUsers",)
        ),
        source=SourceFacts(
            "function", managed=True, location="gs://b/o", entry_point="main", base_image=""
        ),
        others=(OtherWorkload(workload.kind, "copy", "p", "region"),),
        queries=_queries(),
    ).to_json()


def _caller() -> CallerFacts:
    return CallerFacts("roles/run.invoker", "allUsers", "", edited=True)
