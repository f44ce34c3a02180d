"""vt-py client that connects to one host only.

Imported when it is first needed: see ``clients/virustotal.py``.
"""

from __future__ import annotations

from typing import Any

import aiohttp
import vt
from yarl import URL

#: What VirusTotal answers when it says no; has a ``code``.
ApiError = vt.APIError
#: What is raised when it does not answer.
CONNECTION_ERRORS = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
_AGENT = "cloud-run-threat-responder"


class _OtherHostError(aiohttp.ClientError):
    """The answer leads to another host, which must not see the key."""


class _SingleHostConnector(aiohttp.TCPConnector):
    """Connects to one origin only: a redirection would carry the key to wherever it leads."""

    def __init__(self, host: str) -> None:
        super().__init__(force_close=True)
        self._only = URL(host).origin()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> Any:
        if req.url.origin() != self._only:
            raise _OtherHostError
        return await super().connect(req, traces, timeout)


async def get_file(host: str, key: str, sha256: str, timeout_s: float) -> object:
    """VirusTotal's answer about a file, as JSON.

    Raises:
        ApiError: It says no.
        UNREACHABLE: It does not answer.
        Exception: It answers what cannot be read.
    """
    connector = _SingleHostConnector(host)
    # A client for each look-up: they are few, and a connection that idles while the process has
    # no CPU is no use.
    async with vt.Client(
        key, agent=_AGENT, host=host, timeout=timeout_s, connector=connector
    ) as client:
        found: object = await client.get_json_async("/files/{}", sha256)
        return found
