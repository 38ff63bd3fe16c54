"""Isolated programs by the hundred, beside one jail each.

    uv run benchmarks/programs.py [--count N] [--alone]

Programs of one cell through the engine on the local backend, two at a time, against `bwrap python -I -c` for each, also
two at a time, and against a bare `python -I -c`: first `1 + 1`, which shows what isolation alone costs, then a snippet as
documentation has them, which imports a package and uses it; the engine has that package imported
beforehand, as validate_snippets does. Medians of three alternating rounds; with `--alone` one round of `1 + 1`
and nothing beside it, for counts in which the others would take an hour.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio
import platformdirs
from memory import private_bytes

from proofbox.server import programs
from proofbox.server.sandbox import Cell, Program, ProgramRunner, SandboxRequest
from proofbox.server.sandbox.local import DEFAULT_PACKAGES, host
from proofbox.server.sandbox.local.backend import LocalBackend
from proofbox.tools.validate_snippets.preload import early

_ROUNDS = 3
_LANES = 2


@dataclass(frozen=True, slots=True)
class Snippet:
    """What is run so many times: code that ends in an expression, its value, what the engine imports beforehand."""

    name: str
    code: str
    value: str
    preload: tuple[str, ...] = ()


_TRIVIAL = Snippet("1 + 1", "1 + 1", "2")
_REAL = Snippet(
    "a model of pydantic",
    """from pydantic import BaseModel

class User(BaseModel):
    id: int
    name: str = "Jane"

User(id="1").model_dump()""",
    "{'id': 1, 'name': 'Jane'}",
    early("pydantic"),
)


def wanted(count: int, snippet: Snippet) -> Iterator[Program]:
    """The programs, made as they are taken."""
    return (Program(str(n), (Cell(snippet.code),)) for n in range(count))


async def engine(backend: LocalBackend, count: int, snippet: Snippet = _TRIVIAL) -> float:
    """Seconds for `count` programs through the engine."""
    request = SandboxRequest(owner="benchmark", programs_only=True, preload=snippet.preload)

    @asynccontextmanager
    async def sandbox() -> AsyncGenerator[ProgramRunner]:
        opened = await backend.create(request)
        try:
            yield opened
        finally:
            await opened.close()

    began = time.perf_counter()
    done = 0
    async with programs.run(wanted(count, snippet), sandbox, lanes=_LANES) as results:
        async for ran in results:
            assert ran.result is not None
            assert ran.result.cells[0].value == snippet.value
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


async def measure(backend: LocalBackend, count: int, snippet: Snippet) -> list[str]:
    """The table's lines for one snippet."""
    python = [sys.executable, "-I", "-c", snippet.code]
    jail = [str(host.find_bwrap()), "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/"]
    jail += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    times: dict[str, list[float]] = {"proofbox": [], "bwrap python": [], "bare python": []}
    await engine(backend, 1, snippet)
    await anyio.sleep(5)  # the supervisor imports what is to be there beforehand
    before = private_bytes()
    for _ in range(_ROUNDS):
        times["proofbox"].append(await engine(backend, count, snippet))
        times["bwrap python"].append(processes([*jail, *python], count))
        times["bare python"].append(processes(python, count))
    grown = (private_bytes() - before) / 1024**2
    each = {name: statistics.median(values) / count * 1000 for name, values in times.items()}
    ratio = each["bwrap python"] / each["proofbox"]
    lines = [f"{name:14}{milliseconds:8.2f} ms a program" for name, milliseconds in each.items()]
    end = f"proofbox does {ratio:.1f} x as many; memory grew by {grown:.0f} MB"
    return [f"{count} x {snippet.name}", *lines, end]


async def alone(backend: LocalBackend, count: int) -> list[str]:
    """The lines for one round of the engine."""
    await engine(backend, 100)
    before = private_bytes()
    seconds = await engine(backend, count)
    grown = (private_bytes() - before) / 1024**2
    rate = f"{count} x {_TRIVIAL.name}: {seconds:.1f} s, {count / seconds:.0f} results a second"
    return [rate, f"{seconds / count * 1000:.2f} ms a program; memory grew by {grown:.1f} MB"]


async def compare(count: int, *, peers: bool) -> list[str]:
    """The tables of both snippets."""
    backend = LocalBackend(
        cache_dir=platformdirs.user_cache_path("proofbox"), packages=DEFAULT_PACKAGES
    )
    try:
        if not peers:
            return await alone(backend, count)
        # A tenth of the second kind: a Python of its own takes a third of a second for each.
        return [
            *await measure(backend, count, _TRIVIAL),
            *await measure(backend, max(1, count // 10), _REAL),
        ]
    finally:
        await backend.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="programs a round (default 500)")
    parser.add_argument("--alone", action="store_true", help="one round, nothing beside it")
    chosen = parser.parse_args()
    for line in anyio.run(partial(compare, chosen.count, peers=not chosen.alone)):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
