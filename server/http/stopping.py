"""The end of the service: streams end at once, calls get their time, and what is cut then is told so."""

import asyncio
import logging
import socket
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field

import anyio
import uvicorn
from sse_starlette.sse import AppStatus
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..background import beside
from ..sessions import Clock

logger = logging.getLogger(__name__)

CUT = (
    "proofbox was stopped, and this call did not end in the time that was left: it was cut. Nothing is known about"
    " what it ran, which may have begun. Call again when proofbox is back; get_job then says what became of a job"
    " whose id you have."
)
"""What its caller is told."""

# For what was cut to give back its sandbox and to be answered.
_ANSWER_SECONDS = 3


class Doomed:
    """What runs until it is cut."""

    def __init__(self) -> None:
        self._is_cut = False
        self._scopes: set[anyio.CancelScope] = set()

    @contextmanager
    def until_cut(self) -> Generator[anyio.CancelScope]:
        """The block is cancelled by `cut`; then `cancelled_caught` of what this gives is true."""
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            if self._is_cut:
                scope.cancel()
            try:
                yield scope
            finally:
                self._scopes.discard(scope)

    def cut(self) -> int:
        """Cut all that run, and whatever begins later; how many ran."""
        self._is_cut = True
        for scope in self._scopes:
            scope.cancel()
        return len(self._scopes)


@dataclass(frozen=True, slots=True)
class Stop:
    """What there is to cut: `streams` on which clients only listen, and `calls`."""

    streams: Doomed = field(default_factory=Doomed)
    calls: Doomed = field(default_factory=Doomed)


class Runner(uvicorn.Server):
    """Serves until a signal; then calls have `grace_seconds` to end."""

    def __init__(
        self, config: uvicorn.Config, stop: Stop, grace_seconds: float, clock: Clock
    ) -> None:
        config.timeout_graceful_shutdown = round(grace_seconds) + _ANSWER_SECONDS
        super().__init__(config)
        self._stop = stop
        self._grace_seconds = grace_seconds
        self._clock = clock
        # It would end the streams that calls of the handshake era are answered on, at the signal.
        AppStatus.disable_automatic_graceful_drain()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what runs come to its end."""
        self._stop.streams.cut()
        async with beside(self._cut_calls):
            await super().shutdown(sockets)

    async def _cut_calls(self) -> None:
        await self._clock.sleep(self._grace_seconds)
        if count := self._stop.calls.cut():
            logger.warning("Calls that were cut, as proofbox stops: %d", count)


class Endings:
    """ASGI middleware in front of everything: a request that is cut has an end like any other. `stream_path` is
    where GET is for listening.
    """

    def __init__(self, app: ASGIApp, stop: Stop, stream_path: str) -> None:
        self._app = app
        self._stop = stop
        self._stream_path = stream_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent: list[Message] = []

        async def watched(message: Message) -> None:
            sent[:] = [message]
            await send(message)

        is_stream = scope.get("method") == "GET" and scope["path"] == self._stream_path
        try:
            with self._stop.streams.until_cut() if is_stream else nullcontext():
                await self._app(scope, receive, watched)
                return
        except asyncio.CancelledError:
            # By uvicorn, which alone cancels requests, and would take this for a fault of ours.
            if scope["type"] != "http":
                raise
        with suppress(asyncio.CancelledError):  # a client that reads no more
            await _end(sent, scope, receive, send)


async def _end(sent: list[Message], scope: Scope, receive: Receive, send: Send) -> None:
    if not sent:
        error = {"code": -32_000, "message": CUT}
        body = {"jsonrpc": "2.0", "id": None, "error": error}
        await JSONResponse(body, 503, {"Retry-After": "5"})(scope, receive, send)
    elif sent[0]["type"] == "http.response.start" or sent[0].get("more_body", False):
        await send({"type": "http.response.body", "body": b"", "more_body": False})
