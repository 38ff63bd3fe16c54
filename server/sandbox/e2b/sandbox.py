"""One E2B sandbox."""

import logging
import math
import posixpath
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import e2b
from e2b_code_interpreter import AsyncSandbox, Context

from .. import bash
from ..base import Limits, OnOutput, Program
from ..driving import programs
from ..errors import InvalidInput, SandboxBusy, SandboxError, SandboxUnavailable
from ..results import CommandResult, Execution, FileInfo, ProgramResult
from . import environ, guest, transfers
from .cells import Cell, Kernel, settle_in
from .commands import run as run_command
from .failures import translated
from .outcomes import execution_of, kernel_ended
from .output import Recorder
from .relay import Relay

logger = logging.getLogger(__name__)

LANGUAGES = frozenset({"python", "javascript", "typescript", "r", "java", "bash"})

_CONTROL_SECONDS = 20.0
_CONTEXT_SECONDS = 60.0
_CLOSE_SECONDS = 15.0
# A call may end this long before the sandbox does: settling and reading results take time too.
_MARGIN_SECONDS = 60.0
_LEAST_LIFE = 15


class E2BSandbox:
    """Implements `Sandbox`. Made by `E2BBackend.create`."""

    def __init__(
        self,
        sdk: AsyncSandbox,
        *,
        key: str,
        contexts: Sequence[Context],
        surroundings: guest.Surroundings,
        limits: Limits,
        preload: Sequence[str],
        bare: bool,
        expires_at: float,
        clock: Callable[[], float],
        extending: Callable[[float], AbstractAsyncContextManager[None]],
        on_closed: Callable[[bool], Awaitable[None]],
    ) -> None:
        """`key` is that of its place. It is kept alive for so long within `extending`; `on_closed` is told whether it
        is dead for certain.
        """
        self.key = key
        self._sdk = sdk
        self._contexts = {context.language: context for context in contexts}
        self._surroundings = surroundings
        self._limits = limits
        self._preload = preload
        self._bare = bare
        self._expires_at = expires_at
        self._clock = clock
        self._extending = extending
        self._on_closed = on_closed
        self._kernels: dict[str, Kernel] = {}
        self._lock = anyio.Lock()
        self._relay: Relay | None = None
        self._starting_relay = anyio.Lock()
        self._closed = False
        self._running = anyio.CancelScope()

    @property
    def id(self) -> str:
        return self._sdk.sandbox_id

    @property
    def python(self) -> str:
        return self._surroundings.python

    async def run_code(
        self,
        code: str,
        *,
        language: str = "python",
        env: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        on_output: OnOutput | None = None,
    ) -> Execution:
        if language not in LANGUAGES:
            raise InvalidInput(
                f"There is no language {language!r} on E2B. Use one of: {', '.join(sorted(LANGUAGES))}."
            )
        before, after = environ.cells(language, env) if env else ("", "")
        async with self._turn(timeout):
            kernel = await self._kernel(language)
            if before:
                await kernel.restore(before)
            recorder = Recorder(self._limits.output_bytes, on_output)
            cell = await self._run(kernel, _prepared(code, language), timeout, recorder, after)
            memory = await self._died(kernel) if kernel_ended(cell) else False
            return execution_of(
                cell, recorder, language, timeout=timeout, lost=kernel.take_lost(), memory=memory
            )

    async def run_command(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        on_output: OnOutput | None = None,
    ) -> CommandResult:
        environ.check(env or {})
        async with self._turn(timeout):
            mark = secrets.token_hex(16)
            return await run_command(
                self._sdk,
                command,
                cwd=_absolute(cwd or "."),
                env={"HOME": guest.HOME, **(env or {}), guest.MARK: mark},
                seconds=timeout,
                recorder=Recorder(self._limits.output_bytes, on_output),
                kill=lambda: self._housekeep(guest.kill_marked(mark)),
            )

    async def write_files(self, files: Mapping[str, bytes]) -> None:
        async with self._turn(_CONTROL_SECONDS):
            await transfers.write(
                self._sdk, {_absolute(path): data for path, data in files.items()}
            )

    async def read_file(
        self, path: str, *, offset: int = 0, max_bytes: int = 16 * 1024**2
    ) -> bytes:
        async with self._turn(_CONTROL_SECONDS):
            return await transfers.read(self._sdk, _absolute(path), offset, max_bytes)

    async def list_files(self, path: str = ".", *, depth: int = 1) -> list[FileInfo]:
        async with self._turn(_CONTROL_SECONDS):
            return await transfers.entries(self._sdk, _absolute(path), depth)

    async def run_program(self, program: Program) -> ProgramResult:
        self._check_open()
        await self._outlive(program.timeout)
        try:
            relay = await self._running_relay()
            return await programs.run(relay.open_program, program, relay.take_oom_kill)
        except SandboxError:
            self._check_open(may_have_started=True)
            raise

    async def _running_relay(self) -> Relay:
        async with self._starting_relay:
            self._check_open()
            if self._relay is not None and not self._relay.alive:
                # Its stream broke, and it may still run.
                await self._relay.close()
                self._relay = None
            if self._relay is None:
                self._relay = await Relay.start(
                    self._sdk,
                    python=self._surroundings.executable,
                    version=self._surroundings.python,
                    limits=self._limits,
                    preload=self._preload,
                    site=not self._bare,
                )
            return self._relay

    async def keep_alive(self, seconds: float) -> None:
        async with self._extending(max(seconds, _LEAST_LIFE)):
            await self._set_timeout(max(math.ceil(seconds), _LEAST_LIFE))
        self._expires_at = self._clock() + seconds

    async def _set_timeout(self, seconds: int) -> None:
        with translated("keep the E2B sandbox alive"), anyio.fail_after(_CONTROL_SECONDS):
            try:
                await self._sdk.set_timeout(seconds)
            except e2b.SandboxException as error:
                if error.status_code == 400:
                    raise SandboxUnavailable(
                        "The E2B sandbox has reached the maximum age of your plan. Start a new session."
                    ) from error
                raise

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        gone = False
        try:
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True) as scope:
                if self._relay is not None:
                    await self._relay.forget()
                gone = await self._kill()
            if scope.cancelled_caught:
                logger.warning("An E2B sandbox was not killed in time; its time to live ends it")
        finally:
            self._running.cancel()
            with anyio.CancelScope(shield=True):
                await self._on_closed(gone)

    async def abandon(self) -> None:
        """Leave it to somebody else, as it is."""
        self._closed = True
        self._running.cancel()
        if self._relay is not None:
            await self._relay.forget()

    async def _kill(self) -> bool:
        """Whether it is dead for certain."""
        for pause in (0.5, 2.0, 0.0):
            try:
                with translated("kill the E2B sandbox"):
                    await self._sdk.kill()
            except SandboxBusy:
                await anyio.sleep(pause)
            except SandboxError:
                logger.warning("An E2B sandbox could not be killed; its time to live ends it")
                return False
            else:
                return True
        return False

    @asynccontextmanager
    async def _turn(self, seconds: float) -> AsyncGenerator[None]:
        async with self._lock:
            self._check_open()
            await self._outlive(seconds)
            # A close ends the call here, however long the network takes to notice.
            with anyio.CancelScope() as self._running:
                try:
                    yield
                except SandboxError:
                    # What failed because it was closed says so, however the failure looked.
                    self._check_open(may_have_started=True)
                    raise
            if self._running.cancelled_caught:
                self._check_open(may_have_started=True)

    async def _outlive(self, seconds: float) -> None:
        if self._expires_at - self._clock() < seconds + _MARGIN_SECONDS:
            await self.keep_alive(seconds + 2 * _MARGIN_SECONDS)

    def _check_open(self, *, may_have_started: bool = False) -> None:
        if self._closed:
            raise SandboxUnavailable(
                "The sandbox was closed. Start a new session.", may_have_started=may_have_started
            )

    async def _kernel(self, language: str) -> Kernel:
        if language not in self._kernels:
            context = self._contexts.get(language)
            if context is None:
                with (
                    translated(f"start the interpreter for {language}"),
                    anyio.fail_after(_CONTEXT_SECONDS),
                ):
                    context = await self._sdk.create_code_context(cwd=guest.HOME, language=language)
                self._contexts[language] = context
            self._kernels[language] = Kernel(
                self._sdk, context, language, kill_young=self._kill_young, prepare=self._prepare
            )
        return self._kernels[language]

    async def _run(
        self, kernel: Kernel, code: str, timeout: float, recorder: Recorder, after: str
    ) -> Cell:
        if not after:
            return await kernel.run(code, timeout, recorder)
        try:
            cell = await kernel.run(code, timeout, recorder)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(_CONTROL_SECONDS, shield=True):
                await _quietly(kernel.restore(after))
            raise
        if not kernel_ended(cell):
            await kernel.restore(after)
        return cell

    async def _died(self, kernel: Kernel) -> bool:
        """Wait for the new kernel; whether the machine killed something for want of memory."""
        before = self._surroundings.out_of_memory_kills
        await kernel.died()
        return self._surroundings.out_of_memory_kills > before

    async def _prepare(self) -> None:
        # The Python kernel tells for all languages what the machine killed.
        with translated("look at the new interpreter"):
            self._surroundings = await settle_in(
                self._sdk, self._contexts["python"], _CONTEXT_SECONDS
            )

    async def _kill_young(self, seconds: float) -> None:
        await self._housekeep(guest.kill_young(self._surroundings.server, seconds))

    async def _housekeep(self, command: str) -> None:
        with (
            translated("stop what the code had started"),
            anyio.move_on_after(_CONTROL_SECONDS),
        ):
            await self._sdk.commands.run(command, user="root", cwd="/", timeout=_CONTROL_SECONDS)


async def _quietly(awaitable: Awaitable[None]) -> None:
    try:
        await awaitable
    except SandboxError:
        logger.warning("Environment variables of a cancelled call could not be restored")


def _prepared(code: str, language: str) -> str:
    match language:
        case "python":
            return _with_leading_lines(code)
        case "bash":
            return bash.honest(code, ignores_sigpipe=True)
        case _:
            return code


def _with_leading_lines(code: str) -> str:
    """The same code, but IPython does not drop empty lines at its start and miscount the others."""
    rest = code.lstrip()
    start = code[: len(code) - len(rest)]
    if "\n" not in start or not rest or rest.startswith("%%"):
        return code
    lines, _, indent = start.rpartition("\n")
    breaks = "\n" * (lines.count("\n") + 1)
    return f"{indent}#{breaks}{indent}{rest}"


def _absolute(path: str) -> str:
    if not path or "\0" in path:
        raise InvalidInput(f"{path!r} is not a path.")
    return posixpath.normpath(posixpath.join(guest.HOME, path))
