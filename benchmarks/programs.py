"""Isolated programs by the hundred, beside one jail each.

    uv run benchmarks/programs.py [--count N]

Programs of one cell (`1 + 1`) through the engine on the local backend, two at a time, against `bwrap python -I -c` for
each, also two at a time, and against a bare `python -I -c`. Medians of three alternating rounds.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import anyio
import platformdirs
from memory import private_bytes

from proofbox.server import programs
from proofbox.server.sandbox import Cell, Program, ProgramRunner, SandboxRequest
from proofbox.server.sandbox.local import DEFAULT_PACKAGES, host
from proofbox.server.sandbox.local.backend import LocalBackend

_ROUNDS = 3
_LANES = 2


def wanted(count: int) -> Iterator[Program]:
    """Trivial programs, made as they are taken."""
    return (Program(str(n), (Cell("1 + 1"),)) for n in range(count))


async def engine(backend: LocalBackend, count: int) -> float:
    """Seconds for `count` programs through the engine."""

    @asynccontextmanager
    async def sandbox() -> AsyncGenerator[ProgramRunner]:
        opened = await backend.create(SandboxRequest(owner="benchmark", programs_only=True))
        try:
            yield opened
        finally:
            await opened.close()

    began = time.perf_counter()
    done = 0
    async with programs.run(wanted(count), sandbox, lanes=_LANES) as results:
        async for ran in results:
            assert ran.result is not None
            assert ran.result.cells[0].value == "2"
            done += 1
    assert done == count
    return time.perf_counter() - began


def processes(command: list[str], count: int) -> float:
    """Seconds for `count` runs of a command."""

    def one(_: int) -> None:
        subprocess.run(command, check=True, capture_output=True)

    began = time.perf_counter()
    with ThreadPoolExecutor(_LANES) as pool:
        list(pool.map(one, range(count)))
    return time.perf_counter() - began


async def measure(count: int) -> list[str]:
    """The table's lines."""
    python = [sys.executable, "-I", "-c", "print(1 + 1)"]
    jail = [str(host.find_bwrap()), "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/"]
    jail += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    backend = LocalBackend(
        cache_dir=platformdirs.user_cache_path("proofbox"), packages=DEFAULT_PACKAGES
    )
    times: dict[str, list[float]] = {"proofbox": [], "bwrap python": [], "bare python": []}
    await engine(backend, 1)
    await anyio.sleep(5)  # the supervisor imports numpy and pandas meanwhile
    before = private_bytes()
    for _ in range(_ROUNDS):
        times["proofbox"].append(await engine(backend, count))
        times["bwrap python"].append(processes([*jail, *python], count))
        times["bare python"].append(processes(python, count))
    grown = (private_bytes() - before) / 1024**2
    await backend.close()
    each = {name: statistics.median(values) / count * 1000 for name, values in times.items()}
    ratio = each["bwrap python"] / each["proofbox"]
    lines = [f"{name:14}{milliseconds:8.2f} ms a program" for name, milliseconds in each.items()]
    return [*lines, f"proofbox does {ratio:.1f} x as many; memory grew by {grown:.0f} MB"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="programs a round (default 500)")
    for line in anyio.run(measure, parser.parse_args().count):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
