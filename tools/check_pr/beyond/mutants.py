"""Mutants of changed lines, tried on the tests that run these."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ....server.programs import OpenSandbox
from ...run_generated_tests.compiling import Compiled
from ...run_generated_tests.measured import Mutant, Worth, WorthOptions
from ...run_generated_tests.project import ROOT, Project
from ...run_generated_tests.running import run_mixed
from ...run_generated_tests.worth import plan, read

_MOST_MUTANTS = 60
"""Enough to see whether changed lines are checked at all; more is what `run_generated_tests` is for."""


@dataclass(frozen=True, slots=True)
class Tried:
    """Mutants that no test noticed, of `clear` that came to an answer; `problem`: why none were tried."""

    survivors: tuple[Mutant, ...] = ()
    clear: int = 0
    problem: str = ""


async def try_mutants(
    project: Project,
    tests: Mapping[str, Mapping[str, Sequence[int]]],
    lines: Mapping[str, Iterable[int]],
    options: WorthOptions,
    compiled: Compiled,
    seconds: float,
    opened: OpenSandbox,
) -> Tried:
    """Try mutants of these lines, by path, on tests of which it is known what they run. `seconds` are the most
    that all of it may take.
    """
    common = plan(project, list(tests), options)
    guest: dict[str, Any] = {
        **common.guests["worth"],
        # What no test imports has not run.
        "modules": [],
        "vacuity": None,
        "lines": {f"{ROOT}/{path}": sorted(numbers) for path, numbers in lines.items()},
        "known": {
            test: {f"{ROOT}/{path}": numbers for path, numbers in ran.items()}
            for test, ran in tests.items()
        },
    }
    guest["mutation"] = {**guest["mutation"], "most": _MOST_MUTANTS}
    limit = min(common.seconds, seconds)
    job = replace(common, guests={"worth": guest}, compiled=compiled, seconds=limit)
    [run] = await run_mixed([(project, job)], opened)
    worth = read(run, list(tests), options)
    if worth.mutation is None:
        return Tried(problem=f"No mutants were tried: {_trouble(worth)}")
    clear = worth.mutation.count("killed") + worth.mutation.count("survived")
    return Tried(worth.mutation.survivors, clear)


def _trouble(worth: Worth) -> str:
    return next(iter(worth.problems), "The run that measures gave no answer.")
