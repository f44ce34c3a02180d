"""VirusTotal v3 client: look up a file by hash, with cache; uploads nothing.

One plain GET in a thread of its own: a host that answers slowly blocks no other thread.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import BadStatusLine, RemoteDisconnected
from weakref import WeakValueDictionary

import requests
from pydantic import SecretStr

from clients.call_progress import call_in_progress
from clients.retries import RetryPolicy
from incident.model import (
    Denied,
    GiveUp,
    IncidentError,
    Lookup,
    Reputation,
    Retry,
    json_list,
    json_object,
    json_string,
)

#: The public quota is four requests a minute, so answers are shared between findings.
_CACHE_TTL_S = 300.0
_MAX_CACHED = 200
_ATTEMPTS = 3
_PAUSE_S = 0.1
_MAX_CODE_LENGTH = 60
_AGENT = "cloud-run-threat-responder"
_CHUNK_BYTES, _MAX_ANSWER_BYTES = 65_536, 8_000_000
_THREADS = ThreadPoolExecutor(4, thread_name_prefix="virustotal")
_RETRY_POLICY = RetryPolicy(attempt_s=5, total_s=8)

# VirusTotal's error codes: https://docs.virustotal.com/reference/errors
_NOT_FOUND = "NotFoundError"
_QUOTA = frozenset({"QuotaExceededError", "TooManyRequestsError"})
_KEY = frozenset(
    {"AuthenticationRequiredError", "WrongCredentialsError", "UserNotActiveError", "ForbiddenError"}
)
# An answer without a code of its own: 4xx that is not JSON, and anything else that is no 200.
_CLIENT_ERROR, _SERVER_ERROR = "ClientError", "ServerError"
_TRANSIENT = frozenset({"FailedDependencyError", _SERVER_ERROR})


_LONGEST = 200
_MOST_NAMES = 20
_MOST_TAGS = 50
_MOST_ENGINES = 10_000
_VERDICTS = ("malicious", "suspicious", "undetected", "harmless")
_LATEST = 253_402_300_799  # the last second of the year 9999


class _Transient(Retry):
    """An immediate retry may succeed."""


@dataclass(frozen=True, slots=True)
class VirusTotalEndpoint:
    """VirusTotal's origin and the API key.

    Attributes:
        host: Scheme, host and port; no other host is contacted.
        key: The API key.
    """

    host: str
    key: SecretStr


class VirusTotal:
    """Looks up files. Answers are cached for five minutes and shared by all incidents."""

    def __init__(
        self, endpoint: VirusTotalEndpoint, retry_policy: RetryPolicy = _RETRY_POLICY
    ) -> None:
        self._endpoint = endpoint
        self._retry_policy = retry_policy
        self._cache: dict[str, tuple[float, Reputation]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def file(self, sha256: str) -> Reputation:
        """VirusTotal's report on a file, by its SHA-256 in lower-case hex.

        Raises:
            Retry: No answer, or the quota is used up.
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
                return await self._attempts(sha256)
        except TimeoutError as error:
            raise Retry(_error_text(sha256, f"no answer within {total_s:g} s")) from error

    async def _attempts(self, sha256: str) -> Reputation:
        for attempt in range(1, _ATTEMPTS):
            try:
                return await self._attempt(sha256)
            except _Transient:
                longest = _PAUSE_S * 2**attempt
                await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - jitter
        return await self._attempt(sha256)

    async def _attempt(self, sha256: str) -> Reputation:
        """Send one request.

        Only the kind of an error is reported, and the error is not chained: its text comes from
        outside and might contain the key.
        """
        attempt_s = self._retry_policy.attempt_s
        loop = asyncio.get_running_loop()
        request = loop.run_in_executor(_THREADS, _get_report, self._endpoint, sha256, attempt_s)
        try:
            async with asyncio.timeout(attempt_s):
                status, content_type, body = await request
            code, answer = _read_answer(status, content_type, body)
        except (requests.RequestException, OSError) as error:
            if _is_not_http(error):
                text = f"its answer cannot be read ({type(error).__name__})"
                raise GiveUp(_error_text(sha256, text)) from None
            text = f"it cannot be reached or does not answer in time ({type(error).__name__})"
            raise _Transient(_error_text(sha256, text)) from None
        except Exception as error:  # noqa: BLE001 - an answer may be wrong in any way
            text = f"its answer cannot be read ({type(error).__name__})"
            raise GiveUp(_error_text(sha256, text)) from None
        if code == _NOT_FOUND:
            return Reputation(Lookup.UNKNOWN, sha256)
        if code:
            raise _translated(sha256, code)
        return _parse(answer, sha256)


def _get_report(
    endpoint: VirusTotalEndpoint, sha256: str, timeout_s: float
) -> tuple[int, str, bytes]:
    """Status, content type and body of one GET, in a thread.

    No redirection is followed: it would carry the key to another host. Neither a proxy nor
    credentials of the environment are used.

    Raises:
        RequestException: There is no answer, or it breaks off.
        TimeoutError: The answer takes too long in all.
        ValueError: The answer is too long.
    """
    end = time.monotonic() + timeout_s
    headers = {"X-Apikey": endpoint.key.get_secret_value(), "User-Agent": _AGENT}
    with requests.Session() as session:
        session.trust_env = False
        with session.get(
            f"{endpoint.host}/api/v3/files/{sha256}",
            headers=headers,
            timeout=timeout_s,
            allow_redirects=False,
            stream=True,
        ) as answer:
            body = bytearray()
            for chunk in answer.iter_content(_CHUNK_BYTES):
                body += chunk
                if len(body) > _MAX_ANSWER_BYTES:
                    raise ValueError("it is too long")
                if time.monotonic() > end:
                    raise TimeoutError
            return answer.status_code, answer.headers.get("content-type", ""), bytes(body)


def _read_answer(status: int, content_type: str, body: bytes) -> tuple[str, object]:
    """VirusTotal's error code, empty for none, and otherwise the answer as JSON.

    Raises:
        ValueError: The answer is not JSON, or leads to another address.
        KeyError, TypeError: The error has no code.
        RecursionError: The JSON is nested too deeply.
    """
    if status == HTTPStatus.OK:
        return "", json.loads(body)
    if 300 <= status < HTTPStatus.BAD_REQUEST:  # noqa: PLR2004 - redirections
        raise ValueError("it is a redirection")
    if not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _SERVER_ERROR, None
    if content_type.partition(";")[0].strip().lower() != "application/json":
        return _CLIENT_ERROR, None
    return str(json.loads(body)["error"]["code"]), None


def _is_not_http(error: Exception) -> bool:
    """Whether something answered that does not speak HTTP; a closed connection is no answer."""
    waiting: list[object] = [error]
    while waiting:
        part = waiting.pop()
        if isinstance(part, BadStatusLine) and not isinstance(part, RemoteDisconnected):
            return True
        if isinstance(part, BaseException):
            waiting += part.args
    return False


def _parse(answer: object, sha256: str) -> Reputation:
    try:
        return parse_report(answer, sha256)
    except ValueError as error:
        raise GiveUp(_error_text(sha256, f"its answer cannot be read ({error})")) from None


def _translated(sha256: str, code: str) -> IncidentError:
    """Map an error code of VirusTotal to Retry or GiveUp."""
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


def parse_report(answer: object, sha256: str) -> Reputation:
    """Parse VirusTotal's report on a file; only its structure is trusted. Pure.

    The attributes: https://docs.virustotal.com/reference/files. Missing or malformed ones are left
    out, except those that the decision uses.

    Args:
        answer: The parsed JSON.
        sha256: The requested hash, in lower-case hex.

    Raises:
        ValueError: It is not a report on that file. The message has no text of the answer.
    """
    data = json_object(json_object(answer).get("data"))
    attributes = json_object(data.get("attributes"))
    named = [data.get("id"), attributes.get("sha256")]
    if not any(isinstance(name, str) and name.lower() == sha256 for name in named):
        raise ValueError("it is not about this file")
    counts = _counts(attributes.get("last_analysis_stats", {}))
    engines = sum(counts.values())
    threat = json_object(attributes.get("popular_threat_classification"))
    names = [attributes.get("meaningful_name"), *json_list(attributes.get("names"))]
    return Reputation(
        lookup=Lookup.KNOWN if engines else Lookup.UNKNOWN,
        sha256=sha256,
        without_verdicts=not engines,
        malicious=counts["malicious"],
        suspicious=counts["suspicious"],
        engines=engines,
        label=_cut_text(threat.get("suggested_threat_label")),
        file_type=_cut_text(attributes.get("type_description")),
        names=_cut_texts(names, _MOST_NAMES),
        tags=_cut_texts(json_list(attributes.get("tags")), _MOST_TAGS),
        first_seen=_time(attributes.get("first_submission_date")),
        last_seen=_time(attributes.get("last_submission_date")),
        analysed_at=_time(attributes.get("last_analysis_date")),
    )


def _counts(stats: object) -> dict[str, int]:
    """The number of engines by verdict. Engines that failed or do not support the type gave none.

    Raises:
        ValueError: A count is not a number of engines.
    """
    if not isinstance(stats, Mapping):
        raise ValueError("it counts no engines")  # noqa: TRY004 - not an error of the caller
    return {name: _count(stats.get(name, 0)) for name in _VERDICTS}


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_ENGINES:
        raise ValueError("it does not count engines in numbers")
    return value


def _cut_texts(values: Sequence[object], most: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for value in values if (text := _cut_text(value))))[:most]


def _cut_text(value: object) -> str:
    """A text cut to 200 characters, with lone surrogates replaced: JSON allows them."""
    return json_string(value)[:_LONGEST].encode(errors="replace").decode()


def _time(value: object) -> datetime | None:
    """A time from seconds since 1970; None for 0."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LATEST:
        return None
    return datetime.fromtimestamp(value, UTC)
