"""How long a call may take and how often it is tried again.

Several of Google's clients have neither timeout nor retry of their own, so every call here
brings both. The budgets nest: one attempt, all attempts, then the collector's deadline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.api_core import exceptions as api
from google.api_core.retry import AsyncRetry, if_exception_type


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait for an answer.

    Attributes:
        attempt_s: Seconds for one attempt.
        total_s: Seconds for all of them; 0 means that there is only one.
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


#: Reads that the containment waits for.
PROMPT = RetryPolicy(attempt_s=5, total_s=15)
#: Reads that nothing waits for but the record; log reads are slow by nature.
PATIENT = RetryPolicy(attempt_s=15, total_s=30)
#: Writes: tried again by the containment itself, which reads the state again first.
WRITE = RetryPolicy(attempt_s=15, total_s=0)
