"""Running cells in one kernel, and getting the kernel back after a cell that was stopped.

The only way to interrupt a cell is to close its stream. What follows is a trap (seen with the server
of August 2026): the server lets the next cell in before it interrupts the kernel, the kernel then drops
that cell, and its stream never ends. So after a stop nothing is sent for a moment, then a probe, and
only a kernel that has answered gets the next cell.
"""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import anyio
from e2b_code_interpreter import AsyncSandbox, Context
from e2b_code_interpreter.models import ExecutionError, OutputMessage
from e2b_code_interpreter.models import Result as E2BResult

from ..errors import SandboxError, SandboxUnavailable
from ..results import Result
from . import guest, results
from .failures import Progress, translated
from .output import Flooded, Recorder

logger = logging.getLogger(__name__)

# At least 0.2 s were needed beside the server; more over a network.
PAUSE = 0.3
_PROBES = 3
_PROBE_SECONDS = 1.0
_RESTART_SECONDS = 20.0
_NOTHING = {
    "python": "None",
    "javascript": "0",
    "typescript": "0",
    "r": "invisible(NULL)",
    "java": "int proofboxProbe = 0;",
    "bash": "true",
}

# A variable that bash has as long as it is the same bash.
_MARK = "__proofbox_mark"

Ended = Literal["itself", "deadline", "flood", "exit"]


@dataclass
class Cell:
    """What came of one cell."""

    ended: Ended = "itself"
    results: list[Result] = field(default_factory=list[Result])
    error: ExecutionError | None = None
    number: int | None = None
    seconds: float = 0.0


class Kernel:
    """One kernel context. Not for two tasks at a time: the server would queue the second cell, and a
    queued cell behind a stopped one is lost.
    """

    def __init__(
        self,
        sdk: AsyncSandbox,
        context: Context,
        language: str,
        *,
        kill_young: Callable[[float], Awaitable[None]],
        prepare: Callable[[], Awaitable[None]],
    ) -> None:
        self._sdk = sdk
        self._context = context
        self._language = language
        self._kill_young = kill_young
        self._prepare = prepare
        self._unsettled_since: float | None = None
        self._lost = False
        self._mark = ""

    async def run(self, code: str, seconds: float, recorder: Recorder) -> Cell:
        """Run a cell; after `seconds` stop it, and after a flood of output.

        Cancelling this stops the cell, and waits a few seconds until the kernel answers again.
        """
        if self._language == "bash" and not self._mark:
            await self._set_mark()
        cell = await self._run(code, seconds, recorder)
        if self._mark and cell.ended == "itself" and not await self._has_mark():
            self._lost, self._mark, cell.ended = True, "", "exit"
        return cell

    async def _run(self, code: str, seconds: float, recorder: Recorder) -> Cell:
        if self._unsettled_since is not None:
            await self._settle(Progress())
        self._unsettled_since = time.monotonic()
        try:
            cell = await self._stream(code, seconds, recorder)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(_RESTART_SECONDS + 10, shield=True):
                await self._settle_quietly()
            raise
        if cell.ended == "itself":
            self._unsettled_since = None
        else:
            await self._settle(Progress(begun=True))
        return cell

    async def _set_mark(self) -> None:
        """The bash kernel starts a new bash when code has ended the old one, whatever its status was, and
        reports success.
        """
        mark = secrets.token_hex(8)
        await self.restore(f"{_MARK}={mark}")
        self._mark = mark

    async def _has_mark(self) -> bool:
        cell = await self._run(f'[ "${_MARK}" = {self._mark} ]', 10, Recorder(4096, None))
        return cell.ended == "itself" and cell.error is None

    def take_lost(self) -> bool:
        """Whether the kernel was replaced since the last time this was asked."""
        lost, self._lost = self._lost, False
        return lost

    async def died(self) -> None:
        """To be called when the server said that the kernel died: waits for the new one."""
        self._lost, self._mark = True, ""
        if await self._answers(_RESTART_SECONDS, Progress(begun=True)):
            await self._prepare()
        else:
            await self._restart(Progress(begun=True))

    async def restore(self, code: str) -> None:
        """Run a cell of our own; raises SandboxUnavailable if it does not end well."""
        cell = await self._run(code, 10, Recorder(4096, None))
        if cell.ended != "itself" or cell.error is not None:
            raise SandboxUnavailable(
                "The interpreter in the E2B sandbox does not do what proofbox asks. Start a new session."
            )

    async def _stream(self, code: str, seconds: float, recorder: Recorder) -> Cell:
        cell = Cell()
        started = time.monotonic()

        def on_result(result: E2BResult) -> None:
            recorder.charge(results.size(result))
            cell.results.append(results.convert(result))

        def on_stdout(message: OutputMessage) -> None:
            recorder.write("stdout", message.line)

        def on_stderr(message: OutputMessage) -> None:
            recorder.write("stderr", message.line)

        # The SDK's own timeout comes at twice its time, and reads like a dead sandbox.
        with translated("run the code", Progress(sent=True)), anyio.move_on_after(seconds) as scope:
            try:
                execution = await self._sdk.run_code(
                    code,
                    context=self._context,
                    on_stdout=on_stdout,
                    on_stderr=on_stderr,
                    on_result=on_result,
                    timeout=0,
                )
            except Flooded:
                cell.ended = "flood"
            else:
                cell.error, cell.number = execution.error, execution.execution_count
        cell.seconds = time.monotonic() - started
        if scope.cancelled_caught:
            cell.ended = "deadline"
        return cell

    async def _settle_quietly(self) -> None:
        try:
            await self._settle(Progress(begun=True))
        except SandboxError:
            logger.warning("An E2B sandbox was lost while its code was being stopped")

    async def _settle(self, progress: Progress) -> None:
        since = self._unsettled_since or time.monotonic()
        await anyio.sleep(PAUSE)
        await self._kill_young(time.monotonic() - since)
        for _ in range(_PROBES):
            if await self._answers(_PROBE_SECONDS, progress):
                self._unsettled_since = None
                return
            # A probe that was given up is a stopped cell too.
            await anyio.sleep(PAUSE)
        await self._restart(progress)
        await self._kill_young(time.monotonic() - since)
        self._unsettled_since = None

    async def _answers(self, seconds: float, progress: Progress) -> bool:
        with translated("reach the interpreter", progress), anyio.move_on_after(seconds):
            execution = await self._sdk.run_code(
                _NOTHING[self._language], context=self._context, timeout=0
            )
            return execution.error is None
        return False

    async def _restart(self, progress: Progress) -> None:
        self._lost, self._mark = True, ""
        with (
            translated("restart the interpreter", progress),
            anyio.move_on_after(_RESTART_SECONDS),
        ):
            await self._sdk.restart_code_context(self._context)
        if not await self._answers(_RESTART_SECONDS, progress):
            raise SandboxUnavailable(
                "The interpreter in the E2B sandbox could not be restarted. Start a new session.",
                may_have_started=progress.begun,
            )
        with translated("prepare the new interpreter", progress):
            await self._prepare()


async def settle_in(sdk: AsyncSandbox, context: Context, seconds: float) -> guest.Surroundings:
    """Prepare a new Python kernel; what it says about itself. Raises errors of the SDK, TimeoutError, ValueError."""
    printed: list[str] = []
    with anyio.fail_after(seconds):
        execution = await sdk.run_code(
            guest.SETTLE_IN,
            context=context,
            on_stdout=lambda message: printed.append(message.line),
            timeout=0,
        )
    if execution.error is not None:
        raise ValueError(f"{execution.error.name}: {execution.error.value}")
    return guest.surroundings("".join(printed))
