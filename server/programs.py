"""Many programs over a few sandboxes, each result as it is there.

Workers take programs from one queue, so the order of results is not that of the programs. Nothing is read
ahead: a program is taken when a worker is free and a result is handed over before its worker goes on, so memory
does not grow with their number. A program whose sandbox is lost runs again in another one, once; lost
twice, it is nobody's fault but ours and says so.
"""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio.abc import ObjectSendStream

from .sandbox import (
    InvalidInput,
    Program,
    ProgramResult,
    ProgramRunner,
    ProofboxError,
    SandboxError,
    SandboxUnavailable,
)

OpenSandbox = Callable[[], AbstractAsyncContextManager[ProgramRunner]]

_MOST_RUNS = 2


@dataclass(frozen=True, slots=True)
class Ran:
    """A program and what became of it.

    `result` is None where proofbox or the sandbox failed; then `error` says how, and nothing is known
    about the program. `losses` counts the sandboxes that were lost under it.
    """

    program: Program
    result: ProgramResult | None
    error: str = ""
    losses: int = 0


@asynccontextmanager
async def run(
    programs: Iterable[Program], open_sandbox: OpenSandbox, *, sandboxes: int = 1, lanes: int = 2
) -> AsyncGenerator[AsyncIterator[Ran]]:
    """Run programs in up to `sandboxes` sandboxes, `lanes` at a time in each.

    Gives an iterator over one `Ran` for each program; leaving the block early stops everything. If not
    one sandbox can be opened, every program comes back with that error. Each sandbox is opened by
    `open_sandbox` when it is first needed and again after a loss.
    """
    send, receive = anyio.create_memory_object_stream[Ran](0)
    queue = _Queue(iter(programs))
    async with anyio.create_task_group() as workers, receive:
        async with send:
            for _ in range(sandboxes):
                workers.start_soon(_serve, queue, open_sandbox, lanes, send.clone())
        yield receive
        workers.cancel_scope.cancel()


@dataclass(slots=True)
class _Task:
    program: Program
    losses: int = 0


class _Queue:
    """What is still to run. A program that is running may come back, so empty is not the end."""

    def __init__(self, programs: Iterator[Program]) -> None:
        self._programs = programs
        self._again: deque[_Task] = deque()
        self._running = 0
        self._changed = anyio.Condition()

    async def take(self) -> _Task | None:
        """The next program; None when all have ended."""
        async with self._changed:
            while True:
                task = self._again.popleft() if self._again else self._fresh()
                if task is not None:
                    self._running += 1
                    return task
                if not self._running:
                    return None
                await self._changed.wait()

    async def ended(self, task: _Task, *, again: bool) -> None:
        """A program that was taken is done with, or is to be given to another worker."""
        async with self._changed:
            self._running -= 1
            if again:
                self._again.append(task)
            self._changed.notify_all()

    def _fresh(self) -> _Task | None:
        program = next(self._programs, None)
        return None if program is None else _Task(program)


async def _serve(
    queue: _Queue, open_sandbox: OpenSandbox, lanes: int, results: ObjectSendStream[Ran]
) -> None:
    """Keep one sandbox busy, replacing it when it is lost."""
    async with results:
        while (task := await queue.take()) is not None:
            try:
                async with open_sandbox() as sandbox:
                    await _use(sandbox, queue, task, lanes, results)
            except (SandboxError, InvalidInput) as error:
                await _settle(queue, task, error, results)


async def _use(
    sandbox: ProgramRunner, queue: _Queue, first: _Task, lanes: int, results: ObjectSendStream[Ran]
) -> None:
    """Run programs in one sandbox until there are none, or it is lost."""
    lost = anyio.Event()

    async def lane(task: _Task | None) -> None:
        while task is not None:
            if lost.is_set():
                await queue.ended(task, again=True)  # it was not run here, so this is no loss
                return
            await _run_one(sandbox, queue, task, lost, results)
            task = None if lost.is_set() else await queue.take()

    async def empty_lane() -> None:
        await lane(await queue.take())

    async with anyio.create_task_group() as group:
        group.start_soon(lane, first)
        for _ in range(lanes - 1):
            group.start_soon(empty_lane)


async def _run_one(
    sandbox: ProgramRunner,
    queue: _Queue,
    task: _Task,
    lost: anyio.Event,
    results: ObjectSendStream[Ran],
) -> None:
    try:
        result = await sandbox.run_program(task.program)
    except SandboxUnavailable as error:
        lost.set()
        await _settle(queue, task, error, results)
    except (SandboxError, InvalidInput) as error:
        await results.send(Ran(task.program, None, str(error), task.losses))
        await queue.ended(task, again=False)
    else:
        await results.send(Ran(task.program, result, losses=task.losses))
        await queue.ended(task, again=False)


async def _settle(
    queue: _Queue, task: _Task, error: ProofboxError, results: ObjectSendStream[Ran]
) -> None:
    """Give a program that lost its sandbox another chance, or give it up."""
    task.losses += 1
    again = task.losses < _MOST_RUNS and isinstance(error, SandboxUnavailable)
    if not again:
        await results.send(Ran(task.program, None, str(error), task.losses))
    await queue.ended(task, again=again)
