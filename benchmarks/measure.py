"""Measures what one incident costs: start, burst, memory, connections, echoes.

Run with ``make bench``, or ``make bench AGAINST=COMMIT`` to measure another commit's deployed set
in turns. Prints one Markdown table for each measure, with the command that prints it alone. The
deployed sets are what ``make package`` packs, as committed, installed with hashes into environments
of their own. The emulator runs beside them and shares the machine: compare what one run printed,
and nothing else. Processor time is the worker's own; it is steadier than time on the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.deployed_set import DeployedSet, install
from benchmarks.load import Cost, Load, measure_load
from benchmarks.start import measure_starts

_BURSTS = (25, 200, 500)
_QUICK_BURSTS = (25, 100)
_LIMIT_S = 600.0
_TURNS = 3
_ENTRIES = 500


def main() -> None:
    """Install the deployed sets and measure them."""
    arguments = _arguments()
    measures: dict[str, Callable[[list[DeployedSet], Path, bool], None]] = {
        "start": _print_start,
        "burst": _print_bursts,
        "finding": _print_finding,
        "connections": _print_connections,
        "memory": _print_memory,
        "echo": _print_echoes,
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = Path(temporary)
        commits = ["HEAD", *([arguments.against] if arguments.against else [])]
        sets = [install(commit, folder / str(at)) for at, commit in enumerate(commits)]
        version = ".".join(map(str, sys.version_info[:3]))
        _print(f"Python {version}; product {', against '.join(each.name for each in sets)}")
        for name in arguments.only or measures:
            against = f" --against {arguments.against}" if arguments.against else ""
            _print(f"\n`python -m benchmarks.measure --only {name}{against}`\n")
            measures[name](sets, folder, arguments.quick)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure what one incident costs.")
    names = ("start", "burst", "finding", "connections", "memory", "echo")
    parser.add_argument("--against", metavar="COMMIT", help="measure this commit too, in turns")
    parser.add_argument("--only", action="append", choices=names, help="one measure; repeatable")
    parser.add_argument("--quick", action="store_true", help="bursts of 25 and 100 only")
    return parser.parse_args()


def _print_start(sets: list[DeployedSet], folder: Path, quick: bool) -> None:  # noqa: FBT001, ARG001
    starts = measure_starts(sets, folder)
    baseline = starts["empty function"]
    _print_row("start", "processor", "of the empty function", "clock", "memory")
    _print_row("---", "---", "---", "---", "---")
    for name, start in starts.items():
        _print_row(
            name,
            f"{start.cpu_s:.2f} s",
            f"{start.cpu_s / baseline.cpu_s:.2f}",
            f"{start.wall_s:.2f} s",
            f"{start.memory_mb:.0f} MB",
        )


def _print_bursts(sets: list[DeployedSet], folder: Path, quick: bool) -> None:  # noqa: FBT001
    _print_row(
        *("set", "store", "at once", "findings", "processor for each", "of 25 at 8", "memory"),
        *("threads", "files", "to the store"),
    )
    _print_row(*["---"] * 10)
    for deployed in sets:
        for bucket in (False, True):
            first: Cost | None = None
            for at_once in (8, 40):
                for findings in _QUICK_BURSTS if quick else _BURSTS:
                    load = Load(findings, at_once, latency_ms=100, bucket=bucket, limit_s=_LIMIT_S)
                    cost = _measure(deployed, load, folder)
                    first = first or cost
                    _print_burst(deployed, load, cost, first)


def _print_burst(deployed: DeployedSet, load: Load, cost: Cost | None, first: Cost | None) -> None:
    start = (deployed.name, "gs://" if load.bucket else "folder", load.at_once, load.findings)
    if cost is None or first is None:
        _print_row(*start, f"not contained within {load.limit_s:g} s", *[""] * 5)
        return
    seen = cost.peak.memory_mb
    fifth = max(len(seen) // 5, 1)  # of 500 findings: from the first hundred to the last
    _print_row(
        *start,
        f"{cost.cpu_ms:.0f} ms",
        f"{cost.cpu_ms / first.cpu_ms:.2f}",
        f"{max(seen[:fifth]):.0f} to {max(seen[-fifth:]):.0f} MB",
        cost.peak.threads,
        cost.peak.files,
        cost.peak.store_connections if load.bucket else "",
    )


def _print_finding(sets: list[DeployedSet], folder: Path, quick: bool) -> None:  # noqa: FBT001, ARG001
    load = Load(60, 8, latency_ms=20, entries=50, entry_size=300)
    best = _best_in_turns(sets, load, folder)
    _print_row("set", "processor for each finding, 50 log entries of 300 bytes", "of the last set")
    _print_row("---", "---", "---")
    for deployed in sets:
        ratio = best[deployed.name] / best[sets[-1].name]
        _print_row(deployed.name, f"{best[deployed.name]:.0f} ms", f"{ratio:.2f}")


def _print_connections(sets: list[DeployedSet], folder: Path, quick: bool) -> None:  # noqa: FBT001, ARG001
    _print_row("set", "findings, 4 at once", "established connections to the gs:// store, at most")
    _print_row("---", "---", "---")
    for findings in (20, 40, 60, 80):
        for deployed in sets:
            cost = _measure(deployed, Load(findings, 4, latency_ms=20, bucket=True), folder)
            _print_row(deployed.name, findings, cost.peak.store_connections if cost else "")


def _print_memory(sets: list[DeployedSet], folder: Path, quick: bool) -> None:  # noqa: FBT001, ARG001
    _print_row("set", "at once", f"{_ENTRIES} log entries of", "peak of memory", "last write after")
    _print_row("---", "---", "---", "---", "---")
    for at_once, size in ((8, 4_000), (8, 16_000), (16, 4_000)):
        for deployed in sets:
            load = Load(at_once, at_once, entries=_ENTRIES, entry_size=size)
            cost = _measure(deployed, load, folder)
            shown = (f"{cost.memory_mb:.0f} MB", f"{cost.last_write_s:.1f} s") if cost else ("", "")
            _print_row(deployed.name, at_once, f"{size // 1000} kB", *shown)


def _print_echoes(sets: list[DeployedSet], folder: Path, quick: bool) -> None:  # noqa: FBT001, ARG001
    _print_row("set", "calls to Google for each notification of an own update")
    _print_row("---", "---")
    for deployed in sets:
        cost = _measure(deployed, Load(10, 2), folder)
        _print_row(deployed.name, f"{cost.echo_calls:.1f}" if cost else "")


def _best_in_turns(sets: Sequence[DeployedSet], load: Load, folder: Path) -> dict[str, float]:
    """The least processor time for each finding, in milliseconds, of several turns."""
    found: dict[str, list[float]] = {each.name: [] for each in sets}
    for _ in range(_TURNS):
        for deployed in sets:
            if cost := _measure(deployed, replace(load), folder):
                found[deployed.name].append(cost.cpu_ms)
    return {name: min(costs, default=float("nan")) for name, costs in found.items()}


def _measure(deployed: DeployedSet, load: Load, folder: Path) -> Cost | None:
    return asyncio.run(measure_load(deployed, load, folder / "run"))


def _print_row(*cells: object) -> None:
    _print(f"| {' | '.join(map(str, cells))} |")


def _print(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
