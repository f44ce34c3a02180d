"""Rate limits: so many calls of a kind in any minute."""

from __future__ import annotations

import time
from collections import defaultdict, deque

import grpc

from emulator.api.errors import Refusal

PER_MINUTE = 60
_WINDOW_S = 60.0


class Quota:
    """One limit, counted apart for each consumer.

    Attributes:
        metric: What is counted, as Google's error names it.
        service: The service whose limit it is.
    """

    def __init__(self, metric: str, service: str) -> None:
        self.metric = metric
        self.service = service
        self._taken: defaultdict[str, deque[float]] = defaultdict(deque)

    def take(self, consumer: str) -> None:
        """Counts one call of a consumer, such as a project or a project in a region.

        Raises:
            Refusal: RESOURCE_EXHAUSTED when the last minute had as many as the limit allows.
        """
        now = time.monotonic()
        taken = self._taken[consumer]
        while taken and now - taken[0] >= _WINDOW_S:
            taken.popleft()
        if len(taken) >= PER_MINUTE:
            raise Refusal(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"Quota exceeded for quota metric '{self.metric}' and limit '{self.metric} per "
                f"minute' of service '{self.service}' for consumer '{consumer}'.",
            )
        taken.append(now)
