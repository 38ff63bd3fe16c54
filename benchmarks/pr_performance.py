"""Verdicts on speed where it is known: the same code twice, and a head that does a tenth more.

    uv run benchmarks/pr_performance.py [--rounds N]

Eight functions, N times each: how often the same code is called slower or faster (a false alarm), and how often a slowdown
of 10 % is found. `compare_speed` measures them as it does for a pull request, in jails.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import platformdirs

from proofbox.server.sandbox import ProgramRunner, SandboxRequest
from proofbox.server.sandbox.local.backend import LocalBackend
from proofbox.tools.check_pr.beyond.beyond import Speed
from proofbox.tools.check_pr.environment.environment import Environment
from proofbox.tools.check_pr.environment.side import Side
from proofbox.tools.check_pr.performance.compare import compare_speed
from proofbox.tools.check_pr.pull.pull import Pull, Tree
from proofbox.tools.check_pr.request import PrRequest

SOURCE = """
import json
import re

MORE = {more}


def loop(n):
    total = 0
    for i in range(n):
        if i % 3:
            total += i
    return total


def text(n):
    return "".join(str(i) + "," for i in range(n))


def table(n):
    found = {{}}
    for i in range(n):
        found[i % 97] = found.get(i % 97, 0) + i
    return found


def objects(n):
    return [object() for _ in range(n)]


def ordered(n):
    return sorted((i * 7919) % 10007 for i in range(n))


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def dumped(n):
    return json.dumps(list(range(n)))


def matched(n):
    return re.findall(r"(\\\\d+)-(\\\\w+)", "12-ab " * n)
"""

TESTS = """
import pytest
import work

@pytest.mark.parametrize("name", ["loop", "text", "table", "objects", "ordered", "dumped", "matched"])
def test_work(benchmark, name):
    benchmark(getattr(work, name), round(2000 * work.MORE))

def test_recursion(benchmark):
    def calls():
        for _ in range(round(20 * work.MORE)):
            work.fibonacci(9)
    benchmark(calls)
"""


def side(more: float, opened: "Opened") -> Side:
    """A tree whose functions do so many times the work."""
    files = {
        "work.py": SOURCE.format(more=more).replace("\\\\", "\\").encode(),
        "tests/test_work.py": TESTS.encode(),
    }
    return Side(Tree("", datetime.now(UTC), files), Environment(), opened.open)


class Opened:
    """Opens sandboxes in a jail of their own."""

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[ProgramRunner]:
        """One, closed at the end."""
        sandbox = await self._backend.create(SandboxRequest(owner="benchmark", shared=False))
        try:
            yield sandbox
        finally:
            await sandbox.close()


async def measure(rounds: int) -> None:
    """Print a line for each comparison, and the counts."""
    backend = LocalBackend(cache_dir=Path(platformdirs.user_cache_dir("proofbox")))
    opened = Opened(backend)
    try:
        for title, more in (("the same", 1.0), ("a tenth more", 1.1)):
            found: list[Speed] = []
            began = time.monotonic()
            for _ in range(rounds):
                base, head = side(1.0, opened), side(more, opened)
                pull = Pull("base...head", base.tree, head.tree)
                found += await compare_speed(pull, base, head, PrRequest("."))
            for one in found:
                sys.stdout.write(
                    f"{title:<13}{one.name.rpartition('::')[2]:<20}{one.verdict:<10}"
                    f"{one.ratio:6.3f} ({one.low:.3f} to {one.high:.3f}) pairs {one.pairs:>2} "
                    f"p {one.p:.2g} events {one.events} {one.why}\n"
                )
            counts = Counter(one.verdict for one in found)
            seconds = time.monotonic() - began
            sys.stdout.write(
                f"{title}: {len(found)} comparisons, {dict(counts)}, {seconds:.0f} s\n"
            )
    finally:
        await backend.close()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    anyio.run(measure, parser.parse_args().rounds)


if __name__ == "__main__":
    main()
