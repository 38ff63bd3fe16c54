"""Timed runs of benchmarks: one process a side and a round, so that chance in a process is in the samples."""

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, Literal

import anyio

from ....server.programs import OpenSandbox
from ...run_generated_tests.events import TestRun
from ...run_generated_tests.project import Project
from ...run_generated_tests.running import Plan, run_mixed
from ..evidence.ground import search_path
from ..request import PrRequest

SideName = Literal["base", "head"]

BATCH_SECONDS = 0.008
SECONDS = 0.8

_GUEST = Path(__file__).parent / "guest"
_NAME = "timing"
_COUNTED_ROUNDS = 2
_NEAR_SECONDS = 0.15
_FEWEST_NEAR = 5
_TICK = 1e-9


@cache
def modules() -> Mapping[str, str]:
    """The guest modules, their sources by name."""
    return {name: (_GUEST / f"{name}.py").read_text() for name in (_NAME, "counting")}


@dataclass(frozen=True, slots=True)
class Timed:
    """One benchmark in one process.

    Attributes:
        batches: when each was (its middle, in seconds of the machine's clock), and CPU seconds of a call.
        loops: calls a batch. `waited`: share of the time spent waiting. `events`: of one call.
    """

    batches: tuple[tuple[float, float], ...]
    loops: int
    waited: float
    events: int | None


@dataclass(frozen=True, slots=True)
class Round:
    """One process of one side. `failed`: benchmarks of which it has no time, and why; `problem`: why the
    process as a whole gave none.
    """

    timed: Mapping[str, Timed] = field(default_factory=dict[str, Timed])
    failed: Mapping[str, str] = field(default_factory=dict[str, str])
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """One side: its code with the benchmarks, and the sandbox that has what it needs."""

    project: Project
    open_sandbox: OpenSandbox


def plan(
    lane: Lane,
    number: int,
    ids: Sequence[str] | None,
    loops: Mapping[str, int],
    request: PrRequest,
) -> Plan:
    """Time these benchmarks, all of them for None. Hash seeds are the same in a round on both sides."""
    options = {
        "loops": dict(loops),
        "batch_seconds": BATCH_SECONDS,
        "seconds": SECONDS,
        "count": number < _COUNTED_ROUNDS,
        "core": number,
    }
    return Plan(
        ids=tuple(ids) if ids is not None else None,
        hash_seed=number,
        probes=False,
        env={"PYTHONPATH": search_path(lane.project), **request.env},
        seconds=request.seconds,
        test_seconds=request.test_seconds,
        modules=modules(),
        guests={_NAME: options},
    )


async def run_round(lanes: Sequence[tuple[Lane, Plan]]) -> list[Round]:
    """Two sides at the same time and on the same core, so that what else the machine does hits both alike. In their order.

    Standard deviations on two cores with ten to eighteen busy processes, from one pair of the same code to the next:
    13 % of the quotient of medians; 12 to 14 % of the median of the quotients of batches at the same time on any core;
    3 to 5 % of the same on one core.
    """
    (one, one_plan), (other, other_plan) = lanes
    wanted = [(one.project, one_plan), (other.project, other_plan)]
    if one.open_sandbox == other.open_sandbox:
        return [read(run) for run in await run_mixed(wanted, one.open_sandbox)]
    found: dict[int, Round] = {}

    async def run(index: int, lane: Lane) -> None:
        [ran] = await run_mixed([wanted[index]], lane.open_sandbox)
        found[index] = read(ran)

    async with anyio.create_task_group() as group:
        group.start_soon(run, 0, one)
        group.start_soon(run, 1, other)
    return [found[0], found[1]]


def quotient(base: Timed, head: Timed) -> float:
    """CPU time of head over that of base: the median over pairs of batches that were next to each other in time.

    In two machines, whose clocks have nothing in common, by their order.
    """
    times = [when for when, _ in base.batches]
    pairs: list[float] = []
    for when, seconds in head.batches:
        at = bisect(times, when)
        near = [index for index in (at - 1, at) if 0 <= index < len(times)]
        index = min(near, key=lambda index: abs(times[index] - when))
        if abs(times[index] - when) <= _NEAR_SECONDS:
            pairs.append(_over(seconds, base.batches[index][1]))
    if len(pairs) < _FEWEST_NEAR:
        both = zip(head.batches, base.batches, strict=False)
        pairs = [_over(seconds, other) for (_, seconds), (_, other) in both]
    return median(pairs)


def _over(head: float, base: float) -> float:
    return max(head, _TICK) / max(base, _TICK)


def read(run: TestRun) -> Round:
    """What a process says. A benchmark that did not pass has no time, whatever it measured before it failed."""
    told: dict[str, Mapping[str, Any]] = {
        record["id"]: record for record in run.guests.get(_NAME, ())
    }
    timed: dict[str, Timed] = {}
    failed = {path: f"it cannot be imported: {_said(error)}" for path, error in run.not_collected.items()}  # fmt: skip
    for name, result in run.tests.items():
        record = told.get(name)
        if result.outcome == "passed" and record is not None:
            batches = tuple((when, seconds) for when, seconds in record["batches"])
            timed[name] = Timed(batches, record["loops"], record["waited"], record["events"])
        elif result.outcome == "passed":
            failed[name] = "it never called `benchmark`"
        else:
            why = _said(result.error) if result.error else result.reason or "it was not run"
            failed[name] = f"{result.outcome.replace('_', ' ')}: {why}"
    problem = "" if timed or failed else " ".join(run.problems) or "No benchmark was collected."
    return Round(timed, failed, problem)


def _said(error: Any) -> str:
    first = error.message.strip().partition("\n")[0][:200]
    return f"{error.type}: {first}" if error.type else first
