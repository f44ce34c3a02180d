"""VirusTotal v3: what is known of a file, by its hash. No file is ever uploaded.

Its library is imported when it is first needed, beside the loop: whoever has no key never pays
for it, and no containment waits for it that need not.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from types import ModuleType
from weakref import WeakValueDictionary

from pydantic import SecretStr

from clients.call_progress import call_in_progress
from clients.retries import RetryPolicy
from clients.virustotal_report import parse_report
from incident.model import Denied, GiveUp, IncidentError, Lookup, Reputation, Retry

#: The public quota is four a minute, so that a file is not asked about anew for every finding.
_CACHE_TTL_S = 300.0
_MAX_CACHED = 200
_ATTEMPTS = 3
_PAUSE_S = 0.1
_MAX_CODE_LENGTH = 60
_RETRY_POLICY = RetryPolicy(attempt_s=5, total_s=8)

# Codes of VirusTotal's errors: https://docs.virustotal.com/reference/errors
_NOT_FOUND = "NotFoundError"
_QUOTA = frozenset({"QuotaExceededError", "TooManyRequestsError"})
_KEY = frozenset(
    {"AuthenticationRequiredError", "WrongCredentialsError", "UserNotActiveError", "ForbiddenError"}
)
_TRANSIENT = frozenset({"FailedDependencyError", "ServerError"})  # the second: any 5xx


class _Transient(Retry):
    """Another attempt may succeed at once."""


@dataclass(frozen=True, slots=True)
class VirusTotalEndpoint:
    """Where VirusTotal is and who asks.

    Attributes:
        host: Scheme, host and port; nothing else is ever spoken to.
        key: The API key.
    """

    host: str
    key: SecretStr


class VirusTotal:
    """Looks files up. Answers are kept a few minutes, and shared by all incidents."""

    def __init__(
        self, endpoint: VirusTotalEndpoint, retry_policy: RetryPolicy = _RETRY_POLICY
    ) -> None:
        self._endpoint = endpoint
        self._retry_policy = retry_policy
        self._cache: dict[str, tuple[float, Reputation]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def file(self, sha256: str) -> Reputation:
        """What is known of a file, by its SHA-256 in lower-case hex.

        Raises:
            Retry: Time may heal it: no answer, or the quota is used up.
            Denied: VirusTotal does not accept the key.
            GiveUp: The answer cannot be read.
        """
        lock = self._locks.setdefault(sha256, asyncio.Lock())
        async with lock:
            cached = self._cache.get(sha256)
            if cached and time.monotonic() - cached[0] < _CACHE_TTL_S:
                return cached[1]
            with call_in_progress("look up at VirusTotal", sha256):
                found = await self._look_up(sha256)
            self._cache_result(sha256, found)
            return found

    def _cache_result(self, sha256: str, found: Reputation) -> None:
        self._cache.pop(sha256, None)
        self._cache[sha256] = time.monotonic(), found
        while len(self._cache) > _MAX_CACHED:
            del self._cache[next(iter(self._cache))]

    async def _look_up(self, sha256: str) -> Reputation:
        total_s = self._retry_policy.total_s
        try:
            async with asyncio.timeout(total_s):
                return await self._attempts(sha256, await asyncio.to_thread(_library))
        except TimeoutError as error:
            raise Retry(_error_text(sha256, f"no answer within {total_s:g} s")) from error

    async def _attempts(self, sha256: str, library: ModuleType) -> Reputation:
        for attempt in range(1, _ATTEMPTS):
            try:
                return await self._attempt(sha256, library)
            except _Transient:
                longest = _PAUSE_S * 2**attempt
                await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - jitter
        return await self._attempt(sha256, library)

    async def _attempt(self, sha256: str, library: ModuleType) -> Reputation:
        """One request. What an error says beyond its kind is not passed on, and not chained.

        It is outside text, and might repeat the key.
        """
        endpoint = self._endpoint
        try:
            answer = await library.get_file(
                endpoint.host, endpoint.key.get_secret_value(), sha256, self._retry_policy.attempt_s
            )
        except library.ApiError as error:
            if error.code == _NOT_FOUND:
                return Reputation(Lookup.UNKNOWN, sha256)
            raise _translated(sha256, str(error.code)) from None
        except library.CONNECTION_ERRORS as error:
            text = f"it cannot be reached or does not answer in time ({type(error).__name__})"
            raise _Transient(_error_text(sha256, text)) from None
        except Exception as error:  # noqa: BLE001 - an answer may be wrong in any way
            text = f"its answer cannot be read ({type(error).__name__})"
            raise GiveUp(_error_text(sha256, text)) from None
        return _parse(answer, sha256)


def _parse(answer: object, sha256: str) -> Reputation:
    try:
        return parse_report(answer, sha256)
    except ValueError as error:
        raise GiveUp(_error_text(sha256, f"its answer cannot be read ({error})")) from None


def _translated(sha256: str, code: str) -> IncidentError:
    """An error of VirusTotal's as one of ours."""
    if code in _QUOTA:
        text = f"the quota of the key is used up ({code}); the public one is four a minute"
        return Retry(_error_text(sha256, text))
    if code in _KEY:
        text = f"it does not accept the key ({code}): check VIRUSTOTAL_API_KEY"
        return Denied(_error_text(sha256, text))
    if code in _TRANSIENT:
        return _Transient(_error_text(sha256, f"it has a fault of its own ({code})"))
    known = code if code.isascii() and code.isalpha() and len(code) <= _MAX_CODE_LENGTH else "?"
    return GiveUp(
        _error_text(sha256, f"it refuses the call ({known}). Trying again would not help")
    )


def _error_text(sha256: str, why: str) -> str:
    return f"cannot look up file {sha256} at VirusTotal: {why}"


def _library() -> ModuleType:
    from clients import virustotal_library  # noqa: PLC0415 - see above: only a look-up needs it

    return virustotal_library
