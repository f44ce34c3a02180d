"""VirusTotal as one run of an incident asks it: each hash once, from the moment it is known.

What an answer means for the decision is the guards' business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from incident.model import File, Finding, IncidentError, Lookup, Reputation


class ReputationReader(Protocol):
    """What looking a file up needs of VirusTotal."""

    async def file(self, sha256: str) -> Reputation:
        """What is known of a file, by its SHA-256 in lower-case hex."""


class ReputationLookup:
    """Looks files up, and shares each answer between the decision and the evidence.

    Args:
        source: VirusTotal; None where no key is configured.
        suspected: Which file of a finding is suspected, as its responder reads it.
    """

    def __init__(
        self, reader: ReputationReader | None, suspected: Callable[[Finding], File | None]
    ) -> None:
        self._reader = reader
        self._suspected = suspected
        self._requests: dict[str, tuple[float, asyncio.Task[Reputation]]] = {}

    def prefetch(self, finding: Finding) -> None:
        """Ask about a finding's file, if there is anything to ask about, and do not wait."""
        if self._reader and not isinstance(subject := self._hash_to_look_up(finding), Lookup):
            self._request_once(self._reader, subject)

    async def reputation_of(self, finding: Finding, deadline: timedelta) -> Reputation:
        """What VirusTotal says of a finding's file, or why it says nothing. Never fails.

        Args:
            finding: What the file is taken from.
            deadline: How long the answer may take, counted from when it was first asked for.
        """
        file = self._suspected(finding)
        reputation = await self._answer(self._hash_to_look_up(finding), deadline)
        return replace(reputation, file_role=file.role) if file else reputation

    async def _answer(self, subject: str | Lookup, deadline: timedelta) -> Reputation:
        """What VirusTotal says of a hash, or why there is nothing to ask about."""
        if isinstance(subject, Lookup):
            return Reputation(subject)
        if self._reader is None:
            return Reputation(Lookup.NO_KEY, subject)
        started, request = self._request_once(self._reader, subject)
        try:
            async with asyncio.timeout_at(started + deadline.total_seconds()):
                return await asyncio.shield(request)
        except TimeoutError:
            text = f"no answer within {deadline.total_seconds():g} s, the policy's deadline"
            return Reputation(Lookup.NO_ANSWER, subject, text)

    async def close(self) -> None:
        """Stop whatever is still being asked, and let its connection go."""
        requests = [task for _, task in self._requests.values()]
        for task in requests:
            task.cancel()
        await asyncio.gather(*requests, return_exceptions=True)

    def _hash_to_look_up(self, finding: Finding) -> str | Lookup:
        """The hash to ask about: that of the suspected file alone. Or why there is none."""
        file = self._suspected(finding)
        if file is None or file.sha256 is None:
            return Lookup.NO_HASH
        return Lookup.PARTIAL_HASH if file.partially_hashed else file.sha256

    def _request_once(
        self, reader: ReputationReader, sha256: str
    ) -> tuple[float, asyncio.Task[Reputation]]:
        if sha256 not in self._requests:
            request = asyncio.ensure_future(_fetch_reputation(reader, sha256))
            self._requests[sha256] = asyncio.get_running_loop().time(), request
        return self._requests[sha256]


async def _fetch_reputation(reader: ReputationReader, sha256: str) -> Reputation:
    try:
        return await reader.file(sha256)
    except IncidentError as error:
        return Reputation(Lookup.NO_ANSWER, sha256, str(error))
    except Exception as error:  # noqa: BLE001 - a fault of ours must not stop a containment
        text = f"the look-up failed in a way that we did not foresee: {type(error).__name__}"
        return Reputation(Lookup.NO_ANSWER, sha256, text)
