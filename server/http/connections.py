"""Connections: those of the handshake era, each of which is state of the server's that a client may leave behind
without a word, and the streams that clients of the later one listen on.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mcp.types import INTERNAL_ERROR
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..sessions import Clock

MOST = 200
"""That one principal may have at a time. Each takes some 100 kB."""

_ID = "mcp-session-id"
_VERSION = "mcp-protocol-version"
# The SDK answers only where it is the method of the body too.
_METHOD = "mcp-method"
LISTEN = "subscriptions/listen"


@dataclass(slots=True, eq=False)
class _Connection:
    who: str
    last_used: float
    name: str = ""
    users: int = 0


class Connections:
    """ASGI middleware in front of the SDK, which closes what nobody has used for `idle_seconds`, and has a limit for
    everybody together only. Here the one that its principal has not used for longest makes room for a new one.

    A connection with a request under way, as a stream that a client listens on, is in use.
    """

    def __init__(
        self,
        app: ASGIApp,
        who: Callable[[], str],
        clock: Clock,
        *,
        idle_seconds: float,
        most: int,
    ) -> None:
        self._app = app
        self._who = who
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._most = most
        # Those that are being opened have no name yet, and streams to listen on never have one.
        self._all: set[_Connection] = set()
        self._named: dict[str, _Connection] = {}

    def __len__(self) -> int:
        self._forget_expired()
        return len(self._all)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        name, version = headers.get(_ID), headers.get(_VERSION)
        if version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS:
            opens = headers.get(_METHOD) == LISTEN
            await (self._open if opens else self._app)(scope, receive, send)
            return
        if name is None:
            await self._open(scope, receive, send)
            return
        connection = self._named.get(name)
        if connection is None or connection.who != self._who():
            await self._app(scope, receive, send)
        else:
            await self._use(connection, scope, receive, send)

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        who = self._who()
        if not await self._make_room(who, scope):
            await _refusal(self._most)(scope, receive, send)
            return
        connection = _Connection(who, self._clock.monotonic())
        self._all.add(connection)

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                connection.name = Headers(raw=message["headers"]).get(_ID, "")
                if connection.name:
                    self._named[connection.name] = connection
            await send(message)

        try:
            await self._use(connection, scope, receive, named)
        finally:
            if not connection.name:
                self._all.discard(connection)

    async def _use(
        self, connection: _Connection, scope: Scope, receive: Receive, send: Send
    ) -> None:
        ends = scope["method"] == "DELETE"

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and ends and message["status"] < 400:
                self._forget(connection)
            await send(message)

        connection.users += 1
        try:
            await self._app(scope, receive, watched)
        finally:
            connection.users -= 1
            connection.last_used = self._clock.monotonic()

    async def _make_room(self, who: str, scope: Scope) -> bool:
        self._forget_expired()
        own = [one for one in self._all if one.who == who]
        if len(own) < self._most:
            return True
        idle = [one for one in own if one.name and not one.users]
        if not idle:
            return False
        oldest = min(idle, key=lambda one: one.last_used)
        self._forget(oldest)
        await self._app(*_farewell(scope, oldest.name))
        return True

    def _forget(self, connection: _Connection) -> None:
        self._all.discard(connection)
        self._named.pop(connection.name, None)

    def _forget_expired(self) -> None:
        # Not before the SDK has closed it, or it would go uncounted.
        since = self._clock.monotonic() - self._idle_seconds - 1
        for one in tuple(self._all):
            if not one.users and one.last_used <= since:
                self._forget(one)


def _farewell(scope: Scope, name: str) -> tuple[Scope, Receive, Send]:
    """What its client would have sent to end a connection; by the same principal, or it would not hold."""
    headers = MutableHeaders({_ID: name})

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        del message

    return {**scope, "method": "DELETE", "headers": headers.raw}, receive, send


def _refusal(most: int) -> Response:
    said = (
        f"{most} connections of yours are in use, and no more may be. Nothing was done. Close one, and try"
        " again."
    )
    error: Mapping[str, object] = {"code": INTERNAL_ERROR, "message": said}
    text = json.dumps({"jsonrpc": "2.0", "id": None, "error": error})
    return Response(text, 503, None, "application/json")
