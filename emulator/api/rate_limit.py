"""Quotas: calls per minute."""

from __future__ import annotations

import time
from collections import defaultdict, deque

import grpc

from emulator.api.errors import ApiError

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
        self._call_times: defaultdict[str, deque[float]] = defaultdict(deque)

    def consume(self, consumer: str) -> None:
        """Counts one call of a consumer, such as a project or a project in a region.

        Raises:
            ApiError: RESOURCE_EXHAUSTED when the last minute had as many as the limit allows.
        """
        now = time.monotonic()
        call_times = self._call_times[consumer]
        while call_times and now - call_times[0] >= _WINDOW_S:
            call_times.popleft()
        if len(call_times) >= PER_MINUTE:
            raise ApiError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"Quota exceeded for quota metric '{self.metric}' and limit '{self.metric} per "
                f"minute' of service '{self.service}' for consumer '{consumer}'.",
            )
        call_times.append(now)
