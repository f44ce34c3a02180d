"""Look up file reputations in VirusTotal, once per hash and run.

The guards decide what an answer means for the decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from incident.model import File, Finding, IncidentError, Lookup, Reputation
from incident.model.ports import VirusTotalPort


class ReputationLookup:
    """Looks up files; the decision and the evidence share each answer.

    Args:
        reader: The VirusTotal client; None if no key is configured.
        suspected: Returns the suspected file of a finding, by its responder.
    """

    def __init__(
        self, reader: VirusTotalPort | None, suspected: Callable[[Finding], File | None]
    ) -> None:
        self._reader = reader
        self._suspected = suspected
        self._requests: dict[str, tuple[float, asyncio.Task[Reputation]]] = {}

    def prefetch(self, finding: Finding) -> None:
        """Start looking up a finding's file, if it has a hash, without waiting."""
        if self._reader and not isinstance(subject := self._hash_to_look_up(finding), Lookup):
            self._request_once(self._reader, subject)

    async def reputation_of(self, finding: Finding, deadline: timedelta) -> Reputation:
        """VirusTotal's report on a finding's file, or why there is none. Never fails.

        Args:
            finding: Its suspected file is looked up.
            deadline: Maximum time for the answer, counted from the first request.
        """
        file = self._suspected(finding)
        reputation = await self._answer(self._hash_to_look_up(finding), deadline)
        return replace(reputation, file_role=file.role) if file else reputation

    async def _answer(self, subject: str | Lookup, deadline: timedelta) -> Reputation:
        """VirusTotal's report on a hash, or why there is no hash to look up."""
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
        """Cancel pending requests."""
        requests = [task for _, task in self._requests.values()]
        for task in requests:
            task.cancel()
        await asyncio.gather(*requests, return_exceptions=True)

    def _hash_to_look_up(self, finding: Finding) -> str | Lookup:
        """The hash of the suspected file, or why there is none to look up."""
        file = self._suspected(finding)
        if file is None or file.sha256 is None:
            return Lookup.NO_HASH
        return Lookup.PARTIAL_HASH if file.partially_hashed else file.sha256

    def _request_once(
        self, reader: VirusTotalPort, sha256: str
    ) -> tuple[float, asyncio.Task[Reputation]]:
        if sha256 not in self._requests:
            request = asyncio.ensure_future(_fetch_reputation(reader, sha256))
            self._requests[sha256] = asyncio.get_running_loop().time(), request
        return self._requests[sha256]


async def _fetch_reputation(reader: VirusTotalPort, sha256: str) -> Reputation:
    try:
        return await reader.file(sha256)
    except IncidentError as error:
        return Reputation(Lookup.NO_ANSWER, sha256, str(error))
    except Exception as error:  # noqa: BLE001 - a bug here must not stop a containment
        text = f"unexpected error in the look-up: {type(error).__name__}"
        return Reputation(Lookup.NO_ANSWER, sha256, text)
