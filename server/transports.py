"""Serving on stdio, with an end that cleans up on every signal. HTTP has a folder of its own."""

import logging
import os
import select
import signal
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

import anyio
from mcp.server import MCPServer

logger = logging.getLogger(__name__)

# Longer than the exit of the sessions may take, so that nothing is left; hosts kill us sooner if at all.
CLOSE_SECONDS = 13.0

# How soon a client that closed only our stdout is noticed.
HANG_UP_SECONDS = 1.0
_HUNG_UP = 128 + 13  # SIGPIPE, which Windows does not have

Build = Callable[[Callable[[], None]], MCPServer[Any]]
"""Makes the server; what it is given must be called once everything has been cleaned up."""

End = Callable[[int], Awaitable[None]]
"""Ends the process with this status once everything has been cleaned up."""


async def serve_stdio(build: Build) -> None:
    """Serve one client on stdin and stdout until stdin ends. A signal, or a client that takes no more
    answers, ends the process after everything is closed, with the status that a shell would show
    (143 for SIGTERM, 130 for SIGINT, 141 as for SIGPIPE).
    """
    closed = anyio.Event()
    server = build(closed.set)
    serving = anyio.CancelScope()

    async def end(status: int) -> None:
        serving.cancel()
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await closed.wait()
        logging.shutdown()
        # The thread that reads stdin cannot be woken, so an orderly return would hang.
        os._exit(status)

    # While it serves, the SDK keeps the wire to itself and has stderr in the place of stdout.
    with _duplicate(1) as wire:
        async with anyio.create_task_group() as tasks:
            # Windows has neither; there the end of stdin must do.
            if sys.platform != "win32":
                await tasks.start(_end_on_signal, end)
                if wire is not None:
                    tasks.start_soon(_end_on_hang_up, wire, end)
            with serving:
                try:
                    await server.run_stdio_async()
                except* OSError:
                    # Only the wire can raise it here, and stdin alone has a silent end.
                    await end(_HUNG_UP)
            tasks.cancel_scope.cancel()


async def _end_on_signal(
    end: End, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    ends = [signal.SIGTERM, signal.SIGINT]
    # A terminal that goes away sends the third, and `nohup` asks to live on.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ends.append(signal.SIGHUP)
    with anyio.open_signal_receiver(*ends) as signals:
        task_status.started()
        async for number in signals:
            await end(128 + number)


async def _end_on_hang_up(wire: int, end: End) -> None:
    """A client may close our stdout and keep stdin open, and no read of ours would ever notice."""
    poll = select.poll()
    poll.register(wire, 0)  # errors and hang-ups are told unasked
    while not poll.poll(0):
        await anyio.sleep(HANG_UP_SECONDS)
    await end(_HUNG_UP)


@contextmanager
def _duplicate(descriptor: int) -> Generator[int | None]:
    """A second descriptor of the same file, None where there is none."""
    try:
        copy = os.dup(descriptor)
    except OSError:
        yield None
        return
    try:
        yield copy
    finally:
        os.close(copy)
