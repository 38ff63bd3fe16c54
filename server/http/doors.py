"""Connections before they are requests: held to a time and to a number, as each takes a descriptor of the process.

uvicorn waits for the rest of a request's head for ever, and spins once there are no descriptors left.
"""

import asyncio
import sys
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_SECONDS = 20.0
# The rest is for sandboxes and files, and for those that were taken in but not seen yet.
_SHARE = 0.25


def most_connections() -> int:
    """How many there may be at a time, by the limit of the process on open files."""
    if sys.platform == "win32":
        return 4096
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, int(_SHARE * soft)) if soft > 0 else 2**20


class Doors:
    """Who has come in and not said yet what for; oldest first."""

    def __init__(self, most: int | None = None, head_seconds: float | None = None) -> None:
        self.most = most_connections() if most is None else most
        self.head_seconds = HEAD_SECONDS if head_seconds is None else head_seconds
        self.silent: dict[Any, asyncio.TimerHandle] = {}

    def protocol(self) -> type[asyncio.Protocol]:
        """What uvicorn is to make of every connection."""
        doors = self

        class Protocol(AutoHTTPProtocol):  # pyright: ignore[reportUntypedBaseClass, reportGeneralTypeIssues] - one of two
            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                doors.admit(self)

            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                doors.note(self)

            def connection_lost(self, exc: Exception | None) -> None:
                doors.forget(self)
                super().connection_lost(exc)

        return Protocol

    def admit(self, connection: Any) -> None:
        """A new one. Where there are too many, the one goes that has been silent for longest, which may be itself."""
        self._await_head(connection)
        if len(connection.connections) > self.most:
            oldest = next(iter(self.silent))
            # At once, or the next one to come in would find it here again.
            self.forget(oldest)
            oldest.transport.abort()

    def note(self, connection: Any) -> None:
        """It has said something: it is silent until the head of a request is whole."""
        cycle = connection.cycle
        if cycle is None or cycle.response_complete:
            self._await_head(connection)
        else:
            self.forget(connection)

    def forget(self, connection: Any) -> None:
        """It is no longer silent, or no longer there."""
        timer = self.silent.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def _await_head(self, connection: Any) -> None:
        if connection not in self.silent and not connection.transport.is_closing():
            loop = asyncio.get_running_loop()
            self.silent[connection] = loop.call_later(self.head_seconds, connection.transport.abort)
