"""The engine behind the workflows: every program ends once, whatever happens to sandboxes."""

import gc
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from proofbox.server import programs
from proofbox.server.sandbox import (
    Cell,
    CellResult,
    InvalidInput,
    Program,
    ProgramResult,
    SandboxBusy,
    SandboxUnavailable,
)


class Machine:
    """Opens runners that evaluate a program's one cell; `lose` names runs after which they are gone. There is memory
    for those in `large` one at a time, and never for those in `endless`.
    """

    def __init__(self, *, lose: dict[int, bool] | None = None) -> None:
        self.opened = 0
        self.open = 0
        self.runs: list[str] = []
        self.most_at_once = 0
        self.refuse: Exception | None = None
        self.hold: anyio.Event | None = None
        self.large: frozenset[str] = frozenset()
        self.endless: frozenset[str] = frozenset()
        self._at_once = 0
        self._lose = lose or {}

    @asynccontextmanager
    async def sandbox(self) -> AsyncGenerator["Runner"]:
        if self.refuse is not None:
            raise self.refuse
        self.opened += 1
        self.open += 1
        try:
            yield Runner(self)
        finally:
            self.open -= 1

    async def run(self, runner: "Runner", program: Program) -> ProgramResult:
        if runner.lost:
            raise SandboxUnavailable("it is gone")
        self.runs.append(program.id)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        is_crowded = self._at_once > 1
        try:
            await anyio.lowlevel.checkpoint()
            if self.hold is not None:
                await self.hold.wait()
        finally:
            self._at_once -= 1
        if self._lose.pop(len(self.runs), False):
            runner.lost = True
            raise SandboxUnavailable("it was lost", may_have_started=True)
        if program.id in self.endless or (program.id in self.large and is_crowded):
            return ProgramResult(program.id, "out_of_memory")
        if program.id == "bad":
            raise InvalidInput("a file cannot be written")
        value = repr(eval(program.cells[0].code))
        return ProgramResult(program.id, "completed", cells=(CellResult("completed", value=value),))


class Runner:
    """One sandbox of a `Machine`."""

    def __init__(self, machine: Machine) -> None:
        self.lost = False
        self._machine = machine

    async def run_program(self, program: Program) -> ProgramResult:
        return await self._machine.run(self, program)


def squares(count: int) -> list[Program]:
    """Programs whose value is the square of their id."""
    return [Program(str(n), (Cell(f"{n} ** 2"),)) for n in range(count)]


async def collect(
    machine: Machine, wanted: list[Program], *, sandboxes: int = 1, lanes: int = 1
) -> dict[str, programs.Ran]:
    """What became of each, by id; fails if one came twice."""
    found: dict[str, programs.Ran] = {}
    with anyio.fail_after(10):
        async with programs.run(
            wanted, machine.sandbox, sandboxes=sandboxes, lanes=lanes, ramp_seconds=0
        ) as results:
            async for ran in results:
                assert ran.program.id not in found
                found[ran.program.id] = ran
    assert machine.open == 0
    return found


def values(found: dict[str, programs.Ran]) -> dict[str, str | None]:
    return {name: ran.result.cells[0].value if ran.result else None for name, ran in found.items()}


@pytest.mark.parametrize(("sandboxes", "lanes"), [(1, 1), (1, 3), (3, 1), (3, 2)])
async def test_every_program_comes_back_once_with_its_own_result(
    sandboxes: int, lanes: int
) -> None:
    """Whatever the number of sandboxes and lanes."""
    machine = Machine()

    found = await collect(machine, squares(50), sandboxes=sandboxes, lanes=lanes)

    assert values(found) == {str(n): str(n**2) for n in range(50)}
    assert machine.most_at_once <= sandboxes * lanes
    assert machine.opened <= sandboxes


async def test_no_programs_are_no_results_and_open_nothing() -> None:
    """Nothing is started for an empty list."""
    machine = Machine()

    assert await collect(machine, []) == {}
    assert machine.opened == 0


async def test_the_programs_of_a_lost_sandbox_run_once_more_elsewhere() -> None:
    """One loss among three sandboxes leaves all results right, and is reported."""
    machine = Machine(lose={7: True})

    found = await collect(machine, squares(60), sandboxes=3, lanes=2)

    assert values(found) == {str(n): str(n**2) for n in range(60)}
    assert 1 <= sum(ran.losses for ran in found.values()) <= 2
    assert machine.opened == 4


async def test_a_program_that_loses_two_sandboxes_is_given_up_as_our_failure() -> None:
    """It is neither passed nor failed, and it takes no third sandbox with it."""
    machine = Machine(lose={1: True, 2: True})

    found = await collect(machine, [*squares(1)])

    assert found["0"].result is None
    assert found["0"].losses == 2
    assert "lost" in found["0"].error
    assert machine.runs == ["0", "0"]


async def test_a_loss_does_not_count_against_a_program_that_had_not_begun() -> None:
    """A lane that takes a program after its sandbox was lost gives it back untouched."""
    machine = Machine(lose={1: True, 3: True})

    found = await collect(machine, squares(2), lanes=2)

    assert values(found) == {"0": "0", "1": "1"}


async def test_a_program_that_cannot_be_started_harms_no_other() -> None:
    """Bad input is that program's own."""
    machine = Machine()

    found = await collect(machine, [*squares(3), Program("bad", (Cell("1"),))])

    assert found["bad"].result is None
    assert found["bad"].error == "a file cannot be written"
    assert values(found)["2"] == "4"


async def test_without_any_sandbox_every_program_says_why() -> None:
    """Nothing is silently left out."""
    machine = Machine()
    machine.refuse = SandboxBusy("the team is full")

    found = await collect(machine, squares(5), sandboxes=2)

    assert [ran.error for ran in found.values()] == ["the team is full"] * 5
    assert not any(ran.result for ran in found.values())


async def test_programs_are_read_only_as_fast_as_results_are_taken() -> None:
    """A million programs need the memory of a few."""
    taken = 0

    def lazily() -> Iterator[Program]:
        nonlocal taken
        for program in squares(1000):
            taken += 1
            yield program

    machine = Machine()
    with anyio.fail_after(10):
        async with programs.run(
            lazily(), machine.sandbox, sandboxes=2, lanes=2, ramp_seconds=0
        ) as results:
            async for _ in results:
                break
            for _ in range(100):
                await anyio.lowlevel.checkpoint()

            assert taken <= 8
    assert machine.open == 0


async def test_leaving_early_stops_what_runs() -> None:
    """A caller that has seen enough leaves nothing behind."""
    machine = Machine()
    machine.hold = anyio.Event()

    with anyio.fail_after(10):
        async with programs.run(squares(10), machine.sandbox, lanes=3):
            while len(machine.runs) < 3:
                await anyio.lowlevel.checkpoint()

    assert machine.open == 0
    assert len(machine.runs) == 3


async def test_further_sandboxes_are_opened_only_for_work_that_lasts() -> None:
    """Opening one can cost more than a few programs; the results do not wait for those that never come."""
    machine = Machine()

    async with programs.run(
        squares(20), machine.sandbox, sandboxes=3, lanes=2, ramp_seconds=3600
    ) as results:
        with anyio.fail_after(10):
            found = {ran.program.id: ran async for ran in results}

    assert values(found) == {str(n): str(n**2) for n in range(20)}
    assert machine.opened == 1


async def test_kept_sandboxes_serve_one_run_after_another() -> None:
    """They are closed when they are lost, when others are wanted, and at the end."""
    machine = Machine(lose={5: True})

    with anyio.fail_after(10):
        async with programs.Kept(machine.sandbox) as kept:
            opened = [await _run_kept(machine, kept) for _ in range(3)]
            kept.renew()
            opened.append(await _run_kept(machine, kept))

    assert opened == [(1, 1), (2, 1), (2, 1), (3, 1)]
    assert kept.losses == 1
    assert machine.open == 0


async def _run_kept(machine: Machine, kept: programs.Kept) -> tuple[int, int]:
    async with programs.run(squares(4), kept.open, lanes=1) as results:
        found = {ran.program.id: ran async for ran in results}
    assert values(found) == {str(n): str(n**2) for n in range(4)}
    return machine.opened, machine.open


async def test_kept_sandboxes_that_cannot_be_opened_say_why() -> None:
    """As without keeping, and the next run tries again."""
    machine = Machine()
    machine.refuse = SandboxBusy("the team is full")

    with anyio.fail_after(10):
        async with programs.Kept(machine.sandbox) as kept:
            async with programs.run(squares(2), kept.open) as results:
                refused = [ran.error async for ran in results]
            machine.refuse = None
            opened = await _run_kept(machine, kept)

    assert refused == ["the team is full"] * 2
    assert opened == (1, 1)
    assert machine.open == 0


async def test_leaving_early_closes_what_was_kept() -> None:
    """By an exception too."""
    machine = Machine()

    async def fail() -> None:
        async with programs.Kept(machine.sandbox) as kept:
            await _run_kept(machine, kept)
            raise LookupError

    with anyio.fail_after(10), pytest.raises(LookupError):
        await fail()

    assert machine.open == 0


async def test_nothing_is_kept_of_a_program_whose_result_was_taken() -> None:
    """So that a hundred thousand need the memory of a few."""
    machine = Machine()
    machine.runs = _Forgetful()
    wanted = (Program(str(n), (Cell("1"),)) for n in range(3000))
    objects: list[int] = []

    async with programs.run(
        wanted, machine.sandbox, sandboxes=3, lanes=2, ramp_seconds=0
    ) as results:
        async for ran in results:
            if ran.program.id in {"500", "2500"}:
                gc.collect()
                objects.append(len(gc.get_objects()))

    assert len(objects) == 2
    assert objects[1] - objects[0] < 200


class _Forgetful(list[str]):
    """A record of runs that keeps none."""

    def append(self, item: str) -> None:
        """Forget it."""


@pytest.mark.parametrize("lanes", [1, 2, 4])
async def test_what_a_program_comes_to_does_not_depend_on_the_memory_of_its_neighbours(
    lanes: int,
) -> None:
    """What was too much together is run alone; what is too much alone stays that."""
    machine = Machine()
    machine.large, machine.endless = frozenset("2345"), frozenset("6")

    found = await collect(machine, squares(12), lanes=lanes)

    outcomes = {name: ran.result.outcome for name, ran in found.items() if ran.result}
    assert outcomes == {str(n): "out_of_memory" if n == 6 else "completed" for n in range(12)}
    assert {name: ran.losses for name, ran in found.items()} == dict.fromkeys(outcomes, 0)
    assert machine.runs.count("6") == min(lanes, 2)
