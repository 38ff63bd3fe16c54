"""The judge over several sandboxes: losses, failures of our side, times, and what it holds in memory."""

import math
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest
from judging import judge_all

from proofbox.server.programs import OpenSandbox
from proofbox.server.sandbox import (
    Program,
    ProgramResult,
    ProgramRunner,
    SandboxRejected,
    SandboxUnavailable,
)
from proofbox.tools.benchmark_model.builtin import builtin_tasks
from proofbox.tools.benchmark_model.judging import judge
from proofbox.tools.benchmark_model.judging.turns import Turns
from proofbox.tools.benchmark_model.sample import Candidate
from proofbox.tools.benchmark_model.task import Case, Check, Task

SIMPLE = Task(
    "t",
    "Double x.",
    "double",
    cases=(Case("__check__(double(2))", (Check("double(2) == 4", 4),)),),
    reference="def double(x):\n    return 2 * x",
)


class Losing:
    """A sandbox that is lost for good when it has run so many programs."""

    def __init__(self, sandbox: ProgramRunner, programs: float, lost: list[float]) -> None:
        self._sandbox = sandbox
        self._left = self._life = programs
        self._lost = lost

    async def run_program(self, program: Program) -> ProgramResult:
        self._left -= 1
        if self._left == -1:
            self._lost.append(self._life)
        if self._left < 0:
            raise SandboxUnavailable("It was taken away.", may_have_started=True)
        result = await self._sandbox.run_program(program)
        if self._left < 0:
            raise SandboxUnavailable("It was taken away.", may_have_started=True)
        return result


def losing(
    open_sandbox: OpenSandbox, lives: Iterator[float], lost: list[float] | None = None
) -> OpenSandbox:
    """Opens sandboxes each of which lives for so many programs; `lost` learns of those that are."""

    @asynccontextmanager
    async def open_one() -> AsyncGenerator[ProgramRunner]:
        life = next(lives)
        async with open_sandbox() as sandbox:
            yield Losing(sandbox, life, [] if lost is None else lost)

    def make() -> AbstractAsyncContextManager[ProgramRunner]:
        return open_one()

    return make


@pytest.mark.slow
async def test_losing_sandboxes_in_the_middle_changes_no_verdict(open_sandbox: OpenSandbox) -> None:
    """Shards over three sandboxes, two of which are lost, give what one that lives gives."""
    tasks = dict(list(builtin_tasks().items())[:12])
    candidates = [
        Candidate(task.id, "m", number, code)
        for task in tasks.values()
        for number, code in enumerate([task.reference, *(wrong.code for wrong in task.wrong)])
    ]
    lost: list[float] = []
    lives = iter([3.0, 5.0, *[math.inf] * 10])

    alone = await judge_all(candidates, tasks, open_sandbox)
    sharded = await judge_all(candidates, tasks, losing(open_sandbox, lives, lost), sandboxes=3)

    assert [j.outcome for j in sharded] == [j.outcome for j in alone]
    assert sum(j.passed for j in alone) == 12
    assert sorted(lost) == [3.0, 5.0]


async def test_an_answer_that_nothing_can_run_is_no_models_fault(open_sandbox: OpenSandbox) -> None:
    """Tried in four sandboxes, then shown as our failure."""
    lost: list[float] = []
    lives = iter([1.0] * 10)

    (judgement,) = await judge_all(
        [Candidate("t", "m", 0, SIMPLE.reference)],
        {"t": SIMPLE},
        losing(open_sandbox, lives, lost),
    )

    assert judgement.outcome == "infra_error"
    assert "taken away" in judgement.reason
    assert len(lost) == 4


async def test_without_a_sandbox_every_answer_is_an_error_of_ours() -> None:
    """None is counted against a model."""

    @asynccontextmanager
    async def refused() -> AsyncGenerator[ProgramRunner]:
        raise SandboxRejected("No key.")
        yield

    candidates = [Candidate("t", "m", n, SIMPLE.reference) for n in range(3)]

    judgements = await judge_all(candidates, {"t": SIMPLE}, refused)

    assert [j.outcome for j in judgements] == ["infra_error"] * 3
    assert {j.reason for j in judgements} == {"No key."}


async def test_answers_without_code_need_no_sandbox_time(open_sandbox: OpenSandbox) -> None:
    """They come back as what they are."""
    candidates = [
        Candidate("t", "m", 0, ""),
        Candidate("t", "m", 1, "", without_code="refusal"),
        Candidate("t", "m", 2, "", without_code="max_tokens"),
    ]

    judgements = await judge_all(candidates, {"t": SIMPLE}, open_sandbox)

    assert [j.outcome for j in judgements] == ["no_code", "refusal", "max_tokens"]
    assert not any(j.syntax_valid for j in judgements)


async def test_a_reference_that_fails_its_own_tests_is_our_problem(
    open_sandbox: OpenSandbox,
) -> None:
    """Nothing is said of answers to a task that cannot be judged."""
    task = Task(
        "t", "", "f", test="for _ in [1]:\n    assert f() == 2", reference="def f(): return 1"
    )

    (judgement,) = await judge_all([Candidate("t", "m", 0, "x")], {"t": task}, open_sandbox)

    assert judgement.outcome == "infra_error"
    assert "its reference solution fails its own tests" in judgement.reason


async def test_tests_that_pass_whatever_is_asked_of_them_judge_nobody(
    open_sandbox: OpenSandbox,
) -> None:
    """A `check` that is called by nobody, awaited by nobody or compares nothing would let every answer pass."""
    right = "def f(x):\n    return x"
    tasks = {
        "never called": Task("", "", "f", test="def test_f():\n    assert f(1) == 1"),
        "misnamed": Task("", "", "f", test="def chek(c):\n    assert c(1) == 1", reference=right),
        "not awaited": Task("", "", "f", test="async def check(c):\n    assert c(1) == 1"),
        "compares nothing": Task("", "", "f", test="def check(c):\n    c(1) == 1", reference=right),
        "sound": Task("", "", "f", test="for x in [1]:\n    assert f(x) == 1"),
    }
    tasks = {name: replace(task, id=name) for name, task in tasks.items()}
    candidates = [Candidate(name, "m", 0, right) for name in tasks]

    judgements = await judge_all(candidates, tasks, open_sandbox)

    outcomes = {one.candidate.task_id: one.outcome for one in judgements}
    assert outcomes.pop("sound") == "passed"
    assert set(outcomes.values()) == {"infra_error"}
    assert "its tests pass a function that does nothing" in judgements[0].reason


async def test_candidates_are_taken_as_they_are_needed(open_sandbox: OpenSandbox) -> None:
    """Memory does not grow with their number, and leaving early stops everything."""
    taken: list[int] = []

    def endless() -> Iterator[Candidate]:
        number = 0
        while True:
            taken.append(number)
            yield Candidate("t", "m", number, SIMPLE.reference)
            number += 1

    with anyio.fail_after(60):
        async with judge(endless(), {"t": SIMPLE}, open_sandbox) as judgements:
            seen = 0
            async for judgement in judgements:
                assert judgement.passed
                seen += 1
                assert len(taken) <= seen + 4
                if seen == 10:
                    break


@pytest.mark.slow
async def test_times_are_taken_outside_and_compared_with_the_reference(
    open_sandbox: OpenSandbox,
) -> None:
    """An answer that changes its clocks is as slow as it is; one that fails later is flaky."""
    patched = (
        "import time\nreal = time.sleep\n"
        "time.time = time.perf_counter = time.monotonic = time.process_time = lambda: 0.0\n"
        "time.sleep = lambda s: None\n"
        "def double(x):\n    real(2.1)\n    return 2 * x"
    )
    unsteady = "import os\ndef double(x):\n    return 2 * x if os.urandom(1)[0] < 128 else 0"
    candidates = [Candidate("t", "m", 0, patched), Candidate("t", "m", 1, SIMPLE.reference)]
    candidates += [Candidate("t", "m", n, unsteady) for n in range(2, 14)]

    judgements = await judge_all(candidates, {"t": SIMPLE}, open_sandbox, timing_runs=3)

    slow, reference, *unsteady_ones = judgements
    assert slow.execution_seconds is not None
    assert slow.execution_seconds >= 2.1
    assert slow.relative_time is not None
    assert slow.relative_time > 10
    assert "changes modules" in slow.flags
    assert reference.relative_time is not None
    assert (reference.runs, reference.flags) == (3, ())
    assert any("flaky" in judgement.flags for judgement in unsteady_ones)


async def test_one_who_runs_alone_waits_for_the_others_and_they_for_it() -> None:
    """What failed for lack of memory or time is tried again with the machine to itself."""
    turns = Turns()
    order: list[str] = []
    first_runs, go_on = anyio.Event(), anyio.Event()

    async def shared(name: str, wait: Callable[[], bool]) -> None:
        async with turns.shared():
            order.append(f"{name} begins")
            first_runs.set()
            if wait():
                await go_on.wait()
            order.append(f"{name} ends")

    async def alone() -> None:
        async with turns.alone():
            order.append("alone begins")
            await anyio.lowlevel.checkpoint()
            order.append("alone ends")

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(shared, "first", lambda: True)
            await first_runs.wait()
            group.start_soon(alone)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(shared, "second", lambda: False)
            await anyio.wait_all_tasks_blocked()
            go_on.set()

    assert order == [
        "first begins", "first ends", "alone begins", "alone ends", "second begins", "second ends",
    ]  # fmt: skip
