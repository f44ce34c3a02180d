"""Timeouts and retry policies of remote calls.

Several of Google's clients have no default timeout or retry, so every call here sets both. The
budgets nest: one attempt, all attempts, then the collector's deadline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.api_core import exceptions as api
from google.api_core.retry import AsyncRetry, if_exception_type


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait for an answer, and to retry.

    Attributes:
        attempt_s: Seconds for one attempt.
        total_s: Seconds for all attempts; 0 means one attempt, no retry.
    """

    attempt_s: float
    total_s: float

    def options(self) -> dict[str, Any]:
        """The ``timeout`` and ``retry`` arguments of a Google client's method."""
        retry = AsyncRetry(
            predicate=if_exception_type(api.ServiceUnavailable, api.GatewayTimeout),
            initial=0.1,
            maximum=2.0,
            multiplier=2.0,
            timeout=self.total_s,
        )
        return {"timeout": self.attempt_s, "retry": retry if self.total_s else None}


#: Reads on the path to the write.
PROMPT = RetryPolicy(attempt_s=5, total_s=15)
#: Reads of supporting evidence; reading logs is slow.
PATIENT = RetryPolicy(attempt_s=15, total_s=30)
#: Writes: retried by the containment itself, which reads the state again first.
WRITE = RetryPolicy(attempt_s=15, total_s=0)
