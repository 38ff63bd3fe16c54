"""No sandbox that costs money is left behind, whatever became of its session."""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest
from standin import API_KEY, StandIn

from proofbox.server.sandbox import (
    Cell,
    InvalidInput,
    Program,
    ProgramRunner,
    Sandbox,
    SandboxUnavailable,
)
from proofbox.server.sandbox.e2b import E2BBackend
from proofbox.server.sessions import SessionManager, SessionNotFound, SessionSettings

pytestmark = pytest.mark.slow

SESSIONS = 36  # every fate five times, and four that are given up while their sandbox is made
AT_ONCE = 8


async def use(sandbox: Sandbox) -> None:
    """An ordinary call."""
    await sandbox.write_files({"file": b"content"})
    assert await sandbox.read_file("file") == b"content"


async def time_out(sandbox: Sandbox) -> None:
    """A command past its deadline."""
    assert (await sandbox.run_command("sleep 1000", timeout=0.2)).outcome == "timed_out"


async def cancel(sandbox: Sandbox) -> None:
    """A call given up in the middle."""
    with anyio.move_on_after(0.1):
        await sandbox.run_code("import time; time.sleep(1000)")


async def run_program(sandbox: Sandbox) -> None:
    """A program, and another one given up in the middle."""
    assert isinstance(sandbox, ProgramRunner)
    result = await sandbox.run_program(Program("p", (Cell("6 * 7"),)))
    assert result.cells[0].value == "42"
    with anyio.move_on_after(0.1):
        await sandbox.run_program(Program("p", (Cell("import time; time.sleep(1000)"),)))


async def close(sandbox: Sandbox) -> None:
    """The sandbox closed under its session."""
    await sandbox.close()


async def fail(sandbox: Sandbox) -> None:
    """The caller's own error, in the middle of a call."""
    raise InvalidInput("no such thing")


FATES: list[Callable[[Sandbox], Awaitable[None]]] = [
    use,
    time_out,
    cancel,
    run_program,
    close,
    fail,
]


async def test_sessions_of_every_fate_leave_no_sandbox(standin: StandIn) -> None:
    """Opened, given up while they were made, used, timed out, cancelled, closed, failed, and killed."""
    backend = E2BBackend(api_key=API_KEY, create_rate=1000, max_sandboxes=AT_ONCE)
    settings = SessionSettings(max_sessions=AT_ONCE, queue_length=SESSIONS, queue_wait_seconds=300)
    lived = 0

    async def live_and_die(number: int) -> None:
        fate = FATES[number % len(FATES)]
        with anyio.move_on_after(0.02 * (number % 7) if number % 11 == 0 else 60):
            async with sessions.lease("somebody") as lease:
                await fate(lease.sandbox)
            if number % 2:
                await sessions.close_session("somebody", lease.session_id)

    async def some(first: int) -> None:
        nonlocal lived
        for number in range(first, SESSIONS, AT_ONCE):
            try:
                await live_and_die(number)
            except (InvalidInput, SandboxUnavailable, SessionNotFound):
                pass
            lived += 1

    # The SDK's transport leaves the errors of requests that were cancelled to nobody.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    with anyio.fail_after(400):
        async with SessionManager(backend, settings) as sessions:
            async with anyio.create_task_group() as all_of_them:
                for first in range(AT_ONCE):
                    all_of_them.start_soon(some, first)
            between = len(standin)

    assert lived == SESSIONS
    assert 0 < between <= AT_ONCE
    assert len(standin) == 0
