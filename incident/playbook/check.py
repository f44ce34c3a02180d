"""Check a playbook: fill in every task for every kind of workload and status. Pure."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any, get_args, get_origin, get_type_hints

from incident.model import Change, ChangeState, InvalidPlaybook, JsonObject, Kind, Status
from incident.model.outcome import Outcome, ReportedBlocker, ReportedDecision
from incident.playbook.facts import GAPS, QUERIES, Facts
from incident.playbook.plan import filled_task, playbook_facts
from incident.playbook.rendering import TEMPLATES, template_names
from incident.playbook.schema import Playbook, parse_playbook

_MOST_MISTAKES = 20


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
    listed = list(dict.fromkeys((*_unknown_names(playbook), *_failures(playbook))))
    if listed:
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
    everything, nothing = _example(Facts, full=True), _example(Facts, full=False)
    workload = everything.workload
    yield Outcome(Status.HELD), nothing.to_json()
    for kind in Kind:
        named = replace(workload, kind=kind.value)
        for known in (
            replace(everything, workload=named, gaps={}, queries=dict.fromkeys(QUERIES, "q")),
            replace(
                nothing,
                workload=named,
                gaps=dict.fromkeys(GAPS, "not known"),
                queries=dict.fromkeys(QUERIES, "q"),
            ),
        ):
            for status in Status:
                yield _outcome(status), known.to_json()


def _example(kind: Any, *, full: bool) -> Any:
    """A value of a type: with everything in it, or with as little as it may have."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{f.name: _example(hints[f.name], full=full) for f in fields(kind)})  # type: ignore[operator]
    if origin is types.UnionType:
        return _example(arguments[0], full=full) if full else None
    if origin is tuple:
        return (_example(arguments[0], full=full),) if full else ()
    if kind is bool:
        return full
    return ("x" if full else "") if kind is str else {}


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
