"""Fakes that behave: a clock turned by hand, and sandboxes that really run Python, in process.

`FakeBackend` keeps count (`open`, `most_open`, `created`) and does what a test has scripted: `creating`
holds back `create`, `create_errors` are raised by it one after another; a sandbox is made to `lose`
itself, to hold back its calls (`hold_calls`), to hang when it is asked to live on or to close.
"""

import ast
import contextlib
import heapq
import io
import itertools
import traceback
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any, Literal

import anyio
import anyio.lowlevel

from proofbox.server.sandbox import (
    Captured,
    CodeError,
    CommandResult,
    Execution,
    FileInfo,
    InvalidInput,
    Limits,
    OnOutput,
    Result,
    SandboxRequest,
    SandboxUnavailable,
)

HOME = "/home/user/"


async def settle() -> None:
    """Let every task run until it waits for something that only the test can bring about."""
    # Almost always enough, and much cheaper than what follows if it finds a task that can still run.
    for _ in range(100):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()


class VirtualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self._now = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, anyio.Event]] = []

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        woken = anyio.Event()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        """Move on, waking each sleeper at its own time and letting it act before the next."""
        end = self._now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, woken = heapq.heappop(self._sleepers)
            woken.set()
            await settle()
        self._now = end


class FakeSandbox:
    """One namespace and one dictionary of files; gone once closed or lost.

    Attributes:
        keep_alives: the seconds of each `keep_alive`.
        calls: the names of the methods that were called, in order.
        hold_calls: while set, `run_code` and `run_command` wait for it before they do anything.
        hold_close, hold_keep_alive: the same for `close` and `keep_alive`.
        close_error, keep_alive_error: raised by these, where set.
    """

    python = "3.11.7"

    def __init__(self, backend: "FakeBackend", request: SandboxRequest, name: str) -> None:
        self.id = name
        self.request = request
        self.files: dict[str, bytes] = {}
        self.keep_alives: list[float] = []
        self.calls: list[str] = []
        self.closed = False
        self.hold_calls: anyio.Event | None = None
        self.hold_close: anyio.Event | None = None
        self.hold_keep_alive: anyio.Event | None = None
        self.close_error: Exception | None = None
        self.keep_alive_error: Exception | None = None
        self._backend = backend
        self._namespace: dict[str, Any] = {"__name__": "__main__", **backend.names}
        self._lost: Literal["no", "before_start", "after_start"] = "no"
        self._gone = anyio.Event()
        self._one_at_a_time = anyio.Lock()

    def lose(self, *, started: bool = False) -> None:
        """From now on nothing answers; `started`: the next code runs and then its answer is lost."""
        self._lost = "after_start" if started else "before_start"

    async def run_code(
        self,
        code: str,
        *,
        language: str = "python",
        env: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        on_output: OnOutput | None = None,
    ) -> Execution:
        if language not in self._backend.languages:
            raise InvalidInput(f"The fake backend has no {language}.")
        async with self._serving("run_code"):
            if self._lost == "after_start":
                _run(code, self._namespace)
                raise SandboxUnavailable("The fake sandbox went away.", may_have_started=True)
            execution = _run(code, self._namespace)
        if on_output is not None and execution.stdout.text:
            on_output("stdout", execution.stdout.text)
        return execution

    async def run_command(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        on_output: OnOutput | None = None,
    ) -> CommandResult:
        async with self._serving("run_command"):
            if self._lost == "after_start":
                raise SandboxUnavailable("The fake sandbox went away.", may_have_started=True)
        words = command.split() if isinstance(command, str) else list(command)
        if words[:1] == ["echo"]:
            said = Captured(" ".join(words[1:]) + "\n")
            return CommandResult("exited", exit_code=0, stdout=said)
        missing = Captured(f"{words[0]}: command not found\n")
        return CommandResult("exited", exit_code=127, stderr=missing)

    async def write_files(self, files: Mapping[str, bytes]) -> None:
        async with self._serving("write_files"):
            self.files.update({_absolute(path): content for path, content in files.items()})

    async def read_file(
        self, path: str, *, offset: int = 0, max_bytes: int = 16 * 1024**2
    ) -> bytes:
        async with self._serving("read_file"):
            if _absolute(path) not in self.files:
                raise InvalidInput(f"There is no file {path}.")
            return self.files[_absolute(path)][offset : offset + max_bytes]

    async def list_files(self, path: str = ".", *, depth: int = 1) -> list[FileInfo]:
        async with self._serving("list_files"):
            below = HOME if path == "." else _absolute(path).rstrip("/") + "/"
            return [
                FileInfo(name, "file", len(content), 0.0)
                for name, content in sorted(self.files.items())
                if name.startswith(below) and name.count("/") < below.count("/") + depth
            ]

    async def keep_alive(self, seconds: float) -> None:
        if self.hold_keep_alive is not None:
            await self.hold_keep_alive.wait()
        if self.closed or self._lost != "no":
            raise SandboxUnavailable("The fake sandbox is gone.")
        if self.keep_alive_error is not None:
            raise self.keep_alive_error
        self.keep_alives.append(seconds)

    async def close(self) -> None:
        self.calls.append("close")
        if self.hold_close is not None:
            # A real one lets nobody stop it from cleaning up.
            with anyio.CancelScope(shield=True):
                await self.hold_close.wait()
        if self.close_error is not None:
            self._forget()
            raise self.close_error
        await anyio.lowlevel.checkpoint()
        self._forget()

    def _forget(self) -> None:
        if not self.closed:
            self.closed = True
            self._gone.set()
            self._backend.open -= 1

    @asynccontextmanager
    async def _serving(self, name: str) -> AsyncGenerator[None]:
        """A call's turn; SandboxUnavailable if the sandbox is gone, or goes while it is held."""
        async with self._one_at_a_time:
            await anyio.lowlevel.checkpoint()
            self._check(started=False)
            self.calls.append(name)
            if name.startswith("run_") and self.hold_calls is not None:
                async with anyio.create_task_group() as either:
                    either.start_soon(_then_cancel, self._gone.wait, either.cancel_scope)
                    either.start_soon(_then_cancel, self.hold_calls.wait, either.cancel_scope)
                self._check(started=True)
            yield

    def _check(self, *, started: bool) -> None:
        if self.closed or self._lost == "before_start":
            raise SandboxUnavailable("The fake sandbox is gone.", may_have_started=started)


class FakeBackend:
    """Where fake sandboxes come from.

    Attributes:
        open: sandboxes created (or being created) and not closed. `most_open`: the highest so far.
        created: all of them, in order. `warmed`: the requests of `warm_up`. `sweeps`: how many;
            each reports `orphans` killed.
        names: what code in every sandbox finds defined.
        creating: while set, `create` waits for it. `create_errors`: raised by the next `create`s.
        hold_warm_up, hold_close: the same for `warm_up` and `close`.
        warm_up_error, sweep_error, close_error: raised by these, where set.
        on_create: called with each new sandbox.
    """

    def __init__(
        self, *, name: Literal["local", "e2b"] = "local", max_age: float | None = None
    ) -> None:
        self.name: Literal["local", "e2b"] = name
        self.languages = frozenset({"python"})
        self.max_age = max_age
        self.spread = 1
        self.open = 0
        self.most_open = 0
        self.created: list[FakeSandbox] = []
        self.warmed: list[SandboxRequest] = []
        self.sweeps = 0
        self.orphans = 0
        self.closed = False
        self.hold_close: anyio.Event | None = None
        self.close_error: Exception | None = None
        self.hold_warm_up: anyio.Event | None = None
        self.names: dict[str, Any] = {}
        self.creating: anyio.Event | None = None
        self.create_errors: list[Exception] = []
        self.warm_up_error: Exception | None = None
        self.sweep_error: Exception | None = None
        self.on_create: Callable[[FakeSandbox], None] | None = None

    async def warm_up(self, request: SandboxRequest) -> None:
        self.warmed.append(request)
        if self.hold_warm_up is not None:
            await self.hold_warm_up.wait()
        if self.warm_up_error is not None:
            raise self.warm_up_error

    async def create(self, request: SandboxRequest) -> FakeSandbox:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await anyio.lowlevel.checkpoint()
            if self.creating is not None:
                await self.creating.wait()
            if self.create_errors:
                raise self.create_errors.pop(0)
        except BaseException:
            self.open -= 1
            raise
        sandbox = FakeSandbox(self, request, f"fake-{len(self.created)}")
        self.created.append(sandbox)
        if self.on_create is not None:
            self.on_create(sandbox)
        return sandbox

    def limits_held(self) -> Mapping[str, str]:
        return {field.name: "nothing" for field in fields(Limits)} if self.open else {}

    async def sweep(self) -> int:
        self.sweeps += 1
        if self.sweep_error is not None:
            raise self.sweep_error
        return self.orphans

    async def close(self) -> None:
        """Unlike a real one it closes no sandbox, so that one which was forgotten shows in `open`."""
        if self.hold_close is not None:
            with anyio.CancelScope(shield=True):
                await self.hold_close.wait()
        if self.close_error is not None:
            raise self.close_error
        self.closed = True


async def _then_cancel(wait: Callable[[], Any], scope: anyio.CancelScope) -> None:
    await wait()
    scope.cancel()


def _absolute(path: str) -> str:
    return path if path.startswith("/") else HOME + path.removeprefix("./")


def _run(code: str, namespace: dict[str, Any]) -> Execution:
    """Run code as an interpreter's cell: the value of a last expression is a result."""
    out, err = io.StringIO(), io.StringIO()
    value = None
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            tree = ast.parse(code)
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, "<cell>", "exec"), namespace)  # noqa: S102 - what a sandbox is for
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what code raises is its result
        outcome = "exited" if isinstance(error, SystemExit) else "raised"
        return Execution(
            outcome,
            reason=f"{type(error).__name__}: {error}",
            stdout=Captured(out.getvalue()),
            stderr=Captured(err.getvalue()),
            error=_describe(error),
        )
    shown = () if value is None else (Result({"text/plain": repr(value)}, is_main=True),)
    return Execution(
        "completed", stdout=Captured(out.getvalue()), stderr=Captured(err.getvalue()), results=shown
    )


def _describe(error: BaseException) -> CodeError:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == "<cell>"]
    line = error.lineno if isinstance(error, SyntaxError) else frames[-1].lineno if frames else None
    text = "".join(traceback.format_exception_only(error))
    return CodeError(type(error).__name__, str(error), line, text)
