"""Many programs over a few sandboxes, each result as it is there.

Workers take programs from one queue, so the order of results is not that of the programs. Nothing is read
ahead: a program is taken when a worker is free and a result is handed over before its worker goes on, so memory
does not grow with their number. A program whose sandbox is lost runs again in another one, once; lost
twice, it is nobody's fault but ours and says so. One that memory did not suffice for runs again while no other
does, so that what it comes to does not depend on its neighbours.
"""

import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import ObjectSendStream, TaskStatus

from .sandbox import (
    InvalidInput,
    Program,
    ProgramResult,
    ProgramRunner,
    ProofboxError,
    SandboxError,
    SandboxUnavailable,
)

logger = logging.getLogger(__name__)

OpenSandbox = Callable[[], AbstractAsyncContextManager[ProgramRunner]]

_MOST_RUNS = 2
_RAMP_SECONDS = 2.0


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
    programs: Iterable[Program],
    open_sandbox: OpenSandbox,
    *,
    sandboxes: int = 1,
    lanes: int = 2,
    ramp_seconds: float = _RAMP_SECONDS,
) -> AsyncGenerator[AsyncIterator[Ran]]:
    """Run programs in up to `sandboxes` sandboxes, `lanes` at a time in each.

    Gives an iterator over one `Ran` for each program; leaving the block early stops everything. If not
    one sandbox can be opened, every program comes back with that error. Each sandbox is opened by
    `open_sandbox` when it is first needed and again after a loss; each after the first, only when programs
    are left `ramp_seconds` after the one before it, since opening one can cost more than a few programs.
    """
    send, receive = anyio.create_memory_object_stream[Ran](0)
    queue = _Queue(iter(programs))
    async with anyio.create_task_group() as workers, receive:
        async with send:
            for number in range(sandboxes):
                delay = number * ramp_seconds
                workers.start_soon(_serve, queue, open_sandbox, lanes, send.clone(), delay)
        yield receive
        workers.cancel_scope.cancel()


class Kept:
    """Sandboxes that stay open from one `run` to the next. `async with Kept(open_sandbox) as kept`, then
    `kept.open` in place of `open_sandbox`; leaving the block closes them. `losses` counts those that were lost.
    """

    def __init__(self, open_sandbox: OpenSandbox) -> None:
        self.losses = 0
        self._open_sandbox = open_sandbox
        self._idle: list[_Holder] = []

    async def __aenter__(self) -> Self:
        self._holders = anyio.create_task_group()
        await self._holders.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.renew()
        await self._holders.__aexit__(None, None, None)

    def renew(self) -> None:
        """Close those that are not in use: what is opened from now on is to be another kind."""
        for holder in self._idle:
            holder.done.set()
        self._idle.clear()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[ProgramRunner]:
        """One that is idle, or a new one."""
        holder = self._idle.pop() if self._idle else await self._hold()
        try:
            yield holder
        except BaseException:
            holder.done.set()
            raise
        if holder.lost:
            self.losses += 1
            holder.done.set()
            await holder.closed.wait()
        else:
            self._idle.append(holder)

    async def _hold(self) -> "_Holder":
        holder = _Holder()
        await self._holders.start(holder.hold, self._open_sandbox)
        return holder


class _Holder:
    """Keeps one sandbox open, in a task of its own, and notices when it is lost."""

    def __init__(self) -> None:
        self.lost = False
        self.done = anyio.Event()
        self.closed = anyio.Event()
        self._sandbox: ProgramRunner | None = None

    async def hold(self, open_sandbox: OpenSandbox, *, task_status: TaskStatus[None]) -> None:
        try:
            async with open_sandbox() as self._sandbox:
                task_status.started()
                await self.done.wait()
        except (SandboxError, InvalidInput):
            if self._sandbox is None:
                raise
            logger.info("A sandbox could not be closed", exc_info=True)
        finally:
            self.closed.set()

    async def run_program(self, program: Program) -> ProgramResult:
        assert self._sandbox is not None
        try:
            return await self._sandbox.run_program(program)
        except SandboxUnavailable:
            self.lost = True
            raise


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
        self._changed: anyio.Event | None = None  # what those wait for who found nothing
        self.all_ended = anyio.Event()

    async def take(self) -> _Task | None:
        """The next program; None when all have ended."""
        while True:
            task = self._again.popleft() if self._again else self._fresh()
            if task is not None:
                self._running += 1
                return task
            if not self._running:
                self.all_ended.set()
                return None
            if self._changed is None:
                self._changed = anyio.Event()
            await self._changed.wait()

    def ended(self, task: _Task, *, again: bool) -> None:
        """A program that was taken is done with, or is to be given to another worker."""
        self._running -= 1
        if again:
            self._again.append(task)
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def _fresh(self) -> _Task | None:
        program = next(self._programs, None)
        return None if program is None else _Task(program)


async def _serve(
    queue: _Queue,
    open_sandbox: OpenSandbox,
    lanes: int,
    results: ObjectSendStream[Ran],
    delay_seconds: float,
) -> None:
    """Keep one sandbox busy, replacing it when it is lost."""
    async with results:
        with anyio.move_on_after(delay_seconds):
            await queue.all_ended.wait()
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
    shared = _Shared(sandbox, lanes)

    async def lane(task: _Task | None) -> None:
        while task is not None:
            if lost.is_set():
                queue.ended(task, again=True)  # it was not run here, so this is no loss
                return
            await _run_one(shared, queue, task, lost, results)
            task = None if lost.is_set() else await queue.take()

    async def empty_lane() -> None:
        await lane(await queue.take())

    async with anyio.create_task_group() as group:
        group.start_soon(lane, first)
        for _ in range(lanes - 1):
            group.start_soon(empty_lane)


class _Shared:
    """A sandbox with room for some programs at a time, all of which share its memory."""

    def __init__(self, sandbox: ProgramRunner, places: int) -> None:
        self._sandbox = sandbox
        self._count = places
        self._places = anyio.Semaphore(places, fast_acquire=True)
        self._one_waits = anyio.Lock()

    async def run_program(self, program: Program) -> ProgramResult:
        async with self._places:
            result = await self._sandbox.run_program(program)
        if result.outcome != "out_of_memory" or self._count == 1:
            return result
        async with self._one_waits, AsyncExitStack() as all_places:
            for _ in range(self._count):
                await all_places.enter_async_context(self._places)
            return await self._sandbox.run_program(program)


async def _run_one(
    sandbox: _Shared,
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
        queue.ended(task, again=False)
    else:
        await results.send(Ran(task.program, result, losses=task.losses))
        queue.ended(task, again=False)


async def _settle(
    queue: _Queue, task: _Task, error: ProofboxError, results: ObjectSendStream[Ran]
) -> None:
    """Give a program that lost its sandbox another chance, or give it up."""
    task.losses += 1
    again = task.losses < _MOST_RUNS and isinstance(error, SandboxUnavailable)
    if not again:
        await results.send(Ran(task.program, None, str(error), task.losses))
    queue.ended(task, again=again)
