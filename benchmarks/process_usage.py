"""What a process uses, as Linux tells: processor time, memory, threads, files, connections."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.function_process import connections_to, threads_of

_TICKS = os.sysconf("SC_CLK_TCK")
_INTERVAL_S = 0.2


@dataclass(slots=True)
class PeakUse:
    """The most that a process has used of something while it was watched.

    Attributes:
        threads: Threads.
        files: Open file descriptors, connections among them.
        store_connections: Established connections to the store's address.
        memory_mb: Resident memory at each look, in order, in megabytes.
    """

    threads: int = 0
    files: int = 0
    store_connections: int = 0
    memory_mb: list[float] = field(default_factory=list)

    def look(self, pid: int, store_address: str) -> None:
        """Look at the process once."""
        self.threads = max(self.threads, threads_of(pid))
        self.files = max(self.files, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()))
        self.store_connections = max(self.store_connections, connections_to(store_address))
        self.memory_mb.append(memory_mb(pid))


@contextlib.asynccontextmanager
async def watched(pid: int, store_address: str) -> AsyncIterator[PeakUse]:
    """Watch a process until the context is left."""
    peak = PeakUse()

    async def watch() -> None:
        while True:
            peak.look(pid, store_address)
            await asyncio.sleep(_INTERVAL_S)

    watching = asyncio.create_task(watch())
    try:
        yield peak
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def cpu_s(pid: int) -> float:
    """The processor time that a process has had, in seconds, for itself and the system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mb(pid: int, *, peak: bool = False) -> float:
    """The resident memory of a process in megabytes: now, or the most that it has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return int(status["VmHWM" if peak else "VmRSS"].split()[0]) / 1024
