"""One repeat of a suite of 500 tests, beside plain pytest in the same sandbox.

    uv run benchmarks/generated_tests.py [--tests N] [--rounds N]

Medians and minima of alternating rounds, wall and CPU time: of `python -m pytest -q` as a program; of one run with all
its records and assertions counted, as `repeat=1` has it; and of that and the weighing of the tests without mutation
(coverage, and whether each test notices a broken function).
"""

import argparse
import statistics
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import platformdirs

from proofbox.server.sandbox import Cell, Program, ProgramRunner, SandboxRequest
from proofbox.server.sandbox.local.backend import LocalBackend
from proofbox.tools.run_generated_tests.measured import WorthOptions
from proofbox.tools.run_generated_tests.project import Module, Project
from proofbox.tools.run_generated_tests.running import Plan, run_all
from proofbox.tools.run_generated_tests.worth import weigh

_FUNCTIONS = 20
_PLAIN = """
import resource, subprocess, sys
ran = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], capture_output=True, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(ran.stdout.splitlines()[-1], used.ru_utime + used.ru_stime)
"""


def suite(tests: int) -> Project:
    """Small functions, and tests that look at their results."""
    source = "".join(
        f"def f{n}(a, b):\n    if a > {n}:\n        return [a, b * {n}]\n    return [b]\n\n"
        for n in range(_FUNCTIONS)
    )
    checks = "".join(
        f"def test_{n}():\n"
        f"    assert f{n % _FUNCTIONS}({n + 100}, {n}) == [{n + 100}, {n * (n % _FUNCTIONS)}]\n\n"
        for n in range(tests)
    )
    names = ", ".join(f"f{n}" for n in range(_FUNCTIONS))
    return Project(
        files={"many.py": source.encode(), "test_many.py": f"from many import {names}\n\n{checks}".encode()},
        sources=(Module("many.py", "many"),),
        tests=("test_many.py",),
    )  # fmt: skip


Seconds = dict[str, list[float]]


async def measure(tests: int, rounds: int) -> tuple[Seconds, Seconds]:
    """Seconds of the clock and of the CPU, by what was run."""
    project = suite(tests)
    backend = LocalBackend(cache_dir=Path(platformdirs.user_cache_dir("proofbox")))
    seconds: Seconds = {"pytest": [], "one repeat": [], "and what it is worth": []}
    used: Seconds = {name: [] for name in seconds}
    sandbox = await backend.create(SandboxRequest(owner="benchmark"))

    @asynccontextmanager
    async def opened() -> AsyncGenerator[ProgramRunner]:
        yield sandbox

    plain = Program("plain", (Cell(_PLAIN),), files=dict(project.files), timeout=300)
    try:
        for _ in range(rounds):
            began = time.perf_counter()
            result = await sandbox.run_program(plain)
            seconds["pytest"].append(time.perf_counter() - began)
            said, _, cpu = result.cells[0].stdout.text.strip().rpartition(" ")
            assert f"{tests} passed" in said
            used["pytest"].append(float(cpu))
            began = time.perf_counter()
            [run] = await run_all(project, [Plan(count_assertions=True)], opened)
            seconds["one repeat"].append(time.perf_counter() - began)
            used["one repeat"].append(run.cpu_seconds)
            assert sum(test.outcome == "passed" for test in run.tests.values()) == tests
            worth = await weigh(project, run, opened, WorthOptions(mutation="off"))
            seconds["and what it is worth"].append(time.perf_counter() - began)
            used["and what it is worth"].append(run.cpu_seconds + worth.cpu_seconds)
            assert worth.complete
            assert not worth.findings
    finally:
        await sandbox.close()
        await backend.close()
    return seconds, used


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    for kind, measured in zip(
        ("wall", "CPU"), anyio.run(measure, wanted.tests, wanted.rounds), strict=True
    ):
        for name, found in measured.items():
            middle, least = statistics.median(found), min(found)
            sys.stdout.write(f"{kind:<5}{name:<22} median {middle:6.2f} s  least {least:6.2f} s\n")
        bound = 1.3 * statistics.median(measured["pytest"]) + 0.5
        sys.stdout.write(
            f"{kind:<5}bound for one repeat: {bound:.2f} s (1.3 times pytest and 0.5 s)\n"
        )


if __name__ == "__main__":
    main()
