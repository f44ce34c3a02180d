"""Chat webhook client (Slack, Google Chat): posts one message, reads nothing back.

The URL is a secret: its holder may post. Neither the URL nor the HTTP library's error messages,
which contain it, leave this module; errors name the host only.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import requests
from pydantic import SecretStr

from clients.call_progress import call_in_progress
from incident.model import ChatFormat, ChatStyle, GiveUp, IncidentError, JsonObject, Retry

_CONNECT_S, _ANSWER_S, _TOTAL_S = 3.0, 4.0, 10.0
_ATTEMPTS = 3
_PAUSE_S = 0.3
_THREADS = 4
_FORMATS = {
    "hooks.slack.com": ChatFormat.SLACK,
    "hooks.slack-gov.com": ChatFormat.SLACK,
    "chat.googleapis.com": ChatFormat.GOOGLE_CHAT,
}
_RETRYABLE, _SERVER_ERROR = frozenset({408, 425, 429}), 500


class Webhook:
    """One chat room. A slow host blocks only the threads of this webhook."""

    def __init__(
        self, url: SecretStr, message_format: ChatFormat | None = None, runbooks: str = ""
    ) -> None:
        """A room.

        Args:
            url: Where to post; a secret.
            message_format: How it takes messages; None: as its host tells.
            runbooks: URL of the folder with the runbooks; empty for none.
        """
        self._url = url
        self.name = urlsplit(url.get_secret_value()).hostname or ""
        found = message_format or _FORMATS.get(self.name, ChatFormat.TEXT)
        self.style = ChatStyle(found, runbooks)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="webhook")

    async def send(self, body: JsonObject) -> None:
        """Post one message, with a few attempts within ten seconds.

        Raises:
            Retry: The host does not answer, or answers with a transient error.
            GiveUp: The host refuses the message: the URL may be wrong or revoked.
        """
        try:
            with call_in_progress("notify the webhook at", self.name):
                async with asyncio.timeout(_TOTAL_S):
                    await self._send(body)
        except TimeoutError as error:
            raise Retry(self._error_text(f"it took longer than {_TOTAL_S:g} s")) from error

    async def _send(self, body: JsonObject) -> None:
        loop = asyncio.get_running_loop()
        for attempt in range(1, _ATTEMPTS + 1):
            failure = await loop.run_in_executor(self._threads, self._post, body)
            if failure is None:
                return
            if isinstance(failure, GiveUp) or attempt == _ATTEMPTS:
                raise failure
            await asyncio.sleep(_PAUSE_S * attempt)

    def _post(self, body: JsonObject) -> IncidentError | None:
        """One attempt. Returns the failure, without the original error, which has the URL."""
        try:
            with requests.Session() as session:
                # No proxy or credentials from the environment, and no redirection to another host.
                session.trust_env = False
                answer = session.post(
                    self._url.get_secret_value(),
                    json=body,
                    timeout=(_CONNECT_S, _ANSWER_S),
                    allow_redirects=False,
                    stream=True,
                )
                answer.close()
        except (requests.RequestException, OSError, ValueError) as error:
            return Retry(self._error_text(f"the call failed with {type(error).__name__}"))
        return self._classify(answer.status_code)

    def _classify(self, status: int) -> IncidentError | None:
        if status in range(200, 300):
            return None
        reason = f"it answered with HTTP {status}"
        if status in _RETRYABLE or status >= _SERVER_ERROR:
            return Retry(self._error_text(reason))
        return GiveUp(
            self._error_text(f"{reason}. Check RESPONDER_WEBHOOK: it may be wrong or revoked")
        )

    def _error_text(self, reason: str) -> str:
        return f"cannot notify the webhook at {self.name}: {reason}"
