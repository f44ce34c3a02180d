"""A workload's settings with all that an action needs to know besides them, read side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection
from dataclasses import replace
from typing import Any, Protocol

from incident.model import Access, Execution, Kind, Need, Secret, Settings, Template, Workload
from incident.model.concurrency import together

#: What can be asked about each kind of workload at all.
ASKABLE = {
    Kind.SERVICE: (Need.ACCESS, Need.REVISIONS),
    Kind.JOB: (Need.ACCESS, Need.EXECUTIONS),
    Kind.WORKER_POOL: (),
}


class Looking(Protocol):
    """What looking at a workload needs of Cloud Run."""

    async def settings(self, workload: Workload) -> Settings:
        """Its settings as they are now."""

    async def access(self, workload: Workload) -> Access:
        """Its IAM policy."""

    async def revisions(self, workload: Workload) -> tuple[Template, ...]:
        """Its revisions, newest first."""

    async def executions(self, workload: Workload) -> tuple[Execution, ...]:
        """The executions of a job, newest first."""


async def look(workload: Workload, needs: Collection[Need], run: Looking) -> Settings:
    """The settings, with what is needed.

    Raises:
        Retry: Time may heal it.
        GiveUp: It will not.
    """
    settings, *found = await together(
        run.settings(workload), *(_ask(need, workload, run) for need in needs)
    )
    known = {need.value: value for need, value in zip(needs, found, strict=True)}
    filled: Settings = replace(settings, **known)
    return filled


async def complete(
    settings: Settings, workload: Workload, needs: Collection[Need], run: Looking
) -> Settings:
    """The same settings with what is needed besides."""
    found = await together(*(_ask(need, workload, run) for need in needs))
    known = {need.value: value for need, value in zip(needs, found, strict=True)}
    filled: Settings = replace(settings, **known)
    return filled


def _ask(need: Need, workload: Workload, run: Looking) -> Awaitable[Any]:
    ask = {Need.ACCESS: run.access, Need.REVISIONS: run.revisions, Need.EXECUTIONS: run.executions}
    return ask[need](workload)


class Shared:
    """Cloud Run as one run of an incident reads it: what is evidence as well is read once.

    Settings are read anew each time. The rest is asked for when the run begins, before it is
    known whether the policy needs it: as evidence it is wanted anyway, and nothing waits for
    it that does not need it.
    """

    def __init__(self, run: Looking) -> None:
        self._run = run
        self._asked: dict[tuple[Need, Workload], asyncio.Future[Any]] = {}
        self._settings: Settings | None = None

    def begin(self, workload: Workload | None) -> None:
        """Ask for everything that can be asked about a workload."""
        if workload is None:
            return
        for need in ASKABLE[workload.kind]:
            self._once(need, workload)

    def close(self) -> None:
        """Stop whatever is still being asked."""
        for asked in self._asked.values():
            asked.cancel()

    async def settings(self, workload: Workload) -> Settings:
        """The workload's settings as they are now."""
        self._settings = await self._run.settings(workload)
        return self._settings

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What may be secret of all that was read so far, also where something else failed."""
        templates = [self._settings.template] if self._settings else []
        for (need, _), asked in self._asked.items():
            if not asked.done() or asked.cancelled() or asked.exception():
                continue
            if need is Need.REVISIONS:
                templates += asked.result()
            elif need is Need.EXECUTIONS:
                templates += [execution.template for execution in asked.result()]
        return tuple(secret for template in templates for secret in template.secrets)

    async def access(self, workload: Workload) -> Access:
        """Its IAM policy."""
        found: Access = await asyncio.shield(self._once(Need.ACCESS, workload))
        return found

    async def revisions(self, workload: Workload) -> tuple[Template, ...]:
        """Its revisions, newest first."""
        found: tuple[Template, ...] = await asyncio.shield(self._once(Need.REVISIONS, workload))
        return found

    async def executions(self, workload: Workload) -> tuple[Execution, ...]:
        """The executions of a job, newest first."""
        found: tuple[Execution, ...] = await asyncio.shield(self._once(Need.EXECUTIONS, workload))
        return found

    def _once(self, need: Need, workload: Workload) -> asyncio.Future[Any]:
        key = (need, workload)
        if key not in self._asked:
            asked = asyncio.ensure_future(_ask(need, workload, self._run))
            asked.add_done_callback(_seen)
            self._asked[key] = asked
        return self._asked[key]


def _seen(asked: asyncio.Future[Any]) -> None:
    """A failure that nobody waits for is nobody's business; the others are told it anyway."""
    if not asked.cancelled():
        asked.exception()
