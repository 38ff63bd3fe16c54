"""Judge answers: each in a process of its own, over as many sandboxes as are given."""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio.abc import ObjectSendStream

from ....server import programs
from ....server.programs import OpenSandbox, Ran
from ....server.sandbox import Program, ProgramResult, ProgramRunner
from ..sample import Candidate, Judgement
from ..suspicion import suspicious
from ..task import Task
from . import build
from .build import Builder, Plan
from .place import Place, Timed
from .turns import Turns
from .verdict import Finding


@asynccontextmanager
async def judge(
    candidates: Iterable[Candidate],
    tasks: Mapping[str, Task],
    open_sandbox: OpenSandbox,
    *,
    sandboxes: int = 1,
    lanes: int = 2,
    timing_runs: int = 1,
) -> AsyncGenerator[AsyncIterator[Judgement]]:
    """Judge candidates, which are taken as sandboxes become free: memory does not grow with their number.

    Gives an iterator over one judgement for each, in the order in which they are ready. With `timing_runs`
    over 1, an answer that passes runs as often, and so does the reference once.

    Raises:
        KeyError: a candidate's task is not among `tasks`.
    """
    judging = _Judging(tasks, open_sandbox, timing_runs)
    send, receive = anyio.create_memory_object_stream[Judgement](0)
    async with anyio.create_task_group() as group, receive:
        group.start_soon(judging.run, candidates, send, sandboxes, lanes)
        yield receive
        group.cancel_scope.cancel()


@dataclass(slots=True)
class _Trial:
    """A candidate on its way to its verdict."""

    candidate: Candidate
    task: Task
    nonce: str
    judgement: Judgement | None = None


class _Judging:
    """What all lanes share."""

    def __init__(
        self, tasks: Mapping[str, Task], open_sandbox: OpenSandbox, timing_runs: int
    ) -> None:
        self.tasks = tasks
        self.timing_runs = timing_runs
        self.turns = Turns()
        self.trials: dict[str, _Trial] = {}
        self._open = open_sandbox
        self._plans: dict[str, Plan] = {}
        self._references: dict[str, float | None] = {}
        self._locks: dict[str, anyio.Lock] = {}

    async def run(
        self,
        candidates: Iterable[Candidate],
        send: ObjectSendStream[Judgement],
        sandboxes: int,
        lanes: int,
    ) -> None:
        """Judge everything; what our side failed at is tried once more at the end."""
        async with send:
            failed: list[_Trial] = []
            left: Iterator[_Trial] = map(self._trial, candidates)
            for last in (False, True):
                again: list[_Trial] = []
                async with programs.run(
                    self._programs(left), self._sandbox, sandboxes=sandboxes, lanes=lanes
                ) as ended:
                    async for ran in ended:
                        await self._ended(ran, send, None if last else again)
                failed, left = again, iter(again)
                if not failed:
                    return

    def _trial(self, candidate: Candidate) -> _Trial:
        return _Trial(candidate, self.tasks[candidate.task_id], secrets.token_hex(16))

    def _programs(self, trials: Iterator[_Trial]) -> Iterator[Program]:
        for number, trial in enumerate(trials):
            self.trials[str(number)] = trial
            yield Program(str(number))  # what runs for it is decided where it runs

    async def _ended(
        self, ran: Ran, send: ObjectSendStream[Judgement], again: list[_Trial] | None
    ) -> None:
        trial = self.trials.pop(ran.program.id)
        judgement = trial.judgement if ran.result is not None else None
        if judgement is None:
            judgement = _judgement(trial, Timed(Finding("infra_error", ran.error)), None)
        if judgement.outcome == "infra_error" and again is not None:
            again.append(trial)
        else:
            await send.send(judgement)

    @asynccontextmanager
    async def _sandbox(self) -> AsyncGenerator[ProgramRunner]:
        async with self._open() as sandbox:
            result = await sandbox.run_program(build.compiling())
            compiled = result.cells[-1].value if result.cells else None
            yield _Bench(self, Place(sandbox, Builder(compiled or "")))

    async def plan(self, task: Task, place: Place) -> Plan:
        """How answers to a task are judged; found out once, by the first who asks."""
        async with self._locks.setdefault(task.id, anyio.Lock()):
            if task.id not in self._plans:
                self._plans[task.id] = await place.plan(task)
            return self._plans[task.id]

    async def reference_seconds(self, task: Task, place: Place) -> float | None:
        """The best time of the task's reference, None where it has none; measured once."""
        if self.timing_runs < 2 or not task.reference:
            return None
        plan = await self.plan(task, place)
        async with self._locks[task.id]:
            if task.id not in self._references:
                runs = range(self.timing_runs)
                timed = [await place.once(task, task.reference, plan, "reference") for _ in runs]
                passed = [t.seconds for t in timed if t.finding.outcome == "passed" and t.seconds]
                self._references[task.id] = min(passed, default=None)
            return self._references[task.id]


class _Bench:
    """A sandbox in which whole trials run, as the engine's runner: a loss repeats all of a trial."""

    def __init__(self, judging: _Judging, place: Place) -> None:
        self._judging = judging
        self._place = place

    async def run_program(self, program: Program) -> ProgramResult:
        """Bring a trial to its verdict."""
        trial = self._judging.trials[program.id]
        trial.judgement = await self._judge(trial)
        return ProgramResult(program.id, "completed")

    async def _judge(self, trial: _Trial) -> Judgement:
        if not trial.candidate.code.strip():
            reason = "There is no code in what the model said."
            return Judgement(trial.candidate, trial.candidate.without_code, reason)
        judging = self._judging
        plan = await judging.plan(trial.task, self._place)
        if plan.problem:
            reason = f"The task cannot be judged: {plan.problem}"
            return _judgement(trial, Timed(Finding("infra_error", reason)), plan)
        async with judging.turns.shared():
            timed = await self._once(trial, plan)
        if timed.finding.doubtful:
            # Something else may have taken the memory, the processes or the time that it wanted.
            async with judging.turns.alone():
                timed = await self._once(trial, plan)
        if timed.finding.outcome != "passed" or judging.timing_runs < 2:
            return _judgement(trial, timed, plan)
        return await self._time(trial, plan, timed)

    async def _once(self, trial: _Trial, plan: Plan) -> Timed:
        return await self._place.once(trial.task, trial.candidate.code, plan, trial.nonce)

    async def _time(self, trial: _Trial, plan: Plan, first: Timed) -> Judgement:
        reference = await self._judging.reference_seconds(trial.task, self._place)
        runs = [first]
        for _ in range(self._judging.timing_runs - 1):
            async with self._judging.turns.shared():
                runs.append(await self._once(trial, plan))
        passed = [run for run in runs if run.finding.outcome == "passed"]
        best = min(passed, key=lambda run: run.seconds or 0.0)
        flags = ("flaky",) if len(passed) < len(runs) else ()
        return _judgement(trial, best, plan, reference, len(runs), flags)


def _judgement(
    trial: _Trial,
    timed: Timed,
    plan: Plan | None,
    reference: float | None = None,
    runs: int = 1,
    flags: tuple[str, ...] = (),
) -> Judgement:
    finding, task = timed.finding, trial.task
    marks = suspicious(trial.candidate.code, task.language)
    relative = timed.seconds / reference if timed.seconds and reference else None
    return Judgement(
        candidate=trial.candidate,
        outcome=finding.outcome,
        reason=finding.reason,
        execution_seconds=timed.seconds,
        relative_time=relative,
        cpu_seconds=timed.cpu_seconds,
        runs=runs if timed.seconds is not None else 0,
        checks=finding.checks,
        checks_passed=finding.passed,
        method=plan.method if plan is not None else "",
        flags=(*(mark for mark in marks if mark not in task.allows), *flags),
    )
