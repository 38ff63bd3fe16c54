"""Serving: stdio with an end that cleans up on every signal, and HTTP with a bounded shutdown."""

import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import anyio
from mcp.server import MCPServer

logger = logging.getLogger(__name__)

# Longer than the close of a sandbox may take, so that none is left; hosts kill us sooner if at all.
CLOSE_SECONDS = 12.0

Build = Callable[[Callable[[], None]], MCPServer[Any]]
"""Makes the server; what it is given must be called once everything has been cleaned up."""


async def serve_stdio(build: Build) -> None:
    """Serve one client on stdin and stdout until stdin ends. A signal ends the process, with the
    status that a shell would show (143 for SIGTERM, 130 for SIGINT), after everything is closed.
    """
    closed = anyio.Event()
    server = build(closed.set)
    serving = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        await tasks.start(_end_on_signal, serving, closed)
        with serving:
            await server.run_stdio_async()
        tasks.cancel_scope.cancel()


async def _end_on_signal(
    serving: anyio.CancelScope,
    closed: anyio.Event,
    *,
    task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            serving.cancel()
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await closed.wait()
            logging.shutdown()
            # The thread that reads stdin cannot be woken, so an orderly return would hang.
            os._exit(128 + number)


async def serve_http(server: MCPServer[Any], listener: socket.socket) -> None:
    """Serve on a loopback socket until a signal. Calls that still run get five seconds to end."""
    import uvicorn

    app = server.streamable_http_app(max_request_body_size=8 * 1024**2)
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    await uvicorn.Server(config).serve(sockets=[listener])


def loopback(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1; port 0 takes a free one.

    Raises:
        OSError: the port cannot be had.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
