"""Running one command so that nothing of it outlives its call."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import anyio
import e2b
from e2b_code_interpreter import AsyncSandbox

from ..errors import SandboxError
from ..results import CommandResult, Outcome
from . import guest
from .failures import Progress, translated
from .output import FLOOD, Flooded, Recorder

# The SDK's limit of a command beyond ours: it only matters when proofbox is gone.
_BACKSTOP_SECONDS = 10.0
_KILL_SECONDS = 30.0


class _End(NamedTuple):
    flooded: bool
    status: int | None


async def run(
    sdk: AsyncSandbox,
    command: str | Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    seconds: float,
    recorder: Recorder,
    kill: Callable[[], Awaitable[None]],
) -> CommandResult:
    """Run it; `kill` must kill all that the command started, and is awaited unless it ended itself."""
    started = time.monotonic()
    progress = Progress(sent=True)
    try:
        with translated("run the command", progress):
            end = await _wait(sdk, command, cwd, env, seconds, recorder, progress)
    except BaseException as error:
        # A lost stream leaves the command running, and so does a cancelled wait.
        with anyio.move_on_after(_KILL_SECONDS, shield=True):
            await _kill_after(error, kill)
        raise
    if end.status is None:
        await kill()
    outcome, code, reason = _outcome(end, seconds)
    return CommandResult(
        outcome=outcome,
        exit_code=code,
        reason=reason,
        stdout=recorder.stdout.captured(),
        stderr=recorder.stderr.captured(),
        duration_seconds=time.monotonic() - started,
    )


async def _kill_after(error: BaseException, kill: Callable[[], Awaitable[None]]) -> None:
    try:
        await kill()
    except SandboxError as second:
        error.add_note(f"What it had started could not be killed: {second}")


async def _wait(
    sdk: AsyncSandbox,
    command: str | Sequence[str],
    cwd: str,
    env: Mapping[str, str],
    seconds: float,
    recorder: Recorder,
    progress: Progress,
) -> _End:
    line = guest.wrapped(
        command if isinstance(command, str) else list(command), seconds + _BACKSTOP_SECONDS
    )
    with anyio.move_on_after(seconds):
        # As root, since E2B runs code as root: what code wrote a command can change.
        handle = await sdk.commands.run(
            line,
            background=True,
            envs=dict(env),
            user="root",
            cwd=cwd,
            on_stdout=lambda text: recorder.write("stdout", text),
            on_stderr=lambda text: recorder.write("stderr", text),
            timeout=seconds + 2 * _BACKSTOP_SECONDS,
            retain_output=False,
        )
        progress.begun = True
        try:
            return _End(False, (await handle.wait()).exit_code)
        except e2b.CommandExitException as failed:
            return _End(False, failed.exit_code)
        except Flooded:
            return _End(True, None)
        finally:
            with anyio.CancelScope(shield=True):
                await handle.disconnect()
    return _End(False, None)


def _outcome(end: _End, seconds: float) -> tuple[Outcome, int | None, str]:
    if end.flooded:
        return (
            "output_limit",
            None,
            f"The command was stopped because it printed over {FLOOD} times what is kept.",
        )
    if end.status is None:
        return (
            "timed_out",
            None,
            f"The command did not end within {seconds:g} s and was stopped.",
        )
    if end.status < 0:
        return "killed", 137, "The command was killed."
    # Shells report death by signal as 128 and its number, and there is no other report here.
    if 128 < end.status <= 128 + 64:
        return "killed", end.status, f"Signal {end.status - 128} ended the command."
    reason = f"The command exited with status {end.status}." if end.status else ""
    return "exited", end.status, reason
